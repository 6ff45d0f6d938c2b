/* test_op_linear.c - the linear layer against MPFR with enough bits to be exact. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/op.h>
#include "op/product.h"
#include "operands.h"

#define BITS 700 /* sums of products of f32 values: from 2^-298 to 2^300 */

static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};

/* Out: real = sum_k x[i,k] w[o,k] + b[o]. */
static void real_sum(mpfr_t real, const vdit_tensor *x, const vdit_tensor *w, const vdit_tensor *b,
                     size_t i, size_t o)
{
    size_t depth = w->shape[1];
    mpfr_t term;

    mpfr_init2(term, BITS);
    mpfr_set_zero(real, 1);
    for (size_t k = 0; k < depth; k++) {
        mpfr_set_d(term, operand_get(x, i * depth + k), MPFR_RNDN);
        mpfr_mul_d(term, term, operand_get(w, o * depth + k), MPFR_RNDN);
        mpfr_add(real, real, term, MPFR_RNDN);
    }
    if (b != NULL)
        mpfr_add_d(real, real, operand_get(b, o), MPFR_RNDN);
    mpfr_clear(term);
}

/* Asserts that every step-th element of y is the real sum rounded once. */
static void assert_linear(const vdit_tensor *y, const vdit_tensor *x, const vdit_tensor *w,
                          const vdit_tensor *b, size_t step)
{
    size_t count = vdit_tensor_count(y), n = w->shape[0];
    mpfr_t real;

    mpfr_init2(real, BITS);
    for (size_t i = 0; i < count; i += step) {
        double ours = operand_get(y, i), expected;
        real_sum(real, x, w, b, i / n, i % n);
        expected = oracle_round(real, y->dtype);
        if (!oracle_same(ours, expected))
            print_error("element %zu: %a, expected %a\n", i, ours, expected);
        assert_true(oracle_same(ours, expected));
    }
    mpfr_clear(real);
}

static void make_and_check(oracle_random *random, const size_t extent[3], const vdit_dtype dtype[3],
                           operand_family family, int with_bias, size_t step)
{
    vdit_run *run = vdit_run_new();
    size_t x_shape[] = {extent[0], extent[2]}, w_shape[] = {extent[1], extent[2]};
    size_t y_shape[] = {extent[0], extent[1]};
    vdit_tensor x, w, b, y;

    operand_make(run, &x, dtype[0], 2, x_shape, family, random);
    operand_make(run, &w, dtype[1], 2, w_shape,
                 family == OPERAND_CANCEL ? OPERAND_INTEGERS : family, random);
    operand_make(run, &b, dtype[1], 1, w_shape, family, random);
    operand_make(run, &y, dtype[2], 2, y_shape, OPERAND_NORMAL, random);
    assert_int_equal(vdit_linear(run, &y, &x, &w, with_bias ? &b : NULL), VDIT_OK);
    assert_linear(&y, &x, &w, with_bias ? &b : NULL, step);
    vdit_run_free(run);
}

static void each_element_is_the_real_sum_rounded_once(void **state)
{
    oracle_random random = oracle_random_start("each_element_is_the_real_sum_rounded_once");
    const size_t extent[] = {5, 27, 20};

    (void)state;
    for (int mix = 0; mix < 27; mix++)
        for (int family = 0; family < OPERAND_FAMILIES; family++) {
            vdit_dtype dtype[] = {dtypes[mix % 3], dtypes[mix / 3 % 3], dtypes[mix / 9]};
            make_and_check(&random, extent, dtype, (operand_family)family, family % 2, 1);
        }
}

static void shapes_up_to_three_are_right(void **state)
{
    oracle_random random = oracle_random_start("shapes_up_to_three_are_right");

    (void)state;
    for (size_t shape = 0; shape < 128; shape++) {
        size_t extent[] = {shape % 4, shape / 4 % 4, shape / 16 % 4};
        make_and_check(&random, extent, dtypes, OPERAND_NORMAL, shape / 64 != 0, 1);
    }
}

