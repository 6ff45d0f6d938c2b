#!/usr/bin/env python3
"""Run PyTorch's FlexAttention on a corpus, also under masks designed for video. Needs torch, safetensors.

    vdit-golden make attention -o corpus
    python flex_attention.py --compile corpus outputs && vdit-check corpus outputs

Masks of a case become functions of FlexAttention: booleans and key lengths a mask_mod, numbers a score_mod.
With --video FRAMES,HEIGHT,WIDTH the tokens are those of a video, t outermost, and one of

    --sliding T,Y,X/T,Y,X    sliding tile attention: a tile of tokens / a window of tiles around the query's own
    --radial DECAY           radial attention: the spatial window halves as the distance in frames doubles

masks the call by their places, as vdit-plan(7) defines it. One call, and the reference under the same mask:

    python flex_attention.py --case --video 4,4,8 --sliding 2,2,4/1,1,2 CASE.in.safetensors flex.safetensors
    vdit-attend --q CASE.in.safetensors:q --k CASE.in.safetensors:k --v CASE.in.safetensors:v -o exact.safetensors \\
        --layout-video 4,4,8 --plan 'all: keep sliding tile=2,2,4 window=1,1,2'
    vdit-check exact.safetensors flex.safetensors

--write-mask FILE also writes what the functions keep, bool [1, 1, N, N], for vdit-attend --mask: two ways to one answer.

--compile uses the fused kernel; without it PyTorch computes the whole map. Other options and layouts are
those of torch_attention.py, which must lie beside this.
"""
import argparse
import math
import sys

import torch
from safetensors.torch import save_file
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

import torch_attention

FLEX = flex_attention


def places(token, video):
    """The (t, y, x) of video tokens."""
    _, height, width = video
    return token // (height * width), token // width % height, token % width


def sliding(video, tile, window):
    """Keeps the window of tiles around the query's own, moved inwards at the borders."""
    def keeps(b, h, i, j):
        kept = None
        for at, other, extent, t, w in zip(places(i, video), places(j, video), video, tile, window):
            count = -(-extent // t)
            first = torch.clamp(torch.clamp(at // t - w // 2, max=count - w), min=0)
            inside = (other // t >= first) & (other // t < first + w)
            kept = inside if kept is None else kept & inside
        return kept
    return keeps


def radial(video, decay):
    """Keeps keys whose place within the frame is near: by s / 2^floor(log2 |t - t'|) tokens."""
    size = video[1] * video[2]
    span = math.floor(decay * size)

    def keeps(b, h, i, j):
        apart = (i // size - j // size).abs()
        beside = (i % size - j % size).abs()
        group = torch.ones_like(apart)
        for power in range(1, video[0].bit_length()):
            group = torch.where(apart >= 1 << power, 1 << power, group)
        step = (group + span - 1) // span if span else group
        return (beside < span // group) | ((beside == 0) & (span > 0) & (apart % step == 0))
    return keeps


def all_of(*mods):
    """A mask_mod that keeps what each of mods keeps; None among them keeps all."""
    mods = [mod for mod in mods if mod is not None]
    if not mods:
        return None

    def keeps(b, h, i, j):
        kept = mods[0](b, h, i, j)
        for mod in mods[1:]:
            kept = kept & mod(b, h, i, j)
        return kept
    return keeps


def make_attention(designed):
    """An attention as torch_attention's, under a designed mask_mod (or None)."""
    def attention(case, scale):
        q, k, v = torch_attention.one_dtype(case["q"], case["k"], case["v"])
        batches, heads, queries, keys = *q.shape[:3], k.shape[2]
        mask, lengths, rows = case.get("mask"), case.get("key_length"), case.get("rows")
        if mask is not None:
            mask = mask.expand(batches, heads, queries, keys)
        if rows is not None:
            q = q[:, :, rows]
        if lengths is not None:  # a product with weight 0 is still a product: NaN there would stay
            cut = torch.arange(keys, device=k.device)[:, None] >= lengths[:, None, None, None]
            k, v = k.masked_fill(cut, 0), v.masked_fill(cut, 0)

        def row(i):
            return i if rows is None else rows[i]

        mods = [designed and (lambda b, h, i, j: designed(b, h, row(i), j)), None, None]
        score = None
        if lengths is not None:
            mods[1] = lambda b, h, i, j: j < lengths[b]
        if mask is not None and mask.dtype == torch.bool:
            mods[2] = lambda b, h, i, j: mask[b, h, row(i), j]
        elif mask is not None:
            def score(s, b, h, i, j):
                return s + mask[b, h, row(i), j]
        keeps = all_of(*mods)
        block = keeps and create_block_mask(keeps, batches, heads, q.shape[2], keys, device=q.device)
        return FLEX(q.contiguous(), k.contiguous(), v.contiguous(), score, block, scale)
    return attention


def numbers(text):
    return tuple(int(word) for word in text.split(","))


def designed_mask(options):
    """The mask_mod of the options, or None."""
    if options.sliding:
        tile, window = (numbers(word) for word in options.sliding.split("/"))
        return sliding(options.video, tile, window)
    return None if options.radial is None else radial(options.video, options.radial)


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--video", type=numbers)
    parser.add_argument("--sliding")
    parser.add_argument("--radial", type=float)
    parser.add_argument("--write-mask")
    parser.add_argument("--compile", action="store_true")
    options, rest = parser.parse_known_args()
    if (options.sliding or options.radial is not None or options.write_mask) and not options.video:
        parser.error("--sliding, --radial and --write-mask need --video")
    sys.argv[1:] = rest
    designed = designed_mask(options)
    if options.write_mask:
        token = torch.arange(math.prod(options.video))
        mask = designed(0, 0, token[:, None], token[None, :])
        save_file({"mask": mask[None, None].contiguous()}, options.write_mask)
    if options.compile:
        global FLEX
        FLEX = torch.compile(flex_attention)
    return torch_attention.main(make_attention(designed), "FlexAttention")


if __name__ == "__main__":
    sys.exit(main())
