/* pending.c - operators whose contract stands and whose code does not yet. */
#include <vdit/op.h>

static vdit_status pending(vdit_run *run, const char *op)
{
    return vdit_run_fail(run, VDIT_ERR_UNSUPPORTED, "%s: not offered yet", op);
}

vdit_status vdit_activate(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, vdit_activation f)
{
    (void)y, (void)x, (void)f;
    return pending(run, "activate");
}

vdit_status vdit_activate_gated(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                vdit_activation f)
{
    (void)y, (void)x, (void)f;
    return pending(run, "activate_gated");
}

vdit_status vdit_sinusoid(vdit_run *run, vdit_tensor *y, const vdit_tensor *t, double period,
                          double shift, int cos_first)
{
    (void)y, (void)t, (void)period, (void)shift, (void)cos_first;
    return pending(run, "sinusoid");
}

vdit_status vdit_rotary_table(vdit_run *run, vdit_tensor *cosine, vdit_tensor *sine,
                              const vdit_tensor *position, const size_t *widths, double theta)
{
    (void)cosine, (void)sine, (void)position, (void)widths, (void)theta;
    return pending(run, "rotary_table");
}

vdit_status vdit_rotary_learned(vdit_run *run, vdit_tensor *cosine, vdit_tensor *sine,
                                const vdit_tensor *position, const vdit_tensor *frequency)
{
    (void)cosine, (void)sine, (void)position, (void)frequency;
    return pending(run, "rotary_learned");
}
