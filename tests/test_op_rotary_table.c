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

/* A sum of products that is exactly 0 has sine +0 and cosine 1; one that is 2^-1068 of its terms has its own sine. */
static void sums_that_cancel_are_exact(void **state)
{
    double position[] = {1.5, -3, 0, 0x1p27, 0x1p-1040, -0x1p28};
    float frequency[] = {2, 1, 1};
    const size_t place[] = {2, 3}, learned[] = {3, 1, 1}, shape[] = {1, 2, 1};
    const vdit_tensor t = vdit_tensor_view(position, VDIT_F64, 2, place);
    vdit_tensor f = vdit_tensor_view(frequency, VDIT_F32, 3, learned), cosine, sine;
    vdit_run *run = vdit_run_new();

    (void)state;
    vdit_tensor_new(run, &cosine, VDIT_F32, 3, shape);
    vdit_tensor_new(run, &sine, VDIT_F32, 3, shape);
    assert_int_equal(vdit_rotary_learned(run, &cosine, &sine, &t, &f), VDIT_OK);
    assert_true(oracle_same(operand_get(&sine, 0), 0.0));
    assert_true(operand_get(&cosine, 0) == 1);
    /* 2^28 + 2^-1040 - 2^28: below every f32 number, but with a sign */
    assert_true(oracle_same(operand_get(&sine, 1), 0.0));
    position[4] = -0x1p-1040;
    assert_int_equal(vdit_rotary_learned(run, &cosine, &sine, &t, &f), VDIT_OK);
    assert_true(oracle_same(operand_get(&sine, 1), -0.0));
    vdit_run_free(run);
}

static void special_positions_are_as_documented(void **state)
{
    double position[] = {0, -0.0, HUGE_VAL, NAN};
    float frequency[] = {1, NAN};
    const size_t place[] = {4, 1}, widths[] = {2}, shape[] = {4, 1}, learned[] = {1, 1, 2},
                 learned_shape[] = {1, 4, 2};
    vdit_tensor t = vdit_tensor_view(position, VDIT_F64, 2, place), cosine, sine;
    vdit_tensor f = vdit_tensor_view(frequency, VDIT_F32, 3, learned);
    vdit_run *run = vdit_run_new();

    (void)state;
    vdit_tensor_new(run, &cosine, VDIT_F32, 2, shape);
    vdit_tensor_new(run, &sine, VDIT_F32, 2, shape);
    assert_int_equal(vdit_rotary_table(run, &cosine, &sine, &t, widths, 10000), VDIT_OK);
    for (size_t n = 0; n < 4; n++) {
        assert_true(oracle_same(operand_get(&sine, n), n < 2 ? position[n] : NAN));
        assert_true(oracle_same(operand_get(&cosine, n), n < 2 ? 1 : NAN));
    }
    vdit_tensor_new(run, &cosine, VDIT_F32, 3, learned_shape);
    vdit_tensor_new(run, &sine, VDIT_F32, 3, learned_shape);
    assert_int_equal(vdit_rotary_learned(run, &cosine, &sine, &t, &f), VDIT_OK);
    for (size_t i = 0; i < 8; i++) {
        int finite = i < 4 && i % 2 == 0;
        assert_true(oracle_same(operand_get(&sine, i), finite ? 0.0 : NAN));
        assert_true(oracle_same(operand_get(&cosine, i), finite ? 1 : NAN));
    }
    vdit_run_free(run);
}

