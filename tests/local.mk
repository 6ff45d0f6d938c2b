LOG_DRIVER = env CMOCKA_MESSAGE_OUTPUT=TAP AM_TAP_AWK='$(AWK)' \
	$(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
TEST_EXTENSIONS = .sh .tap
SH_LOG_COMPILER = $(SHELL)
TAP_LOG_COMPILER = $(SHELL)
TAP_LOG_DRIVER = $(LOG_DRIVER)
AM_TESTS_ENVIRONMENT = LC_ALL=C CC='$(CC)' NM='$(NM)' \
	TEST_CFLAGS='$(AM_CFLAGS) $(CFLAGS)' builddir='$(abs_top_builddir)' \
	srcdir='$(abs_top_srcdir)'; export LC_ALL CC NM TEST_CFLAGS builddir srcdir;

TEST_LIBS = libvdit-core.la $(CMOCKA_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += %D%/test_attention_pattern %D%/test_attention_tokens
%C%_test_attention_tokens_SOURCES = %D%/test_attention_tokens.c
%C%_test_attention_tokens_LDADD = $(TEST_LIBS)
%C%_test_attention_pattern_SOURCES = %D%/test_attention_pattern.c
%C%_test_attention_pattern_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_backend
%C%_test_backend_SOURCES = %D%/test_backend.c
%C%_test_backend_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_attention_offset
%C%_test_attention_offset_SOURCES = %D%/test_attention_offset.c
%C%_test_attention_offset_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_backend_call
%C%_test_backend_call_SOURCES = %D%/test_backend_call.c
%C%_test_backend_call_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_backend_fast
%C%_test_backend_fast_SOURCES = %D%/test_backend_fast.c
%C%_test_backend_fast_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_backend_product
%C%_test_backend_product_SOURCES = %D%/test_backend_product.c
%C%_test_backend_product_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_backend_table
%C%_test_backend_table_SOURCES = %D%/test_backend_table.c
%C%_test_backend_table_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_base
%C%_test_base_SOURCES = %D%/test_base.c
%C%_test_base_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_captured
%C%_test_captured_SOURCES = %D%/test_captured.c
%C%_test_captured_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_exact_single
%C%_test_exact_single_SOURCES = %D%/test_exact_single.c
%C%_test_exact_single_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_op_errors
%C%_test_op_errors_SOURCES = %D%/test_op_errors.c
%C%_test_op_errors_LDADD = $(TEST_LIBS)

FILE_SUPPORT = %D%/file_support.c %D%/file_support.h

check_PROGRAMS += %D%/test_file_hostile
%C%_test_file_hostile_SOURCES = %D%/test_file_hostile.c $(FILE_SUPPORT)
%C%_test_file_hostile_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_file_index
%C%_test_file_index_SOURCES = %D%/test_file_index.c $(FILE_SUPPORT)
%C%_test_file_index_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_file_memory
%C%_test_file_memory_SOURCES = %D%/test_file_memory.c $(FILE_SUPPORT)
%C%_test_file_memory_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_file_npy
%C%_test_file_npy_SOURCES = %D%/test_file_npy.c $(FILE_SUPPORT)
%C%_test_file_npy_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_file_npz
%C%_test_file_npz_SOURCES = %D%/test_file_npz.c $(FILE_SUPPORT)
%C%_test_file_npz_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_file_pick
%C%_test_file_pick_SOURCES = %D%/test_file_pick.c $(FILE_SUPPORT)
%C%_test_file_pick_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_file_png
%C%_test_file_png_SOURCES = %D%/test_file_png.c
%C%_test_file_png_LDADD = $(TEST_LIBS) $(LIBPNG_LIBS)

check_PROGRAMS += %D%/test_file_safetensors
%C%_test_file_safetensors_SOURCES = %D%/test_file_safetensors.c $(FILE_SUPPORT)
%C%_test_file_safetensors_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_file_write
%C%_test_file_write_SOURCES = %D%/test_file_write.c $(FILE_SUPPORT)
%C%_test_file_write_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_golden_corpus
%C%_test_golden_corpus_SOURCES = %D%/test_golden_corpus.c $(FILE_SUPPORT)
%C%_test_golden_corpus_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_golden_family
%C%_test_golden_family_SOURCES = %D%/test_golden_family.c
%C%_test_golden_family_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_golden_layout
%C%_test_golden_layout_SOURCES = %D%/test_golden_layout.c $(FILE_SUPPORT)
%C%_test_golden_layout_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_golden_meaning
%C%_test_golden_meaning_SOURCES = %D%/test_golden_meaning.c
%C%_test_golden_meaning_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_golden_plan
%C%_test_golden_plan_SOURCES = %D%/test_golden_plan.c $(FILE_SUPPORT)
%C%_test_golden_plan_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_golden_recipe
%C%_test_golden_recipe_SOURCES = %D%/test_golden_recipe.c $(FILE_SUPPORT)
%C%_test_golden_recipe_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_judge_decision
%C%_test_judge_decision_SOURCES = %D%/test_judge_decision.c
%C%_test_judge_decision_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_judge %D%/test_judge_case %D%/test_judge_grade %D%/test_judge_kernels
%C%_test_judge_SOURCES = %D%/test_judge.c
%C%_test_judge_LDADD = $(TEST_LIBS)
%C%_test_judge_case_SOURCES = %D%/test_judge_case.c %D%/emulator.c %D%/emulator.h
%C%_test_judge_case_LDADD = $(TEST_LIBS)
%C%_test_judge_grade_SOURCES = %D%/test_judge_grade.c %D%/emulator.c %D%/emulator.h
%C%_test_judge_grade_LDADD = $(TEST_LIBS)
%C%_test_judge_kernels_SOURCES = %D%/test_judge_kernels.c %D%/emulator.c %D%/emulator.h
%C%_test_judge_kernels_LDADD = $(TEST_LIBS)

TOY_MODEL = %D%/toy_model.c %D%/toy_model.h $(FILE_SUPPORT)

check_PROGRAMS += %D%/test_model_site
%C%_test_model_site_SOURCES = %D%/test_model_site.c $(TOY_MODEL)
%C%_test_model_site_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_judge_trace
%C%_test_judge_trace_SOURCES = %D%/test_judge_trace.c $(TOY_MODEL)
%C%_test_judge_trace_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_trace
%C%_test_trace_SOURCES = %D%/test_trace.c $(TOY_MODEL)
%C%_test_trace_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_model_config
%C%_test_model_config_SOURCES = %D%/test_model_config.c
%C%_test_model_config_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_convert_mochi
%C%_test_convert_mochi_SOURCES = %D%/test_convert_mochi.c $(FILE_SUPPORT)
%C%_test_convert_mochi_LDADD = $(TEST_LIBS)

DENOISER = %D%/denoiser.c %D%/denoiser.h

check_PROGRAMS += \
	%D%/test_model_block \
	%D%/test_model_cogvideox \
	%D%/test_model_cogvideox_place \
	%D%/test_model_hunyuan \
	%D%/test_model_hunyuan_text \
	%D%/test_model_memory
%C%_test_model_block_SOURCES = %D%/test_model_block.c $(DENOISER)
%C%_test_model_block_LDADD = $(TEST_LIBS) -lm
%C%_test_model_cogvideox_SOURCES = %D%/test_model_cogvideox.c $(DENOISER)
%C%_test_model_cogvideox_LDADD = $(TEST_LIBS) -lm
%C%_test_model_cogvideox_place_SOURCES = %D%/test_model_cogvideox_place.c $(DENOISER)
%C%_test_model_cogvideox_place_LDADD = $(TEST_LIBS) -lm
%C%_test_model_hunyuan_SOURCES = %D%/test_model_hunyuan.c $(DENOISER)
%C%_test_model_hunyuan_LDADD = $(TEST_LIBS) -lm
%C%_test_model_hunyuan_text_SOURCES = %D%/test_model_hunyuan_text.c $(DENOISER)
%C%_test_model_hunyuan_text_LDADD = $(TEST_LIBS) -lm
%C%_test_model_memory_SOURCES = %D%/test_model_memory.c $(DENOISER)
%C%_test_model_memory_LDADD = $(TEST_LIBS) -lm

check_PROGRAMS += %D%/test_model_mochi
%C%_test_model_mochi_SOURCES = %D%/test_model_mochi.c $(DENOISER)
%C%_test_model_mochi_LDADD = $(TEST_LIBS) -lm

check_PROGRAMS += %D%/test_model_wan
%C%_test_model_wan_SOURCES = %D%/test_model_wan.c $(DENOISER)
%C%_test_model_wan_LDADD = $(TEST_LIBS) -lm

check_PROGRAMS += %D%/test_model_convert %D%/test_model_make %D%/test_model_open
%C%_test_model_convert_SOURCES = %D%/test_model_convert.c $(FILE_SUPPORT)
%C%_test_model_convert_LDADD = $(TEST_LIBS)
%C%_test_model_make_SOURCES = %D%/test_model_make.c $(FILE_SUPPORT)
%C%_test_model_make_LDADD = $(TEST_LIBS)
%C%_test_model_open_SOURCES = %D%/test_model_open.c $(FILE_SUPPORT)
%C%_test_model_open_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_model_original
%C%_test_model_original_SOURCES = %D%/test_model_original.c $(FILE_SUPPORT)
%C%_test_model_original_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_model_survey
%C%_test_model_survey_SOURCES = %D%/test_model_survey.c
%C%_test_model_survey_LDADD = $(TEST_LIBS)

check_PROGRAMS += %D%/test_plan %D%/test_plan_errors %D%/test_plan_text
%C%_test_plan_errors_SOURCES = %D%/test_plan_errors.c
%C%_test_plan_errors_LDADD = $(TEST_LIBS)
%C%_test_plan_SOURCES = %D%/test_plan.c
%C%_test_plan_LDADD = $(TEST_LIBS)
%C%_test_plan_text_SOURCES = %D%/test_plan_text.c
%C%_test_plan_text_LDADD = $(TEST_LIBS)
endif

# Honest and broken kernels, as one plugin.
check_LTLIBRARIES += %D%/mutants.la
%C%_mutants_la_SOURCES = \
	%D%/mutants.h \
	%D%/mutants_edits.c \
	%D%/mutants_faults.c \
	%D%/mutants_kernel.c \
	%D%/mutants_plugin.c \
	%D%/mutants_softmax.c \
	%D%/mutants_stored.c \
	%D%/mutants_table.c
%C%_mutants_la_LIBADD = libvdit.la
%C%_mutants_la_LDFLAGS = -module -avoid-version -no-undefined -rpath /nowhere

# The fuzz targets, fed with their seeds; make check-fuzz feeds them with more.
FUZZ_REPLAY = %D%/fuzz.c %D%/fuzz.h %D%/fuzz_replay.c
check_PROGRAMS += %D%/fuzz_config %D%/fuzz_json %D%/fuzz_npy %D%/fuzz_npz %D%/fuzz_plan \
	%D%/fuzz_safetensors
%C%_fuzz_config_SOURCES = %D%/fuzz_config.c %D%/fuzz.h %D%/fuzz_replay.c
%C%_fuzz_config_LDADD = libvdit-core.la
%C%_fuzz_json_SOURCES = %D%/fuzz_json.c $(FUZZ_REPLAY)
%C%_fuzz_json_LDADD = libvdit-core.la
%C%_fuzz_npy_SOURCES = %D%/fuzz_npy.c $(FUZZ_REPLAY)
%C%_fuzz_npy_LDADD = libvdit-core.la
%C%_fuzz_npz_SOURCES = %D%/fuzz_npz.c $(FUZZ_REPLAY)
%C%_fuzz_npz_LDADD = libvdit-core.la
%C%_fuzz_plan_SOURCES = %D%/fuzz_plan.c %D%/fuzz.h %D%/fuzz_replay.c
%C%_fuzz_plan_LDADD = libvdit-core.la
%C%_fuzz_safetensors_SOURCES = %D%/fuzz_safetensors.c $(FUZZ_REPLAY)
%C%_fuzz_safetensors_LDADD = libvdit-core.la
EXTRA_DIST += %D%/exact_attention.py %D%/cuda_on_threads.cpp %D%/plugin_broken.c %D%/plugin_odd.c
EXTRA_DIST += %D%/files %D%/fuzz-seeds %D%/fuzz.sh

if HAVE_MPFR
ORACLE = %D%/oracle.c %D%/oracle.h
ORACLE_LIBS = $(TEST_LIBS) -lmpfr -lgmp
SCENE = $(ORACLE) %D%/attention_oracle.c %D%/attention_oracle.h %D%/attention_scene.c \
	%D%/attention_scene.h

WIDENING = %D%/widening.c %D%/widening.h

# What tests put between the reference and its stages.
STAGES = %D%/attention_stages.c %D%/attention_stages.h
STAGES_WRAP = -Wl,--wrap=vdit_kernel_f64_at -Wl,--wrap=vdit_kernel_f32_at \
	-Wl,--wrap=vdit_rows_finish -Wl,--wrap=vdit_rows_map -Wl,--wrap=vdit_sigma_run \
	-Wl,--wrap=vdit_refine_finish -Wl,--wrap=vdit_settle -Wl,--wrap=vdit_last_load

check_PROGRAMS += %D%/test_attention
%C%_test_attention_SOURCES = %D%/test_attention.c $(SCENE)
%C%_test_attention_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_edit
%C%_test_edit_SOURCES = %D%/test_edit.c %D%/edit_oracle.c %D%/edit_oracle.h %D%/edit_scene.c \
	%D%/edit_scene.h $(SCENE)
%C%_test_edit_LDADD = $(ORACLE_LIBS)
%C%_test_edit_LDFLAGS = -Wl,--wrap=vdit_settle -Wl,--wrap=vdit_refine_sums

check_PROGRAMS += %D%/test_edit_report
%C%_test_edit_report_SOURCES = %D%/test_edit_report.c %D%/edit_oracle.c %D%/edit_oracle.h \
	%D%/edit_scene.c %D%/edit_scene.h $(SCENE)
%C%_test_edit_report_LDADD = $(ORACLE_LIBS) -lm
%C%_test_edit_report_LDFLAGS = -Wl,--wrap=vdit_settle -Wl,--wrap=vdit_refine_sums

check_PROGRAMS += %D%/test_edit_noise
%C%_test_edit_noise_SOURCES = %D%/test_edit_noise.c $(SCENE)
%C%_test_edit_noise_LDADD = $(ORACLE_LIBS) -lm

check_PROGRAMS += %D%/test_attention_bounds
%C%_test_attention_bounds_SOURCES = %D%/test_attention_bounds.c $(STAGES) $(SCENE)
%C%_test_attention_bounds_LDFLAGS = $(STAGES_WRAP)
%C%_test_attention_bounds_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_attention_errors
%C%_test_attention_errors_SOURCES = %D%/test_attention_errors.c $(SCENE)
%C%_test_attention_errors_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_attention_fast
%C%_test_attention_fast_SOURCES = %D%/test_attention_fast.c $(STAGES) $(SCENE)
%C%_test_attention_fast_LDFLAGS = $(STAGES_WRAP)
%C%_test_attention_fast_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_attention_hard
%C%_test_attention_hard_SOURCES = %D%/test_attention_hard.c $(SCENE)
%C%_test_attention_hard_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_attention_memory
%C%_test_attention_memory_SOURCES = %D%/test_attention_memory.c $(STAGES) $(SCENE)
%C%_test_attention_memory_LDFLAGS = $(STAGES_WRAP)
%C%_test_attention_memory_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_attention_order
%C%_test_attention_order_SOURCES = %D%/test_attention_order.c %D%/attention_brute.c \
	%D%/attention_brute.h $(WIDENING) $(SCENE)
%C%_test_attention_order_LDFLAGS = -Wl,--wrap=vdit_stream_bound -Wl,--wrap=vdit_walk_entry \
	-Wl,--wrap=vdit_walk_tile
%C%_test_attention_order_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_attention_sigma
%C%_test_attention_sigma_SOURCES = %D%/test_attention_sigma.c $(SCENE)
%C%_test_attention_sigma_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_attention_special
%C%_test_attention_special_SOURCES = %D%/test_attention_special.c $(SCENE)
%C%_test_attention_special_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_attention_stages
%C%_test_attention_stages_SOURCES = %D%/test_attention_stages.c $(STAGES) $(SCENE)
%C%_test_attention_stages_LDFLAGS = $(STAGES_WRAP)
%C%_test_attention_stages_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_attention_ties
%C%_test_attention_ties_SOURCES = %D%/test_attention_ties.c $(SCENE)
%C%_test_attention_ties_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_attention_weigh
%C%_test_attention_weigh_SOURCES = %D%/test_attention_weigh.c $(ORACLE)
%C%_test_attention_weigh_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_exact_accumulator
%C%_test_exact_accumulator_SOURCES = %D%/test_exact_accumulator.c $(ORACLE)
%C%_test_exact_accumulator_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_exact_kernel
%C%_test_exact_kernel_SOURCES = %D%/test_exact_kernel.c $(ORACLE)
%C%_test_exact_kernel_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_exact_mp
%C%_test_exact_mp_SOURCES = %D%/test_exact_mp.c $(ORACLE)
%C%_test_exact_mp_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_exact_mp_functions
%C%_test_exact_mp_functions_SOURCES = %D%/test_exact_mp_functions.c $(ORACLE)
%C%_test_exact_mp_functions_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_exact_settle
%C%_test_exact_settle_SOURCES = %D%/test_exact_settle.c $(ORACLE)
%C%_test_exact_settle_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_exact_draw
%C%_test_exact_draw_SOURCES = %D%/test_exact_draw.c $(ORACLE)
%C%_test_exact_draw_LDADD = $(ORACLE_LIBS)

METER = %D%/meter_oracle.c %D%/meter_oracle.h

check_PROGRAMS += %D%/test_meter
%C%_test_meter_SOURCES = %D%/test_meter.c $(METER) $(SCENE)
%C%_test_meter_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_meter_edits
%C%_test_meter_edits_SOURCES = %D%/test_meter_edits.c $(METER) $(SCENE)
%C%_test_meter_edits_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_meter_energy
%C%_test_meter_energy_SOURCES = %D%/test_meter_energy.c $(METER) $(SCENE)
%C%_test_meter_energy_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_meter_keys
%C%_test_meter_keys_SOURCES = %D%/test_meter_keys.c $(METER) $(SCENE)
%C%_test_meter_keys_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_meter_memory
%C%_test_meter_memory_SOURCES = %D%/test_meter_memory.c $(SCENE)
%C%_test_meter_memory_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_meter_stages
%C%_test_meter_stages_SOURCES = %D%/test_meter_stages.c $(METER) $(SCENE)
%C%_test_meter_stages_LDFLAGS = -Wl,--wrap=vdit_stream_bound -Wl,--wrap=vdit_refine_bound \
	-Wl,--wrap=vdit_last_load -Wl,--wrap=vdit_settle -Wl,--wrap=vdit_meter_settle
%C%_test_meter_stages_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_meter_order
%C%_test_meter_order_SOURCES = %D%/test_meter_order.c %D%/attention_brute.c \
	%D%/attention_brute.h $(METER) $(SCENE)
%C%_test_meter_order_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_meter_place
%C%_test_meter_place_SOURCES = %D%/test_meter_place.c $(WIDENING) $(METER) $(SCENE)
%C%_test_meter_place_LDFLAGS = -Wl,--wrap=vdit_stream_bound
%C%_test_meter_place_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_meter_similarity
%C%_test_meter_similarity_SOURCES = %D%/test_meter_similarity.c $(WIDENING) $(METER) \
	$(SCENE)
%C%_test_meter_similarity_LDFLAGS = -Wl,--wrap=vdit_stream_bound
%C%_test_meter_similarity_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_plan_gates
%C%_test_plan_gates_SOURCES = %D%/test_plan_gates.c $(SCENE)
%C%_test_plan_gates_LDADD = $(ORACLE_LIBS)

OPERANDS = $(ORACLE) %D%/operands.c %D%/operands.h
NORM = $(OPERANDS) %D%/norm_oracle.c %D%/norm_oracle.h

check_PROGRAMS += %D%/test_op_blend
%C%_test_op_blend_SOURCES = %D%/test_op_blend.c $(OPERANDS)
%C%_test_op_blend_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_op_conv
%C%_test_op_conv_SOURCES = %D%/test_op_conv.c $(OPERANDS)
%C%_test_op_conv_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_op_masked_mean
%C%_test_op_masked_mean_SOURCES = %D%/test_op_masked_mean.c $(OPERANDS)
%C%_test_op_masked_mean_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_op_norm
%C%_test_op_norm_SOURCES = %D%/test_op_norm.c $(NORM)
%C%_test_op_norm_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_op_norm_stages
%C%_test_op_norm_stages_SOURCES = %D%/test_op_norm_stages.c $(NORM)
%C%_test_op_norm_stages_LDFLAGS = -Wl,--wrap=vdit_norm_estimate_set -Wl,--wrap=vdit_settle
%C%_test_op_norm_stages_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_op_linear
%C%_test_op_linear_SOURCES = %D%/test_op_linear.c $(OPERANDS)
%C%_test_op_linear_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_op_linear_values
%C%_test_op_linear_values_SOURCES = %D%/test_op_linear_values.c $(OPERANDS)
%C%_test_op_linear_values_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_op_matmul
%C%_test_op_matmul_SOURCES = %D%/test_op_matmul.c $(OPERANDS)
%C%_test_op_matmul_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_op_activate
%C%_test_op_activate_SOURCES = %D%/test_op_activate.c %D%/activation_oracle.c \
	%D%/activation_oracle.h $(OPERANDS)
%C%_test_op_activate_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_op_elementary
%C%_test_op_elementary_SOURCES = %D%/test_op_elementary.c $(OPERANDS)
%C%_test_op_elementary_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_op_rotary_table
%C%_test_op_rotary_table_SOURCES = %D%/test_op_rotary_table.c $(OPERANDS)
%C%_test_op_rotary_table_LDADD = $(ORACLE_LIBS)

check_PROGRAMS += %D%/test_op_sinusoid
%C%_test_op_sinusoid_SOURCES = %D%/test_op_sinusoid.c $(OPERANDS)
%C%_test_op_sinusoid_LDADD = $(ORACLE_LIBS)
endif

# What the shell tests make, change and compare tensor files with.
noinst_PROGRAMS += %D%/tensors
%C%_tensors_SOURCES = %D%/tensors.c
%C%_tensors_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/bin
%C%_tensors_LDADD = $(PROGRAM_LIBS)

# What tests/parity.sh runs: networks against the fixtures of data/parity.
noinst_PROGRAMS += %D%/parity
%C%_parity_SOURCES = %D%/parity.c
%C%_parity_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/bin
%C%_parity_LDADD = $(PROGRAM_LIBS) $(JANSSON_LIBS)

dist_check_SCRIPTS += \
	%D%/adapters.tap \
	%D%/attend.sh \
	%D%/check.sh \
	%D%/demo.sh \
	%D%/examples.sh \
	%D%/explain.sh \
	%D%/exports.sh \
	%D%/format.sh \
	%D%/forward.sh \
	%D%/golden.sh \
	%D%/headers.sh \
	%D%/house.sh \
	%D%/manlint.sh \
	%D%/model.sh \
	%D%/mutants.sh \
	%D%/options.sh \
	%D%/parity.sh \
	%D%/plan.sh \
	%D%/plugin.sh \
	%D%/relations.sh \
	%D%/snippets.sh
EXTRA_DIST += %D%/bench.sh %D%/bench_forward.py %D%/bench_torch.py %D%/cross.sh %D%/expect.sh \
	%D%/layers.awk %D%/matrix.sh \
	%D%/score.sh %D%/totals.awk

# Beyond make check: slow, or in need of tools that few machines have. HACKING.md tells about each.
RUN_SCRIPT = $(AM_TESTS_ENVIRONMENT) MAKE='$(MAKE)' $(SHELL) $(top_srcdir)
.PHONY: bench benches check-cppcheck check-cross check-elementary check-fuzz check-matrix \
	check-mutants check-valgrind
check-matrix:
	$(RUN_SCRIPT)/%D%/matrix.sh
check-cross:
	$(RUN_SCRIPT)/%D%/cross.sh
check-mutants: all $(check_LTLIBRARIES)
	$(RUN_SCRIPT)/%D%/score.sh
check-fuzz:
	$(RUN_SCRIPT)/%D%/fuzz.sh

check-elementary: %D%/exhaust_activation %D%/exhaust_elementary
	%D%/exhaust_activation
	%D%/exhaust_elementary
check-valgrind: $(check_PROGRAMS)
	$(MAKE) check TESTS='$(VALGRIND_TESTS)' LOG_COMPILER='$(LIBTOOL) --mode=execute \
		valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite'
check-cppcheck:
	cd $(top_srcdir) && cppcheck -q -j2 --std=c99 --enable=warning,portability,performance \
		--suppress=CastIntegerToAddressAtReturn --error-exitcode=1 -D__GNUC__=12 \
		-Ilib lib bin tests

# What valgrind runs in a minute or two; the numbers are none of its business.
VALGRIND_TESTS = \
	%D%/test_attention_tokens \
	%D%/test_backend \
	%D%/test_backend_call \
	%D%/test_base \
	%D%/test_exact_accumulator \
	%D%/test_file_index \
	%D%/test_file_memory \
	%D%/test_file_npy \
	%D%/test_file_npz \
	%D%/test_file_pick \
	%D%/test_file_safetensors \
	%D%/test_file_write \
	%D%/test_golden_family \
	%D%/test_golden_recipe \
	%D%/test_judge_trace \
	%D%/test_model_config \
	%D%/test_model_site \
	%D%/test_model_open \
	%D%/test_plan \
	%D%/test_plan_errors \
	%D%/test_op_errors \
	%D%/test_op_linear \
	%D%/test_trace

BENCHES = %D%/bench_attention %D%/bench_edit %D%/bench_forward %D%/bench_linear \
	%D%/bench_meter %D%/bench_operators %D%/bench_peak
EXTRA_PROGRAMS += $(BENCHES) %D%/exhaust_activation %D%/exhaust_elementary
CLOSENESS = %D%/closeness.c %D%/closeness.h
%C%_exhaust_activation_SOURCES = %D%/exhaust_activation.c $(CLOSENESS)
%C%_exhaust_activation_LDADD = libvdit-core.la
%C%_exhaust_elementary_SOURCES = %D%/exhaust_elementary.c $(CLOSENESS)
%C%_exhaust_elementary_LDADD = libvdit-core.la
BENCH_SOURCES = %D%/bench.c %D%/bench.h
%C%_bench_attention_SOURCES = %D%/bench_attention.c $(BENCH_SOURCES)
%C%_bench_attention_LDADD = libvdit.la
%C%_bench_edit_SOURCES = %D%/bench_edit.c $(BENCH_SOURCES)
%C%_bench_edit_LDADD = libvdit.la
%C%_bench_forward_SOURCES = %D%/bench_forward.c $(BENCH_SOURCES)
%C%_bench_forward_LDADD = libvdit.la
%C%_bench_linear_SOURCES = %D%/bench_linear.c $(BENCH_SOURCES)
%C%_bench_linear_LDADD = libvdit.la $(OPENBLAS_LIBS)
%C%_bench_meter_SOURCES = %D%/bench_meter.c $(BENCH_SOURCES)
%C%_bench_meter_LDADD = libvdit.la
%C%_bench_operators_SOURCES = %D%/bench_operators.c $(BENCH_SOURCES)
%C%_bench_operators_LDADD = libvdit.la $(OPENBLAS_LIBS)
%C%_bench_peak_SOURCES = %D%/bench_peak.c $(BENCH_SOURCES)
%C%_bench_peak_LDADD = libvdit.la
CLEANFILES += $(BENCHES) %D%/exhaust_activation %D%/exhaust_elementary
benches: $(BENCHES)
bench: all benches
	$(RUN_SCRIPT)/%D%/bench.sh
