EXTRA_DIST += %D%/backends.md %D%/conformance.md %D%/numerics.md
EXTRA_DIST += \
	%D%/examples/01_attention.c \
	%D%/examples/02_file.c \
	%D%/examples/plugin.c \
	%D%/examples/torch_attention.py
