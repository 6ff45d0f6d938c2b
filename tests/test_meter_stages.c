/*
 * test_meter_stages.c - each stage alone gives the bits of the others, for every meter; and column sums, which
 * have three stages, against their definition.
 *
 * The bounds of stages 0 and 1 are wrapped, so that they can be made useless.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "attention/meter.h"
#include "attention/refine.h"
#include "meter_oracle.h"

static const vdit_dtype all_f32[3] = {VDIT_F32, VDIT_F32, VDIT_F32};

/* Stages below this one settle nothing; 1.5: stage 1 settles every second element. */
static double first_stage;
static int turn;
static size_t loads; /* rows in multi-precision, counted in one thread */

void __real_vdit_stream_bound(vdit_row_bound *bound, const vdit_stream *stream, size_t r);
void __wrap_vdit_stream_bound(vdit_row_bound *bound, const vdit_stream *stream, size_t r);
void __real_vdit_refine_bound(vdit_row_bound *bound, const vdit_refine *refine, size_t lane);
void __wrap_vdit_refine_bound(vdit_row_bound *bound, const vdit_refine *refine, size_t lane);
void __real_vdit_last_load(vdit_last *last, size_t r);
void __wrap_vdit_last_load(vdit_last *last, size_t r);
int __real_vdit_settle(double *rounded, vdit_dtype dtype, double high, double low, double error);
int __wrap_vdit_settle(double *rounded, vdit_dtype dtype, double high, double low, double error);

void __wrap_vdit_stream_bound(vdit_row_bound *bound, const vdit_stream *stream, size_t r)
{
    __real_vdit_stream_bound(bound, stream, r);
    bound->usable &= first_stage < 1;
}

void __wrap_vdit_refine_bound(vdit_row_bound *bound, const vdit_refine *refine, size_t lane)
{
    __real_vdit_refine_bound(bound, refine, lane);
    bound->usable &= first_stage < 2;
}

void __wrap_vdit_last_load(vdit_last *last, size_t r)
{
    loads++;
    __real_vdit_last_load(last, r);
}

int __wrap_vdit_settle(double *rounded, vdit_dtype dtype, double high, double low, double error)
{
    if (first_stage == 1.5 && turn++ % 2 == 0)
        return 0;
    return __real_vdit_settle(rounded, dtype, high, low, error);
}

/* The estimates and bounds of one meter's results that meet here, by result and row. */
static struct seen {
    const char *meter; /* NULL: nothing is kept */
    double value[2][64], error[2][64];
} seen;

void __real_vdit_meter_settle(vdit_meter *meter, size_t n, size_t r, size_t i, double value,
                              double error);
void __wrap_vdit_meter_settle(vdit_meter *meter, size_t n, size_t r, size_t i, double value,
                              double error);

void __wrap_vdit_meter_settle(vdit_meter *meter, size_t n, size_t r, size_t i, double value,
                              double error)
{
    if (seen.meter != NULL && strcmp(seen.meter, meter->kind->info.name) == 0) {
        seen.value[n][r] = value;
        seen.error[n][r] = error;
    }
    __real_vdit_meter_settle(meter, n, r, i, value, error);
}

static int make_run(void **state)
{
    *state = vdit_run_new();
    vdit_run_set_threads(*state, 1);
    first_stage = 0;
    return *state == NULL;
}

static int free_run(void **state)
{
    first_stage = 0;
    vdit_run_free(*state);
    return 0;
}

/* The test fails unless all results are the same bits. */
static void expect_same(const vdit_meter_results *a, const vdit_meter_results *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const vdit_tensor *t = &a->list[i].tensor;

        if (memcmp(t->data, b->list[i].tensor.data,
                   vdit_tensor_count(t) * vdit_dtype_size(t->dtype)) != 0)
            fail_msg("%s differs", a->list[i].name);
    }
}

