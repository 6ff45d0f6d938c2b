/*
 * attention/report.h - what an edited call says of a head beside its output, where no part of the edit says it.
 */
#ifndef VDIT_ATTENTION_REPORT_H
#define VDIT_ATTENTION_REPORT_H

#include "attention/edited.h"

/* Returns: 1 if something of the mask after the softmax is to be said. */
int vdit_report_is_wanted(const vdit_head_report *report);

/* Clears the report, whose bits are then set one by one. In: call, one head. */
void vdit_report_clear(const vdit_head_report *report, const vdit_attention *call);

/*
 * The report of a head without a mask after the softmax: what attends is kept, with mass 1, whatever the operands
 * hold. In: call, one head (B = H = 1); report, cleared. Returns: VDIT_OK or the failure.
 */
vdit_status vdit_report_plain(vdit_run *run, const vdit_head_report *report,
                              const vdit_attention *call);

/*
 * Out: mass [1,1,R], of the map without masks before the softmax on the entries that these keep. In: call, one head
 * with its edit, no report. Returns: VDIT_OK or the failure.
 */
vdit_status vdit_report_dense(vdit_run *run, vdit_tensor *mass, const vdit_attention *call);

#endif
