/*
 * model/mochi.h - the parts of Mochi-1: the blocks, and the texts of a call, of which some rows do not count. Formulas
 * and names: vdit-mochi(7).
 */
#ifndef VDIT_MODEL_MOCHI_H
#define VDIT_MODEL_MOCHI_H

#include "model/net.h"

/* Not keys of the configuration. */
#define VDIT_MOCHI_EPS        1e-6
#define VDIT_MOCHI_POOL_HEADS 8

typedef struct vdit_mochi_config {
    size_t patch;
    size_t heads, head_width, layers;
    size_t in_channels, out_channels;
    size_t text_width, time_width; /* of the texts' embedding, of the sinusoid */
    size_t text_stream;            /* P */
} vdit_mochi_config;

/* Rows of a batch of texts. */
typedef struct vdit_mochi_rows {
    const vdit_tensor *mask; /* [B, Nt]; NULL: all count */
    const size_t *
        valid; /* [B, Nt]: of each text the rows that count, in their order; NULL: all, or a dry run */
    const size_t *count; /* [B]: how many they are; NULL with valid */
    vdit_tensor length;  /* i64 [B]: tokens of joint attention that count; data NULL with valid */
} vdit_mochi_rows;

/* What all blocks of a run share. */
typedef struct vdit_mochi_run {
    const vdit_mochi_config *config;
    size_t width;             /* D */
    size_t count[3];          /* F, H', W' */
    vdit_tensor cosine, sine; /* [H, N, d / 2] */
    vdit_tensor time;         /* c [B, D] */
    vdit_mochi_rows rows;
} vdit_mochi_run;

/* The two streams: x [B, N, D] and y [B, Nt, P]. */
typedef struct vdit_mochi_tokens {
    vdit_tensor vision, text;
} vdit_mochi_tokens;

/* One block. Out: z, the streams after it. */
void vdit_mochi_block(vdit_net *net, const vdit_mochi_run *w, size_t layer, vdit_mochi_tokens *z);

/* Reads the call's mask. In: vision, the number of tokens that stand before the text. */
vdit_mochi_rows vdit_mochi_rows_read(vdit_net *net, size_t vision);

/* Returns: [B, H, N + Nt, d]: vision [B, H, N, d], then the rows of text [B, H, Nt, d] that count, then zeros. */
vdit_tensor vdit_mochi_join(vdit_net *net, const vdit_mochi_rows *rows, const vdit_tensor *vision,
                            const vdit_tensor *text);

/*
 * The module "pooler": attention of the mean of the rows of text [B, Nt, T] that count to that mean and those rows. Returns: [B, width].
 */
vdit_tensor vdit_mochi_pool(vdit_net *net, const vdit_mochi_rows *rows, vdit_tensor text,
                            size_t width);

#endif
