/*
 * test_meter_keys.c - the meters that name or count keys (ladder, sink, max, topk) against their definitions
 * and against structures that were planted.
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
#include "meter_oracle.h"

static const vdit_dtype all_f32[3] = {VDIT_F32, VDIT_F32, VDIT_F32};
static const float ladder[6] = {0.1f, 0.2f, 0.3f, 0.5f, 0.7f, 0.9f};

/* Copies query n of head 0 to another head's, or key j to another key. */
static void copy_token(vdit_tensor *t, size_t h, size_t to, size_t from)
{
    for (size_t c = 0; c < t->shape[3]; c++)
        scene_set(t, 0, h, to, c, scene_get(t, 0, h, from, c));
}

/* The counts of the definition, from every entry of the map as the oracle rounds it. */
static void expect_ladder(const scene *s, const vdit_meter_results *results, size_t h,
                          size_t queries)
{
    size_t keys = s->k.shape[2];
    double *count = calloc(6 * keys, sizeof *count);
    attention_oracle oracle;

    assert_non_null(count);
    attention_oracle_new(&oracle, &s->call);
    for (size_t r = 0; r < queries; r++) {
        attention_oracle_load(&oracle, 0, h, r);
        for (size_t j = 0; j < keys; j++)
            for (size_t n = 0; n < 6; n++)
                count[n * keys + j] += attention_oracle_map(&oracle, j) >= ladder[n];
    }
    for (size_t i = 0; i < 6 * keys; i++)
        meter_oracle_expect(results, "ladder.count", h * 6 * keys + i, count[i]);
    attention_oracle_free(&oracle);
    free(count);
}

static void the_ladder_counts_rounded_entries(void **state)
{
    oracle_random random = oracle_random_start("the_ladder_counts_rounded_entries");
    const scene_shape shape = {1, 2, 30, 30, 5, 2};
    const vdit_tokens tokens = {2, 2, 5, 10, 0};
    size_t mark = vdit_run_mark(*state);

    for (int n = 0; n < 6; n++) {
        static const int64_t length[1] = {23};
        vdit_meter_results results;
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        s.call.scale = n;
        if (n > 3)
            scene_key_length(&s, length);
        meter_oracle_run(&s, n % 2 ? "ladder" : "ladder:queries=all", &tokens, &results);
        for (size_t h = 0; h < 2; h++) {
            size_t queries = n % 2 ? 20 : n > 3 ? 23 : 30;
            expect_ladder(&s, &results, h, queries);
            meter_oracle_expect(&results, "ladder.queries", h, (double)queries);
        }
        vdit_run_release(*state, mark);
    }
}

/* Equal keys make entries of exactly 1/2, 1/5 and 1/10, whose roundings are the ladder's own numbers. */
static void weights_at_a_step_are_counted(void **state)
{
    static const size_t equal[] = {2, 5, 10};
    oracle_random random = oracle_random_start("weights_at_a_step_are_counted");
    size_t mark = vdit_run_mark(*state);

    for (size_t i = 0; i < 3; i++) {
        const scene_shape shape = {1, 1, 7, equal[i], 4, 2};
        vdit_meter_results results;
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        for (size_t j = 1; j < equal[i]; j++)
            copy_token(&s.k, 0, j, 0);
        meter_oracle_run(&s, "ladder", NULL, &results);
        expect_ladder(&s, &results, 0, 7);
        meter_oracle_expect(&results, "ladder.count", 0, 7);
        vdit_run_release(*state, mark);
    }
}

