/* test_op_activate.c - activations and gated units against MPFR: the formulas of vdit/op.h, rounded once. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/op.h>
#include "activation_oracle.h"
#include "op/activation.h"
#include "operands.h"

static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};

static void assert_value(vdit_activation f, vdit_dtype dtype, double ours, double right, double x,
                         double z)
{
    if (!oracle_same(ours, right))
        print_error("%a %s(%a) = %a, expected %a in %s\n", x, activation_oracle_name(f), z, ours,
                    right, vdit_dtype_name(dtype));
    assert_true(oracle_same(ours, right));
}

/* Asserts that each element of y is f(x) rounded once. */
static void assert_function(vdit_activation f, const vdit_tensor *y, const vdit_tensor *x)
{
    for (size_t i = 0; i < vdit_tensor_count(x); i++) {
        double right, z = operand_get(x, i);
        activation_oracle(&right, f, &y->dtype, 1, 1, z);
        assert_value(f, y->dtype, operand_get(y, i), right, 1, z);
    }
}

/* Asserts that each element of y is x f(z), the halves of a row of the dense tensor x. */
static void assert_gated(vdit_activation f, const vdit_tensor *y, const vdit_tensor *x)
{
    size_t width = x->shape[x->rank - 1] / 2;

    for (size_t i = 0; i < vdit_tensor_count(y); i++) {
        size_t at = i / width * 2 * width + i % width;
        double right, value = operand_get(x, at), z = operand_get(x, at + width);
        activation_oracle(&right, f, &y->dtype, 1, value, z);
        assert_value(f, y->dtype, operand_get(y, i), right, value, z);
    }
}

/* Every bf16 and every f16 number, NaN and infinities too, into each dtype. */
static void every_short_number_is_right(void **state)
{
    static uint16_t codes[65536];
    const size_t count = 65536;

    (void)state;
    for (size_t i = 0; i < count; i++)
        codes[i] = (uint16_t)i;
    for (int f = 0; f < VDIT_ACTIVATION_COUNT; f++)
        for (int in = 1; in < 3; in++) {
            vdit_run *run = vdit_run_new();
            vdit_tensor x = vdit_tensor_view(codes, dtypes[in], 1, &count), y[3];
            for (int d = 0; d < 3; d++) {
                vdit_tensor_new(run, &y[d], dtypes[d], 1, &count);
                assert_int_equal(vdit_activate(run, &y[d], &x, f), VDIT_OK);
            }
            for (size_t i = 0; i < count; i++) {
                double right[3], z = operand_get(&x, i);
                activation_oracle(right, f, dtypes, 3, 1, z);
                for (int d = 0; d < 3; d++)
                    assert_value(f, dtypes[d], operand_get(&y[d], i), right[d], 1, z);
            }
            vdit_run_free(run);
        }
}

/* Numbers of all sizes, numbers where the function bends, and numbers of few bits: midpoints of short formats. */
static double some_number(oracle_random *random, int i)
{
    double value = i % 4 == 0   ? oracle_number(random, 24, -149, 127)
                   : i % 4 == 1 ? oracle_number(random, 24, -8, 5)
                   : i % 4 == 2 ? oracle_number(random, 1 + i % 12, -80, 8)
                                : 4 * oracle_normal(random, VDIT_F32);

    return vdit_round_f64(VDIT_F32, value);
}

static void random_numbers_are_right(void **state)
{
    oracle_random random = oracle_random_start("random_numbers_are_right");
    const size_t shape[] = {2000};

    (void)state;
    for (int f = 0; f < VDIT_ACTIVATION_COUNT; f++) {
        vdit_run *run = vdit_run_new();
        vdit_tensor x, y[3];
        vdit_tensor_new(run, &x, VDIT_F32, 1, shape);
        for (size_t i = 0; i < shape[0]; i++)
            operand_set(&x, i, some_number(&random, (int)i));
        for (int d = 0; d < 3; d++) {
            vdit_tensor_new(run, &y[d], dtypes[d], 1, shape);
            assert_int_equal(vdit_activate(run, &y[d], &x, f), VDIT_OK);
            assert_function(f, &y[d], &x);
        }
        vdit_run_free(run);
    }
}

