/*
 * attention/order.h - exact order statistics of the map: thresholds of bottom-k masking, quantiles.
 *
 * The sorted values are the f32-rounded entries (facts) of the valid keys: those that no key length and no mask
 * before the softmax takes away. M is their number in a scope, and the value at place floor(fraction M),
 * counted from 0, with fraction taken as the exact real number, is one of them (definitions C18, C22): found by
 * selection over recomputed tiles, neither interpolated nor sampled, and the same on every machine.
 *
 * All query rows of the call count, also where it asks for a few (vdit_attention.rows). Queries and keys with an infinity or
 * a NaN take no part; a row without valid keys has no entries, nor has, in self-attention, a query beyond the key length
 * (C01, C23).
 */
#ifndef VDIT_ATTENTION_ORDER_H
#define VDIT_ATTENTION_ORDER_H

#include "attention/facts.h"

typedef struct vdit_order {
    vdit_facts_scope facts; /* whose entries; its blocks are those of vdit_edit.prunable (C23) */
    vdit_scope scope;       /* VDIT_SCOPE_FRAME needs a layout with frames; VDIT_SCOPE_GLOBAL
                         sorts all heads of facts together */
    vdit_ties ties;
} vdit_order;

/*
 * Returns: how many groups of rows are sorted apart: one per head; per row, head by head; per frame, and a last one
 * for the text rows where there are any, head by head; or one.
 */
size_t vdit_order_groups(const vdit_order *order);

/* Returns: the group of row r of a head in facts.first .. facts.first + facts.count - 1. */
size_t vdit_order_group(const vdit_order *order, size_t head, size_t r);

/*
 * Out: value[groups][n], an f32 each: the entry at place floor(fraction M); with VDIT_TIES_LINEAR
 * a_i + (x - i)(a_(i+1) - a_i), x = fraction (M - 1), i = floor(x), rounded once. Place M, which is not there, gives
 * +inf, and M = 0 gives 0. size[groups], if not NULL: M. In: fractions[n], 0 to 1.
 * Returns: VDIT_OK or the failure.
 */
vdit_status vdit_order_values(vdit_run *run, double *value, uint64_t *size, const vdit_order *order,
                              const double *fraction, size_t n);

/*
 * Bottom-k masking: entries strictly below tau are dropped; with VDIT_TIES_COUNT also the first quota of the row's
 * entries that equal it, so that floor(fraction M) are dropped in the group: equal ones by head, row and
 * key. A fraction of 0 gives tau = 0, which drops nothing; 1 gives +inf, but for VDIT_TIES_LINEAR the largest entry.
 * Out: tau[facts.count][Nq]; quota[facts.count][Nq], NULL but for VDIT_TIES_COUNT. In: fraction, 0 to 1.
 * Returns: VDIT_OK or the failure.
 */
vdit_status vdit_order_thresholds(vdit_run *run, double *tau, uint64_t *quota,
                                  const vdit_order *order, double fraction);

/* Bytes that the two take beside their outputs, at most. */
double vdit_order_bytes(const vdit_run *run, const vdit_order *order, size_t n);

/* Returns: floor(x), x = fraction M exactly. Out: rest, if not NULL, x - floor(x). In: 0 <= fraction <= 1. */
uint64_t vdit_order_place(vdit_mp *rest, double fraction, uint64_t M);

/* Returns: low + rest (high - low), rounded once to f32 (known to 2^-180 of itself). */
double vdit_order_between(double low, double high, const vdit_mp *rest);

#endif
