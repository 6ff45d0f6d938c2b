/* test_op_conv.c - convolutions against the definition in MPFR with enough bits to be exact. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/op.h>
#include "operands.h"

#define BITS 700 /* sums of products of f32 values: from 2^-298 to 2^300 */

static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};

/* The element of t at index[rank]. */
static double get_at(const vdit_tensor *t, const size_t *index)
{
    double value;

    vdit_load_f64(&value, 1, vdit_tensor_at(t, index), 1, t->dtype);
    return value;
}

/* Out: index, that of element i in row-major order. */
static void index_of(size_t *index, const vdit_tensor *t, size_t i)
{
    for (int axis = t->rank - 1; axis >= 0; axis--) {
        index[axis] = i % t->shape[axis];
        i /= t->shape[axis];
    }
}

/* The definition, element `to` of y: over all of w[o], what lies outside x being 0. */
static double expected(const vdit_tensor *x, const vdit_tensor *w, const vdit_tensor *b,
                       const vdit_conv_walk *walk, const size_t *to, vdit_dtype dtype)
{
    size_t depth = w->shape[0] > 0 ? vdit_tensor_count(w) / w->shape[0] : 0;
    double ieee = b != NULL ? get_at(b, &to[1]) : 0, result;
    mpfr_t real, term;

    mpfr_inits2(BITS, real, term, (mpfr_ptr)0);
    mpfr_set_d(real, ieee, MPFR_RNDN);
    for (size_t k = 0; k < depth; k++) {
        size_t from[VDIT_MAX_RANK], at[VDIT_MAX_RANK];
        double value = 0, weight;
        int outside = 0;

        index_of(from, w, to[1] * depth + k);
        weight = get_at(w, from);
        at[0] = to[0];
        at[1] = from[1];
        for (int i = 0; i < x->rank - 2; i++) {
            size_t moved = to[i + 2] * walk->stride[i] + from[i + 2];
            outside =
                outside || moved < walk->before[i] || moved - walk->before[i] >= x->shape[i + 2];
            at[i + 2] = moved - walk->before[i];
        }
        if (!outside)
            value = get_at(x, at);
        ieee += value * weight;
        mpfr_set_d(term, value, MPFR_RNDN);
        mpfr_mul_d(term, term, weight, MPFR_RNDN);
        mpfr_add(real, real, term, MPFR_RNDN);
    }
    result = isfinite(ieee) ? oracle_round(real, dtype) : ieee;
    mpfr_clears(real, term, (mpfr_ptr)0);
    return result;
}

static void assert_conv(const vdit_tensor *y, const vdit_tensor *x, const vdit_tensor *w,
                        const vdit_tensor *b, const vdit_conv_walk *walk)
{
    size_t count = vdit_tensor_count(y), index[VDIT_MAX_RANK];

    for (size_t i = 0; i < count; i++) {
        double ours = operand_get(y, i), wanted;

        index_of(index, y, i);
        wanted = expected(x, w, b, walk, index, y->dtype);
        if (!oracle_same(ours, wanted))
            print_error("element %zu: %a, expected %a\n", i, ours, wanted);
        assert_true(oracle_same(ours, wanted));
    }
}

/* Draws a walk and shapes that fit each other along n axes. */
static void draw(oracle_random *random, int n, size_t *x, size_t *w, size_t *y,
                 vdit_conv_walk *walk)
{
    x[0] = y[0] = (size_t)oracle_int(random, 1, 2);
    x[1] = w[1] = (size_t)oracle_int(random, 1, 3);
    w[0] = y[1] = (size_t)oracle_int(random, 1, 4);
    for (int i = 0; i < n; i++) {
        walk->stride[i] = (size_t)oracle_int(random, 1, 3);
        walk->before[i] = (size_t)oracle_int(random, 0, 2);
        walk->after[i] = (size_t)oracle_int(random, 0, 2);
        w[i + 2] = (size_t)oracle_int(random, 1, 3);
        x[i + 2] = (size_t)oracle_int(random, (int)w[i + 2], 6);
        y[i + 2] = (x[i + 2] + walk->before[i] + walk->after[i] - w[i + 2]) / walk->stride[i] + 1;
    }
}

