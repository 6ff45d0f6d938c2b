/* test_meter_similarity.c - the meter of two maps against its definition in MPFR. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "attention/walk.h"
#include "meter_oracle.h"
#include "widening.h"

#define BITS ATTENTION_ORACLE_BITS

static const vdit_dtype all_f32[3] = {VDIT_F32, VDIT_F32, VDIT_F32};

static void measure(scene *s, const scene *other, vdit_meter_results *results)
{
    vdit_meter_request request;

    vdit_meter_request_init(&request, "similarity");
    request.other_q = &other->q;
    request.other_k = &other->k;
    assert_int_equal(vdit_meter_run(s->run, &s->call, &request, results), VDIT_OK);
}

/* sum += a ln(2 a / (a + b)) */
static void add_relative(mpfr_t sum, const mpfr_t a, const mpfr_t b)
{
    mpfr_t x;

    if (mpfr_zero_p(a))
        return;
    mpfr_init2(x, BITS);
    mpfr_add(x, a, b, MPFR_RNDN);
    mpfr_div(x, a, x, MPFR_RNDN);
    mpfr_mul_2si(x, x, 1, MPFR_RNDN);
    mpfr_log(x, x, MPFR_RNDN);
    mpfr_mul(x, x, a, MPFR_RNDN);
    mpfr_add(sum, sum, x, MPFR_RNDN);
    mpfr_clear(x);
}

/* Adds the facts of a row to dot, own, other. Returns: 1 - JS as a multiple of 2^-24. */
static double judge_row(const attention_oracle *a, const attention_oracle *b, mpfr_t sums[3])
{
    double fact;
    mpfr_t x, y, term, part[3], js;

    mpfr_inits2(BITS, x, y, term, part[0], part[1], part[2], js, (mpfr_ptr)0);
    for (int i = 0; i < 3; i++)
        mpfr_set_zero(part[i], 1);
    mpfr_set_zero(js, 1);
    for (size_t k = 0; k < a->count; k++) {
        mpfr_div(x, a->p[k], a->sum, MPFR_RNDN);
        mpfr_div(y, b->p[k], b->sum, MPFR_RNDN);
        mpfr_mul(term, x, y, MPFR_RNDN);
        mpfr_add(part[0], part[0], term, MPFR_RNDN);
        mpfr_sqr(term, x, MPFR_RNDN);
        mpfr_add(part[1], part[1], term, MPFR_RNDN);
        mpfr_sqr(term, y, MPFR_RNDN);
        mpfr_add(part[2], part[2], term, MPFR_RNDN);
        add_relative(js, x, y);
        add_relative(js, y, x);
    }
    for (int i = 0; i < 3; i++)
        mpfr_add_d(sums[i], sums[i], attention_oracle_round(part[i], part[i], VDIT_F32), MPFR_RNDN);
    mpfr_const_log2(term, MPFR_RNDN);
    mpfr_mul_2si(term, term, 1, MPFR_RNDN);
    mpfr_div(js, js, term, MPFR_RNDN);
    mpfr_ui_sub(js, 1, js, MPFR_RNDN);
    mpfr_mul_2si(js, js, 90, MPFR_RNDN);
    mpfr_rint(js, js, MPFR_RNDN);
    mpfr_mul_2si(js, js, 24 - 90, MPFR_RNDN);
    mpfr_rint(js, js, MPFR_RNDN);
    mpfr_mul_2si(js, js, -24, MPFR_RNDN);
    fact = mpfr_get_d(js, MPFR_RNDN);
    mpfr_clears(x, y, term, part[0], part[1], part[2], js, (mpfr_ptr)0);
    return fact > 0 ? fact : 0;
}

static void judge(scene *s, const scene *other)
{
    vdit_attention second = s->call;
    size_t H = s->q.shape[1], Nq = s->q.shape[2];
    vdit_meter_results results;
    attention_oracle a, b;

    second.q = &other->q;
    second.k = &other->k;
    measure(s, other, &results);
    attention_oracle_new(&a, &s->call);
    attention_oracle_new(&b, &second);
    for (size_t h = 0; h < H; h++) {
        double rows[300];
        size_t some = 0;
        mpfr_t sums[3];

        mpfr_inits2(3000, sums[0], sums[1], sums[2], (mpfr_ptr)0);
        for (int i = 0; i < 3; i++)
            mpfr_set_zero(sums[i], 1);
        for (size_t r = 0; r < Nq; r++) {
            double row = NAN;

            attention_oracle_load(&a, 0, h, r);
            attention_oracle_load(&b, 0, h, r);
            if (a.count > 0)
                row = rows[some++] = judge_row(&a, &b, sums);
            meter_oracle_expect(&results, "similarity.row", h * Nq + r, row);
        }
        meter_oracle_expect(&results, "similarity.js", h, meter_oracle_mean(rows, some));
        mpfr_mul(sums[1], sums[1], sums[2], MPFR_RNDN);
        mpfr_sqrt(sums[1], sums[1], MPFR_RNDN);
        mpfr_div(sums[0], sums[0], sums[1], MPFR_RNDN);
        meter_oracle_expect(&results, "similarity.cosine", h, oracle_round(sums[0], VDIT_F32));
        mpfr_clears(sums[0], sums[1], sums[2], (mpfr_ptr)0);
    }
    attention_oracle_free(&a);
    attention_oracle_free(&b);
}

