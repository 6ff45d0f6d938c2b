/*
 * test_backend_product.c - products in binary32, by each kernel and by OpenBLAS: no further from the reference
 * than the roundings that a product takes part in explain.
 */
#include "config.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/op.h>
#include <vdit/random.h>
#include "backend/fast_product.h"

#define UNIT 0x1p-24

/* What computes; the kernels are called through one function. */
static const vdit_kernel_f32 *kernel;

static vdit_status by_kernel(vdit_run *run, const vdit_product *p, size_t count,
                             const ptrdiff_t *x_offset, const ptrdiff_t *w_offset,
                             const ptrdiff_t *y_offset)
{
    return vdit_fast_product_run(run, kernel, p, count, x_offset, w_offset, y_offset);
}

static double get(const vdit_tensor *t, size_t i, size_t j)
{
    size_t index[2] = {i, j};
    double value;

    vdit_load_f64(&value, 1, vdit_tensor_at(t, index), 1, t->dtype);
    return value;
}

/* Out: out[columns]. */
static void load(double *out, const vdit_tensor *t, size_t i)
{
    size_t index[2] = {i, 0};

    vdit_load_f64(out, t->shape[1], vdit_tensor_at(t, index), t->stride[1], t->dtype);
}

/* Uniform in [-1, 1), rounded to the type. With spread > 1, a view of every spread-th column. */
static vdit_tensor made(vdit_run *run, vdit_dtype dtype, size_t rows, size_t columns, size_t spread,
                        uint32_t seed)
{
    size_t shape[2] = {rows, columns * spread}, size = vdit_dtype_size(dtype);
    uint32_t key[2] = {seed, 0}, word[4];
    vdit_tensor t;

    assert_int_equal(vdit_tensor_new(run, &t, dtype, 2, shape), VDIT_OK);
    for (size_t i = 0; i < rows * columns * spread; i++) {
        uint32_t counter[4] = {(uint32_t)i, 0, 0, 0};
        vdit_philox4x32_10(word, counter, key);
        vdit_store_f64((char *)t.data + i * size, dtype, word[0] * 0x1p-31 - 1);
    }
    t.shape[1] = columns;
    t.stride[1] = (ptrdiff_t)spread;
    return t;
}

/* The rounding of the output, relative; below the normal range of f16 absolute. */
static double rounding(vdit_dtype dtype, double value)
{
    double unit = dtype == VDIT_F32 ? UNIT : dtype == VDIT_BF16 ? 0x1p-8 : 0x1p-11;

    return 2 * (unit * fabs(value) + (dtype == VDIT_F16 ? 0x1p-25 : 0x1p-149));
}

/*
 * gamma_W sum |x||w| with W roundings on the way of each product (Higham, section 3.1; W 2^-24 < 0.01, so
 * that gamma_W < 1.01 W 2^-24), and the roundings of both outputs.
 */
static void assert_near(const vdit_tensor *y, const vdit_tensor *exact, const vdit_tensor *x,
                        const vdit_tensor *w, const vdit_tensor *b)
{
    size_t depth = x->shape[1];
    double weight = 1.01 * (double)VDIT_FAST_WEIGHT(depth);
    double *x_row = test_malloc((depth + 1) * sizeof *x_row);
    double *w_row = test_malloc((y->shape[1] * depth + 1) * sizeof *w_row);

    for (size_t o = 0; o < y->shape[1] && depth > 0; o++)
        load(w_row + o * depth, w, o);
    for (size_t i = 0; i < y->shape[0]; i++) {
        if (depth > 0)
            load(x_row, x, i);
        for (size_t o = 0; o < y->shape[1]; o++) {
            double size = b != NULL ? fabs(get(b, 0, o)) : 0, error;

            for (size_t k = 0; k < depth; k++)
                size += fabs(x_row[k] * w_row[o * depth + k]);
            error = fabs(get(y, i, o) - get(exact, i, o));
            if (!(error <= weight * UNIT * size + rounding(y->dtype, get(exact, i, o))))
                print_error("[%zu,%zu] of depth %zu: %a, expected %a\n", i, o, depth, get(y, i, o),
                            get(exact, i, o));
            assert_true(error <= weight * UNIT * size + rounding(y->dtype, get(exact, i, o)));
        }
    }
    test_free(w_row);
    test_free(x_row);
}

typedef struct form {
    size_t m, n, depth;
    vdit_dtype x, w, y;
    size_t spread; /* of the columns of all operands */
    int with_bias;
} form;

static void check(vdit_product_engine *engine, const form *f, int threads)
{
    vdit_run *run = vdit_run_new();
    vdit_tensor x = made(run, f->x, f->m, f->depth, f->spread, 1);
    vdit_tensor w = made(run, f->w, f->n, f->depth, f->spread, 2);
    vdit_tensor b = made(run, f->w, 1, f->n, f->spread, 3), bias = b;
    vdit_tensor y = made(run, f->y, f->m, f->n, f->spread, 4);
    vdit_tensor exact = made(run, f->y, f->m, f->n, 1, 5);

    bias.rank = 1;
    bias.shape[0] = b.shape[1];
    bias.stride[0] = b.stride[1];
    vdit_run_set_threads(run, threads);
    assert_int_equal(vdit_linear(run, &exact, &x, &w, f->with_bias ? &bias : NULL), VDIT_OK);
    assert_int_equal(vdit_linear_by(run, engine, &y, &x, &w, f->with_bias ? &bias : NULL), VDIT_OK);
    assert_near(&y, &exact, &x, &w, f->with_bias ? &b : NULL);
    vdit_run_free(run);
}

