/*
 * model/net.h - a network while it runs: so that a block reads like the paper, line by line.
 *
 * Operators take and return tensors by value; memory is the run's, and a scope per block frees it. After a failure
 * nothing is computed any more, and the status is asked once, at the end. Modules have the names of the original: a
 * module operator finds its weights under the current name and records its result there. In a dry run tensors have
 * shapes and no data: the same code tells weights, activations, sites, memory and operations.
 *
 *     at = vdit_net_enter(net, "ffn");
 *     x = vdit_net_linear(net, "net.0.proj", x, inner, 1);
 *     x = vdit_net_linear(net, "net.2", vdit_net_activate(net, x, VDIT_GELU_TANH), width, 1);
 *     vdit_net_leave(net, at);
 */
#ifndef VDIT_MODEL_NET_H
#define VDIT_MODEL_NET_H

#include <vdit/file.h>
#include <vdit/model.h>

#define VDIT_NET_NAME_MAX 256

/* Who watches a run; each may be NULL. Weights are told at each use. */
typedef struct vdit_net_watch {
    void *state;
    void (*weight)(void *state, const char *name, const vdit_tensor *weight);
    vdit_status (*activation)(void *state, const char *name, const vdit_tensor *activation);
    void (*site)(void *state, const vdit_site_info *site);
} vdit_net_watch;

/* The heads of the random control of a plan (C32), in the order of the sites: a first run marks those without a sink, of
   them some are drawn, and the second run skips these. */
typedef struct vdit_control {
    unsigned char *heads; /* [count] */
    size_t count, at;     /* heads of all sites that a plan reaches, and of those behind */
    int looks;            /* 1: the first run */
    size_t drawn, seed;   /* what the plan asks for; drawn 0: not asked yet */
} vdit_control;

typedef struct vdit_net {
    vdit_run *run;
    const vdit_file *weights;                /* NULL: a dry run of a configuration alone */
    int (*keeps_single)(const char *weight); /* the family's */
    const vdit_forward *call;
    const vdit_backend *backend;
    vdit_dtype policy; /* of the call */
    vdit_dtype dtype;  /* of what operators return: policy, or f32 where the original says so */
    int dry;
    vdit_net_watch watch;
    char name[VDIT_NET_NAME_MAX]; /* of the module that runs */
    size_t name_length;
    double flops, attention_flops;
    double total;          /* flops of the whole call, for the progress; 0: not told */
    size_t bytes, peak;    /* of a dry run */
    vdit_control *control; /* NULL: the plan has none */
    uint32_t operators;    /* that noise was added to */
} vdit_net;

/* Enters a module, by a printf format. Returns: what leaves it. */
size_t vdit_net_enter(vdit_net *net, const char *format, ...) VDIT_PRINTF(2, 3);
void vdit_net_leave(vdit_net *net, size_t at);

/* Adds text to the name as it stands, until the module is left. */
void vdit_net_suffix(vdit_net *net, const char *text);

/* A scope of memory. keep[count]: results that outlive it; they are moved. */
size_t vdit_net_mark(const vdit_net *net);
void vdit_net_release(vdit_net *net, size_t mark, vdit_tensor *const *keep, size_t count);

/* Records x as the output of the current module, or of one inside it; index >= 0: one of several outputs,
   "name[index]". */
void vdit_net_record(vdit_net *net, const vdit_tensor *x);
void vdit_net_record_as(vdit_net *net, const char *name, int index, const vdit_tensor *x);

/* Tensors: dense and not cleared; like x in another dtype; x rounded to dtype (x itself if it is so). */
vdit_tensor vdit_net_new(vdit_net *net, vdit_dtype dtype, int rank, const size_t *shape);
vdit_tensor vdit_net_like(vdit_net *net, vdit_dtype dtype, const vdit_tensor *x);
vdit_tensor vdit_net_cast(vdit_net *net, vdit_dtype dtype, vdit_tensor x);

/* Views: count elements of an axis; an axis of parts * n as [parts, n]; two neighbouring axes as one (x dense). */
vdit_tensor vdit_net_slice(const vdit_tensor *x, int axis, size_t first, size_t count);
vdit_tensor vdit_net_split(const vdit_tensor *x, int axis, size_t parts);
vdit_tensor vdit_net_merge(const vdit_tensor *x, int axis);

/* Returns: [B,N,H d] as [B,H,N,d]. A view. */
vdit_tensor vdit_net_heads(const vdit_tensor *x, size_t heads);

/* Out: chunk[count], equal parts of the last axis. Views. */
void vdit_net_chunk(vdit_tensor *chunk, size_t count, const vdit_tensor *x);

/* Returns: x and y one after the other along an axis. A copy. */
vdit_tensor vdit_net_join(vdit_net *net, const vdit_tensor *x, const vdit_tensor *y, int axis);