static void every_stage_gives_the_same_bits(void **state)
{
    static const char meters[] = "column,entropy,first-frame,ladder,lse,max,rectangle:rows=3,"
                                 "rows:every=5,segments,sink,text0,text-tokens,topk:k=3:every=2";
    oracle_random random = oracle_random_start("every_stage_gives_the_same_bits");
    const scene_shape shape = {1, 2, 26, 26, 6, 3};
    const vdit_tokens tokens = {2, 2, 5, 6, 1};
    size_t mark = vdit_run_mark(*state);

    for (int n = 0; n < 6; n++) {
        size_t masked[4] = {1, 2, 26, 26};
        vdit_meter_results results[3];
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        s.call.scale = n % 2 ? 0.5 : 4;
        if (n > 3) {
            scene_mask(&s, VDIT_F32, masked);
            for (size_t i = 0; i < vdit_tensor_count(&s.mask); i++)
                ((float *)s.mask.data)[i] =
                    oracle_int(&random, 0, 2) ? (float)oracle_normal(&random, VDIT_F32) : -INFINITY;
        }
        for (int stage = 0; stage < 3; stage++) {
            first_stage = stage;
            loads = 0;
            meter_oracle_run(&s, meters, &tokens, &results[stage]);
            if (stage > 0)
                assert_true(loads >= 2 * 26); /* the wrapping reaches the library */
        }
        expect_same(&results[0], &results[1]);
        expect_same(&results[0], &results[2]);
        vdit_run_release(*state, mark);
    }
}

/* The sums of the columns over the rows first .. end - 1 by their definition, over a divisor. */
static void expect_columns(scene *s, const vdit_meter_results *results, const char *name, size_t h,
                           const size_t keys[2], const size_t rows[2], unsigned long divisor)
{
    size_t all = s->k.shape[2], count = keys[1] - keys[0];
    mpfr_t *sum = malloc(all * sizeof *sum), entry;
    attention_oracle oracle;

    assert_non_null(sum);
    mpfr_init2(entry, ATTENTION_ORACLE_BITS);
    for (size_t j = 0; j < all; j++) {
        mpfr_init2(sum[j], ATTENTION_ORACLE_BITS);
        mpfr_set_zero(sum[j], 1);
    }
    attention_oracle_new(&oracle, &s->call);
    for (size_t r = rows[0]; r < rows[1]; r++) {
        attention_oracle_load(&oracle, 0, h, r);
        for (size_t i = 0; i < oracle.count; i++) {
            mpfr_div(entry, oracle.p[i], oracle.sum, MPFR_RNDN);
            mpfr_add(sum[oracle.key[i]], sum[oracle.key[i]], entry, MPFR_RNDN);
        }
    }
    for (size_t j = 0; j < all; j++) {
        mpfr_div_ui(sum[j], sum[j], divisor, MPFR_RNDN);
        if (j >= keys[0] && j < keys[1])
            meter_oracle_expect(results, name, h * count + j - keys[0],
                                attention_oracle_round(sum[j], sum[j], VDIT_F32));
        mpfr_clear(sum[j]);
    }
    attention_oracle_free(&oracle);
    mpfr_clear(entry);
    free(sum);
}

/* Returns: |estimate - exact| / bound of result n of row r. */
static double share_of_bound(const mpfr_t exact, size_t n, size_t r)
{
    mpfr_t difference;
    double share;

    mpfr_init2(difference, ATTENTION_ORACLE_BITS);
    mpfr_sub_d(difference, exact, seen.value[n][r], MPFR_RNDN);
    mpfr_abs(difference, difference, MPFR_RNDU);
    share = mpfr_get_d(difference, MPFR_RNDU) / seen.error[n][r];
    mpfr_clear(difference);
    return share;
}

static void estimates_keep_within_their_bounds(void **state)
{
    oracle_random random = oracle_random_start("estimates_keep_within_their_bounds");
    const scene_shape shape = {1, 1, 24, 260, 16, 2};
    const vdit_tokens tokens = {1, 1, 24, 236, 0};
    size_t mark = vdit_run_mark(*state);
    double largest[2] = {0, 0};
    mpfr_t exact;

    mpfr_init2(exact, ATTENTION_ORACLE_BITS);
    for (int n = 0; n < 10; n++) {
        const size_t masked[4] = {1, 1, 24, 260};
        vdit_meter_results results;
        attention_oracle oracle;
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        s.call.scale = ldexp(1, n - 4);
        if (n % 2) {
            scene_mask(&s, VDIT_F32, masked);
            scene_fill(&s.mask, &random, SCENE_NORMAL);
        }
        attention_oracle_new(&oracle, &s.call);
        for (int entropy = 0; entropy < 2; entropy++) {
            seen.meter = entropy ? "entropy" : "segments";
            meter_oracle_run(&s, seen.meter, &tokens, &results);
            for (size_t r = 0; r < 24; r++)
                for (int i = 0; i < 2; i++) {
                    attention_oracle_load(&oracle, 0, 0, r);
                    if (entropy)
                        meter_oracle_exact_entropy(exact, &oracle, i);
                    else
                        meter_oracle_exact_mass(exact, &oracle, i ? 24 : 0, i ? 260 : 24);
                    largest[entropy] = fmax(largest[entropy], share_of_bound(exact, (size_t)i, r));
                }
        }
        seen.meter = NULL;
        attention_oracle_free(&oracle);
        vdit_run_release(*state, mark);
    }
    mpfr_clear(exact);
    print_message("# errors reach %.3f of the bound of a mass, %.3f of an entropy's\n", largest[0],
                  largest[1]);
    assert_true(largest[0] <= 1 && largest[1] <= 1);
    assert_true(largest[0] > 1e-4 && largest[1] > 1e-4); /* what is measured is there */
}

