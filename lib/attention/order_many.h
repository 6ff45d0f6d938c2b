/* attention/order_many.h - selection among the entries of many rows: heads, frames, whole calls. */
#ifndef VDIT_ATTENTION_ORDER_MANY_H
#define VDIT_ATTENTION_ORDER_MANY_H

#include "attention/order.h"

/* The same rows of one head or of several. */
typedef struct vdit_order_part {
    size_t first, end; /* heads first .. end - 1 */
    size_t row, rows;
} vdit_order_part;

/* How many entries of each row lie below, and at, a code. */
typedef struct vdit_order_counts {
    uint64_t *below, *equal; /* [heads of the part][rows of the part] */
} vdit_order_counts;

typedef struct vdit_order_many {
    vdit_run *run;
    vdit_facts facts;
    uint64_t *coarse; /* [threads + 1][2][VDIT_ORDER_BUCKETS], the last one their sum */
} vdit_order_many;

/* Room for selections of an order's groups, in the run's memory. Returns: VDIT_OK or the failure. */
vdit_status vdit_order_many_new(vdit_run *run, vdit_order_many *many, const vdit_order *order);

/* Bytes that a selection of n places takes, with what is made anew, at most. */
double vdit_order_many_bytes(const vdit_run *run, const vdit_order *order, size_t n);

/* Counts the part's entries, coarsely. Out: M. Returns: VDIT_OK or the failure. */
vdit_status vdit_order_survey(vdit_order_many *many, const vdit_order_part *part, uint64_t *M);

/*
 * Out: value[n], the facts at place[n], each below M. In: the part that was surveyed last.
 * Returns: VDIT_OK or the failure.
 */
vdit_status vdit_order_select(vdit_order_many *many, const vdit_order_part *part, double *value,
                              const uint64_t *place, size_t n);

/* Out: counts for the fact tau, exactly. Returns: VDIT_OK or the failure. */
vdit_status vdit_order_count(vdit_order_many *many, const vdit_order_part *part,
                             const vdit_order_counts *counts, double tau);

#endif
