/* model/hunyuan.h - HunyuanVideo: what its conditions and its blocks share. */
#ifndef VDIT_MODEL_HUNYUAN_H
#define VDIT_MODEL_HUNYUAN_H

#include "model/family.h"

/* The keys of a configuration that change what is computed. */
typedef struct vdit_hunyuan {
    size_t heads, head_width, width; /* h, d and D = h d */
    size_t channels, channels_out;
    size_t doubles, singles, refiners; /* numbers of blocks */
    size_t inner;                      /* of a block's feed-forward modules */
    size_t patch[3];                   /* frames, rows, columns */
    size_t text_width, pooled_width;
    size_t axes[3]; /* how rotary embedding divides the width of a head */
    double theta;
    int guidance;
} vdit_hunyuan;

/* What all blocks of a run share. */
typedef struct vdit_hunyuan_run {
    const vdit_hunyuan *config;
    size_t count[3];          /* F', H', W' */
    vdit_tensor time;         /* what modulates: of time, guidance and pooled text, [B,D] */
    vdit_tensor cosine, sine; /* of the video's positions */
    vdit_tensor keys;         /* i64 [B]: N and the valid rows of the text */
    vdit_tensor x, y;         /* video [B,N,D] and text [B,Nt,D] */
    size_t mark;              /* of memory: after what all blocks share */
} vdit_hunyuan_run;

/* What time, guidance and pooled text say, module time_text_embed: [B,D]. */
vdit_tensor vdit_hunyuan_condition(vdit_net *net, const vdit_hunyuan *c);

/* The text after its refiner, module context_embedder: [B,Nt,D]. */
vdit_tensor vdit_hunyuan_refine(vdit_net *net, const vdit_hunyuan *c);

/* One block of two streams, and one of a single stream. Out: r->x, r->y. layer counts both kinds, for the site. */
void vdit_hunyuan_double(vdit_net *net, vdit_hunyuan_run *r, size_t index, size_t layer);
void vdit_hunyuan_single(vdit_net *net, vdit_hunyuan_run *r, size_t index, size_t layer);

/* Out: part[count]: f(x) W + b in parts of D, each [B,1,D]. f is the name of SiLU's module. */
void vdit_hunyuan_modulation(vdit_net *net, const char *f, vdit_tensor x, vdit_tensor *part,
                             size_t count);

#endif
