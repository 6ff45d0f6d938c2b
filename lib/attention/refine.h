/*
 * attention/refine.h - stage 1: rows that stage 0 left open, gathered into panels and done again to about
 * 2^-55, with the open channels alone.
 *
 * Queries and keys are cut into two slices so that the product of the first ones is exact in any order
 * (Ozaki, Ogita, Oishi, Rump, "Error-free transformations of matrix multiplication", 2012); the rest is
 * 2^-22 smaller, and so is its error. Weights and sums are pairs of doubles.
 */
#ifndef VDIT_ATTENTION_REFINE_H
#define VDIT_ATTENTION_REFINE_H

#include "attention/post.h"
#include "attention/rows.h"
#include "exact/pair.h"

/* Panels of queries that share the slices of a tile, at most. */
#define VDIT_REFINE_PANELS 8
#define VDIT_REFINE_LANES  (VDIT_REFINE_PANELS * VDIT_KERNEL_NR_MAX)

typedef struct vdit_refine {
    const vdit_head *head;
    int bits;                   /* of a first slice: d 2^(2 bits) <= 2^53 */
    size_t panels;              /* of nr rows each, in this group */
    double *q, *q_high, *q_low; /* [panels][d][nr] */
    double *k_high, *k_low;     /* [VDIT_TILE][d] in panels of mr keys */
    double *high, *low, *mask;  /* [VDIT_TILE][nr] logits, then weights; mask in natural units */
    double *p_high, *p_low;     /* [nr][VDIT_TILE] the weights turned: keys of a lane in a row */
    double *v;                  /* [dv_padded][VDIT_TILE] the values of a tile, turned */
    double *tile;               /* [mr * nr] */
    double *row;                /* [max(d, VDIT_TILE)] */
    double *o_high, *o_low;     /* [lanes][dv] sums over p v, of open channels */
    double sum_high[VDIT_REFINE_LANES], sum_low[VDIT_REFINE_LANES], square[VDIT_REFINE_LANES];
    double top[VDIT_REFINE_LANES], query_norm[VDIT_REFINE_LANES];
    vdit_post_panel
        *post; /* NULL, or [VDIT_REFINE_PANELS]: the mask after the softmax, begun by the caller */
} vdit_refine;

/* Room for one group, in the run's memory. Returns: VDIT_OK or the failure. */
vdit_status vdit_refine_new(vdit_run *run, vdit_refine *refine, const vdit_head *head);

/* Bytes that vdit_refine_new takes, at most. */
double vdit_refine_bytes(const vdit_attention *call);

/*
 * The sums of count <= VDIT_REFINE_PANELS nr rows: o_high and o_low of their open channels, sum_high, sum_low,
 * square. Over all keys, or over one of as many parts of the tiles.
 */
void vdit_refine_sums(vdit_refine *refine, const vdit_rows *rows, const size_t *list, size_t count);
void vdit_refine_part(vdit_refine *refine, const vdit_rows *rows, const size_t *list, size_t count,
                      size_t part, size_t parts);

/* Adds the sums that another made for the same rows over other tiles. */
void vdit_refine_merge(vdit_refine *refine, const vdit_refine *other);

/* Given the sums: writes and closes what of the open outputs is settled. Returns: how many these are. */
size_t vdit_refine_finish(vdit_refine *refine, vdit_rows *rows, const size_t *list, size_t count);

/* The bound of doc/numerics.md, 5.4, for a lane after the sums. */
void vdit_refine_bound(vdit_row_bound *bound, const vdit_refine *refine, size_t lane);

/* Returns: the output of channel c of a lane, to be rounded. */
vdit_pair vdit_refine_output(const vdit_refine *refine, size_t lane, size_t c);

#endif
