/*
 * test_attention_fast.c - the fast backend against the reference: no further off than the rounding noise
 * of binary32 explains, and exact where nothing is computed.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "attention_scene.h"
#include "attention_stages.h"

#define UNIT  0x1p-24
#define SIGMA 8.0 /* deviations that noise may reach, as in the judge */

static const vdit_dtype narrow[3] = {VDIT_F32, VDIT_BF16, VDIT_F16};
static const vdit_dtype all_f32[3] = {VDIT_F32, VDIT_F32, VDIT_F32};

static int make_run(void **state)
{
    *state = vdit_run_new();
    vdit_run_set_threads(*state, 1);
    memset(&forced, 0, sizeof forced);
    return *state == NULL;
}

/* The noise of binary32 throughout, the output rounded to dtype. */
static vdit_noise noise_of(vdit_dtype dtype)
{
    vdit_noise noise = {2 * UNIT, 0, 8 * UNIT, UNIT, 0x1p-133, UNIT};

    if (dtype == VDIT_BF16)
        noise.out_unit = 0x1p-8;
    if (dtype == VDIT_F16) {
        noise.out_unit = 0x1p-11;
        noise.out_sub = 0x1p-24;
    }
    return noise;
}

/* Within SIGMA deviations; where sigma is infinite or 0, only what is equal. */
static void assert_near(const char *what, size_t r, size_t i, double found, double expected,
                        double sigma)
{
    if (!(fabs(found - expected) <= SIGMA * sigma) && !oracle_same(found, expected))
        fail_msg("%s[%zu, %zu]: %a, reference %a, sigma %g, kernel %zu", what, r, i, found,
                 expected, sigma, forced.kernel);
}

/* A bound of |logits| of row r beyond the mask, for the noise of lse and map. */
static double largest_logit(const scene *s, size_t b, size_t h, size_t r)
{
    size_t query = r;
    double most = 0;

    if (s->call.rows != NULL)
        query = (size_t)((int64_t *)s->rows.data)[r];
    for (size_t j = 0; j < s->k.shape[2]; j++) {
        double sum = 0;

        for (size_t c = 0; c < s->q.shape[3]; c++)
            sum += fabs(scene_get(&s->q, b, h, query, c) * scene_get(&s->k, b, h, j, c));
        most = fmax(most, sum);
    }
    return most * fabs(s->call.scale) + 1;
}

static void compare_row(const scene *s, const scene *exact, size_t b, size_t h, size_t r)
{
    double units = 8 * UNIT * (largest_logit(s, b, h, r) + 30);

    for (size_t c = 0; c < s->v.shape[3]; c++)
        assert_near("o", r, c, scene_get(&s->o, b, h, r, c), scene_get(&exact->o, b, h, r, c),
                    scene_get(&exact->sigma, b, h, r, c));
    assert_near("lse", r, 0, scene_get(&s->lse, b, h, r, 0), scene_get(&exact->lse, b, h, r, 0),
                units);
    for (size_t j = 0; j < s->k.shape[2]; j++) {
        double expected = scene_get(&exact->map, b, h, r, j);
        /* a weight below 2^-120 of the largest one is 0 */
        assert_near("map", r, j, scene_get(&s->map, b, h, r, j), expected,
                    units * expected + 0x1p-118);
    }
}

/* Runs both backends on each kernel of fast and compares all outputs. */
static void compare(scene *s, vdit_dtype dtype)
{
    scene exact = *s;

    s->call.noise = noise_of(dtype);
    scene_outputs(s, dtype, SCENE_ALL);
    scene_run(s);
    exact = *s;
    for (forced.kernel = 0; forced.kernel < stages_kernel_count(); forced.kernel++) {
        scene_outputs(s, dtype, SCENE_O | SCENE_LSE | SCENE_MAP);
        assert_int_equal(vdit_attention_fast(s->run, &s->call), VDIT_OK);
        for (size_t b = 0; b < s->o.shape[0]; b++)
            for (size_t h = 0; h < s->o.shape[1]; h++)
                for (size_t r = 0; r < s->o.shape[2]; r++)
                    compare_row(s, &exact, b, h, r);
    }
    memset(&forced, 0, sizeof forced);
}

