/* test_backend.c - the table of backends, and the plain operators of fast against the reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/backend.h>
#include <vdit/random.h>

/* Uniform in [-1, 1), rounded to the tensor's type. */
static void fill(vdit_tensor *t, uint32_t seed)
{
    size_t count = vdit_tensor_count(t), size = vdit_dtype_size(t->dtype);

    for (size_t i = 0; i < count; i++) {
        uint32_t counter[4] = {(uint32_t)i, 0, 0, 0}, key[2] = {seed, 0}, word[4];
        vdit_philox4x32_10(word, counter, key);
        vdit_store_f64((char *)t->data + i * size, t->dtype, word[0] * 0x1p-31 - 1);
    }
}

static vdit_tensor made(vdit_run *run, vdit_dtype dtype, size_t rows, size_t columns, uint32_t seed)
{
    size_t shape[2] = {rows, columns};
    vdit_tensor t;

    assert_int_equal(vdit_tensor_new(run, &t, dtype, 2, shape), VDIT_OK);
    fill(&t, seed);
    return t;
}

/* Every |a - b| is at most limit. */
static void assert_close(const vdit_tensor *a, const vdit_tensor *b, double limit)
{
    size_t count = vdit_tensor_count(a);
    double x, y;

    for (size_t i = 0; i < count; i++) {
        vdit_load_f64(&x, 1, (const char *)a->data + 4 * i, 1, a->dtype);
        vdit_load_f64(&y, 1, (const char *)b->data + 4 * i, 1, b->dtype);
        assert_true(fabs(x - y) <= limit);
    }
}

/* gamma_(K+1) sum |x||w| with |x|, |w| <= 1, and one more rounding: Higham, section 3.1. */
static double noise(size_t depth)
{
    return ((double)depth + 3) * 0x1p-24 * ((double)depth + 1);
}

static void backends_are_found_by_name_and_place(void **state)
{
    (void)state;
    assert_ptr_equal(vdit_backend_find("reference"), vdit_backend_at(0));
    assert_ptr_equal(vdit_backend_find("fast"), vdit_backend_at(1));
    assert_null(vdit_backend_find("swift"));
    assert_null(vdit_backend_at(2));
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(vdit_backend_at(i)->size, sizeof(vdit_backend));
        assert_non_null(vdit_backend_at(i)->linear);
        assert_non_null(vdit_backend_at(i)->matmul);
        assert_non_null(vdit_backend_at(i)->exp);
        assert_non_null(vdit_backend_at(i)->log);
        assert_non_null(vdit_backend_at(i)->attention);
    }
}

static void fast_linear_is_near_the_reference(void **state)
{
    static const size_t shapes[][3] = {{1, 1, 1}, {3, 5, 2}, {17, 33, 65}, {4, 3, 0}, {0, 3, 4}};
    static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t j = 0; j < 3; j++) {
            vdit_run *run = vdit_run_new();
            size_t m = shapes[i][0], n = shapes[i][1], k = shapes[i][2];
            vdit_tensor x = made(run, dtypes[j], m, k, 1), w = made(run, dtypes[j], n, k, 2);
            vdit_tensor b = made(run, VDIT_F32, 1, n, 3), bias = b;
            vdit_tensor exact = made(run, VDIT_F32, m, n, 4), fast = made(run, VDIT_F32, m, n, 5);

            bias = vdit_tensor_view(b.data, VDIT_F32, 1, &n);
            assert_int_equal(vdit_linear(run, &exact, &x, &w, &bias), VDIT_OK);
            assert_int_equal(vdit_backend_find("fast")->linear(run, &fast, &x, &w, &bias), VDIT_OK);
            assert_close(&exact, &fast, noise(k));
            vdit_run_free(run);
        }
}

static void fast_matmul_takes_strides_and_leading_axes(void **state)
{
    size_t a_shape[3] = {2, 5, 7}, b_shape[3] = {2, 6, 7}, c_shape[3] = {2, 5, 6};
    static const int swap[3] = {0, 2, 1};
    vdit_run *run = vdit_run_new();
    vdit_tensor a, b, exact, fast;

    (void)state;
    vdit_tensor_new(run, &a, VDIT_F32, 3, a_shape);
    vdit_tensor_new(run, &b, VDIT_F32, 3, b_shape);
    vdit_tensor_new(run, &exact, VDIT_F32, 3, c_shape);
    vdit_tensor_new(run, &fast, VDIT_F32, 3, c_shape);
    fill(&a, 1);
    fill(&b, 2);
    b = vdit_tensor_permute(&b, swap);
    assert_int_equal(vdit_matmul(run, &exact, &a, &b), VDIT_OK);
    assert_int_equal(vdit_backend_find("fast")->matmul(run, &fast, &a, &b), VDIT_OK);
    assert_close(&exact, &fast, noise(7));
    vdit_run_free(run);
}

static void fast_operators_check_as_the_reference_does(void **state)
{
    vdit_run *run = vdit_run_new();
    vdit_tensor x = made(run, VDIT_F32, 2, 3, 1), w = made(run, VDIT_F32, 4, 2, 2);
    vdit_tensor y = made(run, VDIT_F32, 2, 4, 3);
    float before[8];

    (void)state;
    memcpy(before, y.data, sizeof before);
    assert_int_equal(vdit_backend_find("fast")->linear(run, &y, &x, &w, NULL), VDIT_ERR_SHAPE);
    assert_memory_equal(before, y.data, sizeof before);
    vdit_run_clear(run);
    assert_int_equal(vdit_backend_find("fast")->matmul(run, &y, &w, &w), VDIT_ERR_SHAPE);
    assert_memory_equal(before, y.data, sizeof before);
    vdit_run_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backends_are_found_by_name_and_place),
        cmocka_unit_test(fast_linear_is_near_the_reference),
        cmocka_unit_test(fast_matmul_takes_strides_and_leading_axes),
        cmocka_unit_test(fast_operators_check_as_the_reference_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
