/* test_op_sinusoid.c - sinusoids of positions against MPFR. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/op.h>
#include "exact/angle.h"
#include "operands.h"

#define BITS 400

static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};

/* Returns: the sine or cosine of t period^(-j / (half - shift)), rounded once. */
static double expected(vdit_dtype dtype, int cosine, double t, double period, size_t j, size_t half,
                       double shift)
{
    mpfr_t angle, power;
    double value;

    if (t == 0 || !isfinite(t))
        return t == 0 ? (cosine ? 1 : t) : NAN;
    mpfr_inits2(BITS, angle, power, (mpfr_ptr)0);
    mpfr_set_ui(power, half, MPFR_RNDN);
    mpfr_sub_d(power, power, shift, MPFR_RNDN);
    mpfr_ui_div(power, j, power, MPFR_RNDN);
    mpfr_neg(power, power, MPFR_RNDN);
    mpfr_set_d(angle, period, MPFR_RNDN);
    mpfr_pow(angle, angle, power, MPFR_RNDN);
    mpfr_mul_d(angle, angle, t, MPFR_RNDN);
    (cosine ? mpfr_cos : mpfr_sin)(angle, angle, MPFR_RNDN);
    value = oracle_round(angle, dtype);
    mpfr_clears(angle, power, (mpfr_ptr)0);
    return value;
}

static void assert_row(const vdit_tensor *y, size_t row, double t, double period, double shift,
                       int cos_first)
{
    size_t width = y->shape[y->rank - 1], half = width / 2;

    for (size_t i = 0; i < width; i++) {
        int cosine = (i < half) == (cos_first != 0);
        double right =
            i == 2 * half ? 0 : expected(y->dtype, cosine, t, period, i % half, half, shift);
        double ours = operand_get(y, row * width + i);
        if (!oracle_same(ours, right))
            print_error("t = %a, period %g, shift %g, element %zu of %zu: %a, expected %a\n", t,
                        period, shift, i, width, ours, right);
        assert_true(oracle_same(ours, right));
    }
}

/* The facts of the models: 256 sinusoids of t = 999, cosines first, period 10000, no shift. */
static void the_timestep_embedding_of_999_is_the_known_one(void **state)
{
    const struct {
        size_t at;
        double value;
    } known[] = {{0, 0.999650},    {1, 0.963782},    {2, -0.398992},
                 {128, -0.026461}, {129, -0.266690}, {130, -0.916955}};
    const size_t shape[] = {256};
    double t = 999;
    vdit_run *run = vdit_run_new();
    vdit_tensor y, position = vdit_tensor_view(&t, VDIT_F64, 0, NULL);

    (void)state;
    vdit_tensor_new(run, &y, VDIT_F32, 1, shape);
    assert_int_equal(vdit_sinusoid(run, &y, &position, 10000, 0, 1), VDIT_OK);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_true(fabs(operand_get(&y, known[i].at) - known[i].value) <= 0.5e-6);
    assert_row(&y, 0, t, 10000, 0, 1);
    vdit_run_free(run);
}

static void random_positions_are_right(void **state)
{
    static const double periods[] = {10000, 256, 1, 0.5, 3e300, 0x1p-200};
    oracle_random random = oracle_random_start("random_positions_are_right");

    (void)state;
    for (int mix = 0; mix < 200; mix++) {
        const size_t count = 5, shape[] = {count, (size_t)oracle_int(&random, 0, 21)};
        size_t half = shape[1] / 2;
        double t[5], period = periods[mix % 6], shift = mix % 4 == 3 ? 0.75 : mix % 4 == 2 ? -1 : 0;
        vdit_run *run = vdit_run_new();
        vdit_tensor position = vdit_tensor_view(t, VDIT_F64, 1, &count), y;
        if (half == 0)
            shift = 0;
        for (size_t i = 0; i < count; i++)
            t[i] = mix % 6 >= 3 ? oracle_number(&random, 53, -240, -210)
                   : mix % 2    ? oracle_int(&random, -1000, 1000)
                                : oracle_number(&random, 53, -60, 29);
        vdit_tensor_new(run, &y, dtypes[mix % 3], 2, shape);
        assert_int_equal(vdit_sinusoid(run, &y, &position, period, shift, mix % 2), VDIT_OK);
        for (size_t i = 0; i < count; i++)
            assert_row(&y, i, t[i], period, shift, mix % 2);
        vdit_run_free(run);
    }
}

