/* edit_scene.c - edits with random operands, and their judgement. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "attention/refine.h"
#include "edit_scene.h"

/* Which stage must decide: the earlier ones are kept from it. 0: whoever can. */
static int forced, in_refine;

int __real_vdit_settle(double *rounded, vdit_dtype dtype, double high, double low, double error);
int __wrap_vdit_settle(double *rounded, vdit_dtype dtype, double high, double low, double error);
void __real_vdit_refine_sums(vdit_refine *refine, const vdit_rows *rows, const size_t *list,
                             size_t count);
void __wrap_vdit_refine_sums(vdit_refine *refine, const vdit_rows *rows, const size_t *list,
                             size_t count);

int __wrap_vdit_settle(double *rounded, vdit_dtype dtype, double high, double low, double error)
{
    if (forced == 2 || (forced == 1 && !in_refine))
        return 0;
    return __real_vdit_settle(rounded, dtype, high, low, error);
}

void __wrap_vdit_refine_sums(vdit_refine *refine, const vdit_rows *rows, const size_t *list,
                             size_t count)
{
    in_refine = 1;
    __real_vdit_refine_sums(refine, rows, list, count);
}

static vdit_tensor operand(edit_scene *t, vdit_dtype dtype, size_t n, size_t width)
{
    const size_t shape[4] = {1, 1, n, width};
    vdit_tensor x = scene_tensor(t->s.run, dtype, shape, SCENE_DENSE);

    scene_fill(&x, &t->random, SCENE_NORMAL);
    return x;
}

vdit_tensor edit_scene_tensor(edit_scene *t, vdit_dtype dtype, int rank, const size_t *shape)
{
    vdit_tensor x;

    assert_int_equal(vdit_tensor_new(t->s.run, &x, dtype, rank, shape), VDIT_OK);
    memset(x.data, 0, vdit_tensor_count(&x) * vdit_dtype_size(dtype));
    return x;
}

void edit_scene_start(edit_scene *t, vdit_run *run, vdit_dtype dtype, const char *name)
{
    const scene_shape shape = {1, 1, EDIT_N, EDIT_N, EDIT_D, EDIT_DV};
    const vdit_dtype dtypes[3] = {dtype, dtype, dtype};
    const size_t rows[4] = {1, 1, EDIT_N, (EDIT_N + 7) / 8}, square[4] = {1, 1, EDIT_N, EDIT_N},
                 pair[2] = {EDIT_N, EDIT_N};
    const size_t n = EDIT_N;

    memset(t, 0, sizeof *t);
    t->random = oracle_random_start(name);
    scene_start(&t->s, run, &shape, dtypes, &t->random);
    scene_outputs(&t->s, dtype, SCENE_O);
    vdit_edit_init(&t->edit);
    t->edit.tokens = (vdit_tokens){3, 2, 2, EDIT_TEXT, 0};
    t->edits[0] = &t->edit;
    t->s.call.edits = t->edits;
    t->source_q = operand(t, dtype, EDIT_N, EDIT_D);
    t->source_k = operand(t, dtype, EDIT_N, EDIT_D);
    t->source_v = operand(t, dtype, EDIT_N, EDIT_DV);
    t->source_map = edit_scene_tensor(t, VDIT_F32, 4, square);
    scene_fill(&t->source_map, &t->random, SCENE_NORMAL);
    t->align = edit_scene_tensor(t, VDIT_F32, 2, pair);
    t->weight = edit_scene_tensor(t, VDIT_F32, 1, &n);
    t->keys = edit_scene_tensor(t, VDIT_BOOL, 1, &n);
    for (size_t j = 0; j < EDIT_N; j++) {
        ((float *)t->weight.data)[j] = (float)oracle_normal(&t->random, VDIT_F32);
        ((unsigned char *)t->keys.data)[j] = oracle_int(&t->random, 0, 3) != 0;
        for (int i = oracle_int(&t->random, 0, 2); i > 0; i--)
            ((float *)t->align.data)[j * EDIT_N + (size_t)oracle_int(&t->random, 0, EDIT_N - 1)] =
                (float)oracle_normal(&t->random, VDIT_F32);
    }
    t->threshold = edit_scene_tensor(t, VDIT_F32, 3, rows);
    t->keep = edit_scene_tensor(t, VDIT_U8, 4, rows);
    for (size_t i = 0; i < vdit_tensor_count(&t->keep); i++)
        ((unsigned char *)t->keep.data)[i] = (unsigned char)oracle_int(&t->random, 0, 255);
    t->masked = edit_scene_tensor(t, VDIT_I64, 3, rows);
    t->kept_mass = edit_scene_tensor(t, VDIT_F32, 3, rows);
    t->bits = edit_scene_tensor(t, VDIT_U8, 4, rows);
    t->report.size = sizeof t->report;
    t->report.masked = &t->masked;
    t->report.kept_mass = &t->kept_mass;
    t->report.keep = &t->bits;
    t->s.call.report = &t->report;
    t->edit.source_q = &t->source_q;
    t->edit.source_k = &t->source_k;
    t->edit.source_v = &t->source_v;
}

