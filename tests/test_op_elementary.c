/* test_op_elementary.c - e^x and ln x against MPFR: the operators and the estimates below them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/op.h>
#include "exact/elementary.h"
#include "operands.h"

#define BITS 300

typedef vdit_status operator_fn(vdit_run *, vdit_tensor *, const vdit_tensor *);
typedef int mpfr_fn(mpfr_t, const mpfr_t, mpfr_rnd_t);

static const struct {
    const char *name;
    operator_fn *ours;
    mpfr_fn *theirs;
} functions[] = {{"exp", vdit_exp, mpfr_exp}, {"log", vdit_log, mpfr_log}};

static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};

/* Asserts that each element of y is f(x) rounded once. */
static void assert_function(int f, const vdit_tensor *y, const vdit_tensor *x)
{
    size_t count = vdit_tensor_count(x);
    mpfr_t in, real;

    mpfr_inits2(BITS, in, real, (mpfr_ptr)0);
    for (size_t i = 0; i < count; i++) {
        double value = operand_get(x, i), ours = operand_get(y, i), expected;
        mpfr_set_d(in, value, MPFR_RNDN);
        functions[f].theirs(real, in, MPFR_RNDN);
        expected = oracle_round(real, y->dtype);
        if (!oracle_same(ours, expected))
            print_error("%s(%a) = %a, expected %a\n", functions[f].name, value, ours, expected);
        assert_true(oracle_same(ours, expected));
    }
    mpfr_clears(in, real, (mpfr_ptr)0);
}

/* Every bf16 and every f16 number, NaN and infinities too, into each dtype. */
static void every_short_number_is_right(void **state)
{
    static uint16_t codes[65536];
    const size_t shape[] = {65536};

    (void)state;
    for (size_t i = 0; i < 65536; i++)
        codes[i] = (uint16_t)i;
    for (int mix = 0; mix < 12; mix++) {
        vdit_run *run = vdit_run_new();
        vdit_tensor x = vdit_tensor_view(codes, dtypes[1 + mix / 6], 1, shape), y;
        vdit_tensor_new(run, &y, dtypes[mix % 3], 1, shape);
        assert_int_equal(functions[mix / 3 % 2].ours(run, &y, &x), VDIT_OK);
        assert_function(mix / 3 % 2, &y, &x);
        vdit_run_free(run);
    }
}

static void random_numbers_are_right(void **state)
{
    oracle_random random = oracle_random_start("random_numbers_are_right");
    const size_t shape[] = {9000};

    (void)state;
    for (int mix = 0; mix < 6; mix++) {
        vdit_run *run = vdit_run_new();
        vdit_tensor x, y;
        operand_make(run, &x, VDIT_F32, 1, shape, OPERAND_WIDE, &random);
        for (size_t i = 0; i < 9000; i++) {
            double value = operand_get(&x, i);
            if (i % 3 == 1) /* where e^x is neither 0 nor infinite */
                value = oracle_number(&random, 24, -30, 6);
            if (i % 3 == 2) /* next to 1 */
                value = 1 + oracle_int(&random, -100000, 100000) * 0x1p-24;
            operand_set(&x, i, mix / 3 != 0 ? fabs(value) : value);
        }
        vdit_tensor_new(run, &y, dtypes[mix % 3], 1, shape);
        assert_int_equal(functions[mix / 3].ours(run, &y, &x), VDIT_OK);
        assert_function(mix / 3, &y, &x);
        vdit_run_free(run);
    }
}

static void special_values_are_as_documented(void **state)
{
    static const float in[] = {0.0f,  -0.0f,   INFINITY, -INFINITY, NAN,
                               89.0f, -104.5f, 300.5f,   -301.0f};
    static const float logarithms[] = {1.0f, 0.0f,  -0.0f,      INFINITY, -INFINITY,
                                       NAN,  -1.0f, -0x1p-149f, 1.0f};
    static const double exp_out[] = {1, 1, HUGE_VAL, 0, NAN, HUGE_VAL, 0, HUGE_VAL, 0};
    static const double log_out[] = {0, -HUGE_VAL, -HUGE_VAL, HUGE_VAL, NAN, NAN, NAN, NAN, 0};
    const struct {
        const float *in;
        const double *out;
    } tables[] = {{in, exp_out}, {logarithms, log_out}};
    const size_t shape[] = {9};
    vdit_run *run = vdit_run_new();
    vdit_tensor x, y;

    (void)state;
    vdit_tensor_new(run, &y, VDIT_F32, 1, shape);
    for (int f = 0; f < 2; f++) {
        x = vdit_tensor_view((void *)tables[f].in, VDIT_F32, 1, shape);
        assert_int_equal(functions[f].ours(run, &y, &x), VDIT_OK);
        assert_function(f, &y, &x);
        for (size_t i = 0; i < 9; i++)
            assert_true(oracle_same(operand_get(&y, i), tables[f].out[i]));
    }
    vdit_run_free(run);
}

/*
 * f32 numbers whose value is so close to a halfway case of f32 that the estimate with its bound cannot
 * decide: the two smallest from 2^-5 (exp) and 2^-126 (log) upwards, and the closest of all f32 numbers,
 * which exhaust_elementary prints.
 */
static void the_last_stage_decides_the_hardest_cases(void **state)
{
    static const float hard[2][3] = {{0x1.344e9cp-5f, 0x1.036492p+1f, -0x1.d2259ap+3f},
                                     {0x1.55c90ep-123f, 0x1.996896p-115f, 0x1.b121a6p+76f}};
    const size_t shape[] = {3};

    (void)state;
    for (int f = 0; f < 2; f++) {
        vdit_run *run = vdit_run_new();
        vdit_tensor x = vdit_tensor_view((void *)hard[f], VDIT_F32, 1, shape), y;
        vdit_tensor_new(run, &y, VDIT_F32, 1, shape);
        assert_int_equal(functions[f].ours(run, &y, &x), VDIT_OK);
        assert_function(f, &y, &x);
        assert_int_equal(vdit_run_counters(run)->elementary[0], 0);
        assert_int_equal(vdit_run_counters(run)->elementary[2], 3);
        vdit_run_free(run);
    }
}