/* Angles so close to k pi/2 that all that is left of them is what the reduction must get right. */
static void angles_next_to_multiples_of_half_pi_keep_their_bound(void **state)
{
    oracle_random random =
        oracle_random_start("angles_next_to_multiples_of_half_pi_keep_their_bound");
    mpfr_t angle, rest;
    int settled = 0;

    (void)state;
    mpfr_inits2(BITS, angle, rest, (mpfr_ptr)0);
    for (int i = 0; i < 4000; i++) {
        unsigned long k = 1 + (oracle_u32(&random) >> (3 + i % 28));
        vdit_pair a;
        double rounded;
        mpfr_const_pi(angle, MPFR_RNDN);
        mpfr_mul_ui(angle, angle, k, MPFR_RNDN);
        mpfr_div_2ui(angle, angle, 1, MPFR_RNDN);
        mpfr_mul_d(rest, angle, oracle_number(&random, 53, -84, -70), MPFR_RNDN);
        mpfr_add(angle, angle, rest, MPFR_RNDN);
        a.high = mpfr_get_d(angle, MPFR_RNDN);
        mpfr_sub_d(rest, angle, a.high, MPFR_RNDN);
        a.low = mpfr_get_d(rest, MPFR_RNDN);
        mpfr_set_d(angle, a.high, MPFR_RNDN); /* the angle that the pair is */
        mpfr_add_d(angle, angle, a.low, MPFR_RNDN);
        for (int c = VDIT_SINE; c <= VDIT_COSINE; c++) {
            (c == VDIT_COSINE ? mpfr_cos : mpfr_sin)(rest, angle, MPFR_RNDN);
            if (!vdit_angle_settle(&rounded, VDIT_BF16, c, a, 0))
                continue;
            settled++;
            assert_true(oracle_same(rounded, oracle_round(rest, VDIT_BF16)));
        }
    }
    assert_true(settled > 6000); /* of 8000 */
    mpfr_clears(angle, rest, (mpfr_ptr)0);
}

/* Powers of 1/16 by fractions are dyadic: the angle is a number of few bits, its sine next to a midpoint. */
static void small_dyadic_angles_go_the_right_way(void **state)
{
    const size_t shape[] = {8};
    double t = 0x1.81p-40; /* nine bits: a midpoint of bf16 */

    (void)state;
    for (int power = -40; power > -130; power -= 30) {
        vdit_run *run = vdit_run_new();
        vdit_tensor y, position = vdit_tensor_view(&t, VDIT_F64, 0, NULL);
        t = ldexp(0x1.81p0, power);
        vdit_tensor_new(run, &y, VDIT_BF16, 1, shape);
        assert_int_equal(vdit_sinusoid(run, &y, &position, 16, 0, 0), VDIT_OK);
        for (size_t j = 0; j < 4; j++) { /* below the midpoint, so down */
            assert_true(operand_get(&y, j) == ldexp(0x1.8p0, power - (int)j));
            assert_true(operand_get(&y, 4 + j) == 1);
        }
        vdit_run_free(run);
    }
}

