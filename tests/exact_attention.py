#!/usr/bin/env python3
"""Random tiny attentions through vdit-attend, compared bit for bit with exact arithmetic.

    python exact_attention.py VDIT-ATTEND [FIRST-SEED [COUNT]]

A second opinion that shares no code with the library, its tests, or any floating point: logits are
fractions, exponentials have 700 bits (mpmath), and each element of o, lse and the map is rounded
once by integer arithmetic, after the snap rule of vdit(7). Needs Python 3 with mpmath; make check
does not run it. Exit status: 0, or 1 if some bit differs.
"""
import itertools
import json
import math
import os
import random
import subprocess
import sys
import tempfile
from fractions import Fraction

import mpmath

mpmath.mp.prec = 700
FORMATS = {"f32": (24, -126, 127, 32), "f16": (11, -14, 15, 16), "bf16": (8, -126, 127, 16)}
NAMES = {"f32": "F32", "f16": "F16", "bf16": "BF16", "bool": "BOOL"}
NAN, INF, NINF = "nan", "inf", "-inf"  # what is not a Fraction


def two_to(e):
    return Fraction(2) ** e


def exponent(x):
    """The floor of log2 x."""
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if two_to(e) <= x else e - 1


def encode(x, dtype, negative=False):
    """The bits of x rounded to nearest-even; negative is the sign of a result that rounds to 0."""
    p, least, most, width = FORMATS[dtype]
    special = ((1 << (width - p)) - 1) << (p - 1)
    if x == NAN:
        return special | 1 << (p - 2)
    if isinstance(x, str):
        return special | (x == NINF) << (width - 1)
    sign = int(x < 0 or negative) << (width - 1)
    if x == 0:
        return sign
    e = max(exponent(abs(x)), least)
    n = round(abs(x) / two_to(e - p + 1))  # Python rounds fractions to even
    if n >> p:
        e, n = e + 1, n >> 1
    if e > most:
        return sign | special
    return sign | (n if n < 1 << (p - 1) else ((e - least + 1) << (p - 1)) + n - (1 << (p - 1)))


def decode(bits, dtype):
    p, least, _, width = FORMATS[dtype]
    sign, f = bits >> (width - 1), bits % (1 << (p - 1))
    e = (bits >> (p - 1)) & ((1 << (width - p)) - 1)
    if e == (1 << (width - p)) - 1:
        return NAN if f else NINF if sign else INF
    size = f * two_to(least - p + 1) if e == 0 else (f + (1 << (p - 1))) * two_to(e + least - p)
    return -size if sign else size


def real(x):
    return mpmath.mpf(x.numerator) / mpmath.mpf(x.denominator)


def fraction(x):
    sign, significand, e, _ = mpmath.mpf(x)._mpf_
    return (-1 if sign else 1) * significand * two_to(e)


def finish(x, size, dtype):
    """The bits of x by the snap rule, size being the sum of the magnitudes of its terms."""
    if size == 0:
        return 0
    if size < mpmath.ldexp(1, -3000):  # 0 in every dtype, and perhaps too small for a Fraction
        return encode(Fraction(0), dtype, x < 0 and abs(x) > mpmath.ldexp(size, -91))
    step = two_to(exponent(fraction(size) * (1 + two_to(-64))) + 1 - 90)
    y = round(fraction(x) / step) * step
    return encode(y, dtype, y < 0)


def kind(terms):
    """What a sum amounts to: NaN, an infinity, or None if it is finite."""
    if NAN in terms or (INF in terms and NINF in terms):
        return NAN
    return INF if INF in terms else NINF if NINF in terms else None


def product(a, b):
    """The same for a product."""
    if not isinstance(a, str) and not isinstance(b, str):
        return None
    if NAN in (a, b):
        return NAN
    signs = [({INF: 1, NINF: -1}[x] if isinstance(x, str) else (x > 0) - (x < 0)) for x in (a, b)]
    return {0: NAN, 1: INF, -1: NINF}[signs[0] * signs[1]]


