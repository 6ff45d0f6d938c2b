/*
 * activation_estimate.c - x f(z) in binary64 within VDIT_ACTIVATION_ERROR (proofs: doc/numerics.md, 9.5).
 *
 * Loops over lanes, without branches. Compiled with contraction allowed: the bounds hold whether multiply and add are
 * fused or not, and nothing here promises bits.
 */
#include <math.h>
#include "exact/settle.h"
#include "exact/simd.h"
#include "op/activation.h"

/* What a lane's 2^t may be; beyond, its result is NaN. */
#define GREATEST 300.0
#define LEAST    (-300.0)

/* 2^t = scale (1 + part), scale a power of two. */
typedef struct power {
    double scale, part;
} power;

/*
 * t = n + f, n an integer, |f| <= 1/2; part = 2^f - 1 by its Taylor polynomial (ln 2)^k / k! of degree 12, which is
 * relatively accurate down to 0. In: |t| <= 300.
 */
VDIT_INLINE power power_of_two(double t)
{
    const double magic = 0x1.8p52; /* the low bits of magic + n are n */
    union {
        double value;
        uint64_t bits;
    } rounded;
    double f, sum;
    power p;

    rounded.value = t + magic;
    f = t - (rounded.value - magic);
    sum = 0x1.c3bd650fc2986p-36;
    sum = sum * f + 0x1.e8cac7351bb25p-32;
    sum = sum * f + 0x1.e4cf5158b8ecap-28;
    sum = sum * f + 0x1.b5253d395e7c4p-24;
    sum = sum * f + 0x1.62c0223a5c824p-20;
    sum = sum * f + 0x1.ffcbfc588b0c7p-17;
    sum = sum * f + 0x1.430912f86c787p-13;
    sum = sum * f + 0x1.5d87fe78a6731p-10;
    sum = sum * f + 0x1.3b2ab6fba4e77p-7;
    sum = sum * f + 0x1.c6b08d704a0c0p-5;
    sum = sum * f + 0x1.ebfbdff82c58fp-3;
    sum = sum * f + 0x1.62e42fefa39efp-1;
    rounded.bits = (rounded.bits + 1023) << 52;
    p.scale = rounded.value;
    p.part = f * sum;
    return p;
}

/* A selection that stays one: compilers make no branch of it, and so vectors of the loop. */
VDIT_INLINE double choose(int condition, double yes, double no)
{
    union {
        double value;
        uint64_t bits;
    } a = {.value = yes}, b = {.value = no};
    uint64_t mask = 0 - (uint64_t)condition;

    a.bits = (a.bits & mask) | (b.bits & ~mask);
    return a.value;
}

/* Returns: t, but not below least; NaN for what is above 300, and for NaN. */
VDIT_INLINE double limited(double t, double least)
{
    t = choose(t < least, least, t);
    return choose(t > GREATEST, (double)NAN, t);
}

/* Returns: 2^t - 1. */
VDIT_INLINE double power_less_one(double t)
{
    power p = power_of_two(t);

    return p.scale * p.part + (p.scale - 1);
}

/* Returns: 1 / (1 + 2^t), where t < -64 is as good as -64. */
VDIT_INLINE double step(double t)
{
    return 1 / (2 + power_less_one(limited(t, -64)));
}

VDIT_INLINE double sigmoid(double z)
{
    return step(z * -0x1.71547652b82fep+0);
}

/* -m / (2 + m), m = e^-2z - 1 */
VDIT_INLINE double hyperbolic(double z)
{
    double m = power_less_one(limited(z * -0x1.71547652b82fep+1, -64));

    return -m / (2 + m);
}

VDIT_INLINE double silu(double z)
{
    return z * sigmoid(z);
}

/* z / (1 + e^-2u), u = sqrt(2 / pi) (z + 0.044715 z^3) */
VDIT_INLINE double gelu_tanh(double z)
{
    return z * step(z * (-0x1.26aec21bce759p+1 - 0x1.a5a7cf7572a98p-4 * (z * z)));
}

VDIT_INLINE double quick_gelu(double z)
{
    return z * step(z * -0x1.3a4cbdc7ee26bp+1);
}

/*
 * Returns: (v + 5) e^(v v/2) erfc(v / sqrt 2) / 2 for 0 <= v <= 20 as a polynomial in s = (v - 5) / (v + 5), from the
 * Chebyshev series on that range; what it leaves out adds up to less than 2^-52 of the value.
 */
VDIT_INLINE double scaled_tail(double s)
{
    double sum = -0x1.02025ca7c28c6p-26;

    sum = sum * s - 0x1.d498283723b79p-25;
    sum = sum * s + 0x1.f74d463330685p-25;
    sum = sum * s + 0x1.cc45ecaf63cd0p-22;
    sum = sum * s - 0x1.79d81140880e6p-22;
    sum = sum * s - 0x1.73e3b891cd58cp-19;
    sum = sum * s + 0x1.0ba66c6c03087p-18;
    sum = sum * s + 0x1.17e57b467db24p-16;
    sum = sum * s - 0x1.a175503fc20f1p-15;
    sum = sum * s - 0x1.f215ea4d9b845p-15;
    sum = sum * s + 0x1.1daf29911ebb8p-11;
    sum = sum * s - 0x1.a250334cfe51ap-11;
    sum = sum * s - 0x1.88590efb8d7e0p-9;
    sum = sum * s + 0x1.54b4d4f133347p-6;
    sum = sum * s - 0x1.1b1c254c74b20p-4;
    sum = sum * s + 0x1.51f6329f06dd2p-3;
    sum = sum * s - 0x1.410ed5f875eb7p-2;
    sum = sum * s + 0x1.fb31653876ecdp-2;
    sum = sum * s - 0x1.54ad03f27ca12p-1;
    return sum * s + 0x1.89d3abe1f95aep-1;
}