/* C27: the lower median of a column is tau or more exactly if more than half of the queries are. */
static void counts_say_where_the_lower_median_is(void **state)
{
    oracle_random random = oracle_random_start("counts_say_where_the_lower_median_is");
    const scene_shape shape = {1, 1, 31, 6, 3, 2};
    vdit_meter_results results;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    s.call.scale = 1;
    meter_oracle_run(&s, "ladder,rows:every=1", NULL, &results);
    for (size_t j = 0; j < 6; j++)
        for (size_t n = 0; n < 6; n++) {
            double column[31] = {0},
                   count = meter_oracle_result(&results, "ladder.count", n * 6 + j);
            for (size_t r = 0; r < 31; r++) { /* sorted as they come */
                double entry = meter_oracle_result(&results, "rows.entry", r * 6 + j);
                size_t i = r;
                for (; i > 0 && column[i - 1] > entry; i--)
                    column[i] = column[i - 1];
                column[i] = entry;
            }
            assert_int_equal(column[15] >= ladder[n], 2 * count > 31);
        }
}

/* Key 13 of head 1 draws the video queries: its place, its count and its value's length are known. */
static void a_planted_sink_is_found(void **state)
{
    oracle_random random = oracle_random_start("a_planted_sink_is_found");
    const scene_shape shape = {1, 2, 40, 40, 8, 4};
    const vdit_tokens tokens = {3, 2, 5, 10, 0};
    vdit_meter_results results;
    double norms[40];
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    for (size_t i = 0; i < 40; i++)
        scene_set(&s.q, 0, 1, i, 0, i < 30 ? 8 : -8);
    scene_set(&s.k, 0, 1, 13, 0, 40);
    for (size_t c = 0; c < 4; c++)
        scene_set(&s.v, 0, 1, 13, c, c == 0 ? 3 : c == 1 ? 4 : 0);
    meter_oracle_run(&s, "sink", &tokens, &results);
    meter_oracle_expect(&results, "sink.key", 0, -1);
    meter_oracle_expect(&results, "sink.place", 0, -1);
    assert_true(isnan(meter_oracle_result(&results, "sink.value_norm", 0)));
    meter_oracle_expect(&results, "sink.key", 1, 13);
    meter_oracle_expect(&results, "sink.count", 1, 30);
    meter_oracle_expect(&results, "sink.queries", 1, 30);
    meter_oracle_expect(&results, "sink.place", 3, 1);
    meter_oracle_expect(&results, "sink.place", 4, 0);
    meter_oracle_expect(&results, "sink.place", 5, 3);
    meter_oracle_expect(&results, "sink.text", 1, 0);
    meter_oracle_expect(&results, "sink.keys", 40 + 13, 1);
    meter_oracle_expect(&results, "sink.keys", 40 + 14, 0);
    meter_oracle_expect(&results, "sink.value_norm", 1, 5);
    for (size_t j = 0, n = 0; j < 40; j++) {
        double square = 0; /* four squares of f32: the root is what is rounded */
        mpfr_t sum;

        if (j == 13)
            continue;
        mpfr_init2(sum, 1000);
        mpfr_set_zero(sum, 1);
        for (size_t c = 0; c < 4; c++) {
            square = scene_get(&s.v, 0, 1, j, c);
            mpfr_add_d(sum, sum, square * square, MPFR_RNDN);
        }
        mpfr_sqrt(sum, sum, MPFR_RNDN);
        norms[n++] = oracle_round(sum, VDIT_F32);
        mpfr_clear(sum);
    }
    meter_oracle_expect(&results, "sink.mean_norm", 1, meter_oracle_mean(norms, 39));
    assert_true(fabs(meter_oracle_result(&results, "sink.ratio", 1) *
                         meter_oracle_result(&results, "sink.mean_norm", 1) -
                     5) < 1e-5);
}

static void a_text_sink_is_flagged_and_can_be_left_out(void **state)
{
    oracle_random random = oracle_random_start("a_text_sink_is_flagged_and_can_be_left_out");
    const scene_shape shape = {1, 1, 20, 20, 4, 2};
    const vdit_tokens tokens = {2, 2, 4, 4, 1};
    vdit_meter_results results;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    for (size_t i = 0; i < 20; i++)
        scene_set(&s.q, 0, 0, i, 0, 8);
    scene_set(&s.k, 0, 0, 0, 0, 40);
    meter_oracle_run(&s, "sink,text0", &tokens, &results);
    meter_oracle_expect(&results, "sink.key", 0, 0);
    meter_oracle_expect(&results, "sink.text", 0, 1);
    meter_oracle_expect(&results, "sink.text0", 0, 1);
    meter_oracle_expect(&results, "sink.place", 0, -1);
    assert_true(meter_oracle_result(&results, "text0.mass", 0) > 0.99);
    meter_oracle_run(&s, "sink:keys=video", &tokens, &results);
    meter_oracle_expect(&results, "sink.key", 0, -1);
}

