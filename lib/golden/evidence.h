/*
 * golden/evidence.h - what tells whether another choice than the golden's is honest: the map of the call, and
 * how far an honest kernel's entries may lie from it.
 *
 * An entry is a_ij = exp(s_ij - lse_i). Where a logit and the log-sum-exp are off by e_i each, it is off by 2 e_i a_ij.
 * A choice between two numbers is clear if they lie further apart than the limit of z times that.
 */
#ifndef VDIT_GOLDEN_EVIDENCE_H
#define VDIT_GOLDEN_EVIDENCE_H

#include "golden/judge.h"

typedef struct vdit_evidence {
    vdit_tensor map;   /* f32 [B,H,R,Nk], before any mask after the softmax */
    vdit_tensor error; /* f64 [B,H,R,1]: e_i; 0 under the contract exact */
    size_t B, H, R, Nk;
} vdit_evidence;

/*
 * Out: evidence. In: golden, call, contract.
 * Returns: VDIT_OK, VDIT_ERR_LIMIT if the map of the case's rows takes more than 4 GiB, VDIT_ERR_MEMORY.
 */
vdit_status vdit_evidence_make(vdit_run *run, vdit_evidence *evidence, const vdit_golden *golden,
                               const vdit_call *call, const vdit_contract *contract);

/* Returns: the entries of a row of the map. */
const float *vdit_evidence_row(const vdit_evidence *evidence, size_t b, size_t h, size_t r);

/* Returns: the relative error of an entry of that row, 2 e_i. */
double vdit_evidence_error(const vdit_evidence *evidence, size_t b, size_t h, size_t r);

/* Returns: the largest relative error of an entry of that head. */
double vdit_evidence_most(const vdit_evidence *evidence, size_t b, size_t h);

/*
 * Judges which entries a backend's mask keeps.
 * Out: clear, 1 if the golden and actual differ in an entry that was clear, and reason then says in which;
 * flips, the number of others in which they differ. In: keep and actual, u8 [B,H,R,ceil(Nk/8)].
 */
vdit_status vdit_decision_judge(vdit_run *run, int *clear, size_t *flips, char *reason, size_t size,
                                const vdit_evidence *evidence, const vdit_golden *golden,
                                const vdit_tensor *actual);

/*
 * The golden's output and its sigma with the entries that another mask keeps.
 * Out: o, sigma (contract not exact). In: keep, u8 [B,H,R,ceil(Nk/8)].
 */
vdit_status vdit_decision_apply(vdit_run *run, vdit_tensor *o, vdit_tensor *sigma,
                                const vdit_golden *golden, const vdit_contract *contract,
                                const vdit_tensor *keep);

/* What a row's mask does: the entries that it drops and the mass that it keeps. */
typedef struct vdit_row_mask {
    double masked, mass;
} vdit_row_mask;

/* Returns: that of row r under a mask keep, of entries that are not 0. */
vdit_row_mask vdit_decision_row(const vdit_evidence *evidence, const vdit_tensor *keep, size_t b,
                                size_t h, size_t r);

/* Returns: the number and the mass of entries that are free. */
vdit_row_mask vdit_decision_free(const vdit_evidence *evidence, const vdit_golden *golden, size_t b,
                                 size_t h, size_t r);

/*
 * For a backend that does not say which entries it kept.
 * Out: wide, f64, sigma widened by what all entries that are not clear can move; the shape of sigma.
 */
vdit_status vdit_decision_widen(vdit_run *run, vdit_tensor *wide, const vdit_evidence *evidence,
                                const vdit_golden *golden, const vdit_tensor *sigma);

/*
 * Judges what a backend reports beside its output: of the golden's other outputs those that it has.
 * Out: judged, their number; reason, of the first that does not hold, else as it was.
 * In: contract, actual[count].
 */
vdit_status vdit_observed_judge(vdit_run *run, size_t *judged, char *reason, size_t size,
                                const vdit_evidence *evidence, const vdit_golden *golden,
                                const vdit_contract *contract, const vdit_named *actual,
                                size_t count);

#endif
