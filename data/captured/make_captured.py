#!/usr/bin/env python3
"""Make the fixtures in this folder: attention as it happens inside diffusers' own video models.

Each fixture is one call of torch.nn.functional.scaled_dot_product_attention, caught while a tiny
random configuration of a published architecture runs its forward pass on the CPU. So the inputs
have been through the model's own projections, q/k norms, rotary embedding and joint concatenation.

    python make_captured.py [FOLDER]        (default: the folder of this script)

Tensors of a fixture, dense in the layout [B, H, N, d]:
    q, k, v    what the model hands to the attention
    mask       only if the model passes one: bool, true attends, broadcast over [B, H, Nq, Nk]
    o          what torch returned, in the model's dtype
    o64        an oracle that shares no code with this library: the same attention recomputed by
               torch in binary64 from q, k, v as stored, then rounded once to the dtype of o
The metadata names the model, the module, the scale, the seed and the versions.

Made with torch 2.15.0 (CPU, AVX-512) and diffusers 0.42.1 on Python 3.11. q, k, v and o depend on
the kernels of that build, so another machine makes other, equally good fixtures.
"""
import json
import math
import os
import sys

import diffusers
import torch
from diffusers.models.embeddings import get_3d_rotary_pos_embed

TEXT = 12  # text tokens of every model here


def wan():
    """Self-attention over 3 x 4 x 5 patches, cross-attention to the text; q, k normed whole."""
    model = diffusers.WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=4,
        out_channels=4, text_dim=16, freq_dim=32, ffn_dim=32, num_layers=2, cross_attn_norm=True,
        rope_max_seq_len=32)
    inputs = dict(hidden_states=torch.randn(1, 4, 3, 8, 10), timestep=torch.tensor([500]),
                  encoder_hidden_states=torch.randn(1, TEXT, 16))
    return model, inputs


def mochi():
    """Joint attention over [vision, valid text], 60 + 7 tokens; q, k normed per head."""
    model = diffusers.MochiTransformer3DModel(
        patch_size=2, num_attention_heads=2, attention_head_dim=16, num_layers=2,
        pooled_projection_dim=16, in_channels=4, text_embed_dim=16, time_embed_dim=4,
        activation_fn="swiglu", max_sequence_length=TEXT)
    with torch.no_grad():  # it is initialised to 0, and the rotation with it to the identity
        model.pos_frequencies.copy_(0.05 * torch.randn_like(model.pos_frequencies))
    mask = torch.arange(TEXT)[None] < 7
    inputs = dict(hidden_states=torch.randn(1, 4, 3, 8, 10), timestep=torch.tensor([500.0]),
                  encoder_hidden_states=torch.randn(1, TEXT, 16), encoder_attention_mask=mask)
    return model, inputs


def hunyuan():
    """Joint attention over [vision, text] under a key mask; a text refiner under a square mask."""
    model = diffusers.HunyuanVideoTransformer3DModel(
        in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=10, num_layers=1,
        num_single_layers=1, num_refiner_layers=1, patch_size=2, patch_size_t=1,
        guidance_embeds=True, text_embed_dim=16, pooled_projection_dim=8, rope_axes_dim=(2, 4, 4))
    mask = (torch.arange(TEXT)[None] < torch.tensor([[5], [9]])).long()
    inputs = dict(hidden_states=torch.randn(2, 4, 2, 8, 10), timestep=torch.tensor([500.0, 500.0]),
                  encoder_hidden_states=torch.randn(2, TEXT, 16), encoder_attention_mask=mask,
                  pooled_projections=torch.randn(2, 8), guidance=torch.tensor([6000.0, 6000.0]))
    return model, inputs


def cogvideox():
    """Joint attention over [text, vision]: 12 + 60 tokens. q, k layer-normed per head, 3-D RoPE."""
    model = diffusers.CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=4,
        time_embed_dim=8, text_embed_dim=16, num_layers=2, sample_width=10, sample_height=8,
        sample_frames=9, patch_size=2, temporal_compression_ratio=4, max_text_seq_length=TEXT,
        use_rotary_positional_embeddings=True)
    rope = get_3d_rotary_pos_embed(16, ((0, 0), (4, 5)), (4, 5), 3)
    inputs = dict(hidden_states=torch.randn(1, 3, 4, 8, 10), timestep=torch.tensor([500]),
                  encoder_hidden_states=torch.randn(1, TEXT, 16), image_rotary_emb=rope)
    return model, inputs


