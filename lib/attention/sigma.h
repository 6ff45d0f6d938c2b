/*
 * attention/sigma.h - stage 0 of sigma: the noise model streamed beside the output.
 */
#ifndef VDIT_ATTENTION_SIGMA_H
#define VDIT_ATTENTION_SIGMA_H

#include "attention/rows.h"

/* What one element's sums come to, however they were formed. */
typedef struct vdit_sigma_sums {
    double noise; /* sum A v^2 + sum E (v - o)^2 */
    double size;  /* the sum of the magnitudes of what was added up for it */
    double slope; /* at least sum E |v - o|: half of what o's error is multiplied with */
} vdit_sigma_sums;

typedef struct vdit_sigma {
    double *squares, *sizes;  /* [dv_padded][VDIT_TILE] panels of v^2 and |v| of one tile */
    double *rounding, *score; /* [VDIT_TILE][nr] the weights A_j and E_j */
    double *sum_both;         /* [panels][dv_padded][nr] sum (A + E) v^2 */
    double *sum_score;        /* sum E v */
    double *sum_size;         /* sum P |v| */
    double *score_total;      /* [panels * nr] sum E */
    double *query_square;     /* [panels * nr] (score_unit scale |q|)^2 */
    double *key_square;       /* [VDIT_TILE] |k|^2 */
    vdit_sigma_sums *direct;  /* [nr][dv] the open elements of one panel */
} vdit_sigma;

/* Room beside a stream, in the run's memory. Returns: VDIT_OK or the failure. */
vdit_status vdit_sigma_new(vdit_run *run, vdit_sigma *sigma, const vdit_head *head);

/* Bytes that vdit_sigma_new takes, at most. */
double vdit_sigma_bytes(const vdit_attention *call);

/* Streams the block once more, its top, sum and o known; writes what is settled, opens the rest. */
void vdit_sigma_run(vdit_sigma *sigma, vdit_stream *stream, vdit_rows *rows);

#endif
