/* activation.c - activations: what is known of them, and their last stage (doc/numerics.md, section 9). */
#include <math.h>
#include <string.h>
#include "exact/settle.h"
#include "op/activation.h"
#include "exact/mp_constants.h"

/* Smaller than what a product with an f32 number, below 2^128, can make visible: half of 2^-149. */
#define INVISIBLE 0x1p-600

/* What a function does far out and near 0. */
typedef enum outline {
    STEP, /* from 0 to 1, 1/2 at 0 */
    ODD,  /* from -1 to 1, z at 0 */
    GATE, /* z times a step */
    RAMP  /* from 0 to z, ln 2 at 0 */
} outline;

/*
 * From most on, f(z) is its limit or z but for less than 2^-54; at least and below, |f(z)| < 2^-279; within
 * tiny of 0, it is the first term of its series but for less than 2^-54 (doc/numerics.md, 9.4).
 */
static const struct {
    outline form;
    double least, most, tiny;
} facts[VDIT_ACTIVATION_COUNT] = {
    [VDIT_SIGMOID] = {STEP, -200, 40, 0x1p-60},     [VDIT_TANH] = {ODD, -40, 40, 0x1p-30},
    [VDIT_SILU] = {GATE, -204, 40, 0x1p-60},        [VDIT_GELU] = {GATE, -19.75, 10, 0x1p-60},
    [VDIT_GELU_TANH] = {GATE, -13.75, 10, 0x1p-60}, [VDIT_QUICK_GELU] = {GATE, -120, 40, 0x1p-60},
    [VDIT_SOFTPLUS] = {RAMP, -200, 40, 0},
};

/* Beyond most: z or 1. */
static void known_above(vdit_known *known, outline form, double z)
{
    known->base = form == STEP || form == ODD ? 1 : z;
    known->direction = z == HUGE_VAL ? 0 : form == RAMP ? 1 : -1;
}

/* Beyond least: -1 or next to 0. */
static void known_below(vdit_known *known, outline form, double z)
{
    double limit = z == -HUGE_VAL ? 0 : INVISIBLE;

    known->base = form == ODD ? -1 : form == GATE ? -limit : limit;
    known->direction = form == ODD && z != -HUGE_VAL ? -1 : 0;
}

/* About 0: 1/2 (1 + z/2), z (1 - z^2/3), z/2 (1 + c z) with some c > 0. */
static void known_near_zero(vdit_known *known, outline form, double z)
{
    known->base = form == STEP ? 0.5 : form == ODD ? z : z / 2;
    known->direction = z == 0 ? 0 : form == ODD || z < 0 ? -1 : 1;
}

int vdit_activation_known(vdit_known *known, vdit_activation f, double z)
{
    outline form = facts[f].form;

    known->base = z;
    known->direction = 0;
    if (z != z)
        return 1;
    if (z >= facts[f].most)
        known_above(known, form, z);
    else if (z <= facts[f].least)
        known_below(known, form, z);
    else if (form != RAMP && fabs(z) <= facts[f].tiny)
        known_near_zero(known, form, z);
    else
        return 0;
    return 1;
}

/* Out: out = 1 / (1 + e^-w). */
static void sigmoid(vdit_mp *out, const vdit_mp *w)
{
    vdit_mp one, power;

    vdit_mp_from_f64(&one, 1.0);
    vdit_mp_neg(&power, w);
    vdit_mp_exp(&power, &power);
    vdit_mp_add(&power, &power, &one);
    vdit_mp_div(out, &one, &power);
}

/* Out: out = z numerator / denominator. */
static void multiple(vdit_mp *out, const vdit_mp *z, double numerator, double denominator)
{
    vdit_mp factor;

    vdit_mp_from_f64(&factor, numerator);
    vdit_mp_mul(out, z, &factor);
    vdit_mp_from_f64(&factor, denominator);
    vdit_mp_div(out, out, &factor);
}

static void silu(vdit_mp *y, const vdit_mp *z)
{
    vdit_mp step;

    sigmoid(&step, z);
    vdit_mp_mul(y, z, &step);
}

