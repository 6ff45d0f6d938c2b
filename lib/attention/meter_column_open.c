/*
 * meter_column_open.c - column sums that stage 0 could not round: from refined sums of the rows and exact logits of
 * the open keys, and at last in multi-precision (doc/numerics.md, 7.5).
 */
#include <math.h>
#include <string.h>
#include "attention/meter_column.h"
#include "base/parallel.h"
#include "exact/settle.h"

/* Rows of the last stage that are computed together, for each thread. */
#define LAST_ROWS 4

/* What stage 1 works with. */
typedef struct refined {
    const vdit_open_keys *open;
    vdit_refine *refine; /* [threads] */
    vdit_rows none;      /* no open channel */
    vdit_pair *sum;      /* [threads][count] */
    double *error;       /* [threads] largest relative error of an entry */
    size_t group;        /* rows that are refined together */
} refined;

/* And stage 2. */
typedef struct exact {
    const vdit_open_keys *open;
    size_t turn;   /* the first row of this turn */
    vdit_mp *term; /* [rows of a turn][count] */
} exact;

/* Out: entry = e^(s - top) / sum of the row that last is aimed at, up to the error of sum. */
static void refined_entry(vdit_pair *entry, vdit_last *last, size_t key, double top, vdit_pair sum)
{
    vdit_acc logit;
    vdit_mp value, high;
    vdit_pair weight = {0, 0};

    if (vdit_last_logit(&logit, last, key)) {
        vdit_acc_add(&logit, -top);
        vdit_mp_from_acc(&value, &logit);
        vdit_mp_exp(&value, &value);
        weight.high = vdit_mp_round(&value, VDIT_F64);
        vdit_mp_from_f64(&high, weight.high);
        vdit_mp_sub(&value, &value, &high);
        weight.low = vdit_mp_round(&value, VDIT_F64);
    }
    *entry = vdit_pair_div(weight, sum);
}

/* Stage 1 of one group of rows. */
static void refine_group(void *argument, size_t task, int worker)
{
    refined *stage = argument;
    const vdit_open_keys *open = stage->open;
    vdit_walk *walk = &open->engine->walks[worker];
    vdit_refine *refine = &stage->refine[worker];
    const size_t *list = open->row + task * stage->group;
    size_t left = open->rows - task * stage->group,
           rows = left < stage->group ? left : stage->group;

    vdit_refine_sums(refine, &stage->none, list, rows);
    walk->loaded = 0;
    for (size_t lane = 0; lane < rows; lane++) {
        vdit_pair sum = {refine->sum_high[lane], refine->sum_low[lane]};
        vdit_row_bound bound;
        double error;

        vdit_refine_bound(&bound, refine, lane);
        error = bound.weight + bound.logit * refine->head->key_norm_max + bound.total + bound.floor;
        stage->error[worker] = fmax(stage->error[worker], bound.usable ? error : 1);
        vdit_last_aim(&walk->last, list[lane]);
        for (size_t i = 0; i < open->count; i++) {
            vdit_pair entry, *to = &stage->sum[(size_t)worker * open->count + i];

            refined_entry(&entry, &walk->last, open->key[i], refine->top[lane], sum);
            *to = vdit_pair_add(*to, entry);
        }
    }
}

/* Room for stage 1. Returns: 1 if there is. */
static int make_refined(refined *stage, const vdit_open_keys *open)
{
    vdit_run *run = open->engine->run;
    size_t threads = (size_t)open->engine->threads, dv = open->engine->head.dv;

    memset(stage, 0, sizeof *stage);
    stage->open = open;
    stage->group = VDIT_REFINE_PANELS * open->engine->head.kernel->nr;
    stage->refine = vdit_run_alloc(run, threads, sizeof *stage->refine);
    stage->sum = vdit_run_alloc(run, threads * open->count, sizeof *stage->sum);
    stage->error = vdit_run_alloc(run, threads, sizeof *stage->error);
    stage->none.o = vdit_run_alloc(run, open->engine->rows, dv);
    stage->none.top = open->top;
    for (size_t i = 0; i < threads && vdit_run_status(run) == VDIT_OK; i++) {
        stage->error[i] = 0;
        vdit_refine_new(run, &stage->refine[i], &open->engine->head);
    }
    if (vdit_run_status(run) != VDIT_OK)
        return 0;
    memset(stage->none.o, 0, open->engine->rows * dv);
    memset(stage->sum, 0, threads * open->count * sizeof *stage->sum);
    return 1;
}

