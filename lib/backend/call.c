/* call.c - calling an operator of a backend, whoever wrote it and when. */
#include <string.h>
#include "backend/known.h"

vdit_backend vdit_backend_known(const vdit_backend *backend)
{
    vdit_backend known = {0};
    size_t size = backend->size < sizeof known ? backend->size : sizeof known;

    /* All fields are of a pointer's size: what is left over is not a whole field. */
    memcpy(&known, backend, size - size % sizeof known.name);
    known.size = sizeof known;
    return known;
}

/*
 * The table to call: the backend's operators, and the reference's where it has none. After a failure it is the
 * reference's alone, whose operators leave a failed run and their outputs as they are.
 */
static vdit_backend whole(const vdit_run *run, const vdit_backend *backend)
{
    static const vdit_backend none = {0};
    const vdit_backend *reference = vdit_backend_at(0);
    vdit_backend all = vdit_run_status(run) == VDIT_OK ? vdit_backend_known(backend) : *reference;

    for (size_t at = offsetof(vdit_backend, linear); at < sizeof all; at += sizeof all.linear)
        if (memcmp((char *)&all + at, (const char *)&none + at, sizeof all.linear) == 0)
            memcpy((char *)&all + at, (const char *)reference + at, sizeof all.linear);
    return all;
}

/* Returns: the run's status after an operator, never VDIT_OK if the operator said otherwise. */
static vdit_status settle(vdit_run *run, const vdit_backend *all, vdit_status status)
{
    if (status != VDIT_OK && vdit_run_status(run) == VDIT_OK)
        vdit_run_fail(run, status, "backend %s: %s, without a message", all->name,
                      vdit_status_name(status));
    return vdit_run_status(run);
}

vdit_status vdit_backend_linear(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                                const vdit_tensor *x, const vdit_tensor *w, const vdit_tensor *b)
{
    vdit_backend all = whole(run, backend);

    return settle(run, &all, all.linear(run, y, x, w, b));
}

vdit_status vdit_backend_matmul(vdit_run *run, const vdit_backend *backend, vdit_tensor *c,
                                const vdit_tensor *a, const vdit_tensor *b)
{
    vdit_backend all = whole(run, backend);

    return settle(run, &all, all.matmul(run, c, a, b));
}

vdit_status vdit_backend_exp(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                             const vdit_tensor *x)
{
    vdit_backend all = whole(run, backend);

    return settle(run, &all, all.exp(run, y, x));
}

vdit_status vdit_backend_log(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                             const vdit_tensor *x)
{
    vdit_backend all = whole(run, backend);

    return settle(run, &all, all.log(run, y, x));
}

vdit_status vdit_backend_conv(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                              const vdit_tensor *x, const vdit_tensor *w, const vdit_tensor *b,
                              const vdit_conv_walk *walk)
{
    vdit_backend all = whole(run, backend);

    return settle(run, &all, all.conv(run, y, x, w, b, walk));
}

vdit_status vdit_backend_layer_norm(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                                    const vdit_tensor *x, const vdit_tensor *w,
                                    const vdit_tensor *b, double eps)
{
    vdit_backend all = whole(run, backend);

    return settle(run, &all, all.layer_norm(run, y, x, w, b, eps));
}

vdit_status vdit_backend_rms_norm(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                                  const vdit_tensor *x, const vdit_tensor *w, double eps)
{
    vdit_backend all = whole(run, backend);

    return settle(run, &all, all.rms_norm(run, y, x, w, eps));
}

vdit_status vdit_backend_group_norm(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                                    const vdit_tensor *x, size_t groups, const vdit_tensor *w,
                                    const vdit_tensor *b, double eps)
{
    vdit_backend all = whole(run, backend);

    return settle(run, &all, all.group_norm(run, y, x, groups, w, b, eps));
}

vdit_status vdit_backend_activate(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                                  const vdit_tensor *x, vdit_activation f)
{
    vdit_backend all = whole(run, backend);

    return settle(run, &all, all.activate(run, y, x, f));
}

vdit_status vdit_backend_activate_gated(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                                        const vdit_tensor *x, vdit_activation f)
{
    vdit_backend all = whole(run, backend);

    return settle(run, &all, all.activate_gated(run, y, x, f));
}

vdit_status vdit_backend_add(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                             const vdit_tensor *x, const vdit_tensor *z)
{
    vdit_backend all = whole(run, backend);

    return settle(run, &all, all.add(run, y, x, z));
}

vdit_status vdit_backend_modulate(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                                  const vdit_tensor *x, const vdit_tensor *scale,
                                  const vdit_tensor *shift)
{
    vdit_backend all = whole(run, backend);

    return settle(run, &all, all.modulate(run, y, x, scale, shift));
}

vdit_status vdit_backend_gated_add(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                                   const vdit_tensor *x, const vdit_tensor *gate,
                                   const vdit_tensor *z)
{
    vdit_backend all = whole(run, backend);

    return settle(run, &all, all.gated_add(run, y, x, gate, z));
}

vdit_status vdit_backend_rotary(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                                const vdit_tensor *x, const vdit_tensor *cosine,
                                const vdit_tensor *sine)
{
    vdit_backend all = whole(run, backend);

    return settle(run, &all, all.rotary(run, y, x, cosine, sine));
}

vdit_status vdit_backend_attention(vdit_run *run, const vdit_backend *backend,
                                   const vdit_attention *a)
{
    vdit_backend all = whole(run, backend);

    if (a->edits != NULL)
        all.attention = all.edited;
    if (all.attention == vdit_attention_reference)
        return vdit_attention_reference(run, a);
    if (vdit_attention_check(run, a) != VDIT_OK)
        return vdit_run_status(run);
    if (a->sigma != NULL)
        return vdit_run_fail(run, VDIT_ERR_UNSUPPORTED,
                             "backend %s: sigma is the reference's alone", all.name);
    return settle(run, &all, all.attention(run, a));
}
