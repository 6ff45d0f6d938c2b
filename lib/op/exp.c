/* exp.c - e^x, rounded once (doc/numerics.md, section 3). */
#include <math.h>
#include <vdit/op.h>
#include "exact/elementary.h"
#include "op/elementwise.h"

/*
 * Beyond +-300 every dtype here overflows (2^128 < e^89) or rounds to +0 (e^-104 < 2^-150), and IEEE's
 * limits follow with them; e^0 is 1.
 */
static int special(double *y, double x)
{
    if (x != x)
        *y = x;
    else if (x == 0)
        *y = 1;
    else if (x > 300)
        *y = HUGE_VAL;
    else if (x < -300)
        *y = 0;
    else
        return 0;
    return 1;
}

vdit_status vdit_exp(vdit_run *run, vdit_tensor *y, const vdit_tensor *x)
{
    static const vdit_function function = {"exp", special, vdit_exp_estimate, vdit_mp_exp};

    return vdit_elementwise(run, &function, y, x);
}
