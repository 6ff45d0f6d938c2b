/*
 * exact/pair.h - numbers as unevaluated sums of two doubles, high + low, with |low| at most a few units of
 * high.
 *
 * TwoSum (Knuth), TwoProduct (Dekker, Veltkamp), and the sums, products and quotients of pairs that follow
 * (Joldes, Muller, Popescu, "Tight and rigorous error bounds for basic building blocks of double-word
 * arithmetic", 2017): relative errors below 2^-100 here, where nothing overflows or underflows and the terms
 * of a sum do not cancel; with cancellation, relative to the sum of their magnitudes. Compiled without
 * contraction.
 */
#ifndef VDIT_EXACT_PAIR_H
#define VDIT_EXACT_PAIR_H

typedef struct vdit_pair {
    double high, low;
} vdit_pair;

/* Returns: a + b = high + low, exactly. */
static inline vdit_pair vdit_two_sum(double a, double b)
{
    vdit_pair sum;
    double part;

    sum.high = a + b;
    part = sum.high - a;
    sum.low = (a - (sum.high - part)) + (b - part);
    return sum;
}

/* Returns: a b = high + low, exactly. In: |a|, |b| below 2^990. */
static inline vdit_pair vdit_two_product(double a, double b)
{
    double big_a = 0x1.0000002p27 * a, a1 = big_a - (big_a - a), a2 = a - a1;
    double big_b = 0x1.0000002p27 * b, b1 = big_b - (big_b - b), b2 = b - b1;
    vdit_pair product;

    product.high = a * b;
    product.low = ((a1 * b1 - product.high) + a1 * b2 + a2 * b1) + a2 * b2;
    return product;
}

static inline vdit_pair vdit_pair_add(vdit_pair a, vdit_pair b)
{
    vdit_pair sum = vdit_two_sum(a.high, b.high);

    return vdit_two_sum(sum.high, sum.low + (a.low + b.low));
}

static inline vdit_pair vdit_pair_mul(vdit_pair a, vdit_pair b)
{
    vdit_pair product = vdit_two_product(a.high, b.high);

    return vdit_two_sum(product.high, product.low + (a.high * b.low + a.low * b.high));
}

static inline vdit_pair vdit_pair_div(vdit_pair a, vdit_pair b)
{
    double quotient = a.high / b.high;
    vdit_pair product = vdit_two_product(quotient, b.high), result;

    result.high = quotient;
    result.low = (((a.high - product.high) - product.low) + (a.low - quotient * b.low)) / b.high;
    return result;
}

#endif
