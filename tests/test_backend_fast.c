/*
 * test_backend_fast.c - norms, activations, sums and rotations in binary32 against the reference: no further off
 * than their arithmetic explains, for every type, broadcast and stride.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/backend.h>
#include <vdit/random.h>

#define UNIT  0x1p-24
#define LEAST 0x1p-149 /* the smallest subnormal */

static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};

static int make_run(void **state)
{
    *state = vdit_run_new();
    vdit_run_set_threads(*state, 2);
    return *state == NULL;
}

static int free_run(void **state)
{
    vdit_run_free(*state);
    return 0;
}

/* Uniform in [-2, 2), rounded to the type; every second element of the last axis if spread is 2. */
static vdit_tensor made(vdit_run *run, vdit_dtype dtype, int rank, const size_t *shape,
                        size_t spread, uint32_t seed)
{
    uint32_t key[2] = {seed, 0}, word[4];
    size_t wide[VDIT_MAX_RANK];
    vdit_tensor t;

    memcpy(wide, shape, (size_t)rank * sizeof *wide);
    wide[rank - 1] *= spread;
    assert_int_equal(vdit_tensor_new(run, &t, dtype, rank, wide), VDIT_OK);
    for (size_t i = 0; i < vdit_tensor_count(&t); i++) {
        uint32_t counter[4] = {(uint32_t)i, 0, 0, 0};
        vdit_philox4x32_10(word, counter, key);
        vdit_store_f64((char *)t.data + i * vdit_dtype_size(dtype), dtype, word[0] * 0x1p-30 - 2);
    }
    t.shape[rank - 1] = shape[rank - 1];
    t.stride[rank - 1] = (ptrdiff_t)spread;
    return t;
}

static double get(const vdit_tensor *t, size_t i)
{
    size_t index[VDIT_MAX_RANK] = {0};
    double value;

    for (int axis = t->rank - 1; axis >= 0; axis--) {
        index[axis] = i % t->shape[axis];
        i /= t->shape[axis];
    }
    vdit_load_f64(&value, 1, vdit_tensor_at(t, index), 1, t->dtype);
    return value;
}

/* What rounding a result of this size into the type may take, twice: here and in the reference. */
static double rounding(vdit_dtype dtype, double value)
{
    double unit = dtype == VDIT_F32 ? UNIT : dtype == VDIT_BF16 ? 0x1p-8 : 0x1p-11;

    return 2 * (unit * fabs(value) + (dtype == VDIT_F16 ? 0x1p-25 : LEAST));
}

/* Every element of y is within error of the exact one, and its rounding. */
static void assert_near(const char *what, const vdit_tensor *y, const vdit_tensor *exact,
                        double error)
{
    for (size_t i = 0; i < vdit_tensor_count(y); i++) {
        double ours = get(y, i), real = get(exact, i);
        if (!(fabs(ours - real) <= error + rounding(y->dtype, real)))
            print_error("%s: element %zu: %a, expected %a within %a\n", what, i, ours, real, error);
        assert_true(fabs(ours - real) <= error + rounding(y->dtype, real));
    }
}

/*
 * How far an activation may be off, in units of |f(x)|: its own roundings, and what e^-u makes of 4 units of u.
 * u itself is exact where there is no product.
 */
static double activation_units(vdit_activation f, double x)
{
    double left = x < 0 ? -x : 0;

    switch (f) {
    case VDIT_GELU:
        return 10 + 4 * left * left / 2;
    case VDIT_GELU_TANH:
        return 10 + 4 * 1.6 * (left + 0.0448 * left * left * left);
    case VDIT_QUICK_GELU:
        return 10 + 4 * 1.702 * left;
    default:
        return 10;
    }
}

static int same_special(double a, double b)
{
    return (isnan(a) && isnan(b)) || a == b;
}

enum { PIECES = 4, GRID = 20000 };

