/* test_meter_energy.c - the energies of AV, UV and IV against their definition in MPFR. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "meter_oracle.h"

static const vdit_dtype all_f32[3] = {VDIT_F32, VDIT_F32, VDIT_F32};

/* Adds the square of x. */
static void add_square(mpfr_t sum, double x)
{
    mpfr_t square;

    mpfr_init2(square, 200);
    mpfr_set_d(square, x, MPFR_RNDN);
    mpfr_sqr(square, square, MPFR_RNDN);
    mpfr_add(sum, sum, square, MPFR_RNDN);
    mpfr_clear(square);
}

/* Out: the energies of head h by the definition, from the oracle's outputs. */
static void oracle_energies(const scene *s, size_t h, mpfr_t av, mpfr_t uv, mpfr_t iv)
{
    size_t rows = s->call.rows != NULL ? s->rows.shape[0] : s->q.shape[2], dv = s->v.shape[3];
    attention_oracle oracle;
    mpfr_t mean;

    mpfr_init2(mean, 1500);
    attention_oracle_new(&oracle, &s->call);
    for (size_t r = 0; r < rows; r++) {
        attention_oracle_load(&oracle, 0, h, r);
        for (size_t c = 0; c < dv; c++) {
            add_square(av, attention_oracle_output(&oracle, c, VDIT_F32));
            add_square(iv, scene_get(&s->v, 0, h, oracle.query, c));
            mpfr_set_zero(mean, 1);
            for (size_t i = 0; i < oracle.count; i++)
                mpfr_add_d(mean, mean, scene_get(&s->v, 0, h, oracle.key[i], c), MPFR_RNDN);
            mpfr_div_ui(mean, mean, (unsigned long)oracle.count, MPFR_RNDN);
            add_square(uv, oracle.count > 0 ? oracle_round(mean, VDIT_F32) : 0);
        }
    }
    attention_oracle_free(&oracle);
    mpfr_clear(mean);
}

static void energies_are_exact_sums(void **state)
{
    static const int64_t some[4] = {3, 1, 11, 0};
    oracle_random random = oracle_random_start("energies_are_exact_sums");
    const scene_shape shape = {1, 2, 13, 13, 4, 3};
    size_t mark = vdit_run_mark(*state);

    for (int n = 0; n < 4; n++) {
        size_t masked[4] = {1, 2, 13, 13};
        vdit_meter_results results;
        mpfr_t av, uv, iv;
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        if (n % 2) {
            scene_mask(&s, VDIT_BOOL, masked);
            for (size_t i = 0; i < 2 * 13 * 13; i++)
                ((unsigned char *)s.mask.data)[i] = oracle_int(&random, 0, 2) > 0;
        }
        if (n > 1)
            scene_rows(&s, 4, some);
        meter_oracle_run(&s, "energy", NULL, &results);
        for (size_t h = 0; h < 2; h++) {
            mpfr_inits2(2000, av, uv, iv, (mpfr_ptr)0);
            mpfr_set_zero(av, 1);
            mpfr_set_zero(uv, 1);
            mpfr_set_zero(iv, 1);
            oracle_energies(&s, h, av, uv, iv);
            meter_oracle_expect(&results, "energy.av", h, mpfr_get_d(av, MPFR_RNDN));
            meter_oracle_expect(&results, "energy.uv", h, mpfr_get_d(uv, MPFR_RNDN));
            meter_oracle_expect(&results, "energy.iv", h, mpfr_get_d(iv, MPFR_RNDN));
            mpfr_sub(av, av, uv, MPFR_RNDN);
            mpfr_sub(iv, iv, uv, MPFR_RNDN);
            mpfr_div(av, av, iv, MPFR_RNDN);
            meter_oracle_expect(&results, "energy.proportion", h, mpfr_get_d(av, MPFR_RNDN));
            mpfr_clears(av, uv, iv, (mpfr_ptr)0);
        }
        vdit_run_release(*state, mark);
    }
}

/* V = I on n tokens: rows of AV are rows of A. U gives energy 1, I gives n, an identity map all of it. */
static void values_that_are_the_identity_give_known_energies(void **state)
{
    oracle_random random = oracle_random_start("values_that_are_the_identity");
    const scene_shape shape = {1, 1, 16, 16, 16, 16};
    vdit_meter_results results;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    for (size_t i = 0; i < 16; i++)
        for (size_t c = 0; c < 16; c++)
            scene_set(&s.v, 0, 0, i, c, i == c);
    memset(s.q.data, 0, vdit_tensor_count(&s.q) * sizeof(float));
    meter_oracle_run(&s, "energy", NULL, &results);
    meter_oracle_expect(&results, "energy.av", 0, 1);
    meter_oracle_expect(&results, "energy.uv", 0, 1);
    meter_oracle_expect(&results, "energy.iv", 0, 16);
    meter_oracle_expect(&results, "energy.proportion", 0, 0);
    for (size_t i = 0; i < 16; i++)
        for (size_t c = 0; c < 16; c++) {
            scene_set(&s.q, 0, 0, i, c, i == c ? 100 : 0);
            scene_set(&s.k, 0, 0, i, c, i == c ? 100 : 0);
        }
    meter_oracle_run(&s, "energy", NULL, &results);
    meter_oracle_expect(&results, "energy.proportion", 0, 1);
    meter_oracle_expect(&results, "energy.violations", 0, 0);
}

static void cross_attention_has_no_identity(void **state)
{
    oracle_random random = oracle_random_start("cross_attention_has_no_identity");
    const scene_shape shape = {1, 1, 4, 6, 3, 2};
    vdit_meter_results results;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    meter_oracle_run(&s, "energy", NULL, &results);
    assert_true(isnan(meter_oracle_result(&results, "energy.iv", 0)));
    assert_true(isnan(meter_oracle_result(&results, "energy.proportion", 0)));
    assert_true(meter_oracle_result(&results, "energy.av", 0) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(energies_are_exact_sums, scene_open_two, scene_close),
        cmocka_unit_test_setup_teardown(values_that_are_the_identity_give_known_energies,
                                        scene_open_two, scene_close),
        cmocka_unit_test_setup_teardown(cross_attention_has_no_identity, scene_open_two,
                                        scene_close)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
