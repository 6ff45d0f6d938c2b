/* mp.c - multi-precision arithmetic: conversion, + - * /, comparison, rounding. */
#include <math.h>
#include <string.h>
#include "exact/limbs.h"
#include "exact/mp.h"
#include "exact/round.h"

#define LIMBS     VDIT_MP_LIMBS
#define SNAP_BITS 90 /* of the snap rule */

static void set_zero(vdit_mp *out)
{
    memset(out, 0, sizeof *out);
}

/* Cutting to 192 bits with the top bit set loses less than 2^-192 of at least 1/2. */
void vdit_mp_from_limbs(vdit_mp *out, int sign, const uint32_t *limb, int n, int64_t exponent)
{
    int length = vdit_limbs_length(limb, n);
    vdit_mp made;

    if (length == 0 || sign == 0) {
        set_zero(out);
        return;
    }
    made.sign = sign;
    made.exponent = exponent + length;
    vdit_limbs_window(made.limb, LIMBS, limb, n, length - VDIT_MP_BITS);
    *out = made;
}

void vdit_mp_from_f64(vdit_mp *out, double x)
{
    int exponent;
    double fraction = frexp(fabs(x), &exponent); /* exact, subnormals too */
    uint64_t integer = (uint64_t)ldexp(fraction, 53);
    uint32_t limb[2];

    limb[0] = (uint32_t)integer;
    limb[1] = (uint32_t)(integer >> 32);
    vdit_mp_from_limbs(out, x < 0 ? -1 : 1, limb, 2, exponent - 53);
}

void vdit_mp_from_acc(vdit_mp *out, const vdit_acc *a)
{
    uint32_t limb[VDIT_ACC_LIMBS];
    int sign = vdit_acc_magnitude(limb, a);

    vdit_mp_from_limbs(out, sign, limb, VDIT_ACC_LIMBS, VDIT_ACC_LOW);
}

void vdit_mp_neg(vdit_mp *out, const vdit_mp *x)
{
    *out = *x;
    out->sign = -x->sign;
}

void vdit_mp_abs(vdit_mp *out, const vdit_mp *x)
{
    *out = *x;
    out->sign = x->sign != 0;
}

void vdit_mp_scale(vdit_mp *out, const vdit_mp *x, int64_t power)
{
    *out = *x;
    if (x->sign != 0)
        out->exponent += power;
}

/* Compares magnitudes of numbers that are not 0. */
static int compare_magnitude(const vdit_mp *x, const vdit_mp *y)
{
    if (x->exponent != y->exponent)
        return x->exponent < y->exponent ? -1 : 1;
    return vdit_limbs_compare(x->limb, y->limb, LIMBS);
}

int vdit_mp_compare(const vdit_mp *x, const vdit_mp *y)
{
    if (x->sign != y->sign)
        return x->sign < y->sign ? -1 : 1;
    return x->sign == 0 ? 0 : x->sign * compare_magnitude(x, y);
}

/*
 * The smaller operand moves right, with a guard limb below. Up to 32 bits nothing is lost; beyond, it
 * loses less than 2^-224 where the larger one counts as 1/2 to 1, and the sum is at least 1/2 - 2^-32.
 */
void vdit_mp_add(vdit_mp *out, const vdit_mp *x, const vdit_mp *y)
{
    enum { WIDTH = LIMBS + 2 }; /* a guard limb below, a carry limb above */
    uint32_t large[WIDTH] = {0}, small[WIDTH];
    int64_t distance;

    if (x->sign == 0 || (y->sign != 0 && compare_magnitude(x, y) < 0)) {
        const vdit_mp *swap = x;
        x = y;
        y = swap;
    }
    if (y->sign == 0 || (distance = x->exponent - y->exponent) > VDIT_MP_BITS + 32) {
        *out = *x; /* y is below 2^-224 of x, or 0 */
        return;
    }
    memcpy(large + 1, x->limb, sizeof x->limb);
    vdit_limbs_window(small, WIDTH, y->limb, LIMBS, (int)distance - 32);
    if (x->sign == y->sign)
        vdit_limbs_add(large, small, WIDTH);
    else
        vdit_limbs_sub(large, small, WIDTH);
    vdit_mp_from_limbs(out, x->sign, large, WIDTH, x->exponent - VDIT_MP_BITS - 32);
}

void vdit_mp_sub(vdit_mp *out, const vdit_mp *x, const vdit_mp *y)
{
    vdit_mp negative;

    vdit_mp_neg(&negative, y);
    vdit_mp_add(out, x, &negative);
}

/*
 * Columns 0 to 3 are left out and 4 gives its carry: less than 6 * 2^160 of a product of at least 2^382.
 * Where that is not 0 the product exceeds 2^382 by more, so that one shift normalises it.
 */
void vdit_mp_mul(vdit_mp *out, const vdit_mp *x, const vdit_mp *y)
{
    uint32_t product[LIMBS + 1];
    int64_t exponent = x->exponent + y->exponent;
    int sign = x->sign * y->sign, shift;

    if (sign == 0) {
        set_zero(out);
        return;
    }
    vdit_limbs_mul_high(product, x->limb, y->limb, LIMBS, LIMBS - 2, LIMBS - 1);
    shift = product[LIMBS] >> 31 == 0; /* the product of the fractions is at least 1/4 */
    for (int i = 0; i < LIMBS; i++)
        out->limb[i] = product[i + 1] << shift | (shift ? product[i] >> 31 : 0);
    out->exponent = exponent - shift;
    out->sign = sign;
}

