/* test_op_masked_mean.c - means of the rows that a mask keeps, against MPFR. */
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

#define BITS 900 /* sums are exact; quotients fall far enough from a tie, or are one */

static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};
static const vdit_dtype mask_dtypes[] = {VDIT_I64, VDIT_I32, VDIT_U8, VDIT_BOOL};

/* Out: element i of an integer tensor = value. */
static void set_integer(vdit_tensor *t, size_t i, int value)
{
    int64_t wide = value;
    int32_t narrow = value;
    uint8_t byte = (uint8_t)value;
    const void *from = t->dtype == VDIT_I64   ? (void *)&wide
                       : t->dtype == VDIT_I32 ? (void *)&narrow
                                              : (void *)&byte;

    memcpy((char *)t->data + i * vdit_dtype_size(t->dtype), from, vdit_dtype_size(t->dtype));
}

static double expected(const vdit_tensor *x, const vdit_tensor *mask, size_t least, size_t b,
                       size_t i, vdit_dtype dtype)
{
    size_t count = 0, n_all = x->shape[1], d = x->shape[2];
    double ieee = 0, result;
    mpfr_t real;

    mpfr_init2(real, BITS);
    mpfr_set_zero(real, 1);
    for (size_t n = 0; n < n_all; n++) {
        double value = operand_get(x, (b * n_all + n) * d + i);
        if (mask != NULL && operand_get(mask, b * n_all + n) == 0)
            continue;
        count++;
        ieee += value;
        mpfr_add_d(real, real, value, MPFR_RNDN);
    }
    count = count > least ? count : least;
    if (count > 0)
        mpfr_div_ui(real, real, (unsigned long)count, MPFR_RNDN);
    result = count == 0 ? NAN : isfinite(ieee) ? oracle_round(real, dtype) : ieee;
    mpfr_clear(real);
    return result;
}

static void assert_mean(const vdit_tensor *y, const vdit_tensor *x, const vdit_tensor *mask,
                        size_t least)
{
    size_t count = vdit_tensor_count(y), d = y->shape[1];

    for (size_t i = 0; i < count; i++) {
        double ours = operand_get(y, i);
        double wanted = expected(x, mask, least, i / d, i % d, y->dtype);
        if (!oracle_same(ours, wanted))
            print_error("element %zu: %a, expected %a\n", i, ours, wanted);
        assert_true(oracle_same(ours, wanted));
    }
}

static void make_and_check(oracle_random *random, const size_t shape[3], int mix,
                           operand_family family)
{
    vdit_run *run = vdit_run_new();
    size_t y_shape[] = {shape[0], shape[2]}, least = (size_t)oracle_int(random, 0, 4);
    int kind = mix / 9 % 5;
    vdit_tensor x, y, mask;

    operand_make(run, &x, dtypes[mix % 3], 3, shape, family, random);
    operand_make(run, &y, dtypes[mix / 3 % 3], 2, y_shape, OPERAND_NORMAL, random);
    assert_int_equal(vdit_tensor_new(run, &mask, mask_dtypes[kind % 4], 2, shape), VDIT_OK);
    for (size_t i = 0; i < shape[0] * shape[1]; i++)
        set_integer(&mask, i, kind == 0 ? oracle_int(random, -1, 1) : oracle_int(random, 0, 1));
    assert_int_equal(vdit_masked_mean(run, &y, &x, kind < 4 ? &mask : NULL, least), VDIT_OK);
    assert_mean(&y, &x, kind < 4 ? &mask : NULL, least);
    vdit_run_free(run);
}

static void each_element_is_the_real_mean_rounded_once(void **state)
{
    oracle_random random = oracle_random_start("each_element_is_the_real_mean_rounded_once");
    const size_t shape[] = {2, 7, 19};

    (void)state;
    for (int mix = 0; mix < 45; mix++)
        for (int family = 0; family < OPERAND_FAMILIES; family++)
            make_and_check(&random, shape, mix, (operand_family)family);
}

static void shapes_up_to_three_are_right(void **state)
{
    oracle_random random = oracle_random_start("shapes_up_to_three_are_right");

    (void)state;
    for (size_t i = 0; i < 64; i++) {
        size_t shape[] = {i % 4, i / 4 % 4, i / 16};
        make_and_check(&random, shape, (int)i, OPERAND_NORMAL);
    }
}

/* More columns than a piece, and more batches than threads. */
static void pieces_and_threads_join_without_a_seam(void **state)
{
    oracle_random random = oracle_random_start("pieces_and_threads_join_without_a_seam");
    const size_t shape[] = {5, 6, 523};

    (void)state;
    for (int family = 0; family < OPERAND_FAMILIES; family++)
        make_and_check(&random, shape, family, (operand_family)family);
}

