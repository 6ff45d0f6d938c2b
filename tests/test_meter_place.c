/*
 * test_meter_place.c - the meters of places against their definitions in MPFR, bit by bit: frames, offsets, the
 * diagonal, stripes, and the picture.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "attention/walk.h"
#include "exact/tally.h"
#include "meter_oracle.h"
#include "widening.h"

#define METERS "frames,offset,diagonal:width=2,stripe,picture:side=7"

static const vdit_dtype all_f32[3] = {VDIT_F32, VDIT_F32, VDIT_F32};

/* What is judged: one head's rows as the oracle has them. */
typedef struct view {
    const vdit_tokens *tokens;
    size_t video, frame, text_at, video_at; /* tokens of the video, of a frame; where they begin */
    size_t Nq, Nk;
    attention_oracle oracle; /* the row that is loaded */
} view;

/* Whether key j is in the set n of the row of query i. */
typedef int in_set(const view *v, size_t i, size_t j, size_t n);

/* The sum (or the largest) of the row's entries in a set, rounded once. */
static double fact(const view *v, size_t i, in_set *in, size_t n, vdit_dtype dtype, int largest)
{
    const attention_oracle *oracle = &v->oracle;
    double rounded;
    mpfr_t sum;

    mpfr_init2(sum, ATTENTION_ORACLE_BITS);
    mpfr_set_zero(sum, 1);
    for (size_t k = 0; k < oracle->count; k++) {
        if (!in(v, i, oracle->key[k], n))
            continue;
        if (largest)
            mpfr_max(sum, sum, oracle->p[k], MPFR_RNDN);
        else
            mpfr_add(sum, sum, oracle->p[k], MPFR_RNDN);
    }
    if (!mpfr_zero_p(sum))
        mpfr_div(sum, sum, oracle->sum, MPFR_RNDN);
    rounded = attention_oracle_round(sum, sum, dtype);
    mpfr_clear(sum);
    return rounded;
}

static int is_video(const view *v, size_t j)
{
    return j >= v->video_at && j < v->video_at + v->video;
}

static int in_frame(const view *v, size_t i, size_t j, size_t n)
{
    (void)i;
    return is_video(v, j) && (j - v->video_at) / v->frame == n;
}

static int in_diagonal(const view *v, size_t i, size_t j, size_t n)
{
    (void)n;
    return is_video(v, j) && (i > j ? i - j : j - i) <= 2;
}

static int in_stripe(const view *v, size_t i, size_t j, size_t n)
{
    (void)n;
    return is_video(v, j) && i != j && (j - v->video_at) % v->frame == (i - v->video_at) % v->frame;
}

/* n = (dy + H - 1) (2 W - 1) + dx + W - 1. */
static int at_offset(const view *v, size_t i, size_t j, size_t n)
{
    size_t W = v->tokens->width, H = v->tokens->height, across = 2 * W - 1, q, k;

    if (!is_video(v, j))
        return 0;
    q = (i - v->video_at) % v->frame;
    k = (j - v->video_at) % v->frame;
    return k / W + H - 1 - q / W == n / across && k % W + W - 1 - q % W == n % across;
}

static int in_block(const view *v, size_t i, size_t j, size_t n)
{
    (void)i;
    return j / ((v->Nk + 6) / 7) == n;
}

/* sum / count in MPFR: exact sums of facts, rounded once. */
typedef struct mean {
    mpfr_t sum;
} mean;

static void expect_mean(const vdit_meter_results *results, const char *name, size_t at, mean *m,
                        size_t count)
{
    mpfr_div_ui(m->sum, m->sum, count, MPFR_RNDN);
    meter_oracle_expect(results, name, at, attention_oracle_round(m->sum, m->sum, VDIT_F32));
}

/* One figure of a head: the mean over chosen rows of facts of sets that depend on the row. */
typedef int chosen(const view *v, size_t i, size_t n);

static int is_query(const view *v, size_t i, size_t n)
{
    (void)n;
    return is_video(v, i);
}

static int is_query_of(const view *v, size_t i, size_t n)
{
    return is_video(v, i) && (i - v->video_at) / v->frame == n / v->tokens->frames;
}

static int in_frame_of(const view *v, size_t i, size_t j, size_t n)
{
    return in_frame(v, i, j, n % v->tokens->frames);
}

static void judge_mean(const vdit_meter_results *results, view *v, const char *name, size_t b,
                       size_t h, size_t at, chosen *rows, in_set *in, size_t n, vdit_dtype dtype)
{
    size_t count = 0;
    mean m;

    mpfr_init2(m.sum, 2000);
    mpfr_set_zero(m.sum, 1);
    for (size_t i = 0; i < v->Nq; i++)
        if (rows(v, i, n)) {
            attention_oracle_load(&v->oracle, b, h, i);
            mpfr_add_d(m.sum, m.sum, fact(v, i, in, n, dtype, 0), MPFR_RNDN);
            count++;
        }
    expect_mean(results, name, at, &m, count);
    mpfr_clear(m.sum);
}

