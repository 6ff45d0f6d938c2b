/*
 * draw.c - words, uniform and normal numbers by element.
 *
 * Normal numbers: G. Marsaglia, T. A. Bray, "A convenient method for generating normal variables",
 * SIAM Review 6, 1964 (the polar method), one number per element.
 */
#include <math.h>
#include <vdit/random.h>
#include "exact/elementary.h"
#include "exact/mp.h"
#include "exact/draw.h"

static void draw_words(uint32_t out[4], vdit_draw draw, uint64_t element, uint32_t attempt)
{
    uint32_t counter[4] = {(uint32_t)element, (uint32_t)(element >> 32), draw.tensor, attempt};
    uint32_t key[2] = {(uint32_t)draw.seed, (uint32_t)(draw.seed >> 32)};

    vdit_philox4x32_10(out, counter, key);
}

uint32_t vdit_draw_word(vdit_draw draw, uint64_t element)
{
    uint32_t words[4];

    draw_words(words, draw, element, 0);
    return words[0];
}

double vdit_draw_uniform(vdit_draw draw, uint64_t element)
{
    return (vdit_draw_word(draw, element) >> 8) * 0x1p-24;
}

/* The rounding test of the numeric contract; the margin also covers the two products' rounding. */
double vdit_draw_log(double x)
{
    double estimate = vdit_log_estimate(x);
    double low = vdit_round_f64(VDIT_F32, estimate * (1 - 2 * VDIT_ESTIMATE_ERROR));
    double high = vdit_round_f64(VDIT_F32, estimate * (1 + 2 * VDIT_ESTIMATE_ERROR));
    vdit_mp exact;

    if (low == high)
        return low;
    vdit_mp_from_f64(&exact, x);
    vdit_mp_log(&exact, &exact);
    return vdit_mp_round(&exact, VDIT_F32);
}

/*
 * x and y are multiples of 2^-23 in [-1,1), so x, y and x^2 + y^2 are exact in binary64. The sum is
 * rounded to f32 because the logarithm is defined on f32; the quotient, the root and the product are
 * rounded once each in binary64.
 */
double vdit_draw_normal(vdit_draw draw, uint64_t element)
{
    for (uint32_t attempt = 0;; attempt++) {
        uint32_t words[4];
        double x, y, s;

        draw_words(words, draw, element, attempt);
        x = (words[0] >> 8) * 0x1p-23 - 1;
        y = (words[1] >> 8) * 0x1p-23 - 1;
        s = vdit_round_f64(VDIT_F32, x * x + y * y);
        if (s > 0 && s < 1)
            return x * sqrt(-2 * vdit_draw_log(s) / s);
    }
}