/* More rows, columns and products than one block of each. */
static void blocks_and_slices_join_without_a_seam(void **state)
{
    static const size_t extents[][3] = {
        {131, 95, 33}, {3, 1700, 129}, {9, 25, 4500}, {66, 3, 2049}};
    const vdit_dtype f32[] = {VDIT_F32, VDIT_F32, VDIT_F32};
    oracle_random random = oracle_random_start("blocks_and_slices_join_without_a_seam");

    (void)state;
    for (size_t i = 0; i < sizeof extents / sizeof *extents; i++)
        make_and_check(&random, extents[i], f32, OPERAND_NORMAL, 1,
                       extents[i][2] > 1000   ? 7
                       : extents[i][1] > 1000 ? 31
                                              : 1);
}

/* One bad row or column of inputs leaves all others as they are. */
static void a_nan_stays_in_its_row_and_column(void **state)
{
    oracle_random random = oracle_random_start("a_nan_stays_in_its_row_and_column");
    const size_t x_shape[] = {70, 40}, w_shape[] = {60, 40}, y_shape[] = {70, 60};
    vdit_run *run = vdit_run_new();
    vdit_tensor x, w, y;

    (void)state;
    operand_make(run, &x, VDIT_F32, 2, x_shape, OPERAND_NORMAL, &random);
    operand_make(run, &w, VDIT_F32, 2, w_shape, OPERAND_NORMAL, &random);
    operand_make(run, &y, VDIT_F32, 2, y_shape, OPERAND_NORMAL, &random);
    operand_set(&x, 40 * 65 + 3, NAN);
    operand_set(&x, 40 * 2 + 7, INFINITY);
    operand_set(&w, 40 * 31 + 7, -INFINITY);
    assert_int_equal(vdit_linear(run, &y, &x, &w, NULL), VDIT_OK);
    assert_linear(&y, &x, &w, NULL, 1);
    vdit_run_free(run);
}

/* Leading axes in another order, rows backwards, one row repeated, an output with gaps. */
static void strides_do_not_matter(void **state)
{
    static const int swap[] = {1, 0, 2};
    oracle_random random = oracle_random_start("strides_do_not_matter");
    const size_t x_shape[] = {3, 4, 10}, w_shape[] = {6, 10}, y_shape[] = {4, 3, 12};
    vdit_run *run = vdit_run_new();
    vdit_tensor x, w, b, y;

    (void)state;
    for (int i = 0; i < 3; i++) {
        operand_make(run, &x, dtypes[i], 3, x_shape, OPERAND_NORMAL, &random);
        operand_make(run, &w, dtypes[i], 2, w_shape, OPERAND_NORMAL, &random);
        operand_make(run, &b, dtypes[i], 1, w_shape, OPERAND_NORMAL, &random);
        operand_make(run, &y, VDIT_F32, 3, y_shape, OPERAND_NORMAL, &random);
        x = vdit_tensor_permute(&x, swap);
        w.data = (char *)w.data + 9 * vdit_dtype_size(w.dtype); /* each row backwards */
        w.stride[1] = -1;
        b.stride[0] = 0;
        y.shape[2] = 6; /* every second element */
        y.stride[2] = 2;
        assert_int_equal(vdit_linear(run, &y, &x, &w, &b), VDIT_OK);
        assert_linear(&y, &x, &w, &b, 1);
    }
    vdit_run_free(run);
}

