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
        mpfr_div_ui(real, real, count, MPFR_RNDN);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_element_is_the_real_mean_rounded_once),
        cmocka_unit_test(shapes_up_to_three_are_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
