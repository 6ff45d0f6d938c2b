/* attention/meter_call.h - the head that is measured, as a call of its own. */
#ifndef VDIT_ATTENTION_METER_CALL_H
#define VDIT_ATTENTION_METER_CALL_H

#include "attention/meter.h"

/* A call of one head, B = H = 1; it must not move. */
typedef struct vdit_head_call {
    vdit_attention call;
    vdit_tensor q, k, v, mask, key_length;
    vdit_edit edit;
    const vdit_edit *edits[1];
} vdit_head_call;

/*
 * Out: one, with o (NULL or a tensor [1,1,R,dv]) as its only output. Of an edit it has what acts before the
 * softmax, which is what meters see.
 */
void vdit_head_call_set(vdit_head_call *one, const vdit_head *head, vdit_tensor *o);

#endif
