/* test_op_matmul.c - the matrix product against the linear layer and against MPFR. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/op.h>
#include "operands.h"

#define BITS 700

static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};

/* Asserts that every step-th element of c is the real sum rounded once; leading axes are folded. */
static void assert_matmul(const vdit_tensor *c, const vdit_tensor *a, const vdit_tensor *b,
                          size_t step)
{
    size_t count = vdit_tensor_count(c), m = c->shape[c->rank - 2], n = c->shape[c->rank - 1];
    size_t depth = a->shape[a->rank - 1];
    mpfr_t real, term;

    mpfr_inits2(BITS, real, term, (mpfr_ptr)0);
    for (size_t at = 0; at < count; at += step) {
        size_t j = at % n, i = at / n % m, batch = at / n / m;
        mpfr_set_zero(real, 1);
        for (size_t k = 0; k < depth; k++) {
            mpfr_set_d(term, operand_get(a, (batch * m + i) * depth + k), MPFR_RNDN);
            mpfr_mul_d(term, term, operand_get(b, (batch * depth + k) * n + j), MPFR_RNDN);
            mpfr_add(real, real, term, MPFR_RNDN);
        }
        assert_true(oracle_same(operand_get(c, at), oracle_round(real, c->dtype)));
    }
    mpfr_clears(real, term, (mpfr_ptr)0);
}

static void each_element_is_the_real_sum_rounded_once(void **state)
{
    oracle_random random = oracle_random_start("each_element_is_the_real_sum_rounded_once");
    const size_t a_shape[] = {2, 3, 5, 18}, b_shape[] = {2, 3, 18, 26}, c_shape[] = {2, 3, 5, 26};

    (void)state;
    for (int mix = 0; mix < 27; mix++) {
        vdit_run *run = vdit_run_new();
        vdit_tensor a, b, c;
        operand_family family = (operand_family)(mix % OPERAND_FAMILIES);
        operand_make(run, &a, dtypes[mix % 3], 4, a_shape, family, &random);
        operand_make(run, &b, dtypes[mix / 3 % 3], 4, b_shape,
                     family == OPERAND_CANCEL ? OPERAND_INTEGERS : family, &random);
        operand_make(run, &c, dtypes[mix / 9], 4, c_shape, OPERAND_NORMAL, &random);
        assert_int_equal(vdit_matmul(run, &c, &a, &b), VDIT_OK);
        assert_matmul(&c, &a, &b, 1);
        vdit_run_free(run);
    }
}

static void shapes_up_to_three_are_right(void **state)
{
    oracle_random random = oracle_random_start("shapes_up_to_three_are_right");

    (void)state;
    for (size_t shape = 0; shape < 256; shape++) {
        vdit_run *run = vdit_run_new();
        size_t batch = shape / 64, m = shape % 4, n = shape / 4 % 4, k = shape / 16 % 4;
        size_t a_shape[] = {batch, m, k}, b_shape[] = {batch, k, n}, c_shape[] = {batch, m, n};
        vdit_tensor a, b, c;
        operand_make(run, &a, VDIT_F32, 3, a_shape, OPERAND_NORMAL, &random);
        operand_make(run, &b, VDIT_F32, 3, b_shape, OPERAND_NORMAL, &random);
        operand_make(run, &c, VDIT_BF16, 3, c_shape, OPERAND_NORMAL, &random);
        assert_int_equal(vdit_matmul(run, &c, &a, &b), VDIT_OK);
        assert_matmul(&c, &a, &b, 1);
        vdit_run_free(run);
    }
}

