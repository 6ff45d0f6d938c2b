/* pending.c - operators whose contract stands and whose code does not yet. */
#include <vdit/op.h>

static vdit_status pending(vdit_run *run, const char *op)
{
    return vdit_run_fail(run, VDIT_ERR_UNSUPPORTED, "%s: not offered yet", op);
}

vdit_status vdit_conv(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, const vdit_tensor *w,
                      const vdit_tensor *b, const vdit_conv_walk *walk)
{
    (void)y, (void)x, (void)w, (void)b, (void)walk;
    return pending(run, "conv");
}

vdit_status vdit_layer_norm(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                            const vdit_tensor *w, const vdit_tensor *b, double eps)
{
    (void)y, (void)x, (void)w, (void)b, (void)eps;
    return pending(run, "layer_norm");
}

vdit_status vdit_rms_norm(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, const vdit_tensor *w,
                          double eps)
{
    (void)y, (void)x, (void)w, (void)eps;
    return pending(run, "rms_norm");
}

vdit_status vdit_group_norm(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, size_t groups,
                            const vdit_tensor *w, const vdit_tensor *b, double eps)
{
    (void)y, (void)x, (void)groups, (void)w, (void)b, (void)eps;
    return pending(run, "group_norm");
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

vdit_status vdit_add(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, const vdit_tensor *z)
{
    (void)y, (void)x, (void)z;
    return pending(run, "add");
}

vdit_status vdit_modulate(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                          const vdit_tensor *scale, const vdit_tensor *shift)
{
    (void)y, (void)x, (void)scale, (void)shift;
    return pending(run, "modulate");
}

vdit_status vdit_gated_add(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                           const vdit_tensor *gate, const vdit_tensor *z)
{
    (void)y, (void)x, (void)gate, (void)z;
    return pending(run, "gated_add");
}

vdit_status vdit_masked_mean(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                             const vdit_tensor *mask, size_t least)
{
    (void)y, (void)x, (void)mask, (void)least;
    return pending(run, "masked_mean");
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

vdit_status vdit_rotary(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                        const vdit_tensor *cosine, const vdit_tensor *sine)
{
    (void)y, (void)x, (void)cosine, (void)sine;
    return pending(run, "rotary");
}
