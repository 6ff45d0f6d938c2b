#!/usr/bin/env python3
"""Run ONNX's node tests of the operator Attention through vdit-attend. Needs the package onnx.

    python onnx_attention.py                    a line per test, and the sums
    python onnx_attention.py --attend PATH      ... with this vdit-attend

Each test has one node; what its attributes mean is turned into files and options of vdit-attend:

    3-D inputs              [B, N, H*d] is [B, N, H, d] in the layout BNHD
    fewer heads in k, v     each is repeated for the query heads that share it
    past_key, past_value    put before k and v; the present ones are these, with nothing computed
    is_causal, windows      a mask: key j for query i if j <= i + offset, and inside the window
    nonpad_kv_seqlen        --key-length
    scale                   --scale
    qk_matmul_output        mode 3 is --map; modes 0 and 2 are ln map + lse, without and with the mask
    softmax_precision       nothing to do: no precision is lost

The outputs must lie within the test's own tolerance, as onnx.backend.test compares them. The tests named
*_expanded hold the same nodes as graphs of simpler ones and are left out.
Exit status: 0 if all tests are reproduced but those that vdit-attend does not offer, else 1.
"""
import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
import warnings

import ml_dtypes
import numpy as np
import onnx

DTYPES = {"F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16, "I64": np.int64,
          "BOOL": np.bool_}


def write(path, tensors):
    """Writes a safetensors file."""
    header, blob = {}, b""
    for name, x in tensors.items():
        dtype = next(key for key, value in DTYPES.items() if x.dtype == value)
        data = np.ascontiguousarray(x).tobytes()
        header[name] = {"dtype": dtype, "shape": x.shape, "data_offsets": [len(blob), len(blob) + len(data)]}
        blob += data
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + blob)


def read(path):
    """Returns the tensors of a safetensors file by name."""
    with open(path, "rb") as file:
        data = file.read()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            first, last = (start + offset for offset in entry["data_offsets"])
            tensors[name] = np.frombuffer(data[first:last], DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors


class Missing(Exception):
    """What the test needs and vdit-attend has not."""


def allowed_keys(attributes, inputs, queries, keys):
    """The keys that causality and windows leave, bool [B or 1, 1, Nq, Nk], or None."""
    left, right = attributes.get("left_window_size", -1), attributes.get("right_window_size", -1)
    if not attributes.get("is_causal") and left < 0 and right < 0:
        return None
    if "past_key" in inputs:
        offset = np.array([inputs["past_key"].shape[2]])
    elif "nonpad_kv_seqlen" in inputs:
        offset = inputs["nonpad_kv_seqlen"].reshape(-1) - queries
    else:
        offset = np.array([0])
    ahead = np.arange(keys) - (np.arange(queries)[:, None] + offset.reshape(-1, 1, 1, 1))
    allowed = np.ones(ahead.shape, np.bool_)
    if attributes.get("is_causal"):
        allowed &= ahead <= 0
    if left >= 0:
        allowed &= -ahead <= left
    if right >= 0:
        allowed &= ahead <= right
    return allowed


def join_masks(mask, allowed, keys):
    """One mask [.., .., .., Nk], bool or float; None if there is none. A short mask leaves keys out."""
    if mask is not None and mask.shape[-1] < keys:
        short = [(0, 0)] * (mask.ndim - 1) + [(0, keys - mask.shape[-1])]
        mask = np.pad(mask, short, constant_values=False if mask.dtype == np.bool_ else -np.inf)
    if mask is not None:
        mask = mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
    if mask is None or allowed is None:
        return allowed if mask is None else mask
    if mask.dtype == np.bool_:
        return mask & allowed
    return np.where(allowed, mask, np.array(-np.inf, mask.dtype))


def attend(program, folder, tensors, options, outputs):
    """Runs vdit-attend. Returns: its outputs by name."""
    paths = {name: os.path.join(folder, name + ".safetensors") for name in ("in", "out")}
    write(paths["in"], tensors)
    command = [program, *options]
    for name in ("q", "k", "v", "mask", "key-length"):
        if name in tensors:
            command += ["--" + name, "%s:%s" % (paths["in"], name)]
    for name in outputs:
        command += ["--" + name, paths["out"]]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return read(paths["out"])


def heads_of(x, heads):
    """[B, N, H*d] or [B, H, N, d] as [B, H, N, d]."""
    return x if x.ndim == 4 else x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)


