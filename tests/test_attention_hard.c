/*
 * test_attention_hard.c - the reference against the definition where it is hard: cancellation, huge
 * logits, every magnitude.
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

static const vdit_dtype narrow[3] = {VDIT_F32, VDIT_BF16, VDIT_F16};
static const vdit_dtype all_f32[3] = {VDIT_F32, VDIT_F32, VDIT_F32};

/* q = [x_r], k = [y_j], scale 1: the logit of row r and key j is x_r y_j. */
static void rank_one(scene *s, vdit_run *run, size_t rows, size_t keys, size_t channels,
                     oracle_random *random)
{
    const scene_shape shape = {1, 1, rows, keys, 1, channels};

    scene_start(s, run, &shape, all_f32, random);
    s->call.scale = 1;
}

static void huge_logits_are_the_definition(void **state)
{
    static const double scales[] = {1e2, 1e4, 1e8, 1e15, 1e30, 1e37};
    oracle_random random = oracle_random_start("huge_logits_are_the_definition");
    const scene_shape shape = {1, 1, 6, 230, 7, 3};
    size_t mark = vdit_run_mark(*state);

    for (int i = 0; i < 6; i++) {
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        s.call.scale = i % 2 ? -scales[i] : scales[i];
        for (size_t j = 0; j < 230; j += 3) /* equal keys tie whatever their logit */
            for (size_t c = 0; c < 7; c++)
                scene_set(&s.k, 0, 0, j, c, scene_get(&s.k, 0, 0, 0, c));
        scene_outputs(&s, narrow[i % 3], SCENE_ALL);
        scene_judge(&s, "huge logits");
        vdit_run_release(*state, mark);
    }
}

/* Pairs of equal keys with values +x and -x, x up to 2^100, and a small remainder beside them. */
static void cancellation_leaves_the_remainder(void **state)
{
    oracle_random random = oracle_random_start("cancellation_leaves_the_remainder");
    const scene_shape shape = {1, 1, 8, 220, 6, 12};
    size_t mark = vdit_run_mark(*state);

    for (int i = 0; i < 3; i++) {
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        for (size_t j = 0; j < 220; j += 2) {
            for (size_t c = 0; c < 6; c++)
                scene_set(&s.k, 0, 0, j + 1, c, scene_get(&s.k, 0, 0, j, c));
            for (size_t c = 0; c < 12; c++) {
                double x = ldexp(oracle_normal(&random, VDIT_F32), 3 * (int)c * (i + 1));

                scene_set(&s.v, 0, 0, j, c, x);
                scene_set(&s.v, 0, 0, j + 1, c, -x);
            }
        }
        for (size_t c = 1; c < 12; c++)
            scene_set(&s.v, 0, 0, c, c, 1);
        scene_outputs(&s, narrow[i], SCENE_ALL);
        scene_judge(&s, "cancellation");
        vdit_run_release(*state, mark);
    }
}

/* One key far above the rest, at each place of the tiles; the rest weighs e^-20 to e^-2000. */
static void one_hot_rows_are_the_definition(void **state)
{
    oracle_random random = oracle_random_start("one_hot_rows_are_the_definition");
    const scene_shape shape = {1, 1, 40, 400, 40, 5};
    size_t mark = vdit_run_mark(*state);
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    s.call.scale = 1;
    memset(s.q.data, 0, 40 * 40 * sizeof(float));
    for (size_t r = 0; r < 40; r++) {
        size_t key = r * 10 + r % 3;

        scene_set(&s.q, 0, 0, r, r, (double)(20 + r * r));
        scene_set(&s.k, 0, 0, key, r, 8);
        scene_set(&s.v, 0, 0, key, 4, 1 + 0x1p-9);
    }
    for (int i = 0; i < 3; i++) {
        scene_outputs(&s, narrow[i], SCENE_ALL);
        scene_judge(&s, "one-hot");
    }
    vdit_run_release(*state, mark);
}

