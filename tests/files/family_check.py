#!/usr/bin/env python3
"""An independent implementation of the input families, written from vdit-recipe(5) with numpy.

It prints a line "OP FAMILY DTYPE SHA-256" per case: the sum over the bytes of all generated tensors,
one after the other. tests/files/family_sums.txt is its output (numpy 2.x), and
tests/test_golden_family.c demands the same sums from the library.
    python3 family_check.py > family_sums.txt
The logarithm is numpy's binary64 one, rounded to f32: wrong only if ln x lies within 2^-52 of a
midpoint, which the comparison would show.
"""
import hashlib
import numpy as np

np.seterr(all="ignore")
SEED, B, H, NQ, NK, D, DV = 7, 2, 2, 70, 130, 32, 24
M, KK, N = 9, 37, 21
ELEMENTS = 500
LAYER_M, LAYER_K, LAYER_N, PATCHES = 6, 4, 22, (2, 3, 4)
LENGTHS = [130, 101]
GRID, TEXT = (3, 5, 8), 10  # of the family video: 130 tokens, text first


def philox(index, tensor, attempt, seed):
    """Philox4x32-10 (Salmon et al. 2011) for arrays of 64-bit indices."""
    mask = np.uint64(0xFFFFFFFF)
    index = np.asarray(index, dtype=np.uint64)
    c = [index & mask, index >> np.uint64(32), np.full_like(index, tensor),
         np.full_like(index, attempt)]
    k = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        hi0, lo0, hi1, lo1 = p0 >> np.uint64(32), p0 & mask, p1 >> np.uint64(32), p1 & mask
        c = [hi1 ^ c[1] ^ np.uint64(k[0]), lo1, hi0 ^ c[3] ^ np.uint64(k[1]), lo0]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def word(tensor, index):
    return philox(index, tensor, 0, SEED)[0].astype(np.int64)


def log32(x):
    return np.log(np.float64(np.float32(x))).astype(np.float32).astype(np.float64)


def normal(tensor, index):
    index = np.asarray(index, dtype=np.uint64)
    result = np.full(index.shape, np.nan)
    open_ = np.ones(index.shape, dtype=bool)
    attempt = 0
    while open_.any():
        w = philox(index[open_], tensor, attempt, SEED)
        x = (w[0] >> np.uint64(8)).astype(np.float64) * 2.0**-23 - 1
        y = (w[1] >> np.uint64(8)).astype(np.float64) * 2.0**-23 - 1
        s = (x * x + y * y).astype(np.float32).astype(np.float64)
        ok = (s > 0) & (s < 1)
        value = x * np.sqrt(-2 * log32(np.where(ok, s, 0.5)) / np.where(ok, s, 0.5))
        places = np.flatnonzero(open_)
        result.flat[places[ok]] = value[ok]
        open_.flat[places[ok]] = False
        attempt += 1
    return result


FORMATS = {"f32": (23, -126, 127), "bf16": (7, -126, 127), "f16": (10, -14, 15)}


def rnd(x, dtype):
    """Rounds binary64 once to nearest-even in dtype."""
    fraction, low, high = FORMATS[dtype]
    x = np.asarray(x, dtype=np.float64)
    finite = np.where(np.isfinite(x), x, 0)
    exponent = np.maximum(np.frexp(finite)[1] - 1, low)
    step = np.ldexp(1.0, exponent - fraction)
    value = np.rint(finite / step) * step
    value = np.where(np.abs(value) >= 2.0 ** (high + 1), np.copysign(np.inf, value), value)
    value = np.where(value == 0, np.copysign(0.0, finite), value)
    return np.where(np.isfinite(x), value, x)


def data(x, dtype):
    """The bytes of a tensor."""
    x = rnd(x, dtype)
    if dtype == "f16":
        bits = x.astype(np.float16).view(np.uint16)
        bits = np.where(np.isnan(x), 0x7E00, bits).astype("<u2")
    else:
        bits = x.astype(np.float32).view(np.uint32)
        bits = np.where(np.isnan(x), 0x7FC00000, bits).astype("<u4")
        if dtype == "bf16":
            bits = (bits >> 16).astype("<u2")
    return bits.tobytes()


def tiny(dtype):
    return {"f32": 2.0**-126, "bf16": 2.0**-118, "f16": 2.0**-14}[dtype]


def elements(*shape):
    return np.arange(np.prod(shape), dtype=np.uint64).reshape(shape)


