/*
 * test_judge_kernels.c - the judge is judged: honest kernels hold, broken ones fail.
 *
 * Each kernel runs on the families normal and needle, three dtypes, two lengths, as a recipe would.
 * Honest: every case holds. Broken: the total fails, and so does every single case of the families
 * that the mutant's table entry names. The figures of doc/conformance.md are printed as comments.
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
#include "emulator.h"

#define ROWS  32
#define WIDTH 64
#define SEED  UINT64_C(20261120)

static const char *const families[] = {"normal", "needle"};
static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};
static const size_t lengths[] = {512, 2048};

#define FAMILIES 2
#define DTYPES   3
#define LENGTHS  2

/* The cases, made once. */
static struct {
    vdit_run *run;
    emulator_bench benches[FAMILIES][DTYPES][LENGTHS];
} all;

static uint64_t seed(void)
{
    const char *text = getenv("VDIT_SEED");

    return text ? strtoull(text, NULL, 10) : SEED;
}

static int make_all(void **state)
{
    (void)state;
    all.run = vdit_run_new();
    for (size_t f = 0; f < FAMILIES; f++)
        for (size_t d = 0; d < DTYPES; d++)
            for (size_t n = 0; n < LENGTHS; n++) {
                emulator_case c = {families[f], dtypes[d], ROWS, lengths[n], WIDTH, seed() + n};
                emulator_make(all.run, &all.benches[f][d][n], &c);
            }
    return vdit_run_status(all.run);
}

static int free_all(void **state)
{
    (void)state;
    vdit_run_free(all.run);
    return 0;
}

/* What is done to the output of an honest kernel. */
typedef void damage_fn(vdit_tensor *o, const emulator_bench *bench);

static void set_zero(vdit_tensor *o, const emulator_bench *bench)
{
    (void)bench;
    memset(o->data, 0, vdit_tensor_count(o) * vdit_dtype_size(o->dtype));
}

static void set_mean(vdit_tensor *o, const emulator_bench *bench)
{
    for (size_t c = 0; c < bench->width; c++) {
        double sum = 0;
        for (size_t j = 0; j < bench->keys; j++)
            sum += bench->v[j * bench->width + c];
        for (size_t i = 0; i < bench->rows; i++) {
            size_t index[4] = {0, 0, i, c};
            vdit_store_f64(vdit_tensor_at(o, index), o->dtype, sum / (double)bench->keys);
        }
    }
}

/* Copies n elements, stride apart, within o. */
static void copy(vdit_tensor *o, size_t to, size_t from, size_t n, size_t stride)
{
    size_t size = vdit_dtype_size(o->dtype);

    for (size_t i = 0; i < n; i++)
        memcpy((char *)o->data + (to + i * stride) * size,
               (char *)o->data + (from + i * stride) * size, size);
}

static void spoil_row(vdit_tensor *o, const emulator_bench *bench)
{
    copy(o, 3 * bench->width, 4 * bench->width, bench->width, 1);
}

static void spoil_channel(vdit_tensor *o, const emulator_bench *bench)
{
    copy(o, 3, 4, bench->rows, bench->width);
}

static void set_one_nan(vdit_tensor *o, const emulator_bench *bench)
{
    size_t index[4] = {0, 0, bench->rows / 2, bench->width / 2};

    vdit_store_f64(vdit_tensor_at(o, index), o->dtype, NAN);
}

/* A kernel of the table: what it computes, what is done to it, where each single case must fail. */
typedef struct entry {
    const char *test;
    emulator_kernel kernel;
    damage_fn *damage;
    const char *sure; /* "normal needle": families of which every case fails; "": only the total */
    int has_no_lse;   /* the kernel gives its output alone */
} entry;

static const entry honest[] = {
    {"blocks_of_64_keys_hold", {.block = 64}, NULL, "", 0},
    {"blocks_of_128_keys_hold", {.block = 128}, NULL, "", 0},
    {"keys_one_by_one_hold", {.block = 1}, NULL, "", 0},
    {"keys_backwards_hold", {.is_backwards = 1}, NULL, "", 0},
    {"powers_of_two_hold", {.uses_exp2 = 1}, NULL, "", 0},
    {"a_map_kept_in_f32_holds", {.keeps_map = 1}, NULL, "", 0},
    {"a_sum_of_the_rounded_map_holds", {.sums_rounded = 1}, NULL, "", 1},
    {"softmax_in_two_passes_holds", {.is_two_pass = 1}, NULL, "", 0},
};

static const entry broken[] = {
    {"zeros_are_rejected", {0}, set_zero, "normal needle", 0},
    {"the_mean_of_v_is_rejected", {0}, set_mean, "normal needle", 0},
    {"a_scale_off_by_1_percent_is_rejected", {.scale = 1.01}, NULL, "normal needle", 0},
    {"a_gain_of_0.99_is_rejected", {.gain = 0.99}, NULL, "normal needle", 0},
    {"a_gain_of_0.998_is_rejected", {.gain = 0.998}, NULL, "normal needle", 0},
    {"the_last_64_keys_dropped_are_rejected", {.drops = 64}, NULL, "normal needle", 0},
    {"the_last_key_dropped_is_rejected", {.drops = 1}, NULL, "normal", 0},
    {"one_key_counted_twice_is_rejected", {.counts_twice = 1}, NULL, "normal", 0},
    {"the_values_of_a_neighbouring_tile_are_rejected", {.swaps_tile = 1}, NULL, "normal needle", 0},
    {"one_wrong_row_is_rejected", {0}, spoil_row, "normal needle", 0},
    {"one_wrong_channel_is_rejected", {0}, spoil_channel, "normal needle", 0},
    {"one_nan_is_rejected", {0}, set_one_nan, "normal needle", 0},
    {"logits_in_bf16_are_rejected", {.rounds_scores = 1, .is_two_pass = 1}, NULL, "needle", 0},
};

