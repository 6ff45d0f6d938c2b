/* mp_elementary.c - e^x and ln x to 2^-186 (proofs: doc/numerics.md, section 4). */
#include <math.h>
#include <string.h>
#include "exact/elementary.h"
#include "exact/limbs.h"
#include "exact/mp.h"
#include "exact/mp_constants.h"

#define FIXED    VDIT_FIXED_LIMBS /* a fraction: limb[0..6], in units of 2^-224 */
#define HALVINGS 10

/* Out: out = a b, low by less than 1.01 units; out may be a or b. */
static void multiply(uint32_t *out, const uint32_t *a, const uint32_t *b)
{
    vdit_limbs_mul_high(out, a, b, FIXED, FIXED - 2, FIXED);
}

/*
 * Out: 0 <= r < ln 2 with |x| = q ln 2 + r; r, a fraction, is off by less than 3.5 units.
 * In: 0 < |x| < 2^30. Returns: q.
 */
static uint32_t divide_by_ln2(uint32_t *r, const vdit_mp *x)
{
    const uint32_t *ln2 = vdit_fixed_ln2 + 1;      /* as a fraction of FIXED limbs */
    uint32_t whole[FIXED + 1], product[FIXED + 2]; /* with one limb above the point */
    uint64_t carry = 0;
    uint32_t q;

    vdit_limbs_window(whole, FIXED + 1, x->limb, VDIT_MP_LIMBS, -32 - (int)x->exponent);
    /* 31 bits of an estimate good to 2^-20: off by at most one. */
    q = (uint32_t)((whole[FIXED] + whole[FIXED - 1] * 0x1p-32) * 0x1.71547652b82fep+0);
    for (int i = 0; i <= FIXED; i++) {
        carry += (uint64_t)q * vdit_fixed_ln2[i];
        product[i] = (uint32_t)carry;
        carry >>= 32;
    }
    product[FIXED + 1] = (uint32_t)carry;
    if (vdit_limbs_sub(whole, product + 1, FIXED + 1) != 0) {
        q--;
        whole[FIXED] += vdit_limbs_add(whole, ln2, FIXED);
    }
    if (whole[FIXED] != 0 || vdit_limbs_compare(whole, ln2, FIXED) >= 0) {
        q++;
        whole[FIXED] -= vdit_limbs_sub(whole, ln2, FIXED);
    }
    memcpy(r, whole, FIXED * sizeof *r);
    return q;
}

/*
 * e^x - 1 on 0 <= x < ln 2: halve x ten times, take the Taylor polynomial of degree 16 (what is cut
 * off is below 2^-226), and double back with e^2y - 1 = 2t + t^2, t = e^y - 1. All errors are
 * downwards but that of x, so t stays below 1. Each doubling doubles the relative error of 1 + t:
 * 2^-212 in all.
 */
static void fixed_expm1(uint32_t *t, const uint32_t *x)
{
    uint32_t y[FIXED], square[FIXED];

    vdit_limbs_window(y, FIXED, x, FIXED, HALVINGS);
    memcpy(t, vdit_fixed_inverse_factorial[VDIT_EXP_DEGREE - 2], FIXED * sizeof *t);
    for (int n = VDIT_EXP_DEGREE - 1; n >= 2; n--) {
        multiply(t, t, y);
        vdit_limbs_add(t, vdit_fixed_inverse_factorial[n - 2], FIXED);
    }
    multiply(t, t, y);
    multiply(t, t, y);
    vdit_limbs_add(t, y, FIXED);
    for (int i = 0; i < HALVINGS; i++) {
        multiply(square, t, t);
        vdit_limbs_add(square, t, FIXED);
        vdit_limbs_add(t, square, FIXED);
    }
}

/* Out: 0 <= t < 1 in FIXED limbs. Returns: k, where e^x = (1 + t) 2^k. In: 2^-256 <= |x| < 2^30. */
static int64_t exp_parts(uint32_t *t, const vdit_mp *x)
{
    uint32_t r[FIXED], rest[FIXED];
    int64_t k = divide_by_ln2(r, x);

    if (x->sign < 0) {
        k = -k;
        if (vdit_limbs_length(r, FIXED) != 0) { /* -r = -ln 2 + (ln 2 - r) */
            memcpy(rest, vdit_fixed_ln2 + 1, sizeof rest);
            vdit_limbs_sub(rest, r, FIXED);
            memcpy(r, rest, sizeof r);
            k--;
        }
    }
    fixed_expm1(t, r);
    return k;
}

