/* test_op_linear_values.c - single sums that are hard to round, and special values. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/op.h>
#include "operands.h"

static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};

/* Outputs are this many equal columns, because some are rounded in pieces and some alone. */
#define COLUMNS 5

/* Returns: the tensor with its first axis, of extent 1, repeated. */
static vdit_tensor repeated(vdit_tensor t)
{
    t.shape[0] = COLUMNS;
    t.stride[0] = 0;
    return t;
}

/* Asserts that all columns of y have this value; and the canonical bits, if it is a NaN. */
static void assert_columns(const vdit_tensor *y, double expected)
{
    unsigned char canonical[8], bytes[8];

    vdit_store_f64(canonical, y->dtype, NAN);
    for (size_t o = 0; o < COLUMNS; o++) {
        double ours = operand_get(y, o);
        if (!oracle_same(ours, expected))
            print_error("%s: %a, expected %a\n", vdit_dtype_name(y->dtype), ours, expected);
        assert_true(oracle_same(ours, expected));
        memcpy(bytes, (char *)y->data + o * vdit_dtype_size(y->dtype), vdit_dtype_size(y->dtype));
        if (isnan(expected))
            assert_memory_equal(bytes, canonical, vdit_dtype_size(y->dtype));
    }
}

/* A row of x against w = 1, what comes out in f32, and who decides it. */
typedef struct hard_sum {
    float x[8], b, expected;
    int stage;
} hard_sum;

/*
 * A plain sum; overflow; zeros; halfway cases up and down; halfway cases and a hair; tiny numbers behind
 * a cancellation; halfway cases that only the exact sum can see, by the bias too; a hair that the sum of
 * the error terms loses, and rounding errors of that sum that add up across a halfway case; a zero
 * reached by cancellation.
 */
static const hard_sum hard_sums[] = {
    {{1, 2, 3, 4}, 0, 10, 0},
    {{0x1p127f, 0x1p127f, 0x1p127f, 0x1p127f}, 0, INFINITY, 0},
    {{0, -0.0f, 0, -0.0f}, 0, 0, 0},
    {{1, 0x1p-24f}, 0, 1, 1},
    {{1 + 0x1p-23f, 0x1p-24f}, 0, 1 + 0x1p-22f, 1},
    {{1, 0x1p-24f, 0x1p-140f}, 0, 1 + 0x1p-23f, 1},
    {{1, 0x1p-24f, -0x1p-140f}, 0, 1, 1},
    {{1, 0x1p-24f}, 0x1p-140f, 1 + 0x1p-23f, 1},
    {{0x1p60f, 1, -0x1p60f}, 0, 1, 1},
    {{0x1p120f, 0x1p-120f, -0x1p120f}, 0, 0x1p-120f, 1},
    {{0x1p100f, 1, -0x1p100f, 0x1p-24f}, 0, 1, 2},
    {{0x1p100f, 1 + 0x1p-23f, -0x1p100f, 0x1p-24f}, 0, 1 + 0x1p-22f, 2},
    {{0x1p100f, 1 + 0x1p-23f, -0x1p100f, 0}, 0x1p-24f, 1 + 0x1p-22f, 2},
    {{0x1p100f, 1, 0x1p-24f, 0x1p-90f, 0, 0, 0, -0x1p100f}, 0, 1 + 0x1p-23f, 2},
    {{0x1p100f, 1, 0x1p-24f, -0x1p-90f, 0, 0, 0, -0x1p100f}, 0, 1, 2},
    {{0x1p100f, 1, 0x1p-24f, 0x1.333334p-53f, 0x1.333334p-53f, -0x1.666666p-52f, 0, -0x1p100f},
     0,
     1,
     2},
    {{0x1p100f, 1, -0x1p100f, -1}, 0, 0, 2},
};

/* Computes one with its numbers spread apart by zeros. */
static void assert_hard_sum(const hard_sum *sum, size_t apart, uint64_t decided[3])
{
    const size_t row[] = {1, 8 * apart}, out[] = {1, COLUMNS};
    vdit_run *run = vdit_run_new();
    vdit_tensor x, w, y, b = repeated(vdit_tensor_view((void *)&sum->b, VDIT_F32, 1, row));

    vdit_tensor_new(run, &x, VDIT_F32, 2, row);
    vdit_tensor_new(run, &w, VDIT_F32, 2, row);
    vdit_tensor_new(run, &y, VDIT_F32, 2, out);
    for (size_t k = 0; k < 8 * apart; k++) {
        operand_set(&x, k, k % apart == 0 ? sum->x[k / apart] : 0);
        operand_set(&w, k, 1);
    }
    w = repeated(w);
    assert_int_equal(vdit_linear(run, &y, &x, &w, &b), VDIT_OK);
    assert_columns(&y, sum->expected);
    memcpy(decided, vdit_run_counters(run)->linear, 3 * sizeof *decided);
    vdit_run_free(run);
}

