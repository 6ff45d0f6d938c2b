/* test_op_sinusoid.c - sinusoids of positions against MPFR. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/op.h>
#include "operands.h"

#define BITS 400

static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};

/* Returns: the sine or cosine of t period^(-j / (half - shift)), rounded once. */
static double expected(vdit_dtype dtype, int cosine, double t, double period, size_t j, size_t half,
                       double shift)
{
    mpfr_t angle, power;
    double value;

    if (t == 0 || !isfinite(t))
        return t == 0 ? (cosine ? 1 : t) : NAN;
    mpfr_inits2(BITS, angle, power, (mpfr_ptr)0);
    mpfr_set_ui(power, half, MPFR_RNDN);
    mpfr_sub_d(power, power, shift, MPFR_RNDN);
    mpfr_ui_div(power, j, power, MPFR_RNDN);
    mpfr_neg(power, power, MPFR_RNDN);
    mpfr_set_d(angle, period, MPFR_RNDN);
    mpfr_pow(angle, angle, power, MPFR_RNDN);
    mpfr_mul_d(angle, angle, t, MPFR_RNDN);
    (cosine ? mpfr_cos : mpfr_sin)(angle, angle, MPFR_RNDN);
    value = oracle_round(angle, dtype);
    mpfr_clears(angle, power, (mpfr_ptr)0);
    return value;
}

static void assert_row(const vdit_tensor *y, size_t row, double t, double period, double shift,
                       int cos_first)
{
    size_t width = y->shape[y->rank - 1], half = width / 2;

    for (size_t i = 0; i < width; i++) {
        int cosine = (i < half) == (cos_first != 0);
        double right =
            i == 2 * half ? 0 : expected(y->dtype, cosine, t, period, i % half, half, shift);
        double ours = operand_get(y, row * width + i);
        if (!oracle_same(ours, right))
            print_error("t = %a, period %g, shift %g, element %zu of %zu: %a, expected %a\n", t,
                        period, shift, i, width, ours, right);
        assert_true(oracle_same(ours, right));
    }
}

/* The facts of the models: 256 sinusoids of t = 999, cosines first, period 10000, no shift. */
static void the_timestep_embedding_of_999_is_the_known_one(void **state)
{
    const struct {
        size_t at;
        double value;
    } known[] = {{0, 0.999650},    {1, 0.963782},    {2, -0.398992},
                 {128, -0.026461}, {129, -0.266690}, {130, -0.916955}};
    const size_t shape[] = {256};
    double t = 999;
    vdit_run *run = vdit_run_new();
    vdit_tensor y, position = vdit_tensor_view(&t, VDIT_F64, 0, NULL);

    (void)state;
    vdit_tensor_new(run, &y, VDIT_F32, 1, shape);
    assert_int_equal(vdit_sinusoid(run, &y, &position, 10000, 0, 1), VDIT_OK);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_true(fabs(operand_get(&y, known[i].at) - known[i].value) <= 0.5e-6);
    assert_row(&y, 0, t, 10000, 0, 1);
    vdit_run_free(run);
}

static void random_positions_are_right(void **state)
{
    static const double periods[] = {10000, 256, 1, 0.5, 3e300, 0x1p-200};
    oracle_random random = oracle_random_start("random_positions_are_right");

    (void)state;
    for (int mix = 0; mix < 200; mix++) {
        const size_t count = 5, shape[] = {count, (size_t)oracle_int(&random, 0, 21)};
        size_t half = shape[1] / 2;
        double t[5], period = periods[mix % 6], shift = mix % 4 == 3 ? 0.75 : mix % 4 == 2 ? -1 : 0;
        vdit_run *run = vdit_run_new();
        vdit_tensor position = vdit_tensor_view(t, VDIT_F64, 1, &count), y;
        if (half == 0)
            shift = 0;
        for (size_t i = 0; i < count; i++)
            t[i] = mix % 6 >= 3 ? oracle_number(&random, 53, -240, -210)
                   : mix % 2    ? oracle_int(&random, -1000, 1000)
                                : oracle_number(&random, 53, -60, 29);
        vdit_tensor_new(run, &y, dtypes[mix % 3], 2, shape);
        assert_int_equal(vdit_sinusoid(run, &y, &position, period, shift, mix % 2), VDIT_OK);
        for (size_t i = 0; i < count; i++)
            assert_row(&y, i, t[i], period, shift, mix % 2);
        vdit_run_free(run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_timestep_embedding_of_999_is_the_known_one),
        cmocka_unit_test(random_positions_are_right),
    };

    mpfr_set_emin(mpfr_get_emin_min());
    mpfr_set_emax(mpfr_get_emax_max());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
