/* golden/bound.h - sigma of the plain operators. */
#ifndef VDIT_GOLDEN_BOUND_H
#define VDIT_GOLDEN_BOUND_H

#include <vdit/golden.h>

/*
 * Sigma of y = x w' + b or c = a b: with u the contract's units, K terms, and A = sum |x||w| + |b|,
 *     sigma^2 = K (sum_unit A)^2 + score_unit^2 sum (x w)^2 + 1/3 max(out_unit |y|, out_sub)^2.
 * sqrt(K) u A is the probabilistic error bound of a sum in any order (N. J. Higham, T. Mary, "A new
 * approach to probabilistic rounding error analysis", SIAM J. Sci. Comput. 41, 2019, with lambda = 1).
 * Evaluated in binary64 in the order of k, so that its bits are facts too; where y is infinite or
 * NaN, sigma is 0: no other value is right.
 * Out: sigma, bf16 [M,N]. In: op (linear or matmul), first, second, bias (NULL or [N]), y, the golden
 * output. Returns: VDIT_OK, VDIT_ERR_MEMORY.
 */
vdit_status vdit_bound_product(vdit_run *run, vdit_tensor *sigma, vdit_operator op,
                               const vdit_tensor *first, const vdit_tensor *second,
                               const vdit_tensor *bias, const vdit_tensor *y,
                               const vdit_contract *contract);

/*
 * Sigma of y = exp x or ln x, elementwise: an f32 library errs by up to 2 units of 2^-24, so
 *     sigma^2 = (2 sum_unit y)^2 + 1/3 max(out_unit |y|, out_sub)^2.
 * Out: sigma, bf16 [N]. In: y. Returns: VDIT_OK, VDIT_ERR_MEMORY.
 */
vdit_status vdit_bound_elementary(vdit_run *run, vdit_tensor *sigma, const vdit_tensor *y,
                                  const vdit_contract *contract);

#endif
