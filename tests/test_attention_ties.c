/*
 * test_attention_ties.c - the reference against the definition at and beside the midpoints of its types:
 * what each stage can still see, what the snap rule calls a tie, exact ties.
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

/* 2^-8 below and above 1, or the like: two equal keys whose mean is a midpoint of the dtype. */
static const double half_unit[3] = {0x1p-24, 0x1p-9, 0x1p-12};

/*
 * Two keys of equal logits make a midpoint, or 0; a third one, e^-t below them, moves the value off
 * by what only more bits, and at last only the snap rule, can see: t passes 90 ln 2 = 62.4.
 */
static void near_ties_are_decided_up_to_the_snap(void **state)
{
    static const double third[8] = {2, -1, 0x1p20, -0x1p20, 0x1.8p-10, -0x1p-10, 1.25, 0};
    oracle_random random = oracle_random_start("near_ties_are_decided_up_to_the_snap");
    size_t mark = vdit_run_mark(*state);

    for (int i = 0; i < 3; i++) {
        scene s;

        rank_one(&s, *state, 160, 3, 24, &random);
        for (size_t r = 0; r < 160; r++)
            scene_set(&s.q, 0, 0, r, 0, r < 80 ? 10 + (double)r : 58 + (double)r / 16);
        scene_set(&s.k, 0, 0, 0, 0, 0);
        scene_set(&s.k, 0, 0, 1, 0, 0);
        scene_set(&s.k, 0, 0, 2, 0, -1);
        for (size_t c = 0; c < 24; c++) {
            double middle = c < 8 ? 1 + half_unit[i] : c < 16 ? -1 - 3 * half_unit[i] : 0;
            double apart = c < 16 ? half_unit[i] : 1;

            scene_set(&s.v, 0, 0, 0, c, middle - apart);
            scene_set(&s.v, 0, 0, 1, c, middle + apart);
            scene_set(&s.v, 0, 0, 2, c, third[c % 8]);
        }
        scene_outputs(&s, narrow[i], SCENE_O);
        scene_judge(&s, "near-tie");
        vdit_run_release(*state, mark);
    }
}

/*
 * The log-sum-exp of a key whose logit is a midpoint of f32, (1 + 2^-12)^2, and one e^-t below it: above
 * the midpoint until the snap calls it a tie, to even.
 */
static void log_sum_exps_near_ties_are_decided_up_to_the_snap(void **state)
{
    oracle_random random = oracle_random_start("log_sum_exps_near_ties");
    const scene_shape shape = {1, 1, 120, 2, 2, 1};
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    s.call.scale = 1;
    for (size_t r = 0; r < 120; r++) {
        scene_set(&s.q, 0, 0, r, 0, r % 2 ? 1 + 0x1p-12 : -1 - 0x1p-12);
        scene_set(&s.q, 0, 0, r, 1, r < 60 ? 10 + (double)r : 56 + (double)r / 16);
    }
    for (size_t j = 0; j < 2; j++) {
        scene_set(&s.k, 0, 0, j, 0, 1 + 0x1p-12);
        scene_set(&s.k, 0, 0, j, 1, j ? -1 : 0);
    }
    scene_outputs(&s, VDIT_F32, SCENE_LSE);
    scene_judge(&s, "near-tie of lse");
}

/* Sets row r of q, of three channels, so that t is their sum to about 70 bits. */
static void set_distance(scene *s, size_t r, mpfr_t t)
{
    for (size_t c = 0; c < 3; c++) {
        double part = vdit_round_f64(VDIT_F32, mpfr_get_d(t, MPFR_RNDN));
        scene_set(&s->q, 0, 0, r, c, part);
        mpfr_sub_d(t, t, part, MPFR_RNDN);
    }
}

/*
 * Two keys, the second t below the first, so that its share of the map, 1/(e^t + 1), or the log-sum-exp,
 * ln(1 + e^-t), is a midpoint times 1 +- 2^-k: k from 30 to 72 leads through all stages.
 */
