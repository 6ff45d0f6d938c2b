/*
 * backend/fast_function.h - the nonlinear functions in binary32, without branches, for loops over lanes.
 *
 * Each is within a few units of 2^-24 of the result, relative, where its argument's own rounding is not
 * magnified; what an exponential of u magnifies is |u| times the error of u. The bounds are checked in
 * tests/test_backend_fast.c.
 */
#ifndef VDIT_BACKEND_FAST_FUNCTION_H
#define VDIT_BACKEND_FAST_FUNCTION_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#include "exact/simd.h"

VDIT_INLINE float fast_value(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

VDIT_INLINE uint32_t fast_bits(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* A selection that stays one: both values are computed. */
VDIT_INLINE float fast_select(int condition, float yes, float no)
{
    uint32_t mask = 0 - (uint32_t)condition;

    return fast_value((fast_bits(yes) & mask) | (fast_bits(no) & ~mask));
}

/*
 * e^x for x <= 89; below -104 it is 0. x = n ln 2 + r with |r| <= ln 2 / 2, where ln 2 = high + low and n high is exact: the
 * high part has 15 bits. e^r by its series: r^8 / 8! is below 2^-27. 2^n in two factors, so that results may be
 * subnormal.
 */
VDIT_INLINE float fast_exp(float x)
{
    const float magic = 0x1.8p23f, high = 0x1.62e4p-1f, low = 0x1.7f7d1cp-20f;
    float at_least = fast_select(x < -105, -105, x);
    float clamped = fast_select(at_least > 90, 90, at_least);
    float rounded = clamped * 0x1.715476p0f + magic, n = rounded - magic;
    float r = (clamped - n * high) - n * low, p;
    uint32_t whole = fast_bits(rounded) - fast_bits(magic) + 512, half = whole >> 1;

    p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1;
    p = p * r + 1;
    return p * fast_value((half - 256 + 127) << 23) * fast_value((whole - half - 256 + 127) << 23);
}

/* 1 / (1 + e^-u). */
VDIT_INLINE float fast_sigmoid(float u)
{
    float t = fast_exp(-fabsf(u));

    return fast_select(u < 0, t, 1) / (1 + t);
}

/*
 * Below 0.625, x + x^3 P(x^2); P interpolates (tanh x - x) / x^3 in the Chebyshev points of x^2 in
 * [0, 0.625^2]: 0.3 units. Above, (1 - t) / (1 + t) with t = e^-2x, which cancels no more than a bit.
 */
VDIT_INLINE float fast_tanh(float x)
{
    float size = fabsf(x), z = x * x, t = fast_exp(-2 * size), p = -0x1.8f8de4p-8f, large;

    p = p * z + 0x1.58048ep-6f;
    p = p * z - 0x1.b9258ap-5f;
    p = p * z + 0x1.110e1cp-3f;
    p = p * z - 0x1.555552p-2f;
    large = (1 - t) / (1 + t);
    return fast_select(size < 0.625f, x + x * z * p, fast_select(x < 0, -large, large));
}

/*
 * The normal distribution at x, (1 + erf(x / sqrt 2)) / 2: with a = |x| and t = 1 / (1 + 0.3125 a) it is e^(-a^2/2) t P(t)
 * on the left of 0, and 1 less that on its right. P interpolates in the Chebyshev points of t for a <= 14.5: 0.6
 * units. At -14.5 the function is below the least subnormal.
 */
VDIT_INLINE float fast_normal(float x)
{
    static const float coefficient[] = {
        0x1.fe9fd6p-4f, 0x1.ff1622p-4f, 0x1.c9431ep-4f,  0x1.763a96p-4f, 0x1.a5fbdcp-5f,
        0x1.6d8912p-8f, 0x1.0574fap-4f, -0x1.245bd6p-3f, 0x1.673052p-4f, -0x1.2bdf2ap-6f};
    float a = fabsf(x), t = 1 / (1 + 0.3125f * a), p = coefficient[9], left;

    for (int i = 8; i >= 0; i--)
        p = p * t + coefficient[i];
    left = fast_exp(-0.5f * a * a) * t * p;
    return fast_select(x < 0, left, 1 - left);
}

/*
 * ln(1 + e^x) = max(x, 0) + ln(1 + t), t = e^-|x|; ln(1 + t) = 2 artanh s, s = t / (2 + t) <= 1/3, by the series, of which
 * 2^-29 is left out.
 */
VDIT_INLINE float fast_softplus(float x)
{
    float t = fast_exp(-fabsf(x)), s = t / (2 + t), z = s * s, p = 1.0f / 15;

    p = p * z + 1.0f / 13;
    p = p * z + 1.0f / 11;
    p = p * z + 1.0f / 9;
    p = p * z + 1.0f / 7;
    p = p * z + 1.0f / 5;
    p = p * z + 1.0f / 3;
    return fast_select(x > 0, x, 0) + 2 * (s + s * z * p);
}

/* x times a step between 0 and 1, also where x is -inf and the step 0. */
VDIT_INLINE float fast_gate(float x, float step)
{
    return fast_select(x < -1000, -1000, x) * step;
}

#endif
