/*
 * exact/round.h - the one rounding: from a long binary fraction into a dtype, to nearest-even.
 */
#ifndef VDIT_EXACT_ROUND_H
#define VDIT_EXACT_ROUND_H

#include <vdit/tensor.h>

/*
 * Rounds (-1)^negative * (top + rest) * 2^(exponent - 64), where 0 < rest < 1 if sticky and else
 * rest = 0, so that the leading bit of top stands for 2^(exponent - 1). What rounds to 0 keeps its
 * sign; overflow gives infinity.
 * In: top with its highest bit set; dtype f64, f32, bf16 or f16.
 * Returns: the rounded value as binary64.
 */
double vdit_round_parts(int negative, uint64_t top, int sticky, int64_t exponent, vdit_dtype dtype);

#endif