static void every_type_of_position_counts_the_same(void **state)
{
    double f64[] = {0, 1, -37, 960};
    float f32[] = {0, 1, -37, 960};
    int64_t i64[] = {0, 1, -37, 960};
    int32_t i32[] = {0, 1, -37, 960};
    uint16_t bf16[] = {0, 0x3f80, 0xc214, 0x4470}, f16[] = {0, 0x3c00, 0xd0a0, 0x6380};
    const size_t count[] = {4}, shape[] = {4, 9};
    const vdit_tensor positions[] = {
        vdit_tensor_view(f64, VDIT_F64, 1, count),   vdit_tensor_view(f32, VDIT_F32, 1, count),
        vdit_tensor_view(i64, VDIT_I64, 1, count),   vdit_tensor_view(i32, VDIT_I32, 1, count),
        vdit_tensor_view(bf16, VDIT_BF16, 1, count), vdit_tensor_view(f16, VDIT_F16, 1, count)};

    (void)state;
    for (size_t i = 0; i < sizeof positions / sizeof *positions; i++) {
        vdit_run *run = vdit_run_new();
        vdit_tensor y;
        vdit_tensor_new(run, &y, VDIT_F32, 2, shape);
        assert_int_equal(vdit_sinusoid(run, &y, &positions[i], 10000, 1, 0), VDIT_OK);
        for (size_t row = 0; row < 4; row++)
            assert_row(&y, row, f64[row], 10000, 1, 0);
        vdit_run_free(run);
    }
}

static void special_positions_are_as_documented(void **state)
{
    double t[] = {0, -0.0, HUGE_VAL, -HUGE_VAL, NAN};
    const size_t count[] = {5}, shape[] = {5, 5};
    vdit_run *run = vdit_run_new();
    vdit_tensor y, position = vdit_tensor_view(t, VDIT_F64, 1, count);

    (void)state;
    vdit_tensor_new(run, &y, VDIT_BF16, 2, shape);
    assert_int_equal(vdit_sinusoid(run, &y, &position, 10000, 0, 0), VDIT_OK);
    for (size_t row = 0; row < 5; row++) {
        assert_row(&y, row, t[row], 10000, 0, 0);
        assert_true(oracle_same(operand_get(&y, 5 * row + 4), 0.0)); /* the odd one */
        if (row >= 2)
            assert_int_equal(((uint16_t *)y.data)[5 * row], 0x7fc0);
    }
    vdit_run_free(run);
}

static void strides_empty_shapes_and_threads_do_not_matter(void **state)
{
    static const int order[] = {2, 0, 1};
    oracle_random random = oracle_random_start("strides_empty_shapes_and_threads_do_not_matter");

    (void)state;
    for (size_t mix = 0; mix < 64; mix++) {
        const size_t place[] = {mix % 4, mix / 4 % 4}, turned[] = {mix / 4 % 4, mix / 16, mix % 4};
        static const int swap[] = {1, 0};
        vdit_run *run = vdit_run_new();
        vdit_tensor t, position, room, y;
        vdit_run_set_threads(run, mix % 2 != 0 ? 1 : 5);
        operand_make(run, &t, VDIT_F32, 2, place, OPERAND_NORMAL, &random);
        vdit_tensor_new(run, &room, VDIT_F32, 3, turned);
        y = vdit_tensor_permute(&room, order);    /* [a, b, width] with a last in memory */
        position = vdit_tensor_permute(&t, swap); /* [b, a] */
        position = vdit_tensor_permute(&position, swap);
        assert_int_equal(vdit_sinusoid(run, &y, &position, 100, 0, 1), VDIT_OK);
        for (size_t i = 0; i < place[0] * place[1]; i++) {
            const size_t width = turned[1], shape[] = {width};
            vdit_tensor row;
            vdit_tensor_new(run, &row, VDIT_F32, 1, shape);
            for (size_t k = 0; k < width; k++) {
                const size_t at[] = {i / place[1], i % place[1], k};
                memcpy((float *)row.data + k, vdit_tensor_at(&y, at), sizeof(float));
            }
            assert_row(&row, 0, operand_get(&position, i), 100, 0, 1);
        }
        vdit_run_free(run);
    }
}

