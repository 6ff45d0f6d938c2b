/*
 * exact/odd.h - sums of two or three doubles, rounded to odd: what a later rounding into a narrower format
 * cannot tell from the real sum (doc/numerics.md, 10.1).
 *
 * Compiled without contraction. Without branches, so that loops over these can be vectorised.
 */
#ifndef VDIT_EXACT_ODD_H
#define VDIT_EXACT_ODD_H

#include <math.h>
#include <stdint.h>
#include "exact/pair.h"
#include "exact/simd.h"

/*
 * Returns: the sum of the pair if it is a double, else its neighbour with an odd significand; a pair whose low
 * part is a NaN (its high part is not finite) gives its high part.
 * In: a pair made by vdit_two_sum. Source: Boldo and Melquiond, "Emulation of FMA and correctly rounded sums:
 * proved algorithms using rounding to odd", IEEE Trans. Computers 57 (2008).
 */
VDIT_INLINE double vdit_pair_to_odd(vdit_pair sum)
{
    union {
        double value;
        uint64_t bits;
    } odd, rest;
    uint64_t inwards, even;

    odd.value = sum.high;
    rest.value = sum.low;
    even = (fabs(sum.low) > 0 ? 1 : 0) & ~odd.bits; /* 1 where there is something to do */
    inwards = (odd.bits ^ rest.bits) >> 63;         /* 1 where the real sum lies nearer to 0 */
    odd.bits += (even ^ (0 - inwards)) + inwards;   /* even, or -even */
    return odd.value;
}

/* Returns: a + b rounded to odd; IEEE's a + b where that is exact, not finite, or zero. */
VDIT_INLINE double vdit_odd_sum(double a, double b)
{
    return vdit_pair_to_odd(vdit_two_sum(a, b));
}

/*
 * Returns: a number that rounds as a + b + c does into any format of at most 50 bits; where it is finite and
 * not 0. In: |a|, |b|, |c| multiples of 2^-1000.
 */
VDIT_INLINE double vdit_odd_sum3(double a, double b, double c)
{
    vdit_pair first = vdit_two_sum(a, b), second = vdit_two_sum(first.high, c);

    return vdit_odd_sum(second.high, vdit_odd_sum(second.low, first.low));
}

#endif
