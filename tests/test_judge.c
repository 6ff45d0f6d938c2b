/* test_judge.c - measures, rules, verdicts: what each number is and what fails closed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "golden/judge.h"

static int set_up(void **state)
{
    *state = vdit_run_new();
    return *state == NULL;
}

static int tear_down(void **state)
{
    vdit_run_free(*state);
    return 0;
}

static vdit_tensor view(void *data, vdit_dtype dtype, size_t rows, size_t width)
{
    size_t shape[2] = {rows, width};

    return vdit_tensor_view(data, dtype, 2, shape);
}

/* Judges float arrays of one row of 4. */
static vdit_finding judge4(vdit_run *run, float *golden, float *actual, double *sigma)
{
    vdit_tensor g = view(golden, VDIT_F32, 1, 4), a = view(actual, VDIT_F32, 1, 4),
                s = view(sigma, VDIT_F64, 1, 4);
    vdit_finding f;

    assert_int_equal(vdit_tensor_judge(run, &f, &g, &a, sigma ? &s : NULL), VDIT_OK);
    return f;
}

static void measures_are_what_they_say(void **state)
{
    float golden[] = {1, 2, -4, 0}, actual[] = {1, 2.5F, -4, 0.25F};
    double sigma[] = {1, 0.25, 1, 1};
    vdit_finding f = judge4(*state, golden, actual, sigma);
    vdit_difference *d = &f.difference;

    assert_int_equal(f.verdict, VDIT_HOLDS);
    assert_true(d->count == 4 && d->rows == 1 && d->unequal == 2 && d->specials == 0);
    assert_true(d->z == 2 && d->where[0] == 0 && d->where[1] == 1);
    assert_true(d->golden == 2 && d->actual == 2.5 && d->sigma == 0.25);
    assert_true(d->rms == sqrt((4 + 0.0625) / 4) && d->error == 0.5);
    assert_true(d->l2 == sqrt(0.25 + 0.0625) / sqrt(21));
    assert_true(d->cosine == 22 / sqrt(21) / sqrt(1 + 6.25 + 16 + 0.0625));
    /* weights 1, 16, 1, 1: sum e g / sigma^2 = 16, sum g^2 / sigma^2 = 81 */
    assert_true(d->gain == 16.0 / 81 && d->bias == 16.0 / 81 * sqrt(81.0 / 4));
    assert_true(fabs(d->bias_error) < 1e-15); /* one row does not scatter about itself */
}

static void the_gain_is_as_uncertain_as_its_rows_differ(void **state)
{
    float golden[2][2] = {{1, 1}, {1, 1}}, actual[2][2] = {{1.25F, 1.25F}, {1.75F, 1.75F}};
    double sigma[2][2] = {{1, 1}, {1, 1}};
    vdit_tensor g = view(golden, VDIT_F32, 2, 2), a = view(actual, VDIT_F32, 2, 2),
                s = view(sigma, VDIT_F64, 2, 2);
    vdit_difference d;

    assert_int_equal(vdit_difference_measure(*state, &d, &g, &a, &s), VDIT_OK);
    assert_true(d.gain == 0.5 && d.bias == 0.5); /* rows of 0.5 and 1.5, each over 2 */
    assert_true(d.bias_error == sqrt(0.25 + 0.25) / 4);
}

/* Bits of a format in the order of the values: an oracle for distances. */
static int64_t order_of(uint32_t bits, uint32_t sign)
{
    return bits & sign ? -(int64_t)(bits & (sign - 1)) : (int64_t)bits;
}

static void ulps_count_the_values_between(void **state)
{
    static const uint16_t bits[] = {0,      1,      2,      0x03ff, 0x0400, 0x0401, 0x3c00,
                                    0x3bff, 0x7bff, 0x8000, 0x8001, 0x8400, 0xbc00, 0xfbff};
    size_t count = sizeof bits / sizeof *bits;

    (void)state;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++) {
            double a, b,
                distance = fabs((double)(order_of(bits[i], 0x8000) - order_of(bits[j], 0x8000)));
            vdit_load_f64(&a, 1, &bits[i], 0, VDIT_F16);
            vdit_load_f64(&b, 1, &bits[j], 0, VDIT_F16);
            assert_true(vdit_ulps_between(VDIT_F16, a, b) == distance);
        }
    assert_true(vdit_ulps_between(VDIT_F32, 1, 1 + 0x1p-23) == 1);
    assert_true(vdit_ulps_between(VDIT_BF16, 1, 1 - 0x1p-8) == 1);
    assert_true(vdit_ulps_between(VDIT_F64, 1, 1 + 0x1p-52) == 1);
    assert_true(vdit_ulps_between(VDIT_I32, 7, -2) == 9);
}

static void nan_and_infinities_must_stand_on_both_sides(void **state)
{
    static const float values[] = {1, NAN, INFINITY, -INFINITY};
    double sigma[] = {1e9, 1e9, 1e9, 1e9};

    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            float golden[] = {1, 1, values[i], 1}, actual[] = {1, 1, values[j], 1};
            vdit_finding f = judge4(*state, golden, actual, sigma);
            assert_int_equal(f.verdict, i == j ? VDIT_HOLDS : VDIT_FAILS);
            assert_true(f.difference.specials == (i != j));
            assert_true(i == j || (isinf(f.difference.z) && f.difference.where[1] == 2));
        }
}

static void no_sigma_vouches_for_nothing(void **state)
{
    static const double bad[] = {0, -1, NAN, INFINITY};

    for (int i = 0; i < 4; i++) {
        float golden[] = {1, 1, 1, 1}, actual[] = {1, 1, 1 + 0x1p-23F, 1};
        double sigma[] = {1, 1, bad[i], 1};
        assert_int_equal(judge4(*state, golden, actual, sigma).verdict, VDIT_FAILS);
        actual[2] = 1;
        assert_int_equal(judge4(*state, golden, actual, sigma).verdict, VDIT_HOLDS);
    }
}

