/*
 * test_attention_weigh.c - the arithmetic of stage 1 against its bounds, in MPFR: slices, weights and
 * sums as pairs of doubles, in each instruction set that runs here.
 *
 * The instances are static: the file is compiled into the test.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "oracle.h"
#include "attention/weigh.c"

#define BITS  2400
#define KEYS  40
#define LANES 24
#define UNIT  0x1p-53

/* The functions of one instruction set. */
typedef struct instance {
    const char *name;
    void (*weigh)(size_t keys, size_t lanes, double scale, const double *mask, const double *top,
                  double *high, double *low, double *sum_high, double *sum_low, double *square);
    void (*values)(size_t n, const double *p_high, const double *p_low, const double *v,
                   double *sum_high, double *sum_low);
    void (*slice)(size_t n, size_t lanes, int bits, const double *x, double *high, double *low);
} instance;

/* Out: those that run here. Returns: how many. */
static size_t find_instances(instance list[3])
{
    static const instance portable = {"portable", weigh_portable, values_portable, slice_portable};
    size_t count = 0;

    list[count++] = portable;
#if defined(__GNUC__) && defined(__x86_64__)
    {
        static const instance avx2 = {"avx2", weigh_avx2, values_avx2, slice_avx2};
        static const instance avx512 = {"avx512", weigh_avx512, values_avx512, slice_avx512};

        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
            list[count++] = avx2;
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
            list[count++] = avx512;
    }
#endif
    return count;
}

/* One panel: what goes in, what comes out. */
typedef struct panel {
    double scale, top[LANES], mask[KEYS * LANES];
    double high[KEYS * LANES], low[KEYS * LANES], given_high[KEYS * LANES], given_low[KEYS * LANES];
    double sum_high[LANES], sum_low[LANES], square[LANES];
} panel;

/* Logits that lie from 720 below to 20 above the reference point, by products, masks, or both. */
static void draw_panel(panel *p, oracle_random *random, int masked)
{
    memset(p, 0, sizeof *p);
    p->scale = oracle_number(random, 53, -4, 0);
    for (size_t lane = 0; lane < LANES; lane++)
        p->top[lane] = lane % 2 ? oracle_number(random, 53, 5, 9) : oracle_int(random, -100, 100);
    for (size_t n = 0; n < KEYS * LANES; n++) {
        double below =
            n % 3 ? fabs(oracle_number(random, 53, -60, 5)) : oracle_int(random, -20, 720);
        double logit = p->top[n % LANES] - below;

        if (masked) {
            p->mask[n] = n % 5 ? oracle_number(random, 24, -3, 6) : -INFINITY;
            logit -= n % 5 ? p->mask[n] : 0;
        }
        p->given_high[n] = p->high[n] = logit / p->scale;
        p->given_low[n] = p->low[n] = logit * oracle_number(random, 53, -30, -24);
    }
}

/* Out: y = scale (high + low) + mask - top of entry n. */
static void real_exponent(mpfr_t y, const panel *p, size_t n, int masked)
{
    mpfr_set_d(y, p->given_high[n], MPFR_RNDN);
    mpfr_add_d(y, y, p->given_low[n], MPFR_RNDN);
    mpfr_mul_d(y, y, p->scale, MPFR_RNDN);
    if (masked)
        mpfr_add_d(y, y, p->mask[n], MPFR_RNDN);
    mpfr_sub_d(y, y, p->top[n % LANES], MPFR_RNDN);
}

/*
 * The error of entry n relative to what the bound grants: VDIT_WEIGH_UNITS, the second order terms, and
 * the rounding of scale low.
 */
static double weight_error(const panel *p, size_t n, int masked)
{
    double mask = masked ? fabs(p->mask[n]) : 0, error;
    double granted = UNIT * (VDIT_WEIGH_UNITS + fabs(p->scale * p->given_low[n]) * 2 +
                             32 * UNIT * (fabs(p->top[n % LANES]) + mask + 700));
    mpfr_t y;

    mpfr_init2(y, 1200);
    real_exponent(y, p, n, masked);
    mpfr_exp(y, y, MPFR_RNDN);
    mpfr_d_div(y, p->high[n], y, MPFR_RNDN);
    mpfr_sub_ui(y, y, 1, MPFR_RNDN);
    error = mpfr_get_d(y, MPFR_RNDN);
    if (p->high[n] != 0)
        error += p->low[n] / p->high[n];
    mpfr_clear(y);
    return fabs(error) / granted;
}

/* Returns: the error of sum_high + sum_low against the weights as they are, in units of the bound. */
static double weights_sum_error(const panel *p, size_t lane)
{
    double error;
    mpfr_t sum;

    mpfr_init2(sum, BITS);
    mpfr_set_zero(sum, 1);
    for (size_t j = 0; j < KEYS; j++) {
        mpfr_add_d(sum, sum, p->high[j * LANES + lane], MPFR_RNDN);
        mpfr_add_d(sum, sum, p->low[j * LANES + lane], MPFR_RNDN);
    }
    mpfr_sub_d(sum, sum, p->sum_high[lane], MPFR_RNDN);
    mpfr_sub_d(sum, sum, p->sum_low[lane], MPFR_RNDN);
    error = fabs(mpfr_get_d(sum, MPFR_RNDA));
    mpfr_clear(sum);
    return error / (UNIT * UNIT * 8 * (KEYS + 64) * (KEYS + 64) * p->sum_high[lane]);
}