static void strides_empty_shapes_and_threads_do_not_matter(void **state)
{
    static const int swap[] = {1, 0}, turn[] = {2, 0, 1};
    oracle_random random = oracle_random_start("strides_empty_shapes_and_threads_do_not_matter");

    (void)state;
    for (size_t mix = 0; mix < 28; mix++) {
        size_t tokens = mix == 27 ? 150 : mix % 3, axes = mix / 3 % 3, pairs = mix / 9;
        size_t widths[] = {4, 2}, all = axes > 1 ? 3 : 2 * axes, place[] = {axes, tokens},
               table[] = {all, tokens}, dense[] = {tokens, all}, learned[] = {pairs, axes, 2},
               out[] = {tokens, pairs, 2}, dense3[] = {2, tokens, pairs};
        vdit_run *run = vdit_run_new();
        vdit_tensor room, t, f, made[2], plain[2];
        vdit_run_set_threads(run, mix % 2 != 0 ? 1 : 5);
        vdit_tensor_new(run, &room, VDIT_F64, 2, place);
        for (size_t i = 0; i < axes * tokens; i++)
            ((double *)room.data)[i] = oracle_int(&random, -50, 50);
        t = vdit_tensor_permute(&room, swap);
        for (int c = 0; c < 2; c++) {
            vdit_tensor_new(run, &room, VDIT_F16, 2, table);
            made[c] = vdit_tensor_permute(&room, swap);
            vdit_tensor_new(run, &plain[c], VDIT_F16, 2, dense);
        }
        assert_int_equal(vdit_rotary_table(run, &made[0], &made[1], &t, widths, 500), VDIT_OK);
        vdit_run_set_threads(run, 1);
        assert_int_equal(vdit_rotary_table(run, &plain[0], &plain[1], &t, widths, 500), VDIT_OK);
        assert_true(operand_same(&made[0], &plain[0]) && operand_same(&made[1], &plain[1]));
        operand_make(run, &room, VDIT_BF16, 3, learned, OPERAND_NORMAL, &random);
        f = vdit_tensor_permute(&room, (const int[]){1, 2, 0});
        for (int c = 0; c < 2; c++) {
            vdit_tensor_new(run, &room, VDIT_F16, 3, out);
            made[c] = vdit_tensor_permute(&room, turn);
            vdit_tensor_new(run, &plain[c], VDIT_F16, 3, dense3);
        }
        assert_int_equal(vdit_rotary_learned(run, &plain[0], &plain[1], &t, &f), VDIT_OK);
        vdit_run_set_threads(run, 5);
        assert_int_equal(vdit_rotary_learned(run, &made[0], &made[1], &t, &f), VDIT_OK);
        assert_true(operand_same(&made[0], &plain[0]) && operand_same(&made[1], &plain[1]));
        vdit_run_free(run);
    }
}

/* One call that must fail: the operands that differ from good ones. */
typedef struct bad_call {
    vdit_tensor position, frequency, cosine, sine; /* frequency without data: axes */
    size_t widths[2];
    double theta;
    vdit_status status;
    const char *message;
} bad_call;