/* z (1 + erf(z / sqrt 2)) / 2: with v = |z|, the tail beyond v or 1 less it. */
VDIT_INLINE double gelu(double z)
{
    double v = choose(fabs(z) > 20, 20, fabs(z)), inverse = 1 / (v + 5);
    power p = power_of_two(v * v * -0x1.71547652b82fep-1);
    double tail = (p.scale * p.part + p.scale) * (scaled_tail((v - 5) * inverse) * inverse);

    tail = choose(z < -20, (double)NAN, tail);
    return z * choose(z < 0, tail, 1 - tail);
}

/* max(z, 0) + ln(1 + e), e = e^-|z|: with s = e / (2 + e), at most 1/3, 2 (s + s^3/3 + ... + s^29/29). */
VDIT_INLINE double softplus(double z)
{
    double t = fabs(z) * -0x1.71547652b82fep+0, e, s, square, sum = 1.0 / 29;
    power p = power_of_two(choose(t < LEAST, LEAST, t));

    e = p.scale * p.part + p.scale;
    e = choose((t < LEAST) & (z < 0), (double)NAN, e);
    s = e / (2 + e);
    square = s * s;
    sum = sum * square + 1.0 / 27;
    sum = sum * square + 1.0 / 25;
    sum = sum * square + 1.0 / 23;
    sum = sum * square + 1.0 / 21;
    sum = sum * square + 1.0 / 19;
    sum = sum * square + 1.0 / 17;
    sum = sum * square + 1.0 / 15;
    sum = sum * square + 1.0 / 13;
    sum = sum * square + 1.0 / 11;
    sum = sum * square + 1.0 / 9;
    sum = sum * square + 1.0 / 7;
    sum = sum * square + 1.0 / 5;
    sum = sum * square + 1.0 / 3;
    return choose(z < 0, 0, z) + 2 * (s + s * (square * sum));
}

/* One loop for each function: y[i] = x[i] f(z[i]). */
#define LOOP(f)                                                                                    \
    VDIT_INLINE void f##_loop(size_t n, double *restrict y, const double *restrict x,              \
                              const double *restrict z)                                            \
    {                                                                                              \
        VDIT_SIMD for (size_t i = 0; i < n; i++) y[i] = x[i] * f(z[i]);                            \
    }
LOOP(sigmoid)
LOOP(hyperbolic)
LOOP(silu)
LOOP(gelu)
LOOP(gelu_tanh)
LOOP(quick_gelu)
LOOP(softplus)

VDIT_INLINE void estimate(vdit_activation f, size_t n, double *y, const double *x, const double *z)
{
    switch (f) {
    case VDIT_SIGMOID:
        sigmoid_loop(n, y, x, z);
        break;
    case VDIT_TANH:
        hyperbolic_loop(n, y, x, z);
        break;
    case VDIT_SILU:
        silu_loop(n, y, x, z);
        break;
    case VDIT_GELU:
        gelu_loop(n, y, x, z);
        break;
    case VDIT_GELU_TANH:
        gelu_tanh_loop(n, y, x, z);
        break;
    case VDIT_QUICK_GELU:
        quick_gelu_loop(n, y, x, z);
        break;
    case VDIT_SOFTPLUS:
        softplus_loop(n, y, x, z);
    }
}

VDIT_INLINE void settle(vdit_activation f, vdit_dtype dtype, size_t n, double *restrict y,
                        const double *restrict x, const double *restrict z)
{
    double value[VDIT_ACTIVATION_PIECE], error[VDIT_ACTIVATION_PIECE];

    estimate(f, n, value, x, z);
    VDIT_SIMD for (size_t i = 0; i < n; i++) error[i] = fabs(value[i]) * VDIT_ACTIVATION_ERROR;
    vdit_settle_many(n, y, dtype, value, error);
}

#define INSTANCE(set, attribute)                                                                   \
    attribute static void settle_##set(vdit_activation f, vdit_dtype dtype, size_t n, double *y,   \
                                       const double *x, const double *z)                           \
    {                                                                                              \
        settle(f, dtype, n, y, x, z);                                                              \
    }

#define NO_ATTRIBUTE
INSTANCE(portable, NO_ATTRIBUTE)
#ifdef VDIT_HAVE_X86
INSTANCE(avx512, VDIT_TARGET_AVX512)
INSTANCE(avx2, VDIT_TARGET_AVX2)
#endif

void vdit_activation_settle(vdit_activation f, vdit_dtype dtype, size_t n, double *y,
                            const double *x, const double *z)
{
    VDIT_CHOOSE(settle)(f, dtype, n, y, x, z);
}

double vdit_activation_estimate(vdit_activation f, double x, double z)
{
    double y = NAN;

    estimate(f, 1, &y, &x, &z);
    return y;
}
