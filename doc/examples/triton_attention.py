#!/usr/bin/env python3
"""Run a flash attention kernel in Triton on a corpus. Needs triton, torch and safetensors.

    vdit-golden make attention -o corpus
    python triton_attention.py --device cuda corpus outputs && vdit-check corpus outputs

Without a GPU, Triton's interpreter runs the same kernel on the processor, slowly:

    TRITON_INTERPRET=1 python triton_attention.py corpus outputs

The interpreter has no arithmetic in bf16, so that there bf16 is widened to f32 for the products, which
changes no bit of them. Options and layouts are those of torch_attention.py, which must lie beside this.
"""
import os
import sys

import torch
import triton
import triton.language as tl

import torch_attention

IS_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


@triton.jit
def attend_kernel(q, k, v, mask, rows, lengths, o, heads, count, queries, keys, scale,
                  mask_b, mask_h, mask_q, mask_k, d: tl.constexpr, dv: tl.constexpr,
                  HAS_MASK: tl.constexpr, WIDEN: tl.constexpr, BLOCK_Q: tl.constexpr,
                  BLOCK_K: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_V: tl.constexpr):
    """Grid [ceil(count / BLOCK_Q), B * H]. q, k, v and o are dense [B, H, N, width]."""
    bh = tl.program_id(1).to(tl.int64)
    b, h = bh // heads, bh % heads
    i = tl.program_id(0) * BLOCK_Q + tl.arange(0, BLOCK_Q)
    row = tl.load(rows + i, i < count, other=0)
    c, cv = tl.arange(0, BLOCK_D), tl.arange(0, BLOCK_V)
    length = tl.load(lengths + b)
    q_tile = tl.load(q + (bh * queries + row[:, None]) * d + c, c[None, :] < d, other=0.0)
    top = tl.full([BLOCK_Q], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK_Q], tl.float32)
    o_tile = tl.zeros([BLOCK_Q, BLOCK_V], tl.float32)
    for first in range(0, length, BLOCK_K):
        j = first + tl.arange(0, BLOCK_K)
        valid = j < length
        # 1. A tile of keys and values; beyond the length 0 stands in for whatever lies there.
        at = bh * keys + j[:, None]
        k_tile = tl.load(k + at * d + c, valid[:, None] & (c[None, :] < d), other=0.0)
        v_tile = tl.load(v + at * dv + cv, valid[:, None] & (cv[None, :] < dv), other=0.0)
        if WIDEN:
            q_tile, k_tile = q_tile.to(tl.float32), k_tile.to(tl.float32)
        # 2. Its logits.
        s = tl.dot(q_tile, tl.trans(k_tile), input_precision="ieee") * scale
        if HAS_MASK:
            place = mask + b * mask_b + h * mask_h + row[:, None] * mask_q + j * mask_k
            s += tl.load(place, valid[None, :] & (i[:, None] < count), other=0.0)
        s = tl.where(valid[None, :], s, float("-inf"))
        # 3. Sums so far are in units of exp(top), which grows. Without a valid key yet it is -inf.
        grown = tl.maximum(top, tl.max(s, 1))
        finite = tl.where(grown == float("-inf"), 0.0, grown)
        shrink = tl.exp(top - finite)
        p = tl.exp(s - finite[:, None])
        total = total * shrink + tl.sum(p, 1)
        # 4. P is rounded to the type of V, as tensor cores take it; the sum above had it in f32.
        p = p.to(v_tile.dtype)
        if WIDEN:
            p, v_tile = p.to(tl.float32), v_tile.to(tl.float32)
        o_tile = o_tile * shrink[:, None] + tl.dot(p, v_tile, input_precision="ieee")
        top = grown
    o_tile = o_tile / tl.where(total == 0, 1.0, total)[:, None]
    place = o + (bh * count + i[:, None]) * dv + cv
    tl.store(place, o_tile.to(o.dtype.element_ty), (i[:, None] < count) & (cv[None, :] < dv))


def attention(case, scale):
    """o [B, H, R, dv] for the query rows that the case lists, or for all of them."""
    q, k, v = torch_attention.one_dtype(case["q"], case["k"], case["v"])
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    (batches, heads, queries, d), (keys, dv) = q.shape, v.shape[2:]
    rows = case.get("rows", torch.arange(queries, device=q.device))
    lengths = case.get("key_length", torch.full((batches,), keys, device=q.device))
    mask, strides = q, (0, 0, 0, 0)
    if "mask" in case:
        mask = case["mask"]
        if mask.dtype == torch.bool:
            mask = torch.zeros_like(mask, dtype=torch.float32).masked_fill(~mask, float("-inf"))
        mask = mask.float().expand(batches, heads, queries, keys)
        strides = mask.stride()
    o = torch.empty(batches, heads, len(rows), dv, dtype=q.dtype, device=q.device)
    block = 64
    grid = (triton.cdiv(len(rows), block), batches * heads)
    attend_kernel[grid](
        q, k, v, mask, rows, lengths, o, heads, len(rows), queries, keys,
        d ** -0.5 if scale is None else scale, *strides, d, dv, "mask" in case,
        IS_INTERPRETED and q.dtype == torch.bfloat16, block, block,
        max(16, triton.next_power_of_2(d)), max(16, triton.next_power_of_2(dv)))
    return o


if __name__ == "__main__":
    sys.exit(torch_attention.main(attention, "Triton %s" % triton.__version__))
