/*
 * test_meter_order.c - the meters quantile and kcurve against sorted entries and masked sums, which MPFR gives.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "attention_brute.h"
#include "meter_oracle.h"

static const vdit_dtype all_f32[3] = {VDIT_F32, VDIT_F32, VDIT_F32};
static const double fractions[] = {0, 0.25, 0.5, 0.9, 0.99};

#define METERS                                                                                     \
    "quantile:k=0+0.25+0.5+0.9+0.99:blocks=vv+tv,kcurve:k=0+0.25+0.5+0.9+0.99:blocks=vv+tv"

/* Sums over a head's rows for one k. */
typedef struct sums {
    mpfr_t kept, error, dense;
    size_t rows, masked, entries;
} sums;

/* Adds (o - dense)^2 of one channel, both rounded once to f32. */
static void add_channel(sums *all, const attention_oracle *oracle, const int *dropped, size_t c)
{
    double full = attention_oracle_output(oracle, c, VDIT_F32), masked;
    mpfr_t value, size, term;

    mpfr_inits2(2000, value, size, term, (mpfr_ptr)0);
    mpfr_set_zero(value, 1);
    mpfr_set_zero(size, 1);
    for (size_t i = 0; i < oracle->count; i++) {
        if (dropped[i])
            continue;
        mpfr_mul_d(term, oracle->p[i],
                   scene_get(oracle->call->v, oracle->b, oracle->h, oracle->key[i], c), MPFR_RNDN);
        mpfr_div(term, term, oracle->sum, MPFR_RNDN);
        mpfr_add(value, value, term, MPFR_RNDN);
        mpfr_abs(term, term, MPFR_RNDN);
        mpfr_add(size, size, term, MPFR_RNDN);
    }
    masked = attention_oracle_round(value, size, VDIT_F32);
    mpfr_set_d(term, masked, MPFR_RNDN);
    mpfr_sub_d(term, term, full, MPFR_RNDN);
    mpfr_sqr(term, term, MPFR_RNDN);
    mpfr_add(all->error, all->error, term, MPFR_RNDN);
    mpfr_set_d(term, full, MPFR_RNDN);
    mpfr_sqr(term, term, MPFR_RNDN);
    mpfr_add(all->dense, all->dense, term, MPFR_RNDN);
    mpfr_clears(value, size, term, (mpfr_ptr)0);
}

/* One row under a threshold, text keys (from video on) spared. */
static void add_row(sums *all, const attention_oracle *oracle, double tau, size_t video)
{
    int dropped[64];
    double mass;
    mpfr_t kept;

    mpfr_init2(kept, ATTENTION_ORACLE_BITS);
    mpfr_set_zero(kept, 1);
    for (size_t i = 0; i < oracle->count; i++) {
        dropped[i] = oracle->key[i] < video && attention_oracle_map(oracle, oracle->key[i]) < tau;
        all->masked += (size_t)dropped[i];
        all->entries += oracle->key[i] < video;
        if (!dropped[i])
            mpfr_add(kept, kept, oracle->p[i], MPFR_RNDN);
    }
    if (oracle->count > 0) {
        mpfr_div(kept, kept, oracle->sum, MPFR_RNDN);
        all->rows++;
    }
    mass = attention_oracle_round(kept, kept, VDIT_F32);
    mpfr_add_d(all->kept, all->kept, mass, MPFR_RNDN);
    for (size_t c = 0; c < oracle->call->v->shape[3]; c++)
        add_channel(all, oracle, dropped, c);
    mpfr_clear(kept);
}

/* Everything about the i-th k of a head, given its threshold. */
static void judge_k(const vdit_meter_results *results, attention_oracle *oracle, size_t h,
                    size_t video, size_t i, double tau)
{
    size_t at = h * 5 + i, Nq = oracle->call->q->shape[2];
    sums all = {.rows = 0};

    mpfr_inits2(3000, all.kept, all.error, all.dense, (mpfr_ptr)0);
    mpfr_set_zero(all.kept, 1);
    mpfr_set_zero(all.error, 1);
    mpfr_set_zero(all.dense, 1);
    for (size_t r = 0; r < Nq; r++) {
        attention_oracle_load(oracle, 0, h, r);
        add_row(&all, oracle, tau, video);
    }
    meter_oracle_expect(results, "kcurve.threshold", at, tau);
    meter_oracle_expect(results, "kcurve.masked_fraction", at,
                        (double)((float)all.masked / (float)all.entries));
    mpfr_div_ui(all.kept, all.kept, all.rows, MPFR_RNDN);
    meter_oracle_expect(results, "kcurve.kept_mass", at,
                        attention_oracle_round(all.kept, all.kept, VDIT_F32));
    mpfr_div(all.error, all.error, all.dense, MPFR_RNDN);
    mpfr_sqrt(all.error, all.error, MPFR_RNDN);
    meter_oracle_expect(results, "kcurve.error", at, oracle_round(all.error, VDIT_F32));
    mpfr_clears(all.kept, all.error, all.dense, (mpfr_ptr)0);
}

