dist_man_MANS += \
	%D%/vdit-attend.1 \
	%D%/vdit-backend.3 \
	%D%/vdit-check.1 \
	%D%/vdit-cogvideox.7 \
	%D%/vdit-corpus.5 \
	%D%/vdit-forward.1 \
	%D%/vdit-golden.1 \
	%D%/vdit-hunyuan.7 \
	%D%/vdit-meters.7 \
	%D%/vdit-mochi.7 \
	%D%/vdit-model.1 \
	%D%/vdit-plan.7 \
	%D%/vdit-recipe.5 \
	%D%/vdit-trace.5 \
	%D%/vdit-wan.7 \
	%D%/vdit.7 \
	%D%/vdit_attention.3 \
	%D%/vdit_edit.3 \
	%D%/vdit_file.3 \
	%D%/vdit_golden.3 \
	%D%/vdit_judge.3 \
	%D%/vdit_meter.3 \
	%D%/vdit_model.3 \
	%D%/vdit_op.3 \
	%D%/vdit_random.3 \
	%D%/vdit_run.3 \
	%D%/vdit_tensor.3
