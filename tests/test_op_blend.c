/* test_op_blend.c - add, modulate, gated_add and rotary against MPFR with enough bits to be exact. */
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

#define BITS 900 /* sums of products of f32 values: from 2^-298 to 2^300 */

static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};

typedef enum blend { ADD, MODULATE, MODULATE_ALONE, GATED_ADD, ROTARY, BLENDS } blend;

/* y, and the operands in the order of the call; c is NULL for two of them. */
static vdit_status call(blend op, vdit_run *run, vdit_tensor *y, const vdit_tensor *a,
                        const vdit_tensor *b, const vdit_tensor *c)
{
    switch (op) {
    case ADD:
        return vdit_add(run, y, a, b);
    case MODULATE:
        return vdit_modulate(run, y, a, b, c);
    case MODULATE_ALONE:
        return vdit_modulate(run, y, a, b, NULL);
    case GATED_ADD:
        return vdit_gated_add(run, y, a, b, c);
    default:
        return vdit_rotary(run, y, a, b, c);
    }
}

/* Out: real += x y. */
static void add_product(mpfr_t real, double x, double y)
{
    mpfr_t term;

    mpfr_init2(term, 64);
    mpfr_set_d(term, x, MPFR_RNDN);
    mpfr_mul_d(term, term, y, MPFR_RNDN);
    mpfr_add(real, real, term, MPFR_RNDN);
    mpfr_clear(term);
}

/*
 * The result for operands a (for rotary: even and other, of which it is the element `odd`), b and c. Where the
 * real number is 0 or there is none, IEEE's value of the formula, in which binary64 loses no sign, zero or
 * infinity.
 */
static double expected(blend op, double a, double other, int odd, double b, double c,
                       vdit_dtype dtype)
{
    double ieee = op == ADD              ? a + b
                  : op == MODULATE       ? a * (1 + b) + c
                  : op == MODULATE_ALONE ? a * (1 + b)
                  : op == GATED_ADD      ? a + b * c
                  : odd                  ? a * c + other * b
                                         : a * b - other * c;
    double result;
    mpfr_t real;

    if (!isfinite(ieee))
        return vdit_round_f64(dtype, ieee);
    mpfr_init2(real, BITS);
    mpfr_set_d(real, op == ROTARY ? 0 : a, MPFR_RNDN);
    if (op == ADD)
        mpfr_add_d(real, real, b, MPFR_RNDN);
    if (op == MODULATE || op == MODULATE_ALONE)
        add_product(real, a, b);
    if (op == MODULATE)
        mpfr_add_d(real, real, c, MPFR_RNDN);
    if (op == GATED_ADD)
        add_product(real, b, c);
    if (op == ROTARY) {
        add_product(real, a, odd ? c : b);
        add_product(real, odd ? other : -other, odd ? b : c);
    }
    result = oracle_round(real, dtype);
    if (mpfr_zero_p(real))
        result = ieee == 0 ? ieee : 0.0;
    mpfr_clear(real);
    return result;
}

/* The element of t that is broadcast to element i of shape, which has per elements of the last axis for one of t's. */
static double broadcast_get(const vdit_tensor *t, const vdit_tensor *shape, size_t i, size_t per)
{
    size_t at = 0, size = 1;

    for (int axis = shape->rank - 1; axis >= 0; axis--) {
        size_t extent = shape->shape[axis], own = axis - (shape->rank - t->rank),
               index = i % extent;

        if (axis == shape->rank - 1)
            index /= per;
        i /= extent;
        if (own < (size_t)t->rank) {
            at += (t->shape[own] == 1 ? 0 : index) * size;
            size *= t->shape[own];
        }
    }
    return operand_get(t, at);
}

static void assert_blend(blend op, const vdit_tensor *y, const vdit_tensor *a, const vdit_tensor *b,
                         const vdit_tensor *c)
{
    size_t count = vdit_tensor_count(y), per = op == ROTARY ? 2 : 1;

    for (size_t i = 0; i < count; i++) {
        double ours = operand_get(y, i);
        int odd = op == ROTARY && i % 2 == 1;
        double x = operand_get(a, i - (size_t)odd), wanted;
        double other = op == ROTARY ? operand_get(a, i + !odd) : 0;

        wanted = expected(op, x, other, odd, broadcast_get(b, y, i, per),
                          c != NULL ? broadcast_get(c, y, i, per) : 0, y->dtype);
        if (!oracle_same(ours, wanted))
            print_error("op %d element %zu: %a, expected %a\n", op, i, ours, wanted);
        assert_true(oracle_same(ours, wanted));
    }
}

/* Makes operands of a family, calls, and compares. */
static void make_and_check(blend op, oracle_random *random, const size_t extent[2],
                           const vdit_dtype dtype[4], operand_family family)
{
    size_t shape[] = {extent[0], extent[1] * (op == ROTARY ? 2 : 1)},
           table[] = {extent[0], extent[1]};
    vdit_run *run = vdit_run_new();
    vdit_tensor y, a, b, c;

    operand_make(run, &a, dtype[0], 2, shape, family, random);
    operand_make(run, &b, dtype[1], 2, table, family, random);
    operand_make(run, &c, dtype[2], 2, table, family, random);
    operand_make(run, &y, dtype[3], 2, shape, OPERAND_NORMAL, random);
    assert_int_equal(call(op, run, &y, &a, &b, &c), VDIT_OK);
    assert_blend(op, &y, &a, &b, op == ADD || op == MODULATE_ALONE ? NULL : &c);
    vdit_run_free(run);
}

static void each_element_is_the_real_result_rounded_once(void **state)
{
    oracle_random random = oracle_random_start("each_element_is_the_real_result_rounded_once");
    const size_t extent[] = {2, 41};

    (void)state;
    for (int op = 0; op < BLENDS; op++)
        for (int mix = 0; mix < 81; mix++)
            for (int family = 0; family < OPERAND_FAMILIES; family++) {
                vdit_dtype dtype[] = {dtypes[mix % 3], dtypes[mix / 3 % 3], dtypes[mix / 9 % 3],
                                      dtypes[mix / 27]};
                make_and_check((blend)op, &random, extent, dtype, (operand_family)family);
            }
}

static void shapes_up_to_three_are_right(void **state)
{
    oracle_random random = oracle_random_start("shapes_up_to_three_are_right");
    const vdit_dtype dtype[] = {VDIT_F32, VDIT_F16, VDIT_BF16, VDIT_F32};

    (void)state;
    for (int op = 0; op < BLENDS; op++)
        for (size_t i = 0; i < 16; i++) {
            size_t extent[] = {i % 4, i / 4};
            make_and_check((blend)op, &random, extent, dtype, OPERAND_NORMAL);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_element_is_the_real_result_rounded_once),
        cmocka_unit_test(shapes_up_to_three_are_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
