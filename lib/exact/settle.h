/*
 * exact/settle.h - the rounding test: is the rounding of a real number known from an enclosure?
 */
#ifndef VDIT_EXACT_SETTLE_H
#define VDIT_EXACT_SETTLE_H

#include <vdit/tensor.h>

/*
 * Decides whether every real x with |x - (high + low)| <= error rounds to the same element of dtype.
 * Out: rounded, if so. In: high finite with |low| <= 2^-50 |high| or low = 0; error > 0, |error| <= 2^-8
 * |high| or anything where high is small; dtype f32, bf16 or f16. An interval that touches 0 is open,
 * because -0 and +0 differ. Returns: 1 if settled, else 0.
 */
int vdit_settle(double *rounded, vdit_dtype dtype, double high, double low, double error);

/* The same for low = 0, where error exceeds the true bound by at least 2^-52 |high|. */
static inline int vdit_settle_simple(double *rounded, vdit_dtype dtype, double value, double error)
{
    double below = value - error, above = value + error;

    if (!(below > 0 || above < 0))
        return 0;
    /* the machine's conversion where the result is normal, so that flushing modes change nothing */
    if (dtype == VDIT_F32 && (below > 0x1p-126 || above < -0x1p-126)) {
        float least = (float)below;
        *rounded = least;
        return least == (float)above;
    }
    *rounded = vdit_round_f64(dtype, below);
    return *rounded == vdit_round_f64(dtype, above);
}

#endif
