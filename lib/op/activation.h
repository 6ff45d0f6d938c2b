/*
 * op/activation.h - the nonlinear functions f of the networks, and x f(z) rounded once (doc/numerics.md,
 * section 9).
 */
#ifndef VDIT_OP_ACTIVATION_H
#define VDIT_OP_ACTIVATION_H

#include <vdit/op.h>
#include "exact/mp.h"

/*
 * What is known of f(z) without computing it: f(z) = base (1 + t) where t has the sign of direction and |t| < 2^-54,
 * or t = 0. base has at most 25 bits.
 */
typedef struct vdit_known {
    double base;
    int direction; /* -1, 0, 1 */
} vdit_known;

/*
 * Out: known. In: f; z of at most 24 bits. Returns: 1 if f(z) is known: exactly, as a limit, as near z or z/2 as no
 * rounding test could tell, or as smaller than what any x could make it visible (then base is +-2^-600).
 */
int vdit_activation_known(vdit_known *known, vdit_activation f, double z);

/* Out: y = f(z) to 2^-170 of it. In: z for which it is not known. */
void vdit_activation_precise(vdit_mp *y, vdit_activation f, const vdit_mp *z);

/* The estimates of x f(z) are this close, relatively, with room for the roundings of the rounding test. */
#define VDIT_ACTIVATION_ERROR 0x1p-42

#define VDIT_ACTIVATION_PIECE 256 /* elements settled together */

/* Returns: x f(z) within 2^-50 less than the error above, where f(z) is not known and x finite and not 0; else anything. */
double vdit_activation_estimate(vdit_activation f, double x, double z);

/*
 * Out: y[i] = x[i] f(z[i]) rounded into dtype, as binary64, where the estimate proves it; else NaN.
 * In: n <= VDIT_ACTIVATION_PIECE; x and z any f32 numbers, infinities and NaN.
 */
void vdit_activation_settle(vdit_activation f, vdit_dtype dtype, size_t n, double *y,
                            const double *x, const double *z);

/*
 * Returns: x f(z), rounded once into dtype, as binary64. In: x and z of at most 24 bits, f32 numbers. Out: decided,
 * the counters of the stages.
 */
double vdit_activation_round(vdit_activation f, vdit_dtype dtype, double x, double z,
                             uint64_t decided[3]);

/* y = f(x) for each element, or y = x f(z) unless z is NULL. In: shapes and dtypes fit. */
typedef vdit_status vdit_activation_engine(vdit_run *run, vdit_activation f, vdit_tensor *y,
                                           const vdit_tensor *x, const vdit_tensor *z);

/* vdit_activate and vdit_activate_gated, checks included, by an engine. */
vdit_status vdit_activate_by(vdit_run *run, vdit_activation_engine *engine, vdit_tensor *y,
                             const vdit_tensor *x, vdit_activation f);
vdit_status vdit_activate_gated_by(vdit_run *run, vdit_activation_engine *engine, vdit_tensor *y,
                                   const vdit_tensor *x, vdit_activation f);

#endif
