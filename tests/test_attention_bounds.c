/*
 * test_attention_bounds.c - the proved bounds of stages 0 and 1 against the error that MPFR measures, and
 * how much of the bound is used.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "attention_oracle.h"
#include "attention_scene.h"
#include "attention_stages.h"

#define MOST 4096 /* elements of a scene */

static const vdit_dtype all_f32[3] = {VDIT_F32, VDIT_F32, VDIT_F32};

/* An estimate high + low and its bound, one per element [R][dv]. */
typedef struct estimate {
    double high, low, error;
} estimate;

static estimate block_estimates[MOST], refined_estimates[MOST];
static size_t refined_count;

static void record_block(const vdit_stream *stream)
{
    const vdit_head *head = stream->head;
    size_t nr = head->kernel->nr;

    for (size_t lane = 0; lane < stream->rows; lane++) {
        const double *sums = stream->o + lane / nr * nr * head->dv_padded + lane % nr;
        estimate *to = block_estimates + (stream->first + lane) * head->dv;
        vdit_row_bound bound;

        vdit_stream_bound(&bound, stream, lane);
        assert_true(bound.usable);
        for (size_t c = 0; c < head->dv; c++) {
            to[c].high = sums[c * nr] / stream->sum[lane];
            to[c].low = 0;
            to[c].error = vdit_output_error(&bound, head, c, to[c].high);
        }
    }
}

static void record_refined(double high, double low, double error)
{
    assert_true(refined_count < MOST);
    refined_estimates[refined_count].high = high;
    refined_estimates[refined_count].low = low;
    refined_estimates[refined_count++].error = error;
}

static int make_run(void **state)
{
    *state = vdit_run_new();
    vdit_run_set_threads(*state, 1);
    memset(&forced, 0, sizeof forced);
    stages_block = record_block;
    stages_refined = record_refined;
    return *state == NULL;
}

static int free_run(void **state)
{
    stages_block = NULL;
    stages_refined = NULL;
    vdit_run_free(*state);
    return 0;
}

/* |estimate - real| / error. */
static double ratio(const estimate *e, const mpfr_t real)
{
    double value;
    mpfr_t difference;

    mpfr_init2(difference, ATTENTION_ORACLE_BITS);
    mpfr_sub_d(difference, real, e->high, MPFR_RNDN);
    mpfr_sub_d(difference, difference, e->low, MPFR_RNDN);
    mpfr_div_d(difference, difference, e->error, MPFR_RNDA);
    value = fabs(mpfr_get_d(difference, MPFR_RNDA));
    mpfr_clear(difference);
    return value;
}

/* Largest ratio of both stages so far. */
typedef struct worst {
    double block, refined;
} worst;

/*
 * Runs the scene with every element open after stage 0, on each kernel, and measures both stages; where
 * stage 0 is driven to its bound, to at least this share of it.
 */
static void measure_driven(scene *s, const char *what, double least)
{
    size_t rows = s->q.shape[2], dv = s->v.shape[3];
    attention_oracle oracle;
    mpfr_t real, size;

    mpfr_inits2(ATTENTION_ORACLE_BITS, real, size, (mpfr_ptr)0);
    attention_oracle_new(&oracle, &s->call);
    forced.stage = 1;
    for (size_t i = 0; i < 2 * stages_kernel_count(); i++) {
        vdit_dtype dtype = i % 2 ? VDIT_BF16 : VDIT_F32; /* sums in one piece, in many */
        worst w = {0, 0};

        forced.kernel = i / 2;
        refined_count = 0;
        scene_outputs(s, dtype, SCENE_O);
        scene_run(s);
        assert_int_equal(refined_count, rows * dv);
        for (size_t r = 0; r < rows; r++) {
            attention_oracle_load(&oracle, 0, 0, r);
            for (size_t c = 0; c < dv; c++) {
                attention_oracle_sums(real, size, &oracle, c);
                w.block = fmax(w.block, ratio(&block_estimates[r * dv + c], real));
                w.refined = fmax(w.refined, ratio(&refined_estimates[r * dv + c], real));
            }
        }
        print_message("# %s, %s, kernel %zu: stage 0 errs by %.4f of its bound, stage 1 by %.4f\n",
                      what, vdit_dtype_name(dtype), forced.kernel, w.block, w.refined);
        assert_true(w.block >= least && w.block <= 1 && w.refined <= 1);
    }
    attention_oracle_free(&oracle);
    mpfr_clears(real, size, (mpfr_ptr)0);
}

static void measure(scene *s, const char *what)
{
    measure_driven(s, what, 0);
}

static void ordinary_numbers_keep_the_bounds(void **state)
{
    static const double factors[3] = {1, 30, 1000};
    oracle_random random = oracle_random_start("ordinary_numbers_keep_the_bounds");
    const scene_shape shape = {1, 1, 9, 250, 40, 7};

    for (int i = 0; i < 3; i++) {
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        s.call.scale *= factors[i];
        measure(&s, i == 0 ? "normal" : i == 1 ? "logits near 100" : "logits near 3,000");
    }
}

