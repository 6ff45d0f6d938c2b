#!/usr/bin/env python3
"""Writes the fixtures of this folder: files that other software wrote.

Made with Python 3.11, NumPy 2.4.6, PyTorch 2.15 (for bfloat16 and float8) and safetensors 0.8.0.
good-*: must be read; element i of every tensor, in row-major order, is value(i) below.
bad-*: must be refused.
Run in this folder; the test suite only reads what it wrote.
"""
import io
import json
import struct
import zipfile

import numpy as np
import torch
from safetensors.torch import save_file

FLOATS = {"f64": torch.float64, "f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
INTEGERS = {"i64": torch.int64, "i32": torch.int32}


def value(i):
    """An integer of -11..11, exact in every signed type here."""
    return i * 7 % 23 - 11


def tensor(dtype, shape):
    count = int(np.prod(shape, dtype=int))
    values = torch.tensor([value(i) for i in range(count)], dtype=torch.int64).reshape(shape)
    if dtype == torch.uint8:
        return (values + 11).to(dtype)
    if dtype == torch.bool:
        return values > 0
    return values.to(dtype)


def array(code, shape, order="C"):
    dtype = np.dtype(code)
    values = np.array([value(i) for i in range(int(np.prod(shape, dtype=int)))], dtype=np.int64)
    if dtype.kind == "u":
        values = values + 11
    if dtype.kind == "b":
        values = values > 0
    return np.array(values.reshape(shape), dtype=dtype, order=order)


def save_version(path, a, version):
    with open(path, "wb") as f:
        np.lib.format.write_array(f, a, version=version)


def npy_bytes(a):
    out = io.BytesIO()
    np.save(out, a)
    return out.getvalue()


def make_safetensors():
    types = {**FLOATS, **INTEGERS, "u8": torch.uint8, "bool": torch.bool}
    tensors = {name: tensor(dtype, (2, 3)) for name, dtype in types.items()}
    tensors["rank-0"] = tensor(torch.float32, ())
    tensors["rank-8"] = tensor(torch.float16, (1, 2, 1, 3, 1, 1, 2, 1))
    tensors["empty"] = tensor(torch.float32, (0, 4))
    save_file(tensors, "good-all.safetensors", metadata={"origin": "safetensors 0.8.0"})
    save_file({"x": tensor(torch.float32, (3,)).to(torch.float8_e4m3fn)}, "bad-float8.safetensors")
    save_file({"x": tensor(torch.float32, (1,) * 9)}, "bad-rank-9.safetensors")


def make_shards():
    shards = {
        "good-shard-1-of-2.safetensors": {"blocks.0.q": tensor(torch.float32, (2, 3)),
                                          "blocks.0.k": tensor(torch.bfloat16, (4,))},
        "good-shard-2-of-2.safetensors": {"blocks.1.q": tensor(torch.float16, (5,))},
    }
    for name, tensors in shards.items():
        save_file(tensors, name, metadata={"format": "pt"})
    weight_map = {tensor: name for name, tensors in shards.items() for tensor in tensors}
    size = sum(t.numel() * t.element_size() for s in shards.values() for t in s.values())
    with open("good-shard.safetensors.index.json", "w") as f:
        json.dump({"metadata": {"total_size": size, "made": "by hand"}, "weight_map": weight_map},
                  f, indent=2)


def make_npy():
    for code in ["<f8", "<f4", "<f2", "<i8", "<i4", "|u1", "|b1", ">f8", ">f4", ">f2", ">i8", ">i4"]:
        end = "big" if code[0] == ">" else "little"
        np.save(f"good-{end}-{code[1:]}.npy", array(code, (2, 3, 4)))
    np.save("good-fortran.npy", array("<f4", (2, 3, 4), "F"))
    np.save("good-fortran-big.npy", array(">i4", (3, 2), "F"))
    np.save("good-rank-0.npy", array("<f8", ()))
    np.save("good-rank-1.npy", array("<f4", (5,)))
    np.save("good-empty.npy", array("<f4", (0, 3)))
    save_version("good-version-2.npy", array("<f4", (2, 3)), (2, 0))
    save_version("good-version-3.npy", array("<f4", (2, 3)), (3, 0))
    np.save("bad-structured.npy", np.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")]))
    np.save("bad-text.npy", np.array(["a", "b"]))
    np.save("bad-object.npy", np.array([None, 1], dtype=object))
    np.save("bad-complex.npy", np.zeros(2, dtype=complex))
    np.save("bad-int16.npy", np.zeros(2, dtype=np.int16))
    np.save("bad-rank-9.npy", np.zeros((1,) * 9))


def make_npz():
    arrays = {"f4": array("<f4", (2, 3, 4)), "big": array(">f8", (3,)), "b1": array("|b1", (5,)),
              "fortran": array("<i4", (3, 4), "F"), "rank-0": array("<f4", ()),
              "empty": array("<f2", (0,)), "a/folder": array("<i8", (2,)),
              "caf\u00e9": array("|u1", (2,))}
    np.savez("good-stored.npz", **arrays)
    np.savez_compressed("good-deflated.npz", **arrays)
    np.savez("good-none.npz")
    plain = npy_bytes(array("<f4", (2, 3)))
    with zipfile.ZipFile("bad-bzip2.npz", "w", zipfile.ZIP_BZIP2) as z:
        z.writestr("x.npy", plain)
    with zipfile.ZipFile("bad-entry.npz", "w") as z:
        z.writestr("x.npy", plain)
        z.writestr("README", "not an array")
    with zipfile.ZipFile("bad-twice.npz", "w") as z:
        z.writestr("x.npy", plain)
        z.writestr("x.npy", plain)
    # The header says six elements; ten million zeros follow, deflated to ten thousand bytes.
    with zipfile.ZipFile("bad-bomb.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as z:
        z.writestr("x.npy", plain + bytes(10_000_000))


def patch(source, target, field, number):
    """A copy whose directory claims another CRC (field 16) or size (field 24) for its first entry."""
    with open(source, "rb") as f:
        data = bytearray(f.read())
    at = data.index(b"PK\1\2") + field
    data[at:at + 4] = struct.pack("<I", number)
    with open(target, "wb") as f:
        f.write(data)


def make_liars():
    size = 128 + 4 * 24  # of the first entry
    patch("good-deflated.npz", "bad-claims-gigabytes.npz", 24, 0xF0000000)
    patch("good-deflated.npz", "bad-claims-more.npz", 24, size + 1)
    patch("good-deflated.npz", "bad-claims-less.npz", 24, size - 4)
    patch("good-deflated.npz", "bad-crc.npz", 16, 0x12345678)
    # Directory and header agree on six elements; the ten million zeros are there all the same.
    patch("bad-bomb.npz", "bad-goes-on.npz", 24, 128 + 4 * 6)
    # Directory and header agree on a thousand elements; six are there.
    thousand = npy_bytes(array("<f4", (1000,)))[:128] + bytes(24)
    with zipfile.ZipFile("bad-ends-early.npz", "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("x.npy", thousand)
    patch("bad-ends-early.npz", "bad-ends-early.npz", 24, 128 + 4 * 1000)


if __name__ == "__main__":
    make_safetensors()
    make_shards()
    make_npy()
    make_npz()
    make_liars()
