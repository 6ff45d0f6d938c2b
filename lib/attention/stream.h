/*
 * attention/stream.h - stage 0: a block of query rows streamed over all keys in binary64.
 *
 * Lanes are queries: q and the logits lie in panels [.][nr], so that the weights of one tile are, as they
 * leave exp2, the right operand of the product with the values. The reference point of the exponentials is
 * an integer near the running maximum: it moves only where the weights would exceed 2^30.
 */
#ifndef VDIT_ATTENTION_STREAM_H
#define VDIT_ATTENTION_STREAM_H

#include "attention/head.h"

/* Panels of queries that pass over a tile together, at most. */
#define VDIT_STREAM_PANELS 8

typedef struct vdit_stream {
    const vdit_head *head;
    size_t first, rows; /* rows of the call in this block */
    size_t panels;      /* of nr rows, the last one filled up with zero queries */
    double *q;          /* [panels][d][nr] */
    double *s;          /* [VDIT_TILE][nr], one panel's logits, then weights */
    double *mask;       /* [VDIT_TILE][nr] or unused, in units of log 2 */
    double *o;          /* [panels][dv_padded][nr], sum_j p_j v_j */
    double *top;        /* [panels * nr] the m of p_j = 2^(s_j log2(e) - m) */
    double *most;       /* max_j s_j log2(e) */
    double *sum;        /* sum_j p_j */
    double *square;     /* sum_j p_j^2 */
    double *query_norm; /* sqrt(sum_c w_c q_c^2) */
    unsigned char *odd; /* 1 where q has an infinity or a NaN: the row is special.c's */
    double *tile;       /* [mr * nr] */
    double *row;        /* [d] or [VDIT_TILE] */
} vdit_stream;

/* Room for one block, in the run's memory. Returns: VDIT_OK or the failure. */
vdit_status vdit_stream_new(vdit_run *run, vdit_stream *stream, const vdit_head *head);

/* Bytes that vdit_stream_new takes, at most. */
double vdit_stream_bytes(const vdit_attention *call);

/* Loads the queries of rows first .. first + rows - 1; rows <= VDIT_STREAM_PANELS * nr. */
void vdit_stream_load(vdit_stream *stream, size_t first, size_t rows);

/* Streams the block over all keys: o, top, most, sum, square. */
void vdit_stream_run(vdit_stream *stream);

/* The same without the values: o is left alone. */
void vdit_stream_sums(vdit_stream *stream);

/* Out: s, the logits of panel p on tile t in units of log 2; most is raised to their maximum. */
void vdit_stream_logits(vdit_stream *stream, size_t p, size_t t);

/* o += V' P for panel p on tile t, whose weights P are in s. */
void vdit_stream_values(vdit_stream *stream, size_t p, size_t t);

/* Returns: the number of keys in tile t. */
size_t vdit_tile_keys(const vdit_head *head, size_t t);

/*
 * Rigorous bounds for one row (doc/numerics.md, section 5.2), u = 2^-53:
 *     weight: |p^_j - p_j| <= (weight + logit K_j) p_j, K_j the key norm
 *     value, sums: of the sum over p v, relative to sum p |v| and to sum w p |v| (head.h, value_sum_norm)
 *     total: of the sum over p, relative to it
 *     length: an upper bound of sqrt(sum a_j^2)
 *     usable: 0 if the linear terms are too large for the bound to hold
 */
typedef struct vdit_row_bound {
    double weight, logit, value, sums, total, length, floor;
    int usable;
} vdit_row_bound;

void vdit_stream_bound(vdit_row_bound *bound, const vdit_stream *stream, size_t r);

/* Returns: a bound of |o^ - o| for channel c, given the estimate o^ of a row. */
static inline double vdit_output_error(const vdit_row_bound *bound, const vdit_head *head, size_t c,
                                       double o)
{
    double most = head->value_max[c], size = bound->length * head->value_norm[c];
    double keyed = bound->length * head->value_key_norm[c], magnitude = o < 0 ? -o : o;
    double summed = bound->length * head->value_sum_norm[c], largest = most * head->sum_weight_max;

    size = size < most ? size : most;
    summed = summed < largest ? summed : largest;
    most *= head->key_norm_max;
    keyed = keyed < most ? keyed : most;
    return 1.02 * (bound->logit * (keyed + magnitude * head->key_norm_max) +
                   bound->weight * (size + magnitude) + bound->value * size + bound->sums * summed +
                   bound->total * magnitude) +
           bound->floor * head->value_max[c];
}

#endif
