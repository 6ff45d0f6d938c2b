#!/usr/bin/env python3
"""Makes the fixtures of tests/parity.sh: what diffusers computes for small networks, module by module.

    make_parity.py VDIT-MODEL [CASE...]

Each case of cases.json names a family, the keys of its configuration that differ from the preset, a seed and the
extents of its inputs. The checkpoint is written by `vdit-model init` (so no fixture holds weights), loaded by
diffusers, and run twice:

    f64/NAME    in binary64; with all casts to float32 inside diffusers lifted to float64 (see lifted() below)
    f32/NAME    in float32, as it is; or, where the checkpoint is in bfloat16,
    bf16/NAME   in bfloat16, as from_pretrained(torch_dtype=torch.bfloat16) loads it

NAME is that of the module, NAME[i] the i-th of several outputs, NAME#2 that of a second call; in/NAME are the inputs. One file a case,
CASE.safetensors, and its metadata hold versions, seed and the order of execution. Threads: 1, so that sums are
taken in one order.
"""
import collections
import contextlib
import json
import os
import subprocess
import sys
import tempfile

import diffusers
import safetensors.torch
import torch
from diffusers.models import embeddings

here = os.path.dirname(os.path.abspath(__file__))
torch.set_num_threads(1)
torch.set_grad_enabled(False)


@contextlib.contextmanager
def lifted():
    """While this lasts float32 means float64: the casts of sinusoids, rotary tables and norms do nothing."""
    single, as_single = torch.float32, torch.Tensor.float
    functions = [f for f in vars(embeddings).values() if getattr(f, "__defaults__", None)]
    defaults = [f.__defaults__ for f in functions]
    torch.float32 = torch.float64
    torch.Tensor.float = torch.Tensor.double
    for f in functions:
        f.__defaults__ = tuple(torch.float64 if d is single else d for d in f.__defaults__)
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.float32, torch.Tensor.float = single, as_single
        for f, d in zip(functions, defaults):
            f.__defaults__ = d
        torch.set_default_dtype(single)


def make_inputs(case, config):
    """Inputs in float32, exact in bfloat16 too, so that all runs read the same numbers."""
    generator = torch.Generator().manual_seed(case["seed"])

    def normal(*shape):
        return torch.randn(*shape, generator=generator).bfloat16().float()

    batch, (f, h, w), rows = case["batch"], case["size"], case["text"]
    channels = config["in_channels"]
    video = (batch, f, channels, h, w) if case["family"] == "cogvideox" else (batch, channels, f, h, w)
    width = config.get("text_dim", config.get("text_embed_dim"))
    inputs = {
        "latents": normal(*video),
        "text": normal(batch, rows, width),
        "timestep": torch.tensor(case["timestep"], dtype=torch.float32),
    }
    if "valid" in case:
        mask = torch.arange(rows)[None] < torch.tensor(case["valid"])[:, None]
        if case.get("zero_padding"):
            inputs["text"] *= mask[..., None]
        else:
            inputs["text_mask"] = mask
    if case["family"] == "hunyuan":
        inputs["pooled"] = normal(batch, config["pooled_projection_dim"])
        if config["guidance_embeds"]:
            inputs["guidance"] = torch.tensor(case["guidance"], dtype=torch.float32)
    return inputs


def arguments(case, model, inputs, dtype):
    """What the family's forward() takes, floats in dtype."""
    def cast(name):
        return inputs[name].to(dtype) if inputs[name].is_floating_point() else inputs[name]

    call = {
        "hidden_states": cast("latents"),
        "encoder_hidden_states": cast("text"),
        "timestep": inputs["timestep"].to(torch.float64 if dtype is torch.float64 else torch.float32),
        "return_dict": False,
    }
    if case["family"] == "mochi":
        rows = inputs["text"].shape[:2]
        call["encoder_attention_mask"] = inputs.get("text_mask", torch.ones(rows, dtype=torch.bool))
    if case["family"] == "hunyuan":
        rows = inputs["text"].shape[:2]
        call["encoder_attention_mask"] = inputs.get("text_mask", torch.ones(rows, dtype=torch.bool)).to(dtype)
        call["pooled_projections"] = cast("pooled")
        call["guidance"] = cast("guidance") if "guidance" in inputs else None
    if case["family"] == "cogvideox" and case.get("rotary"):
        call["image_rotary_emb"] = rotary(model, *inputs["latents"].shape[-2:], inputs["latents"].shape[1])
    return call