/* The maximum rises with every key or every tile, by steps from below to far above 30 log 2. */
static void rising_maxima_are_the_definition(void **state)
{
    static const double steps[] = {0.01, 0.1, 0.3, 1, 4, 30};
    oracle_random random = oracle_random_start("rising_maxima_are_the_definition");
    size_t mark = vdit_run_mark(*state);

    for (int i = 0; i < 6; i++) {
        scene s;

        rank_one(&s, *state, 4, 192 * 4 + 7, 3, &random);
        for (size_t j = 0; j < 192 * 4 + 7; j++)
            scene_set(&s.k, 0, 0, j, 0, steps[i] * (double)(i % 2 ? j : j / 192 * 192));
        scene_set(&s.q, 0, 0, 0, 0, 1);
        scene_set(&s.q, 0, 0, 1, 0, -1);
        scene_set(&s.q, 0, 0, 2, 0, 0.125);
        scene_set(&s.q, 0, 0, 3, 0, 5);
        scene_outputs(&s, narrow[i % 3], SCENE_O | SCENE_LSE | SCENE_SIGMA);
        scene_judge(&s, "rising maxima");
        vdit_run_release(*state, mark);
    }
}

/* Values near the bottom of each type: results that are subnormal, or round to +0 or -0. */
static void tiny_values_keep_their_sign(void **state)
{
    oracle_random random = oracle_random_start("tiny_values_keep_their_sign");
    const scene_shape shape = {1, 1, 6, 30, 4, 10};
    size_t mark = vdit_run_mark(*state);

    for (int i = 0; i < 9; i++) {
        vdit_dtype types[3] = {VDIT_F32, VDIT_F32, narrow[i / 3]};
        scene s;

        scene_start(&s, *state, &shape, types, &random);
        scene_fill(&s.v, &random, SCENE_SUBNORMAL);
        for (size_t j = 0; j < 30; j++) {
            scene_set(&s.v, 0, 0, j, 0, 0);
            scene_set(&s.v, 0, 0, j, 1, j ? 0 : -0x1p-149);
            scene_set(&s.v, 0, 0, j, 2, -0x1p-24);
            scene_set(&s.v, 0, 0, j, 3, j % 2 ? 0x1p-25 : -0x1p-25);
            scene_set(&s.v, 0, 0, j, 4, -0.0);
        }
        scene_outputs(&s, narrow[i % 3], SCENE_ALL);
        scene_judge(&s, "tiny values");
        vdit_run_release(*state, mark);
    }
}

/* A weight below every double, beside values of 0: the result is -0, not +0; from e^-2^30 down, +0. */
static void weights_far_below_doubles_show_in_the_sign(void **state)
{
    static const double far[6] = {600, 800, 5000, 1e8, 0x1.fffffep29, 0x1p30};
    oracle_random random = oracle_random_start("weights_far_below_doubles_show_in_the_sign");
    size_t mark = vdit_run_mark(*state);
    scene s;

    rank_one(&s, *state, 6, 2, 2, &random);
    for (size_t r = 0; r < 6; r++)
        scene_set(&s.q, 0, 0, r, 0, far[r]);
    scene_set(&s.k, 0, 0, 0, 0, 0);
    scene_set(&s.k, 0, 0, 1, 0, -1);
    for (size_t c = 0; c < 2; c++) {
        scene_set(&s.v, 0, 0, 0, c, 0);
        scene_set(&s.v, 0, 0, 1, c, c ? -1 : 0x1p127);
    }
    scene_outputs(&s, VDIT_F32, SCENE_ALL);
    scene_judge(&s, "far weights");
    assert_true(signbit(scene_get(&s.o, 0, 0, 4, 1)));
    assert_false(signbit(scene_get(&s.o, 0, 0, 5, 1)));
    vdit_run_release(*state, mark);
}

