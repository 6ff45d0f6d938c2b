/* observed.c - the report of an edited call and the results of meters, as tensors with names. */
#include <stdio.h>
#include <string.h>
#include <vdit/meter.h>
#include "golden/observed.h"

/* The bytes of what nobody wrote to: a NaN, or -1. */
#define UNSAID 0xff

/* Returns: 1 if entries are dropped after the softmax. */
static int masks_after(const vdit_edit *e)
{
    return e->prune != VDIT_PRUNE_NONE ||
           (e->pattern_count != 0 && e->pattern_moment == VDIT_AFTER_SOFTMAX) ||
           (e->dropped_blocks != 0 && e->block_moment == VDIT_AFTER_SOFTMAX);
}

/* Returns: 1 if entries are dropped before it. */
static int masks_before(const vdit_edit *e)
{
    return (e->pattern_count != 0 && e->pattern_moment == VDIT_BEFORE_SOFTMAX) ||
           (e->dropped_blocks != 0 && e->block_moment == VDIT_BEFORE_SOFTMAX);
}

/* Makes one tensor of the report. */
static void want(vdit_run *run, vdit_observed *observed, vdit_tensor **into, const char *name,
                 vdit_dtype dtype, int rank, const size_t *shape)
{
    vdit_tensor *t = &observed->tensors[observed->count];

    if (vdit_tensor_new(run, t, dtype, rank, shape) != VDIT_OK)
        return;
    memset(t->data, UNSAID, vdit_tensor_count(t) * vdit_dtype_size(dtype));
    *into = t;
    observed->names[observed->count++] = name;
}

vdit_status vdit_observed_prepare(vdit_run *run, vdit_observed *observed, vdit_attention *call)
{
    size_t rows = call->rows ? call->rows->shape[0] : call->q->shape[2];
    const size_t shape[] = {call->q->shape[0], call->q->shape[1], rows,
                            (call->k->shape[2] + 7) / 8};
    vdit_edit_report *report = &observed->report;
    int after = 0, before = 0, pruned = 0;

    memset(observed, 0, sizeof *observed);
    report->size = sizeof *report;
    for (size_t h = 0; call->edits != NULL && h < shape[1]; h++)
        if (call->edits[h] != NULL) {
            after |= masks_after(call->edits[h]);
            before |= masks_before(call->edits[h]);
            pruned |= call->edits[h]->prune == VDIT_PRUNE_FRACTION;
        }
    if (pruned)
        want(run, observed, &report->threshold, "used_threshold", VDIT_F32, 3, shape);
    if (after) {
        want(run, observed, &report->masked, "masked", VDIT_I64, 3, shape);
        want(run, observed, &report->kept_mass, "kept_mass", VDIT_F32, 3, shape);
        want(run, observed, &report->keep, "keep", VDIT_U8, 4, shape);
    }
    if (before)
        want(run, observed, &report->dense_mass, "dense_mass", VDIT_F32, 3, shape);
    if (observed->count != 0)
        call->report = report;
    return vdit_run_status(run);
}

/* Returns: 1 if a backend wrote to it. */
static int is_said(const vdit_tensor *t)
{
    const unsigned char *bytes = t->data;
    size_t size = vdit_tensor_count(t) * vdit_dtype_size(t->dtype), i = 0;

    while (i < size && bytes[i] == UNSAID)
        i++;
    return i < size;
}

void vdit_observed_add(vdit_named *outputs, size_t *count, const vdit_observed *observed)
{
    int said = 0;

    for (size_t i = 0; i < observed->count; i++) {
        if (observed->tensors[i].dtype !=
            VDIT_U8) /* bits may all be 1: they go with what is before them */
            said = is_said(&observed->tensors[i]);
        if (said)
            outputs[(*count)++] = (vdit_named){observed->names[i], observed->tensors[i]};
    }
}

vdit_status vdit_observed_meter(vdit_run *run, vdit_named *outputs, size_t *count,
                                const vdit_golden *golden, const vdit_attention *call)
{
    vdit_meter_request request;
    vdit_meter_results results;

    vdit_meter_request_init(&request, golden->meters);
    request.tokens = golden->tokens;
    request.other_q = vdit_golden_find(golden, "source_q");
    request.other_k = vdit_golden_find(golden, "source_k");
    if (vdit_meter_run(run, call, &request, &results) != VDIT_OK)
        return vdit_run_status(run);
    if (results.count > VDIT_GOLDEN_OUTPUTS - *count)
        return vdit_run_fail(run, VDIT_ERR_LIMIT, "%s: more than %d tensors", golden->name,
                             VDIT_GOLDEN_OUTPUTS);
    for (size_t i = 0; i < results.count; i++) {
        size_t size = sizeof "meter." + strlen(results.list[i].name);
        char *name = vdit_run_alloc(run, size, 1);
        if (name == NULL)
            return vdit_run_status(run);
        snprintf(name, size, "meter.%s", results.list[i].name);
        outputs[(*count)++] = (vdit_named){name, results.list[i].tensor};
    }
    return VDIT_OK;
}
