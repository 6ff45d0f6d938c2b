/* attention_brute.h - for tests: order statistics of the map by sorting all entries, which MPFR gives. */
#ifndef TESTS_ATTENTION_BRUTE_H
#define TESTS_ATTENTION_BRUTE_H

#include "attention/order.h"

/* Gathers the entries of all heads of the order's call, those of its blocks. In: tokens, as its layout was declared. */
void brute_gather(const vdit_order *order, const vdit_tokens *tokens);

/* Sorts what was gathered within the order's groups: by value, then row, then key. */
void brute_sort(const vdit_order *order);

/* Returns: a number for the group of row r of a head, written from vdit/edit.h. */
size_t brute_group(const vdit_order *order, size_t head, size_t r);

/* Returns: the least entry of the group of a row (of all heads'), or NULL. Out: M. */
const double *brute_least(const vdit_order *order, size_t row, size_t *M);

/* Returns: the threshold of a row (of all heads'). Out: quota. */
double brute_threshold(uint64_t *quota, const vdit_order *order, size_t row, double fraction);

/* Returns: floor(fraction M). */
uint64_t brute_place(double fraction, size_t M);

#endif
