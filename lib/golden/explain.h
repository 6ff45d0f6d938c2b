/*
 * explain.h - what is wrong with a kernel: attention in binary64 with a fault built in, and the search
 * for the fault that reproduces what the kernel gave (lib/vdit/explain.h).
 */
#ifndef VDIT_GOLDEN_EXPLAIN_H
#define VDIT_GOLDEN_EXPLAIN_H

#include <vdit/explain.h>
#include "golden/judge.h"

#define VDIT_EXPLAIN_TILE 64 /* keys, or rows, of a tile */
#define VDIT_EXPLAIN_ROWS 8  /* rows on which hypotheses are tried */

/* Half-open range of keys. */
typedef struct vdit_range {
    size_t first, end;
} vdit_range;

typedef enum vdit_wrong_mask {
    VDIT_MASK_RIGHT,
    VDIT_MASK_IGNORED,
    VDIT_MASK_SCALED,
    VDIT_MASK_INVERTED, /* in the first tile of keys */
    VDIT_MASK_NEXT_ROW,
    VDIT_MASK_CAUSAL
} vdit_wrong_mask;

typedef enum vdit_wrong_rescale {
    VDIT_RESCALE_RIGHT,
    VDIT_RESCALE_NONE,
    VDIT_RESCALE_OUTPUT, /* the output alone */
    VDIT_RESCALE_SUM,    /* the sum alone */
    VDIT_RESCALE_TWICE   /* the output twice */
} vdit_wrong_rescale;

typedef enum vdit_wrong_order {
    VDIT_ORDER_RIGHT,
    VDIT_ORDER_TRANSPOSED,  /* 16 keys as a 4 x 4 block read by columns */
    VDIT_ORDER_INTERLEAVED, /* 0 8 1 9 ... */
    VDIT_ORDER_SPLIT,       /* 0 2 4 ... 1 3 5 ... */
    VDIT_ORDER_REVERSED
} vdit_wrong_order;

/* What a number is rounded to on the way; cleared: nothing. */
typedef enum vdit_wrong_round {
    VDIT_ROUND_NOT,
    VDIT_ROUND_BF16,
    VDIT_ROUND_F16,
    VDIT_ROUND_CUT /* bf16 toward zero */
} vdit_wrong_round;

/* A fault. Cleared but for what vdit_wrong_none sets, it is none. */
typedef struct vdit_wrong {
    const float *k, *v; /* [keys][padded width], of this head or another */
    double scale;
    size_t valid;                        /* keys below this are valid */
    size_t channels;                     /* of q k that count */
    size_t channel_shift;                /* k's channels are so many further */
    vdit_range missing, twice, unsummed; /* keys; unsummed: missing in the denominator alone */
    size_t stride;                       /* not 0: every stride-th key is missing */
    double extra;                        /* keys of logit 0 and value 0 beside */
    int sum_has_one;       /* 1 is added to the denominator, after the maximum was taken out */
    ptrdiff_t value_shift; /* v of the key so many further, around the end */
    vdit_range moved_values, moved_keys; /* this tile has those of the tile before */
    int swaps;                           /* and the other way round */
    vdit_wrong_order order;
    vdit_range order_in; /* keys to which order applies */
    vdit_wrong_mask mask;
    vdit_wrong_rescale rescale;
    vdit_wrong_round scores, p, sums, output;
    size_t parts; /* not 0: split-KV, parts averaged without weights */
    int no_maximum, flushes;
} vdit_wrong;

/* One head of the case, loaded. */
typedef struct vdit_explain_head {
    const vdit_call *call;
    size_t b, h, keys, width, value_width;
    float *k, *v;                              /* its own */
    double *q, *masks, *logits, *p, *o, *part; /* memory of a row */
} vdit_explain_head;

/* Out: head, with k and v of batch b and head h. */
vdit_status vdit_explain_load(vdit_run *run, vdit_explain_head *head, const vdit_call *call,
                              size_t b, size_t h);

/* Out: out[keys][width], a head of k or v in f32. */
void vdit_explain_rows(float *out, const vdit_tensor *t, size_t b, size_t h);

/* Returns: no fault. */
vdit_wrong vdit_wrong_none(const vdit_explain_head *head);

/* Out: o[value_width], lse and most (the largest logit), of query row `row` under a fault. */
void vdit_wrong_row(vdit_explain_head *head, const vdit_wrong *w, size_t row, double *o,
                    double *lse, double *most);

/* The search. */
typedef struct vdit_explain {
    vdit_run *run;
    const vdit_golden *golden;
    vdit_call call;
    vdit_explain_head head;
    size_t count, rows[VDIT_EXPLAIN_ROWS], places[VDIT_EXPLAIN_ROWS]; /* query rows; rows of o */
    double *golden_o, *actual_o, *sigma_o, *guess;                    /* [count][value_width] */
    const vdit_tensor *o, *actual, *sigma;
    double total; /* of the residual, in sigmas squared */
    vdit_explanation *best;
    double left; /* of the residual under the best */
} vdit_explain;

/* The sums of the rows, and of each of their tiles. */
typedef struct vdit_explain_table {
    vdit_explain *e;
    size_t keys, tiles, width;
    double *p;        /* [rows][keys], relative to the row's maximum */
    double *sum, *o;  /* [rows], [rows][width] */
    double *tile_sum; /* [rows][tiles] */
    double *tile_o;   /* [rows][tiles][width] */
    double *range_o;  /* memory [width] */
} vdit_explain_table;

/* Out: t, in the run's memory. */
vdit_status vdit_explain_tabulate(vdit_explain_table *t, vdit_explain *e);

/* o += p of key j in row r times the key's value. */
void vdit_explain_add(const vdit_explain_table *t, double *o, size_t r, size_t j);

/* Takes guess for the explanation if it leaves well less of the residual than the best so far. */
void vdit_explain_offer(vdit_explain *e, const char *hypothesis, const char *format, ...)
    VDIT_PRINTF(3, 4);

/* Computes guess under a fault, and returns what it leaves of the residual. */
double vdit_explain_try(vdit_explain *e, const vdit_wrong *w);

/* Returns: what guess leaves of the residual. */
double vdit_explain_left(const vdit_explain *e);

/* Explains a log-sum-exp where the output is right. */
void vdit_explain_lse(vdit_explain *e, const vdit_tensor *lse);

/* The hypotheses: each offers what it finds. */
typedef void vdit_hypothesis_fn(vdit_explain *e);
vdit_hypothesis_fn vdit_explain_edits, vdit_explain_scale, vdit_explain_length, vdit_explain_mask,
    vdit_explain_places, vdit_explain_channels, vdit_explain_order, vdit_explain_tiles,
    vdit_explain_softmax, vdit_explain_keys, vdit_explain_rounding;

#endif