static void judge_some(void **state, const char *name, int times)
{
    oracle_random random = oracle_random_start(name);
    size_t mark = vdit_run_mark(*state);

    for (int n = 0; n < times; n++) {
        const scene_shape shape = {1, 2, 11, n % 2 ? 13 : 200, 4, 2};
        const size_t mask[4] = {1, 1, 11, shape.Nk};
        scene s, other;

        scene_start(&s, *state, &shape, all_f32, &random);
        scene_start(&other, *state, &shape, all_f32, &random);
        s.call.scale =
            n % 3 == 0 ? 60 : 0.5; /* with 60, rows that have next to nothing in common */
        if (n % 4 == 1) {
            scene_mask(&s, VDIT_BOOL, mask);
            for (size_t i = 0; i < 11; i++)
                for (size_t j = 0; j < shape.Nk; j++)
                    scene_set(&s.mask, 0, 0, i, j, i != 4 && oracle_int(&random, 0, 2) > 0);
        }
        judge(&s, &other);
        vdit_run_release(*state, mark);
    }
}

static void two_maps_are_compared_by_the_definition(void **state)
{
    judge_some(state, "two_maps_are_compared_by_the_definition", 8);
}

static void open_rows_are_compared_by_the_definition(void **state)
{
    widening = 0x1p-18;
    judge_some(state, "open_rows_are_compared_by_the_definition", 4);
}

static void a_map_is_its_own_equal(void **state)
{
    oracle_random random = oracle_random_start("a_map_is_its_own_equal");
    const scene_shape shape = {1, 1, 30, 250, 4, 2};
    vdit_meter_results results;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    measure(&s, &s, &results);
    for (size_t r = 0; r < 30; r++)
        meter_oracle_expect(&results, "similarity.row", r, 1);
    meter_oracle_expect(&results, "similarity.js", 0, 1);
    meter_oracle_expect(&results, "similarity.cosine", 0, 1);
}

static void rows_of_nan_are_nan(void **state)
{
    oracle_random random = oracle_random_start("rows_of_nan_are_nan");
    const scene_shape shape = {1, 1, 4, 5, 2, 2};
    vdit_meter_results results;
    scene s, other;

    scene_start(&s, *state, &shape, all_f32, &random);
    scene_start(&other, *state, &shape, all_f32, &random);
    scene_set(&other.q, 0, 0, 2, 1, NAN);
    measure(&s, &other, &results);
    for (size_t r = 0; r < 4; r++)
        assert_int_equal(isnan(meter_oracle_result(&results, "similarity.row", r)) != 0, r == 2);
    assert_true(isnan(meter_oracle_result(&results, "similarity.js", 0)));
    assert_true(isnan(meter_oracle_result(&results, "similarity.cosine", 0)));
}

static void it_needs_another_call_of_this_shape(void **state)
{
    oracle_random random = oracle_random_start("it_needs_another_call_of_this_shape");
    const scene_shape shape = {1, 1, 4, 5, 2, 2}, wide = {1, 1, 4, 6, 2, 2};
    vdit_meter_results results;
    vdit_meter_request request;
    scene s, other;

    scene_start(&s, *state, &shape, all_f32, &random);
    scene_start(&other, *state, &wide, all_f32, &random);
    vdit_meter_request_init(&request, "similarity");
    assert_int_equal(vdit_meter_run(*state, &s.call, &request, &results), VDIT_ERR_ARGUMENT);
    assert_non_null(strstr(vdit_run_message(*state), "the queries of the call to compare with"));
    vdit_run_clear(*state);
    request.other_q = &other.q;
    request.other_k = &other.k;
    assert_int_equal(vdit_meter_run(*state, &s.call, &request, &results), VDIT_ERR_SHAPE);
    assert_non_null(strstr(vdit_run_message(*state), "the other keys are f32 [1, 1, 6, 2]"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_maps_are_compared_by_the_definition, widening_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(open_rows_are_compared_by_the_definition, widening_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(a_map_is_its_own_equal, widening_open, scene_close),
        cmocka_unit_test_setup_teardown(rows_of_nan_are_nan, widening_open, scene_close),
        cmocka_unit_test_setup_teardown(it_needs_another_call_of_this_shape, widening_open,
                                        scene_close),
    };

    return cmocka_run_group_tests_name("meter_similarity", tests, NULL, NULL);
}