static void masked_rows_keep_the_bounds(void **state)
{
    static const double values[4] = {-INFINITY, -50, -200.5, -650};
    oracle_random random = oracle_random_start("masked_rows_keep_the_bounds");
    const scene_shape shape = {1, 1, 9, 250, 16, 7};
    const size_t mask[4] = {1, 1, 9, 250};
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    scene_mask(&s, VDIT_F32, mask);
    for (size_t n = 0; n < 9 * 250; n++)
        scene_set(&s.mask, 0, 0, n / 250, n % 250,
                  oracle_int(&random, 0, 3) ? oracle_normal(&random, VDIT_F32)
                                            : values[oracle_int(&random, 0, 3)]);
    measure(&s, "masked");
    for (size_t n = 0; n < 9 * 250; n++) /* what is far away counts: values grow as weights fall */
        scene_set(&s.mask, 0, 0, n / 250, n % 250, -(double)(n % 250) / 4);
    for (size_t j = 0; j < 250; j++)
        for (size_t c = 0; c < 7; c++)
            scene_set(&s.v, 0, 0, j, c,
                      exp((double)j / 4) * (c % 2 ? 1 : oracle_normal(&random, VDIT_F32)));
    measure(&s, "masked, large far values");
}

/* Numbers of one sign and one size, so that roundings go one way: wide heads, long rows. */
static void numbers_of_one_sign_keep_the_bounds(void **state)
{
    static const scene_shape shapes[3] = {
        {1, 1, 2, 30, 1000, 3}, {1, 1, 2, 1500, 4, 3}, {1, 1, 2, 300, 300, 2}};
    oracle_random random = oracle_random_start("numbers_of_one_sign_keep_the_bounds");

    for (int i = 0; i < 3; i++) {
        scene s;

        scene_start(&s, *state, &shapes[i], all_f32, &random);
        for (size_t c = 0; c < s.q.shape[3]; c++)
            for (size_t n = 0; n < s.q.shape[2]; n++)
                scene_set(&s.q, 0, 0, n, c, fabs(oracle_number(&random, 24, 0, 0)));
        for (size_t j = 0; j < s.k.shape[2]; j++) {
            double x = fabs(oracle_number(&random, 24, 0, 0));

            for (size_t c = 0; c < s.k.shape[3]; c++)
                scene_set(&s.k, 0, 0, j, c, x);
            for (size_t c = 0; c < s.v.shape[3]; c++)
                scene_set(&s.v, 0, 0, j, c, fabs(oracle_number(&random, 24, 0, 0)));
        }
        s.call.scale = 0.1 / (double)s.q.shape[3];
        measure(&s, i == 0 ? "one sign, wide" : i == 1 ? "one sign, long" : "one sign");
    }
}

/* Two keys alike, far from 0: the errors of the logits are all that counts, and cannot cancel. */
static void large_equal_logits_keep_the_bounds(void **state)
{
    oracle_random random = oracle_random_start("large_equal_logits_keep_the_bounds");
    const size_t widths[3] = {1, 2, 40};

    for (int i = 0; i < 3; i++) {
        const scene_shape shape = {1, 1, 300, 2, widths[i], 1};
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        for (size_t c = 0; c < widths[i]; c++) {
            scene_set(&s.k, 0, 0, 0, c, 1 + 0x1p-20 * oracle_int(&random, 0, 20));
            scene_set(&s.k, 0, 0, 1, c, 1 + 0x1p-20 * oracle_int(&random, 21, 40));
            for (size_t r = 0; r < 300; r++)
                scene_set(&s.q, 0, 0, r, c, fabs(oracle_number(&random, 24, 10, 14)));
        }
        scene_set(&s.v, 0, 0, 0, 0, 1);
        scene_set(&s.v, 0, 0, 1, 0, -1);
        s.call.scale = 0.7 / (double)widths[i];
        measure(&s, "two keys");
    }
}

/* Products of q and k that cancel, the second half the first: logits are 0, their errors are not. */
static void cancelling_logits_keep_the_bounds(void **state)
{
    oracle_random random = oracle_random_start("cancelling_logits_keep_the_bounds");
    const scene_shape shape = {1, 1, 40, 9, 70, 3};
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    s.call.scale = 1;
    for (size_t c = 0; c < 35; c++) {
        for (size_t r = 0; r < 40; r++) {
            double x = oracle_number(&random, 24, 0, 8);
            scene_set(&s.q, 0, 0, r, c, x);
            scene_set(&s.q, 0, 0, r, c + 35, -x);
        }
        for (size_t j = 0; j < 9; j++) {
            double x = oracle_number(&random, 24, 0, 8);
            scene_set(&s.k, 0, 0, j, c, x);
            scene_set(&s.k, 0, 0, j, c + 35, x);
        }
    }
    measure(&s, "cancelling logits");
}