def rotary(model, height, width, frames):
    """The tables that CogVideoXPipeline passes, from its own method."""
    class Pipeline:
        vae_scale_factor_spatial = 8
        transformer = model

    prepare = diffusers.CogVideoXPipeline._prepare_rotary_positional_embeddings
    return prepare(Pipeline, 8 * height, 8 * width, frames, torch.device("cpu"))


def run(case, model, inputs, dtype):
    """Returns: {name: output} in the order of execution; the network's own is "output"."""
    seen, calls = {}, collections.Counter()

    def record(name):
        def hook(module, args, output):
            calls[name] += 1
            called = name if calls[name] == 1 else f"{name}#{calls[name]}"
            for i, value in enumerate(output if isinstance(output, (tuple, list)) else [output]):
                if torch.is_tensor(value):
                    seen[f"{called}[{i}]" if isinstance(output, (tuple, list)) else called] = value.clone()
        return hook

    for name, module in model.named_modules():
        if name and not isinstance(module, (torch.nn.Dropout, torch.nn.ModuleList)):
            module.register_forward_hook(record(name))
    seen["output"] = model(**arguments(case, model, inputs, dtype))[0].clone()
    return seen


def load(folder, dtype):
    cls = getattr(diffusers, json.load(open(os.path.join(folder, "config.json")))["_class_name"])
    return cls.from_pretrained(folder, torch_dtype=dtype).eval()


def run_lifted(case, single, inputs):
    """The run in binary64: the network is built anew, because its tables are made when it is."""
    weights = {name: value.double() for name, value in single.state_dict().items()}
    with lifted():
        model = type(single).from_config(single.config).double().eval()
        model.load_state_dict(weights)
        return run(case, model, inputs, torch.float64)


def make(case, vdit_model):
    with tempfile.TemporaryDirectory() as scratch:
        folder = os.path.join(scratch, "model")
        keys = [f"{k}={json.dumps(v)}" for k, v in case["config"].items()]
        subprocess.run([vdit_model, "init", case["family"], "--size", case["preset"], *keys, "--seed", str(case["seed"]),
                        "--dtype", case["dtype"], "-o", folder], check=True, stdout=subprocess.DEVNULL)
        config = json.load(open(os.path.join(folder, "config.json")))
        inputs = make_inputs(case, config)
        runs = {"f64": run_lifted(case, load(folder, torch.float32), inputs)}
        other = torch.bfloat16 if case["dtype"] == "bf16" else torch.float32
        runs[case["dtype"]] = run(case, load(folder, other), inputs, other)
    for name, value in runs["f64"].items():
        assert value.dtype is torch.float64, f"{name} is {value.dtype} in the run in binary64"
    order = list(runs["f64"])
    assert order == list(runs[case["dtype"]])
    tensors = {f"in/{k}": v.contiguous() for k, v in inputs.items()}
    for kind, values in runs.items():
        tensors.update({f"{kind}/{k}": v.contiguous() for k, v in values.items()})
    meta = {"case": json.dumps(case), "order": json.dumps(order), "diffusers": diffusers.__version__,
            "torch": torch.__version__, "seed": str(case["seed"])}
    path = os.path.join(here, case["name"] + ".safetensors")
    safetensors.torch.save_file(tensors, path, metadata=meta)
    print(f"{os.path.getsize(path):9d} bytes, {len(order)} activations: {case['name']}")


if __name__ == "__main__":
    for case in json.load(open(os.path.join(here, "cases.json"))):
        if not sys.argv[2:] or case["name"] in sys.argv[2:]:
            make(case, sys.argv[1])
