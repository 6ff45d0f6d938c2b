/*
 * golden/planned.h - a case with a plan: the edits of its heads, and the tensors that they take.
 *
 * The plan's files are tensors of the case by name (vdit-recipe(5), PLANS), and a transfer or a mix takes
 * q, k and v of a source call.
 */
#ifndef VDIT_GOLDEN_PLANNED_H
#define VDIT_GOLDEN_PLANNED_H

#include <vdit/golden.h>
#include <vdit/plan.h>

/*
 * Checks that the text is a plan, of one site or several, whose files a case has.
 * In: where (for messages). Returns: VDIT_OK, VDIT_ERR_FORMAT, VDIT_ERR_MEMORY.
 */
vdit_status vdit_planned_check(vdit_run *run, const char *text, const char *where);

/*
 * Adds the tensors that the plan of a case takes, if it has one, and its meters to the golden's inputs, which are
 * q, k, v and what mask, key_length and rows say. Out: golden. In: c. Returns: VDIT_OK, VDIT_ERR_MEMORY, VDIT_ERR_FORMAT.
 */
vdit_status vdit_planned_add(vdit_run *run, vdit_golden *golden, const vdit_case *c);

/*
 * Out: call, that the golden's inputs and plan make, without outputs. In: golden with its inputs.
 * Returns: VDIT_OK or the failure.
 */
vdit_status vdit_planned_call(vdit_run *run, vdit_attention *call, const vdit_golden *golden);

/*
 * Puts a mask of entries in the place of the ranks by which the call's edits mask. Edits that mask in no such
 * way stay. In: call; keep, u8 [B,H,R,ceil(Nk/8)], which must stay while call is used.
 */
vdit_status vdit_planned_freeze(vdit_run *run, vdit_attention *call, const vdit_tensor *keep);

/* Leaves of the call's edits what makes the map and the mask, and the gate: o is then a masked sum of v. */
vdit_status vdit_planned_mask_only(vdit_run *run, vdit_attention *call);

#endif
