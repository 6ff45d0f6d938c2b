/* test_edit_noise.c - sigma of an edited output holds for a plain kernel in bf16, and not for a wrong one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "attention_scene.h"

enum { VIDEO = 48, TEXT = 16, N = VIDEO + TEXT, D = 16, DV = 16 };

/* A head in bf16, an edit, and what a kernel makes of it. */
typedef struct trial {
    scene s;
    vdit_edit edit;
    const vdit_edit *edits[1];
    vdit_edit_report report;
    vdit_tensor threshold, keep, free, source_q, source_k;
    float o[N][DV];
    int inverted; /* 1: the kernel multiplies by the temperature; */
    int before;   /* 1: it divides by the kept mass though it should not */
} trial;

static float bf16(float x)
{
    return (float)vdit_round_f64(VDIT_BF16, (double)x);
}

/* One row of a plain kernel: weights in f32, rounded to bf16 for the product with the values. */
static void kernel_row(trial *t, const vdit_tensor *q, const vdit_tensor *k, size_t r, float factor,
                       int masked, float tau)
{
    float p[N], most = -INFINITY, sum = 0, kept = 0;
    float scale = (float)(t->inverted ? t->s.call.scale * t->edit.temperature
                                      : t->s.call.scale / t->edit.temperature);

    for (size_t j = 0; j < N; j++) {
        float s = 0;
        for (size_t c = 0; c < D; c++)
            s += (float)scene_get(q, 0, 0, r, c) * (float)scene_get(k, 0, 0, j, c);
        p[j] = s * scale;
        most = p[j] > most ? p[j] : most;
    }
    for (size_t j = 0; j < N; j++) {
        p[j] = expf(p[j] - most);
        sum += p[j];
    }
    for (size_t j = 0; j < N; j++) {
        if (masked && p[j] / sum < tau)
            p[j] = 0;
        kept += p[j];
    }
    for (size_t c = 0; c < DV; c++) {
        float o = 0, own = (float)scene_get(&t->s.v, 0, 0, r, c);
        for (size_t j = 0; j < N; j++)
            o += bf16(p[j]) * (float)scene_get(&t->s.v, 0, 0, j, c);
        o = masked && (t->edit.lost == VDIT_LOST_RENORMALISED || t->before) ? o / kept : o / sum;
        if (masked && t->edit.lost == VDIT_LOST_DIAGONAL)
            o += (sum - kept) / sum * own;
        t->o[r][c] += factor * o;
    }
}

/* The kernel's output: the edit's own map, the replacement and the source map. */
static void run_kernel(trial *t)
{
    const vdit_edit *e = &t->edit;
    float mix = (float)e->mix, own = 1 - mix;

    for (size_t r = 0; r < N; r++) {
        memset(t->o[r], 0, sizeof t->o[r]);
        kernel_row(t, &t->s.q, &t->s.k, r, own * (1 - (float)e->replace),
                   e->prune != VDIT_PRUNE_NONE, ((const float *)t->threshold.data)[r]);
        if (mix > 0)
            kernel_row(t, &t->source_q, &t->source_k, r, mix, 0, 0);
        for (size_t c = 0; c < DV; c++) {
            float mean = 0, alpha = (float)e->alpha;
            for (size_t j = 0; j < N; j++)
                mean += (float)scene_get(&t->s.v, 0, 0, j, c) / N;
            t->o[r][c] += own * (float)e->replace *
                          (alpha * (float)scene_get(&t->s.v, 0, 0, r, c) + (1 - alpha) * mean);
        }
    }
}

static void start(trial *t, vdit_run *run, const char *name)
{
    const scene_shape shape = {1, 1, N, N, D, DV};
    const vdit_dtype dtypes[3] = {VDIT_BF16, VDIT_BF16, VDIT_BF16};
    const size_t rows[4] = {1, 1, N, N / 8}, operand[4] = {1, 1, N, D};
    oracle_random random = oracle_random_start(name);

    memset(t, 0, sizeof *t);
    scene_start(&t->s, run, &shape, dtypes, &random);
    scene_outputs(&t->s, VDIT_BF16, SCENE_O | SCENE_SIGMA);
    vdit_edit_init(&t->edit);
    t->edits[0] = &t->edit;
    t->s.call.edits = t->edits;
    t->source_q = scene_tensor(run, VDIT_BF16, operand, SCENE_DENSE);
    t->source_k = scene_tensor(run, VDIT_BF16, operand, SCENE_DENSE);
    scene_fill(&t->source_q, &random, SCENE_NORMAL);
    scene_fill(&t->source_k, &random, SCENE_NORMAL);
    t->edit.source_q = &t->source_q;
    t->edit.source_k = &t->source_k;
    assert_int_equal(vdit_tensor_new(run, &t->threshold, VDIT_F32, 3, rows), VDIT_OK);
    assert_int_equal(vdit_tensor_new(run, &t->free, VDIT_U8, 4, rows), VDIT_OK);
    assert_int_equal(vdit_tensor_new(run, &t->keep, VDIT_U8, 4, rows), VDIT_OK);
    for (size_t r = 0; r < N; r++)
        ((float *)t->threshold.data)[r] = 0x1p-7f;
    t->edit.threshold = &t->threshold;
    t->report.size = sizeof t->report;
    t->report.free = &t->free;
    t->report.keep = &t->keep;
    t->s.call.report = &t->report;
}

