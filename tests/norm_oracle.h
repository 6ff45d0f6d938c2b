/* norm_oracle.h - for tests: layer, RMS and group norm from the definition, in MPFR. */
#ifndef TESTS_NORM_ORACLE_H
#define TESTS_NORM_ORACLE_H

#include "operands.h"

/* Sums of squares of f32 values are exact in these, and eps added to them nearly always. */
#define NORM_BITS 1600

/* A norm: of rows, or of groups of channels. */
typedef struct norm_scene {
    int centred;   /* 0: RMS norm */
    size_t groups; /* 0: rows */
    double eps;
    vdit_tensor x, w, b, y;
    int with_w, with_b;
} norm_scene;

/* Calls the operator. Returns: its status. */
vdit_status norm_call(vdit_run *run, norm_scene *s);

/* Out: s, operands of this family and shape, w and b of d elements. In: dtype of x, w, b, y. */
void norm_make(vdit_run *run, norm_scene *s, oracle_random *random, int rank, const size_t *shape,
               size_t d, const vdit_dtype dtype[4], operand_family family);

/* Returns: how many elements of y are not the definition's, of which the first are printed. */
size_t norm_count_wrong(const norm_scene *s);

/*
 * Out: mean and root (of NORM_BITS), m and sqrt(s + eps) of n elements of x from first on, which are finite.
 */
void norm_define(mpfr_t mean, mpfr_t root, const norm_scene *s, size_t first, size_t n);

#endif