def row(q, keys, values, scale, masks, dtype):
    """The bits of o, lse and the map of one query; masks holds None for keys that are cut off."""
    width, entries = len(values[0]), [0] * len(keys)
    logits, kinds = {}, []
    for j, k in enumerate(keys):
        if masks[j] is None:
            continue
        odd = kind([product(a, b) for a, b in zip(q, k)])
        odd = product(odd, scale) if odd else None
        kinds.append(odd)
        if odd is None:
            logits[j] = scale * sum(a * b for a, b in zip(q, k)) + masks[j]
    if NAN in kinds or INF in kinds:
        entries = [encode(NAN, "f32") if m is not None else 0 for m in masks]
        lse = encode(NAN if NAN in kinds else INF, "f32")
        return [encode(NAN, dtype)] * width, lse, entries
    if not logits:
        return [0] * width, encode(NINF, "f32"), entries
    top = max(logits.values())
    p = {j: mpmath.exp(real(s - top)) if top - s < 2 ** 30 else mpmath.mpf(0)
         for j, s in logits.items()}
    total = mpmath.fsum(p.values())
    o = []
    for c in range(width):
        odd = kind([values[j][c] for j in p if isinstance(values[j][c], str)])
        terms = [] if odd else [p[j] * real(values[j][c]) for j in p]
        size = mpmath.fsum(abs(t) for t in terms) / total
        o.append(encode(odd, dtype) if odd else finish(mpmath.fsum(terms) / total, size, dtype))
    log = mpmath.log(total)
    for j in p:
        entries[j] = finish(p[j] / total, p[j] / total, "f32")
    return o, finish(log + real(top), abs(log) + abs(real(top)), "f32"), entries


# What a tensor is filled with, by the name of the family.
TOP = {"f32": 2.0 ** 126, "bf16": 2.0 ** 126, "f16": 6e4}
LOW = {"f32": 2.0 ** -140, "bf16": 2.0 ** -128, "f16": 2.0 ** -20}
FAMILIES = {
    "normal": lambda r, t, name: r.gauss(0, 1),
    "peaked": lambda r, t, name: r.gauss(0, 1) * (10 if name != "v" else 1),
    "huge": lambda r, t, name: r.gauss(0, 1) * (TOP[t] ** 0.5 if name != "v" else 1),
    "equal": lambda r, t, name: 0.0 if name == "q" else r.gauss(0, 1),
    "ties": lambda r, t, name: 0.0 if name == "q" else float(r.randint(-4, 4)),
    "integers": lambda r, t, name: float(r.randint(-4, 4)),
    "subnormal": lambda r, t, name: r.gauss(0, 1) * (LOW[t] if name == "v" else 1),
    "cancel": lambda r, t, name: r.choice([-1.25, 1.25, 1.5]) if name == "v" else
    r.gauss(0, 1) * 2.0 ** -r.choice([0, 5, 10]),
    "deep": lambda r, t, name: 1.0 if name == "q" else -r.random() * r.choice([0, 30, 120])
    if name == "k" else r.choice([0.0, r.gauss(0, 0.2) * TOP[t]]),
    "special": lambda r, t, name: r.choice([r.gauss(0, 1)] * 30 + [math.nan, math.inf, -math.inf]),
}


def bits_of(x, dtype):
    if math.isnan(x) or math.isinf(x):
        return encode(NAN if math.isnan(x) else INF if x > 0 else NINF, dtype)
    return encode(Fraction(x), dtype)


def make_case(seed):
    """Tensors by name, each (dtype, shape, bits), and the options of the call."""
    r = random.Random(seed)
    family, common = r.choice(sorted(FAMILIES)), r.choice(sorted(FORMATS))
    B, H, Nq, d, dv = (r.randint(1, n) for n in (2, 2, 4, 8, 6))
    Nk = r.choice([1, 2, 3, 4, 5, 8, 11, 16])
    tensors = {}
    for name, shape in (("q", [B, H, Nq, d]), ("k", [B, H, Nk, d]), ("v", [B, H, Nk, dv])):
        dtype = r.choice(sorted(FORMATS)) if r.random() < 0.2 else common
        tensors[name] = (dtype, shape, [bits_of(FAMILIES[family](r, dtype, name), dtype)
                                        for _ in range(math.prod(shape))])
    shape = [r.choice([1, n]) for n in (B, H, Nq, Nk)]
    mask = r.choice([None, None, "bool", "f32", "bf16"])
    if mask == "bool":
        tensors["mask"] = (mask, shape, [int(r.random() < 0.6) for _ in range(math.prod(shape))])
    elif mask:
        size = r.choice([1, 1e30])
        tensors["mask"] = (mask, shape, [bits_of(r.choice([-math.inf, 0, r.gauss(0, size)]), mask)
                                         for _ in range(math.prod(shape))])
    scale = r.choice([1 / math.sqrt(d)] * 4 + [0.0, 1.0, -1.0, 0.1, 2.0 ** -60, 2.0 ** 40])
    keys = r.randint(0, Nk) if r.random() < 0.25 else Nk
    return family, tensors, scale, keys, r.choice([common, common, "f32", "bf16", "f16"])