static void columns_are_sums_of_real_entries(void **state)
{
    oracle_random random = oracle_random_start("columns_are_sums_of_real_entries");
    const scene_shape shape = {1, 2, 60, 60, 6, 3};
    const vdit_tokens tokens = {2, 5, 5, 10, 0};
    const size_t all[2] = {0, 60}, video[2] = {0, 50}, text[2] = {50, 60};
    size_t mark = vdit_run_mark(*state);

    for (int n = 0; n < 5; n++) {
        vdit_meter_results results;
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        s.call.scale = n < 3 ? n : 20 * n; /* 0: every column sums to 1 */
        for (first_stage = 0; first_stage < 2.5; first_stage += 0.5) {
            meter_oracle_run(&s, "column,text-tokens", &tokens, &results);
            for (size_t h = 0; h < 2; h++) {
                expect_columns(&s, &results, "column.mass", h, all, all, 1);
                expect_columns(&s, &results, "text-tokens.mass", h, text, video, 50);
                meter_oracle_expect(&results, "column.queries", h, 60);
                meter_oracle_expect(&results, "text-tokens.queries", h, 50);
            }
            if (n == 0)
                meter_oracle_expect(&results, "column.mass", 7, 1);
            meter_oracle_run(&s, "column:of=mean:queries=video", &tokens, &results);
            expect_columns(&s, &results, "column.mass", 1, all, video, 50);
        }
        vdit_run_release(*state, mark);
    }
}

/* A row with a NaN makes the columns of its valid keys NaN, those of masked keys it leaves alone. */
static void a_nan_spoils_the_columns_that_it_touches(void **state)
{
    oracle_random random = oracle_random_start("a_nan_spoils_the_columns_that_it_touches");
    const scene_shape shape = {1, 1, 6, 6, 3, 2};
    const size_t masked[4] = {1, 1, 6, 6};
    vdit_meter_results results;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    scene_mask(&s, VDIT_BOOL, masked);
    memset(s.mask.data, 1, 36);
    ((unsigned char *)s.mask.data)[2 * 6 + 4] = 0;
    scene_set(&s.q, 0, 0, 2, 0, NAN);
    meter_oracle_run(&s, "column", NULL, &results);
    for (size_t j = 0; j < 6; j++)
        assert_int_equal(isnan(meter_oracle_result(&results, "column.mass", j)) != 0, j != 4);
}

/* Threads share the rows differently; the bits are the same. */
static void threads_do_not_change_the_bits(void **state)
{
    oracle_random random = oracle_random_start("threads_do_not_change_the_bits");
    const scene_shape shape = {1, 1, 300, 300, 8, 3};
    vdit_meter_results results[2];
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    for (int n = 0; n < 2; n++) {
        vdit_run_set_threads(*state, 1 + 3 * n);
        meter_oracle_run(&s, "column,entropy,energy,sink,max,segments", NULL, &results[n]);
    }
    expect_same(&results[0], &results[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_stage_gives_the_same_bits, make_run, free_run),
        cmocka_unit_test_setup_teardown(estimates_keep_within_their_bounds, make_run, free_run),
        cmocka_unit_test_setup_teardown(columns_are_sums_of_real_entries, make_run, free_run),
        cmocka_unit_test_setup_teardown(a_nan_spoils_the_columns_that_it_touches, make_run,
                                        free_run),
        cmocka_unit_test_setup_teardown(threads_do_not_change_the_bits, make_run, free_run)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
