"""Times torch's scaled_dot_product_attention on request, as bench_attention.c does for ours.

    python bench_torch.py N D HEADS

Prints torch's version, then a line of seconds per line "DTYPE" read from stdin. Two threads.
"""
import sys
import time

import torch

n, d, heads = map(int, sys.argv[1:])
torch.set_num_threads(2)
torch.manual_seed(1)
print(torch.__version__, flush=True)
inputs = {"f32": [torch.randn(1, heads, n, d) for _ in range(3)]}
inputs["bf16"] = [x.bfloat16() for x in inputs["f32"]]
for line in sys.stdin:
    q, k, v = inputs[line.strip()]
    start = time.perf_counter()
    with torch.no_grad():
        torch.nn.functional.scaled_dot_product_attention(q, k, v)
    print(f"{time.perf_counter() - start:.4f}", flush=True)
