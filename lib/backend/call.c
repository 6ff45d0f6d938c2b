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

/* Returns: the run's status after an operator, never VDIT_OK if the operator said otherwise. */
static vdit_status settle(vdit_run *run, const vdit_backend *known, vdit_status status)
{
    if (status != VDIT_OK && vdit_run_status(run) == VDIT_OK)
        vdit_run_fail(run, status, "backend %s: %s, without a message", known->name,
                      vdit_status_name(status));
    return vdit_run_status(run);
}

vdit_status vdit_backend_linear(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                                const vdit_tensor *x, const vdit_tensor *w, const vdit_tensor *b)
{
    vdit_backend known = vdit_backend_known(backend);

    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    return settle(run, &known, (known.linear ? known.linear : vdit_linear)(run, y, x, w, b));
}

vdit_status vdit_backend_matmul(vdit_run *run, const vdit_backend *backend, vdit_tensor *c,
                                const vdit_tensor *a, const vdit_tensor *b)
{
    vdit_backend known = vdit_backend_known(backend);

    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    return settle(run, &known, (known.matmul ? known.matmul : vdit_matmul)(run, c, a, b));
}

vdit_status vdit_backend_exp(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                             const vdit_tensor *x)
{
    vdit_backend known = vdit_backend_known(backend);

    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    return settle(run, &known, (known.exp ? known.exp : vdit_exp)(run, y, x));
}

vdit_status vdit_backend_log(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                             const vdit_tensor *x)
{
    vdit_backend known = vdit_backend_known(backend);

    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    return settle(run, &known, (known.log ? known.log : vdit_log)(run, y, x));
}

vdit_status vdit_backend_attention(vdit_run *run, const vdit_backend *backend,
                                   const vdit_attention *a)
{
    vdit_backend known = vdit_backend_known(backend);

    if (a->edits != NULL)
        known.attention = known.edited;
    if (known.attention == NULL || known.attention == vdit_attention_reference)
        return vdit_attention_reference(run, a);
    if (vdit_run_status(run) != VDIT_OK || vdit_attention_check(run, a) != VDIT_OK)
        return vdit_run_status(run);
    if (a->sigma != NULL)
        return vdit_run_fail(run, VDIT_ERR_UNSUPPORTED,
                             "backend %s: sigma is the reference's alone", known.name);
    return settle(run, &known, known.attention(run, a));
}