static void every_output_is_decided_near_midpoints(void **state)
{
    static const int precisions[3] = {24, 8, 11};
    oracle_random random = oracle_random_start("every_output_is_decided_near_midpoints");
    const scene_shape shape = {1, 1, 172, 2, 3, 1};
    size_t mark = vdit_run_mark(*state);
    mpfr_t t;

    mpfr_init2(t, 300);
    for (int i = 0; i < 6; i++) {
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        s.call.scale = -1;
        for (size_t r = 0; r < 172; r++) {
            int bits = i < 3 ? precisions[i] + 1 : 25, k = 30 + (int)r / 4;
            double middle = fabs(oracle_number(&random, bits, -6, -2));

            mpfr_set_ui_2exp(t, 1, -k, MPFR_RNDN);
            mpfr_mul_si(t, t, r % 2 ? 1 : -1, MPFR_RNDN);
            mpfr_add_ui(t, t, 1, MPFR_RNDN);
            mpfr_mul_d(t, t, middle, MPFR_RNDN);
            if (i < 3) { /* ln(1 / a - 1) */
                mpfr_ui_div(t, 1, t, MPFR_RNDN);
                mpfr_sub_ui(t, t, 1, MPFR_RNDN);
                mpfr_log(t, t, MPFR_RNDN);
            } else { /* -ln(e^m - 1) */
                mpfr_expm1(t, t, MPFR_RNDN);
                mpfr_log(t, t, MPFR_RNDN);
                mpfr_neg(t, t, MPFR_RNDN);
            }
            set_distance(&s, r, t);
        }
        for (size_t c = 0; c < 3; c++) {
            scene_set(&s.k, 0, 0, 0, c, 0);
            scene_set(&s.k, 0, 0, 1, c, 1);
        }
        scene_set(&s.v, 0, 0, 0, 0, 0);
        scene_set(&s.v, 0, 0, 1, 0, i % 2 ? 1 : -1);
        scene_outputs(&s, narrow[i % 3], SCENE_ALL);
        scene_judge(&s, "near a midpoint");
        vdit_run_release(*state, mark);
    }
    mpfr_clear(t);
}

/* Keys whose channels are permuted have one logit, whatever the rounding of its sum says. */
static void permuted_keys_tie_at_any_size(void **state)
{
    oracle_random random = oracle_random_start("permuted_keys_tie_at_any_size");
    const scene_shape shape = {1, 1, 3, 40, 11, 2};
    size_t mark = vdit_run_mark(*state);

    for (int i = 0; i < 4; i++) {
        double x[11];
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        s.call.scale = ldexp(1, 30 * i);
        for (size_t c = 0; c < 11; c++) {
            x[c] = oracle_number(&random, 24, -20, 3);
            for (size_t r = 0; r < 3; r++)
                scene_set(&s.q, 0, 0, r, c, (double)r - 1.3);
        }
        for (size_t j = 0; j < 40; j++)
            for (size_t c = 0; c < 11; c++)
                scene_set(&s.k, 0, 0, j, c, x[(c + j) % 11] * (j < 30 ? 1 : 1 + 0x1p-10));
        scene_outputs(&s, narrow[i % 3], SCENE_ALL);
        scene_judge(&s, "permuted keys");
        vdit_run_release(*state, mark);
    }
}

/* Means of few significant bits: midpoints, exact zeros, and all between, in each dtype. */
static void equal_logits_give_exact_ties(void **state)
{
    oracle_random random = oracle_random_start("equal_logits_give_exact_ties");
    size_t mark = vdit_run_mark(*state), ties = 0;

    for (size_t keys = 1; keys <= 48; keys++) {
        int type = (int)keys % 3;
        scene s;

        rank_one(&s, *state, 2, keys, 24, &random);
        for (size_t j = 0; j < keys; j++) {
            scene_set(&s.k, 0, 0, j, 0, 3);
            for (size_t c = 0; c < 24; c++) {
                double unit = half_unit[type] * 2;
                double v = 1 + unit * oracle_int(&random, 0, (int)c);

                scene_set(&s.v, 0, 0, j, c, c % 4 ? v : j % 2 ? 1 - v : v - 1);
            }
        }
        scene_outputs(&s, narrow[type], SCENE_ALL);
        scene_judge(&s, "equal logits");
        ties += vdit_run_counters(*state)->attention[2];
        vdit_run_release(*state, mark);
    }
    assert_true(ties > 100); /* the last stage had work */
}

/*
 * Three equal keys, and a value exactly between two multiples of 2^-90 C: the even one counts, which
 * is the midpoint, and from it rounding goes to even.
 */
static void ties_of_the_snap_go_to_even(void **state)
{
    oracle_random random = oracle_random_start("ties_of_the_snap_go_to_even");
    size_t mark = vdit_run_mark(*state);
    scene s;

    rank_one(&s, *state, 1, 3, 8, &random);
    for (size_t j = 0; j < 3; j++)
        scene_set(&s.k, 0, 0, j, 0, 1);
    for (size_t c = 0; c < 8; c++) {
        double sign = c & 1 ? -1 : 1, step = c & 2 ? -1 : 1, odd = c & 4 ? 3 : 1;

        scene_set(&s.v, 0, 0, 0, c, sign * 3);
        scene_set(&s.v, 0, 0, 1, c, sign * 3 * odd * 0x1p-24);
        scene_set(&s.v, 0, 0, 2, c, sign * step * 3 * 0x1p-90);
    }
    scene_outputs(&s, VDIT_F32, SCENE_O);
    scene_judge(&s, "snap tie");
    vdit_run_release(*state, mark);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_close)
    const struct CMUnitTest tests[] = {
        TEST(near_ties_are_decided_up_to_the_snap),
        TEST(log_sum_exps_near_ties_are_decided_up_to_the_snap),
        TEST(every_output_is_decided_near_midpoints),
        TEST(permuted_keys_tie_at_any_size),
        TEST(equal_logits_give_exact_ties),
        TEST(ties_of_the_snap_go_to_even),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