static void gated_units_are_right(void **state)
{
    oracle_random random = oracle_random_start("gated_units_are_right");
    const size_t shape[] = {7, 200}, half[] = {7, 100};

    (void)state;
    for (int mix = 0; mix < 3 * VDIT_ACTIVATION_COUNT; mix++) {
        vdit_activation f = (vdit_activation)(mix / 3);
        vdit_run *run = vdit_run_new();
        vdit_tensor x, y;
        vdit_tensor_new(run, &x, dtypes[(mix + mix / 3) % 3], 2, shape);
        for (size_t i = 0; i < 1400; i++)
            operand_set(&x, i, some_number(&random, oracle_int(&random, 0, 100)));
        vdit_tensor_new(run, &y, dtypes[mix % 3], 2, half);
        assert_int_equal(vdit_activate_gated(run, &y, &x, f), VDIT_OK);
        assert_gated(f, &y, &x);
        vdit_run_free(run);
    }
}

/* The scalar form of the loops: where f(z) is known it promises nothing. */
static void estimates_keep_their_bound(void **state)
{
    static const vdit_dtype wide = VDIT_F64;
    oracle_random random = oracle_random_start("estimates_keep_their_bound");

    (void)state;
    for (int f = 0; f < VDIT_ACTIVATION_COUNT; f++)
        for (int i = 0; i < 4000; i++) {
            double x = some_number(&random, i + 1), z = some_number(&random, i), right, ours;
            vdit_known known;
            if (vdit_activation_known(&known, f, z))
                continue;
            activation_oracle(&right, f, &wide, 1, x, z); /* rounded to binary64: 2^-53 */
            ours = vdit_activation_estimate(f, x, z);
            if (!(fabs(ours - right) <= fabs(right) * (VDIT_ACTIVATION_ERROR - 0x1p-50)))
                print_error("%a %s(%a) = %a, estimated as %a\n", x, activation_oracle_name(f), z,
                            right, ours);
            assert_true(fabs(ours - right) <= fabs(right) * (VDIT_ACTIVATION_ERROR - 0x1p-50));
        }
}

/* What few elements need, so that their bits seldom tell. */
static void the_last_stage_keeps_its_bound(void **state)
{
    oracle_random random = oracle_random_start("the_last_stage_keeps_its_bound");
    mpfr_t in, real, error;

    (void)state;
    mpfr_init2(in, 24);
    mpfr_inits2(600, real, error, (mpfr_ptr)0);
    for (int f = 0; f < VDIT_ACTIVATION_COUNT; f++)
        for (int i = 0; i < 300; i++) {
            double z = some_number(&random, i);
            vdit_known known;
            vdit_mp ours;
            if (vdit_activation_known(&known, f, z))
                continue;
            mpfr_set_d(in, z, MPFR_RNDN);
            activation_oracle_real(real, f, in);
            vdit_mp_from_f64(&ours, z);
            vdit_activation_precise(&ours, f, &ours);
            mpfr_set_zero(error, 1);
            for (int limb = VDIT_MP_LIMBS - 1; limb >= 0; limb--) {
                mpfr_mul_2ui(error, error, 32, MPFR_RNDN);
                mpfr_add_ui(error, error, ours.limb[limb], MPFR_RNDN);
            }
            mpfr_mul_2si(error, error, (long)(ours.exponent - VDIT_MP_BITS), MPFR_RNDN);
            mpfr_mul_si(error, error, ours.sign, MPFR_RNDN);
            mpfr_sub(error, error, real, MPFR_RNDN);
            mpfr_div(error, error, real, MPFR_RNDN);
            assert_true(mpfr_zero_p(error) || mpfr_get_exp(error) <= -170);
        }
    mpfr_clears(in, real, error, (mpfr_ptr)0);
}