static void exact_demands_equal_bits(void **state)
{
    float golden[] = {0, 1, NAN, 3}, actual[] = {0, 1, -NAN, 3};

    assert_int_equal(judge4(*state, golden, actual, NULL).verdict, VDIT_HOLDS);
    actual[0] = -0.0F;
    assert_int_equal(judge4(*state, golden, actual, NULL).verdict, VDIT_FAILS);
    actual[0] = 0x1p-149F;
    assert_int_equal(judge4(*state, golden, actual, NULL).verdict, VDIT_FAILS);
}

static void one_element_may_be_8_sigma_away_and_no_more(void **state)
{
    float golden[] = {0, 0, 0, 0}, actual[] = {0, 8, 0, 0};
    double sigma[] = {1, 1, 1, 1};

    assert_int_equal(judge4(*state, golden, actual, sigma).verdict, VDIT_HOLDS);
    actual[1] = 8.001F;
    assert_int_equal(judge4(*state, golden, actual, sigma).verdict, VDIT_FAILS);
}

/* Noise of alternating sign and size z, and a common gain on top of values near 1. */
static vdit_verdict judge_noise(vdit_run *run, double z, double gain)
{
    static float golden[64][16], actual[64][16];
    static double sigma[64][16];
    vdit_tensor g = view(golden, VDIT_F32, 64, 16), a = view(actual, VDIT_F32, 64, 16),
                s = view(sigma, VDIT_F64, 64, 16);
    vdit_finding f;

    for (int i = 0; i < 64; i++)
        for (int c = 0; c < 16; c++) {
            sigma[i][c] = 0x1p-10;
            golden[i][c] = 1;
            actual[i][c] = (float)(1 + 0x1p-10 * (gain + ((i + c) % 2 ? z : -z)));
        }
    assert_int_equal(vdit_tensor_judge(run, &f, &g, &a, &s), VDIT_OK);
    return f.verdict;
}

static void noise_everywhere_and_gains_have_limits_too(void **state)
{
    assert_int_equal(judge_noise(*state, 1, 0), VDIT_HOLDS);
    assert_int_equal(judge_noise(*state, 1.7, 0), VDIT_HOLDS); /* sqrt(1.5^2 + 64/64) = 1.80 */
    assert_int_equal(judge_noise(*state, 1.9, 0), VDIT_FAILS);
    assert_int_equal(judge_noise(*state, 1, 0.2), VDIT_HOLDS);
    assert_int_equal(judge_noise(*state, 1, 0.3), VDIT_FAILS);
    assert_int_equal(judge_noise(*state, 1, -0.3), VDIT_FAILS);
}

static void missing_dtype_and_shape_fail(void **state)
{
    float x[4] = {1, 2, 3, 4};
    vdit_tensor g = view(x, VDIT_F32, 2, 2), a = view(x, VDIT_F32, 4, 1), b = g;
    vdit_finding f;

    assert_int_equal(vdit_tensor_judge(*state, &f, &g, NULL, NULL), VDIT_OK);
    assert_int_equal(f.verdict, VDIT_FAILS);
    assert_string_equal(f.reason, "missing");
    vdit_tensor_judge(*state, &f, &g, &a, NULL);
    assert_int_equal(f.verdict, VDIT_FAILS);
    assert_string_equal(f.reason, "shape [4, 1] instead of [2, 2]");
    b.dtype = VDIT_I32;
    vdit_tensor_judge(*state, &f, &g, &b, NULL);
    assert_string_equal(f.reason, "i32 instead of f32");
    assert_int_equal(vdit_run_status(*state), VDIT_OK);
    assert_int_equal(vdit_difference_measure(*state, &f.difference, &g, &g, &a), VDIT_ERR_SHAPE);
    assert_non_null(strstr(vdit_run_message(*state), "sigma is [4, 1]"));
}

static void strides_and_empty_tensors_are_measured(void **state)
{
    float x[2][3] = {{1, 2, 3}, {4, 5, 6}}, y[3][2] = {{1, 4}, {2, 5}, {3, 7}};
    int order[] = {1, 0};
    vdit_tensor g = view(x, VDIT_F32, 2, 3), a = view(y, VDIT_F32, 3, 2);
    vdit_difference d;

    a = vdit_tensor_permute(&a, order);
    assert_int_equal(vdit_difference_measure(*state, &d, &g, &a, NULL), VDIT_OK);
    assert_true(d.unequal == 1 && d.where[0] == 1 && d.where[1] == 2 && d.error == 1);
    for (int axis = 0; axis < 2; axis++) {
        vdit_tensor none = view(x, VDIT_F32, axis ? 2 : 0, axis ? 0 : 3);
        assert_int_equal(vdit_difference_measure(*state, &d, &none, &none, &none), VDIT_OK);
        assert_true(d.count == 0 && d.z == 0 && d.rms == 0);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(measures_are_what_they_say),
        TEST(the_gain_is_as_uncertain_as_its_rows_differ),
        TEST(ulps_count_the_values_between),
        TEST(nan_and_infinities_must_stand_on_both_sides),
        TEST(no_sigma_vouches_for_nothing),
        TEST(exact_demands_equal_bits),
        TEST(one_element_may_be_8_sigma_away_and_no_more),
        TEST(noise_everywhere_and_gains_have_limits_too),
        TEST(missing_dtype_and_shape_fail),
        TEST(strides_and_empty_tensors_are_measured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
