/*
 * op/norm.h - y = (x - m) r w + b over sets of elements, r = 1 / sqrt(s + eps): what layer, RMS and group norm
 * share. Bounds: doc/numerics.md, 10.4.
 */
#ifndef VDIT_OP_NORM_H
#define VDIT_OP_NORM_H

#include "exact/accumulator.h"
#include "exact/mp.h"
#include "exact/pair.h"
#include "op/lines.h"

/*
 * A call. A set is `runs` rows of `length` elements; the rows of x, y, w and b are those of set 0, and lie
 * x_set[i], y_set[i], w_set[i] and b_set[i] elements further in set i. w and b without data are 1 and 0.
 */
typedef struct vdit_norm {
    int centred; /* m is the mean and s the mean square of x - m; else m = 0 */
    double eps;
    size_t sets, runs, length;
    vdit_lines x, y, w, b;
    const ptrdiff_t *x_set, *y_set, *w_set, *b_set;
} vdit_norm;

/* What binary64 knows of a set. */
typedef struct vdit_norm_estimate {
    double mean, scale; /* of m and r */
    double size;        /* at least sum |x|; not finite if some x is not */
    double square; /* sum (x - mean)^2: 0 only if all x are equal to the mean; not finite as size */
    /* (x - mean) scale w errs by at most t_error of itself and w_error |w| */
    double t_error, w_error;
} vdit_norm_estimate;

/* What the later stages know of a set, each computed when first asked for. */
typedef struct vdit_norm_open {
    const vdit_norm *norm; /* with the rows of the set at hand */
    const vdit_norm_estimate *estimate;
    int paired, exact;
    vdit_pair mean, scale;   /* stage 1 */
    double t_error, w_error; /* as above; t_error is infinite where stage 1 is of no use */
    vdit_acc sum;            /* stage 2: sum x */
    vdit_mp root;            /* sqrt(s + eps), times the number of elements if centred */
} vdit_norm_open;

/* Returns: elements of a set. */
size_t vdit_norm_count(const vdit_norm *norm);

/* Returns: the call with the rows of one set, which is its set 0. */
vdit_norm vdit_norm_at(const vdit_norm *norm, size_t set);

/* Out: estimate, of the call's set 0. */
void vdit_norm_estimate_set(vdit_norm_estimate *estimate, const vdit_norm *norm);

/*
 * Returns: the element with these x, w, b, rounded by the first stage that can. In: a set whose estimate has
 * finite size. Out: decided, the stage counters, is added to.
 */
double vdit_norm_open_round(vdit_norm_open *open, double x, double w, double b, uint64_t *decided);

/* Normalises one set. Out: its elements of y; decided. */
typedef void vdit_norm_fn(const vdit_norm *norm, size_t set, uint64_t *decided);

/* Each element rounded once. */
vdit_norm_fn vdit_norm_set;

/* vdit_layer_norm and its kin, checks included, by such a function. */
vdit_status vdit_layer_norm_by(vdit_run *run, vdit_norm_fn *fn, vdit_tensor *y,
                               const vdit_tensor *x, const vdit_tensor *w, const vdit_tensor *b,
                               double eps);
vdit_status vdit_rms_norm_by(vdit_run *run, vdit_norm_fn *fn, vdit_tensor *y, const vdit_tensor *x,
                             const vdit_tensor *w, double eps);
vdit_status vdit_group_norm_by(vdit_run *run, vdit_norm_fn *fn, vdit_tensor *y,
                               const vdit_tensor *x, size_t groups, const vdit_tensor *w,
                               const vdit_tensor *b, double eps);

#endif
