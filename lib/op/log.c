/* log.c - ln x, rounded once (doc/numerics.md, section 3). */
#include <math.h>
#include <vdit/op.h>
#include "exact/elementary.h"
#include "op/elementwise.h"

/* ln 1 is +0, ln 0 = -inf for both zeros, ln inf = inf; a negative number has no logarithm. */
static int special(double *y, double x)
{
    if (x != x || x < 0)
        *y = NAN;
    else if (x == 0)
        *y = -HUGE_VAL;
    else if (x == 1)
        *y = 0;
    else if (x > 0x1p1000)
        *y = HUGE_VAL;
    else
        return 0;
    return 1;
}

vdit_status vdit_log(vdit_run *run, vdit_tensor *y, const vdit_tensor *x)
{
    static const vdit_function function = {"log", special, vdit_log_estimate, vdit_mp_log};

    return vdit_elementwise(run, &function, y, x);
}