/* Limits at the infinities, zeros with their signs, NaN; and products of them, as IEEE has it. */
static void special_values_are_as_documented(void **state)
{
    static const float in[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN};
    static const double out[VDIT_ACTIVATION_COUNT][5] = {
        [VDIT_SIGMOID] = {0.5, 0.5, 1, 0, NAN},
        [VDIT_TANH] = {0, -0.0, 1, -1, NAN},
        [VDIT_SILU] = {0, -0.0, HUGE_VAL, -0.0, NAN},
        [VDIT_GELU] = {0, -0.0, HUGE_VAL, -0.0, NAN},
        [VDIT_GELU_TANH] = {0, -0.0, HUGE_VAL, -0.0, NAN},
        [VDIT_QUICK_GELU] = {0, -0.0, HUGE_VAL, -0.0, NAN},
        [VDIT_SOFTPLUS] = {0x1.62e43p-1, 0x1.62e43p-1, HUGE_VAL, 0, NAN},
    };
    static const float pairs[] = {0,        -0.0f,     INFINITY, -INFINITY, INFINITY,  -INFINITY,
                                  INFINITY, NAN,       0,        0,         0,         1,
                                  -1000,    -1000,     -1000,    0,         -0.0f,     -INFINITY,
                                  INFINITY, -INFINITY, 1,        NAN,       -INFINITY, INFINITY};
    const size_t shape[] = {5}, all[] = {24}, half[] = {12};
    vdit_run *run = vdit_run_new();
    vdit_tensor x = vdit_tensor_view((void *)in, VDIT_F32, 1, shape), y,
                xs = vdit_tensor_view((void *)pairs, VDIT_F32, 1, all), ys;

    (void)state;
    vdit_tensor_new(run, &y, VDIT_F32, 1, shape);
    vdit_tensor_new(run, &ys, VDIT_F32, 1, half);
    for (int f = 0; f < VDIT_ACTIVATION_COUNT; f++) {
        assert_int_equal(vdit_activate(run, &y, &x, f), VDIT_OK);
        for (size_t i = 0; i < 5; i++)
            assert_value(f, VDIT_F32, operand_get(&y, i), out[f][i], 1, in[i]);
        assert_int_equal(vdit_activate_gated(run, &ys, &xs, f), VDIT_OK);
        assert_gated(f, &ys, &xs);
    }
    vdit_run_free(run);
}

/* A NaN of any sign and payload becomes the canonical one. */
static void a_nan_becomes_the_canonical_one(void **state)
{
    uint32_t codes[] = {0xffc12345, 0x7f800001, 0xffffffff}, made[3];
    const size_t shape[] = {3};
    vdit_tensor x = vdit_tensor_view(codes, VDIT_F32, 1, shape);
    vdit_tensor y = vdit_tensor_view(made, VDIT_F32, 1, shape);
    vdit_run *run = vdit_run_new();

    (void)state;
    for (int f = 0; f < VDIT_ACTIVATION_COUNT; f++) {
        assert_int_equal(vdit_activate(run, &y, &x, f), VDIT_OK);
        for (int i = 0; i < 3; i++)
            assert_int_equal(made[i], 0x7fc00000);
    }
    vdit_run_free(run);
}

static void strides_shapes_and_threads_do_not_matter(void **state)
{
    static const int order[] = {2, 0, 1};
    oracle_random random = oracle_random_start("strides_shapes_and_threads_do_not_matter");

    (void)state;
    for (size_t mix = 0; mix < 65; mix++) {
        size_t shape[] = {mix % 4, mix / 4 % 4, 2 * (mix / 16)},
               half[] = {mix % 4, mix / 4 % 4, mix / 16};
        size_t y_shape[3];
        vdit_activation f = (vdit_activation)(mix % VDIT_ACTIVATION_COUNT);
        vdit_run *run = vdit_run_new();
        vdit_tensor x, y, dense;
        if (mix == 64) { /* several tasks, rows across their ends */
            shape[0] = shape[1] = half[0] = half[1] = 30;
            shape[2] = 40;
            half[2] = 20;
        }
        vdit_run_set_threads(run, mix % 2 != 0 ? 1 : 7);
        operand_make(run, &x, VDIT_F32, 3, shape, OPERAND_NORMAL, &random);
        vdit_tensor_new(run, &y, VDIT_F16, 3, half);
        assert_int_equal(vdit_activate_gated(run, &y, &x, f), VDIT_OK);
        assert_gated(f, &y, &x);
        for (int axis = 0; axis < 3; axis++)
            y_shape[axis] = shape[order[axis]];
        x = vdit_tensor_permute(&x, order);
        vdit_tensor_new(run, &y, VDIT_F16, 3, y_shape);
        assert_int_equal(vdit_activate(run, &y, &x, f), VDIT_OK);
        assert_function(f, &y, &x);
        vdit_tensor_new(run, &dense, VDIT_F32, 3, y_shape); /* half of a permuted row is strided */
        vdit_tensor_pack(dense.data, &x);
        y.shape[2] = x.shape[2] / 2;
        if (x.shape[2] % 2 == 0) {
            assert_int_equal(vdit_activate_gated(run, &y, &x, f), VDIT_OK);
            assert_gated(f, &y, &dense);
        }
        vdit_run_free(run);
    }
}

