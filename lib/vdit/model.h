/*
 * vdit/model.h - video diffusion transformers: open a checkpoint, run the denoiser once.
 *
 * A model is read from a folder in the layout of diffusers: config.json and diffusion_pytorch_model.safetensors, whole
 * or in shards. The families, with their blocks as formulas and the names of their activations: vdit-wan(7),
 * vdit-mochi(7), vdit-hunyuan(7), vdit-cogvideox(7).
 *
 *     vdit_model_open(run, &model, "Wan2.1-T2V-1.3B/transformer");
 *     vdit_forward_init(&call);
 *     call.latents = &latents, call.timestep = &timestep, call.text = &text, call.output = &output;
 *     vdit_model_forward(run, model, &call);
 *     vdit_model_close(model);
 */
#ifndef VDIT_MODEL_H
#define VDIT_MODEL_H

#include <vdit/backend.h>
#include <vdit/file.h>
#include <vdit/meter.h>
#include <vdit/plan.h>

typedef struct vdit_model vdit_model;

/*
 * Opens a checkpoint folder, or its folder transformer/: reads the configuration, maps the weights, and compares names,
 * shapes and dtypes with what the network asks for; the first tensor that is missing, misshaped, of another dtype than
 * f32, bf16 and f16, or unknown is named, the others are counted. A model belongs to itself, as a file does.
 * Out: model. In: path. Returns: VDIT_OK, VDIT_ERR_IO, VDIT_ERR_FORMAT, VDIT_ERR_UNSUPPORTED, ...
 */
VDIT_API vdit_status vdit_model_open(vdit_run *run, vdit_model **model, const char *path);

/*
 * The same from a configuration alone, without weights: it can be asked, not run.
 * In: text[size], the JSON of a config.json; name, for messages.
 */
VDIT_API vdit_status vdit_model_configure(vdit_run *run, vdit_model **model, const char *name,
                                          const char *text, size_t size);

/*
 * The same from names: a family, one of its sizes ("tiny", "1.3B"; NULL: the constructor's defaults), and settings
 * "KEY=VALUE" that come after it, VALUE in JSON or a text. An unknown name is answered by those that there are.
 */
VDIT_API vdit_status vdit_model_preset(vdit_run *run, vdit_model **model, const char *family,
                                       const char *size, const char *const *settings, size_t count);

/*
 * Gives a model random weights in memory, in place of what it has: functions of seed, name, shape and element alone, by
 * the distributions of vdit-model(1), rounded to dtype (f32, bf16 or f16).
 */
VDIT_API vdit_status vdit_model_draw(vdit_run *run, vdit_model *model, uint64_t seed,
                                     vdit_dtype dtype);

/*
 * Writes the same weights with the configuration into a new folder, one tensor after another, so that they need no
 * memory. In: shard_size, the bytes of data from which on they are in shards of at most so many.
 * Returns: VDIT_OK, or the failure with nothing left of the folder.
 */
VDIT_API vdit_status vdit_model_make(vdit_run *run, const vdit_model *model, const char *folder,
                                     uint64_t seed, vdit_dtype dtype, size_t shard_size);

/*
 * Writes a checkpoint of the model's configuration into a new folder, one tensor after another, from the safetensors
 * file or shard index of the original repository; from NULL: of the model's own weights. In: dtype, to which weights are
 * rounded, NULL: they stay as they are; shard_size as above.
 * Returns: VDIT_OK; or VDIT_ERR_FORMAT where a tensor is missing, unknown or does not fit, or another failure, with
 * nothing left of the folder.
 */
VDIT_API vdit_status vdit_model_convert(vdit_run *run, const vdit_model *model, const char *from,
                                        const char *folder, const vdit_dtype *dtype,
                                        size_t shard_size);

/* A weight that is not finite everywhere. */
typedef struct vdit_weight_fault {
    const char *name;
    size_t nan, infinite; /* elements */
} vdit_weight_fault;

/* Reads all weights. Out: faults[count], in the run's memory. Returns: VDIT_OK, also where there are some. */
VDIT_API vdit_status vdit_model_scan(vdit_run *run, const vdit_model *model,
                                     vdit_weight_fault **faults, size_t *count);

/* Closes it; model may be NULL. */
VDIT_API void vdit_model_close(vdit_model *model);

/* Returns: "wan", "mochi", "hunyuan" or "cogvideox". */
VDIT_API const char *vdit_model_family(const vdit_model *model);

/*
 * Returns: the configuration in effect, defaults included, as the text of a config.json; lives as long as the model.
 */
VDIT_API const char *vdit_model_configuration(const vdit_model *model);

/* Returns: the open checkpoint, with its tensors; NULL if there is none. */
VDIT_API const vdit_file *vdit_model_weights(const vdit_model *model);

