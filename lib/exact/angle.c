/* angle.c - sines and cosines: estimate, rounding test, else multi-precision (doc/numerics.md, 9.6). */
#include <math.h>
#include "exact/angle.h"
#include "exact/settle.h"

/* pi/2 in two parts, each the double nearest to what the one before leaves. */
static const double half_pi[] = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54};

/*
 * Out: r = a - k pi/2, |r| < 0.7855, off by less than 2^-98 |a|. Returns: k mod 4. In: |a| <= 2^30: then k < 2^30 times
 * a part of pi/2 is exact as a pair.
 */
static int reduce(vdit_pair *r, vdit_pair a)
{
    double k = floor(a.high * 0x1.45f306dc9c883p-1 + 0.5);

    *r = vdit_pair_add(a, vdit_two_product(-k, half_pi[0]));
    *r = vdit_pair_add(*r, vdit_two_product(-k, half_pi[1]));
    return (int)(k - 4 * floor(k / 4));
}

/* Returns: sum of coefficient[i] z^(count - 1 - i), Horner's scheme. */
static double polynomial(const double *coefficient, int count, double z)
{
    double sum = coefficient[0];

    for (int i = 1; i < count; i++)
        sum = sum * z + coefficient[i];
    return sum;
}

/* Returns: sin r to 2^-50 of it, |r| < 0.7855: the Taylor polynomial of degree 19, and low cos high. */
static double sine(vdit_pair r)
{
    static const double coefficient[] = {
        1.0 / 121645100408832000,
        -1.0 / 355687428096000,
        1.0 / 1307674368000,
        -1.0 / 6227020800,
        1.0 / 39916800,
        -1.0 / 362880,
        1.0 / 5040,
        -1.0 / 120,
        1.0 / 6,
    };
    double z = r.high * r.high;

    return r.high - (r.high * (z * polynomial(coefficient, 9, z)) - r.low * (1 - z / 2));
}

/* Returns: cos r to 2^-50 of it: degree 20. */
static double cosine(vdit_pair r)
{
    static const double coefficient[] = {
        -1.0 / 2432902008176640000,
        1.0 / 6402373705728000,
        -1.0 / 20922789888000,
        1.0 / 87178291200,
        -1.0 / 479001600,
        1.0 / 3628800,
        -1.0 / 40320,
        1.0 / 720,
        -1.0 / 24,
        0.5,
    };
    double z = r.high * r.high;

    return 1 - (z * polynomial(coefficient, 10, z) + r.high * r.low);
}

int vdit_angle_settle(double *rounded, vdit_dtype dtype, vdit_circular c, vdit_pair a, double error)
{
    vdit_pair r;
    int quarter = reduce(&r, a) + (c == VDIT_COSINE);
    double value = (quarter & 1) == 0 ? sine(r) : cosine(r);

    if ((quarter & 2) != 0)
        value = -value;
    error += fabs(value) * 0x1p-49 + fabs(a.high) * 0x1p-97;
    return vdit_settle_simple(rounded, dtype, value, error);
}

double vdit_angle_round(vdit_dtype dtype, vdit_circular c, const vdit_mp *a)
{
    vdit_mp value;

    if (c == VDIT_SINE)
        vdit_mp_sin(&value, a);
    else
        vdit_mp_cos(&value, a);
    return vdit_mp_round(&value, dtype);
}

/* What lies within 2^-150 of a number of 64 bits is that number: a root that is rational after all. */
static void recognise(vdit_mp *w)
{
    vdit_mp near = *w, rest;

    vdit_mp_snap(&near, w->exponent - 64);
    vdit_mp_sub(&rest, w, &near);
    if (rest.sign == 0 || rest.exponent < w->exponent - 150)
        *w = near;
}

void vdit_frequency_make(vdit_frequency *w, double base, size_t j, double half, double shift)
{
    vdit_mp power, part;

    vdit_mp_from_f64(&power, half);
    vdit_mp_from_f64(&part, shift);
    vdit_mp_sub(&power, &power, &part);
    vdit_mp_from_f64(&part, -(double)j);
    vdit_mp_div(&power, &part, &power);
    vdit_mp_from_f64(&part, base);
    vdit_mp_log(&part, &part);
    vdit_mp_mul(&power, &power, &part);
    if (power.sign != 0 && power.exponent > 11) {
        vdit_mp_from_f64(&w->precise, 1);
        vdit_mp_scale(&w->precise, &w->precise, power.sign * 4000);
    } else {
        vdit_mp_exp(&w->precise, &power);
        recognise(&w->precise);
    }
    w->pair.high = vdit_mp_round(&w->precise, VDIT_F64);
    w->pair.low = 0;
    if (w->pair.high < HUGE_VAL) {
        vdit_mp_from_f64(&part, w->pair.high);
        vdit_mp_sub(&part, &w->precise, &part);
        w->pair.low = vdit_mp_round(&part, VDIT_F64);
    }
}

double vdit_frequency_round(const vdit_frequency *w, double t, vdit_dtype dtype, vdit_circular c,
                            uint64_t decided[3])
{
    vdit_pair a, position = {0};
    vdit_mp angle;
    double rounded;

    decided[0]++;
    if (t == 0 || !isfinite(t))
        return t == 0 ? (c == VDIT_SINE ? t : 1) : vdit_round_f64(dtype, (double)NAN);
    position.high = t;
    a = vdit_pair_mul(position, w->pair);
    if (vdit_angle_settle(&rounded, dtype, c, a, fabs(a.high) * 0x1p-99 + 0x1p-900))
        return rounded;
    decided[0]--;
    decided[2]++;
    vdit_mp_from_f64(&angle, t);
    vdit_mp_mul(&angle, &angle, &w->precise);
    return vdit_angle_round(dtype, c, &angle);
}