/* By all kernels, by OpenBLAS if it is there, and by the one that fast takes. */
static void check_all(const form *f)
{
    for (size_t i = 0; (kernel = vdit_kernel_f32_at(i)) != NULL; i++)
        check(by_kernel, f, 1 + (int)i);
#ifdef HAVE_OPENBLAS
    check(vdit_blas_product, f, 2);
#endif
    check(vdit_fast_product, f, 3);
}

static void small_shapes_are_near_in_every_mix_of_types(void **state)
{
    static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};

    (void)state;
    for (size_t i = 0; i < 108; i++) {
        form f = {5,
                  27,
                  i % 2 ? 20 : 131,
                  dtypes[i / 4 % 3],
                  dtypes[i / 12 % 3],
                  dtypes[i / 36],
                  1 + i / 2 % 2,
                  i % 3 == 0};
        check_all(&f);
    }
}

static void extents_up_to_three_are_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < 64; i++) {
        form f = {i % 4, i / 4 % 4, i / 16, VDIT_F32, VDIT_BF16, VDIT_F32, 1, i % 2 == 0};
        check_all(&f);
    }
}

/* More rows, columns and products than one block, panel and slice of each. */
static void blocks_and_slices_join_without_a_seam(void **state)
{
    static const form forms[] = {
        {1100, 50, 40, VDIT_F32, VDIT_BF16, VDIT_F32, 1, 1},
        {9, 700, 130, VDIT_F32, VDIT_F32, VDIT_BF16, 1, 1},
        {10, 100, 2500, VDIT_BF16, VDIT_BF16, VDIT_F32, 1, 0},
        {97, 49, 1025, VDIT_F16, VDIT_F16, VDIT_F32, 1, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        check_all(&forms[i]);
}

/* What is not finite stays in its row and its column, and comes out as IEEE says. */
static void what_is_not_finite_stays_where_it_is(void **state)
{
    vdit_run *run = vdit_run_new();
    vdit_tensor x = made(run, VDIT_F32, 20, 150, 1, 1), w = made(run, VDIT_BF16, 60, 150, 1, 2);
    vdit_tensor y = made(run, VDIT_BF16, 20, 60, 1, 3), exact = made(run, VDIT_BF16, 20, 60, 1, 4);

    (void)state;
    ((float *)x.data)[3 * 150 + 149] = NAN;
    ((float *)x.data)[7 * 150] = INFINITY;
    vdit_store_f64((uint16_t *)w.data + 50 * 150 + 20, VDIT_BF16, -INFINITY);
    assert_int_equal(vdit_linear(run, &exact, &x, &w, NULL), VDIT_OK);
    for (size_t i = 0; (kernel = vdit_kernel_f32_at(i)) != NULL; i++) {
        assert_int_equal(vdit_linear_by(run, by_kernel, &y, &x, &w, NULL), VDIT_OK);
        for (size_t j = 0; j < 20 * 60; j++) {
            double ours = get(&y, j / 60, j % 60), real = get(&exact, j / 60, j % 60);
            assert_true(isnan(ours) ? isnan(real) : isinf(real) ? ours == real : isfinite(ours));
        }
    }
    vdit_run_free(run);
}

/* A transposed operand and leading axes, as matmul has them. */
static void matmul_takes_columns_that_lie_side_by_side(void **state)
{
    vdit_run *run = vdit_run_new();
    vdit_tensor a = made(run, VDIT_F32, 2 * 11, 70, 1, 1),
                b = made(run, VDIT_F16, 2 * 70, 53, 1, 2);
    vdit_tensor c = made(run, VDIT_F32, 2 * 11, 53, 1, 3), e = made(run, VDIT_F32, 22, 53, 1, 4);
    size_t a_shape[] = {2, 11, 70}, b_shape[] = {2, 70, 53}, c_shape[] = {2, 11, 53};
    vdit_tensor x = vdit_tensor_view(a.data, VDIT_F32, 3, a_shape);
    vdit_tensor w = vdit_tensor_view(b.data, VDIT_F16, 3, b_shape);
    vdit_tensor y = vdit_tensor_view(c.data, VDIT_F32, 3, c_shape);
    vdit_tensor exact = vdit_tensor_view(e.data, VDIT_F32, 3, c_shape);

    (void)state;
    assert_int_equal(vdit_matmul(run, &exact, &x, &w), VDIT_OK);
    for (size_t i = 0; (kernel = vdit_kernel_f32_at(i)) != NULL; i++) {
        assert_int_equal(vdit_matmul_by(run, by_kernel, &y, &x, &w), VDIT_OK);
        for (size_t at = 0; at < 2 * 11 * 53; at++) /* |x w| <= 1 */
            assert_true(fabs(((float *)y.data)[at] - ((float *)exact.data)[at]) <=
                        70 * UNIT * (double)VDIT_FAST_WEIGHT(70));
    }
    vdit_run_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_shapes_are_near_in_every_mix_of_types),
        cmocka_unit_test(extents_up_to_three_are_right),
        cmocka_unit_test(blocks_and_slices_join_without_a_seam),
        cmocka_unit_test(what_is_not_finite_stays_where_it_is),
        cmocka_unit_test(matmul_takes_columns_that_lie_side_by_side),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
