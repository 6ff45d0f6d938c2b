/* test_exact_settle.c - the rounding test against both ends of the interval, rounded by MPFR. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "exact/settle.h"
#include "oracle.h"

#define BITS 2400

static const vdit_dtype dtypes[3] = {VDIT_F32, VDIT_BF16, VDIT_F16};
static const int precisions[3] = {24, 8, 11}, lowest[3] = {-149, -133, -24},
                 limits[3] = {128, 128, 16};

/*
 * Whether all of [high + low - error, high + low + error] rounds to one element, and to which.
 * Returns: 1 if so; touching 0 is no.
 */
static int real_settle(double *rounded, vdit_dtype dtype, double high, double low, double error)
{
    double above;
    int sign;
    mpfr_t end;

    mpfr_init2(end, BITS);
    mpfr_set_d(end, high, MPFR_RNDN);
    mpfr_add_d(end, end, low, MPFR_RNDN);
    mpfr_sub_d(end, end, error, MPFR_RNDN);
    sign = mpfr_sgn(end);
    *rounded = oracle_round(end, dtype);
    mpfr_add_d(end, end, error, MPFR_RNDN);
    mpfr_add_d(end, end, error, MPFR_RNDN);
    above = oracle_round(end, dtype);
    sign = sign == mpfr_sgn(end) ? sign : 0;
    mpfr_clear(end);
    return sign != 0 && oracle_same(*rounded, above);
}

/* A number of dtype's range, half the time a midpoint or an element, half the time anything. */
static double draw_value(oracle_random *random, int type)
{
    int exponent = oracle_int(random, lowest[type] - 2, limits[type]);
    int bits = precisions[type] + oracle_int(random, 0, 1), room = exponent - lowest[type] + 2;

    if (exponent < lowest[type] + precisions[type]) /* subnormal: an element or a midpoint */
        bits = room < 1 ? 1 : room < bits ? room : bits;
    if (oracle_int(random, 0, 3) == 0)
        bits = 53;
    return oracle_number(random, bits, exponent, exponent);
}

static void what_is_settled_is_the_rounding_of_every_real_inside(void **state)
{
    oracle_random random = oracle_random_start("what_is_settled_is_the_rounding");
    int settled = 0, open = 0;

    (void)state;
    for (int round = 0; round < 60000; round++) {
        int type = round % 3;
        double high = draw_value(&random, type), ours, theirs, wide;
        double error = fabs(high) * ldexp(1, -oracle_int(&random, 9, 120));
        double low = oracle_int(&random, 0, 3) == 0
                         ? 0
                         : oracle_number(&random, 53, -50, -50) * fabs(high) *
                               ldexp(1, -oracle_int(&random, 0, 70)) / 2;
        int found, real;

        if (round % 16 == 5) /* stage 1 may leave a low part as large as the high one */
            low = high * ldexp(oracle_int(&random, -64, 64), -oracle_int(&random, 6, 50));
        if (oracle_int(&random, 0, 2) == 0) /* the interval ends where the rounding may change */
            low = (oracle_int(&random, 0, 1) ? 1 : -1) * error *
                  (1 + ldexp(oracle_int(&random, -4, 4), -oracle_int(&random, 10, 52)));
        found = vdit_settle(&ours, dtypes[type], high, low, error);
        real = real_settle(&theirs, dtypes[type], high, low, error);
        if (found && (!real || !oracle_same(ours, theirs)))
            fail_msg("%s: %a + %a -+ %a settled as %a", vdit_dtype_name(dtypes[type]), high, low,
                     error, ours);
        wide = error * 1.0001 + fabs(low) * 0x1p-50;
        if (!found && real_settle(&theirs, dtypes[type], high, low, wide))
            fail_msg("%s: %a + %a -+ %a left open", vdit_dtype_name(dtypes[type]), high, low,
                     error);
        settled += found;
        open += !found;
    }
    assert_true(settled > 10000 && open > 10000);
}

static void the_simple_test_needs_two_units_more(void **state)
{
    oracle_random random = oracle_random_start("the_simple_test_needs_two_units_more");
    int settled = 0, open = 0;

    (void)state;
    for (int round = 0; round < 40000; round++) {
        int type = round % 3;
        double high = draw_value(&random, type), spare = fabs(high) * 0x1p-52, ours, theirs;
        double bound = fabs(high) * ldexp(1, -oracle_int(&random, 4, 60)), error = bound + spare;
        int found;

        if (round % 2) /* off a midpoint by about the bound */
            high += error * (1 + ldexp(oracle_int(&random, -4, 4), -oracle_int(&random, 2, 40)));
        found = vdit_settle_simple(&ours, dtypes[type], high, error);
        if (found &&
            (!real_settle(&theirs, dtypes[type], high, 0, bound) || !oracle_same(ours, theirs)))
            fail_msg("%s: %a -+ %a settled as %a", vdit_dtype_name(dtypes[type]), high, bound,
                     ours);
        if (!found && real_settle(&theirs, dtypes[type], high, 0, error + 2 * spare))
            fail_msg("%s: %a -+ %a left open", vdit_dtype_name(dtypes[type]), high, error);
        settled += found;
        open += !found;
    }
    assert_true(settled > 5000 && open > 5000);
}

static void intervals_that_touch_zero_are_open(void **state)
{
    double ours;

    (void)state;
    for (int type = 0; type < 3; type++) {
        assert_false(vdit_settle(&ours, dtypes[type], 0, 0, 0x1p-300));
        assert_false(vdit_settle(&ours, dtypes[type], 0x1p-300, 0, 0x1p-300));
        assert_false(vdit_settle(&ours, dtypes[type], -0x1p-300, 0, 0x1p-299));
        assert_true(vdit_settle(&ours, dtypes[type], -0x1p-300, 0, 0x1p-310));
        assert_true(ours == 0 && signbit(ours));
        assert_false(vdit_settle_simple(&ours, dtypes[type], 0x1p-300, 0x1p-300));
        assert_true(vdit_settle_simple(&ours, dtypes[type], 0x1p-300, 0x1p-310));
        assert_true(ours == 0 && !signbit(ours));
    }
}

static void what_is_not_a_number_is_open(void **state)
{
    double ours;

    (void)state;
    assert_false(vdit_settle(&ours, VDIT_F32, NAN, 0, 1));
    assert_false(vdit_settle(&ours, VDIT_F32, 1, NAN, 1));
    assert_false(vdit_settle(&ours, VDIT_F32, 1, 0, NAN));
    assert_false(vdit_settle_simple(&ours, VDIT_F32, NAN, 1));
    assert_false(vdit_settle_simple(&ours, VDIT_BF16, 1, NAN));
    assert_false(vdit_settle_simple(&ours, VDIT_BF16, 1, INFINITY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_settled_is_the_rounding_of_every_real_inside),
        cmocka_unit_test(the_simple_test_needs_two_units_more),
        cmocka_unit_test(intervals_that_touch_zero_are_open),
        cmocka_unit_test(what_is_not_a_number_is_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