void vdit_mp_exp(vdit_mp *out, const vdit_mp *x)
{
    uint32_t value[FIXED + 1] = {0};
    int64_t k = 0;

    value[FIXED] = 1;
    if (x->sign < 0 && x->exponent > 30) {
        vdit_mp_from_f64(out, 0.0);
        return;
    }
    if (x->sign != 0 && x->exponent > -256) /* else e^x = 1 to 2^-255 */
        k = exp_parts(value, x);
    vdit_mp_from_limbs(out, 1, value, FIXED + 1, k - 32 * FIXED);
}

/* Out: ln((1 + z)/(1 - z)) = 2 (z + z^3/3 + z^5/5 + ...), |z| < 2^-17; terms below 2^-195 of it
 * left out. */
static void log_series(vdit_mp *out, const vdit_mp *z)
{
    vdit_mp square, power = *z, sum = *z, term, divisor;

    vdit_mp_mul(&square, z, z);
    for (int n = 3; power.sign != 0; n += 2) {
        vdit_mp_mul(&power, &power, &square);
        vdit_mp_from_f64(&divisor, n);
        vdit_mp_div(&term, &power, &divisor);
        if (term.exponent < sum.exponent - 195)
            break;
        vdit_mp_add(&sum, &sum, &term);
    }
    vdit_mp_scale(out, &sum, 1);
}

/* Out: ln(1 + d) = ln((1 + z)/(1 - z)) with z = d/(2 + d), |d| < 2^-16. */
static void log_near_one(vdit_mp *out, const vdit_mp *d)
{
    vdit_mp two, z;

    vdit_mp_from_f64(&two, 2.0);
    vdit_mp_add(&two, &two, d);
    vdit_mp_div(&z, d, &two);
    log_series(out, &z);
}

/* Returns: ln x to about 2^-48 of it: its leading bits times a power of two. */
static double log_leading(const vdit_mp *x)
{
    double fraction = ldexp(x->limb[5], -32) + ldexp(x->limb[4] >> 11, -53); /* exact */

    if (x->exponent > -900 && x->exponent < 900)
        return vdit_log_estimate(ldexp(fraction, (int)x->exponent));
    return vdit_log_estimate(fraction) + (double)x->exponent * 0x1.62e42fefa39efp-1;
}

/*
 * Out: d = x e^-y - 1, off by less than 2^-209, where |d| < 2^-16. With x = m 2^e and e^-y = (1 +
 * t) 2^k, m (1 + t) is near 2^j, j = -(e + k), and m (1 + t) in [1/2, 2) leaves j in -1, 0, 1.
 */
static void log_remainder(vdit_mp *d, const vdit_mp *x, double y)
{
    uint32_t product[FIXED + 1] = {0}, m[FIXED] = {0}, power[FIXED + 1] = {0};
    vdit_mp negative;
    int64_t j;
    int sign = 1;

    vdit_mp_from_f64(&negative, -y);
    j = -(x->exponent + exp_parts(product, &negative));
    memcpy(m + FIXED - VDIT_MP_LIMBS, x->limb, sizeof x->limb);
    multiply(product, product, m);
    product[FIXED] = vdit_limbs_add(product, m, FIXED);
    power[FIXED] = j < 0 ? 0 : UINT32_C(1) << j;
    power[FIXED - 1] = j < 0 ? UINT32_C(1) << 31 : 0;
    if (vdit_limbs_compare(product, power, FIXED + 1) < 0) {
        vdit_limbs_sub(power, product, FIXED + 1);
        memcpy(product, power, sizeof product);
        sign = -1;
    } else {
        vdit_limbs_sub(product, power, FIXED + 1);
    }
    vdit_mp_from_limbs(d, sign, product, FIXED + 1, -32 * FIXED - j);
}

/*
 * Near 1 the series alone, from x - 1, which is exact. Else ln x = y + ln(x e^-y) with a binary64
 * y: the absolute error 2^-208 is below 2^-190 of |ln x| > 2^-17.
 */
void vdit_mp_log(vdit_mp *out, const vdit_mp *x)
{
    vdit_mp one, d, leading;
    double y;

    vdit_mp_from_f64(&one, 1.0);
    vdit_mp_sub(&d, x, &one);
    if (d.sign == 0 || d.exponent <= -16) {
        log_near_one(out, &d);
        return;
    }
    y = log_leading(x);
    log_remainder(&d, x, y);
    log_near_one(&d, &d);
    vdit_mp_from_f64(&leading, y);
    vdit_mp_add(out, &leading, &d);
}

/* From d = 2^-16 on, ln(1 + d) > 2^-17, and 1 + d is off by 2^-190.9 (1 + d). */
void vdit_mp_log1p(vdit_mp *out, const vdit_mp *d)
{
    vdit_mp one;

    if (d->exponent <= -16) {
        log_near_one(out, d);
        return;
    }
    vdit_mp_from_f64(&one, 1.0);
    vdit_mp_add(&one, &one, d);
    vdit_mp_log(out, &one);
}
