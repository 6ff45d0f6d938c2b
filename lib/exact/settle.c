/* settle.c - the rounding test on an unevaluated sum of two doubles. */
#include <string.h>
#include "exact/settle.h"

/*
 * a + b rounded to odd in binary64: the exact sum if it is representable, else the neighbour with an odd
 * significand. Rounding the result to a format at least two bits narrower is rounding a + b once
 * (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008, theorem 3).
 */
static double add_to_odd(double a, double b)
{
    double sum = a + b, part = sum - a;
    double rest = (a - (sum - part)) + (b - part); /* TwoSum: a + b = sum + rest */
    uint64_t bits;

    memcpy(&bits, &sum, sizeof bits);
    if (rest != 0 && (bits & 1) == 0) {
        bits += (rest > 0) == (sum > 0) ? 1 : UINT64_MAX;
        memcpy(&sum, &bits, sizeof sum);
    }
    return sum;
}

int vdit_settle(double *rounded, vdit_dtype dtype, double high, double low, double error)
{
    double wide = error * (1 + 0x1p-20), below, above; /* low -+ wide contains low -+ error */

    if (low < 0 ? -low > 0x1p20 * error : low > 0x1p20 * error)
        wide += (low < 0 ? -low : low) * 0x1p-52;
    below = add_to_odd(high, low - wide);
    above = add_to_odd(high, low + wide);
    if (!(below > 0 || above < 0))
        return 0;
    *rounded = vdit_round_f64(dtype, below);
    return *rounded == vdit_round_f64(dtype, above);
}