static void judge(scene *s, const vdit_tokens *tokens)
{
    vdit_order order = {{&s->call, {0}, VDIT_BLOCK_VV | VDIT_BLOCK_TV, 0, s->q.shape[1], NULL},
                        VDIT_SCOPE_HEAD,
                        VDIT_TIES_KEPT};
    size_t Nq = s->q.shape[2], video = tokens->frames * tokens->height * tokens->width;
    vdit_meter_results results;
    attention_oracle oracle;

    meter_oracle_run(s, METERS, tokens, &results);
    attention_oracle_new(&oracle, &s->call);
    brute_gather(&order, tokens);
    brute_sort(&order);
    for (size_t h = 0; h < s->q.shape[1]; h++)
        for (size_t i = 0; i < 5; i++) {
            uint64_t quota;
            double tau = brute_threshold(&quota, &order, h * Nq, fractions[i]);

            meter_oracle_expect(&results, "quantile.value", h * 5 + i, tau);
            judge_k(&results, &oracle, h, video, i, tau);
        }
    attention_oracle_free(&oracle);
}

static void small_heads_are_the_definition(void **state)
{
    oracle_random random = oracle_random_start("small_heads_are_the_definition");
    size_t mark = vdit_run_mark(*state);

    for (int n = 0; n < 4; n++) {
        const vdit_tokens tokens = {2, 3, 4, 3, 0};
        const scene_shape shape = {1, 2, 27, 27, 4, 3};
        const size_t mask[4] = {1, 2, 27, 27};
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        if (n % 2)
            scene_fill(&s.k, &random, SCENE_INTEGER);
        if (n / 2) {
            scene_mask(&s, VDIT_BOOL, mask);
            for (size_t h = 0; h < 2; h++)
                for (size_t r = 0; r < 27; r++)
                    for (size_t j = 0; j < 27; j++)
                        scene_set(&s.mask, 0, h, r, j, r != 3 && oracle_int(&random, 0, 3) > 0);
        }
        judge(&s, &tokens);
        vdit_run_release(*state, mark);
    }
}

/* k = 0 masks nothing: the whole mass, no error; k = 1 has no entry at its place. */
static void the_ends_of_a_curve_are_known(void **state)
{
    oracle_random random = oracle_random_start("the_ends_of_a_curve_are_known");
    const vdit_tokens none = {0, 0, 0, 0, 0};
    const scene_shape shape = {1, 1, 9, 12, 4, 3};
    vdit_meter_results results;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    meter_oracle_run(&s, "kcurve:k=0+1:lost=renormalised,quantile:k=1:ties=linear", &none,
                     &results);
    meter_oracle_expect(&results, "kcurve.kept_mass", 0, 1);
    meter_oracle_expect(&results, "kcurve.error", 0, 0);
    meter_oracle_expect(&results, "kcurve.threshold", 1, INFINITY);
    meter_oracle_expect(&results, "kcurve.masked_fraction", 1, 1);
    meter_oracle_expect(&results, "kcurve.kept_mass", 1, 0);
    meter_oracle_expect(&results, "kcurve.error", 1, 1);
    meter_oracle_expect(&results, "quantile.entries", 0, 108);
    assert_true(meter_oracle_result(&results, "quantile.value", 0) < 1);
}

static void bad_options_are_refused(void **state)
{
    static const char *const bad[] = {
        "quantile:k=1.5",      "quantile:k=",           "quantile:k=0.5+", "quantile:blocks=vx",
        "quantile:blocks=vv+", "kcurve:lost=elsewhere", "quantile:k=nan"};
    oracle_random random = oracle_random_start("bad_options_are_refused");
    const scene_shape shape = {1, 1, 3, 3, 2, 2};
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        vdit_meter_request request;
        vdit_meter_results results;

        vdit_meter_request_init(&request, bad[i]);
        assert_int_equal(vdit_meter_run(*state, &s.call, &request, &results), VDIT_ERR_ARGUMENT);
        vdit_run_clear(*state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(small_heads_are_the_definition, scene_open_two,
                                        scene_close),
        cmocka_unit_test_setup_teardown(the_ends_of_a_curve_are_known, scene_open_two, scene_close),
        cmocka_unit_test_setup_teardown(bad_options_are_refused, scene_open_two, scene_close),
    };

    return cmocka_run_group_tests_name("meter_order", tests, NULL, NULL);
}