static void each_element_is_the_real_sum_rounded_once(void **state)
{
    oracle_random random = oracle_random_start("each_element_is_the_real_sum_rounded_once");

    (void)state;
    for (int round = 0; round < 300; round++) {
        size_t x_shape[5], w_shape[5], y_shape[5];
        vdit_conv_walk walk = {{0}, {0}, {0}};
        operand_family family = (operand_family)(round % OPERAND_FAMILIES);
        vdit_run *run = vdit_run_new();
        int n = 1 + round % 3;
        vdit_tensor x, w, b, y;

        draw(&random, n, x_shape, w_shape, y_shape, &walk);
        operand_make(run, &x, dtypes[oracle_int(&random, 0, 2)], n + 2, x_shape, family, &random);
        operand_make(run, &w, dtypes[oracle_int(&random, 0, 2)], n + 2, w_shape, family, &random);
        operand_make(run, &b, dtypes[oracle_int(&random, 0, 2)], 1, w_shape, family, &random);
        operand_make(run, &y, dtypes[oracle_int(&random, 0, 2)], n + 2, y_shape, OPERAND_NORMAL,
                     &random);
        assert_int_equal(vdit_conv(run, &y, &x, &w, round % 2 ? &b : NULL, &walk), VDIT_OK);
        assert_conv(&y, &x, &w, round % 2 ? &b : NULL, &walk);
        vdit_run_free(run);
    }
}

/* Extents 0 to 3 of x, 0 to 2 of w, with and without channels, batches and bias. */
static void shapes_up_to_three_are_right(void **state)
{
    oracle_random random = oracle_random_start("shapes_up_to_three_are_right");

    (void)state;
    for (size_t i = 0; i < 4 * 3 * 3 * 3 * 3; i++) {
        size_t x_shape[] = {i / 12 % 3, i / 36 % 3, i % 4},
               w_shape[] = {i / 108, x_shape[1], i / 4 % 3};
        size_t y_shape[] = {x_shape[0], w_shape[0], 0};
        vdit_conv_walk walk = {{1 + i % 2}, {i % 3}, {i / 7 % 2}};
        size_t padded = x_shape[2] + walk.before[0] + walk.after[0];
        vdit_run *run = vdit_run_new();
        vdit_tensor x, w, b, y;

        if (padded >= w_shape[2]) {
            y_shape[2] = (padded - w_shape[2]) / walk.stride[0] + 1;
            operand_make(run, &x, VDIT_F32, 3, x_shape, OPERAND_NORMAL, &random);
            operand_make(run, &w, VDIT_BF16, 3, w_shape, OPERAND_NORMAL, &random);
            operand_make(run, &b, VDIT_F16, 1, w_shape, OPERAND_NORMAL, &random);
            operand_make(run, &y, VDIT_F32, 3, y_shape, OPERAND_NORMAL, &random);
            assert_int_equal(vdit_conv(run, &y, &x, &w, i % 2 ? &b : NULL, &walk), VDIT_OK);
            assert_conv(&y, &x, &w, i % 2 ? &b : NULL, &walk);
        }
        vdit_run_free(run);
    }
}

/* Channels last in x, w back to front, y as tokens: what a patch embedding writes. */
static void strides_do_not_matter(void **state)
{
    oracle_random random = oracle_random_start("strides_do_not_matter");
    static const int channels_second[] = {0, 4, 1, 2, 3}, swapped[] = {0, 1, 2, 4, 3};
    const size_t x_shape[] = {2, 3, 4, 6, 3}, w_shape[] = {5, 3, 1, 2, 2},
                 y_shape[] = {2, 3, 2, 3, 5};
    const vdit_conv_walk walk = {{1, 2, 2}, {0}, {0}};

    (void)state;
    for (int i = 0; i < 3; i++) {
        vdit_run *run = vdit_run_new();
        vdit_tensor x, w, b, y;

        operand_make(run, &x, dtypes[i], 5, x_shape, OPERAND_NORMAL, &random);
        operand_make(run, &w, dtypes[i], 5, w_shape, OPERAND_NORMAL, &random);
        operand_make(run, &b, dtypes[i], 1, w_shape, OPERAND_NORMAL, &random);
        operand_make(run, &y, dtypes[i], 5, y_shape, OPERAND_NORMAL, &random);
        x = vdit_tensor_permute(&x, channels_second);
        y = vdit_tensor_permute(&y, channels_second);
        w = vdit_tensor_permute(&w, swapped);
        w.data = (char *)w.data + (vdit_tensor_count(&w) - 1) * vdit_dtype_size(w.dtype);
        for (int axis = 0; axis < 5; axis++)
            w.stride[axis] = -w.stride[axis];
        b.stride[0] = 0;
        assert_int_equal(vdit_conv(run, &y, &x, &w, &b, &walk), VDIT_OK);
        assert_conv(&y, &x, &w, &b, &walk);
        vdit_run_free(run);
    }
}

