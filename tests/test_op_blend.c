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

/* Longer than a piece and a task, in several threads; and every element of a family that cancels. */
static void pieces_and_threads_join_without_a_seam(void **state)
{
    oracle_random random = oracle_random_start("pieces_and_threads_join_without_a_seam");
    const size_t shape[] = {23, 814}, table[] = {23, 407};
    vdit_run *run = vdit_run_new();

    (void)state;
    vdit_run_set_threads(run, 3);
    for (int op = 0; op < BLENDS; op++) {
        vdit_tensor y, a, b, c;

        operand_make(run, &a, VDIT_F32, 2, shape, OPERAND_CANCEL, &random);
        operand_make(run, &b, VDIT_F32, 2, op == ROTARY ? table : shape, OPERAND_WIDE, &random);
        operand_make(run, &c, VDIT_BF16, 2, op == ROTARY ? table : shape, OPERAND_NORMAL, &random);
        operand_make(run, &y, VDIT_F32, 2, shape, OPERAND_NORMAL, &random);
        assert_int_equal(call((blend)op, run, &y, &a, &b, &c), VDIT_OK);
        assert_blend((blend)op, &y, &a, &b, op == ADD || op == MODULATE_ALONE ? NULL : &c);
    }
    vdit_run_free(run);
}

/* Tensors of fewer axes, and of one element for many, on any axis. */
static void operands_are_broadcast(void **state)
{
    oracle_random random = oracle_random_start("operands_are_broadcast");
    static const struct {
        int rank;
        size_t shape[3];
    } tables[] = {{0, {0}},       {1, {1}},       {1, {6}},       {2, {3, 6}},
                  {2, {1, 6}},    {2, {3, 1}},    {3, {2, 3, 6}}, {3, {2, 1, 6}},
                  {3, {1, 3, 1}}, {3, {2, 3, 1}}, {3, {1, 1, 1}}};
    enum { TABLES = sizeof tables / sizeof *tables };

    (void)state;
    for (int op = 0; op < BLENDS; op++)
        for (size_t i = 0; i < (size_t)TABLES * TABLES; i++) {
            size_t shape[] = {2, 3, op == ROTARY ? 12 : 6}, of_b = i % TABLES, of_c = i / TABLES;
            vdit_run *run = vdit_run_new();
            vdit_tensor y, a, b, c;

            operand_make(run, &a, VDIT_F32, 3, shape, OPERAND_NORMAL, &random);
            operand_make(run, &b, VDIT_F32, tables[of_b].rank, tables[of_b].shape, OPERAND_NORMAL,
                         &random);
            operand_make(run, &c, VDIT_F32, tables[of_c].rank, tables[of_c].shape, OPERAND_NORMAL,
                         &random);
            operand_make(run, &y, VDIT_F32, 3, shape, OPERAND_NORMAL, &random);
            assert_int_equal(call((blend)op, run, &y, &a, &b, &c), VDIT_OK);
            assert_blend((blend)op, &y, &a, &b, op == ADD || op == MODULATE_ALONE ? NULL : &c);
            vdit_run_free(run);
        }
}

/* Permuted axes, rows backwards, one element for all, an output with gaps. */
static void strides_do_not_matter(void **state)
{
    oracle_random random = oracle_random_start("strides_do_not_matter");
    static const int swap[] = {1, 0, 2};
    const size_t shape[] = {3, 4, 8}, gaps[] = {4, 3, 24};

    (void)state;
    for (int op = 0; op < BLENDS; op++)
        for (int i = 0; i < 3; i++) {
            vdit_run *run = vdit_run_new();
            vdit_tensor y, a, b, c;

            operand_make(run, &a, dtypes[i], 3, shape, OPERAND_NORMAL, &random);
            operand_make(run, &b, dtypes[i], 3, shape, OPERAND_NORMAL, &random);
            operand_make(run, &c, dtypes[i], 3, shape, OPERAND_NORMAL, &random);
            operand_make(run, &y, dtypes[i], 3, gaps, OPERAND_NORMAL, &random);
            a = vdit_tensor_permute(&a, swap);
            b = vdit_tensor_permute(&b, swap);
            c = vdit_tensor_permute(&c, swap);
            if (op == ROTARY)
                b.shape[2] = c.shape[2] = 4;
            b.data = (char *)b.data + 7 * vdit_dtype_size(b.dtype); /* backwards */
            b.stride[2] = -1;
            c.stride[2] = 0;
            y.shape[2] = 8;
            y.stride[2] = 3;
            assert_int_equal(call((blend)op, run, &y, &a, &b, &c), VDIT_OK);
            assert_blend((blend)op, &y, &a, &b, op == ADD || op == MODULATE_ALONE ? NULL : &c);
            vdit_run_free(run);
        }
}

