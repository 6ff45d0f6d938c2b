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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_element_is_the_real_sum_rounded_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
