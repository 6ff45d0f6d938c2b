/*
 * golden/observed.h - what a case reports beside its output: of the mask of its plan, and meters.
 */
#ifndef VDIT_GOLDEN_OBSERVED_H
#define VDIT_GOLDEN_OBSERVED_H

#include <vdit/golden.h>

/* The tensors of a report that a call fills. */
typedef struct vdit_observed {
    vdit_edit_report report;
    vdit_tensor tensors[5];
    const char *names[5];
    size_t count;
} vdit_observed;

/*
 * Prepares the report of an edited call: call->report, where an edit masks entries.
 * Out: observed, which must stay while the call runs. In: call with its edits.
 * Returns: VDIT_OK, VDIT_ERR_MEMORY.
 */
vdit_status vdit_observed_prepare(vdit_run *run, vdit_observed *observed, vdit_attention *call);

/* Appends what was observed to outputs, without what the backend left untouched. */
void vdit_observed_add(vdit_named *outputs, size_t *count, const vdit_observed *observed);

/*
 * Appends the results of the golden's meters, under "meter." and their names, to outputs.
 * In: call. Returns: VDIT_OK, VDIT_ERR_LIMIT if they are too many, or what the meters say.
 */
vdit_status vdit_observed_meter(vdit_run *run, vdit_named *outputs, size_t *count,
                                const vdit_golden *golden, const vdit_attention *call);

#endif