/* The extents of one call. Those that a family does not have are 0. */
typedef struct vdit_extents {
    size_t batch, frames, height, width; /* of the latents */
    size_t text;                         /* rows of the text embedding */
} vdit_extents;

/* Returns: the smallest extents that the network takes. */
VDIT_API vdit_extents vdit_model_smallest(const vdit_model *model);

/* What a call takes, known from the configuration: shapes of its tensors for such extents, rank 0 where there is none. */
typedef struct vdit_model_inputs {
    vdit_tensor latents, timestep, text, text_mask, pooled, guidance, output; /* data NULL */
} vdit_model_inputs;

VDIT_API vdit_status vdit_model_inputs_of(vdit_run *run, const vdit_model *model,
                                          const vdit_extents *extents, vdit_model_inputs *inputs);

/* Called with each activation in the order of execution, under the name that diffusers' module tree gives it. */
typedef vdit_status vdit_trace_fn(void *state, const char *name, const vdit_tensor *activation);

/* Called with what the meters say of one attention site; the results end with the call. */
typedef vdit_status vdit_site_meters_fn(void *state, const char *site,
                                        const vdit_meter_results *results);

/*
 * Called where a plan takes operands or a map from a source run. Out: q, k, v of the site in the source run, each may
 * be left NULL if the edit does not need it (the bits VDIT_FROM_... of needed).
 */
typedef vdit_status vdit_source_fn(void *state, const char *site, unsigned needed,
                                   const vdit_tensor **q, const vdit_tensor **k,
                                   const vdit_tensor **v);

/* What a plan did at one attention site. */
typedef struct vdit_site_edits {
    const char *site;            /* "blocks.3.attn1" */
    const char *backend;         /* who computed the edited heads */
    size_t layer, heads, edited; /* heads, and how many of them were edited */
    const vdit_edit *const
        *edits; /* [heads], NULL where a head has none; gates that were found are in them */
    /* What the call reports: masked and kept_mass where something was dropped after the softmax, dense_mass where
       something was before it; NULL otherwise. */
    const vdit_edit_report *report;
    /* Over the rows of the edited heads: entries dropped of all valid ones, the mean and the least kept mass, the
       mean dense mass; NaN where nothing was dropped at that moment. */
    double masked_fraction, kept_mass, least_kept_mass, dense_mass;
} vdit_site_edits;

/* Called with what the plan did at each site where it did something; what it points to ends with the call. */
typedef vdit_status vdit_site_edits_fn(void *state, const vdit_site_edits *did);

/* One call of the denoiser. Set it up with vdit_forward_init, then fill what is wanted. */
typedef struct vdit_forward {
    size_t size;                  /* of this struct, set by init */
    const vdit_tensor *latents;   /* [B,C,F,H,W]; CogVideoX [B,F,C,H,W] */
    const vdit_tensor *timestep;  /* [B], any number type */
    const vdit_tensor *text;      /* [B,Nt,T] */
    const vdit_tensor *text_mask; /* NULL: all valid; or [B,Nt], integers or bool, not 0 is valid */
    const vdit_tensor *pooled;    /* HunyuanVideo: [B,P] */
    const vdit_tensor *guidance;  /* HunyuanVideo with guidance_embeds: [B], the scale times 1000 */
    int without_rotary;           /* CogVideoX: 1 as if the pipeline had passed no rotary tables */
    vdit_tensor *output;          /* the shape of latents with the model's out_channels */
    vdit_dtype
        dtype; /* precision policy: f32 (set by init), bf16 or f16, with what the original keeps in f32 */
    const vdit_backend *backend; /* NULL: the reference */

    vdit_trace_fn *trace; /* NULL, or who receives the activations */
    void *trace_state;

    const vdit_plan *plan; /* NULL, or what is edited where */
    size_t step;           /* of the site (C07, C08) */
    unsigned branch;       /* VDIT_BRANCH_COND (set by init) or VDIT_BRANCH_UNCOND */
    vdit_source_fn *source;
    void *source_state;

    const char *meters; /* NULL, or meters with options, read at each site that meter_sites names */
    const char *
        meter_sites; /* NULL: all that a plan reaches; or a pattern of site names (vdit_name_matches) */
    vdit_site_meters_fn *site_meters;
    void *site_meters_state;

    vdit_site_edits_fn *site_edits; /* NULL, or who is told what the plan did */
    void *site_edits_state;

    /* NULL; or a shadow run: the noise of an honest kernel is added to the result of each operator, drawn with a
       seed (vdit-trace(5)) */
    const vdit_noise *noise;
    uint32_t noise_seed;
} vdit_forward;

/* Out: call, cleared, in f32. */
VDIT_API void vdit_forward_init(vdit_forward *call);