static void small_shapes_are_near_the_reference(void **state)
{
    oracle_random random = oracle_random_start("small_shapes_are_near_the_reference");
    size_t mark = vdit_run_mark(*state);

    for (size_t n = 0; n < 4096; n += 3) {
        const scene_shape shape = {n & 3, n >> 2 & 3, n >> 4 & 3, n >> 6 & 3, n >> 8 & 3, n >> 10};
        vdit_dtype types[3] = {narrow[n % 3], narrow[n / 3 % 3], narrow[n / 9 % 3]};
        scene s;

        scene_start(&s, *state, &shape, types, &random);
        compare(&s, narrow[n / 27 % 3]);
        vdit_run_release(*state, mark);
    }
}

static void larger_shapes_are_near_the_reference(void **state)
{
    static const scene_shape shapes[4] = {{1, 1, 49, 193, 33, 17},
                                          {2, 1, 100, 192, 8, 5},
                                          {1, 2, 13, 500, 64, 40},
                                          {1, 1, 3, 50, 200, 9}};
    static const double factors[3] = {1, 20, -200};
    oracle_random random = oracle_random_start("larger_shapes_are_near_the_reference");
    size_t mark = vdit_run_mark(*state);

    for (int i = 0; i < 12; i++) {
        scene s;

        scene_start(&s, *state, &shapes[i % 4], all_f32, &random);
        s.call.scale *= factors[i / 4];
        compare(&s, narrow[i % 3]);
        vdit_run_release(*state, mark);
    }
}

static void rising_maxima_are_near_the_reference(void **state)
{
    oracle_random random = oracle_random_start("rising_maxima_are_near_the_reference");
    const scene_shape shape = {1, 1, 4, 800, 1, 3};
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    for (size_t j = 0; j < 800; j++)
        scene_set(&s.k, 0, 0, j, 0, (double)j);
    for (size_t r = 0; r < 4; r++)
        scene_set(&s.q, 0, 0, r, 0, r == 3 ? -0.1 : ldexp(0.01, 3 * (int)r));
    compare(&s, VDIT_F32);
}

/* Masks, key lengths, rows in any order; rows without a key are +0 and -inf. */
static void masks_lengths_and_rows_are_near_the_reference(void **state)
{
    static const vdit_dtype types[4] = {VDIT_BOOL, VDIT_F32, VDIT_BF16, VDIT_F16};
    static const double values[5] = {-INFINITY, 0, -1e4, 2, -0.5};
    static const int64_t lengths[3] = {0, 205, 210}, rows[7] = {8, 0, 0, 13, 2, 1, 5};
    oracle_random random = oracle_random_start("masks_lengths_and_rows_are_near_the_reference");
    const scene_shape shape = {3, 1, 14, 210, 8, 5};
    const size_t mask[4] = {1, 1, 14, 210};
    size_t mark = vdit_run_mark(*state);

    for (int i = 0; i < 4; i++) {
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        scene_key_length(&s, lengths);
        scene_rows(&s, 7, rows);
        scene_mask(&s, types[i], mask);
        for (size_t n = 210; n < 14 * 210; n++)
            scene_set(&s.mask, 0, 0, n / 210, n % 210,
                      i == 0 ? oracle_int(&random, 0, 1) : values[oracle_int(&random, 0, 4)]);
        for (size_t j = 0; i > 0 && j < 210; j++)
            scene_set(&s.mask, 0, 0, 0, j, -INFINITY);
        compare(&s, narrow[i % 3]);
        assert_true(scene_get(&s.lse, 1, 0, 1, 0) == -INFINITY); /* row 0 is masked out */
        assert_true(oracle_same(scene_get(&s.o, 1, 0, 1, 2), 0));
        assert_true(oracle_same(scene_get(&s.o, 0, 0, 4, 2), 0)); /* batch 0 has no key */
        vdit_run_release(*state, mark);
    }
}

static void layouts_do_not_matter_to_fast(void **state)
{
    oracle_random random = oracle_random_start("layouts_do_not_matter_to_fast");
    const scene_shape shape = {2, 3, 7, 30, 5, 4};
    scene s;

    for (int layout = SCENE_TOKENS_FIRST; layout <= SCENE_GAPS; layout++) {
        vdit_tensor dense;

        scene_start(&s, *state, &shape, all_f32, &random);
        s.q = scene_tensor(*state, VDIT_F32, s.q.shape, (scene_layout)layout);
        s.v = scene_tensor(*state, VDIT_BF16, s.v.shape, (scene_layout)layout);
        scene_fill(&s.q, &random, SCENE_NORMAL);
        scene_fill(&s.v, &random, SCENE_NORMAL);
        compare(&s, VDIT_F32);
        dense = s.o;
        s.o = scene_tensor(*state, VDIT_F32, s.o.shape, (scene_layout)layout);
        forced.kernel = stages_kernel_count() - 1;
        assert_int_equal(vdit_attention_fast(*state, &s.call), VDIT_OK);
        assert_true(scene_equal(&s.o, &dense));
        forced.kernel = 0;
    }
}

