/*
 * weigh.c - slices, e^y for y given as a sum of two doubles, and compensated sums of products.
 *
 * Error-free transformations: TwoSum (Knuth), TwoProduct (Dekker, Veltkamp splitting), as in Ogita, Rump,
 * Oishi, "Accurate sum and dot product", 2005. This file must be compiled without contraction: a fused
 * multiply-add stands only where it is written. One body serves each instruction set.
 */
#include <math.h>
#include <stdint.h>
#include "attention/weigh.h"
#include "exact/kernel.h"
#include "exact/simd.h"

#define LOG2_E 0x1.71547652b82fep+0
#define LN2_HIGH                                                                                   \
    0x1.62e42fefa38p-1 /* the first 42 bits of ln 2: times an integer below 2^11, exact */
#define LN2_LOW 0x1.ef35793c7673p-45 /* ln 2 - LN2_HIGH, to nearest */
#define MAGIC   0x1.8p52
#define LEAST   (-690.0)

/* a + b = sum + *rest. */
VDIT_INLINE double two_sum(double a, double b, double *rest)
{
    double sum = a + b, part = sum - a;

    *rest = (a - (sum - part)) + (b - part);
    return sum;
}

/* The same for |a| >= |b| or a = 0 (Dekker). */
VDIT_INLINE double fast_two_sum(double a, double b, double *rest)
{
    double sum = a + b;

    *rest = b - (sum - a);
    return sum;
}

/* The upper 26 bits of a. */
VDIT_INLINE double split(double a)
{
    double scaled = 0x1.0000002p27 * a;

    return scaled - (scaled - a);
}

/* a b = product + *rest: by a fused multiply-add where the machine has one, else by splitting. */
VDIT_INLINE double two_product(int fused, double a, double b, double *rest)
{
    double product = a * b, a_high, b_high, a_low, b_low;

    if (fused) {
        *rest = fma(a, b, -product);
        return product;
    }
    a_high = split(a);
    b_high = split(b);
    a_low = a - a_high;
    b_low = b - b_high;
    *rest = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
    return product;
}

/* a b + c, fused or not: for what its bound covers either way. */
VDIT_INLINE double multiply_add(int fused, double a, double b, double c)
{
    return fused ? fma(a, b, c) : a * b + c;
}

/* x 2^n for a normal result; the low bits of magic's representation hold n. */
VDIT_INLINE double power_of_two(double magic)
{
    union {
        double value;
        uint64_t bits;
    } x;

    x.value = magic;
    x.bits = (x.bits << 52) + (UINT64_C(1023) << 52);
    return x.value;
}

/*
 * e^(y + rest): r = y - n ln 2 as a pair (exact but for n LN2_LOW); then 1 + r + r^2/2 with the error of
 * every addition kept, and r^3 (1/6 + r/24 + ...), below 0.0079, in plain arithmetic: its five roundings
 * make 0.04 units, the terms left out (r^15/15!, rest r^2/2) 0.02.
 */
