/*
 * exact/settle.h - the rounding test: is the rounding of a real number known from an enclosure?
 */
#ifndef VDIT_EXACT_SETTLE_H
#define VDIT_EXACT_SETTLE_H

#include <string.h>
#include <vdit/tensor.h>

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

#endif
