/*
 * test_attention_stages.c - whoever decides an element, its bits are the same: each stage, each kernel,
 * any number of threads.
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

static const vdit_dtype narrow[3] = {VDIT_F32, VDIT_BF16, VDIT_F16};
static const vdit_dtype all_f32[3] = {VDIT_F32, VDIT_F32, VDIT_F32};

static int make_run(void **state)
{
    *state = vdit_run_new();
    vdit_run_set_threads(*state, 1);
    memset(&forced, 0, sizeof forced);
    return *state == NULL;
}

/* The first call's outputs, and a later call's in place of them. */
typedef struct outputs {
    vdit_tensor o, lse, map, sigma;
} outputs;

static outputs run_again(scene *s, vdit_dtype dtype, unsigned wanted)
{
    outputs made;

    scene_outputs(s, dtype, wanted);
    scene_run(s);
    made.o = s->o;
    made.lse = s->lse;
    made.map = s->map;
    made.sigma = s->sigma;
    return made;
}

static void assert_same(const outputs *a, const outputs *b, const char *what)
{
    if (!scene_equal(&a->o, &b->o) || !scene_equal(&a->lse, &b->lse) ||
        !scene_equal(&a->map, &b->map) || !scene_equal(&a->sigma, &b->sigma))
        fail_msg("%s: kernel %zu, from stage %d on, gives other bits", what, forced.kernel,
                 forced.stage);
}

/* Every kernel, with all stages, without stage 0, with stage 2 alone. */
static void assert_stages_agree(scene *s, vdit_dtype dtype, const char *what)
{
    outputs first;

    memset(&forced, 0, sizeof forced);
    first = run_again(s, dtype, SCENE_ALL);
    for (forced.kernel = 0; forced.kernel < stages_kernel_count(); forced.kernel++)
        for (forced.stage = 0; forced.stage <= 2; forced.stage++) {
            outputs again = run_again(s, dtype, SCENE_ALL);
            assert_same(&first, &again, what);
        }
    memset(&forced, 0, sizeof forced);
}

static void stages_agree_on_ordinary_numbers(void **state)
{
    oracle_random random = oracle_random_start("stages_agree_on_ordinary_numbers");
    const scene_shape shape = {1, 1, 27, 230, 20, 9};
    size_t mark = vdit_run_mark(*state);

    for (int i = 0; i < 6; i++) {
        vdit_dtype types[3] = {narrow[i % 3], narrow[(i + 1) % 3], narrow[i / 2]};
        scene s;

        scene_start(&s, *state, &shape, types, &random);
        s.call.scale *= i < 3 ? 1 : 3000;
        assert_stages_agree(&s, narrow[i % 3], "ordinary numbers");
        vdit_run_release(*state, mark);
    }
}

static void stages_agree_at_every_magnitude(void **state)
{
    oracle_random random = oracle_random_start("stages_agree_at_every_magnitude");
    size_t mark = vdit_run_mark(*state);

    for (int round = 0; round < 40; round++) {
        scene_shape shape = {
            1, 1, 3, (size_t)oracle_int(&random, 1, 30), (size_t)oracle_int(&random, 1, 40), 5};
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        scene_fill(&s.q, &random, (scene_kind)oracle_int(&random, SCENE_NORMAL, SCENE_LARGE));
        scene_fill(&s.k, &random, (scene_kind)oracle_int(&random, SCENE_NORMAL, SCENE_LARGE));
        scene_fill(&s.v, &random, (scene_kind)oracle_int(&random, SCENE_NORMAL, SCENE_LARGE));
        if (round % 2)
            s.call.scale = oracle_number(&random, 53, -60, 10);
        assert_stages_agree(&s, narrow[round % 3], "every magnitude");
        vdit_run_release(*state, mark);
    }
}

static void stages_agree_under_masks(void **state)
{
    static const double values[6] = {-INFINITY, 0, -1e4, -45.25, 3, -700};
    oracle_random random = oracle_random_start("stages_agree_under_masks");
    const scene_shape shape = {1, 1, 14, 210, 8, 5};
    const size_t mask[4] = {1, 1, 14, 210};
    const int64_t length = 205;
    size_t mark = vdit_run_mark(*state);

    for (int i = 0; i < 3; i++) {
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        scene_key_length(&s, &length);
        scene_mask(&s, VDIT_F32, mask);
        for (size_t n = 0; n < 14 * 210; n++)
            scene_set(&s.mask, 0, 0, n / 210, n % 210,
                      values[n < 210 ? 0 : oracle_int(&random, 0, 5)]);
        scene_set(&s.k, 0, 0, 77, 3, -INFINITY);
        scene_set(&s.v, 0, 0, 78, 3, INFINITY);
        scene_set(&s.q, 0, 0, 5, 1, NAN);
        assert_stages_agree(&s, narrow[i], "masks");
        vdit_run_release(*state, mark);
    }
}

/* The maximum rises over the tiles, so that the reference point of stage 0 moves. */
static void stages_agree_on_rising_maxima(void **state)
{
    oracle_random random = oracle_random_start("stages_agree_on_rising_maxima");
    const scene_shape shape = {1, 1, 4, 600, 1, 3};
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    for (size_t r = 0; r < 4; r++)
        scene_set(&s.q, 0, 0, r, 0, ldexp(0.01, 2 * (int)r));
    for (size_t j = 0; j < 600; j++)
        scene_set(&s.k, 0, 0, j, 0, (double)j);
    assert_stages_agree(&s, VDIT_F32, "rising maxima");
}

