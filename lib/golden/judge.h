/* judge.h - what the files of the judge share (lib/vdit/judge.h). */
#ifndef VDIT_GOLDEN_JUDGE_H
#define VDIT_GOLDEN_JUDGE_H

#include <vdit/judge.h>

/* Returns: the distance of a and b, finite values of a float dtype, in units of the last place. */
double vdit_ulps_between(vdit_dtype dtype, double a, double b);

/* Returns: the unit roundoff of a float dtype, 2^-p for p significant bits. */
double vdit_dtype_roundoff(vdit_dtype dtype);

/* Returns: the element at index, as binary64. */
double vdit_number_at(const vdit_tensor *t, const size_t *index);

/* Out: out, the last axis of t [B,H,N,d] at [b, h, i], as binary64. */
void vdit_row_load(double *out, const vdit_tensor *t, size_t b, size_t h, size_t i);

/* What an attention golden's keys are: which are valid is said by key_length and mask. */
typedef struct vdit_call {
    const vdit_tensor *q, *k, *v, *mask, *key_length, *rows;
    double scale;
    size_t batches, heads, row_count, keys, width, value_width;
} vdit_call;

/* Out: call. In: golden, an attention case. Returns: VDIT_OK, or VDIT_ERR_SHAPE. */
vdit_status vdit_call_read(vdit_run *run, vdit_call *call, const vdit_golden *golden);

/* Returns: the query row that row r of the output stands for. */
size_t vdit_call_row(const vdit_call *call, size_t r);

/* Out: masks[keys], what is added to the logits: -inf at keys that are not valid. */
void vdit_call_masks(const vdit_call *call, double *masks, size_t batch, size_t head, size_t r);

/*
 * The mean of V over the valid keys of each row, rounded to the golden's dtype.
 * Out: mean, the shape of golden; exact is set to 1 if golden is that mean, up to one rounding.
 */
vdit_status vdit_call_mean(vdit_run *run, vdit_tensor *mean, int *exact, const vdit_call *call,
                           const vdit_tensor *golden);

/* Out: sigma, f64 [B,H,R], of the log-sum-exp under noise. */
vdit_status vdit_call_lse_sigma(vdit_run *run, vdit_tensor *sigma, const vdit_call *call,
                                const vdit_tensor *lse, const vdit_noise *noise);

/*
 * The 2x rule: the backend's largest error over that of attention computed plainly in the inputs'
 * half precision (logits, map and output each rounded), on evenly spread rows.
 * Out: ratio; NaN for f32 or if the plain one has no error. In: golden, actual, of one shape.
 */
vdit_status vdit_call_ratio(vdit_run *run, double *ratio, const vdit_call *call,
                            const vdit_tensor *golden, const vdit_tensor *actual);

#endif