/* All magnitudes, the range where the functions bend, and what is not finite. */
static void fill_grid(float x[GRID], int piece)
{
    static const float special[] = {INFINITY, -INFINITY, NAN, 0, -0.0f, 3e38f, -3e38f, 1e-45f};

    for (uint32_t i = 0; i < GRID; i++) {
        uint32_t bits = i * UINT32_C(214748) + (uint32_t)piece * 77777;
        if (piece == 0)
            memcpy(&x[i], &bits, sizeof bits);
        else
            x[i] = ((float)i / GRID - 0.5f) * (piece == 1 ? 2 : piece == 2 ? 30 : 240);
    }
    if (piece == 0)
        memcpy(x, special, sizeof special);
}

static void activations_are_within_their_roundings(void **state)
{
    static float x[GRID], ours[GRID], real[GRID];
    const size_t shape[] = {GRID};
    vdit_tensor xt = vdit_tensor_view(x, VDIT_F32, 1, shape);
    vdit_tensor yt = vdit_tensor_view(ours, VDIT_F32, 1, shape);
    vdit_tensor rt = vdit_tensor_view(real, VDIT_F32, 1, shape);

    for (int f = 0; f < VDIT_ACTIVATION_COUNT; f++)
        for (int piece = 0; piece < PIECES; piece++) {
            fill_grid(x, piece);
            assert_int_equal(vdit_activate(*state, &rt, &xt, (vdit_activation)f), VDIT_OK);
            vdit_backend_activate(*state, vdit_backend_find("fast"), &yt, &xt, (vdit_activation)f);
            for (int i = 0; i < GRID; i++) {
                double units = activation_units((vdit_activation)f, x[i]);
                double limit = units * UNIT * fabs(real[i]) + (4 + fabs(x[i])) * LEAST;
                int good = same_special(ours[i], real[i]) || fabs(ours[i] - real[i]) <= limit;
                if (!good)
                    print_error("f %d at %a: %a, expected %a\n", f, x[i], ours[i], real[i]);
                assert_true(good);
            }
        }
}

/* |x| <= 2: a gate is at most 2, and 12 roundings of it and the product with 2. */
static void gates_take_every_type_and_stride(void **state)
{
    const size_t shape[] = {3, 5, 2 * 300}, half[] = {3, 5, 300};

    for (int i = 0; i < 18; i++)
        for (int f = 0; f < VDIT_ACTIVATION_COUNT; f++) {
            vdit_tensor x = made(*state, dtypes[i % 3], 3, shape, 1 + (size_t)i / 9, 1);
            vdit_tensor y = made(*state, dtypes[i / 3 % 3], 3, half, 1 + (size_t)i / 9, 2);
            vdit_tensor exact = made(*state, y.dtype, 3, half, 1, 3);
            vdit_activate_gated(*state, &exact, &x, (vdit_activation)f);
            vdit_backend_activate_gated(*state, vdit_backend_find("fast"), &y, &x,
                                        (vdit_activation)f);
            assert_int_equal(vdit_run_status(*state), VDIT_OK);
            assert_near("gate", &y, &exact, 24 * 4 * UNIT);
        }
}

/* The three sums: |terms| <= 2 + 2 * 3, each rounded less than four times. */
static void sums_take_every_type_broadcast_and_stride(void **state)
{
    static const size_t shape[] = {2, 3, 301},
                        broadcast[][3] = {{2, 3, 301}, {1, 3, 1}, {1, 1, 301}};
    const vdit_backend *fast = vdit_backend_find("fast");

    for (size_t i = 0; i < 54; i++) {
        size_t spread = 1 + i / 27;
        vdit_tensor x = made(*state, dtypes[i % 3], 3, shape, spread, 1);
        vdit_tensor b = made(*state, dtypes[i / 3 % 3], 3, broadcast[i % 3], spread, 2);
        vdit_tensor c = made(*state, dtypes[i / 9 % 3], 3, broadcast[i / 3 % 3], 1, 3);
        vdit_tensor y = made(*state, dtypes[i / 9 % 3], 3, shape, spread, 4);
        vdit_tensor exact = made(*state, y.dtype, 3, shape, 1, 5);

        vdit_add(*state, &exact, &x, &b);
        vdit_backend_add(*state, fast, &y, &x, &b);
        assert_near("add", &y, &exact, 4 * 4 * UNIT);
        vdit_modulate(*state, &exact, &x, &b, i % 2 ? &c : NULL);
        vdit_backend_modulate(*state, fast, &y, &x, &b, i % 2 ? &c : NULL);
        assert_near("modulate", &y, &exact, 4 * 8 * UNIT);
        vdit_gated_add(*state, &exact, &x, &b, &c);
        vdit_backend_gated_add(*state, fast, &y, &x, &b, &c);
        assert_near("gated_add", &y, &exact, 4 * 8 * UNIT);
        assert_int_equal(vdit_run_status(*state), VDIT_OK);
    }
}

