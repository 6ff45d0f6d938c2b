/* test_attention_sigma.c - sigma, the noise of an honest kernel, against its formula in MPFR. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "attention_scene.h"

static const vdit_dtype all_f32[3] = {VDIT_F32, VDIT_F32, VDIT_F32};

/* One term of the model at a time, then the sets of bf16, f16, f32 and a coarse one. */
static const vdit_noise noises[] = {
    {0x1p-9, 0, 0, 0, 0, 0},
    {0, 0x1p-25, 0, 0, 0, 0},
    {0x1p-12, 0x1p-25, 0, 0, 0, 0},
    {0, 0, 0x1p-23, 0, 0, 0},
    {0, 0, 0, 0x1p-9, 0, 0},
    {0, 0, 0, 0, 0x1p-25, 0},
    {0, 0, 0, 0, 0, 0x1p-24},
    {0, 0, 0, 0, 0, 0},
    {0x1p-9, 0, 0x1p-23, 0x1p-9, 0, 0x1p-24},
    {0x1p-12, 0x1p-25, 0x1p-23, 0x1p-12, 0x1p-25, 0x1p-24},
    {0x1p-23, 0, 0x1p-23, 0x1p-25, 0, 0x1p-24},
    {1, 0.25, 3, 0.1, 100, 1e30},
    {0x1p-300, 0, 0x1p-300, 0x1p-300, 0, 0x1p-300},
};

static void each_term_is_the_formula(void **state)
{
    oracle_random random = oracle_random_start("each_term_is_the_formula");
    const scene_shape shape = {1, 2, 14, 60, 7, 9};
    const size_t mask[4] = {1, 1, 14, 60};
    size_t mark = vdit_run_mark(*state);

    for (size_t i = 0; i < 2 * (sizeof noises / sizeof *noises); i++) {
        char what[20];
        scene s;

        snprintf(what, sizeof what, "noise %zu", i / 2);
        scene_start(&s, *state, &shape, all_f32, &random);
        if (i % 2) {
            s.call.scale *= 20;
            scene_mask(&s, VDIT_F32, mask);
            for (size_t j = 0; j < 60; j++)
                scene_set(&s.mask, 0, 0, 13, j, j % 3 ? -300 : -INFINITY);
        }
        s.call.noise = noises[i / 2];
        scene_outputs(&s, VDIT_F32, SCENE_SIGMA);
        scene_judge(&s, what);
        vdit_run_release(*state, mark);
    }
}

static void values_of_any_magnitude_are_the_formula(void **state)
{
    oracle_random random = oracle_random_start("values_of_any_magnitude_are_the_formula");
    size_t mark = vdit_run_mark(*state);

    for (int round = 0; round < 60; round++) {
        scene_shape shape = {1, 1, 4, (size_t)oracle_int(&random, 1, 40), 5, 6};
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        scene_fill(&s.v, &random, (scene_kind)oracle_int(&random, SCENE_NORMAL, SCENE_LARGE));
        if (round % 4 == 0)
            scene_fill(&s.k, &random, SCENE_WIDE);
        s.call.noise = noises[oracle_int(&random, 0, 12)];
        scene_outputs(&s, VDIT_F32, SCENE_SIGMA);
        scene_judge(&s, "magnitudes");
        vdit_run_release(*state, mark);
    }
}

/*
 * With sum_unit alone, sigma of one key is sum_unit |v|: midpoints and a hair beside them, overflow,
 * what rounds to 0.
 */