/* The values of the text keys are ten times as long: leaving them out makes the ratio larger. */
static void thresholds_and_others_are_options(void **state)
{
    oracle_random random = oracle_random_start("thresholds_and_others_are_options");
    const scene_shape shape = {1, 1, 20, 20, 4, 2};
    const vdit_tokens tokens = {2, 2, 4, 4, 0};
    vdit_meter_results all, video;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    memset(s.q.data, 0, vdit_tensor_count(&s.q) * sizeof(float)); /* every entry is 1/20 */
    for (size_t j = 0; j < 20; j++)
        for (size_t c = 0; c < 2; c++)
            scene_set(&s.v, 0, 0, j, c, c == 0 ? (j < 16 ? 1 : 10) : 0);
    meter_oracle_run(&s, "sink:tau=1.01/n", &tokens, &all);
    meter_oracle_expect(&all, "sink.key", 0, -1);
    meter_oracle_run(&s, "sink:tau=1/n", &tokens, &all);
    meter_oracle_run(&s, "sink:tau=0.05:others=video", &tokens, &video);
    meter_oracle_expect(&all, "sink.key", 0, 0);
    meter_oracle_expect(&video, "sink.key", 0, 0);
    meter_oracle_expect(&video, "sink.mean_norm", 0, 1);
    meter_oracle_expect(&all, "sink.mean_norm", 0, vdit_round_f64(VDIT_F32, 55.0 / 19));
    meter_oracle_expect(&all, "sink.ratio", 0, vdit_round_f64(VDIT_F32, 19.0 / 55));
}

/* Value j is j + 1 long, key 0 the sink: of 19 others 2 .. 20 the tenth, of 15 video ones 2 .. 16 the eighth. */
static void the_sink_may_be_compared_with_the_median(void **state)
{
    oracle_random random = oracle_random_start("the_sink_may_be_compared_with_the_median");
    const scene_shape shape = {1, 1, 20, 20, 4, 2};
    const vdit_tokens tokens = {2, 2, 4, 4, 0};
    vdit_meter_results results;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    memset(s.q.data, 0, vdit_tensor_count(&s.q) * sizeof(float));
    for (size_t j = 0; j < 20; j++)
        for (size_t c = 0; c < 2; c++)
            scene_set(&s.v, 0, 0, j, c, c == 0 ? 0 : (j < 16 ? 1 : -1) * (double)(j + 1));
    meter_oracle_run(&s, "sink:tau=1/n:against=median", &tokens, &results);
    meter_oracle_expect(&results, "sink.key", 0, 0);
    meter_oracle_expect(&results, "sink.mean_norm", 0, 11);
    meter_oracle_expect(&results, "sink.ratio", 0, vdit_round_f64(VDIT_F32, 1.0 / 11));
    meter_oracle_run(&s, "sink:tau=1/n:against=median:others=text", &tokens, &results);
    meter_oracle_expect(&results, "sink.mean_norm", 0, 18); /* of 17 .. 20 */
    meter_oracle_run(&s, "sink:tau=1/n:against=median:others=video", &tokens, &results);
    meter_oracle_expect(&results, "sink.mean_norm", 0, 9);
}

