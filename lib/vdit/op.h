/*
 * vdit/op.h - plain operators of the reference backend: one operator, one rounding (doc/numerics.md).
 *
 * Every output element is the real-number result, rounded once to nearest-even into the output's dtype.
 * Inputs are f32, bf16 or f16 in any mix; outputs are f32, bf16 or f16. Outputs must not overlap inputs.
 * A NaN that the formula touches gives the canonical quiet NaN; an exact zero sum is +0.
 */
#ifndef VDIT_OP_H
#define VDIT_OP_H

#include <vdit/tensor.h>

/*
 * Linear layer: y[i,o] = sum_k x[i,k] w[o,k] + b[o], the bias inside the one rounding.
 * Out: y [..., O]. In: x [..., K] with the same leading axes, w [O, K], b [O] or NULL.
 * Returns: VDIT_OK, VDIT_ERR_SHAPE, VDIT_ERR_DTYPE, VDIT_ERR_MEMORY, VDIT_ERR_LIMIT if K > 2^31.
 */
VDIT_API vdit_status vdit_linear(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                 const vdit_tensor *w, const vdit_tensor *b);

/*
 * Matrix product: c[...,i,j] = sum_k a[...,i,k] b[...,k,j]; leading axes equal.
 * Out: c [..., M, N]. In: a [..., M, K], b [..., K, N].
 * Returns: as vdit_linear.
 */
VDIT_API vdit_status vdit_matmul(vdit_run *run, vdit_tensor *c, const vdit_tensor *a,
                                 const vdit_tensor *b);

/* Elementwise: y = e^x. Out: y. In: x, the same shape. exp(-inf) = +0, exp(+inf) = +inf. */
VDIT_API vdit_status vdit_exp(vdit_run *run, vdit_tensor *y, const vdit_tensor *x);

/* Elementwise: y = ln x. Out: y. In: x, the same shape. ln(+-0) = -inf, ln of a negative = NaN. */
VDIT_API vdit_status vdit_log(vdit_run *run, vdit_tensor *y, const vdit_tensor *x);

#endif