static void midpoints_of_bf16_go_to_even(void **state)
{
    static const double v[12] = {0x1.01p0,       0x1.03p0,       0x1.ffp127, 0x1.fefffep127,
                                 0x1.ff0002p127, 0x1.fffffep127, 0x1p-133,   0x1.8p-133,
                                 0x1p-134,       0x1.8p-134,     0x1.3p-130, 0};
    oracle_random random = oracle_random_start("midpoints_of_bf16_go_to_even");
    const scene_shape shape = {1, 1, 1, 1, 1, 12};
    size_t mark = vdit_run_mark(*state);

    for (int i = -3; i <= 3; i++) {
        vdit_noise sum_alone = {0, 0, 0, 0, 0, 0};
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        for (size_t c = 0; c < 12; c++)
            scene_set(&s.v, 0, 0, 0, c, c % 2 ? -v[c] : v[c]);
        sum_alone.sum_unit = 1 + (i % 2 ? i * 0x1p-52 : i * 0x1p-46);
        s.call.noise = sum_alone;
        scene_outputs(&s, VDIT_F32, SCENE_SIGMA);
        scene_judge(&s, "midpoints");
        vdit_run_release(*state, mark);
    }
}

/*
 * q = k = x everywhere and four keys with values 1 and -1 give sigma = score_unit |scale| d x^2 / 2.
 * A score_unit that puts this a few units of 2^-52 beside a midpoint of bf16 shows any error in |q|
 * and |k|; with this x, naive sums of x^2 lose d / 4 units of 2^-53, always to the same side.
 */
static void long_norms_are_within_the_bound(void **state)
{
    oracle_random random = oracle_random_start("long_norms_are_within_the_bound");
    const scene_shape shape = {1, 1, 1, 4, 4096, 1};
    const double x = 0x1.0040d8p+0, scale = 0x1p-60;
    size_t mark = vdit_run_mark(*state);

    for (int i = -1200; i <= 1200; i += 80) {
        vdit_noise score_alone = {0, 0, 0, 0, 0, 0};
        char what[40];
        scene s;

        snprintf(what, sizeof what, "%d units beside a midpoint", i);
        scene_start(&s, *state, &shape, all_f32, &random);
        for (size_t c = 0; c < 4096; c++) {
            scene_set(&s.q, 0, 0, 0, c, x);
            for (size_t j = 0; j < 4; j++)
                scene_set(&s.k, 0, 0, j, c, x);
        }
        for (size_t j = 0; j < 4; j++)
            scene_set(&s.v, 0, 0, j, 0, j % 2 ? 1 : -1);
        score_alone.score_unit = 2 * 0x1.01p0 / (4096 * x * x) / scale * (1 + i * 0x1p-52);
        s.call.noise = score_alone;
        s.call.scale = scale;
        scene_outputs(&s, VDIT_F32, SCENE_SIGMA);
        scene_judge(&s, what);
        vdit_run_release(*state, mark);
    }
}

/* Sigma speaks of an honest kernel's finite arithmetic: where o is not finite, or there is no key, 0. */
static void rows_without_a_finite_output_have_none(void **state)
{
    oracle_random random = oracle_random_start("rows_without_a_finite_output_have_none");
    const scene_shape shape = {1, 1, 3, 5, 4, 2};
    const size_t mask[4] = {1, 1, 3, 5};
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    scene_set(&s.q, 0, 0, 0, 1, NAN);
    scene_set(&s.v, 0, 0, 2, 1, INFINITY);
    scene_mask(&s, VDIT_BOOL, mask);
    for (size_t j = 0; j < 5; j++) {
        scene_set(&s.mask, 0, 0, 0, j, 1);
        scene_set(&s.mask, 0, 0, 1, j, 1);
    }
    scene_outputs(&s, VDIT_F32, SCENE_SIGMA);
    scene_run(&s);
    for (size_t r = 0; r < 3; r++)
        for (size_t c = 0; c < 2; c++)
            if (r == 1 && c == 0)
                assert_true(scene_get(&s.sigma, 0, 0, r, c) > 0);
            else
                assert_true(scene_get(&s.sigma, 0, 0, r, c) == 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_close)
    const struct CMUnitTest tests[] = {
        TEST(each_term_is_the_formula),
        TEST(values_of_any_magnitude_are_the_formula),
        TEST(midpoints_of_bf16_go_to_even),
        TEST(long_norms_are_within_the_bound),
        TEST(rows_without_a_finite_output_have_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