static void each_error_is_named_and_leaves_the_output_alone(void **state)
{
    double t[] = {1, 0x1p30}, y_room[8];
    const size_t two[] = {2}, shape[] = {2, 4}, other[] = {3, 4}, one[] = {1, 1, 1, 1, 1, 1, 1, 1};
    const vdit_tensor good = vdit_tensor_view(t, VDIT_F64, 1, two);
    const vdit_tensor out = vdit_tensor_view(y_room, VDIT_F32, 2, shape);
    const struct {
        vdit_tensor t, y;
        double period, shift;
        vdit_status status;
        const char *message;
    } cases[] = {
        {vdit_tensor_view(t, VDIT_U8, 1, two), out, 10, 0, VDIT_ERR_DTYPE,
         "sinusoid: t is u8, expected f64, f32, bf16, f16, i64 or i32"},
        {good, vdit_tensor_view(y_room, VDIT_F64, 2, shape), 10, 0, VDIT_ERR_DTYPE,
         "sinusoid: y is f64, expected f32, bf16 or f16"},
        {good, vdit_tensor_view(y_room, VDIT_F32, 2, other), 10, 0, VDIT_ERR_SHAPE,
         "sinusoid: y has shape [3, 4], expected [2, 4] to fit t"},
        {good, vdit_tensor_view(y_room, VDIT_F32, 0, NULL), 10, 0, VDIT_ERR_SHAPE,
         "sinusoid: y has 0 axes, expected 1 to 8"},
        {vdit_tensor_view(t, VDIT_F64, 8, one), out, 10, 0, VDIT_ERR_SHAPE,
         "sinusoid: t has 8 axes, expected 0 to 7"},
        {good, out, 0, 0, VDIT_ERR_ARGUMENT, "sinusoid: period is 0, expected above 0"},
        {good, out, HUGE_VAL, 0, VDIT_ERR_ARGUMENT, "sinusoid: period is inf, expected above 0"},
        {good, out, 10, 2, VDIT_ERR_ARGUMENT, "sinusoid: shift is 2, expected below 2"},
        {good, out, 10, -HUGE_VAL, VDIT_ERR_ARGUMENT, "sinusoid: shift is -inf, expected below 2"},
        {good, out, 10, 0, VDIT_ERR_LIMIT,
         "sinusoid: t[1] is 1.07374e+09, expected angles below 2^30"},
        {vdit_tensor_view(t, VDIT_F64, 1, two), out, 0x1p-80, 0, VDIT_ERR_LIMIT,
         "sinusoid: t[0] is 1, expected angles below 2^30"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vdit_run *run = vdit_run_new();
        vdit_tensor y = cases[i].y;
        for (int k = 0; k < 8; k++)
            y_room[k] = 7;
        assert_int_equal(vdit_sinusoid(run, &y, &cases[i].t, cases[i].period, cases[i].shift, 0),
                         cases[i].status);
        assert_string_equal(vdit_run_message(run), cases[i].message);
        for (int k = 0; k < 8; k++)
            assert_true(y_room[k] == 7);
        vdit_run_free(run);
    }
}

/* Returns: NULL, as without memory. */
static void *refuse(void *state, size_t size)
{
    (void)state;
    (void)size;
    return NULL;
}

static void lack_of_memory_leaves_the_output_alone(void **state)
{
    float y_room[] = {7, 7};
    double t = 1;
    const size_t shape[] = {2};
    vdit_run *run = vdit_run_new();
    vdit_tensor y = vdit_tensor_view(y_room, VDIT_F32, 1, shape);
    vdit_tensor position = vdit_tensor_view(&t, VDIT_F64, 0, NULL);

    (void)state;
    vdit_run_set_allocator(run, refuse, NULL);
    assert_int_equal(vdit_sinusoid(run, &y, &position, 10, 0, 0), VDIT_ERR_MEMORY);
    assert_true(y_room[0] == 7 && y_room[1] == 7);
    vdit_run_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_timestep_embedding_of_999_is_the_known_one),
        cmocka_unit_test(random_positions_are_right),
        cmocka_unit_test(angles_next_to_multiples_of_half_pi_keep_their_bound),
        cmocka_unit_test(small_dyadic_angles_go_the_right_way),
        cmocka_unit_test(every_type_of_position_counts_the_same),
        cmocka_unit_test(special_positions_are_as_documented),
        cmocka_unit_test(strides_empty_shapes_and_threads_do_not_matter),
        cmocka_unit_test(each_error_is_named_and_leaves_the_output_alone),
        cmocka_unit_test(lack_of_memory_leaves_the_output_alone),
    };

    mpfr_set_emin(mpfr_get_emin_min());
    mpfr_set_emax(mpfr_get_emax_max());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