static void each_error_is_named_and_leaves_the_output_alone(void **state)
{
    const size_t shape[] = {2, 3}, other[] = {3, 2}, even[] = {2, 4};
    float room[8] = {1, 1, 1, 1, 1, 1, 1, 1}, y_room[8] = {7, 7, 7, 7, 7, 7, 7, 7};
    const vdit_tensor good = vdit_tensor_view(room, VDIT_F32, 2, shape);
    const struct {
        vdit_tensor x, y;
        int gated, f;
        vdit_status status;
        const char *message;
    } cases[] = {
        {vdit_tensor_view(room, VDIT_I32, 2, shape), good, 0, 0, VDIT_ERR_DTYPE,
         "activate: x is i32, expected f32, bf16 or f16"},
        {good, vdit_tensor_view(NULL, VDIT_F64, 2, shape), 0, 0, VDIT_ERR_DTYPE,
         "activate: y is f64, expected f32, bf16 or f16"},
        {good, vdit_tensor_view(NULL, VDIT_F32, 2, other), 0, 0, VDIT_ERR_SHAPE,
         "activate: y has shape [3, 2], expected [2, 3] to fit x"},
        {good, good, 0, VDIT_ACTIVATION_COUNT, VDIT_ERR_ARGUMENT,
         "activate: function 7 is not a vdit_activation"},
        {good, good, 1, -1, VDIT_ERR_ARGUMENT,
         "activate_gated: function -1 is not a vdit_activation"},
        {good, good, 1, 0, VDIT_ERR_SHAPE,
         "activate_gated: x has 3 elements in its last axis, expected an even number"},
        {vdit_tensor_view(room, VDIT_F32, 2, even), good, 1, 0, VDIT_ERR_SHAPE,
         "activate_gated: y has shape [2, 3], expected [2, 2] to fit half of x"},
        {vdit_tensor_view(room, VDIT_F32, 0, even), good, 1, 0, VDIT_ERR_SHAPE,
         "activate_gated: x has 0 axes, expected 1 to 8"},
        {vdit_tensor_view(room, VDIT_F64, 2, even), good, 1, 0, VDIT_ERR_DTYPE,
         "activate_gated: x is f64, expected f32, bf16 or f16"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vdit_run *run = vdit_run_new();
        vdit_tensor y = cases[i].y;
        vdit_activation f = (vdit_activation)cases[i].f;
        y.data = y_room;
        assert_int_equal(cases[i].gated ? vdit_activate_gated(run, &y, &cases[i].x, f)
                                        : vdit_activate(run, &y, &cases[i].x, f),
                         cases[i].status);
        assert_string_equal(vdit_run_message(run), cases[i].message);
        assert_int_equal(vdit_activate(run, &y, &good, VDIT_SILU),
                         cases[i].status); /* and it stays */
        for (int k = 0; k < 8; k++)
            assert_true(y_room[k] == 7);
        vdit_run_free(run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_short_number_is_right),
        cmocka_unit_test(random_numbers_are_right),
        cmocka_unit_test(gated_units_are_right),
        cmocka_unit_test(estimates_keep_their_bound),
        cmocka_unit_test(the_last_stage_keeps_its_bound),
        cmocka_unit_test(special_values_are_as_documented),
        cmocka_unit_test(a_nan_becomes_the_canonical_one),
        cmocka_unit_test(strides_shapes_and_threads_do_not_matter),
        cmocka_unit_test(each_error_is_named_and_leaves_the_output_alone),
    };

    mpfr_set_emin(mpfr_get_emin_min());
    mpfr_set_emax(mpfr_get_emax_max());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
