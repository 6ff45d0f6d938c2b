EXTRA_DIST += %D%/examples/torch_attention.py
