/*
 * edit_threshold.c - the operands of an edited call, and with whom its entries are sorted for a threshold.
 *
 * A threshold is that of all query rows, also where the call computes a few. The source call's operands and the
 * temperature are in place before; for the scope of all heads each takes them from this head's edit.
 */
#include <string.h>
#include "attention/intervene.h"
#include "attention/order.h"

void vdit_edit_operands(vdit_attention *call, const vdit_edit *edit)
{
    if ((edit->transfer & VDIT_FROM_Q) != 0)
        call->q = edit->source_q;
    if ((edit->transfer & VDIT_FROM_K) != 0)
        call->k = edit->source_k;
    if ((edit->transfer & VDIT_FROM_V) != 0)
        call->v = edit->source_v;
    if (edit->temperature > 0)
        call->scale /= edit->temperature;
}

/* What is sorted for a threshold: all query rows of some heads of a call. */
static void set_order(vdit_order *order, const vdit_attention *call, const vdit_edit *edit,
                      size_t heads)
{
    memset(order, 0, sizeof *order);
    order->facts.call = call;
    order->facts.blocks = edit->prunable;
    order->facts.count = heads;
    order->scope = edit->scope;
    order->ties = edit->ties;
}

/* Thresholds of all queries of the heads of call, as order.h says; quota is NULL but for a count. */
static vdit_status sort_entries(vdit_run *run, const vdit_attention *call, const vdit_edit *edit,
                                size_t heads, double **tau, uint64_t **quota)
{
    size_t count = heads * call->q->shape[2];
    vdit_order order;

    set_order(&order, call, edit, heads);
    vdit_layout_set(run, &order.facts.layout, &edit->tokens, call->q->shape[2], call->k->shape[2]);
    *tau = vdit_run_alloc(run, count, sizeof **tau);
    *quota = edit->ties == VDIT_TIES_COUNT ? vdit_run_alloc(run, count, sizeof **quota) : NULL;
    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    return vdit_order_thresholds(run, *tau, *quota, &order, edit->fraction);
}

/*
 * Thresholds over all heads of the call, each under this edit's operands: those of every query of head (b, h) begin
 * at (b H + h) Nq.
 */
static vdit_status sort_all(vdit_run *run, const vdit_attention *call, const vdit_edit *edit,
                            double **tau, uint64_t **quota)
{
    size_t H = call->q->shape[1], heads = H * call->q->shape[0];
    const vdit_edit **edits = vdit_run_alloc(run, H, sizeof *edits);
    vdit_attention all = *call;

    for (size_t h = 0; edits != NULL && h < H; h++)
        edits[h] = edit;
    all.edits = edits;
    vdit_edit_operands(&all, edit);
    return edits != NULL ? sort_entries(run, &all, edit, heads, tau, quota) : vdit_run_status(run);
}

static int sorts_all(const vdit_edit *edit)
{
    return edit != NULL && edit->prune == VDIT_PRUNE_FRACTION && edit->scope == VDIT_SCOPE_GLOBAL;
}

/* Heads whose edits are the same sort the same entries: that is done once. */
vdit_status vdit_edit_sort_all(vdit_run *run, const vdit_attention *call, vdit_thresholds *known)
{
    for (size_t h = 0; h < call->q->shape[1] && vdit_run_status(run) == VDIT_OK; h++) {
        size_t same = 0;

        known[h] = (vdit_thresholds){NULL, NULL};
        if (!sorts_all(call->edits[h]))
            continue;
        while (same < h && (known[same].tau == NULL ||
                            memcmp(call->edits[same], call->edits[h], sizeof *call->edits[h]) != 0))
            same++;
        if (same < h)
            known[h] = known[same];
        else
            sort_all(run, call, call->edits[h], &known[h].tau, &known[h].quota);
    }
    return vdit_run_status(run);
}

vdit_status vdit_edit_thresholds(vdit_run *run, const vdit_attention *call,
                                 const vdit_thresholds *all, size_t first, double **tau,
                                 uint64_t **quota)
{
    const vdit_edit *edit = call->edits[0];
    size_t rows = call->rows ? call->rows->shape[0] : call->q->shape[2];
    double *each = NULL;
    uint64_t *each_quota = NULL;

    *tau = NULL;
    *quota = NULL;
    if (edit->prune != VDIT_PRUNE_THRESHOLD && edit->prune != VDIT_PRUNE_FRACTION)
        return VDIT_OK;
    *tau = vdit_run_alloc(run, rows, sizeof **tau);
    if (sorts_all(edit)) {
        each = all->tau + first;
        each_quota = all->quota != NULL ? all->quota + first : NULL;
    } else if (edit->prune == VDIT_PRUNE_FRACTION) {
        sort_entries(run, call, edit, 1, &each, &each_quota);
    }
    if (each_quota != NULL)
        *quota = vdit_run_alloc(run, rows, sizeof **quota);
    for (size_t r = 0; vdit_run_status(run) == VDIT_OK && r < rows; r++) {
        size_t index[3] = {0, 0, edit->threshold != NULL && edit->threshold->shape[2] == 1 ? 0 : r};
        size_t query = vdit_query_at(call, r);

        if (each == NULL)
            vdit_load_f64(&(*tau)[r], 1, vdit_tensor_at(edit->threshold, index), 1, VDIT_F32);
        else
            (*tau)[r] = each[query];
        if (*quota != NULL)
            (*quota)[r] = each_quota[query];
    }
    return vdit_run_status(run);
}
