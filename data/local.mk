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

# What tests/parity.sh compares networks with.
EXTRA_DIST += %D%/parity

recipesdir = $(pkgdatadir)/recipes
dist_recipes_DATA = \
	%D%/recipes/attention.json \
	%D%/recipes/cross.json \
	%D%/recipes/edits.json \
	%D%/recipes/meters.json \
	%D%/recipes/mutants.json \
	%D%/recipes/networks.json \
	%D%/recipes/offset.json \
	%D%/recipes/operators.json \
	%D%/recipes/quick.json \
	%D%/recipes/video.json
manifestsdir = $(pkgdatadir)/manifests
dist_manifests_DATA = \
	%D%/manifests/attention.json \
	%D%/manifests/cross.json \
	%D%/manifests/edits.json \
	%D%/manifests/meters.json \
	%D%/manifests/mutants.json \
	%D%/manifests/networks.json \
	%D%/manifests/offset.json \
	%D%/manifests/operators.json \
	%D%/manifests/quick.json \
	%D%/manifests/video.json

# The corpus of the recipe quick: two hundred small files, known by their manifest.
EXTRA_DIST += %D%/quick
install-data-local:
	$(MKDIR_P) "$(DESTDIR)$(pkgdatadir)/quick"
	$(INSTALL_DATA) $(srcdir)/%D%/quick/* "$(DESTDIR)$(pkgdatadir)/quick"
uninstall-local:
	rm -rf "$(DESTDIR)$(pkgdatadir)/quick"