/* Equal keys and values: each sum adds one number again and again, and rounds the same way. */
static void repeated_numbers_keep_the_bounds(void **state)
{
    oracle_random random = oracle_random_start("repeated_numbers_keep_the_bounds");
    const scene_shape shape = {1, 1, 600, 192, 1, 5};
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    s.call.scale = 1;
    for (size_t r = 0; r < 600; r++)
        scene_set(&s.q, 0, 0, r, 0, oracle_number(&random, 24, -4, -2));
    for (size_t j = 0; j < 192; j++) {
        scene_set(&s.k, 0, 0, j, 0, 1);
        scene_set(&s.v, 0, 0, j, 0, 1);
        scene_set(&s.v, 0, 0, j, 1, 1.25);
        scene_set(&s.v, 0, 0, j, 2, j < 96 ? 1.7 : -1.7);
        scene_set(&s.v, 0, 0, j, 3, 1.1);
        scene_set(&s.v, 0, 0, j, 4, 1.75);
    }
    measure(&s, "repeated numbers");
}

/* The reference point moves often; values of every size. */
static void rising_maxima_keep_the_bounds(void **state)
{
    oracle_random random = oracle_random_start("rising_maxima_keep_the_bounds");
    const scene_shape shape = {1, 1, 5, 800, 1, 4};
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    for (size_t j = 0; j < 800; j++) {
        scene_set(&s.k, 0, 0, j, 0, (double)j / 10);
        for (size_t c = 1; c < 4; c++)
            scene_set(&s.v, 0, 0, j, c, oracle_number(&random, 24, -40 * (int)c, 40 * (int)c));
    }
    for (size_t r = 0; r < 5; r++)
        scene_set(&s.q, 0, 0, r, 0, (double)r - 1);
    measure(&s, "rising maxima");
}

/*
 * After a first product of about 1 each one is just below half of the last place, and is lost: up for one
 * key, down for the other. As many additions go wrong by one unit as there are in a chunk.
 */
static void logits_that_lose_each_addition_keep_the_bounds(void **state)
{
    oracle_random random = oracle_random_start("logits_that_lose_each_addition_keep_the_bounds");
    const size_t widths[2] = {16, 100};

    for (int i = 0; i < 2; i++) {
        const scene_shape shape = {1, 1, 1, 2, widths[i], 1};
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        for (size_t c = 0; c < widths[i]; c++) {
            scene_set(&s.q, 0, 0, 0, c, c == 0 ? 1 : 0x1p-26);
            scene_set(&s.k, 0, 0, 0, c, c == 0 ? 1 + 0x1p-20 : 0.49 * 0x1p-26);
            scene_set(&s.k, 0, 0, 1, c, c == 0 ? 1 + 0x1p-20 : -0.49 * 0x1p-26);
        }
        scene_set(&s.v, 0, 0, 0, 0, 1);
        scene_set(&s.v, 0, 0, 1, 0, -1);
        s.call.scale = 64;
        measure_driven(&s, "lost in logits", 0.4);
    }
}

/* The same for the sum over the values, from 1 to -1 at the end of the tile, where it shows. */
static void sums_that_lose_each_addition_keep_the_bounds(void **state)
{
    oracle_random random = oracle_random_start("sums_that_lose_each_addition_keep_the_bounds");
    const size_t lengths[2] = {32, 192};

    for (int i = 0; i < 2; i++) {
        const scene_shape shape = {1, 1, 1, lengths[i], 1, 1};
        size_t last = lengths[i] - 1;
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        scene_set(&s.q, 0, 0, 0, 0, 1);
        for (size_t j = 0; j <= last; j++) {
            int peak = j == 0 || j == last;

            scene_set(&s.k, 0, 0, j, 0, peak ? 0 : -30 * 0x1.62e42fefa39efp-1); /* 2^-30 */
            scene_set(&s.v, 0, 0, j, 0, j == 0 ? 1 : peak ? -1 : 0.49 * 0x1p-22);
        }
        s.call.scale = 1;
        measure_driven(&s, "lost in sums", 0.3);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_run, free_run)
    const struct CMUnitTest tests[] = {
        TEST(ordinary_numbers_keep_the_bounds),
        TEST(masked_rows_keep_the_bounds),
        TEST(numbers_of_one_sign_keep_the_bounds),
        TEST(large_equal_logits_keep_the_bounds),
        TEST(cancelling_logits_keep_the_bounds),
        TEST(repeated_numbers_keep_the_bounds),
        TEST(rising_maxima_keep_the_bounds),
        TEST(logits_that_lose_each_addition_keep_the_bounds),
        TEST(sums_that_lose_each_addition_keep_the_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
