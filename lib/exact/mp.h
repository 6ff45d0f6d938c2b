/*
 * exact/mp.h - multi-precision floating point with a 192-bit significand, in integers alone.
 *
 * Each operation returns a number whose relative error is at most 2^-186 (proofs: doc/numerics.md,
 * section 4); the result is a function of the arguments, the same on every machine. Exponents are
 * 64-bit and must stay below 2^62 in magnitude: there is no overflow, underflow, infinity or NaN.
 * Outputs may be inputs.
 */
#ifndef VDIT_EXACT_MP_H
#define VDIT_EXACT_MP_H

#include "exact/accumulator.h"

#define VDIT_MP_LIMBS 6
#define VDIT_MP_BITS  192

/*
 * sign * 0.limb[5]limb[4]...limb[0] * 2^exponent: limb[0] is the lowest, the top bit of limb[5] is
 * set. Zero has sign 0 and all else 0.
 */
typedef struct vdit_mp {
    int64_t exponent;
    int sign; /* -1, 0, 1 */
    uint32_t limb[VDIT_MP_LIMBS];
} vdit_mp;

/* Out: out = x, exactly. In: x finite. */
void vdit_mp_from_f64(vdit_mp *out, double x);

/* Out: out = a, cut to 192 bits: relative error below 2^-191. */
void vdit_mp_from_acc(vdit_mp *out, const vdit_acc *a);

/* Out: sign * limb[n-1]...limb[0] * 2^exponent (an integer times a power), cut to 192 bits. */
void vdit_mp_from_limbs(vdit_mp *out, int sign, const uint32_t *limb, int n, int64_t exponent);

/* Out: out = -x. Exact. */
void vdit_mp_neg(vdit_mp *out, const vdit_mp *x);

/* Out: out = |x|. Exact. */
void vdit_mp_abs(vdit_mp *out, const vdit_mp *x);

/* Out: out = x * 2^power. Exact. */
void vdit_mp_scale(vdit_mp *out, const vdit_mp *x, int64_t power);

/* Out: out = x + y, x - y, x * y, x / y (y not 0). */
void vdit_mp_add(vdit_mp *out, const vdit_mp *x, const vdit_mp *y);
void vdit_mp_sub(vdit_mp *out, const vdit_mp *x, const vdit_mp *y);
void vdit_mp_mul(vdit_mp *out, const vdit_mp *x, const vdit_mp *y);
void vdit_mp_div(vdit_mp *out, const vdit_mp *x, const vdit_mp *y);

/* Returns: -1, 0 or 1 as x is below, equal to or above y. */
int vdit_mp_compare(const vdit_mp *x, const vdit_mp *y);

/* Out: out = the square root of x >= 0. */
void vdit_mp_sqrt(vdit_mp *out, const vdit_mp *x);

/*
 * Out: out = e^x. In: x < 2^30. The result is exactly 0 for x <= -2^30: a rule, far below what a sum
 * with a term e^0 = 1 can show.
 */
void vdit_mp_exp(vdit_mp *out, const vdit_mp *x);

/* Out: out = ln x. In: x > 0, its exponent below 2^30 in magnitude. ln 1 is exactly 0. */
void vdit_mp_log(vdit_mp *out, const vdit_mp *x);

/*
 * Out: out = ln(1 + d), to 2^-170 of it. In: d >= 0, its exponent below 2^30 in magnitude.
 */
void vdit_mp_log1p(vdit_mp *out, const vdit_mp *d);

/* Out: out = e^x - 1. In: |x| < 2^30. */
void vdit_mp_expm1(vdit_mp *out, const vdit_mp *x);

/* Out: out = tanh x. In: |x| < 2^29. */
void vdit_mp_tanh(vdit_mp *out, const vdit_mp *x);

/*
 * Out: out = 1 - erf x = 2/sqrt(pi) int_x^inf e^(-t t) dt, to 2^-185 (1 + x^2) of it. In: |x| <= 14.
 */
void vdit_mp_erfc(vdit_mp *out, const vdit_mp *x);

/*
 * Out: out = sin x, cos x. In: |x| < 2^30. The error is at most 2^-186 of the value, and 2^-417: the latter
 * counts only where x is within 2^-231 of a multiple of pi/2 other than 0. sin x is below x in size.
 */
void vdit_mp_sin(vdit_mp *out, const vdit_mp *x);
void vdit_mp_cos(vdit_mp *out, const vdit_mp *x);

/*
 * Returns: x rounded once to nearest-even in dtype (f64, f32, bf16, f16), as binary64. Zero gives
 * +0; what rounds to zero keeps its sign; overflow gives infinity.
 */
double vdit_mp_round(const vdit_mp *x, vdit_dtype dtype);

/* Out: x becomes the nearest multiple of 2^exponent, a tie the even one; it may become 0. */
void vdit_mp_snap(vdit_mp *x, int64_t exponent);

/*
 * The snap rule: value becomes the nearest multiple of 2^-90 C, where C is the least power of two
 * above (1 + 2^-64) size; size 0 leaves it alone. The factor keeps sizes that are powers of two, as
 * those of equal weights and values are, clear of the step of C.
 */
void vdit_snap_to(vdit_mp *value, const vdit_mp *size);

#endif
