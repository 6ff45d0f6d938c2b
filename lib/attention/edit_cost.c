/* edit_cost.c - what edits take: how often each head is passed over, and with how much memory. */
#include "attention/intervene.h"
#include "attention/order.h"

/* Passes over the keys of one head beside the plain call's: products with q and k, and with the values. */
typedef struct passes {
    double logits, values;
} passes;

static passes count_passes(const vdit_edit *edit)
{
    passes p = {0, 0};
    int after = edit->prune != VDIT_PRUNE_NONE || vdit_pattern_acts(edit, VDIT_AFTER_SOFTMAX);
    double own = edit->replace < 1 && (edit->mix < 1 || edit->mix_adds);

    if (edit->prune == VDIT_PRUNE_FRACTION)
        p.logits += 3; /* the sums of the rows, and two rounds of selection */
    if (edit->temperature == 0)
        p.logits += 2;
    if (own != 0 && after)
        p.logits += 1; /* the sums first, then the mask */
    if (edit->replace > 0 && edit->alpha > 0 && edit->identity != VDIT_IDENTITY_FULL)
        p.logits += 2;
    if (edit->replace > 0 && edit->alpha < 1 && edit->uniform == VDIT_UNIFORM_SEGMENTS)
        p.logits += 2;
    p.values = p.logits > 2 ? 1 : p.logits / 2;
    if (edit->mix > 0 && edit->source_map == NULL) {
        p.logits += own;
        p.values += own;
    }
    return p;
}

/* Memory of one head beyond the plain call's. */
static double head_bytes(const vdit_run *run, const vdit_attention *call, const vdit_edit *edit)
{
    double rows = (double)(call->rows ? call->rows->shape[0] : call->q->shape[2]);
    double keys = (double)call->k->shape[2], dv = (double)call->v->shape[3];
    double sources = 1 + (edit->key_weight != NULL) + (edit->mix > 0),
           threads = vdit_run_threads(run);
    double bytes = sources * (vdit_head_bytes(call) + threads * vdit_room_bytes(call) + 8 * rows) +
                   rows * (dv + 32) + threads * dv * VDIT_STREAM_PANELS * VDIT_KERNEL_NR_MAX * 32;
    vdit_order order = {.facts = {.call = call, .count = 1}, .scope = edit->scope};

    if (edit->prune == VDIT_PRUNE_FRACTION)
        bytes += vdit_order_bytes(run, &order, 1) + 16 * (double)call->q->shape[2];
    if (edit->temperature == 0)
        bytes += rows * (keys / 8 + 1);
    if (edit->key_weight != NULL || edit->align != NULL)
        bytes += 8 * keys * dv;
    return bytes;
}

void vdit_edits_estimate(vdit_attention_cost *cost, const vdit_run *run, const vdit_attention *call)
{
    double rows = (double)(call->rows ? call->rows->shape[0] : call->q->shape[2]);
    double entries = (double)call->q->shape[0] * rows * (double)call->k->shape[2], most = 0;

    for (size_t h = 0; h < call->q->shape[1]; h++) {
        passes p;
        double bytes;

        if (call->edits[h] == NULL || vdit_edit_is_off(call->edits[h]))
            continue;
        p = count_passes(call->edits[h]);
        cost->entries += entries * p.logits;
        cost->flops +=
            2 * entries *
            (p.logits * (double)call->q->shape[3] + p.values * (double)call->v->shape[3]);
        bytes = head_bytes(run, call, call->edits[h]);
        most = bytes > most ? bytes : most;
    }
    cost->bytes += most;
}
