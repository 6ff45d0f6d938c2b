/* test_op_rotary_table.c - rotary tables, of axes and with learned frequencies, against MPFR. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/op.h>
#include "operands.h"

#define BITS 2800

static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};

static void assert_circular(const vdit_tensor *y, size_t at, int cosine, const mpfr_t angle)
{
    double ours = operand_get(y, at), right;
    mpfr_t real;

    mpfr_init2(real, 400);
    (cosine ? mpfr_cos : mpfr_sin)(real, angle, MPFR_RNDN);
    right = oracle_round(real, y->dtype);
    if (!oracle_same(ours, right))
        print_error("%s of %a, element %zu: %a, expected %a\n", cosine ? "cosine" : "sine",
                    mpfr_get_d(angle, MPFR_RNDN), at, ours, right);
    assert_true(oracle_same(ours, right));
    mpfr_clear(real);
}

/* Out: angle = t theta^(-2 j / width) */
static void axis_angle(mpfr_t angle, double t, double theta, size_t j, size_t width)
{
    mpfr_t power;

    mpfr_init2(power, 400);
    mpfr_set_ui(power, 2 * j, MPFR_RNDN);
    mpfr_div_ui(power, power, width, MPFR_RNDN);
    mpfr_neg(power, power, MPFR_RNDN);
    mpfr_set_d(angle, theta, MPFR_RNDN);
    mpfr_pow(angle, angle, power, MPFR_RNDN);
    mpfr_mul_d(angle, angle, t, MPFR_RNDN);
    mpfr_clear(power);
}

static void tables_of_axes_are_right(void **state)
{
    static const size_t widths[] = {44, 42, 42}, small[] = {2, 0, 6};
    oracle_random random = oracle_random_start("tables_of_axes_are_right");
    mpfr_t angle;

    (void)state;
    mpfr_init2(angle, 400);
    for (int mix = 0; mix < 12; mix++) {
        const size_t *width = mix % 2 ? small : widths, tokens = 5, place[] = {tokens, 3};
        const size_t shape[] = {tokens, (width[0] + width[1] + width[2]) / 2};
        double position[15], theta = mix % 3 == 0 ? 256 : 10000;
        vdit_run *run = vdit_run_new();
        vdit_tensor t = vdit_tensor_view(position, VDIT_F64, 2, place), cosine, sine;
        for (size_t i = 0; i < 15; i++)
            position[i] =
                mix < 6 ? oracle_int(&random, 0, 100) : oracle_number(&random, 53, -100, 29);
        vdit_tensor_new(run, &cosine, dtypes[mix % 3], 2, shape);
        vdit_tensor_new(run, &sine, dtypes[mix / 3 % 3], 2, shape);
        assert_int_equal(vdit_rotary_table(run, &cosine, &sine, &t, width, theta), VDIT_OK);
        for (size_t n = 0; n < tokens; n++)
            for (size_t a = 0, at = n * shape[1]; a < 3; a++)
                for (size_t j = 0; j < width[a] / 2; j++, at++) {
                    axis_angle(angle, position[n * 3 + a], theta, j, width[a]);
                    assert_circular(&cosine, at, 1, angle);
                    assert_circular(&sine, at, 0, angle);
                }
        vdit_run_free(run);
    }
    mpfr_clear(angle);
}

static void learned_tables_are_right(void **state)
{
    oracle_random random = oracle_random_start("learned_tables_are_right");
    mpfr_t angle, term;

    (void)state;
    mpfr_inits2(BITS, angle, term, (mpfr_ptr)0);
    for (int mix = 0; mix < 60; mix++) {
        const size_t tokens = 4, heads = 2, pairs = 3, place[] = {tokens, 3},
                     learned[] = {3, heads, pairs}, shape[] = {heads, tokens, pairs};
        double position[12];
        vdit_run *run = vdit_run_new();
        vdit_tensor t = vdit_tensor_view(position, VDIT_F64, 2, place), frequency, cosine, sine;
        operand_make(run, &frequency, dtypes[mix % 3], 3, learned, OPERAND_NORMAL, &random);
        for (size_t i = 0; i < 12; i++) {
            position[i] = oracle_number(&random, 53, mix % 5 == 4 ? -1070 : -40, 20);
            if (mix % 2) /* sums that cancel: the third axis undoes the first */
                position[i] = i % 3 == 2 ? -position[i - 2] : position[i];
        }
        for (size_t i = 0; i < heads * pairs && mix % 2; i++)
            operand_set(&frequency, 2 * heads * pairs + i, operand_get(&frequency, i));
        vdit_tensor_new(run, &cosine, dtypes[mix / 3 % 3], 3, shape);
        vdit_tensor_new(run, &sine, dtypes[mix / 9 % 3], 3, shape);
        assert_int_equal(vdit_rotary_learned(run, &cosine, &sine, &t, &frequency), VDIT_OK);
        for (size_t at = 0; at < heads * tokens * pairs; at++) {
            size_t h = at / (tokens * pairs), n = at / pairs % tokens, j = at % pairs;
            mpfr_set_zero(angle, 1);
            for (size_t a = 0; a < 3; a++) {
                mpfr_set_d(term, position[n * 3 + a], MPFR_RNDN);
                mpfr_mul_d(term, term, operand_get(&frequency, (a * heads + h) * pairs + j),
                           MPFR_RNDN);
                mpfr_add(angle, angle, term, MPFR_RNDN);
            }
            assert_circular(&cosine, at, 1, angle);
            assert_circular(&sine, at, 0, angle);
        }
        vdit_run_free(run);
    }
    mpfr_clears(angle, term, (mpfr_ptr)0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_of_axes_are_right),
        cmocka_unit_test(learned_tables_are_right),
    };

    mpfr_set_emin(mpfr_get_emin_min());
    mpfr_set_emax(mpfr_get_emax_max());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