static void each_error_is_named_and_leaves_the_outputs_alone(void **state)
{
    double position[] = {1, 2, 3, 0x1p30};
    float frequency[] = {1, 2, 3, 4}, rooms[2][4];
    const size_t two[] = {2, 2}, odd[] = {2, 3}, cube[] = {2, 1, 2}, out3[] = {1, 2, 2},
                 none[] = {2, 0};
    const vdit_tensor t = vdit_tensor_view(position, VDIT_F64, 2, two);
    const vdit_tensor c = vdit_tensor_view(rooms[0], VDIT_F32, 2, two);
    const vdit_tensor s = vdit_tensor_view(rooms[1], VDIT_F32, 2, two);
    const vdit_tensor f = vdit_tensor_view(frequency, VDIT_F32, 3, cube), axes = {.data = NULL};
    const vdit_tensor c3 = vdit_tensor_view(rooms[0], VDIT_F32, 3, out3);
    const vdit_tensor s3 = vdit_tensor_view(rooms[1], VDIT_F32, 3, out3);
    const bad_call calls[] = {
        {vdit_tensor_view(position, VDIT_F32, 2, two),
         axes,
         c,
         s,
         {2, 2},
         9,
         VDIT_ERR_DTYPE,
         "rotary_table: position is f32, expected f64"},
        {vdit_tensor_view(position, VDIT_F64, 1, two),
         axes,
         c,
         s,
         {2, 2},
         9,
         VDIT_ERR_SHAPE,
         "rotary_table: position has 1 axes, expected 2"},
        {t,
         axes,
         vdit_tensor_view(rooms[0], VDIT_F64, 2, two),
         s,
         {2, 2},
         9,
         VDIT_ERR_DTYPE,
         "rotary_table: cosine is f64, expected f32, bf16 or f16"},
        {t,
         axes,
         c,
         vdit_tensor_view(rooms[1], VDIT_I32, 2, two),
         {2, 2},
         9,
         VDIT_ERR_DTYPE,
         "rotary_table: sine is i32, expected f32, bf16 or f16"},
        {t,
         axes,
         vdit_tensor_view(rooms[0], VDIT_F32, 2, odd),
         s,
         {2, 2},
         9,
         VDIT_ERR_SHAPE,
         "rotary_table: cosine has shape [2, 3], expected [2, 2] to fit the positions"},
        {t,
         axes,
         c,
         vdit_tensor_view(rooms[1], VDIT_F32, 2, none),
         {2, 2},
         9,
         VDIT_ERR_SHAPE,
         "rotary_table: sine has shape [2, 0], expected [2, 2] to fit the positions"},
        {t,
         axes,
         c,
         s,
         {2, 3},
         9,
         VDIT_ERR_ARGUMENT,
         "rotary_table: widths[1] is 3, expected an even number"},
        {t, axes, c, s, {SIZE_MAX - 1, 4}, 9, VDIT_ERR_LIMIT, "rotary_table: widths overflow"},
        {t,
         axes,
         c,
         s,
         {2, 2},
         -1,
         VDIT_ERR_ARGUMENT,
         "rotary_table: theta is -1, expected above 0"},
        {t,
         axes,
         c,
         s,
         {2, 2},
         9,
         VDIT_ERR_LIMIT,
         "rotary_table: position[1, 1] is 1.07374e+09, expected angles below 2^30"},
        {vdit_tensor_view(position, VDIT_I64, 2, two),
         f,
         c3,
         s3,
         {0},
         0,
         VDIT_ERR_DTYPE,
         "rotary_learned: position is i64, expected f64"},
        {t,
         vdit_tensor_view(frequency, VDIT_F64, 3, cube),
         c3,
         s3,
         {0},
         0,
         VDIT_ERR_DTYPE,
         "rotary_learned: frequency is f64, expected f32, bf16 or f16"},
        {t,
         vdit_tensor_view(frequency, VDIT_F32, 3, out3),
         c3,
         s3,
         {0},
         0,
         VDIT_ERR_SHAPE,
         "rotary_learned: frequency has shape [1, 2, 2], expected [2, H, d / 2] to fit the "
         "positions"},
        {t,
         f,
         c,
         s3,
         {0},
         0,
         VDIT_ERR_SHAPE,
         "rotary_learned: cosine has shape [2, 2], expected [1, 2, 2] to fit the positions"},
        {t,
         f,
         c3,
         s3,
         {0},
         0,
         VDIT_ERR_LIMIT,
         "rotary_learned: position[1] is up to 1.07374e+09, the terms of angle [0, 1, 0] add up to "
         "3.22123e+09, expected less than 2^30"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        vdit_run *run = vdit_run_new();
        vdit_tensor cosine = calls[i].cosine, sine = calls[i].sine;
        vdit_status status;
        for (int k = 0; k < 8; k++)
            rooms[k / 4][k % 4] = 7;
        if (calls[i].frequency.data != NULL)
            status =
                vdit_rotary_learned(run, &cosine, &sine, &calls[i].position, &calls[i].frequency);
        else
            status = vdit_rotary_table(run, &cosine, &sine, &calls[i].position, calls[i].widths,
                                       calls[i].theta);
        assert_string_equal(vdit_run_message(run), calls[i].message);
        assert_int_equal(status, calls[i].status);
        for (int k = 0; k < 8; k++)
            assert_true(rooms[k / 4][k % 4] == 7);
        vdit_run_free(run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_of_axes_are_right),
        cmocka_unit_test(learned_tables_are_right),
        cmocka_unit_test(sums_that_cancel_are_exact),
        cmocka_unit_test(special_positions_are_as_documented),
        cmocka_unit_test(strides_empty_shapes_and_threads_do_not_matter),
        cmocka_unit_test(each_error_is_named_and_leaves_the_outputs_alone),
    };

    mpfr_set_emin(mpfr_get_emin_min());
    mpfr_set_emax(mpfr_get_emax_max());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