/* Half of the queries is not more than half, whatever they do. */
static void half_of_the_queries_make_no_sink(void **state)
{
    oracle_random random = oracle_random_start("half_of_the_queries_make_no_sink");
    const scene_shape shape = {1, 1, 12, 12, 4, 2};
    vdit_meter_results results;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    for (int more = 0; more < 2; more++) {
        for (size_t i = 0; i < 12; i++)
            scene_set(&s.q, 0, 0, i, 0, (int)i < 6 + more ? 8 : -8);
        scene_set(&s.k, 0, 0, 5, 0, 40);
        meter_oracle_run(&s, "sink", NULL, &results);
        meter_oracle_expect(&results, "sink.count", 0, 6 + more);
        meter_oracle_expect(&results, "sink.key", 0, more ? 5 : -1);
    }
}

/* Of two keys with the same count the first is the sink; both are named. */
static void equal_sinks_give_the_first(void **state)
{
    oracle_random random = oracle_random_start("equal_sinks_give_the_first");
    const scene_shape shape = {1, 1, 12, 12, 4, 2};
    vdit_meter_results results;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    for (size_t i = 0; i < 12; i++)
        scene_set(&s.q, 0, 0, i, 0, 8);
    scene_set(&s.k, 0, 0, 4, 0, 40);
    copy_token(&s.k, 0, 9, 4);
    meter_oracle_run(&s, "sink", NULL, &results);
    meter_oracle_expect(&results, "sink.key", 0, 4);
    for (size_t j = 0; j < 12; j++)
        meter_oracle_expect(&results, "sink.keys", j, j == 4 || j == 9);
}

/* The keys of one row in their order, by exact logits and then by index. */
static void expect_order(const scene *s, const vdit_meter_results *results, size_t r, size_t k)
{
    attention_oracle oracle;
    unsigned char used[512] = {0};
    size_t last = 0;

    attention_oracle_new(&oracle, &s->call);
    attention_oracle_load(&oracle, 0, 0, r);
    for (size_t n = 0; n <= k; n++) {
        size_t best = SIZE_MAX;

        for (size_t i = 0; i < oracle.count; i++)
            if (!used[i] &&
                (best == SIZE_MAX || mpfr_greater_p(oracle.logit[i], oracle.logit[best])))
                best = i;
        if (n > 0) {
            double margin = NAN;
            if (best != SIZE_MAX && n <= oracle.count) {
                mpfr_t difference;
                mpfr_init2(difference, 1200);
                mpfr_sub(difference, oracle.logit[last], oracle.logit[best], MPFR_RNDN);
                margin = oracle_round(difference, VDIT_F32);
                mpfr_clear(difference);
            }
            meter_oracle_expect(results, "topk.margin", r * k + n - 1, margin);
        }
        if (n == k)
            break;
        meter_oracle_expect(results, "topk.key", r * k + n,
                            best == SIZE_MAX ? -1 : (double)oracle.key[best]);
        meter_oracle_expect(results, "topk.entry", r * k + n,
                            best == SIZE_MAX ? 0 : attention_oracle_map(&oracle, oracle.key[best]));
        if (n == 0) {
            meter_oracle_expect(results, "max.key", r,
                                best == SIZE_MAX ? -1 : (double)oracle.key[best]);
            meter_oracle_expect(results, "max.entry", r,
                                best == SIZE_MAX ? 0
                                                 : attention_oracle_map(&oracle, oracle.key[best]));
        }
        if (best != SIZE_MAX)
            used[best] = 1;
        last = best;
    }
    attention_oracle_free(&oracle);
}

static void the_largest_entries_are_in_exact_order(void **state)
{
    oracle_random random = oracle_random_start("the_largest_entries_are_in_exact_order");
    const scene_shape shape = {1, 1, 9, 210, 6, 2};
    size_t mark = vdit_run_mark(*state);

    for (int n = 0; n < 6; n++) {
        vdit_meter_results results;
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        for (size_t j = 0; j < 210; j++) { /* many ties, or logits a last bit apart */
            if (n % 3 == 1)
                copy_token(&s.k, 0, j, j % 3);
            if (n % 3 == 2) {
                copy_token(&s.k, 0, j, 0);
                scene_set(&s.k, 0, 0, j, 1, 1 + (double)(j * 7 % 210) * 0x1p-23);
            }
        }
        if (n > 2) {
            size_t masked[4] = {1, 1, 9, 210};
            scene_mask(&s, VDIT_F32, masked);
            for (size_t i = 0; i < 9 * 210; i++)
                ((float *)s.mask.data)[i] = i / 210 == 4
                                                ? (i % 210 == 7 ? 1 : -INFINITY)
                                                : (oracle_int(&random, 0, 3) == 0 ? -INFINITY : 2);
        }
        meter_oracle_run(&s, "topk:k=5:every=1,max", NULL, &results);
        for (size_t r = 0; r < 9; r++)
            expect_order(&s, &results, r, 5);
        vdit_run_release(*state, mark);
    }
}