static void poison_beyond_the_length_changes_no_bit(void **state)
{
    oracle_random random = oracle_random_start("poison_beyond_the_length_changes_no_bit");
    const scene_shape shape = {1, 1, 30, 210, 8, 5};
    const int64_t length = 193;
    vdit_tensor clean;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    scene_key_length(&s, &length);
    scene_outputs(&s, VDIT_F32, SCENE_O);
    assert_int_equal(vdit_attention_fast(*state, &s.call), VDIT_OK);
    clean = s.o;
    for (size_t j = 193; j < 210; j++) {
        scene_set(&s.k, 0, 0, j, 3, INFINITY);
        scene_set(&s.v, 0, 0, j, 2, NAN);
    }
    scene_outputs(&s, VDIT_F32, SCENE_O);
    assert_int_equal(vdit_attention_fast(*state, &s.call), VDIT_OK);
    assert_true(scene_equal(&s.o, &clean));
}

/* A NaN query, an infinite key, a NaN value that a mask leaves out, logits beyond binary32. */
static void infinities_and_nan_are_the_references(void **state)
{
    oracle_random random = oracle_random_start("infinities_and_nan_are_the_references");
    const scene_shape shape = {1, 1, 6, 20, 4, 3};
    const size_t mask[4] = {1, 1, 1, 20};
    size_t mark = vdit_run_mark(*state);

    for (int kind = 0; kind < 4; kind++) {
        scene s, exact;

        scene_start(&s, *state, &shape, all_f32, &random);
        scene_mask(&s, VDIT_F32, mask);
        if (kind == 0)
            scene_set(&s.q, 0, 0, 2, 1, NAN);
        if (kind == 1)
            scene_set(&s.k, 0, 0, 7, 0, INFINITY);
        if (kind == 2) {
            scene_set(&s.v, 0, 0, 9, 1, NAN);
            scene_set(&s.mask, 0, 0, 0, 9, -INFINITY);
        }
        if (kind == 3)
            s.call.scale = 0x1p126;
        scene_outputs(&s, VDIT_F32, SCENE_O | SCENE_LSE);
        scene_run(&s);
        exact = s;
        scene_outputs(&s, VDIT_F32, SCENE_O | SCENE_LSE);
        assert_int_equal(vdit_attention_fast(*state, &s.call), VDIT_OK);
        assert_true(scene_equal(&s.o, &exact.o));
        assert_true(scene_equal(&s.lse, &exact.lse));
        vdit_run_release(*state, mark);
    }
}

/* What masks filled with the least finite number do to a row that has nothing else. */
static void rows_masked_by_the_least_number_are_uniform(void **state)
{
    oracle_random random = oracle_random_start("rows_masked_by_the_least_number_are_uniform");
    const scene_shape shape = {1, 1, 2, 8, 4, 1};
    const size_t mask[4] = {1, 1, 2, 8};
    double mean = 0;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    scene_mask(&s, VDIT_F32, mask);
    for (size_t j = 0; j < 8; j++) {
        scene_set(&s.mask, 0, 0, 0, j, -0x1.fffffep127);
        mean += scene_get(&s.v, 0, 0, j, 0) / 8;
    }
    scene_outputs(&s, VDIT_F32, SCENE_O);
    assert_int_equal(vdit_attention_fast(*state, &s.call), VDIT_OK);
    assert_true(fabs(scene_get(&s.o, 0, 0, 0, 0) - mean) < 64 * UNIT);
}

static void threads_are_near_the_reference(void **state)
{
    oracle_random random = oracle_random_start("threads_are_near_the_reference");
    const scene_shape shape = {1, 2, 200, 400, 16, 9};
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    for (int threads = 2; threads <= 7; threads += 5) {
        vdit_run_set_threads(*state, threads);
        compare(&s, VDIT_F32);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_run, scene_close)
    const struct CMUnitTest tests[] = {
        TEST(small_shapes_are_near_the_reference),
        TEST(larger_shapes_are_near_the_reference),
        TEST(rising_maxima_are_near_the_reference),
        TEST(masks_lengths_and_rows_are_near_the_reference),
        TEST(layouts_do_not_matter_to_fast),
        TEST(poison_beyond_the_length_changes_no_bit),
        TEST(infinities_and_nan_are_the_references),
        TEST(rows_masked_by_the_least_number_are_uniform),
        TEST(threads_are_near_the_reference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
