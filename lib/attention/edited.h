/*
 * attention/edited.h - one head under an edit that blends or masks after the softmax: the three stages.
 */
#ifndef VDIT_ATTENTION_EDITED_H
#define VDIT_ATTENTION_EDITED_H

#include "attention/compose.h"

/* What of the call's report belongs to one head: [1,1,R] or [1,1,R,n]; each may be NULL. */
typedef vdit_edit_report vdit_head_report;

/*
 * Computes o of one head (B = H = 1, its edit not off), and its report.
 * In: call; tau and quota as in compose.h; report: NULL or its tensors. Returns: VDIT_OK or the failure.
 */
vdit_status vdit_edited_head(vdit_run *run, const vdit_attention *call, const double *tau,
                             const uint64_t *quota, const vdit_head_report *report);

#endif
