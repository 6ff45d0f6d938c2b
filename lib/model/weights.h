/*
 * model/weights.h - weights that are drawn: each number is a function of seed, tensor name, shape and element alone.
 *
 * Distributions are such that no part of a network is idle: norms differ from 1, biases, tables and gates from 0.
 */
#ifndef VDIT_MODEL_WEIGHTS_H
#define VDIT_MODEL_WEIGHTS_H

#include "exact/draw.h"

/* The numbers of one tensor: offset + scale * a normal number, in binary64, rounded to its dtype. */
typedef struct vdit_weight_rule {
    vdit_draw draw;
    double offset, scale;
} vdit_weight_rule;

/* In: the weight's name and shape. */
vdit_weight_rule vdit_weight_rule_of(const char *name, const vdit_tensor *weight, uint64_t seed);

/* Out: out[count] in dtype: the elements first, first + 1, .... */
void vdit_weight_fill(const vdit_run *run, const vdit_weight_rule *rule, void *out,
                      vdit_dtype dtype, size_t first, size_t count);

#endif
