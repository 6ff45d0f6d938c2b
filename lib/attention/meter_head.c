/*
 * meter_head.c - one head of the call that is measured, as a call of its own: the part of each tensor, and of an edit
 * what acts before the softmax (operands of a source call, temperature, sets of keys, masks there).
 */
#include <math.h>
#include <string.h>
#include "attention/intervene.h"
#include "attention/meter.h"

/* Out: part, head (b, h) of t, [B,H,...] or [B]; an extent of 1 stands for all. Returns: part; NULL for NULL. */
static const vdit_tensor *cut(vdit_tensor *part, const vdit_tensor *t, size_t b, size_t h)
{
    size_t index[VDIT_MAX_RANK] = {0};

    if (t == NULL)
        return NULL;
    *part = *t;
    index[0] = t->shape[0] == 1 ? 0 : b;
    part->shape[0] = 1;
    if (t->rank > 1) {
        index[1] = t->shape[1] == 1 ? 0 : h;
        part->shape[1] = 1;
    }
    part->data = vdit_tensor_at(t, index);
    return part;
}

/* Out: to, what of an edit acts on entries before the softmax. */
static void keep_early(vdit_edit *to, const vdit_edit *edit)
{
    to->tokens = edit->tokens;
    to->keys = edit->keys;
    to->first_text = edit->first_text;
    to->text_masked = edit->text_masked;
    if (edit->pattern_moment == VDIT_BEFORE_SOFTMAX) {
        to->patterns = edit->patterns;
        to->pattern_count = edit->pattern_count;
    }
    if (edit->block_moment == VDIT_BEFORE_SOFTMAX)
        to->dropped_blocks = edit->dropped_blocks;
    if (edit->prune == VDIT_PRUNE_MASK && edit->keep_moment == VDIT_BEFORE_SOFTMAX) {
        to->prune = edit->prune;
        to->keep_moment = edit->keep_moment;
    }
}

void vdit_meter_cut(vdit_meter_head *one, const vdit_attention *call, size_t b, size_t h)
{
    vdit_tensor *part = one->part;
    const vdit_edit *edit = call->edits != NULL ? call->edits[h] : NULL;
    vdit_edit operands;

    one->call = *call;
    one->call.q = cut(part++, call->q, b, h);
    one->call.k = cut(part++, call->k, b, h);
    one->call.v = cut(part++, call->v, b, h);
    one->call.mask = cut(part++, call->mask, b, h);
    one->call.key_length = cut(part++, call->key_length, b, h);
    one->call.o = one->call.lse = one->call.map = one->call.sigma = NULL;
    one->call.edits = NULL;
    one->call.report = NULL;
    vdit_edit_init(&one->edit);
    if (edit == NULL || vdit_edit_is_off(edit))
        return;
    one->edits[0] = &one->edit;
    one->call.edits = one->edits;
    keep_early(&one->edit, edit);
    if (one->edit.prune == VDIT_PRUNE_MASK)
        one->edit.keep = cut(part++, edit->keep, b, h);
    operands = *edit;
    operands.source_q = cut(part++, edit->source_q, b, h);
    operands.source_k = cut(part++, edit->source_k, b, h);
    operands.source_v = cut(part++, edit->source_v, b, h);
    vdit_edit_operands(&one->call, &operands);
}

/* Whether something of the edit acts before the softmax, or on operands. */
static int is_early(const vdit_edit *edit)
{
    return edit->transfer != 0 || edit->temperature != 1 || edit->keys != NULL ||
           edit->first_text != 0 || vdit_pattern_acts(edit, VDIT_BEFORE_SOFTMAX) ||
           (edit->prune == VDIT_PRUNE_MASK && edit->keep_moment == VDIT_BEFORE_SOFTMAX);
}

vdit_status vdit_meter_check_edits(vdit_run *run, const vdit_attention *call)
{
    vdit_layout layout;

    for (size_t h = 0; call->edits != NULL && h < call->q->shape[1]; h++) {
        const vdit_edit *edit = call->edits[h];

        if (edit == NULL || !is_early(edit))
            continue;
        vdit_layout_set(run, &layout, &edit->tokens, call->q->shape[2], call->k->shape[2]);
        if (edit->temperature == 0)
            vdit_run_fail(run, VDIT_ERR_UNSUPPORTED,
                          "meters: the edit of head %zu has temperature 0, which leaves no softmax "
                          "to read",
                          h);
        if (edit->queries != VDIT_ANY && edit->queries != 0 && layout.query.text > 0)
            vdit_run_fail(run, VDIT_ERR_UNSUPPORTED,
                          "meters: the edit of head %zu changes the map of some queries alone, "
                          "which no meter follows",
                          h);
    }
    return vdit_run_status(run);
}

int vdit_meter_valid(const vdit_meter_engine *engine, size_t r, size_t j)
{
    const vdit_head *head = &engine->head;

    return j < vdit_key_length(head->call, head->b) && vdit_head_has_key(head, j) &&
           (!head->masked || vdit_head_mask(head, r, j) != -INFINITY);
}

size_t vdit_meter_valid_keys(const vdit_meter_engine *engine, size_t r)
{
    const vdit_head *head = &engine->head;
    size_t count = head->keys + head->odd_key_count;

    for (size_t j = 0; head->masked && j < engine->call->k->shape[2]; j++)
        count -= vdit_head_has_key(head, j) && j < vdit_key_length(head->call, head->b) &&
                 !vdit_meter_valid(engine, r, j);
    return count;
}
