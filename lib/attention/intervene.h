/*
 * attention/intervene.h - attention under edits: each head becomes a call of its own.
 */
#ifndef VDIT_ATTENTION_INTERVENE_H
#define VDIT_ATTENTION_INTERVENE_H

#include "attention/edited.h"

/* The reference without edits after the softmax: of those, only what acts before it is read. The call was checked. */
vdit_status vdit_attention_plain(vdit_run *run, const vdit_attention *call);

/* The reference of a call with edits, which was checked. */
vdit_status vdit_attention_edited(vdit_run *run, const vdit_attention *call);

/* Fails where an edit of the call has a value or a shape that does not fit, naming it. */
vdit_status vdit_edits_check(vdit_run *run, const vdit_attention *call);

#endif
