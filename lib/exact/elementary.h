/*
 * exact/elementary.h - e^x and ln x in binary64 with a proved relative error (doc/numerics.md,
 * section 3).
 *
 * Only + - * / and exact operations, in a fixed order: the same bits on every machine.
 */
#ifndef VDIT_EXACT_ELEMENTARY_H
#define VDIT_EXACT_ELEMENTARY_H

/* Both functions return the real value times 1 + t with |t| <= this. */
#define VDIT_ESTIMATE_ERROR 0x1p-50

/* ln 2 in two parts: the upper has 42 bits, so its product with an integer of 11 bits is exact. */
#define VDIT_LN2_HIGH 0x1.62e42fefa38p-1
#define VDIT_LN2_LOW  0x1.ef35793c7673p-45

/* Returns: about e^x. In: |x| <= 700, x a multiple of 2^-1000. */
double vdit_exp_estimate(double x);

/* Returns: about ln x; exactly 0 for x = 1. In: x positive, finite, 2^-1000 <= x. */
double vdit_log_estimate(double x);

#endif
