# The core is linked whole into the library and into every unit test, so that tests reach internal
# functions and the shared library still hides them.
noinst_LTLIBRARIES += libvdit-core.la
libvdit_core_la_SOURCES = \
	%D%/attention/call.c \
	%D%/attention/compose.c \
	%D%/attention/compose.h \
	%D%/attention/edit.c \
	%D%/attention/edit_check.c \
	%D%/attention/edited.c \
	%D%/attention/edited.h \
	%D%/attention/fast.c \
	%D%/attention/head.c \
	%D%/attention/head.h \
	%D%/attention/intervene.c \
	%D%/attention/intervene.h \
	%D%/attention/last.c \
	%D%/attention/last.h \
	%D%/attention/meter.c \
	%D%/attention/meter.h \
	%D%/attention/meter_energy.c \
	%D%/attention/meter_entropy.c \
	%D%/attention/meter_kinds.h \
	%D%/attention/meter_ladder.c \
	%D%/attention/meter_ladder.h \
	%D%/attention/meter_map.c \
	%D%/attention/meter_mass.c \
	%D%/attention/meter_parse.c \
	%D%/attention/meter_rows.c \
	%D%/attention/meter_sink.c \
	%D%/attention/meter_table.c \
	%D%/attention/meter_top.c \
	%D%/attention/pattern.c \
	%D%/attention/pattern.h \
	%D%/attention/pattern_check.c \
	%D%/attention/reference.c \
	%D%/attention/part.c \
	%D%/attention/part.h \
	%D%/attention/part_exact.c \
	%D%/attention/post.c \
	%D%/attention/post.h \
	%D%/attention/refine.c \
	%D%/attention/refine.h \
	%D%/attention/rows.c \
	%D%/attention/rows.h \
	%D%/attention/sigma.c \
	%D%/attention/sigma.h \
	%D%/attention/special.c \
	%D%/attention/special.h \
	%D%/attention/stream.c \
	%D%/attention/stream.h \
	%D%/attention/tokens.c \
	%D%/attention/tokens.h \
	%D%/attention/walk.c \
	%D%/attention/walk.h \
	%D%/attention/weigh.c \
	%D%/attention/weigh.h \
	%D%/backend/backend.c \
	%D%/backend/call.c \
	%D%/backend/fast.c \
	%D%/backend/fast.h \
	%D%/backend/known.h \
	%D%/backend/plugin.c \
	%D%/base/convert.c \
	%D%/base/internal.h \
	%D%/base/parallel.c \
	%D%/base/parallel.h \
	%D%/base/philox.c \
	%D%/base/run.c \
	%D%/base/tensor.c \
	%D%/exact/accumulator.c \
	%D%/exact/accumulator.h \
	%D%/exact/elementary.c \
	%D%/exact/elementary.h \
	%D%/exact/limbs.h \
	%D%/exact/mp.c \
	%D%/exact/mp.h \
	%D%/exact/mp_constants.c \
	%D%/exact/mp_constants.h \
	%D%/exact/mp_elementary.c \
	%D%/exact/pair.h \
	%D%/exact/round.c \
	%D%/exact/round.h \
	%D%/exact/settle.c \
	%D%/exact/settle.h \
	%D%/exact/simd.h \
	%D%/file/dense.c \
	%D%/file/dense.h \
	%D%/file/file.c \
	%D%/file/index.c \
	%D%/file/internal.h \
	%D%/file/json.c \
	%D%/file/json.h \
	%D%/file/mapping.c \
	%D%/file/mapping.h \
	%D%/file/npy.c \
	%D%/file/npy.h \
	%D%/file/npy_file.c \
	%D%/file/npz_read.c \
	%D%/file/npz_write.c \
	%D%/file/open.c \
	%D%/file/pick.c \
	%D%/file/safetensors.h \
	%D%/file/safetensors_read.c \
	%D%/file/safetensors_write.c \
	%D%/file/sha256.c \
	%D%/file/sha256.h \
	%D%/file/write.c \
	%D%/file/writer.c \
	%D%/file/writer.h \
	%D%/golden/attention_rows.c \
	%D%/golden/bound.c \
	%D%/golden/bound.h \
	%D%/golden/case.c \
	%D%/golden/case.h \
	%D%/golden/case_json.c \
	%D%/golden/compute.c \
	%D%/golden/contract.c \
	%D%/golden/corpus.c \
	%D%/golden/corpus.h \
	%D%/golden/draw.c \
	%D%/golden/draw.h \
	%D%/golden/extra.c \
	%D%/golden/family.c \
	%D%/golden/generate.c \
	%D%/golden/golden.c \
	%D%/golden/judge.c \
	%D%/golden/judge.h \
	%D%/golden/judge_call.c \
	%D%/golden/judge_case.c \
	%D%/golden/judge_grade.c \
	%D%/golden/judge_guess.c \
	%D%/golden/judge_measure.c \
	%D%/golden/judge_ratio.c \
	%D%/golden/layout.c \
	%D%/golden/layout.h \
	%D%/golden/make.c \
	%D%/golden/maker.c \
	%D%/golden/maker.h \
	%D%/golden/manifest.c \
	%D%/golden/manifest.h \
	%D%/golden/manifest_write.c \
	%D%/golden/needle.c \
	%D%/golden/plain_rows.c \
	%D%/golden/recipe.c \
	%D%/golden/sides.c \
	%D%/golden/sides.h \
	%D%/golden/text.c \
	%D%/golden/text.h \
	%D%/golden/verify.c \
	%D%/golden/video.c \
	%D%/op/elementwise.c \
	%D%/op/elementwise.h \
	%D%/op/exp.c \
	%D%/op/linear.c \
	%D%/op/log.c \
	%D%/op/matmul.c \
	%D%/op/pack.c \
	%D%/op/pack.h \
	%D%/op/product.c \
	%D%/op/product.h \
	%D%/op/product_row.c \
	%D%/op/product_row.h \
	%D%/op/shape.c \
	%D%/op/shape.h
libvdit_core_la_LIBADD = libvdit-kernel.la $(JANSSON_LIBS) $(LIBZIP_LIBS) $(LIBMD_LIBS) $(OPENBLAS_LIBS)

# The kernels' bounds hold whether multiply and add are fused or not; all else is built unfused.
noinst_LTLIBRARIES += libvdit-kernel.la
libvdit_kernel_la_SOURCES = %D%/exact/kernel.c %D%/exact/kernel.h %D%/exact/kernel_body.h
libvdit_kernel_la_CFLAGS = $(AM_CFLAGS) -ffp-contract=fast

lib_LTLIBRARIES += libvdit.la
libvdit_la_SOURCES =
libvdit_la_LIBADD = libvdit-core.la
libvdit_la_LDFLAGS = -no-undefined -version-info $(VDIT_LT_VERSION)

vditincludedir = $(includedir)/vdit
vditinclude_HEADERS = \
	%D%/vdit/api.h \
	%D%/vdit/attention.h \
	%D%/vdit/edit.h \
	%D%/vdit/backend.h \
	%D%/vdit/file.h \
	%D%/vdit/golden.h \
	%D%/vdit/judge.h \
	%D%/vdit/meter.h \
	%D%/vdit/op.h \
	%D%/vdit/random.h \
	%D%/vdit/run.h \
	%D%/vdit/tensor.h
