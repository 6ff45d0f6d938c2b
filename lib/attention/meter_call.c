/* meter_call.c - one head of a call as a call of its own. */
#include "attention/meter_call.h"

/* Returns: the part of a tensor that belongs to a head; an axis of extent 1 serves all. */
static vdit_tensor slice(const vdit_tensor *t, const vdit_head *head)
{
    vdit_tensor part = *t;
    size_t index[4] = {t->shape[0] == 1 ? 0 : head->b, 0, 0, 0};

    if (t->rank > 1)
        index[1] = t->shape[1] == 1 ? 0 : head->h;
    if (vdit_tensor_count(t) > 0)
        part.data = vdit_tensor_at(t, index);
    part.shape[0] = 1;
    if (t->rank > 1)
        part.shape[1] = 1;
    return part;
}

/* The head's edit without what acts on operands or after the softmax. */
static void set_edit(vdit_head_call *one, const vdit_edit *edit)
{
    vdit_edit plain;

    vdit_edit_init(&plain);
    plain.tokens = edit->tokens;
    plain.keys = edit->keys;
    plain.first_text = edit->first_text;
    if (edit->pattern_moment == VDIT_BEFORE_SOFTMAX) {
        plain.patterns = edit->patterns;
        plain.pattern_count = edit->pattern_count;
        plain.text_masked = edit->text_masked;
    }
    if (edit->block_moment == VDIT_BEFORE_SOFTMAX)
        plain.dropped_blocks = edit->dropped_blocks;
    one->edit = plain;
}

void vdit_head_call_set(vdit_head_call *one, const vdit_head *head, vdit_tensor *o)
{
    const vdit_attention *call = head->call;

    one->call = *call;
    one->q = slice(call->q, head);
    one->k = slice(call->k, head);
    one->v = slice(call->v, head);
    one->call.q = &one->q;
    one->call.k = &one->k;
    one->call.v = &one->v;
    if (call->mask != NULL) {
        one->mask = slice(call->mask, head);
        one->call.mask = &one->mask;
    }
    if (call->key_length != NULL) {
        one->key_length = slice(call->key_length, head);
        one->call.key_length = &one->key_length;
    }
    one->call.o = o;
    one->call.lse = one->call.map = one->call.sigma = NULL;
    one->call.report = NULL;
    one->call.edits = NULL;
    vdit_edit_init(&one->edit);
    if (head->edit != NULL) {
        set_edit(one, head->edit);
        one->edits[0] = &one->edit;
        one->call.edits = one->edits;
    }
}