static void threads_and_kernels_give_the_same_bits(void **state)
{
    oracle_random random = oracle_random_start("threads_and_kernels_give_the_same_bits");
    const size_t x_shape[] = {150, 70}, w_shape[] = {90, 70}, y_shape[] = {150, 90};
    static const ptrdiff_t origin = 0;
    vdit_run *run = vdit_run_new();
    ptrdiff_t x_row[150], w_row[90], y_row[150];
    vdit_tensor x, w, y, other;

    (void)state;
    operand_make(run, &x, VDIT_F32, 2, x_shape, OPERAND_CANCEL, &random);
    operand_make(run, &w, VDIT_F32, 2, w_shape, OPERAND_NORMAL, &random);
    operand_make(run, &y, VDIT_F32, 2, y_shape, OPERAND_NORMAL, &random);
    operand_make(run, &other, VDIT_F32, 2, y_shape, OPERAND_NORMAL, &random);
    vdit_run_set_threads(run, 1);
    assert_int_equal(vdit_linear(run, &y, &x, &w, NULL), VDIT_OK);
    for (int threads = 2; threads <= 7; threads += 5) {
        vdit_run_set_threads(run, threads);
        assert_int_equal(vdit_linear(run, &other, &x, &w, NULL), VDIT_OK);
        assert_true(operand_same(&y, &other));
    }
    for (ptrdiff_t i = 0; i < 150; i++) {
        x_row[i] = i * 70;
        y_row[i] = i * 90;
        if (i < 90)
            w_row[i] = i * 70;
    }
    for (size_t i = 0; vdit_kernel_f64_at(i) != NULL; i++) {
        vdit_product p = {.op = "linear", .m = 150, .n = 90, .depth = 70};
        p.x = (vdit_matrix){x.data, VDIT_F32, x_row, 1};
        p.w = (vdit_matrix){w.data, VDIT_F32, w_row, 1};
        p.y = (vdit_matrix){other.data, VDIT_F32, y_row, 1};
        memset(other.data, 0, sizeof(float) * 150 * 90);
        vdit_product_run(run, vdit_kernel_f64_at(i), &p, 1, &origin, &origin, &origin);
        assert_true(operand_same(&y, &other));
    }
    vdit_run_free(run);
}

/* A tensor that the table below makes wrong in one way. */
typedef struct wrong {
    char which; /* x, w, b, y */
    int rank;
    size_t shape[3];
    vdit_dtype dtype;
    vdit_status status;
    const char *message;
} wrong;

static void each_error_is_named_and_leaves_the_output_alone(void **state)
{
    static const wrong cases[] = {
        {'x', 0, {0}, VDIT_F32, VDIT_ERR_SHAPE, "linear: x has 0 axes, expected 1 to 8"},
        {'x', 2, {2, 4}, VDIT_F64, VDIT_ERR_DTYPE, "linear: x is f64, expected f32, bf16 or f16"},
        {'w', 2, {3, 4}, VDIT_I32, VDIT_ERR_DTYPE, "linear: w is i32, expected f32, bf16 or f16"},
        {'w', 1, {4}, VDIT_F32, VDIT_ERR_SHAPE, "linear: w has 1 axes, expected 2 to 8"},
        {'w',
         3,
         {3, 4, 1},
         VDIT_F32,
         VDIT_ERR_SHAPE,
         "linear: w has shape [3, 4, 1], expected [3, 4] to fit x"},
        {'w',
         2,
         {3, 5},
         VDIT_F32,
         VDIT_ERR_SHAPE,
         "linear: w has shape [3, 5], expected [3, 4] to fit x"},
        {'b', 1, {4}, VDIT_F32, VDIT_ERR_SHAPE, "linear: b has shape [4], expected [3] to fit w"},
        {'b', 1, {3}, VDIT_U8, VDIT_ERR_DTYPE, "linear: b is u8, expected f32, bf16 or f16"},
        {'y',
         2,
         {2, 4},
         VDIT_F32,
         VDIT_ERR_SHAPE,
         "linear: y has shape [2, 4], expected [2, 3] to fit x and w"},
        {'y', 2, {2, 3}, VDIT_F64, VDIT_ERR_DTYPE, "linear: y is f64, expected f32, bf16 or f16"},
    };
    const size_t x_shape[] = {2, 4}, w_shape[] = {3, 4}, y_shape[] = {2, 3};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vdit_run *run = vdit_run_new();
        double room[16] = {0}, y_room[16], untouched[16];
        vdit_tensor x = vdit_tensor_view(room, VDIT_F32, 2, x_shape);
        vdit_tensor w = vdit_tensor_view(room, VDIT_F32, 2, w_shape);
        vdit_tensor b = vdit_tensor_view(room, VDIT_F32, 1, w_shape);
        vdit_tensor y = vdit_tensor_view(y_room, VDIT_F32, 2, y_shape);
        vdit_tensor *which = cases[i].which == 'x'   ? &x
                             : cases[i].which == 'w' ? &w
                             : cases[i].which == 'b' ? &b
                                                     : &y;
        memset(y_room, 0x5a, sizeof y_room);
        memcpy(untouched, y_room, sizeof y_room);
        *which = vdit_tensor_view(which->data, cases[i].dtype, cases[i].rank, cases[i].shape);
        assert_int_equal(vdit_linear(run, &y, &x, &w, &b), cases[i].status);
        assert_string_equal(vdit_run_message(run), cases[i].message);
        assert_memory_equal(y_room, untouched, sizeof y_room);
        vdit_run_free(run);
    }
}

