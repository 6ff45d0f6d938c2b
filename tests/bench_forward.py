"""Times diffusers' denoiser on request, as bench_forward.c does for ours.

    python bench_forward.py DIR FRAMES HEIGHT WIDTH

Prints the versions of torch and diffusers, then a line of seconds per line of stdin. float32, two threads.
"""
import sys
import time

import diffusers
import torch

folder = sys.argv[1]
frames, height, width = map(int, sys.argv[2:])
torch.set_num_threads(2)
torch.manual_seed(1)
model = diffusers.WanTransformer3DModel.from_pretrained(folder, torch_dtype=torch.float32)
latents = torch.randn(1, model.config.in_channels, frames, height, width)
text = torch.randn(1, 512, model.config.text_dim)
print(f"{torch.__version__}, diffusers {diffusers.__version__}", flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    with torch.no_grad():
        model(latents, torch.tensor([500]), text)
    print(f"{time.perf_counter() - start:.4f}", flush=True)