/* Copies x into a view of the same shape, rounding to its dtype. */
void vdit_net_copy(vdit_net *net, vdit_tensor into, const vdit_tensor *x);

/* Sets the elements of x along an axis to 0, from the first on. */
void vdit_net_clear(vdit_net *net, const vdit_tensor *x, int axis, size_t first);

/*
 * A weight of the current module. Returns: the checkpoint's tensor, rounded to the policy's dtype if that is narrower
 * and the original does not keep it in f32.
 */
vdit_tensor vdit_net_weight(vdit_net *net, const char *name, int rank, const size_t *shape);

/* Modules: weights under name, result recorded under name. */
vdit_tensor vdit_net_linear(vdit_net *net, const char *name, vdit_tensor x, size_t outputs,
                            int with_bias);
/* x [B,C,X...] -> tokens [B,X'...,outputs], kernel = stride = patch[axes]; a patch embedding. */
vdit_tensor vdit_net_patches(vdit_net *net, const char *name, vdit_tensor x, size_t outputs,
                             const size_t *patch, int axes, int with_bias);
/* Norms of the last axis; affine: weight, and for the layer norm bias. name NULL: neither weights nor a record. */
vdit_tensor vdit_net_layer_norm(vdit_net *net, const char *name, vdit_tensor x, int affine,
                                double eps);
vdit_tensor vdit_net_rms_norm(vdit_net *net, const char *name, vdit_tensor x, int affine,
                              double eps);

/* Operators without weights. */
vdit_tensor vdit_net_activate(vdit_net *net, vdit_tensor x, vdit_activation f);
vdit_tensor vdit_net_activate_gated(vdit_net *net, vdit_tensor x, vdit_activation f);
vdit_tensor vdit_net_add(vdit_net *net, vdit_tensor x, vdit_tensor z);
vdit_tensor vdit_net_modulate(vdit_net *net, vdit_tensor x, vdit_tensor scale,
                              const vdit_tensor *shift);
vdit_tensor vdit_net_gated_add(vdit_net *net, vdit_tensor x, vdit_tensor gate, vdit_tensor z);
vdit_tensor vdit_net_rotary(vdit_net *net, vdit_tensor x, vdit_tensor cosine, vdit_tensor sine);
vdit_tensor vdit_net_masked_mean(vdit_net *net, vdit_tensor x, const vdit_tensor *mask,
                                 size_t least);
/* Returns: [B, width] in f32, cosines first (t [B]). */
vdit_tensor vdit_net_sinusoid(vdit_net *net, vdit_tensor t, size_t width);
/* Out: cosine and sine [N, d / 2] in f32. In: position [N, axes], f64 (data NULL in a dry run). */
void vdit_net_rotary_table(vdit_net *net, vdit_tensor *cosine, vdit_tensor *sine,
                           const vdit_tensor *position, const size_t *widths, double theta);
/* Out: cosine and sine [H, N, d / 2] in f32. In: position [N, axes], f64; frequency [axes, H, d / 2]. */
void vdit_net_rotary_learned(vdit_net *net, vdit_tensor *cosine, vdit_tensor *sine,
                             const vdit_tensor *position, const vdit_tensor *frequency);

/*
 * In a shadow run (call->noise) adds noise to y, an operator's result, as an honest kernel of a sum of so many terms
 * commits it; otherwise does nothing.
 */
void vdit_net_perturb(vdit_net *net, const vdit_tensor *y, size_t terms);

/* In a shadow run: t, what angles are computed from, becomes an f64 copy that is off by so many roundings of f32. */
void vdit_net_jitter(vdit_net *net, vdit_tensor *t, double roundings);

/* In a shadow run: the reference's attention, with noise of its own sigma. */
vdit_status vdit_net_attend_noisily(vdit_net *net, const vdit_attention *call);

/* Tells how far the call is. */
void vdit_net_progress(vdit_net *net);

/* One attention site: its name is the current module's. */
typedef struct vdit_net_attention {
    vdit_tensor q, k, v;             /* [B,H,N,d] */
    const vdit_tensor *mask;         /* as in vdit_attention */
    const vdit_tensor *key_length;   /* i64 [B] */
    const vdit_tensor *query_length; /* NULL, or i64 [B]: the result of later rows is 0 */
    size_t layer;
    unsigned kind; /* VDIT_KIND_...; 0: a plan does not reach it */
    vdit_tokens tokens;
} vdit_net_attention;

/*
 * Attention with what plan, meters and trace say of this site; the trace holds its operands and result as "site/q",
 * "site/k", "site/v" ([B,H,N,d]) and "site/o". Returns: [B,N,H dv].
 */
vdit_tensor vdit_net_attend(vdit_net *net, const vdit_net_attention *a);

#endif