def run_node(program, folder, attributes, inputs, wanted):
    """Returns: the node's outputs by name; Y and whichever else is wanted."""
    if attributes.get("softcap", 0) != 0:
        raise Missing("softcap: no tanh on the logits")
    q = heads_of(inputs["Q"], attributes.get("q_num_heads"))
    k, v = (heads_of(inputs[name], attributes.get("kv_num_heads")) for name in "KV")
    if "past_key" in inputs:
        k = np.concatenate((inputs["past_key"], k), axis=2)
        v = np.concatenate((inputs["past_value"], v), axis=2)
    found = {"present_key": k, "present_value": v}
    k, v = (np.repeat(x, q.shape[1] // x.shape[1], axis=1) for x in (k, v))
    mask = join_masks(inputs.get("attn_mask"),
                      allowed_keys(attributes, inputs, q.shape[2], k.shape[2]), k.shape[2])

    options = []
    if "scale" in attributes:
        options = ["--scale", repr(attributes["scale"])]
    tensors = {"q": q, "k": k, "v": v}
    is_flat = inputs["Q"].ndim == 3
    if is_flat:
        tensors = {name: x.transpose(0, 2, 1, 3) for name, x in tensors.items()}
        options += ["--layout", "BNHD"]
    plain = dict(tensors)
    if mask is not None:
        tensors["mask"] = mask
    if "nonpad_kv_seqlen" in inputs:
        tensors["key-length"] = inputs["nonpad_kv_seqlen"]
    result = attend(program, folder, tensors, options, ("output", "map", "lse"))
    found["Y"] = result["o"].reshape(*result["o"].shape[:2], -1) if is_flat else result["o"]

    if "qk_matmul_output" in wanted:
        mode = attributes.get("qk_matmul_output_mode", 0)
        if mode in (0, 1):  # before the mask; 1 is after a softcap, of which there is none
            result = attend(program, folder, plain, options, ("map", "lse"))
        with np.errstate(divide="ignore"):
            logits = np.log(result["map"].astype(np.float64)) + result["lse"][..., None]
        found["qk_matmul_output"] = result["map"] if mode == 3 else logits
    return found


def difference(case, actual, expected):
    """Returns: "" if each element is within the test's tolerance, else how far the worst one is."""
    rtol = max(case.rtol, 2.0 ** -6) if expected.dtype == ml_dtypes.bfloat16 else case.rtol
    if actual.shape != expected.shape:
        return "shape %s, expected %s" % (actual.shape, expected.shape)
    a, e = actual.astype(expected.dtype).astype(np.float64), expected.astype(np.float64)
    with np.errstate(invalid="ignore"):
        excess = np.abs(a - e) / (case.atol + rtol * np.abs(e))
    excess = np.where((a == e) | (np.isnan(a) & np.isnan(e)), 0, excess)
    worst = np.max(np.where(np.isnan(excess), np.inf, excess), initial=0)
    return "" if worst <= 1 else "%.3g times the tolerance" % worst


def run_case(program, case):
    """Returns: "" if the test is reproduced, else what is not."""
    node = case.model.graph.node[0]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    with tempfile.TemporaryDirectory() as folder:
        for given, expected in case.data_sets:
            inputs = dict(zip((name for name in node.input if name), given))
            wanted = [name for name in node.output if name]
            found = run_node(program, folder, attributes, inputs, wanted)
            for name, tensor in zip(wanted, expected):
                text = difference(case, found[name], tensor)
                if text:
                    return "%s: %s" % (name, text)
    return ""


def main():
    parser = argparse.ArgumentParser(description="Run ONNX's Attention tests through vdit-attend.")
    parser.add_argument("--attend", metavar="PATH", default="vdit-attend", help="the program")
    arguments = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other operators' tests divide by 0 on purpose
        from onnx.backend.test.case.node import collect_testcases
        cases = [case for case in collect_testcases("Attention") if "_expanded" not in case.name]
    sums = {}
    for case in cases:
        opset = case.model.opset_import[0].version
        try:
            text = run_case(arguments.attend, case)
            verdict = "differs" if text else "reproduced"
        except Missing as missing:
            verdict, text = "not offered", str(missing)
        sums[opset, verdict] = sums.get((opset, verdict), 0) + 1
        print("%-2d  %-72s %-11s %s" % (opset, case.name, verdict, text))
    print("onnx %s, numpy %s" % (onnx.__version__, np.__version__))
    for (opset, verdict), count in sorted(sums.items()):
        print("opset %d: %d %s" % (opset, count, verdict))
    return 1 if not cases or any(verdict == "differs" for _, verdict in sums) else 0


if __name__ == "__main__":
    sys.exit(main())