def needle_q(k, dtype, scale, lengths, last=None):
    """k is rounded. All rows are computed, so the rank of a row is its index."""
    q = np.zeros((B, H, NQ, D))
    count = NQ
    stride = 5 * count // 8 + 1
    while np.gcd(stride, count) != 1:
        stride += 1
    for b in range(B):
        for h in range(H):
            bh, keys = b * H + h, lengths[b]
            tiles = (keys + 63) // 64
            for i in range(NQ):
                place = (i * stride + bh) % count
                tile = place * (tiles - 1) // (count - 1)
                if last:
                    tile = tiles - 1 - place * ((tiles + last - 1) // last - 1) // (count - 1)
                size = min(64, keys - tile * 64)
                lane = int(word(16, bh * NQ + i)) % size
                best = None
                for n in list(range(size)) + [0]:
                    key = k[b, h, tile * 64 + (lane + n) % size]
                    norm = 0.0
                    for c in range(D):
                        norm += key[c] * key[c]
                    best = (key, norm)
                    if norm >= D:
                        break
                key, norm = best
                ratio = min(2 * float(log32(float(keys))) / norm, 0.875)
                q[b, h, i] = key * rnd((1 - np.sqrt(1 - ratio)) / scale, "bf16")
    return q


def video(k, v):
    """Nq = Nk = 130 tokens; q from its own elements, all else from k's."""
    scale = 1 / np.sqrt(np.float64(D))
    q = normal(0, elements(B, H, NK, D))
    axes = []
    for extent, limit in zip(GRID, (1, 8, 8)):
        n = max(n for n in range(-30, 30) if 2.0**n * (extent * extent * scale) <= limit)
        low = 2.0 ** (n // 2)
        argument = np.float64(np.float32(0.75 / (2.0**n * scale)))
        axes.append((low, 2.0**n / low, max(0.0, float(log32(argument)) / 2)))
    area = axes[1][2] + axes[2][2]
    aim = rnd((1 - np.sqrt(1 - min(2 * area / (D - 10), 0.875))) / scale, "bf16")
    level = rnd((0.5 + axes[0][2] + axes[1][2] + axes[2][2]) / scale, "bf16")
    count = GRID[0] * GRID[1] * GRID[2]
    for b in range(B):
        for h in range(H):
            bh = b * H + h
            first = k[b, h].copy()
            sink = int(word(33, bh)) % count
            for j in range(NK):
                number = j - TEXT
                if number >= 0 and bh % 2 == 0:
                    repeated = first[number % (GRID[1] * GRID[2]) + TEXT]
                    k[b, h, j], q[b, h, j] = repeated, aim * repeated
                q[b, h, j, :10] = k[b, h, j, :10] = 0
                q[b, h, j, 9] = 1
                if number < 0:
                    continue
                x = np.array(np.unravel_index(number, GRID)) * 2.0 - (np.array(GRID) - 1)
                for a, (low, high, _) in enumerate(axes):
                    q[b, h, j, 3 * a : 3 * a + 3] = (
                        2 * high * x[a], -high * 16, high * (x[a] * x[a] / 16))
                    k[b, h, j, 3 * a : 3 * a + 3] = (
                        low * x[a], low * (x[a] * x[a] / 16), -low * 16)
                if number == sink and bh % 2 == 1:
                    k[b, h, j, :9], k[b, h, j, 9] = 0, level
    return [q, k, v]


def attention(family, dtype):
    scale = 1 / np.sqrt(np.float64(D))
    lengths = LENGTHS if family in ("needle", "offset", "late-sink", "poison") else [NK] * B
    eq, ek, ev = elements(B, H, NQ, D), elements(B, H, NK, D), elements(B, H, NK, DV)
    q, k, v = normal(0, eq), normal(1, ek), normal(2, ev)
    j = np.arange(NK)
    if family == "video":
        return video(k, v)
    if family == "peaked":
        q = 8 * q
    elif family == "overflow":
        q = 4096 * q
    elif family == "subnormal":
        q, v = 4 * q, tiny(dtype) * v
    elif family == "uniform-logits":
        q[:, :, ::2] = 0
        k[:] = k[:, :, :1].copy()
    elif family == "integers":
        classes, height = min(8, D), 1
        while height * 32 * scale < 128:
            height *= 2
        v = (word(2, ev) % 17 - 8).astype(np.float64)
        q, k = np.zeros_like(q), np.zeros_like(k)
        k[:, :, j, j % classes] = 32
        chosen = word(16, elements(B, H, NQ)) % classes
        np.put_along_axis(q, chosen[..., None], float(height), axis=3)
    elif family == "needle":
        q = needle_q(rnd(k, dtype), dtype, scale, lengths)
    elif family == "offset":
        q = needle_q(rnd(k, dtype), dtype, scale, lengths, 32)
    elif family == "late-sink":
        q[..., 0] = 4
        for b in range(B):
            k[b, :, lengths[b] - 1] = 0
            k[b, :, lengths[b] - 1, 0] = rnd((log32(float(lengths[b])) + 3) / (4 * scale), "bf16")
    elif family == "outlier-channel":
        for b in range(B):
            for h in range(H):
                channel = int(word(33, b * H + h)) % D
                q[b, h, :, channel] *= 4
                k[b, h, :, channel] += 32
                v[b, h, :, int(word(34, b * H + h)) % DV] += 32
    elif family == "poison":
        huge = {"f32": 2.0**128 - 2.0**104, "bf16": 2.0**128 - 2.0**120, "f16": 65504.0}[dtype]
        for b in range(B):
            for t in (k, v):
                signs = np.where(np.arange(t.shape[3]) % 2 == 0, huge, -huge)
                for row in range(lengths[b], NK):
                    t[b, :, row] = np.nan if row % 2 == 0 else signs
    elif family == "cancel":
        even = rnd(v[:, :, 0::2], dtype)
        v[:, :, 1::2] = 2.0**-8 * v[:, :, 1::2] - even[:, :, : NK // 2]
        k[:, :, 1::2] = k[:, :, 0::2][:, :, : NK // 2]
    return [q, k, v]


def product(op, family, dtype):
    shapes = [(M, KK), (N, KK), (1, N)] if op == "linear" else [(M, KK), (KK, N)]
    t = [normal(i, elements(*s)) for i, s in enumerate(shapes)]
    if family == "integers":
        t = [(word(i, elements(*s)) % 17 - 8).astype(np.float64) for i, s in enumerate(shapes)]
    elif family == "outlier-channel":
        t[0][:, int(word(32, 0)) % KK] += 32
    elif family == "subnormal":
        factor = 1.0
        while factor * factor * KK > 1:
            factor /= 2
        t = [t[0] * factor] + [x * tiny(dtype) for x in t[1:]]
    elif family == "cancel":
        pairs = KK // 2
        t[0][:, 1::2] = rnd(t[0][:, 0::2], dtype)[:, :pairs]
        if op == "linear":
            t[1][:, 1::2] = 2.0**-8 * t[1][:, 1::2] - rnd(t[1][:, 0::2], dtype)[:, :pairs]
        else:
            t[1][1::2] = 2.0**-8 * t[1][1::2] - rnd(t[1][0::2], dtype)[:pairs]
    return t


def elementary(op, family, dtype):
    e = elements(ELEMENTS)
    x = normal(0, e)
    if family == "integers":
        x = (word(0, e) % 17 - 8).astype(np.float64) + (9 if op == "log" else 0)
    elif op == "exp":
        if family == "normal":
            x = 4 * x
        elif family == "overflow":
            x = (8 if dtype == "f16" else 64) * x
        elif family == "subnormal":
            uniform = (word(0, e) >> 8).astype(np.float64) * 2.0**-24
            x = -((9 if dtype == "f16" else 87) + (17 if dtype == "f32" else 8) * uniform)
    else:
        if family == "overflow":
            x = (2.0**13 if dtype == "f16" else 2.0**120) * x
        elif family == "subnormal":
            x = (2.0**-14 if dtype == "f16" else 2.0**-126) * x
        x = np.abs(x)
    return [x]


def layer(op, family):
    m, k, n = LAYER_M, LAYER_K, LAYER_N
    frames, height, width = PATCHES
    shapes = {
        "conv": [(1, k, frames, 2 * height, 2 * width), (n, k, 1, 2, 2), (n,)],
        "add": [(m, n), (m, n)],
        "modulate": [(m, n), (n,), (n,)],
        "gated_add": [(m, n), (n,), (m, n)],
        "layer_norm": [(m, n), (n,), (n,)],
        "rms_norm": [(m, n), (n,)],
        "group_norm": [(m, k, n), (k,), (k,)],
        "rotary": [(m, n), (m, n // 2), (m, n // 2)],
        "swiglu": [(m, 2 * n)],
        "geglu": [(m, 2 * n)],
    }.get(op, [(m, n)])
    if family == "integers":
        return [(word(i, elements(*s)) % 17 - 8).astype(np.float64) for i, s in enumerate(shapes)]
    return [normal(i, elements(*s)) for i, s in enumerate(shapes)]


ATTENTION = ["normal", "needle", "offset", "late-sink", "peaked", "uniform-logits", "integers",
             "outlier-channel", "video", "poison", "cancel", "overflow", "subnormal"]
PRODUCT = ["normal", "integers", "outlier-channel", "cancel", "subnormal"]
ELEMENTARY = ["normal", "integers", "overflow", "subnormal"]
LAYER = ["normal", "integers"]
LAYERS = ["conv", "add", "modulate", "gated_add", "layer_norm", "rms_norm", "group_norm", "rotary",
          "sigmoid", "tanh", "silu", "gelu", "gelu_tanh", "quick_gelu", "softplus", "swiglu", "geglu"]


def main():
    for op, families in (("attention", ATTENTION), ("linear", PRODUCT), ("matmul", PRODUCT),
                         ("exp", ELEMENTARY), ("log", ELEMENTARY),
                         *((op, LAYER) for op in LAYERS)):
        for family in families:
            for dtype in ("f32", "bf16", "f16"):
                if op == "attention":
                    tensors = attention(family, dtype)
                elif op in ("linear", "matmul"):
                    tensors = product(op, family, dtype)
                elif op in LAYERS:
                    tensors = layer(op, family)
                else:
                    tensors = elementary(op, family, dtype)
                total = hashlib.sha256(b"".join(data(t, dtype) for t in tensors)).hexdigest()
                print(op, family, dtype, total)


main()
