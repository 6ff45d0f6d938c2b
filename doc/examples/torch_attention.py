#!/usr/bin/env python3
"""Run PyTorch's operators on a corpus, for vdit-check to judge. Needs torch and safetensors.

    python torch_attention.py CORPUS OUTPUTS         every case of CORPUS/manifest.json
    python torch_attention.py --case IN OUT          one case, IN being CASE.in.safetensors

    vdit-golden make attention -o corpus
    python torch_attention.py --path math corpus outputs && vdit-check corpus outputs
    vdit-check --exec 'python torch_attention.py --case {in} {out}' quick

The attention is torch.nn.functional.scaled_dot_product_attention; --path says which of its
implementations must run: a case that it does not take is an error, never another path in its stead.
On a CPU, fused is FlashAttention; on a GPU, any fused kernel; default leaves the choice to torch.
Other examples put an attention of their own in its place: see main.
Exit status: 0, or 1 if some case could not be computed; those have no output file.
"""
import argparse
import contextlib
import json
import os
import sys

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn.attention import SDPBackend, sdpa_kernel

PATHS = {
    "default": None,
    "math": [SDPBackend.MATH],
    "flash": [SDPBackend.FLASH_ATTENTION],
    "fused": [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION,
              SDPBackend.CUDNN_ATTENTION],
}
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def one_dtype(*tensors):
    """PyTorch takes one dtype per call: mixed ones all go to f32, which holds each exactly."""
    present = {x.dtype for x in tensors if x is not None}
    if len(present) == 1:
        return tensors
    return tuple(None if x is None else x.float() for x in tensors)


def operands(case, layout):
    """q, k and v as [B, H, N, width], whatever the file's layout: strides, no copies."""
    if layout == "BN3HD":
        case["q"], case["k"], case["v"] = case.pop("qkv").permute(2, 0, 3, 1, 4)
    elif layout == "BNHD":
        for name in "qkv":
            case[name] = case[name].transpose(1, 2)
    return case


def attention(case, scale):
    """o [B, H, R, dv] for the query rows that the case lists, or for all of them."""
    q, k, v = one_dtype(case["q"], case["k"], case["v"])
    mask = case.get("mask")
    if "rows" in case:
        rows = case["rows"]
        q = q[:, :, rows]
        if mask is not None and mask.shape[2] > 1:
            mask = mask[:, :, rows]
    if mask is not None and mask.dtype not in (torch.bool, q.dtype):
        mask = mask.float()
    if "key_length" not in case:
        return F.scaled_dot_product_attention(q, k, v, mask, scale=scale)

    # Keys beyond the length may hold anything, NaN too: they are cut off, batch by batch.
    parts = []
    for b, length in enumerate(case["key_length"].tolist()):
        part = mask
        if mask is not None:
            part = mask[b if mask.shape[0] > 1 else 0][None]
            part = part[..., :length] if mask.shape[3] > 1 else part
        parts.append(F.scaled_dot_product_attention(
            q[b][None], k[b][None, :, :length], v[b][None, :, :length], part, scale=scale))
    return torch.cat(parts)


def compute(op, case, scale, layout, attend):
    """The output tensor of one case, and its name."""
    if op == "attention":
        o = attend(operands(case, layout), scale)
        return "o", o if layout == "BHND" else o.transpose(1, 2)
    if attend is not attention:
        raise RuntimeError("only attention is computed")
    if op == "linear":
        return "y", F.linear(*one_dtype(case["x"], case["w"], case.get("b")))
    if op == "matmul":
        return "c", torch.matmul(*one_dtype(case["a"], case["b"]))
    if op in ("exp", "log"):
        return "y", getattr(torch, op)(case["x"])
    raise ValueError("unknown operator '%s'" % op)


def run(arguments, source, target, out_dtype=None):
    """Reads one case, computes it, and writes its output beside the target, renamed at the end."""
    with safe_open(source, framework="pt", device=arguments.device) as file:
        metadata = file.metadata() or {}
        case = {name: file.get_tensor(name) for name in file.keys()}
    op = metadata.get("op", "attention")
    scale = float(metadata["scale"]) if "scale" in metadata else None
    path = PATHS[arguments.path] if op == "attention" else None
    with torch.no_grad(), sdpa_kernel(path) if path else contextlib.nullcontext():
        name, output = compute(op, case, scale, metadata.get("layout", "BHND"), arguments.attend)
    if out_dtype:
        output = output.to(DTYPES[out_dtype])
    save_file({name: output.cpu().contiguous()}, target + ".part")
    os.replace(target + ".part", target)


def run_corpus(arguments, corpus, outputs):
    """Returns the number of cases that PyTorch did not compute, each reported in a line."""
    with open(os.path.join(corpus, "manifest.json")) as file:
        manifest = json.load(file)
    os.makedirs(outputs, exist_ok=True)
    failed = 0
    for case in manifest["cases"]:
        out = case["tensors"].get("o") or case["tensors"].get("y") or case["tensors"].get("c")
        target = os.path.join(outputs, case["name"] + ".safetensors")
        if os.path.exists(target):
            os.remove(target)  # an old answer must not stand in for a new failure
        try:
            run(arguments, os.path.join(corpus, case["in"]), target, out["dtype"])
        except RuntimeError as error:
            failed += 1
            print("%s: %s" % (case["name"], str(error).splitlines()[0]), file=sys.stderr)
    print("%s, torch %s, %s: %d of %d cases computed" % (
        arguments.engine, torch.__version__, arguments.device, len(manifest["cases"]) - failed,
        len(manifest["cases"])), file=sys.stderr)
    return failed


def main(attend=attention, engine=None):
    """Reads the command line and runs it. attend is called as attention is, engine names it."""
    parser = argparse.ArgumentParser(description="Run %s on a corpus." % (
        engine or "PyTorch's operators"))
    parser.add_argument("source", metavar="CORPUS", help="folder, or one case's input")
    parser.add_argument("target", metavar="OUTPUTS", help="folder, or one case's output, to write")
    parser.add_argument("--case", action="store_true", help="the arguments are files of one case")
    if attend is attention:
        parser.add_argument("--path", choices=sorted(PATHS), default="default")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, ...")
    parser.add_argument("--threads", type=int, help="threads on a CPU")
    parser.set_defaults(attend=attend, path="default")
    arguments = parser.parse_args()
    arguments.engine = engine or "path " + arguments.path
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.case:
        run(arguments, arguments.source, arguments.target)
        return 0
    return 1 if run_corpus(arguments, arguments.source, arguments.target) else 0


if __name__ == "__main__":
    sys.exit(main())
