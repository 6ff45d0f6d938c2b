/* elementary.c - e^x and ln x in binary64 (proofs: doc/numerics.md, section 3). */
#include <math.h>
#include "exact/elementary.h"

/*
 * Steps: 1. k = the integer nearest to x / ln 2. 2. r = x - k ln 2, |r| < 0.3467, off by at most 2^-55.
 * 3. the Taylor polynomial of degree 13, which leaves out less than 2^-57. 4. times 2^k.
 */
double vdit_exp_estimate(double x)
{
    static const double inverse_factorial[] = {
        1.0 / 6227020800,
        1.0 / 479001600,
        1.0 / 39916800,
        1.0 / 3628800,
        1.0 / 362880,
        1.0 / 40320,
        1.0 / 5040,
        1.0 / 720,
        1.0 / 120,
        1.0 / 24,
        1.0 / 6,
        0.5,
        1.0,
        1.0,
    };
    double k = floor(x * 0x1.71547652b82fep+0 + 0.5);
    double r = x - k * VDIT_LN2_HIGH - k * VDIT_LN2_LOW, sum = inverse_factorial[0];

    for (int i = 1; i < 14; i++)
        sum = sum * r + inverse_factorial[i];
    return ldexp(sum, (int)k);
}

/*
 * Steps: 1. x = 2^k f with f in [sqrt(1/2), sqrt(2)). 2. s = (f - 1)/(f + 1), |s| < 0.1716.
 * 3. ln f = 2 (s + s^3/3 + ... + s^21/21), which leaves out less than 2^-57 of it. 4. add k ln 2.
 */
double vdit_log_estimate(double x)
{
    int exponent;
    double f = frexp(x, &exponent), k, s, square, sum = 1.0 / 21;

    if (f < 0x1.6a09e667f3bcdp-1) {
        f *= 2;
        exponent--;
    }
    k = exponent;
    s = (f - 1) / (f + 1);
    square = s * s;
    for (int n = 19; n >= 3; n -= 2)
        sum = sum * square + 1.0 / n;
    sum = 2 * s + 2 * s * (sum * square);
    return k * VDIT_LN2_HIGH + (sum + k * VDIT_LN2_LOW);
}