/* Stage 1: keys that it settles leave the list. */
static void refine_open(vdit_open_keys *open)
{
    size_t threads = (size_t)open->engine->threads, left = 0;
    double error = 0, rows = (double)open->rows;
    refined stage;

    if (!make_refined(&stage, open))
        return;
    vdit_parallel(open->engine->threads, (open->rows + stage.group - 1) / stage.group, refine_group,
                  &stage);
    for (size_t i = 0; i < threads; i++)
        error = fmax(error, stage.error[i]);
    for (size_t i = 0; i < open->count; i++) {
        vdit_pair sum = stage.sum[i], divisor = {open->divisor, 0};
        double value, bound;

        for (size_t n = 1; n < threads; n++)
            sum = vdit_pair_add(sum, stage.sum[n * open->count + i]);
        sum = vdit_pair_div(sum, divisor);
        bound = (1.02 * error + 0x1p-86 + rows * 0x1p-99) * sum.high + rows * 0x1p-900;
        if (error < 0x1p-40 && vdit_settle(&value, VDIT_F32, sum.high, sum.low, bound))
            open->put(open->state, open->key[i], value);
        else
            open->key[left++] = open->key[i];
    }
    open->count = left;
}

/* Stage 2 of one row: its entries at the open keys. */
static void exact_row(void *argument, size_t task, int worker)
{
    exact *stage = argument;
    const vdit_open_keys *open = stage->open;
    vdit_walk *walk = &open->engine->walks[worker];
    vdit_last *last = &walk->last;

    walk->loaded = 0;
    vdit_last_load(last, open->row[stage->turn + task]);
    for (size_t i = 0; i < open->count; i++) {
        vdit_mp *term = &stage->term[task * open->count + i];

        *term = last->p[open->key[i]];
        if (term->sign != 0)
            vdit_mp_div(term, term, &last->sum);
    }
}

/* Stage 2: rows in parallel, their entries added in the order of the rows. */
static void exact_open(vdit_open_keys *open)
{
    vdit_run *run = open->engine->run;
    size_t turn = LAST_ROWS * (size_t)open->engine->threads;
    vdit_mp *sum = vdit_run_alloc(run, open->count, sizeof *sum), divisor;
    exact stage = {open, 0, vdit_run_alloc(run, turn * open->count, sizeof *stage.term)};

    if (vdit_run_status(run) != VDIT_OK)
        return;
    for (size_t i = 0; i < open->count; i++)
        vdit_mp_from_f64(&sum[i], 0);
    for (; stage.turn < open->rows; stage.turn += turn) {
        size_t left = open->rows - stage.turn, rows = left < turn ? left : turn;

        vdit_parallel(open->engine->threads, rows, exact_row, &stage);
        for (size_t n = 0; n < rows * open->count; n++)
            vdit_mp_add(&sum[n % open->count], &sum[n % open->count], &stage.term[n]);
    }
    vdit_mp_from_f64(&divisor, open->divisor);
    for (size_t i = 0; i < open->count; i++) {
        if (sum[i].sign != 0)
            vdit_mp_div(&sum[i], &sum[i], &divisor);
        vdit_snap_to(&sum[i], &sum[i]);
        open->put(open->state, open->key[i], vdit_mp_round(&sum[i], VDIT_F32));
    }
}

void vdit_open_keys_settle(vdit_open_keys *open)
{
    if (open->count > 0)
        refine_open(open);
    if (open->count > 0 && vdit_run_status(open->engine->run) == VDIT_OK)
        exact_open(open);
}