/* Logits that binary64 cannot tell apart: what differs is 60 to 70 bits below what cancels. */
static void hidden_differences_decide_the_order(void **state)
{
    oracle_random random = oracle_random_start("hidden_differences_decide_the_order");
    const scene_shape shape = {1, 1, 3, 210, 3, 2};
    vdit_meter_results results;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    for (size_t c = 0; c < 3; c++)
        for (size_t r = 0; r < 3; r++)
            scene_set(&s.q, 0, 0, r, c, 1);
    for (size_t j = 0; j < 210; j++) {
        scene_set(&s.k, 0, 0, j, 0, 0x1p20);
        scene_set(&s.k, 0, 0, j, 1, (double)(j * 11 % 210) * 0x1p-50);
        scene_set(&s.k, 0, 0, j, 2, -0x1p20);
    }
    meter_oracle_run(&s, "topk:k=5:every=1,max", NULL, &results);
    for (size_t r = 0; r < 3; r++)
        expect_order(&s, &results, r, 5);
}

static void sampled_rows_are_named(void **state)
{
    static const int64_t some[5] = {8, 1, 6, 2, 0};
    oracle_random random = oracle_random_start("sampled_rows_are_named");
    const scene_shape shape = {1, 1, 9, 12, 4, 2};
    vdit_meter_results all, sampled;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    scene_rows(&s, 5, some);
    meter_oracle_run(&s, "topk:k=2:every=1", NULL, &all);
    meter_oracle_run(&s, "topk:k=2:every=2", NULL, &sampled);
    for (size_t i = 0; i < 3; i++) {
        meter_oracle_expect(&sampled, "topk.which", i, (double)some[2 * i]);
        for (size_t n = 0; n < 2; n++)
            meter_oracle_expect(&sampled, "topk.key", 2 * i + n,
                                meter_oracle_result(&all, "topk.key", 4 * i + n));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_ladder_counts_rounded_entries, scene_open_two,
                                        scene_close),
        cmocka_unit_test_setup_teardown(weights_at_a_step_are_counted, scene_open_two, scene_close),
        cmocka_unit_test_setup_teardown(counts_say_where_the_lower_median_is, scene_open_two,
                                        scene_close),
        cmocka_unit_test_setup_teardown(a_planted_sink_is_found, scene_open_two, scene_close),
        cmocka_unit_test_setup_teardown(a_text_sink_is_flagged_and_can_be_left_out, scene_open_two,
                                        scene_close),
        cmocka_unit_test_setup_teardown(thresholds_and_others_are_options, scene_open_two,
                                        scene_close),
        cmocka_unit_test_setup_teardown(the_sink_may_be_compared_with_the_median, scene_open_two,
                                        scene_close),
        cmocka_unit_test_setup_teardown(half_of_the_queries_make_no_sink, scene_open_two,
                                        scene_close),
        cmocka_unit_test_setup_teardown(equal_sinks_give_the_first, scene_open_two, scene_close),
        cmocka_unit_test_setup_teardown(the_largest_entries_are_in_exact_order, scene_open_two,
                                        scene_close),
        cmocka_unit_test_setup_teardown(hidden_differences_decide_the_order, scene_open_two,
                                        scene_close),
        cmocka_unit_test_setup_teardown(sampled_rows_are_named, scene_open_two, scene_close)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