/* Overflow of the output type, at and beside the midpoint between its largest number and 2^e. */
static void large_values_overflow_as_rounding_says(void **state)
{
    static const double most[3] = {0x1.fffffep127, 0x1.fep127, 0x1.ffcp15};
    static const double next[3] = {0x1.fffffep127, 0x1.fffffep127, 0x1p16};
    oracle_random random = oracle_random_start("large_values_overflow_as_rounding_says");
    size_t mark = vdit_run_mark(*state);

    for (int i = 0; i < 3; i++) {
        scene s;

        rank_one(&s, *state, 2, 2, 4, &random);
        scene_set(&s.q, 0, 0, 0, 0, 0);
        for (size_t c = 0; c < 4; c++) {
            double sign = c & 1 ? -1 : 1;
            scene_set(&s.v, 0, 0, 0, c, sign * (c & 2 ? 0x1.ffp127 : most[i]));
            scene_set(&s.v, 0, 0, 1, c, sign * (c & 2 ? 0x1.ffp127 : next[i]));
        }
        scene_outputs(&s, narrow[i], SCENE_ALL);
        scene_judge(&s, "overflow");
        vdit_run_release(*state, mark);
    }
}

/* A single key: the log-sum-exp is its logit, here a midpoint of f32, 0, and past the largest f32. */
static void log_sum_exp_of_one_key_is_its_logit(void **state)
{
    static const double x[8] = {1 + 0x1p-12, -1 - 0x1p-12, 0,      -0.0,
                                0x1p64,      0x1.ffffp63,  0x1p-1, 0x1.fffffep127};
    oracle_random random = oracle_random_start("log_sum_exp_of_one_key_is_its_logit");
    size_t mark = vdit_run_mark(*state);

    for (int i = 0; i < 8; i++) {
        scene s;

        rank_one(&s, *state, 8, 1, 1, &random);
        for (size_t r = 0; r < 8; r++)
            scene_set(&s.q, 0, 0, r, 0, x[r]);
        scene_set(&s.k, 0, 0, 0, 0, x[i]);
        scene_outputs(&s, VDIT_F32, SCENE_ALL);
        scene_judge(&s, "one key");
        vdit_run_release(*state, mark);
    }
}

/* Anything with anything, at every magnitude. */
static void any_mix_of_magnitudes_is_the_definition(void **state)
{
    oracle_random random = oracle_random_start("any_mix_of_magnitudes_is_the_definition");
    size_t mark = vdit_run_mark(*state);

    for (int round = 0; round < 150; round++) {
        scene_shape shape = {1,
                             1,
                             (size_t)oracle_int(&random, 1, 9),
                             (size_t)oracle_int(&random, 1, 40),
                             (size_t)oracle_int(&random, 1, 12),
                             (size_t)oracle_int(&random, 1, 12)};
        vdit_dtype types[3];
        scene_kind kinds[3];
        scene s;

        for (int i = 0; i < 3; i++) {
            types[i] = narrow[oracle_int(&random, 0, 2)];
            kinds[i] = (scene_kind)oracle_int(&random, SCENE_NORMAL, SCENE_LARGE);
        }
        scene_start(&s, *state, &shape, types, &random);
        scene_fill(&s.q, &random, kinds[0]);
        scene_fill(&s.k, &random, kinds[1]);
        scene_fill(&s.v, &random, kinds[2]);
        if (round % 3 == 0)
            s.call.scale = oracle_number(&random, 53, -126, 100);
        scene_outputs(&s, narrow[oracle_int(&random, 0, 2)], SCENE_ALL);
        scene_judge(&s, "magnitudes");
        vdit_run_release(*state, mark);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_close)
    const struct CMUnitTest tests[] = {
        TEST(huge_logits_are_the_definition),
        TEST(cancellation_leaves_the_remainder),
        TEST(one_hot_rows_are_the_definition),
        TEST(rising_maxima_are_the_definition),
        TEST(tiny_values_keep_their_sign),
        TEST(weights_far_below_doubles_show_in_the_sign),
        TEST(large_values_overflow_as_rounding_says),
        TEST(log_sum_exp_of_one_key_is_its_logit),
        TEST(any_mix_of_magnitudes_is_the_definition),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
