CAPTURED = \
	%D%/captured/cogvideox-joint-f16.safetensors \
	%D%/captured/cogvideox-joint.safetensors \
	%D%/captured/hunyuan-joint.safetensors \
	%D%/captured/hunyuan-refiner.safetensors \
	%D%/captured/mochi-joint-bf16.safetensors \
	%D%/captured/mochi-joint.safetensors \
	%D%/captured/mochi-pool.safetensors \
	%D%/captured/wan-cross.safetensors \
	%D%/captured/wan-self.safetensors
EXTRA_DIST += %D%/captured/make_captured.py $(CAPTURED)