/* Means of 3, 4, ... small numbers are halves of a bf16 or f16 unit often; every third is not, by little. */
static void ties_go_to_even(void **state)
{
    oracle_random random = oracle_random_start("ties_go_to_even");
    const size_t shape[] = {3, 6, 200}, y_shape[] = {3, 200};

    (void)state;
    for (size_t least = 2; least < 40; least += 1 + least / 2)
        for (int d = 1; d < 3; d++) {
            vdit_run *run = vdit_run_new();
            int bits = d == 1 ? 9 : 12; /* one more than the format has */
            vdit_tensor x, y;

            operand_make(run, &x, VDIT_F32, 3, shape, OPERAND_SPARSE, &random);
            operand_make(run, &y, dtypes[d], 2, y_shape, OPERAND_NORMAL, &random);
            for (size_t i = 0; i < 3 * 6 * 200; i++) {
                size_t n = i / 200 % 6;
                double tie = oracle_number(&random, bits, 0, 4) * (double)(least > 6 ? least : 6);
                operand_set(&x, i,
                            n == 0                 ? tie
                            : n == 1 && i % 3 == 0 ? ldexp(1, -40 - (int)(i % 37))
                                                   : 0);
            }
            assert_int_equal(vdit_masked_mean(run, &y, &x, NULL, least), VDIT_OK);
            assert_mean(&y, &x, NULL, least);
            assert_true(vdit_run_counters(run)->norm[2] > 100);
            vdit_run_free(run);
        }
}

/* What the mask drops is not read; what it keeps is IEEE's sum; no row is 0 / 0. */
static void special_values_follow_the_formula(void **state)
{
    oracle_random random = oracle_random_start("special_values_follow_the_formula");
    const size_t shape[] = {4, 3, 4}, y_shape[] = {4, 4};
    static const uint8_t mask_values[] = {1, 0, 1, 1, 1, 1, 0, 0, 0, 1, 255, 0};
    vdit_run *run = vdit_run_new();
    vdit_tensor x, y, mask = vdit_tensor_view((void *)(uintptr_t)mask_values, VDIT_U8, 2, shape);

    (void)state;
    operand_make(run, &x, VDIT_F32, 3, shape, OPERAND_NORMAL, &random);
    operand_make(run, &y, VDIT_F16, 2, y_shape, OPERAND_NORMAL, &random);
    for (size_t i = 0; i < 4; i++)
        operand_set(&x, 4 + i, NAN); /* dropped */
    operand_set(&x, 12, INFINITY);
    operand_set(&x, 16, -INFINITY);
    operand_set(&x, 13, INFINITY);
    operand_set(&x, 18, NAN);
    for (size_t least = 0; least < 3; least++) {
        assert_int_equal(vdit_masked_mean(run, &y, &x, &mask, least), VDIT_OK);
        assert_mean(&y, &x, &mask, least);
        assert_true(isfinite(operand_get(&y, 0)));
    }
    assert_int_equal(vdit_masked_mean(run, &y, &x, &mask, SIZE_MAX), VDIT_OK);
    assert_mean(&y, &x, &mask, SIZE_MAX);
    vdit_run_free(run);
}

static void strides_do_not_matter(void **state)
{
    oracle_random random = oracle_random_start("strides_do_not_matter");
    static const int order[] = {2, 0, 1};
    const size_t shape[] = {5, 8, 3}, y_shape[] = {3, 24};
    static const int32_t mask_values[] = {0, -1, 7, 0, 0, 1};

    (void)state;
    for (int i = 0; i < 3; i++) {
        vdit_run *run = vdit_run_new();
        vdit_tensor x, y, mask;
        const size_t two[] = {2, 3};

        operand_make(run, &x, dtypes[i], 3, shape, OPERAND_NORMAL, &random);
        operand_make(run, &y, dtypes[i], 2, y_shape, OPERAND_NORMAL, &random);
        x = vdit_tensor_permute(&x, order); /* [3, 5, 8] */
        y.shape[1] = 8;
        y.stride[1] = 3;
        mask = vdit_tensor_view((void *)(uintptr_t)mask_values, VDIT_I32, 2, two);
        mask.shape[0] = 3;
        mask.shape[1] = 5;
        mask.stride[0] = 0;
        mask.stride[1] = 1;
        assert_int_equal(vdit_masked_mean(run, &y, &x, &mask, 1), VDIT_OK);
        for (size_t k = 0; k < 24; k++) {
            /* rows 1 and 2 are kept: their sums and halves are exact in binary64 */
            double wanted = (operand_get(&x, k / 8 * 40 + 8 + k % 8) +
                             operand_get(&x, k / 8 * 40 + 16 + k % 8)) /
                            2;
            assert_true(oracle_same(operand_get(&y, k), vdit_round_f64(dtypes[i], wanted)));
        }
        vdit_run_free(run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_element_is_the_real_mean_rounded_once),
        cmocka_unit_test(shapes_up_to_three_are_right),
        cmocka_unit_test(pieces_and_threads_join_without_a_seam),
        cmocka_unit_test(ties_go_to_even),
        cmocka_unit_test(special_values_follow_the_formula),
        cmocka_unit_test(strides_do_not_matter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
