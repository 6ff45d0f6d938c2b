/* mp_trig.c - sin x and cos x to 2^-186 (proofs: doc/numerics.md, section 9.2). */
#include "exact/limbs.h"
#include "exact/mp.h"
#include "exact/mp_constants.h"

#define LIMBS VDIT_MP_LIMBS
#define WIDE  VDIT_WIDE_LIMBS
#define TERMS 21 /* of a series in r^2 beyond the 1, |r| < 0.786 */

/* Out: limb[WIDE + 1] = k pi/2 in units of 2^-448, low by less than k of them. In: k < 2^31. */
static void multiple_of_half_pi(uint32_t *limb, uint32_t k)
{
    uint64_t carry = 0;

    for (int i = 0; i <= WIDE; i++) {
        carry += (uint64_t)k * vdit_wide_half_pi[i];
        limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

/*
 * Out: |x| = k pi/2 + r with |r| < pi/4 + 2^-20. In: |x| < 2^30. Returns: k mod 4. Below 1/2 nothing is to be
 * done; from there on the lowest bit of x is at 2^-192 or above, so that x is exact in the wide format.
 */
static int reduce(vdit_mp *r, const vdit_mp *x)
{
    uint32_t whole[WIDE + 1], product[WIDE + 1], k;
    int sign = 1;

    if (x->exponent < 0) {
        vdit_mp_abs(r, x);
        return 0;
    }
    vdit_limbs_window(whole, WIDE + 1, x->limb, LIMBS,
                      -(int)x->exponent - (32 * WIDE - VDIT_MP_BITS));
    k = (uint32_t)((whole[WIDE] + whole[WIDE - 1] * 0x1p-32) * 0x1.45f306dc9c883p-1 + 0.5);
    multiple_of_half_pi(product, k);
    if (vdit_limbs_compare(whole, product, WIDE + 1) >= 0) {
        vdit_limbs_sub(whole, product, WIDE + 1);
        vdit_mp_from_limbs(r, sign, whole, WIDE + 1, -32 * WIDE);
    } else {
        vdit_limbs_sub(product, whole, WIDE + 1);
        vdit_mp_from_limbs(r, -sign, product, WIDE + 1, -32 * WIDE);
    }
    return (int)(k & 3);
}

/*
 * Out: sum = 1 - z/((1 + odd) (2 + odd)) (1 - z/((3 + odd) (4 + odd)) (1 - ...)), z = r^2: cos r, or with odd = 1
 * sin r / r. For z < 2^-196 it is the largest number below 1, so that sin r stays below r.
 */
static void series(vdit_mp *sum, const vdit_mp *r, int odd)
{
    vdit_mp one, square, divisor;

    vdit_mp_from_f64(&one, 1.0);
    vdit_mp_mul(&square, r, r);
    *sum = one;
    if (r->sign != 0 && square.exponent < -195) {
        for (int i = 0; i < LIMBS; i++)
            sum->limb[i] = UINT32_MAX;
        sum->exponent = 0;
        return;
    }
    for (int n = TERMS; n > 0; n--) {
        vdit_mp_from_f64(&divisor, (2 * n - 1 + odd) * (2 * n + odd));
        vdit_mp_mul(sum, sum, &square);
        vdit_mp_div(sum, sum, &divisor);
        vdit_mp_sub(sum, &one, sum);
    }
}

/* Out: sin(|x| + quarter pi/2). */
static void circular(vdit_mp *out, const vdit_mp *x, int quarter)
{
    vdit_mp r, sum;

    quarter += reduce(&r, x);
    series(&sum, &r, (quarter & 1) == 0);
    if ((quarter & 1) == 0)
        vdit_mp_mul(&sum, &sum, &r);
    if ((quarter & 2) != 0)
        vdit_mp_neg(&sum, &sum);
    *out = sum;
}

void vdit_mp_sin(vdit_mp *out, const vdit_mp *x)
{
    int negative = x->sign < 0;

    circular(out, x, 0);
    if (negative)
        vdit_mp_neg(out, out);
}

void vdit_mp_cos(vdit_mp *out, const vdit_mp *x)
{
    circular(out, x, 1);
}
