/* op/elementwise.h - functions of one or two numbers, each result rounded once. */
#ifndef VDIT_OP_ELEMENTWISE_H
#define VDIT_OP_ELEMENTWISE_H

#include <vdit/tensor.h>
#include "exact/mp.h"
#include "op/lines.h"

/*
 * Out: y[n], each element rounded into dtype already; decided, the counters of the stages. In: f, whatever the
 * function needs; x[n]; z[n], or NULL without a second operand; n <= VDIT_LINES_PIECE.
 */
typedef void vdit_elementwise_fn(const void *f, vdit_dtype dtype, size_t n, double *y,
                                 const double *x, const double *z, uint64_t decided[3]);

/*
 * Out: y = fn of x and z for each element, any strides; elementary counters. In: z of the same shape, or NULL; shapes
 * and dtypes fit. Returns: VDIT_OK or VDIT_ERR_MEMORY; y is untouched then.
 */
vdit_status vdit_elementwise_run(vdit_run *run, vdit_elementwise_fn *fn, const void *f,
                                 vdit_tensor *y, const vdit_tensor *x, const vdit_tensor *z);

/*
 * A function whose value lies nowhere within 2^-60 of a boundary between two roundings, but for the
 * numbers that special knows (doc/numerics.md, 3.2).
 */
typedef struct vdit_function {
    const char *name;
    /* Out: y. Returns: 1 if f(x) is known exactly or not finite (NaN, infinities, zeros, overflow). */
    int (*special)(double *y, double x);
    /* Returns: f(x) times 1 + t with |t| <= VDIT_ESTIMATE_ERROR. */
    double (*estimate)(double x);
    /* Out: f(x) with a relative error of at most 2^-186. */
    void (*precise)(vdit_mp *y, const vdit_mp *x);
} vdit_function;

/*
 * Out: y = f(x) for each element, any strides; elementary counters.
 * Returns: VDIT_OK, VDIT_ERR_SHAPE, VDIT_ERR_DTYPE, VDIT_ERR_MEMORY; y is untouched then.
 */
vdit_status vdit_elementwise(vdit_run *run, const vdit_function *f, vdit_tensor *y,
                             const vdit_tensor *x);

#endif