/* Gives memory so many times, then none. */
static void *scarce(void *left, size_t size)
{
    return (*(int *)left)-- > 0 ? malloc(size) : NULL;
}

static void memory_that_runs_out_leaves_the_output_alone(void **state)
{
    const size_t x_shape[] = {2, 4}, w_shape[] = {3, 4}, y_shape[] = {2, 3};
    float room[12] = {0}, y_room[6] = {7, 7, 7, 7, 7, 7};
    vdit_tensor x = vdit_tensor_view(room, VDIT_F32, 2, x_shape);
    vdit_tensor w = vdit_tensor_view(room, VDIT_F32, 2, w_shape);
    vdit_tensor y = vdit_tensor_view(y_room, VDIT_F32, 2, y_shape);
    vdit_status status = VDIT_ERR_MEMORY;

    (void)state;
    for (int calls = 0; status != VDIT_OK; calls++) {
        vdit_run *run = vdit_run_new();
        int left = calls;
        vdit_run_set_allocator(run, scarce, &left);
        vdit_run_set_threads(run, 2);
        status = vdit_linear(run, &y, &x, &w, NULL);
        assert_true(status == VDIT_OK || (status == VDIT_ERR_MEMORY && y_room[0] == 7));
        assert_int_equal(vdit_run_mark(run), 0);
        assert_true(calls < 100);
        vdit_run_free(run);
    }
    assert_true(y_room[0] == 0);
}

static void a_failed_run_stays_failed(void **state)
{
    const size_t shape[] = {1, 1};
    vdit_run *run = vdit_run_new();
    float one = 1, y = 7;
    vdit_tensor x = vdit_tensor_view(&one, VDIT_F32, 2, shape);
    vdit_tensor yt = vdit_tensor_view(&y, VDIT_F32, 2, shape);

    (void)state;
    vdit_run_fail(run, VDIT_ERR_IO, "before");
    assert_int_equal(vdit_linear(run, &yt, &x, &x, NULL), VDIT_ERR_IO);
    assert_true(y == 7);
    vdit_run_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_element_is_the_real_sum_rounded_once),
        cmocka_unit_test(shapes_up_to_three_are_right),
        cmocka_unit_test(blocks_and_slices_join_without_a_seam),
        cmocka_unit_test(a_nan_stays_in_its_row_and_column),
        cmocka_unit_test(strides_do_not_matter),
        cmocka_unit_test(threads_and_kernels_give_the_same_bits),
        cmocka_unit_test(each_error_is_named_and_leaves_the_output_alone),
        cmocka_unit_test(memory_that_runs_out_leaves_the_output_alone),
        cmocka_unit_test(a_failed_run_stays_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
