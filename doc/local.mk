EXTRA_DIST += %D%/backends.md %D%/conformance.md %D%/numerics.md %D%/parity.md
EXTRA_DIST += \
	%D%/examples/01_attention.c \
	%D%/examples/02_file.c \
	%D%/examples/cuda_attention.cu \
	%D%/examples/flex_attention.py \
	%D%/examples/onnx_attention.py \
	%D%/examples/plugin.c \
	%D%/examples/plugin_opencl.c \
	%D%/examples/torch_attention.py \
	%D%/examples/trace_diffusers.py \
	%D%/examples/triton_attention.py