/* Returns: the largest |error| / sigma of the kernel. Out: rms. */
static double worst(trial *t, double *rms)
{
    double most = 0, sum = 0;

    scene_run(&t->s);
    run_kernel(t);
    for (size_t r = 0; r < N; r++)
        for (size_t c = 0; c < DV; c++) {
            double error = (double)bf16(t->o[r][c]) - scene_get(&t->s.o, 0, 0, r, c);
            double z = error == 0 ? 0 : fabs(error) / scene_get(&t->s.sigma, 0, 0, r, c);
            most = z > most ? z : most;
            sum += z * z;
        }
    *rms = sqrt(sum / (N * DV));
    return most;
}

static void honest(trial *t, const char *what)
{
    double rms, z = worst(t, &rms);

    print_message("# %s: largest z %.2f, rms %.2f\n", what, z, rms); /* doc/conformance.md */
    assert_true(z < 8 && rms > 0.15 && rms < 1.5);
}

static void an_honest_kernel_is_within_the_noise_of_every_edit(void **state)
{
    static const vdit_lost lost[] = {VDIT_LOST_DROPPED, VDIT_LOST_RENORMALISED, VDIT_LOST_DIAGONAL};
    trial t;

    start(&t, *state, "temperature");
    t.edit.temperature = 0.25;
    honest(&t, "temperature");
    start(&t, *state, "replace");
    t.edit.replace = 0.5;
    t.edit.alpha = 0.25;
    honest(&t, "replace");
    start(&t, *state, "mix");
    t.edit.mix = 0.25;
    honest(&t, "mix");
    for (size_t i = 0; i < 3; i++) {
        start(&t, *state, "prune");
        t.edit.prune = VDIT_PRUNE_THRESHOLD;
        t.edit.lost = lost[i];
        t.edit.mix = 0.1;
        honest(&t, "prune");
    }
}

static void a_wrong_kernel_is_far_outside(void **state)
{
    double rms;
    trial t;

    start(&t, *state, "inverse temperature");
    t.edit.temperature = 0.5;
    t.inverted = 1;
    assert_true(worst(&t, &rms) > 20);
    start(&t, *state, "renormalised");
    t.edit.prune = VDIT_PRUNE_THRESHOLD;
    t.before = 1;
    assert_true(worst(&t, &rms) > 20);
    start(&t, *state, "threshold of another row");
    t.edit.prune = VDIT_PRUNE_THRESHOLD;
    scene_run(&t.s);
    for (size_t r = 0; r < N; r++)
        ((float *)t.threshold.data)[r] *= 1.25f;
    run_kernel(&t);
    rms = 0;
    for (size_t r = 0; r < N; r++)
        for (size_t c = 0; c < DV; c++)
            rms = fmax(rms, fabs((double)bf16(t.o[r][c]) - scene_get(&t.s.o, 0, 0, r, c)) /
                                scene_get(&t.s.sigma, 0, 0, r, c));
    assert_true(rms > 20);
}

/* A threshold that is an entry of the map: that entry is free, entries far off are not. */
static void entries_at_the_threshold_are_free(void **state)
{
    vdit_tensor map;
    size_t found = 0;
    trial t;

    start(&t, *state, "free");
    scene_outputs(&t.s, VDIT_BF16, SCENE_O | SCENE_MAP);
    t.s.call.edits = NULL;
    t.s.call.report = NULL;
    scene_run(&t.s);
    map = t.s.map;
    t.s.call.edits = t.edits;
    t.s.call.report = &t.report;
    for (size_t r = 0; r < N; r++)
        ((float *)t.threshold.data)[r] = (float)scene_get(&map, 0, 0, r, (r * 7) % N);
    t.edit.prune = VDIT_PRUNE_THRESHOLD;
    scene_outputs(&t.s, VDIT_BF16, SCENE_O);
    scene_run(&t.s);
    for (size_t r = 0; r < N; r++)
        for (size_t j = 0; j < N; j++) {
            double entry = scene_get(&map, 0, 0, r, j);
            double tau = (double)((const float *)t.threshold.data)[r];
            int is_free = ((const unsigned char *)t.free.data)[r * (N / 8) + j / 8] >> j % 8 & 1;
            int kept = ((const unsigned char *)t.keep.data)[r * (N / 8) + j / 8] >> j % 8 & 1;

            assert_int_equal(kept, entry >= tau);
            assert_true(is_free || entry != tau);
            assert_true(!is_free || fabs(entry - tau) < 0x1p-12 * tau);
            found += (size_t)is_free;
        }
    assert_true(found >= N && found < 2 * N);
}

static int open_run(void **state)
{
    *state = vdit_run_new();
    return *state == NULL;
}

static int close_run(void **state)
{
    vdit_run_free(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_run, close_run)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_honest_kernel_is_within_the_noise_of_every_edit),
        TEST(a_wrong_kernel_is_far_outside),
        TEST(entries_at_the_threshold_are_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