/* Every triple of zeros, infinities, NaN, and the smallest and largest numbers. */
static void special_values_follow_the_formula(void **state)
{
    static const double values[] = {0,
                                    -0.0,
                                    1,
                                    -1,
                                    -2,
                                    0.5,
                                    INFINITY,
                                    -INFINITY,
                                    NAN,
                                    0x1p-149,
                                    -0x1p-149,
                                    0x1p-75,
                                    0x1.fffffep127,
                                    -0x1.fffffep127,
                                    0x1.8p-126};
    enum { N = sizeof values / sizeof *values };
    const size_t shape[] = {(size_t)N * N * N, 1}, wide[] = {(size_t)N * N * N, 2};

    (void)state;
    for (int op = 0; op < BLENDS; op++)
        for (int d = 0; d < 3; d++) {
            vdit_run *run = vdit_run_new();
            vdit_tensor y, a, b, c;
            const size_t *whole = op == ROTARY ? wide : shape;

            vdit_tensor_new(run, &a, VDIT_F32, 2, whole);
            vdit_tensor_new(run, &b, VDIT_F32, 2, shape);
            vdit_tensor_new(run, &c, VDIT_F32, 2, shape);
            vdit_tensor_new(run, &y, dtypes[d], 2, whole);
            assert_int_equal(vdit_run_status(run), VDIT_OK);
            for (size_t i = 0; i < shape[0]; i++) {
                operand_set(&a, i * whole[1], values[i % N]);
                if (op == ROTARY)
                    operand_set(&a, 2 * i + 1, values[i / 7 % N]);
                operand_set(&b, i, values[i / N % N]);
                operand_set(&c, i, values[i / N / N]);
            }
            assert_int_equal(call((blend)op, run, &y, &a, &b, &c), VDIT_OK);
            assert_blend((blend)op, &y, &a, &b, op == ADD || op == MODULATE_ALONE ? NULL : &c);
            vdit_run_free(run);
        }
}

/* A NaN that comes out has the one bit pattern, whatever came in. */
static void a_nan_is_canonical(void **state)
{
    const uint32_t nan_in[] = {0xffc12345, 0x7f800001};
    const size_t shape[] = {2};
    uint32_t f32[2];
    uint16_t f16[2];
    vdit_run *run = vdit_run_new();
    vdit_tensor x = vdit_tensor_view((void *)(uintptr_t)nan_in, VDIT_F32, 1, shape);
    vdit_tensor y = vdit_tensor_view(f32, VDIT_F32, 1, shape);
    vdit_tensor z = vdit_tensor_view(f16, VDIT_F16, 1, shape);

    (void)state;
    assert_int_equal(vdit_add(run, &y, &x, &x), VDIT_OK);
    assert_int_equal(vdit_modulate(run, &z, &x, &x, NULL), VDIT_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(f32[i], 0x7fc00000);
        assert_int_equal(f16[i], 0x7e00);
    }
    vdit_run_free(run);
}

/*
 * x + half a unit of x + next to nothing: rounding the sum first, to binary64, would lose what decides. The two
 * small terms are, for modulate, x scale and shift, in both orders; for the others, one product of 48 bits.
 */
static void what_breaks_a_tie_is_not_lost(void **state)
{
    oracle_random random = oracle_random_start("what_breaks_a_tie_is_not_lost");
    enum { N = 4000 };
    const size_t shape[] = {N}, pairs[] = {2 * N};
    vdit_run *run = vdit_run_new();

    (void)state;
    for (int op = 0; op < BLENDS; op++) {
        vdit_tensor y, a, b, c;

        vdit_tensor_new(run, &a, VDIT_F32, 1, op == ROTARY ? pairs : shape);
        vdit_tensor_new(run, &b, VDIT_F32, 1, shape);
        vdit_tensor_new(run, &c, VDIT_F32, 1, shape);
        vdit_tensor_new(run, &y, VDIT_F32, 1, op == ROTARY ? pairs : shape);
        assert_int_equal(vdit_run_status(run), VDIT_OK);
        for (size_t i = 0; i < N; i++) {
            int power = oracle_int(&random, -20, 20), far = oracle_int(&random, 25, 90);
            double sign = oracle_u32(&random) & 1 ? -1 : 1;
            double x = i % 2 ? ldexp(1, power) : oracle_number(&random, 24, power, power);
            double half = ldexp(1, power - 24), tiny = i % 5 ? sign * ldexp(1, power - far) : 0;

            operand_set(&a, op == ROTARY ? 2 * i : i, x);
            if (op == MODULATE || op == MODULATE_ALONE) {
                operand_set(&b, i, i % 2 ? 0x1p-24 : sign * ldexp(1, -far));
                operand_set(&c, i, i % 2 ? tiny : half);
            } else { /* half (1 + 2^-k) as a product; or as a sum with z */
                operand_set(&b, i, op == ADD ? half * (1 + 0x1p-20) : op == ROTARY ? 1 : half);
                operand_set(&c, i, op == ROTARY ? sign * half : 1 + sign * ldexp(1, -(far % 24)));
            }
            if (op == ROTARY)
                operand_set(&a, 2 * i + 1, i % 5 ? 1 + ldexp(1, -(far % 24)) : 1);
        }
        assert_int_equal(call((blend)op, run, &y, &a, &b, &c), VDIT_OK);
        assert_blend((blend)op, &y, &a, &b, op == ADD || op == MODULATE_ALONE ? NULL : &c);
    }
    vdit_run_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_element_is_the_real_result_rounded_once),
        cmocka_unit_test(shapes_up_to_three_are_right),
        cmocka_unit_test(pieces_and_threads_join_without_a_seam),
        cmocka_unit_test(operands_are_broadcast),
        cmocka_unit_test(strides_do_not_matter),
        cmocka_unit_test(special_values_follow_the_formula),
        cmocka_unit_test(a_nan_is_canonical),
        cmocka_unit_test(what_breaks_a_tie_is_not_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