/* Two products of at most 4. */
static void rotations_take_every_type_broadcast_and_stride(void **state)
{
    static const size_t shape[] = {2, 7, 3, 66}, half[] = {7, 1, 33};

    for (size_t i = 0; i < 54; i++) {
        size_t spread = 1 + i / 27;
        vdit_tensor x = made(*state, dtypes[i % 3], 4, shape, spread, 1);
        vdit_tensor cosine = made(*state, dtypes[i / 3 % 3], 3, half, spread, 2);
        vdit_tensor sine = made(*state, dtypes[i / 3 % 3], 3, half, 1, 3);
        vdit_tensor y = made(*state, dtypes[i / 9 % 3], 4, shape, spread, 4);
        vdit_tensor exact = made(*state, y.dtype, 4, shape, 1, 5);

        vdit_rotary(*state, &exact, &x, &cosine, &sine);
        vdit_backend_rotary(*state, vdit_backend_find("fast"), &y, &x, &cosine, &sine);
        assert_int_equal(vdit_run_status(*state), VDIT_OK);
        assert_near("rotary", &y, &exact, 4 * 8 * UNIT);
    }
}

/*
 * |x| <= 2 and eps = 0.5, so that |x - m| r |w| <= 4 / sqrt 0.5 * 2 < 12; m, x - m, r, two products and the sum
 * round once each, and the error of m, 2 units, is not larger than that of x - m.
 */
static void norms_take_every_type_and_stride(void **state)
{
    static const size_t shape[] = {2, 6, 5, 301}, row[] = {301}, channel[] = {6};
    const vdit_backend *fast = vdit_backend_find("fast");

    for (size_t i = 0; i < 54; i++) {
        size_t spread = 1 + i / 27;
        vdit_tensor x = made(*state, dtypes[i % 3], 4, shape, spread, 1);
        vdit_tensor w = made(*state, dtypes[i / 3 % 3], 1, row, spread, 2);
        vdit_tensor b = made(*state, dtypes[i / 3 % 3], 1, row, 1, 3);
        vdit_tensor v = made(*state, dtypes[i / 3 % 3], 1, channel, spread, 4);
        vdit_tensor y = made(*state, dtypes[i / 9 % 3], 4, shape, spread, 5);
        vdit_tensor exact = made(*state, y.dtype, 4, shape, 1, 6);

        vdit_layer_norm(*state, &exact, &x, i % 2 ? &w : NULL, i % 4 > 1 ? &b : NULL, 0.5);
        vdit_backend_layer_norm(*state, fast, &y, &x, i % 2 ? &w : NULL, i % 4 > 1 ? &b : NULL,
                                0.5);
        assert_near("layer_norm", &y, &exact, 8 * 14 * UNIT);
        vdit_rms_norm(*state, &exact, &x, i % 2 ? &w : NULL, 0.5);
        vdit_backend_rms_norm(*state, fast, &y, &x, i % 2 ? &w : NULL, 0.5);
        assert_near("rms_norm", &y, &exact, 8 * 14 * UNIT);
        vdit_group_norm(*state, &exact, &x, 3, i % 2 ? &v : NULL, NULL, 0.5);
        vdit_backend_group_norm(*state, fast, &y, &x, 3, i % 2 ? &v : NULL, NULL, 0.5);
        assert_near("group_norm", &y, &exact, 8 * 14 * UNIT);
        assert_int_equal(vdit_run_status(*state), VDIT_OK);
    }
}