/*
 * One digit of Knuth's algorithm D (The Art of Computer Programming, vol. 2, 4.3.1): divides
 * u[LIMBS+1], whose upper limbs are below v's, by v with its top bit set, leaving the remainder in
 * u. Returns: the digit.
 */
static uint32_t divide_digit(uint32_t *u, const uint32_t *v)
{
    uint64_t top = (uint64_t)u[LIMBS] << 32 | u[LIMBS - 1];
    uint64_t digit = top / v[LIMBS - 1], rest = top % v[LIMBS - 1], carry = 0;
    uint32_t borrow = 0;

    while (digit >> 32 != 0 || digit * v[LIMBS - 2] > (rest << 32 | u[LIMBS - 2])) {
        digit--;
        rest += v[LIMBS - 1];
        if (rest >> 32 != 0)
            break;
    }
    for (int i = 0; i <= LIMBS; i++) {
        uint64_t difference;
        carry += i < LIMBS ? digit * v[i] : 0;
        difference = (uint64_t)u[i] - (uint32_t)carry - borrow;
        u[i] = (uint32_t)difference;
        borrow = (uint32_t)(difference >> 32) & 1;
        carry >>= 32;
    }
    if (borrow != 0) { /* one too many, in two of 2^32 cases */
        digit--;
        u[LIMBS] += vdit_limbs_add(u, v, LIMBS);
    }
    return (uint32_t)digit;
}

/* The quotient of the fractions times 2^224, cut to an integer above 2^223: 2^-223, then the cut.
 */
void vdit_mp_div(vdit_mp *out, const vdit_mp *x, const vdit_mp *y)
{
    enum { DIGITS = LIMBS + 2 };
    uint32_t u[LIMBS + DIGITS] = {0}, quotient[DIGITS];

    if (x->sign == 0) {
        set_zero(out);
        return;
    }
    memcpy(u + DIGITS - 1, x->limb, sizeof x->limb);
    for (int i = DIGITS - 1; i >= 0; i--)
        quotient[i] = divide_digit(u + i, y->limb);
    vdit_mp_from_limbs(out, x->sign * y->sign, quotient, DIGITS,
                       x->exponent - y->exponent - 32 * (DIGITS - 1));
}

/*
 * x = f 4^k with f in [1/4, 2). Newton's steps for r = f^-1/2 square its relative error e: r + r (1 - f r r) / 2
 * errs by less than 1.6 e^2 + 2 * 2^-190.9. From 2^-51 it goes to 2^-101 and 2^-189.8; f r is the root.
 */
void vdit_mp_sqrt(vdit_mp *out, const vdit_mp *x)
{
    int64_t power = x->exponent / 2; /* towards 0: the exponent of f is -1, 0 or 1 */
    vdit_mp f, r, step, one;

    if (x->sign == 0) {
        set_zero(out);
        return;
    }
    vdit_mp_scale(&f, x, -2 * power);
    vdit_mp_from_f64(&one, 1);
    vdit_mp_from_f64(&r, 1 / sqrt(vdit_mp_round(&f, VDIT_F64)));
    for (int i = 0; i < 2; i++) {
        vdit_mp_mul(&step, &r, &r);
        vdit_mp_mul(&step, &step, &f);
        vdit_mp_sub(&step, &one, &step);
        vdit_mp_mul(&step, &step, &r);
        vdit_mp_scale(&step, &step, -1);
        vdit_mp_add(&r, &r, &step);
    }
    vdit_mp_mul(&r, &r, &f);
    vdit_mp_scale(out, &r, power);
}

double vdit_mp_round(const vdit_mp *x, vdit_dtype dtype)
{
    uint64_t top = (uint64_t)x->limb[LIMBS - 1] << 32 | x->limb[LIMBS - 2];
    int sticky = vdit_limbs_sticky(x->limb, LIMBS, VDIT_MP_BITS - 64);

    return x->sign == 0 ? 0.0 : vdit_round_parts(x->sign < 0, top, sticky, x->exponent, dtype);
}

void vdit_mp_snap(vdit_mp *x, int64_t exponent)
{
    uint32_t kept[LIMBS + 1], half[1], one[LIMBS + 1] = {1};
    int64_t whole = x->exponent - exponent; /* bits that stand for multiples of 2^exponent */
    int cut;

    if (x->sign == 0 || whole >= VDIT_MP_BITS)
        return;
    if (whole < 0) {
        set_zero(x); /* below half of 2^exponent */
        return;
    }
    cut = VDIT_MP_BITS - (int)whole;
    vdit_limbs_window(kept, LIMBS + 1, x->limb, LIMBS, cut);
    vdit_limbs_window(half, 1, x->limb, LIMBS, cut - 1);
    if ((half[0] & 1) != 0 && ((kept[0] & 1) != 0 || vdit_limbs_sticky(x->limb, LIMBS, cut - 1)))
        vdit_limbs_add(kept, one, LIMBS + 1);
    vdit_mp_from_limbs(x, x->sign, kept, LIMBS + 1, exponent);
}

void vdit_snap_to(vdit_mp *value, const vdit_mp *size)
{
    vdit_mp above;

    if (size->sign == 0)
        return;
    vdit_mp_scale(&above, size, -64);
    vdit_mp_add(&above, &above, size); /* 0.1... * 2^e: the least power above it is 2^e */
    vdit_mp_snap(value, above.exponent - SNAP_BITS);
}