/* Mass by distance in frames: sums of facts of frames. */
static void judge_distance(const vdit_meter_results *results, view *v, size_t b, size_t h,
                           size_t head, size_t d)
{
    size_t F = v->tokens->frames, count = 0;
    mean m;

    mpfr_init2(m.sum, 2000);
    mpfr_set_zero(m.sum, 1);
    for (size_t i = v->video_at; i < v->video_at + v->video; i++) {
        size_t t = (i - v->video_at) / v->frame;

        count++;
        if (t + d < F - 1 || t + d - (F - 1) >= F)
            continue;
        attention_oracle_load(&v->oracle, b, h, i);
        mpfr_add_d(m.sum, m.sum, fact(v, i, in_frame, t + d - (F - 1), VDIT_F32, 0), MPFR_RNDN);
    }
    expect_mean(results, "frames.dt", head * (2 * F - 1) + d, &m, count);
    mpfr_clear(m.sum);
}

/* What a uniform map has in a set, by counting. */
static void judge_chance(const vdit_meter_results *results, view *v, const char *name, size_t b,
                         size_t h, size_t head, in_set *in)
{
    double values[300];
    size_t count = 0;

    for (size_t i = v->video_at; i < v->video_at + v->video; i++) {
        size_t found = 0;

        attention_oracle_load(&v->oracle, b, h, i);
        for (size_t k = 0; k < v->oracle.count; k++)
            found += in(v, i, v->oracle.key[k], 0) != 0;
        values[count++] = v->oracle.count > 0 ? (double)((float)found / (float)v->oracle.count) : 0;
    }
    meter_oracle_expect(results, name, head, meter_oracle_mean(values, count));
}

static void judge_picture(const vdit_meter_results *results, view *v, size_t b, size_t h,
                          size_t head)
{
    size_t rows = (v->Nq + 6) / 7, keys = (v->Nk + 6) / 7;
    size_t down = (v->Nq + rows - 1) / rows, across = (v->Nk + keys - 1) / keys;

    for (size_t at = 0; at < down * across; at++) {
        size_t y = at / across * rows, x = at % across * keys, count = 0, wide;
        double largest = 0;
        mean m;

        wide = v->Nk - x < keys ? v->Nk - x : keys;
        mpfr_init2(m.sum, 2000);
        mpfr_set_zero(m.sum, 1);
        for (size_t i = y; i < y + rows && i < v->Nq; i++, count += wide) {
            attention_oracle_load(&v->oracle, b, h, i);
            mpfr_add_d(m.sum, m.sum, fact(v, i, in_block, at % across, VDIT_BF16, 0), MPFR_RNDN);
            largest = fmax(largest, fact(v, i, in_block, at % across, VDIT_BF16, 1));
        }
        expect_mean(results, "picture.mean", head * down * across + at, &m, count);
        meter_oracle_expect(results, "picture.max", head * down * across + at, largest);
        mpfr_clear(m.sum);
    }
}

static void judge_head(const vdit_meter_results *results, view *v, size_t b, size_t h, size_t head)
{
    size_t F = v->tokens->frames, H = v->tokens->height, W = v->tokens->width;
    size_t spots = (2 * H - 1) * (2 * W - 1);

    for (size_t n = 0; n < F * F; n++)
        judge_mean(results, v, "frames.mass", b, h, head * F * F + n, is_query_of, in_frame_of, n,
                   VDIT_F32);
    for (size_t d = 0; d < 2 * F - 1; d++)
        judge_distance(results, v, b, h, head, d);
    for (size_t n = 0; n < spots; n++)
        judge_mean(results, v, "offset.mass", b, h, head * spots + n, is_query, at_offset, n,
                   VDIT_BF16);
    judge_mean(results, v, "diagonal.mass", b, h, head, is_query, in_diagonal, 0, VDIT_F32);
    judge_mean(results, v, "stripe.mass", b, h, head, is_query, in_stripe, 0, VDIT_F32);
    judge_chance(results, v, "diagonal.chance", b, h, head, in_diagonal);
    judge_chance(results, v, "stripe.chance", b, h, head, in_stripe);
    judge_picture(results, v, b, h, head);
}

/* All of METERS on a joint call without key lengths. */
static void judge(scene *s, const vdit_tokens *tokens)
{
    vdit_meter_results results;
    view v;

    memset(&v, 0, sizeof v);
    v.tokens = tokens;
    v.frame = tokens->height * tokens->width;
    v.video = tokens->frames * v.frame;
    v.video_at = tokens->text_first ? tokens->text : 0;
    v.Nq = s->q.shape[2];
    v.Nk = s->k.shape[2];
    meter_oracle_run(s, METERS, tokens, &results);
    attention_oracle_new(&v.oracle, &s->call);
    for (size_t b = 0; b < s->q.shape[0]; b++)
        for (size_t h = 0; h < s->q.shape[1]; h++)
            judge_head(&results, &v, b, h, b * s->q.shape[1] + h);
    attention_oracle_free(&v.oracle);
}