static void hard_sums_are_decided_by_the_stage_built_for_them(void **state)
{
    uint64_t decided[3];

    (void)state;
    for (size_t i = 0; i < sizeof hard_sums / sizeof *hard_sums; i++) {
        assert_hard_sum(&hard_sums[i], 1, decided);
        for (int stage = 0; stage < 3; stage++)
            assert_int_equal(decided[stage], stage == hard_sums[i].stage ? COLUMNS : 0);
    }
}

/* So far apart that packing and the kernel see them in different pieces; one sum takes them all. */
static void hard_sums_are_right_in_long_rows(void **state)
{
    uint64_t decided[3];

    (void)state;
    for (size_t i = 0; i < sizeof hard_sums / sizeof *hard_sums; i++) {
        assert_hard_sum(&hard_sums[i], 40, decided);
        assert_hard_sum(&hard_sums[i], 532, decided);
    }
}

/* Far below the smallest subnormal: an exact zero is +0, all else keeps its sign. */
static void sums_too_small_for_the_dtype_keep_their_sign(void **state)
{
    static const float w[][2] = {
        {0x1p-60f, -0x1p-60f}, {0x1p-60f, -0x1.000002p-60f}, {0x1.000002p-60f, -0x1p-60f}};
    static const double expected[] = {0.0, -0.0, 0.0};
    const size_t row[] = {1, 2}, out[] = {1, COLUMNS};
    vdit_run *run = vdit_run_new();
    float x[2] = {0x1p-100f, 0x1p-100f};
    vdit_tensor xt = vdit_tensor_view(x, VDIT_F32, 2, row);

    (void)state;
    for (int i = 0; i < 3; i++)
        for (int d = 0; d < 3; d++) {
            vdit_tensor wt = repeated(vdit_tensor_view((void *)w[i], VDIT_F32, 2, row)), yt;
            vdit_tensor_new(run, &yt, dtypes[d], 2, out);
            assert_int_equal(vdit_linear(run, &yt, &xt, &wt, NULL), VDIT_OK);
            assert_columns(&yt, expected[i]);
        }
    vdit_run_free(run);
}

/* The smallest subnormal of each output, and half of it with a hair more or less. */
static void results_below_the_normal_range_are_rounded_once(void **state)
{
    static const double smallest[] = {0x1p-149, 0x1p-133, 0x1p-24};
    const size_t shape[] = {1, 3}, out[] = {1, COLUMNS};
    vdit_run *run = vdit_run_new();

    (void)state;
    for (int sign = -1; sign <= 1; sign += 2)
        for (int hair = -1; hair <= 1; hair++)
            for (int i = 0; i < 3; i++) {
                float x[3] = {0x1p-100f, 0x1p-100f, 0x1p-100f}, w[3];
                vdit_tensor xt = vdit_tensor_view(x, VDIT_F32, 2, shape);
                vdit_tensor wt = repeated(vdit_tensor_view(w, VDIT_F32, 2, shape)), yt;
                vdit_tensor_new(run, &yt, dtypes[i], 2, out);
                w[0] = (float)(sign * smallest[i] / 4 * 0x1p100);
                w[1] = w[0];
                w[2] = (float)(hair * 0x1p-149);
                assert_int_equal(vdit_linear(run, &yt, &xt, &wt, NULL), VDIT_OK);
                assert_columns(&yt, sign * (hair * sign > 0 ? smallest[i] : 0.0));
            }
    vdit_run_free(run);
}