def expected(tensors, scale, key_length, dtype):
    """The bits of o, lse and map, in row-major order."""
    B, H, Nq, _ = tensors["q"][1]
    Nk, results = tensors["k"][1][2], {"o": [], "lse": [], "map": []}

    def rows_of(name, b, h):
        t, (_, heads, n, width), bits = tensors[name]
        first = (b * heads + h) * n * width
        return [[decode(x, t) for x in bits[first + i * width:first + (i + 1) * width]]
                for i in range(n)]

    def mask_of(*index):
        if index[3] >= key_length:
            return None
        if "mask" not in tensors:
            return Fraction(0)
        t, shape, bits = tensors["mask"]
        at = 0
        for i, n in zip(index, shape):
            at = at * n + (i if n > 1 else 0)
        if t == "bool":
            return Fraction(0) if bits[at] else None
        value = decode(bits[at], t)
        return None if value == NINF else value

    for b, h in itertools.product(range(B), range(H)):
        q, k, v = (rows_of(name, b, h) for name in "qkv")
        for i in range(Nq):
            masks = [mask_of(b, h, i, j) for j in range(Nk)]
            o, lse, entries = row(q[i], k, v, Fraction(scale), masks, dtype)
            results["o"] += o
            results["lse"].append(lse)
            results["map"] += entries
    return results


def write(path, tensors):
    header, data = {}, b""
    for name, (dtype, shape, bits) in tensors.items():
        size = FORMATS[dtype][3] // 8 if dtype in FORMATS else 1
        raw = b"".join(x.to_bytes(size, "little") for x in bits)
        header[name] = {"dtype": NAMES[dtype], "shape": shape,
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + data)


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, t in json.loads(data[8:start]).items():
        if name != "__metadata__":
            size = 4 if t["dtype"] == "F32" else 2
            first, last = (start + x for x in t["data_offsets"])
            tensors[name] = [int.from_bytes(data[i:i + size], "little")
                             for i in range(first, last, size)]
    return tensors


def check(program, folder, seed):
    """Runs one case. Returns: how many elements were compared, and a message or None."""
    family, tensors, scale, keys, dtype = make_case(seed)
    source, target = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
    write(source, tensors)
    command = [program, "--dtype", dtype, "--scale", scale.hex(), "--key-length", str(keys)]
    for name in tensors:
        command += ["--" + name, source + ":" + name]
    for option in ("-o", "--lse", "--map"):
        command += [option, target]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        return 0, done.stderr.strip()
    got, count = read(target), 0
    for name, bits in expected(tensors, scale, keys, dtype).items():
        wrong = [i for i in range(len(bits)) if bits[i] != got[name][i]]
        count += len(bits)
        if wrong:
            return count, "%s: %d elements of %s differ, the first at %d: expected %x, is %x" % (
                family, len(wrong), name, wrong[0], bits[wrong[0]], got[name][wrong[0]])
    return count, None


def main():
    program, first, count = (sys.argv[1:] + ["1", "300"][len(sys.argv) - 2:])[:3]
    failed = elements = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(int(first), int(first) + int(count)):
            compared, message = check(program, folder, seed)
            elements += compared
            if message:
                failed += 1
                print("seed %d: %s" % (seed, message))
    print("%s cases, %d elements, %d cases differ" % (count, elements, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