static void estimates_keep_their_bound(void **state)
{
    oracle_random random = oracle_random_start("estimates_keep_their_bound");
    mpfr_t in, real, error;

    (void)state;
    mpfr_inits2(BITS, in, real, error, (mpfr_ptr)0);
    for (int i = 0; i < 60000; i++) {
        int f = i % 2;
        double x = f == 0 ? oracle_number(&random, 53, -60, 8)
                          : fabs(oracle_number(&random, 53, -999, 1000));
        double y;
        if (f == 1 && i % 4 == 1) /* next to 1 and to powers of two */
            x = ldexp(1 + oracle_number(&random, 40, -40, -2), oracle_int(&random, -3, 3));
        y = f == 0 ? vdit_exp_estimate(x) : vdit_log_estimate(x);
        mpfr_set_d(in, x, MPFR_RNDN);
        functions[f].theirs(real, in, MPFR_RNDN);
        mpfr_sub_d(error, real, y, MPFR_RNDN);
        mpfr_div(error, error, real, MPFR_RNDN);
        assert_true(mpfr_cmp_d(real, 0) == 0
                        ? y == 0
                        : fabs(mpfr_get_d(error, MPFR_RNDN)) <= VDIT_ESTIMATE_ERROR);
    }
    mpfr_clears(in, real, error, (mpfr_ptr)0);
}

static void strides_shapes_and_threads_do_not_matter(void **state)
{
    static const int order[] = {2, 0, 1};
    oracle_random random = oracle_random_start("strides_shapes_and_threads_do_not_matter");

    (void)state;
    for (int f = 0; f < 2; f++)
        for (size_t mix = 0; mix < 65; mix++) {
            size_t shape[] = {mix % 4, mix / 4 % 4, mix / 16},
                   y_shape[] = {mix / 16, mix % 4, mix / 4 % 4};
            vdit_run *run = vdit_run_new();
            vdit_tensor x, y;
            if (mix == 64) { /* several tasks, rows across their ends */
                shape[0] = y_shape[1] = 30;
                shape[1] = y_shape[2] = 30;
                shape[2] = y_shape[0] = 20;
            }
            vdit_run_set_threads(run, mix % 2 != 0 ? 1 : 7);
            operand_make(run, &x, VDIT_F32, 3, shape, OPERAND_NORMAL, &random);
            x = vdit_tensor_permute(&x, order);
            vdit_tensor_new(run, &y, VDIT_F16, 3, y_shape);
            assert_int_equal(functions[f].ours(run, &y, &x), VDIT_OK);
            assert_function(f, &y, &x);
            vdit_run_free(run);
        }
}

static void a_single_number_needs_no_axis(void **state)
{
    vdit_run *run = vdit_run_new();
    float x = 1, y = 7;
    vdit_tensor xt = vdit_tensor_view(&x, VDIT_F32, 0, NULL);
    vdit_tensor yt = vdit_tensor_view(&y, VDIT_F32, 0, NULL);

    (void)state;
    assert_int_equal(vdit_log(run, &yt, &xt), VDIT_OK);
    assert_true(oracle_same(y, 0.0));
    vdit_run_free(run);
}

static void each_error_is_named_and_leaves_the_output_alone(void **state)
{
    const size_t shape[] = {2, 3}, other[] = {3, 2};
    float room[6] = {1, 1, 1, 1, 1, 1}, y_room[6] = {7, 7, 7, 7, 7, 7};
    const vdit_tensor good = vdit_tensor_view(room, VDIT_F32, 2, shape);
    const struct {
        vdit_tensor x, y;
        vdit_status status;
        const char *message;
    } cases[] = {
        {vdit_tensor_view(room, VDIT_I32, 2, shape), good, VDIT_ERR_DTYPE,
         "exp: x is i32, expected f32, bf16 or f16"},
        {good, vdit_tensor_view(y_room, VDIT_F64, 2, shape), VDIT_ERR_DTYPE,
         "exp: y is f64, expected f32, bf16 or f16"},
        {good, vdit_tensor_view(y_room, VDIT_F32, 2, other), VDIT_ERR_SHAPE,
         "exp: y has shape [3, 2], expected [2, 3] to fit x"},
        {good, vdit_tensor_view(y_room, VDIT_F32, 1, shape), VDIT_ERR_SHAPE,
         "exp: y has shape [2], expected [2, 3] to fit x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vdit_run *run = vdit_run_new();
        vdit_tensor y = cases[i].y;
        y.data = y_room;
        assert_int_equal(vdit_exp(run, &y, &cases[i].x), cases[i].status);
        assert_string_equal(vdit_run_message(run), cases[i].message);
        assert_int_equal(vdit_log(run, &y, &cases[i].x), cases[i].status); /* and it stays */
        for (int k = 0; k < 6; k++)
            assert_true(y_room[k] == 7);
        vdit_run_free(run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_short_number_is_right),
        cmocka_unit_test(random_numbers_are_right),
        cmocka_unit_test(special_values_are_as_documented),
        cmocka_unit_test(the_last_stage_decides_the_hardest_cases),
        cmocka_unit_test(estimates_keep_their_bound),
        cmocka_unit_test(strides_shapes_and_threads_do_not_matter),
        cmocka_unit_test(a_single_number_needs_no_axis),
        cmocka_unit_test(each_error_is_named_and_leaves_the_output_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
