/* mp_special.c - e^x - 1, tanh x and 1 - erf x (proofs: doc/numerics.md, section 9.3). */
#include "exact/limbs.h"
#include "exact/mp.h"
#include "exact/mp_constants.h"

#define EXPM1_TERMS 40
#define ERF_TERMS   35
#define NODES       64            /* of the trapezoidal rule for erfc */
#define SPACING     0.1875        /* its h */
#define SQUARE      (9.0 / 256.0) /* h^2 */

/* Below 1/2 in size the series x (1 + x/2 (1 + x/3 (1 + ...))); it is positive and at least 0.78. */
void vdit_mp_expm1(vdit_mp *out, const vdit_mp *x)
{
    vdit_mp one, sum, divisor;

    vdit_mp_from_f64(&one, 1.0);
    if (x->exponent >= 0) {
        vdit_mp_exp(&sum, x);
        vdit_mp_sub(out, &sum, &one);
        return;
    }
    sum = one;
    for (int n = EXPM1_TERMS; n > 1; n--) {
        vdit_mp_from_f64(&divisor, n);
        vdit_mp_mul(&sum, &sum, x);
        vdit_mp_div(&sum, &sum, &divisor);
        vdit_mp_add(&sum, &sum, &one);
    }
    vdit_mp_mul(out, &sum, x);
}

/* With m = e^(-2|x|) - 1, tanh |x| = -m / (2 + m). */
void vdit_mp_tanh(vdit_mp *out, const vdit_mp *x)
{
    vdit_mp m, two;
    int sign = x->sign;

    vdit_mp_from_f64(&two, 2.0);
    vdit_mp_abs(&m, x);
    vdit_mp_scale(&m, &m, 1);
    vdit_mp_neg(&m, &m);
    vdit_mp_expm1(&m, &m);
    vdit_mp_add(&two, &two, &m);
    vdit_mp_div(out, &m, &two);
    if (sign > 0)
        vdit_mp_neg(out, out);
}

/* Out: e^(-z^2). */
static void gaussian(vdit_mp *out, const vdit_mp *z)
{
    vdit_mp_mul(out, z, z);
    vdit_mp_neg(out, out);
    vdit_mp_exp(out, out);
}

/* Out: erf z = 2/sqrt(pi) z e^(-z^2) (1 + 2z^2/3 (1 + 2z^2/5 (1 + ...))), |z| < 1/2: no term is negative. */
static void erf_series(vdit_mp *out, const vdit_mp *z)
{
    vdit_mp one, square, sum, divisor, factor;

    vdit_mp_from_f64(&one, 1.0);
    vdit_mp_mul(&square, z, z);
    vdit_mp_scale(&square, &square, 1);
    sum = one;
    for (int n = ERF_TERMS; n > 0; n--) {
        vdit_mp_from_f64(&divisor, 2 * n + 1);
        vdit_mp_mul(&sum, &sum, &square);
        vdit_mp_div(&sum, &sum, &divisor);
        vdit_mp_add(&sum, &sum, &one);
    }
    gaussian(&factor, z);
    vdit_mp_mul(&sum, &sum, &factor);
    vdit_mp_mul(&sum, &sum, z);
    vdit_mp_from_limbs(&factor, 1, vdit_root_half, 6, 1 - 192);
    vdit_mp_mul(&sum, &sum, &factor);
    vdit_mp_from_limbs(&factor, 1, vdit_root_two_over_pi, 6, -192);
    vdit_mp_mul(out, &sum, &factor);
}

/*
 * Out: sum = 1/z^2 + 2 sum_(k = 1 .. NODES - 1) e^(-k^2 h^2) / (k^2 h^2 + z^2), added from its smallest term on. The
 * weights come from e^(-k^2 h^2) = e^(-(k-1)^2 h^2) g^(2k-1), g = e^(-h^2).
 */
static void node_sum(vdit_mp *sum, const vdit_mp *z)
{
    vdit_mp term[NODES], square, weight, ratio, step, place;

    vdit_mp_mul(&square, z, z);
    vdit_mp_from_f64(&weight, 1.0);
    vdit_mp_from_f64(&ratio, -SQUARE);
    vdit_mp_exp(&ratio, &ratio);
    vdit_mp_mul(&step, &ratio, &ratio);
    for (int k = 0; k < NODES; k++) {
        vdit_mp_from_f64(&place, k * k * SQUARE);
        vdit_mp_add(&place, &place, &square);
        vdit_mp_div(&term[k], &weight, &place);
        vdit_mp_scale(&term[k], &term[k], k > 0);
        vdit_mp_mul(&weight, &weight, &ratio);
        vdit_mp_mul(&ratio, &ratio, &step);
    }
    *sum = term[NODES - 1];
    for (int k = NODES - 2; k >= 0; k--)
        vdit_mp_add(sum, sum, &term[k]);
}

/*
 * erfc z = (2 z/pi) e^(-z^2) int_0^inf e^(-t^2) / (z^2 + t^2) dt. The trapezoidal rule with the step h is off by
 * e^(-pi^2/h^2), but for the residue at t = i z, 2 / (e^(2 pi z/h) - 1) (doc/numerics.md, 9.3). In: 1/2 <= z <= 14.
 */
static void erfc_nodes(vdit_mp *out, const vdit_mp *z)
{
    vdit_mp pi, sum, factor, residue;

    vdit_mp_from_limbs(&pi, 1, vdit_wide_half_pi, VDIT_WIDE_LIMBS + 1, 1 - 32 * VDIT_WIDE_LIMBS);
    node_sum(&sum, z);
    gaussian(&factor, z);
    vdit_mp_mul(&sum, &sum, &factor);
    vdit_mp_mul(&sum, &sum, z);
    vdit_mp_from_f64(&factor, SPACING);
    vdit_mp_mul(&sum, &sum, &factor);
    vdit_mp_div(&sum, &sum, &pi);
    vdit_mp_div(&residue, &pi, &factor);
    vdit_mp_mul(&residue, &residue, z);
    vdit_mp_scale(&residue, &residue, 1);
    vdit_mp_expm1(&residue, &residue);
    vdit_mp_from_f64(&factor, 2.0);
    vdit_mp_div(&residue, &factor, &residue);
    vdit_mp_sub(out, &sum, &residue);
}

void vdit_mp_erfc(vdit_mp *out, const vdit_mp *x)
{
    vdit_mp whole, part;
    int negative = x->sign < 0;

    if (x->sign == 0 || x->exponent < 0) {
        erf_series(&part, x);
        vdit_mp_from_f64(&whole, 1.0);
        vdit_mp_sub(out, &whole, &part);
        return;
    }
    vdit_mp_abs(&part, x);
    erfc_nodes(&part, &part);
    vdit_mp_from_f64(&whole, 2.0);
    if (negative)
        vdit_mp_sub(&part, &whole, &part);
    *out = part;
}