/* The extremes over the cases of one kernel. */
typedef struct extremes {
    double least_z, most_z, most_rms, most_bias;
} extremes;

static void note(extremes *e, const vdit_difference *d)
{
    e->least_z = d->z < e->least_z ? d->z : e->least_z;
    e->most_z = d->z > e->most_z ? d->z : e->most_z;
    e->most_rms = d->rms > e->most_rms ? d->rms : e->most_rms;
    e->most_bias = d->bias > e->most_bias ? d->bias : e->most_bias;
}

static void judge_one(vdit_case_finding *f, const entry *e, const emulator_bench *bench)
{
    size_t mark = vdit_run_mark(all.run);
    vdit_named actual[2] = {{"o", {0}}, {"lse", {0}}};

    emulator_run(all.run, &actual[0].tensor, &actual[1].tensor, bench, &e->kernel);
    if (e->damage != NULL)
        e->damage(&actual[0].tensor, bench);
    assert_int_equal(
        vdit_case_judge(all.run, f, &bench->golden, NULL, actual, e->has_no_lse ? 1 : 2), VDIT_OK);
    vdit_run_release(all.run, mark);
}

/* Judges a kernel on the cases of one dtype, as a recipe of them would. */
static void judge_all(vdit_tally *tally, extremes *seen, const entry *e, size_t d, int is_honest)
{
    memset(tally, 0, sizeof *tally);
    for (size_t f = 0; f < FAMILIES; f++)
        for (size_t n = 0; n < LENGTHS; n++) {
            vdit_verdict wanted = is_honest ? VDIT_HOLDS : VDIT_FAILS;
            vdit_case_finding finding;

            judge_one(&finding, e, &all.benches[f][d][n]);
            vdit_tally_add(tally, &finding, 0);
            note(seen, &finding.main.difference);
            if ((is_honest || strstr(e->sure, families[f])) && finding.verdict != wanted)
                fail_msg("%s %s of %zu keys %s (%s), z %g, rms %g; VDIT_SEED=%llu", families[f],
                         vdit_dtype_name(dtypes[d]), lengths[n], vdit_verdict_name(finding.verdict),
                         finding.reason, finding.main.difference.z, finding.main.difference.rms,
                         (unsigned long long)seed());
        }
}

static void judge_entry(const entry *e, int is_honest)
{
    for (size_t d = 0; d < DTYPES; d++) {
        extremes seen = {HUGE_VAL, 0, 0, 0};
        vdit_tally tally;

        judge_all(&tally, &seen, e, d, is_honest);
        assert_int_equal(vdit_tally_verdict(&tally), is_honest ? VDIT_HOLDS : VDIT_FAILS);
        printf("# %-4s %s: z %.3g to %.3g, rms z <= %.3g, bias <= %.3g\n",
               vdit_dtype_name(dtypes[d]), e->test, seen.least_z, seen.most_z, seen.most_rms,
               seen.most_bias);
    }
}

static void test_honest(void **state)
{
    judge_entry(*state, 1);
}

static void test_broken(void **state)
{
    judge_entry(*state, 0);
}

/* Rounded logits are honest only under a contract that says so: there they are not told apart. */
static void equal_logits_tell_only_the_mean(void **state)
{
    emulator_case c = {"uniform", VDIT_BF16, ROWS, 512, WIDTH, seed()};
    entry plain = {"", {0}, NULL, "", 0}, zeros = {"", {0}, set_zero, "", 0};
    entry scaled = {"", {.scale = 1.01}, NULL, "", 0};
    entry gained = {"", {.gain = 0.998}, NULL, "", 0};
    vdit_tally tally = {0};
    emulator_bench bench;
    vdit_case_finding f;

    (void)state;
    emulator_make(all.run, &bench, &c);
    judge_one(&f, &plain, &bench);
    assert_int_equal(f.verdict, VDIT_HOLDS);
    assert_string_equal(f.trivial, "the mean of V");
    vdit_tally_add(&tally, &f, 0);
    assert_int_equal(vdit_tally_verdict(&tally), VDIT_INCONCLUSIVE);
    judge_one(&f, &zeros, &bench);
    assert_int_equal(f.verdict, VDIT_FAILS);
    judge_one(&f, &scaled, &bench); /* no scale changes equal logits: this family cannot tell */
    assert_int_equal(f.verdict, VDIT_HOLDS);
    judge_one(&f, &gained, &bench); /* as if all weights had been rounded down */
    assert_int_equal(f.verdict, VDIT_HOLDS);
    judge_one(&f, &plain, &all.benches[0][1][0]);
    vdit_tally_add(&tally, &f, 0);
    assert_int_equal(vdit_tally_verdict(&tally), VDIT_HOLDS);
}

int main(void)
{
    enum { HONEST = sizeof honest / sizeof *honest, BROKEN = sizeof broken / sizeof *broken };
    struct CMUnitTest tests[HONEST + BROKEN + 1] = {
        cmocka_unit_test(equal_logits_tell_only_the_mean),
    };

    for (size_t i = 0; i < HONEST; i++)
        tests[1 + i] = (struct CMUnitTest){honest[i].test, test_honest, NULL, NULL,
                                           (void *)(uintptr_t)&honest[i]};
    for (size_t i = 0; i < BROKEN; i++)
        tests[1 + HONEST + i] = (struct CMUnitTest){broken[i].test, test_broken, NULL, NULL,
                                                    (void *)(uintptr_t)&broken[i]};
    return cmocka_run_group_tests(tests, make_all, free_all);
}