VDIT_INLINE void exp_pair(int fused, double y, double rest, double *high, double *low)
{
    double magic = y * LOG2_E + MAGIC, n = magic - MAGIC, power = power_of_two(magic);
    double r_low, square_low, e1, e2, e3, sum, tail;
    double r = two_sum(y - n * LN2_HIGH, rest - n * LN2_LOW, &r_low);
    double square = two_product(fused, r, r, &square_low);
    double q = 0x1.93974a8c07c9dp-37;                                   /* 1/14! */
    q = multiply_add(fused, q, r, 0x1.6124613a86d09p-33);               /* 1/13! */
    q = multiply_add(fused, q, r, 0x1.1eed8eff8d898p-29);               /* 1/12! */
    q = multiply_add(fused, q, r, 0x1.ae64567f544e4p-26);               /* 1/11! */
    q = multiply_add(fused, q, r, 0x1.27e4fb7789f5cp-22);               /* 1/10! */
    q = multiply_add(fused, q, r, 0x1.71de3a556c734p-19);               /* 1/9! */
    q = multiply_add(fused, q, r, 0x1.a01a01a01a01ap-16);               /* 1/8! */
    q = multiply_add(fused, q, r, 0x1.a01a01a01a01ap-13);               /* 1/7! */
    q = multiply_add(fused, q, r, 0x1.6c16c16c16c17p-10);               /* 1/6! */
    q = multiply_add(fused, q, r, 0x1.1111111111111p-7);                /* 1/5! */
    q = multiply_add(fused, q, r, 0x1.5555555555555p-5);                /* 1/4! */
    q = multiply_add(fused, q, r, 0x1.5555555555555p-3) * (square * r); /* 1/3! */
    sum = fast_two_sum(1, r, &e1); /* |r| < 0.35, and each term is smaller than the one before */
    sum = fast_two_sum(sum, 0.5 * square, &e2);
    sum = fast_two_sum(sum, q, &e3);
    tail = ((e1 + e2) + e3) + (r_low + (0.5 * square_low + r * r_low));
    sum = fast_two_sum(sum, tail, &e1);
    *high = y > LEAST ? sum * power : 0;
    *low = y > LEAST ? e1 * power : 0;
}

/* Lanes that go through all keys together, their sums in registers. */
#define WIDTH 8

/*
 * The keys for width <= WIDTH lanes. masked is a constant of each call: a mask that is read under a
 * condition becomes a masked load, and one from address 0 costs a trap in microcode each time.
 */
VDIT_INLINE void weigh_lanes(int fused, int masked, size_t width, size_t keys, size_t lanes,
                             double scale, const double *restrict mask, const double *restrict top,
                             double *restrict high, double *restrict low, double *restrict sum_high,
                             double *restrict sum_low, double *restrict square)
{
    double sum[WIDTH] = {0}, rests[WIDTH] = {0}, squares[WIDTH] = {0};

    for (size_t j = 0; j < keys; j++) {
        double *p_high = high + j * lanes, *p_low = low + j * lanes;

        VDIT_SIMD for (size_t i = 0; i < width; i++)
        {
            double rest, e, s = two_product(fused, scale, p_high[i], &rest);

            rest += scale * p_low[i];
            if (masked) {
                s = two_sum(s, mask[j * lanes + i], &e);
                rest += e;
            }
            s = two_sum(s, -top[i], &e);
            rest += e;
            exp_pair(fused, s, rest, &p_high[i], &p_low[i]);
            sum[i] = two_sum(sum[i], p_high[i], &e);
            rests[i] += e + p_low[i];
            squares[i] += p_high[i] * p_high[i];
        }
    }
    for (size_t i = 0; i < width; i++) {
        double e;
        sum_high[i] = two_sum(sum_high[i], sum[i], &e);
        sum_low[i] += e + rests[i];
        square[i] += squares[i];
    }
}

VDIT_INLINE void weigh_body(int fused, int masked, size_t keys, size_t lanes, double scale,
                            const double *mask, const double *top, double *high, double *low,
                            double *sum_high, double *sum_low, double *square)
{
    size_t i = 0;

    for (; i + WIDTH <= lanes; i += WIDTH)
        weigh_lanes(fused, masked, WIDTH, keys, lanes, scale, masked ? mask + i : NULL, top + i,
                    high + i, low + i, sum_high + i, sum_low + i, square + i);
    if (i < lanes)
        weigh_lanes(fused, masked, lanes - i, keys, lanes, scale, masked ? mask + i : NULL, top + i,
                    high + i, low + i, sum_high + i, sum_low + i, square + i);
}

#define CHAINS 8