/* A row with a NaN or an infinity, a row of equal elements, and a row of zeros, both with eps = 0. */
static void norms_of_special_rows_are_those_of_the_reference(void **state)
{
    float x[5][4] = {
        {1, NAN, 2, 3}, {1, INFINITY, 2, 3}, {3, 3, 3, 3}, {0, 0, 0, 0}, {1e30f, -1e30f, 3e30f, 1}};
    float ours[5][4], real[5][4];
    const size_t shape[] = {5, 4};
    vdit_tensor xt = vdit_tensor_view(x, VDIT_F32, 2, shape);
    vdit_tensor yt = vdit_tensor_view(ours, VDIT_F32, 2, shape);
    vdit_tensor rt = vdit_tensor_view(real, VDIT_F32, 2, shape);

    for (int centred = 0; centred < 2; centred++) {
        if (centred) {
            vdit_layer_norm(*state, &rt, &xt, NULL, NULL, 0);
            vdit_backend_layer_norm(*state, vdit_backend_find("fast"), &yt, &xt, NULL, NULL, 0);
        } else {
            vdit_rms_norm(*state, &rt, &xt, NULL, 0);
            vdit_backend_rms_norm(*state, vdit_backend_find("fast"), &yt, &xt, NULL, 0);
        }
        assert_int_equal(vdit_run_status(*state), VDIT_OK);
        for (int i = 0; i < 20; i++)
            assert_true(same_special(ours[i / 4][i % 4], real[i / 4][i % 4]) ||
                        fabs(ours[i / 4][i % 4] - real[i / 4][i % 4]) <= 16 * UNIT);
    }
}

/* 24 products of at most 4, and a bias, each rounded less than 30 times. */
static void a_convolution_is_near_with_strides_and_padding(void **state)
{
    static const size_t x_shape[] = {2, 3, 5, 9, 8}, w_shape[] = {7, 3, 1, 4, 2};
    static const size_t y_shape[] = {2, 7, 5, 4, 4};
    const vdit_conv_walk walk = {.stride = {1, 2, 2}, .before = {0, 1, 0}, .after = {0, 0, 0}};

    for (size_t i = 0; i < 9; i++) {
        vdit_tensor x = made(*state, dtypes[i % 3], 5, x_shape, 1 + i % 2, 1);
        vdit_tensor w = made(*state, dtypes[i / 3], 5, w_shape, 1, 2);
        vdit_tensor b = made(*state, VDIT_F32, 1, w_shape, 1, 3);
        vdit_tensor y = made(*state, VDIT_F32, 5, y_shape, 2, 4);
        vdit_tensor exact = made(*state, VDIT_F32, 5, y_shape, 1, 5);

        vdit_conv(*state, &exact, &x, &w, &b, &walk);
        vdit_backend_conv(*state, vdit_backend_find("fast"), &y, &x, &w, &b, &walk);
        assert_int_equal(vdit_run_status(*state), VDIT_OK);
        assert_near("conv", &y, &exact, 30 * 98 * UNIT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_are_within_their_roundings),
        cmocka_unit_test(gates_take_every_type_and_stride),
        cmocka_unit_test(sums_take_every_type_broadcast_and_stride),
        cmocka_unit_test(rotations_take_every_type_broadcast_and_stride),
        cmocka_unit_test(norms_take_every_type_and_stride),
        cmocka_unit_test(norms_of_special_rows_are_those_of_the_reference),
        cmocka_unit_test(a_convolution_is_near_with_strides_and_padding),
    };

    return cmocka_run_group_tests(tests, make_run, free_run);
}
