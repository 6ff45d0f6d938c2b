/*
 * exact/settle.h - the rounding test: is the rounding of a real number known from an enclosure?
 */
#ifndef VDIT_EXACT_SETTLE_H
#define VDIT_EXACT_SETTLE_H

#include <math.h>
#include <string.h>
#include <vdit/tensor.h>
#include "exact/simd.h"

/*
 * Decides whether every real x with |x - (high + low)| <= error rounds to the same element of dtype.
 * Out: rounded, if so. In: high finite with |low| <= 2^-50 |high| or low = 0; error > 0, |error| <= 2^-8
 * |high| or anything where high is small; dtype f32, bf16 or f16. An interval that touches 0 is open,
 * because -0 and +0 differ. Returns: 1 if settled, else 0.
 */
int vdit_settle(double *rounded, vdit_dtype dtype, double high, double low, double error);

/*
 * Rounds a binary64 representation to nearest-even by dropping bits; right where the result is a normal
 * number of the narrower format. Returns: what is kept.
 */
static inline uint64_t vdit_drop_bits(double x, int bits)
{
    uint64_t word;

    memcpy(&word, &x, sizeof word);
    return (word + (UINT64_C(1) << (bits - 1)) - 1 + (word >> bits & 1)) >> bits;
}

/* The same for low = 0, where error exceeds the true bound by at least 2^-52 |high|. */
static inline int vdit_settle_simple(double *rounded, vdit_dtype dtype, double value, double error)
{
    double below = value - error, above = value + error, least, most;
    int drop = dtype == VDIT_F32 ? 29 : dtype == VDIT_BF16 ? 45 : 42;
    uint64_t word;

    if (!(below > 0 || above < 0))
        return 0;
    least = below > 0 ? below : -above;
    most = below > 0 ? above : -below;
    if (least >= (dtype == VDIT_F16 ? 0x1p-14 : 0x1p-126) &&
        most < (dtype == VDIT_F16 ? 0x1p15 : 0x1p127)) { /* no subnormal, no overflow */
        word = vdit_drop_bits(below, drop);
        if (word != vdit_drop_bits(above, drop))
            return 0;
        word <<= drop;
        memcpy(rounded, &word, sizeof word);
        return 1;
    }
    *rounded = vdit_round_f64(dtype, below);
    return *rounded == vdit_round_f64(dtype, above);
}

/*
 * The same for n numbers without a branch, for where all of an interval is normal: the bits of both ends
 * are dropped and compared. Out: rounded, NaN where that does not settle.
 */
VDIT_INLINE void vdit_settle_many(size_t n, double *restrict rounded, vdit_dtype dtype,
                                  const double *restrict value, const double *restrict error)
{
    const double least = dtype == VDIT_F16 ? 0x1p-14 : 0x1p-126;
    const double limit = dtype == VDIT_F16 ? 0x1p15 : 0x1p127;
    const int drop = dtype == VDIT_F32 ? 29 : dtype == VDIT_BF16 ? 45 : 42;
    const uint64_t half = (UINT64_C(1) << (drop - 1)) - 1;

    VDIT_SIMD for (size_t i = 0; i < n; i++)
    {
        union {
            double value;
            uint64_t bits;
        } below, above;
        int normal;

        below.value = value[i] - error[i];
        above.value = value[i] + error[i];
        normal = (fabs(below.value) >= least) & (fabs(above.value) >= least) &
                 (fabs(below.value) < limit) & (fabs(above.value) < limit);
        below.bits = (below.bits + half + (below.bits >> drop & 1)) >> drop << drop;
        above.bits = (above.bits + half + (above.bits >> drop & 1)) >> drop << drop;
        rounded[i] = (normal & (below.bits == above.bits)) ? below.value : (double)NAN;
    }
}

#endif