/* Zeros around x are numbers of the formula: an infinite weight makes them NaN. */
static void special_values_follow_the_formula(void **state)
{
    oracle_random random = oracle_random_start("special_values_follow_the_formula");
    const size_t x_shape[] = {1, 2, 5, 4}, w_shape[] = {3, 2, 3, 2}, y_shape[] = {1, 3, 5, 5};
    const vdit_conv_walk walk = {{1, 1}, {2, 1}, {0, 1}};
    vdit_run *run = vdit_run_new();
    vdit_tensor x, w, y;

    (void)state;
    operand_make(run, &x, VDIT_F32, 4, x_shape, OPERAND_NORMAL, &random);
    operand_make(run, &w, VDIT_F32, 4, w_shape, OPERAND_NORMAL, &random);
    operand_make(run, &y, VDIT_F32, 4, y_shape, OPERAND_NORMAL, &random);
    operand_set(&x, 7, INFINITY);
    operand_set(&x, 33, NAN);
    operand_set(&w, 12, -INFINITY); /* of output 1 */
    assert_int_equal(vdit_conv(run, &y, &x, &w, NULL, &walk), VDIT_OK);
    assert_conv(&y, &x, &w, NULL, &walk);
    vdit_run_free(run);
}

/* A kernel of one element is a linear layer: 300 rows of 36 KB do not fit into one block. */
static void blocks_join_without_a_seam(void **state)
{
    oracle_random random = oracle_random_start("blocks_join_without_a_seam");
    enum { DEPTH = 9000, ROWS = 300, OUTPUTS = 19 };
    static const int channels_last[] = {0, 2, 1};
    const size_t numbers = DEPTH + 7 * ROWS, w_shape[] = {OUTPUTS, DEPTH, 1},
                 y_shape[] = {1, OUTPUTS, ROWS};
    const size_t flat[] = {OUTPUTS, DEPTH};
    const vdit_conv_walk walk = {{1}, {0}, {0}};
    vdit_run *run = vdit_run_new();
    vdit_tensor x, w, y, other, rows, matrix, wanted;

    (void)state;
    vdit_run_set_threads(run, 1);
    operand_make(run, &x, VDIT_F32, 1, &numbers, OPERAND_NORMAL, &random);
    x.rank = 3; /* rows that overlap: [1, DEPTH, ROWS] */
    x.shape[0] = 1, x.shape[1] = DEPTH, x.shape[2] = ROWS;
    x.stride[0] = 0, x.stride[1] = 1, x.stride[2] = 7;
    operand_make(run, &w, VDIT_F32, 3, w_shape, OPERAND_NORMAL, &random);
    operand_make(run, &y, VDIT_F32, 3, y_shape, OPERAND_NORMAL, &random);
    operand_make(run, &other, VDIT_F32, 3, y_shape, OPERAND_NORMAL, &random);
    rows = vdit_tensor_permute(&x, channels_last);
    matrix = vdit_tensor_view(w.data, VDIT_F32, 2, flat);
    wanted = vdit_tensor_permute(&other, channels_last);
    assert_int_equal(vdit_linear(run, &wanted, &rows, &matrix, NULL), VDIT_OK);
    assert_int_equal(vdit_conv(run, &y, &x, &w, NULL, &walk), VDIT_OK);
    assert_true(operand_same(&y, &other));
    vdit_run_set_threads(run, 3);
    memset(y.data, 0, sizeof(float) * OUTPUTS * ROWS);
    assert_int_equal(vdit_conv(run, &y, &x, &w, NULL, &walk), VDIT_OK);
    assert_true(operand_same(&y, &other));
    vdit_run_free(run);
}

static void sums_that_are_too_long_are_refused(void **state)
{
    const size_t one[] = {1, 1, 1}, many = ((size_t)1 << 31) + 1;
    const vdit_conv_walk walk = {{1}, {0}, {0}};
    vdit_run *run = vdit_run_new();
    float value = 1, out = 7;
    vdit_tensor x = vdit_tensor_view(&value, VDIT_F32, 3, one), w = x;
    vdit_tensor y = vdit_tensor_view(&out, VDIT_F32, 3, one);

    (void)state;
    x.shape[1] = w.shape[1] = many;
    x.stride[1] = w.stride[1] = 0; /* one number, very often */
    assert_int_equal(vdit_conv(run, &y, &x, &w, NULL, &walk), VDIT_ERR_LIMIT);
    assert_string_equal(vdit_run_message(run),
                        "conv: sums of 2147483649 products, expected at most 2^31");
    assert_true(out == 7);
    vdit_run_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_element_is_the_real_sum_rounded_once),
        cmocka_unit_test(shapes_up_to_three_are_right),
        cmocka_unit_test(strides_do_not_matter),
        cmocka_unit_test(special_values_follow_the_formula),
        cmocka_unit_test(blocks_join_without_a_seam),
        cmocka_unit_test(sums_that_are_too_long_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