VDIT_INLINE void values_body(int fused, size_t n, const double *restrict p_high,
                             const double *restrict p_low, const double *restrict v,
                             double *sum_high, double *sum_low)
{
    double high[CHAINS] = {0}, low[CHAINS] = {0}, e;

    for (size_t j = 0; j < n; j += CHAINS) {
        VDIT_SIMD for (size_t i = 0; i < CHAINS; i++)
        {
            double rest, lost, term = two_product(fused, p_high[j + i], v[j + i], &rest);

            high[i] = two_sum(high[i], term, &lost);
            low[i] += (rest + lost) + p_low[j + i] * v[j + i];
        }
    }
    for (size_t i = 0; i < CHAINS; i++) {
        *sum_high = two_sum(*sum_high, high[i], &e);
        *sum_low += e + low[i];
    }
}

VDIT_INLINE void slice_body(size_t n, size_t lanes, int bits, const double *restrict x,
                            double *restrict high, double *restrict low)
{
    double magic[VDIT_KERNEL_NR_MAX] = {0};
    int exponent;

    for (size_t c = 0; c < n; c++) {
        VDIT_SIMD for (size_t i = 0; i < lanes; i++)
        {
            double size = fabs(x[c * lanes + i]);
            magic[i] = size > magic[i] ? size : magic[i];
        }
    }
    for (size_t i = 0; i < lanes; i++) {
        frexp(magic[i], &exponent); /* the maximum is below 2^exponent */
        magic[i] = ldexp(1.5, 52 + exponent - bits);
    }
    for (size_t c = 0; c < n; c++) {
        VDIT_SIMD for (size_t i = 0; i < lanes; i++)
        {
            double rounded = (x[c * lanes + i] + magic[i]) - magic[i];
            high[c * lanes + i] = rounded;
            low[c * lanes + i] = x[c * lanes + i] - rounded;
        }
    }
}

/* One instance per instruction set. */
#define INSTANCE(set, fused, attribute)                                                            \
    attribute static void weigh_##set(size_t keys, size_t lanes, double scale, const double *mask, \
                                      const double *top, double *high, double *low,                \
                                      double *sum_high, double *sum_low, double *square)           \
    {                                                                                              \
        if (mask != NULL)                                                                          \
            weigh_body(fused, 1, keys, lanes, scale, mask, top, high, low, sum_high, sum_low,      \
                       square);                                                                    \
        else                                                                                       \
            weigh_body(fused, 0, keys, lanes, scale, NULL, top, high, low, sum_high, sum_low,      \
                       square);                                                                    \
    }                                                                                              \
    attribute static void values_##set(size_t n, const double *p_high, const double *p_low,        \
                                       const double *v, double *sum_high, double *sum_low)         \
    {                                                                                              \
        values_body(fused, n, p_high, p_low, v, sum_high, sum_low);                                \
    }                                                                                              \
    attribute static void slice_##set(size_t n, size_t lanes, int bits, const double *x,           \
                                      double *high, double *low)                                   \
    {                                                                                              \
        slice_body(n, lanes, bits, x, high, low);                                                  \
    }

#define NO_ATTRIBUTE
INSTANCE(portable, 0, NO_ATTRIBUTE)
#ifdef VDIT_HAVE_X86
INSTANCE(avx512, 1, VDIT_TARGET_AVX512)
INSTANCE(avx2, 1, VDIT_TARGET_AVX2)
#endif

void vdit_weigh(size_t keys, size_t lanes, double scale, const double *mask, const double *top,
                double *high, double *low, double *sum_high, double *sum_low, double *square)
{
    VDIT_CHOOSE(weigh)(keys, lanes, scale, mask, top, high, low, sum_high, sum_low, square);
}

void vdit_weigh_values(size_t n, const double *p_high, const double *p_low, const double *v,
                       double *sum_high, double *sum_low)
{
    VDIT_CHOOSE(values)(n, p_high, p_low, v, sum_high, sum_low);
}

void vdit_slice(size_t n, size_t lanes, int bits, const double *x, double *high, double *low)
{
    VDIT_CHOOSE(slice)(n, lanes, bits, x, high, low);
}
