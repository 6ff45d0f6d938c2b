/*
 * attention/weigh.h - the arithmetic of stage 1: exact slices, and weights as sums of two doubles.
 */
#ifndef VDIT_ATTENTION_WEIGH_H
#define VDIT_ATTENTION_WEIGH_H

#include <stddef.h>

/* |error| of a weight relative to it, in units of 2^-53, beside what its logit's error makes. */
#define VDIT_WEIGH_UNITS 0.15

/*
 * Cuts the vectors of a panel [n][lanes], lanes <= VDIT_KERNEL_NR_MAX: high is x to bits bits below the
 * power of two above the vector's max |x|, low the rest; both are exact.
 */
void vdit_slice(size_t n, size_t lanes, int bits, const double *x, double *high, double *low);

/*
 * For lanes queries and keys in panels [keys][lanes], in place: with y = scale (high + low) + mask - top,
 * (high, low) becomes e^y, an exact 0 below e^-690; and the sums of e^y and (e^y)^2 go on.
 * Out: high, low; sum_high, sum_low, square [lanes]. In: mask NULL or [keys][lanes], natural units.
 */
void vdit_weigh(size_t keys, size_t lanes, double scale, const double *mask, const double *top,
                double *high, double *low, double *sum_high, double *sum_low, double *square);

/*
 * (sum_high + sum_low) += sum_j (p_high[j] + p_low[j]) v[j], compensated: the error is below
 * 4 n^2 2^-106 sum p |v|. In: n a multiple of 8.
 */
void vdit_weigh_values(size_t n, const double *p_high, const double *p_low, const double *v,
                       double *sum_high, double *sum_low);

#endif