static void weights_are_within_their_bound(void **state)
{
    static panel p;
    oracle_random random = oracle_random_start("weights_are_within_their_bound");
    instance list[3];
    size_t count = find_instances(list);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        double worst = 0, worst_sum = 0;

        for (int round = 0; round < 6; round++) {
            int masked = round % 2;

            draw_panel(&p, &random, masked);
            list[i].weigh(KEYS, LANES, p.scale, masked ? p.mask : NULL, p.top, p.high, p.low,
                          p.sum_high, p.sum_low, p.square);
            for (size_t n = 0; n < KEYS * LANES; n++) {
                double y = p.scale * p.given_high[n] - p.top[n % LANES] + (masked ? p.mask[n] : 0);

                assert_true(y > -690.001 || (p.high[n] == 0 && p.low[n] == 0));
                if (y > -689.999)
                    worst = fmax(worst, weight_error(&p, n, masked));
            }
            for (size_t lane = 0; lane < LANES; lane++)
                worst_sum = fmax(worst_sum, weights_sum_error(&p, lane));
        }
        print_message("# %s: weights reach %.3f of their bound, their sums %.4f\n", list[i].name,
                      worst, worst_sum);
        assert_true(worst <= 1 && worst > 0.05);
        assert_true(worst_sum <= 1);
    }
}

/* Values of one size, of any size, and pairs that cancel. */
static void sums_of_values_are_within_their_bound(void **state)
{
    double high[KEYS], low[KEYS], v[KEYS], sum_high, sum_low;
    oracle_random random = oracle_random_start("sums_of_values_are_within_their_bound");
    instance list[3];
    size_t count = find_instances(list);
    mpfr_t sum, size, term;

    (void)state;
    mpfr_inits2(BITS, sum, size, term, (mpfr_ptr)0);
    for (size_t i = 0; i < count; i++) {
        double worst = 0;

        for (int round = 0; round < 60; round++) {
            sum_high = sum_low = 0;
            mpfr_set_zero(sum, 1);
            mpfr_set_zero(size, 1);
            for (size_t j = 0; j < KEYS; j++) {
                high[j] = fabs(oracle_number(&random, 53, round % 3 ? -60 : -1, 0));
                v[j] = oracle_number(&random, 24, round % 3 == 2 ? -100 : 0, round % 3 * 30);
                if (round % 3 == 1 && j % 2) {
                    high[j] = high[j - 1];
                    v[j] = -v[j - 1];
                }
                low[j] = high[j] * oracle_number(&random, 53, -54, -54);
                mpfr_set_d(term, high[j], MPFR_RNDN);
                mpfr_add_d(term, term, low[j], MPFR_RNDN);
                mpfr_mul_d(term, term, v[j], MPFR_RNDN);
                mpfr_add(sum, sum, term, MPFR_RNDN);
                mpfr_abs(term, term, MPFR_RNDN);
                mpfr_add(size, size, term, MPFR_RNDN);
            }
            list[i].values(KEYS, high, low, v, &sum_high, &sum_low);
            mpfr_sub_d(sum, sum, sum_high, MPFR_RNDN);
            mpfr_sub_d(sum, sum, sum_low, MPFR_RNDN);
            mpfr_div(sum, sum, size, MPFR_RNDN);
            worst = fmax(worst, fabs(mpfr_get_d(sum, MPFR_RNDA)) / (4 * KEYS * KEYS * UNIT * UNIT));
        }
        print_message("# %s: sums of values reach %.4f of their bound\n", list[i].name, worst);
        assert_true(worst <= 1 && worst > 0);
    }
    mpfr_clears(sum, size, term, (mpfr_ptr)0);
}

/* high + low is x, both exact; high has the bits that it may have. */
static void slices_are_exact(void **state)
{
    static double x[KEYS * LANES], high[KEYS * LANES], low[KEYS * LANES];
    oracle_random random = oracle_random_start("slices_are_exact");
    instance list[3];
    size_t count = find_instances(list);

    (void)state;
    for (size_t i = 0; i < count; i++)
        for (int round = 0; round < 60; round++) {
            int bits = 16 + round % 11;

            for (size_t n = 0; n < KEYS * LANES; n++)
                x[n] = n % LANES == 7 ? 0
                                      : oracle_number(&random, 24, n % LANES % 2 ? -149 : -3,
                                                      n % LANES % 2 ? 127 : 3);
            list[i].slice(KEYS, LANES, bits, x, high, low);
            for (size_t lane = 0; lane < LANES; lane++) {
                double most = 0, unit;
                int exponent;

                for (size_t c = 0; c < KEYS; c++)
                    most = fmax(most, fabs(x[c * LANES + lane]));
                frexp(most, &exponent);
                unit = ldexp(1, exponent - bits);
                for (size_t n = lane; n < KEYS * LANES; n += LANES) {
                    assert_true(high[n] + low[n] == x[n] && x[n] - high[n] == low[n]);
                    assert_true(fmod(high[n], unit) == 0 && fabs(high[n]) <= ldexp(unit, bits));
                    assert_true(fabs(low[n]) <= unit / 2);
                }
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_within_their_bound),
        cmocka_unit_test(sums_of_values_are_within_their_bound),
        cmocka_unit_test(slices_are_exact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
