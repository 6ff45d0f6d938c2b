/*
 * exact/accumulator.h - an exact fixed-point accumulator: sums of products without any rounding.
 *
 * It holds every number that sums of products of two f32 values, times a scale of 53 bits, can
 * reach: multiples of 2^-512 below 2^448 in magnitude. A sum of products is then a fact, and so are
 * its sign, a tie, and a zero. Source: U. Kulisch, "Computer Arithmetic and Validity", 2nd ed.,
 * 2013, ch. 8.
 */
#ifndef VDIT_EXACT_ACCUMULATOR_H
#define VDIT_EXACT_ACCUMULATOR_H

#include <vdit/tensor.h>

#define VDIT_ACC_LIMBS 32
#define VDIT_ACC_LOW   (-512) /* limb[0] counts units of 2^-512 */

/*
 * The value is sum_i limb[i] 2^(32 i - 512). Carries are deferred: after n additions since the last
 * normalisation each |limb| is below (n + 1) 2^32; pending is n, kept below 2^30.
 */
typedef struct vdit_acc {
    int64_t limb[VDIT_ACC_LIMBS];
    uint32_t pending;
} vdit_acc;

/* Out: a = 0. */
void vdit_acc_zero(vdit_acc *a);

/* Out: a += x, exactly. In: x finite, a multiple of 2^-512, |x| < 2^400. */
void vdit_acc_add(vdit_acc *a, double x);

/*
 * Out: a += x y, exactly. In: x and y finite; their lowest bits multiply to 2^-512 or more, and
 * |x y| < 2^400.
 */
void vdit_acc_add_product(vdit_acc *a, double x, double y);

/*
 * Out: out += in * scale, exactly; out and in are different. In: the lowest bits of in and scale
 * multiply to 2^-512 or more, and |in * scale| < 2^448.
 */
void vdit_acc_add_scaled(vdit_acc *out, const vdit_acc *in, double scale);

/* Out: a -= b, exactly; a may be b. */
void vdit_acc_sub(vdit_acc *a, const vdit_acc *b);

/* Returns: -1, 0 or 1 with the sign of a. */
int vdit_acc_sign(const vdit_acc *a);

/* Out: |a| in 32-bit limbs of the same weights. Returns: the sign of a. */
int vdit_acc_magnitude(uint32_t limb[VDIT_ACC_LIMBS], const vdit_acc *a);

/*
 * Returns: a rounded once to nearest-even in dtype (f64, f32, bf16, f16), as binary64. Zero gives
 * +0; what rounds to zero keeps its sign; overflow gives infinity.
 */
double vdit_acc_round(const vdit_acc *a, vdit_dtype dtype);

/* Returns: a / divisor, rounded once in the same way. In: divisor > 0. */
double vdit_acc_round_quotient(const vdit_acc *a, uint64_t divisor, vdit_dtype dtype);

#endif
