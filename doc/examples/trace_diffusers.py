#!/usr/bin/env python3
"""Write the activations of a diffusers model under the names of vdit-trace(5), for vdit-check.
Needs torch, diffusers and safetensors.

    python trace_diffusers.py MODEL INPUTS TRACE [--dtype f32] [--output FILE] [--without-rotary]

MODEL is a checkpoint folder in diffusers' layout, or a pipeline's with a folder transformer/. INPUTS
is a safetensors file with latents, timestep and text, and where the model takes them text_mask, pooled
and guidance. TRACE holds, for each module in the order of execution, what it returned:

    NAME        a tensor; NAME[0], NAME[1] ... if it returned several
    NAME#2      if the module ran a second time
    NAME/q, /k, /v, /o   operands and result of the attention that the module called, [B, H, N, d]

Dropout modules are left out, and so is the model itself: --output writes what it returned. The order
of the names is in the metadata, as a JSON list. In f64 the models still round to f32 in places.

    vdit-forward MODEL --latents in.safetensors:latents --text in.safetensors:text \\
        --timestep in.safetensors:timestep --trace ours.safetensors --noise f32 -o out.safetensors
    python trace_diffusers.py MODEL in.safetensors theirs.safetensors
    vdit-check ours.safetensors theirs.safetensors

Any other torch model is traced by Trace alone:

    with Trace(model) as trace:
        model(...)
    trace.save("trace.safetensors")
"""
import argparse
import inspect
import json
import os
import types

import diffusers
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

DTYPES = {"f64": torch.float64, "f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


class Trace:
    """Hears every module of a model, and the attention function, while it is entered."""

    def __init__(self, model):
        self.model = model
        self.tensors = {}  # in the order of execution
        self.running = []  # modules that have begun and not ended: name, names of its attention

    def __enter__(self):
        self.handles = []
        for name, module in self.model.named_modules():
            if name and not isinstance(module, torch.nn.Dropout):
                self.handles.append(module.register_forward_pre_hook(self.begin(name)))
                self.handles.append(module.register_forward_hook(self.end(name)))
        self.attention = F.scaled_dot_product_attention
        F.scaled_dot_product_attention = self.attend
        return self

    def __exit__(self, *error):
        F.scaled_dot_product_attention = self.attention
        for handle in self.handles:
            handle.remove()

    def begin(self, name):
        return lambda module, inputs: self.running.append((name, []))

    def end(self, name):
        def hook(module, inputs, output):
            self.running.pop()
            if isinstance(output, torch.Tensor):
                self.record(name, output)
            elif isinstance(output, (tuple, list)):
                for i, part in enumerate(output):
                    self.record(f"{name}[{i}]", part)

        return hook

    def attend(self, query, key, value, *options, **named):
        output = self.attention(query, key, value, *options, **named)
        if not self.running:
            return output
        site, known = self.running[-1]
        if known:  # a call for each sample, as Mochi's: one batch, its unlike rows ended with zeros
            rows = self.rows_of(site)
            for name, x in zip(known, (query, key, value, output)):
                self.tensors[name] = torch.cat([pad(self.tensors[name], rows),
                                                pad(x.detach().cpu(), rows)])
        else:
            known += [self.record(f"{site}/{letter}", x)
                      for letter, x in zip("qkvo", (query, key, value, output))]
        return output

    def rows_of(self, site):
        """The tokens of a joint attention, all of the text's included."""
        parts = (self.tensors.get(f"{site}.{name}") for name in ("to_q", "add_q_proj"))
        return sum(x.shape[1] for x in parts if x is not None)

    def record(self, name, x):
        """Keeps a copy: what follows may write into the tensor. Returns the name that it got."""
        if not isinstance(x, torch.Tensor) or not x.is_floating_point():
            return None
        unique, times = name, 1
        while unique in self.tensors:
            times += 1
            unique = f"{name}#{times}"
        self.tensors[unique] = x.detach().to("cpu", copy=True).contiguous()
        return unique

    def save(self, path, **metadata):
        metadata.update(format="vdit-trace/1", order=json.dumps(list(self.tensors)),
                        library=f"diffusers {diffusers.__version__}, torch {torch.__version__}")
        save_file(self.tensors, path, metadata)


def pad(x, rows):
    """x [B, H, N, d] with zeros after its N rows."""
    return F.pad(x, (0, 0, 0, rows - x.shape[2]))


def load_model(folder, dtype):
    if os.path.isdir(os.path.join(folder, "transformer")):
        folder = os.path.join(folder, "transformer")
    with open(os.path.join(folder, "config.json")) as file:
        name = json.load(file)["_class_name"]
    return getattr(diffusers, name).from_pretrained(folder, torch_dtype=dtype).eval()


def rotary_tables(model, latents):
    """What CogVideoX's pipeline passes to its network; latents are [B, F, C, H, W]."""
    compression = 8  # of the pipeline's VAE, by which it divides what it is given
    pipeline = types.SimpleNamespace(vae_scale_factor_spatial=compression, transformer=model)
    frames, height, width = latents.shape[1], latents.shape[3], latents.shape[4]
    return diffusers.CogVideoXPipeline._prepare_rotary_positional_embeddings(
        pipeline, height * compression, width * compression, frames, latents.device)


def arguments(model, given, dtype, with_rotary):
    """The inputs under the names of the model's own forward."""
    every = {
        "hidden_states": given["latents"].to(dtype),
        "timestep": given["timestep"],
        "encoder_hidden_states": given["text"].to(dtype),
        "encoder_attention_mask": given.get("text_mask", torch.ones(given["text"].shape[:2])),
        "pooled_projections": given["pooled"].to(dtype) if "pooled" in given else None,
        "guidance": given.get("guidance"),
        "return_dict": False,
    }
    if "MochiTransformer" in type(model).__name__:
        every["encoder_attention_mask"] = every["encoder_attention_mask"].bool()
    if with_rotary and getattr(model.config, "use_rotary_positional_embeddings", False):
        every["image_rotary_emb"] = rotary_tables(model, given["latents"])
    taken = inspect.signature(model.forward).parameters
    return {name: value for name, value in every.items() if name in taken and value is not None}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("model")
    parser.add_argument("inputs")
    parser.add_argument("trace")
    parser.add_argument("--dtype", choices=DTYPES, default="f32")
    parser.add_argument("--output", metavar="FILE", help="write the result there, as \"output\"")
    parser.add_argument("--without-rotary", action="store_true",
                        help="CogVideoX: pass no rotary tables")
    options = parser.parse_args()

    dtype = DTYPES[options.dtype]
    model = load_model(options.model, dtype)
    given = arguments(model, load_file(options.inputs), dtype, not options.without_rotary)
    with torch.no_grad(), Trace(model) as trace:
        output = model(**given)[0]
    trace.save(options.trace, model=type(model).__name__, dtype=options.dtype, backend="torch")
    if options.output:
        save_file({"output": output.contiguous()}, options.output)


if __name__ == "__main__":
    main()
