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

/* Steps 1 and 2 of an edit: operands of the source call, and the temperature in the scale. */
void vdit_edit_operands(vdit_attention *call, const vdit_edit *edit);

/* Thresholds of every query of every head of a call: those of head (b, h) begin at (b H + h) Nq. quota: NULL, but
   for a count of equal ones. */
typedef struct vdit_thresholds {
    double *tau;
    uint64_t *quota;
} vdit_thresholds;

/*
 * Out: known[H], for each head whose entries are sorted with those of all others; NULL elsewhere; in the run's memory.
 * In: call with its edits. Returns: VDIT_OK or the failure.
 */
vdit_status vdit_edit_sort_all(vdit_run *run, const vdit_attention *call, vdit_thresholds *known);

/*
 * Out: tau[R], what the entries of each row are compared with, NULL where nothing is; quota[R] where equal ones are
 * counted, else NULL; in the run's memory. In: call, a head with its operands in place; all, of its
 * edit, and the place of its first query in it.
 * Returns: VDIT_OK or the failure.
 */
vdit_status vdit_edit_thresholds(vdit_run *run, const vdit_attention *call,
                                 const vdit_thresholds *all, size_t first, double **tau,
                                 uint64_t **quota);

/* Out: bits [1,1,R,ceil(Nk/8)], the keys of each row's largest logit: temperature 0. In: call, one head. */
vdit_status vdit_edit_argmax(vdit_run *run, const vdit_attention *call, vdit_tensor *bits);

/*
 * Out: sigma of one head (B = H = 1) whose o has been computed, under an edit that blends or masks after the softmax.
 * In: call; tau and quota as in compose.h. Returns: VDIT_OK or the failure.
 */
vdit_status vdit_edit_sigma(vdit_run *run, const vdit_attention *call, const double *tau,
                            const uint64_t *quota);

/*
 * Out: near[R][2], f32 each: an entry of row r from the first on and below the second is so near to tau[r] that the
 * noise of the call's contract, eight times over, could move it across.
 */
void vdit_edit_near(const vdit_attention *call, const double *tau, double *near);

/*
 * Adds to cost what the edits of a call take beyond plain attention: passes over the map in flops and entries, and the
 * memory of the head that needs most.
 */
void vdit_edits_estimate(vdit_attention_cost *cost, const vdit_run *run,
                         const vdit_attention *call);

/* Fails where an edit of the call has a value or a shape that does not fit, naming it. */
vdit_status vdit_edits_check(vdit_run *run, const vdit_attention *call);

#endif
