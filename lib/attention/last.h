/*
 * attention/last.h - the last stage: one row in multi-precision, where bounds could not decide.
 */
#ifndef VDIT_ATTENTION_LAST_H
#define VDIT_ATTENTION_LAST_H

#include "attention/head.h"
#include "exact/mp.h"

/* The weights of one row, p_j = e^(s_j - max s), each to 2^-185, and their sum. */
typedef struct vdit_last {
    const vdit_head *head;
    size_t r;
    vdit_mp *p;    /* [keys] */
    vdit_mp sum;   /* 0 if every key is masked out */
    vdit_mp top;   /* max s */
    double *q, *k; /* [d] */
} vdit_last;

/* Room for rows of this head, in the run's memory. Returns: VDIT_OK or the failure. */
vdit_status vdit_last_new(vdit_run *run, vdit_last *last, const vdit_head *head);

/* Bytes that vdit_last_new takes. */
double vdit_last_bytes(const vdit_attention *call);

/* Computes the weights of row r, whose query is finite. */
void vdit_last_load(vdit_last *last, size_t r);

/* Makes r the row of vdit_last_logit alone: its weights are not computed. */
void vdit_last_aim(vdit_last *last, size_t r);

/* Out: logit = scale * q.k_j + mask of packed key j, exactly. Returns: 0 if the key is masked out. */
int vdit_last_logit(vdit_acc *logit, vdit_last *last, size_t j);

/* Returns: o of channel c, rounded once into dtype; ties and near-ties by the snap rule. */
double vdit_last_output(const vdit_last *last, size_t c, vdit_dtype dtype);

/* Returns: the log-sum-exp, rounded once to f32; -INFINITY for an empty row. */
double vdit_last_lse(const vdit_last *last);

/* Returns: the map entry of packed key j, rounded once to f32. */
double vdit_last_entry(const vdit_last *last, size_t j);

/* Returns: sigma of channel c, rounded once to bf16. */
double vdit_last_sigma(const vdit_last *last, size_t c);

#endif
