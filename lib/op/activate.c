/* activate.c - activations and gated units, rounded once (doc/numerics.md, section 9). */
#include <vdit/op.h>
#include "op/activation.h"
#include "op/elementwise.h"
#include "op/shape.h"

/* y = f(x), or y = x f(z): pieces by the estimate, one by one what that leaves open. */
static void activate(const void *f, vdit_dtype dtype, size_t n, double *y, const double *x,
                     const double *z, uint64_t decided[3])
{
    const vdit_activation *kind = f;
    double one[VDIT_ACTIVATION_PIECE];

    for (size_t i = 0; i < VDIT_ACTIVATION_PIECE; i++)
        one[i] = 1;
    if (z == NULL) {
        z = x;
        x = one;
    }
    vdit_activation_settle(*kind, dtype, n, y, x, z);
    for (size_t i = 0; i < n; i++) {
        if (y[i] == y[i])
            decided[0]++;
        else
            y[i] = vdit_activation_round(*kind, dtype, x[i], z[i], decided);
    }
}

static vdit_status activate_all(vdit_run *run, vdit_activation f, vdit_tensor *y,
                                const vdit_tensor *x, const vdit_tensor *z)
{
    return vdit_elementwise_run(run, activate, &f, y, x, z);
}

static vdit_status check(vdit_run *run, const char *op, const vdit_tensor *y, const vdit_tensor *x,
                         vdit_activation f)
{
    if ((int)f < 0 || f >= VDIT_ACTIVATION_COUNT)
        return vdit_run_fail(run, VDIT_ERR_ARGUMENT, "%s: function %d is not a vdit_activation", op,
                             (int)f);
    if (vdit_check_dtype(run, op, "x", x) != VDIT_OK ||
        vdit_check_dtype(run, op, "y", y) != VDIT_OK)
        return vdit_run_status(run);
    return vdit_run_status(run);
}

vdit_status vdit_activate_by(vdit_run *run, vdit_activation_engine *engine, vdit_tensor *y,
                             const vdit_tensor *x, vdit_activation f)
{
    if (vdit_run_status(run) != VDIT_OK || check(run, "activate", y, x, f) != VDIT_OK ||
        vdit_check_rank(run, "activate", "x", x, 0) != VDIT_OK ||
        vdit_check_shape(run, "activate", "y", y, x->rank, x->shape, "to fit x") != VDIT_OK)
        return vdit_run_status(run);
    return engine(run, f, y, x, NULL);
}

vdit_status vdit_activate_gated_by(vdit_run *run, vdit_activation_engine *engine, vdit_tensor *y,
                                   const vdit_tensor *x, vdit_activation f)
{
    static const char op[] = "activate_gated";
    vdit_tensor value, gate;
    size_t *last;

    if (vdit_run_status(run) != VDIT_OK || check(run, op, y, x, f) != VDIT_OK ||
        vdit_check_rank(run, op, "x", x, 1) != VDIT_OK)
        return vdit_run_status(run);
    value = *x;
    last = &value.shape[x->rank - 1];
    if (*last % 2 != 0)
        return vdit_run_fail(run, VDIT_ERR_SHAPE,
                             "%s: x has %zu elements in its last axis, expected an even number", op,
                             *last);
    *last /= 2;
    if (vdit_check_shape(run, op, "y", y, value.rank, value.shape, "to fit half of x") != VDIT_OK)
        return vdit_run_status(run);
    gate = value;
    gate.data = (char *)x->data +
                (ptrdiff_t)*last * x->stride[x->rank - 1] * (ptrdiff_t)vdit_dtype_size(x->dtype);
    return engine(run, f, y, &value, &gate);
}

vdit_status vdit_activate(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, vdit_activation f)
{
    return vdit_activate_by(run, activate_all, y, x, f);
}

vdit_status vdit_activate_gated(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                vdit_activation f)
{
    return vdit_activate_gated_by(run, activate_all, y, x, f);
}