/* 1.702 = 851/500 */
static void quick_gelu(vdit_mp *y, const vdit_mp *z)
{
    vdit_mp step;

    multiple(&step, z, 851, 500);
    sigmoid(&step, &step);
    vdit_mp_mul(y, z, &step);
}

/* (1 + tanh u)/2 = 1 / (1 + e^-2u), 0.044715 = 8943/200000. */
static void gelu_tanh(vdit_mp *y, const vdit_mp *z)
{
    vdit_mp one, step, factor;

    vdit_mp_from_f64(&one, 1.0);
    vdit_mp_mul(&step, z, z);
    multiple(&step, &step, 8943, 200000);
    vdit_mp_add(&step, &step, &one);
    vdit_mp_mul(&step, &step, z);
    vdit_mp_from_limbs(&factor, 1, vdit_root_two_over_pi, 6, 1 - 192);
    vdit_mp_mul(&step, &step, &factor);
    sigmoid(&step, &step);
    vdit_mp_mul(y, z, &step);
}

/* z erfc(-z/sqrt 2) / 2 */
static void gelu(vdit_mp *y, const vdit_mp *z)
{
    vdit_mp step, factor;

    vdit_mp_from_limbs(&factor, -1, vdit_root_half, 6, -192);
    vdit_mp_mul(&step, z, &factor);
    vdit_mp_erfc(&step, &step);
    vdit_mp_scale(&step, &step, -1);
    vdit_mp_mul(y, z, &step);
}

/* max(z, 0) + ln(1 + e^-|z|) */
static void softplus(vdit_mp *y, const vdit_mp *z)
{
    vdit_mp power;
    int positive = z->sign > 0;

    vdit_mp_abs(&power, z);
    vdit_mp_neg(&power, &power);
    vdit_mp_exp(&power, &power);
    vdit_mp_log1p(&power, &power);
    if (positive)
        vdit_mp_add(&power, &power, z);
    *y = power;
}

void vdit_activation_precise(vdit_mp *y, vdit_activation f, const vdit_mp *z)
{
    static void (*const precise[VDIT_ACTIVATION_COUNT])(vdit_mp *, const vdit_mp *) = {
        [VDIT_SIGMOID] = sigmoid,   [VDIT_TANH] = vdit_mp_tanh,   [VDIT_SILU] = silu,
        [VDIT_GELU] = gelu,         [VDIT_GELU_TANH] = gelu_tanh, [VDIT_QUICK_GELU] = quick_gelu,
        [VDIT_SOFTPLUS] = softplus,
    };

    precise[f](y, z);
}

/* Returns: a number next to the product, on the side of direction: it rounds as the real product does. */
static double nudge(double product, int direction)
{
    uint64_t bits;

    if (product == 0 || !isfinite(product))
        return product;
    memcpy(&bits, &product, sizeof bits);
    bits += (uint64_t)(int64_t)direction;
    memcpy(&product, &bits, sizeof product);
    return product;
}

/* The last stage, for one f(z) that is not known, x finite and not 0. */
static double round_precisely(vdit_activation f, vdit_dtype dtype, double x, double z)
{
    vdit_mp value, factor;

    vdit_mp_from_f64(&value, z);
    vdit_activation_precise(&value, f, &value);
    vdit_mp_from_f64(&factor, x);
    vdit_mp_mul(&value, &value, &factor);
    return vdit_mp_round(&value, dtype);
}

double vdit_activation_round(vdit_activation f, vdit_dtype dtype, double x, double z,
                             uint64_t decided[3])
{
    vdit_known known;
    double value;

    decided[0]++;
    if (vdit_activation_known(&known, f, z))
        return vdit_round_f64(dtype, nudge(x * known.base, known.direction));
    if (x == 0 || !isfinite(x)) { /* only the sign of f(z) counts */
        int negative = z < 0 && (facts[f].form == ODD || facts[f].form == GATE);
        return vdit_round_f64(dtype, negative ? -x : x);
    }
    value = vdit_activation_estimate(f, x, z);
    if (vdit_settle_simple(&value, dtype, value, fabs(value) * VDIT_ACTIVATION_ERROR))
        return value;
    decided[0]--;
    decided[2]++;
    return round_precisely(f, dtype, x, z);
}