void edit_scene_thresholds(edit_scene *t)
{
    vdit_attention call = t->s.call;
    attention_oracle oracle;

    call.edits = NULL;
    attention_oracle_new(&oracle, &call);
    for (size_t r = 0; r < EDIT_N; r++) {
        attention_oracle_load(&oracle, 0, 0, r);
        ((float *)t->threshold.data)[r] =
            (float)attention_oracle_map(&oracle, (size_t)oracle_int(&t->random, 0, EDIT_N - 1));
    }
    attention_oracle_free(&oracle);
    t->edit.threshold = &t->threshold;
    t->edit.prune = VDIT_PRUNE_THRESHOLD;
}

static void judge_row(const edit_scene *t, const edit_oracle *oracle, size_t r, const char *what)
{
    edit_row row;
    int64_t masked = ((const int64_t *)t->masked.data)[r];
    double mass = (double)((const float *)t->kept_mass.data)[r];

    edit_oracle_row(&row, oracle, r, t->s.o.dtype);
    for (size_t c = 0; c < EDIT_DV; c++) {
        double o = scene_get(&t->s.o, 0, 0, r, c);
        if (!oracle_same(o, row.o[c]))
            print_error("%s: o[%zu, %zu] is %a, expected %a\n", what, r, c, o, row.o[c]);
        assert_true(oracle_same(o, row.o[c]));
    }
    if ((oracle->edit->mix == 1 && !oracle->edit->mix_adds) || oracle->edit->replace == 1 ||
        oracle->edit->gate == 0)
        return; /* the own map has no part: nothing is reported */
    if (masked != (int64_t)row.masked || mass != row.kept_mass)
        print_error("%s: row %zu: masked %d, %zu expected; kept mass %a, %a expected\n", what, r,
                    (int)masked, row.masked, mass, row.kept_mass);
    assert_true(masked == (int64_t)row.masked);
    assert_true(mass == row.kept_mass);
    for (size_t j = 0; j < EDIT_N; j++)
        assert_int_equal(
            scene_get(&t->bits, 0, 0, r, j / 8) >= 0 &&
                ((const unsigned char *)t->bits.data)[r * ((EDIT_N + 7) / 8) + j / 8] >> j % 8 & 1,
            row.kept[j]);
}

void edit_scene_judge(edit_scene *t, const char *what)
{
    double tau[EDIT_N];
    edit_oracle oracle = {&t->s.call, &t->edit, NULL, NULL, NULL, NULL};

    scene_run(&t->s);
    for (size_t r = 0; r < EDIT_N && t->edit.prune == VDIT_PRUNE_THRESHOLD; r++)
        tau[r] = (double)((const float *)t->threshold.data)[r];
    if (t->edit.prune == VDIT_PRUNE_THRESHOLD)
        oracle.tau = tau;
    for (size_t r = 0; r < EDIT_N; r++)
        judge_row(t, &oracle, r, what);
    for (int late = 1; late <= 2; late++) {
        vdit_tensor first = t->s.o;
        uint64_t *counts = vdit_run_counters(t->s.run)->attention;

        scene_outputs(&t->s, first.dtype, SCENE_O);
        memset(counts, 0, 3 * sizeof *counts);
        in_refine = 0;
        forced = late;
        scene_run(&t->s);
        forced = 0;
        assert_true(scene_equal(&first, &t->s.o));
        if (counts[0] !=
            EDIT_N * EDIT_DV) /* what acts before the softmax only has a rounding test of its own */
            assert_true(counts[late] > 0 || t->edit.replace == 1);
    }
}

vdit_tensor edit_scene_run_as(edit_scene *t, const vdit_edit *edit)
{
    const vdit_edit *edits[1] = {edit};

    scene_outputs(&t->s, VDIT_F32, SCENE_O);
    t->s.call.edits = edit != NULL ? edits : NULL;
    scene_run(&t->s);
    t->s.call.edits = t->edits;
    return t->s.o;
}