static void judge_some(void **state, const char *name, int times)
{
    oracle_random random = oracle_random_start(name);
    size_t mark = vdit_run_mark(*state);

    for (int n = 0; n < times; n++) {
        vdit_tokens tokens = {1 + (size_t)n % 3, 2, 3, (size_t)n % 2 * 4, n % 4 == 1};
        size_t N = tokens.frames * 6 + tokens.text;
        const scene_shape shape = {1, 1 + (size_t)n % 2, N, N, 3, 2};
        const size_t mask[4] = {1, 1, N, N};
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        s.call.scale = n % 2 ? 4 : 0.5;
        if (n % 3 == 2) {
            scene_mask(&s, VDIT_BOOL, mask);
            for (size_t i = 0; i < N; i++)
                for (size_t j = 0; j < N; j++) /* row 1 is empty */
                    scene_set(&s.mask, 0, 0, i, j, i != 1 && oracle_int(&random, 0, 2) > 0);
        }
        judge(&s, &tokens);
        vdit_run_release(*state, mark);
    }
}

static void small_videos_are_the_definition(void **state)
{
    judge_some(state, "small_videos_are_the_definition", 6);
}

/* Bounds so wide that most rows are computed in multi-precision. */
static void open_rows_are_the_definition(void **state)
{
    widening = 0x1p-14;
    judge_some(state, "open_rows_are_the_definition", 3);
}

/* More keys than a tile, text first. */
static void tiles_that_cut_frames_are_the_definition(void **state)
{
    oracle_random random = oracle_random_start("tiles_that_cut_frames_are_the_definition");
    const vdit_tokens tokens = {3, 5, 13, 6, 1};
    const scene_shape shape = {1, 1, 201, 201, 3, 2};
    vdit_meter_results results;
    view v = {&tokens, 195, 65, 0, 6, 201, 201, {0}};
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    meter_oracle_run(&s, METERS, &tokens, &results);
    attention_oracle_new(&v.oracle, &s.call);
    for (size_t n = 0; n < 9; n++)
        judge_mean(&results, &v, "frames.mass", 0, 0, n, is_query_of, in_frame_of, n, VDIT_F32);
    for (size_t n = 0; n < 9 * 25; n += 31)
        judge_mean(&results, &v, "offset.mass", 0, 0, n, is_query, at_offset, n, VDIT_BF16);
    judge_mean(&results, &v, "diagonal.mass", 0, 0, 0, is_query, in_diagonal, 0, VDIT_F32);
    judge_mean(&results, &v, "stripe.mass", 0, 0, 0, is_query, in_stripe, 0, VDIT_F32);
    attention_oracle_free(&v.oracle);
}

/* An infinity in a query makes its row, and all means over it, NaN. */
static void a_row_of_nan_makes_its_means_nan(void **state)
{
    oracle_random random = oracle_random_start("a_row_of_nan_makes_its_means_nan");
    const vdit_tokens tokens = {2, 2, 2, 0, 0};
    const scene_shape shape = {1, 1, 8, 8, 3, 2};
    vdit_meter_results results;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    scene_set(&s.q, 0, 0, 5, 1, NAN);
    meter_oracle_run(&s, METERS, &tokens, &results);
    assert_false(isnan(meter_oracle_result(&results, "frames.mass", 1)));
    assert_true(isnan(meter_oracle_result(&results, "frames.mass", 2)));
    assert_true(isnan(meter_oracle_result(&results, "frames.dt", 0)));
    assert_true(isnan(meter_oracle_result(&results, "offset.mass", 0)));
    assert_true(isnan(meter_oracle_result(&results, "stripe.mass", 0)));
}

/* Sums of f32 numbers of all sizes, against the accumulator. */
static void tallies_are_exact(void **state)
{
    oracle_random random = oracle_random_start("tallies_are_exact");
    vdit_tally sum = {{0, 0, 0}};
    vdit_acc exact, other;

    (void)state;
    vdit_acc_zero(&exact);
    for (int i = 0; i < 20000; i++) {
        double x = fabs(oracle_number(&random, 24, i % 3 ? -126 : -30, i % 3 ? 0 : 27));

        if (i % 5 == 0)
            x = (double)(oracle_u32(&random) >> 9) * 0x1p-149;
        vdit_tally_add(&sum, x);
        vdit_acc_add(&exact, x);
    }
    vdit_acc_zero(&other);
    vdit_tally_to_acc(&other, &sum);
    vdit_acc_sub(&exact, &other);
    assert_int_equal(vdit_acc_sign(&exact), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(small_videos_are_the_definition, widening_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(open_rows_are_the_definition, widening_open, scene_close),
        cmocka_unit_test_setup_teardown(tiles_that_cut_frames_are_the_definition, widening_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(a_row_of_nan_makes_its_means_nan, widening_open,
                                        scene_close),
        cmocka_unit_test(tallies_are_exact),
    };

    return cmocka_run_group_tests_name("meter_place", tests, NULL, NULL);
}
