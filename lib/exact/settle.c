/* settle.c - the rounding test on an unevaluated sum of two doubles. */
#include "exact/odd.h"
#include "exact/settle.h"

int vdit_settle(double *rounded, vdit_dtype dtype, double high, double low, double error)
{
    double wide = error * (1 + 0x1p-20), below, above; /* low -+ wide contains low -+ error */

    if (low < 0 ? -low > 0x1p20 * error : low > 0x1p20 * error)
        wide += (low < 0 ? -low : low) * 0x1p-52;
    /* rounding to odd first, so that nothing is rounded twice */
    below = vdit_odd_sum(high, low - wide);
    above = vdit_odd_sum(high, low + wide);
    if (!(below > 0 || above < 0))
        return 0;
    *rounded = vdit_round_f64(dtype, below);
    return *rounded == vdit_round_f64(dtype, above);
}