# Fixture, maker of the model, dtype, module whose attention is kept, seed.
FIXTURES = [
    ("wan-self", wan, torch.float32, "blocks.1.attn1", 11),
    ("wan-cross", wan, torch.float32, "blocks.1.attn2", 11),
    ("mochi-joint", mochi, torch.float32, "transformer_blocks.0.attn1", 12),
    ("mochi-pool", mochi, torch.float32, "time_embed.pooler", 12),
    ("hunyuan-joint", hunyuan, torch.float32, "transformer_blocks.0.attn", 13),
    ("hunyuan-refiner", hunyuan, torch.float32,
     "context_embedder.token_refiner.refiner_blocks.0.attn", 13),
    ("cogvideox-joint", cogvideox, torch.float32, "transformer_blocks.1.attn1", 14),
    ("mochi-joint-bf16", mochi, torch.bfloat16, "transformer_blocks.0.attn1", 15),
    ("cogvideox-joint-f16", cogvideox, torch.float16, "transformer_blocks.1.attn1", 16),
]


def spread_norms(model):
    """Fresh q/k norms have weight 1: give every channel its own, and so the logits some spread."""
    norms = ("norm_q.", "norm_k.", "norm_added_q.", "norm_added_k.")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(norm in name for norm in norms):
                parameter.add_(0.5 * torch.randn_like(parameter))


class Catcher:
    """Stands in for scaled_dot_product_attention and keeps the calls made inside one module."""

    def __init__(self, model, path):
        self.calls, self.inside = [], False
        self.real = torch.nn.functional.scaled_dot_product_attention
        module = model.get_submodule(path)
        module.register_forward_pre_hook(lambda *_: self.set(True))
        module.register_forward_hook(lambda *_: self.set(False))

    def set(self, inside):
        self.inside = inside

    def __call__(self, query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False,
                 scale=None, **rest):
        o = self.real(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, **rest)
        if self.inside:
            assert dropout_p == 0 and not is_causal
            self.calls.append((query, key, value, attn_mask, scale, o))
        return o


def binary64(q, k, v, mask, scale):
    """The oracle: the plain formula in binary64."""
    s = (q.double() @ k.double().transpose(-1, -2)) * scale
    if mask is not None:
        s = s.masked_fill(~mask, -math.inf)
    return torch.softmax(s, -1) @ v.double()


def round_once(x, dtype):
    """Binary64 to dtype: torch's own conversion to bf16 and f16 rounds twice, by way of f32."""
    first = x.to(dtype)
    bits = first.view(torch.int32 if dtype == torch.float32 else torch.int16)
    near = torch.stack([first] + [(bits + step).view(dtype) for step in (-1, 1)])
    best = (near.double() - x).abs().nan_to_num(math.inf).argmin(0, keepdim=True)
    return near.gather(0, best)[0]


def capture(make, dtype, path, seed):
    torch.manual_seed(seed)
    model, inputs = make()
    spread_norms(model)
    if dtype != torch.float32:
        model = model.to(dtype)
    model.eval()
    for name, x in inputs.items():  # all but the timesteps
        if torch.is_tensor(x) and x.is_floating_point() and x.dim() > 1:
            inputs[name] = x.to(dtype)
    catcher = Catcher(model, path)
    torch.nn.functional.scaled_dot_product_attention = catcher
    try:
        with torch.no_grad():
            model(**inputs)
    finally:
        torch.nn.functional.scaled_dot_product_attention = catcher.real
    assert len(catcher.calls) == 1, (path, len(catcher.calls))
    return catcher.calls[0]


def save(file, tensors, metadata):
    """A safetensors file whose bytes are a function of its content alone."""
    names = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16", torch.bool: "BOOL"}
    header, data = {"__metadata__": metadata}, b""
    for name, x in tensors.items():
        raw = x.contiguous().flatten().view(torch.uint8).numpy().tobytes()
        header[name] = {"dtype": names[x.dtype], "shape": list(x.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(file, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text + data)


def write(folder, name, make, dtype, path, seed):
    q, k, v, mask, scale, o = capture(make, dtype, path, seed)
    assert all(x.dtype == dtype for x in (q, k, v, o)), name
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    o64 = round_once(binary64(q, k, v, mask, scale), dtype)
    tensors = {"q": q, "k": k, "v": v, "o": o, "o64": o64}
    if mask is not None:
        assert mask.dtype == torch.bool
        tensors["mask"] = mask
    metadata = {"op": "attention", "model": "diffusers " + make()[0].__class__.__name__,
                "module": path, "scale": "%.17g" % scale, "seed": str(seed),
                "torch": torch.__version__.split("+")[0], "diffusers": diffusers.__version__}
    save(os.path.join(folder, name + ".safetensors"), tensors, metadata)
    peak = torch.softmax((q.double() @ k.double().transpose(-1, -2)) * scale, -1).max()
    print("%-20s q %s k %s mask %s, |o - o64| <= %.3g, largest map entry %.3f" % (
        name, list(q.shape), list(k.shape), None if mask is None else list(mask.shape),
        (o.double() - o64.double()).abs().max(), peak))


def main():
    torch.set_num_threads(1)
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    for fixture in FIXTURES:
        write(folder, *fixture)


if __name__ == "__main__":
    main()
