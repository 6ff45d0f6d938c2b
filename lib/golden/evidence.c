/* evidence.c - the map of a golden's call, and the errors of its rows. */
#include <string.h>
#include "golden/evidence.h"
#include "golden/planned.h"

#define MOST_BYTES 0x1p32

static vdit_status make_map(vdit_run *run, vdit_evidence *ev, const vdit_golden *golden)
{
    const size_t shape[] = {ev->B, ev->H, ev->R, ev->Nk};
    double bytes = 4.0 * (double)ev->B * (double)ev->H * (double)ev->R * (double)ev->Nk;
    vdit_attention call;

    if (!(bytes <= MOST_BYTES))
        return vdit_run_fail(run, VDIT_ERR_LIMIT,
                             "%s: to judge its decisions takes a map of %.3g bytes, at most %.3g",
                             golden->name, bytes, MOST_BYTES);
    if (vdit_planned_call(run, &call, golden) != VDIT_OK ||
        vdit_tensor_new(run, &ev->map, VDIT_F32, 4, shape) != VDIT_OK)
        return vdit_run_status(run);
    call.map = &ev->map;
    return vdit_attention_reference(run, &call);
}

vdit_status vdit_evidence_make(vdit_run *run, vdit_evidence *evidence, const vdit_golden *golden,
                               const vdit_call *call, const vdit_contract *contract)
{
    vdit_evidence ev = {
        .B = call->batches, .H = call->heads, .R = call->row_count, .Nk = call->keys};
    const size_t shape[] = {ev.B, ev.H, ev.R, 1};
    vdit_noise noise = vdit_contract_noise(contract, call->keys);
    const vdit_tensor *lse = vdit_golden_find(golden, "lse");

    if (lse == NULL)
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: the golden has no lse", golden->name);
    if (make_map(run, &ev, golden) != VDIT_OK)
        return vdit_run_status(run);
    if (contract != vdit_contract_find("exact")) {
        vdit_call_lse_sigma(run, &ev.error, call, lse, &noise);
    } else if (vdit_tensor_new(run, &ev.error, VDIT_F64, 4, shape) == VDIT_OK) {
        memset(ev.error.data, 0, vdit_tensor_count(&ev.error) * sizeof(double));
    }
    if (vdit_run_status(run) == VDIT_OK)
        *evidence = ev;
    return vdit_run_status(run);
}

const float *vdit_evidence_row(const vdit_evidence *evidence, size_t b, size_t h, size_t r)
{
    const size_t index[] = {b, h, r, 0};

    return vdit_tensor_at(&evidence->map, index);
}

double vdit_evidence_error(const vdit_evidence *evidence, size_t b, size_t h, size_t r)
{
    const size_t index[] = {b, h, r, 0};

    return 2 * *(const double *)vdit_tensor_at(&evidence->error, index);
}

double vdit_evidence_most(const vdit_evidence *evidence, size_t b, size_t h)
{
    double most = 0;

    for (size_t r = 0; r < evidence->R; r++) {
        double e = vdit_evidence_error(evidence, b, h, r);
        most = e > most ? e : most;
    }
    return most;
}