/* All orders of the axes of each tensor: whatever lies dense, rows or columns or neither. */
static void strides_do_not_matter(void **state)
{
    static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                    {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    oracle_random random = oracle_random_start("strides_do_not_matter");
    const size_t a_shape[] = {2, 9, 7}, b_shape[] = {2, 7, 30}, c_shape[] = {2, 9, 30};

    (void)state;
    for (int mix = 0; mix < 216; mix++) {
        const size_t *shape[] = {a_shape, b_shape, c_shape};
        const int order[] = {mix % 6, mix / 6 % 6, mix / 36};
        vdit_run *run = vdit_run_new();
        vdit_tensor t[3];
        for (int i = 0; i < 3; i++) { /* make it in the order, then look at it as the shape */
            size_t made[3];
            int back[3];
            for (int axis = 0; axis < 3; axis++) {
                made[axis] = shape[i][orders[order[i]][axis]];
                back[orders[order[i]][axis]] = axis;
            }
            operand_make(run, &t[i], dtypes[(mix + i) % 3], 3, made, OPERAND_NORMAL, &random);
            t[i] = vdit_tensor_permute(&t[i], back);
        }
        assert_int_equal(vdit_matmul(run, &t[2], &t[0], &t[1]), VDIT_OK);
        assert_matmul(&t[2], &t[0], &t[1], 3);
        vdit_run_free(run);
    }
}

static void threads_give_the_same_bits(void **state)
{
    oracle_random random = oracle_random_start("threads_give_the_same_bits");
    const size_t a_shape[] = {3, 70, 50}, b_shape[] = {3, 50, 80}, c_shape[] = {3, 70, 80};
    vdit_run *run = vdit_run_new();
    vdit_tensor a, b, c, other;

    (void)state;
    operand_make(run, &a, VDIT_BF16, 3, a_shape, OPERAND_WIDE, &random);
    operand_make(run, &b, VDIT_F16, 3, b_shape, OPERAND_NORMAL, &random);
    operand_make(run, &c, VDIT_BF16, 3, c_shape, OPERAND_NORMAL, &random);
    operand_make(run, &other, VDIT_BF16, 3, c_shape, OPERAND_NORMAL, &random);
    vdit_run_set_threads(run, 1);
    assert_int_equal(vdit_matmul(run, &c, &a, &b), VDIT_OK);
    for (int threads = 2; threads <= 7; threads += 5) {
        vdit_run_set_threads(run, threads);
        assert_int_equal(vdit_matmul(run, &other, &a, &b), VDIT_OK);
        assert_true(operand_same(&c, &other));
    }
    vdit_run_free(run);
}

static void a_matrix_times_the_identity_is_itself(void **state)
{
    oracle_random random = oracle_random_start("a_matrix_times_the_identity_is_itself");
    const size_t a_shape[] = {40, 33}, b_shape[] = {33, 33};
    vdit_run *run = vdit_run_new();
    vdit_tensor a, b, c;

    (void)state;
    operand_make(run, &a, VDIT_F32, 2, a_shape, OPERAND_WIDE, &random);
    operand_make(run, &b, VDIT_F16, 2, b_shape, OPERAND_NORMAL, &random);
    operand_make(run, &c, VDIT_F32, 2, a_shape, OPERAND_NORMAL, &random);
    for (size_t i = 0; i < 33 * 33; i++)
        operand_set(&b, i, i % 34 == 0);
    assert_int_equal(vdit_matmul(run, &c, &a, &b), VDIT_OK);
    for (size_t i = 0; i < 40 * 33; i++) /* but for -0, a zero sum */
        assert_true(operand_get(&c, i) == operand_get(&a, i));
    vdit_run_free(run);
}

static void each_error_is_named_and_leaves_the_output_alone(void **state)
{
    static const struct {
        char which;
        int rank;
        size_t shape[3];
        vdit_dtype dtype;
        vdit_status status;
        const char *message;
    } cases[] = {
        {'a', 1, {4}, VDIT_F32, VDIT_ERR_SHAPE, "matmul: a has 1 axes, expected 2 to 8"},
        {'a',
         3,
         {2, 3, 4},
         VDIT_I64,
         VDIT_ERR_DTYPE,
         "matmul: a is i64, expected f32, bf16 or f16"},
        {'b',
         3,
         {2, 4, 5},
         VDIT_F64,
         VDIT_ERR_DTYPE,
         "matmul: b is f64, expected f32, bf16 or f16"},
        {'b', 1, {4}, VDIT_F32, VDIT_ERR_SHAPE, "matmul: b has 1 axes, expected 2 to 8"},
        {'b',
         2,
         {4, 5},
         VDIT_F32,
         VDIT_ERR_SHAPE,
         "matmul: b has shape [4, 5], expected [2, 4, 5] to fit a"},
        {'b',
         3,
         {2, 3, 5},
         VDIT_F32,
         VDIT_ERR_SHAPE,
         "matmul: b has shape [2, 3, 5], expected [2, 4, 5] to fit a"},
        {'b',
         3,
         {1, 4, 5},
         VDIT_F32,
         VDIT_ERR_SHAPE,
         "matmul: b has shape [1, 4, 5], expected [2, 4, 5] to fit a"},
        {'c',
         3,
         {2, 5, 3},
         VDIT_F32,
         VDIT_ERR_SHAPE,
         "matmul: c has shape [2, 5, 3], expected [2, 3, 5] to fit a and b"},
        {'c',
         3,
         {2, 3, 5},
         VDIT_BOOL,
         VDIT_ERR_DTYPE,
         "matmul: c is bool, expected f32, bf16 or f16"},
    };
    const size_t a_shape[] = {2, 3, 4}, b_shape[] = {2, 4, 5}, c_shape[] = {2, 3, 5};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vdit_run *run = vdit_run_new();
        double room[40] = {0}, c_room[30], untouched[30];
        vdit_tensor a = vdit_tensor_view(room, VDIT_F32, 3, a_shape);
        vdit_tensor b = vdit_tensor_view(room, VDIT_F32, 3, b_shape);
        vdit_tensor c = vdit_tensor_view(c_room, VDIT_F32, 3, c_shape);
        vdit_tensor *which = cases[i].which == 'a' ? &a : cases[i].which == 'b' ? &b : &c;
        memset(c_room, 0x5a, sizeof c_room);
        memcpy(untouched, c_room, sizeof c_room);
        *which = vdit_tensor_view(which->data, cases[i].dtype, cases[i].rank, cases[i].shape);
        assert_int_equal(vdit_matmul(run, &c, &a, &b), cases[i].status);
        assert_string_equal(vdit_run_message(run), cases[i].message);
        assert_memory_equal(c_room, untouched, sizeof c_room);
        assert_int_equal(vdit_matmul(run, &c, &a, &b), cases[i].status); /* and it stays */
        vdit_run_free(run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_element_is_the_real_sum_rounded_once),
        cmocka_unit_test(shapes_up_to_three_are_right),
        cmocka_unit_test(strides_do_not_matter),
        cmocka_unit_test(threads_give_the_same_bits),
        cmocka_unit_test(a_matrix_times_the_identity_is_itself),
        cmocka_unit_test(each_error_is_named_and_leaves_the_output_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