/* Returns: the extents of a call whose latents have five axes and whose text has three, without looking further. */
VDIT_API vdit_extents vdit_forward_extents(const vdit_model *model, const vdit_forward *call);

/*
 * Runs the denoiser once. Out: call->output. Returns: VDIT_OK or the failure, with output untouched where the call
 * itself is at fault.
 */
VDIT_API vdit_status vdit_model_forward(vdit_run *run, const vdit_model *model,
                                        const vdit_forward *call);

/* Returns: 1 if the name fits the pattern, in which '*' is any text and '?' any character. */
VDIT_API int vdit_name_matches(const char *pattern, const char *name);

/* One attention site. */
typedef struct vdit_site_info {
    const char *name; /* "blocks.3.attn1" */
    size_t layer;
    unsigned kind; /* a bit VDIT_KIND_...; 0: a plan does not reach it (pooling, refiners) */
    size_t heads, queries, keys, width;
    vdit_tokens tokens;
} vdit_site_info;

/* One activation that a trace would hold, or one weight. Its tensor has no data. */
typedef struct vdit_name_info {
    const char *name;
    vdit_tensor tensor;
} vdit_name_info;

/* What a call would do, found by running it on shapes alone. */
typedef struct vdit_model_survey {
    vdit_site_info *sites;
    size_t site_count;
    vdit_name_info *activations;
    size_t activation_count;
    vdit_name_info
        *weights; /* each once, in the order of first use; dtype is of the checkpoint, or f32 */
    size_t weight_count;
    double flops; /* multiplications and additions of linear layers, convolutions and attention */
    double attention_flops; /* of them, of QK' and PV */
    double bytes;           /* peak memory beyond the mapped checkpoint, inputs and outputs */
} vdit_model_survey;

/* Out: survey, in the run's memory. In: extents, the policy's dtype. Returns: VDIT_OK or the failure. */
VDIT_API vdit_status vdit_model_survey_of(vdit_run *run, const vdit_model *model,
                                          const vdit_extents *extents, vdit_dtype dtype,
                                          vdit_model_survey *survey);

/*
 * Out: heads, how many of all sites a plan would edit, those included whose gate depends on a map. In: survey, plan with
 * its files bound, step and branch of the call. Returns: VDIT_OK or what vdit_plan_edit says.
 */
VDIT_API vdit_status vdit_plan_reach(vdit_run *run, size_t *heads, const vdit_plan *plan,
                                     const vdit_model_survey *survey, size_t step, unsigned branch);

/* A trace file: which activations of a call are written, and what noise they may have (vdit-trace(5)). */
typedef struct vdit_trace_request {
    size_t size;                 /* of this struct, set by init */
    const char *path;            /* a safetensors file */
    const char *const *patterns; /* of names (vdit_name_matches); without any, all are written */
    size_t pattern_count;
    const vdit_noise *noise; /* NULL; or sigma is stored too: that of shadow runs with this noise */
    const char *contract;    /* whose noise it is */
    size_t shadows;          /* how many of them, 3 set by init, with seeds from 0 */
} vdit_trace_request;

/* Out: request, cleared, asking for all activations. */
VDIT_API void vdit_trace_request_init(vdit_trace_request *request, const char *path);

/*
 * Runs the denoiser once, as vdit_model_forward, and writes its activations as they come; call->trace hears them too.
 * With noise it runs again for each shadow. Out: call->output, and the file, or neither.
 * Returns: VDIT_OK; VDIT_ERR_ARGUMENT if a pattern fits no name; or the failure.
 */
VDIT_API vdit_status vdit_model_trace(vdit_run *run, const vdit_model *model,
                                      const vdit_forward *call, const vdit_trace_request *request);

/* Returns: the bytes of the activations in such a file. In: a survey of the call. */
VDIT_API double vdit_trace_bytes(const vdit_model_survey *survey,
                                 const vdit_trace_request *request);

/* A trace file as the source run of another: its activations "site/q", "site/k" and "site/v". */
typedef struct vdit_trace_source_state {
    vdit_run *run;         /* for messages */
    const vdit_file *file; /* stays open */
    const char *path;
} vdit_trace_source_state;

VDIT_API vdit_source_fn vdit_trace_source; /* state: a vdit_trace_source_state */

/*
 * Looks for NaN in what a call has made of its inputs. Out: activation, a name in the run's memory: the first in the
 * order of execution that holds NaN, NULL if none does; weight, the name of a weight of its module, or of the modules
 * around it, that does, else NULL. It runs the network again. In: model, call. Returns: VDIT_OK or the failure.
 */
VDIT_API vdit_status vdit_nan_find(vdit_run *run, const vdit_model *model, const vdit_forward *call,
                                   const char **activation, const char **weight);

/* Returns: 1 if an element is NaN. */
VDIT_API int vdit_tensor_has_nan(const vdit_tensor *t);

#endif