static void infinities_and_nans_follow_ieee(void **state)
{
    static const struct {
        float x[3], w[3], b;
        double expected;
    } cases[] = {
        {{INFINITY, 1, 2}, {1, 1, 1}, 0, HUGE_VAL},
        {{INFINITY, 1, 2}, {-1, 1, 1}, 5, -HUGE_VAL},
        {{INFINITY, 1, 2}, {0, 1, 1}, 0, NAN},
        {{INFINITY, INFINITY, 2}, {1, -1, 1}, 0, NAN},
        {{INFINITY, -INFINITY, 2}, {1, -1, 1}, 0, HUGE_VAL},
        {{1, 1, 1}, {1, INFINITY, 1}, 0, HUGE_VAL},
        {{1, NAN, 1}, {1, 0, 1}, 0, NAN},
        {{1, 1, 1}, {1, 1, 1}, INFINITY, HUGE_VAL},
        {{1, 1, 1}, {1, 1, 1}, NAN, NAN},
        {{-INFINITY, 1, 1}, {1, 1, 1}, INFINITY, NAN},
        {{3e38f, 3e38f, 3e38f}, {3e38f, 3e38f, 3e38f}, -INFINITY, -HUGE_VAL},
    };
    const size_t row[] = {1, 3}, out[] = {1, COLUMNS};
    vdit_run *run = vdit_run_new();

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int d = 0; d < 3; d++) {
            vdit_tensor x = vdit_tensor_view((void *)cases[i].x, VDIT_F32, 2, row);
            vdit_tensor w = repeated(vdit_tensor_view((void *)cases[i].w, VDIT_F32, 2, row));
            vdit_tensor b = repeated(vdit_tensor_view((void *)&cases[i].b, VDIT_F32, 1, row)), y;
            vdit_tensor_new(run, &y, dtypes[d], 2, out);
            assert_int_equal(vdit_linear(run, &y, &x, &w, &b), VDIT_OK);
            assert_columns(&y, cases[i].expected);
        }
    vdit_run_free(run);
}

static void without_products_the_bias_remains(void **state)
{
    const size_t x_shape[] = {2, 0}, w_shape[] = {2, 0}, y_shape[] = {2, 2};
    vdit_run *run = vdit_run_new();
    float none = 0, b[2] = {-1.5f, -0.0f}, y[4] = {9, 9, 9, 9};
    vdit_tensor x = vdit_tensor_view(&none, VDIT_F32, 2, x_shape);
    vdit_tensor w = vdit_tensor_view(&none, VDIT_F32, 2, w_shape);
    vdit_tensor bt = vdit_tensor_view(b, VDIT_F32, 1, y_shape);
    vdit_tensor yt = vdit_tensor_view(y, VDIT_F32, 2, y_shape);

    (void)state;
    assert_int_equal(vdit_linear(run, &yt, &x, &w, &bt), VDIT_OK);
    assert_true(oracle_same(y[0], -1.5) && oracle_same(y[1], 0.0) && oracle_same(y[2], -1.5));
    assert_int_equal(vdit_linear(run, &yt, &x, &w, NULL), VDIT_OK);
    assert_true(oracle_same(y[0], 0.0) && oracle_same(y[3], 0.0));
    vdit_run_free(run);
}

static void a_single_row_needs_no_axis(void **state)
{
    const size_t row[] = {1, 3};
    vdit_run *run = vdit_run_new();
    float x[3] = {1, 2, 3}, w[3] = {1, 10, 100}, y = 7;
    vdit_tensor xt = vdit_tensor_view(x, VDIT_F32, 1, row + 1);
    vdit_tensor wt = vdit_tensor_view(w, VDIT_F32, 2, row);
    vdit_tensor yt = vdit_tensor_view(&y, VDIT_F32, 1, row);

    (void)state;
    assert_int_equal(vdit_linear(run, &yt, &xt, &wt, NULL), VDIT_OK);
    assert_true(y == 321);
    vdit_run_free(run);
}

/* One number as a row of more than 2^31. */
static void sums_beyond_the_proof_are_refused(void **state)
{
#if SIZE_MAX > UINT32_MAX
    const size_t row[] = {1, ((size_t)1 << 31) + 1}, one[] = {1, 1};
    vdit_run *run = vdit_run_new();
    float x = 1, y = 7;
    vdit_tensor xt = {VDIT_F32, 2, {0}, {0}, &x}, yt = vdit_tensor_view(&y, VDIT_F32, 2, one);

    (void)state;
    memcpy(xt.shape, row, sizeof row);
    assert_int_equal(vdit_linear(run, &yt, &xt, &xt, NULL), VDIT_ERR_LIMIT);
    assert_string_equal(vdit_run_message(run),
                        "linear: sums of 2147483649 products, expected at most 2^31");
    assert_true(y == 7);
    vdit_run_free(run);
#else
    (void)state;
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hard_sums_are_decided_by_the_stage_built_for_them),
        cmocka_unit_test(hard_sums_are_right_in_long_rows),
        cmocka_unit_test(sums_too_small_for_the_dtype_keep_their_sign),
        cmocka_unit_test(results_below_the_normal_range_are_rounded_once),
        cmocka_unit_test(infinities_and_nans_follow_ieee),
        cmocka_unit_test(without_products_the_bias_remains),
        cmocka_unit_test(a_single_row_needs_no_axis),
        cmocka_unit_test(sums_beyond_the_proof_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