static void threads_do_not_change_a_bit(void **state)
{
    static const int counts[3] = {1, 2, 7};
    oracle_random random = oracle_random_start("threads_do_not_change_a_bit");
    const scene_shape shape = {1, 2, 150, 500, 24, 20};
    outputs first, again;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    scene_set(&s.v, 0, 1, 450, 7, NAN);
    first = run_again(&s, VDIT_F32, SCENE_ALL);
    for (forced.kernel = 0; forced.kernel < stages_kernel_count(); forced.kernel++)
        for (int i = 0; i < 3; i++) {
            vdit_run_set_threads(*state, counts[i]);
            again = run_again(&s, VDIT_F32, SCENE_ALL);
            assert_same(&first, &again, "threads");
        }
}

/* Where keys are many, each thread sums some of them in stage 1; here for more rows than go at once. */
static void threads_that_share_the_keys_do_not_change_a_bit(void **state)
{
    oracle_random random = oracle_random_start("threads_that_share_the_keys_do_not_change_a_bit");
    const scene_shape shape = {1, 1, 230, 1100, 6, 3};
    outputs first, again;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    first = run_again(&s, VDIT_F32, SCENE_O);
    forced.stage = 1;
    for (forced.kernel = 0; forced.kernel < stages_kernel_count(); forced.kernel++)
        for (int threads = 1; threads <= 3; threads++) {
            vdit_run_set_threads(*state, threads);
            again = run_again(&s, VDIT_F32, SCENE_O);
            if (!scene_equal(&first.o, &again.o))
                fail_msg("kernel %zu, %d threads: other bits", forced.kernel, threads);
        }
}

/* Fewer heads, rows or keys after them must not change what is computed of the rest. */
static void rows_are_computed_alike_alone_and_together(void **state)
{
    static const int64_t few[3] = {149, 3, 77};
    oracle_random random = oracle_random_start("rows_are_computed_alike_alone_and_together");
    const scene_shape shape = {1, 1, 150, 300, 16, 6};
    outputs all, some;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    all = run_again(&s, VDIT_F32, SCENE_ALL);
    scene_rows(&s, 3, few);
    some = run_again(&s, VDIT_F32, SCENE_ALL);
    for (size_t r = 0; r < 3; r++) {
        size_t row = (size_t)few[r];

        assert_true(scene_get(&all.lse, 0, 0, row, 0) == scene_get(&some.lse, 0, 0, r, 0));
        for (size_t c = 0; c < 6; c++) {
            assert_true(scene_get(&all.o, 0, 0, row, c) == scene_get(&some.o, 0, 0, r, c));
            assert_true(scene_get(&all.sigma, 0, 0, row, c) == scene_get(&some.sigma, 0, 0, r, c));
        }
        for (size_t j = 0; j < 300; j++)
            assert_true(scene_get(&all.map, 0, 0, row, j) == scene_get(&some.map, 0, 0, r, j));
    }
}

static void counters_tell_which_stage_decided(void **state)
{
    static const double distances[3] = {25, 34, 45}; /* 2^-35, 2^-48, 2^-64 from a midpoint */
    const vdit_counters *counters = vdit_run_counters(*state);
    oracle_random random = oracle_random_start("counters_tell_which_stage_decided");
    const scene_shape shape = {1, 1, 64, 300, 16, 10}, small = {1, 1, 1, 2, 1, 1};
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    run_again(&s, VDIT_F32, SCENE_O | SCENE_LSE | SCENE_MAP);
    assert_int_equal(counters->attention[0] + counters->attention[1] + counters->attention[2],
                     64 * (10 + 1 + 300));
    assert_true(counters->attention[0] > 64 * 311 * 9 / 10); /* bounds that still tell something */
    assert_true(counters->attention[2] < 64 * 311 / 100);
    for (int i = 0; i < 3; i++) {
        scene_start(&s, *state, &small, all_f32, &random);
        s.call.scale = 1;
        scene_set(&s.q, 0, 0, 0, 0, 1);
        scene_set(&s.k, 0, 0, 0, 0, 0);
        scene_set(&s.k, 0, 0, 1, 0, -distances[i]);
        scene_set(&s.v, 0, 0, 0, 0, 0x1.01p0);
        scene_set(&s.v, 0, 0, 1, 0, 3);
        memset(vdit_run_counters(*state), 0, sizeof(vdit_counters));
        run_again(&s, VDIT_BF16, SCENE_O);
        assert_true(scene_get(&s.o, 0, 0, 0, 0) == 0x1.02p0);
        assert_int_equal(counters->attention[i], 1);
    }
    scene_set(&s.k, 0, 0, 1, 0, -70); /* 2^-101: within the snap's reach a tie, to even */
    memset(vdit_run_counters(*state), 0, sizeof(vdit_counters));
    run_again(&s, VDIT_BF16, SCENE_O);
    assert_true(scene_get(&s.o, 0, 0, 0, 0) == 1);
    assert_int_equal(counters->attention[2], 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_run, scene_close)
    const struct CMUnitTest tests[] = {
        TEST(stages_agree_on_ordinary_numbers),
        TEST(stages_agree_at_every_magnitude),
        TEST(stages_agree_under_masks),
        TEST(stages_agree_on_rising_maxima),
        TEST(threads_do_not_change_a_bit),
        TEST(rows_are_computed_alike_alone_and_together),
        TEST(counters_tell_which_stage_decided),
        TEST(threads_that_share_the_keys_do_not_change_a_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
