/* norm.c - layer norm, RMS norm, group norm: checks, and where the sets of each lie. */
#include <math.h>
#include <string.h>
#include <vdit/op.h>
#include "base/parallel.h"
#include "op/norm.h"
#include "op/shape.h"

/* x, y, w and b of a call, as they were given. */
typedef struct operands {
    const char *op;
    const vdit_tensor *y, *x, *w, *b;
} operands;

static vdit_status check(vdit_run *run, const operands *o, int rank, double eps)
{
    if (vdit_check_dtype(run, o->op, "x", o->x) != VDIT_OK ||
        (o->w != NULL && vdit_check_dtype(run, o->op, "w", o->w) != VDIT_OK) ||
        (o->b != NULL && vdit_check_dtype(run, o->op, "b", o->b) != VDIT_OK) ||
        vdit_check_dtype(run, o->op, "y", o->y) != VDIT_OK ||
        vdit_check_rank(run, o->op, "x", o->x, rank) != VDIT_OK)
        return vdit_run_status(run);
    if (!(eps >= 0 && isfinite(eps)))
        return vdit_run_fail(run, VDIT_ERR_ARGUMENT, "%s: eps is %g, expected a finite number >= 0",
                             o->op, eps);
    return vdit_check_shape(run, o->op, "y", o->y, o->x->rank, o->x->shape, "to fit x");
}

/* Fails unless w and b have one element for each of count. */
static vdit_status check_affine(vdit_run *run, const operands *o, size_t count)
{
    if ((o->w != NULL &&
         vdit_check_shape(run, o->op, "w", o->w, 1, &count, "to fit x") != VDIT_OK) ||
        (o->b != NULL && vdit_check_shape(run, o->op, "b", o->b, 1, &count, "to fit x") != VDIT_OK))
        return vdit_run_status(run);
    return VDIT_OK;
}

typedef struct norm_state {
    const vdit_norm *norm;
    vdit_norm_fn *fn;
    size_t together;        /* sets per task */
    uint64_t (*decided)[3]; /* per thread */
} norm_state;

#define TASK 8192 /* elements, at least a set */

static void norm_task(void *context, size_t task, int thread)
{
    const norm_state *s = context;
    size_t end = (task + 1) * s->together;

    for (size_t set = task * s->together; set < end && set < s->norm->sets; set++)
        s->fn(s->norm, set, s->decided[thread]);
}

static vdit_status norm_all(vdit_run *run, vdit_norm_fn *fn, const vdit_norm *norm)
{
    int threads = vdit_run_threads(run);
    size_t count = vdit_norm_count(norm);
    norm_state s = {
        .norm = norm, .fn = fn, .together = count > 0 && count < TASK ? TASK / count : 1};

    s.decided = vdit_run_alloc(run, (size_t)threads, sizeof *s.decided);
    if (vdit_run_status(run) != VDIT_OK || count == 0)
        return vdit_run_status(run);
    memset(s.decided, 0, (size_t)threads * sizeof *s.decided);
    vdit_parallel(threads, norm->sets / s.together + (norm->sets % s.together != 0), norm_task, &s);
    for (int i = 0; i < threads; i++)
        for (int stage = 0; stage < 3; stage++)
            vdit_run_counters(run)->norm[stage] += s.decided[i][stage];
    return VDIT_OK;
}

/* A tensor seen as sets of runs of elements: strides and extents of the axes over sets and over runs. */
typedef struct split {
    vdit_tensor sets, runs;
    ptrdiff_t step;
} split;

/* Out: set, the offsets of the sets. Returns: the rows of set 0. t may be NULL. */
static vdit_lines rows_of(vdit_run *run, const ptrdiff_t **set, const vdit_tensor *t,
                          const split *s)
{
    size_t count;
    vdit_lines rows = {.data = NULL};

    if (t == NULL)
        return rows;
    *set = vdit_row_offsets(run, &count, &s->sets, s->sets.rank);
    rows = (vdit_lines){t->data, vdit_row_offsets(run, &count, &s->runs, s->runs.rank), s->step,
                        t->dtype};
    return rows;
}

/* Each row of the last axis is a set of one run. */
static split split_rows(const vdit_tensor *t)
{
    split s = {.sets = *t, .runs = {.rank = 0}, .step = t->stride[t->rank - 1]};

    s.sets.rank = t->rank - 1;
    return s;
}

/* The affine part of such a set: one row for all. */
static split split_rows_affine(const vdit_tensor *x, const vdit_tensor *w)
{
    split s = split_rows(x);

    memset(s.sets.stride, 0, sizeof s.sets.stride);
    s.step = w != NULL ? w->stride[0] : 0;
    return s;
}

/*
 * Sets [B, groups], runs [C / groups, all axes but the last], with the strides of t; for w and b (t with one
 * axis) those of the other axes are 0. Where there is nothing after the channels, they are the run.
 */
static split split_groups(const vdit_tensor *x, const vdit_tensor *t, size_t groups)
{
    int whole = t == x, last = x->rank - 1;
    ptrdiff_t channel = whole ? t->stride[1] : t != NULL ? t->stride[0] : 0;
    size_t width = groups > 0 ? x->shape[1] / groups : 0;
    split s = {.sets = {.rank = 2}, .runs = {.rank = last - 1}};

    s.sets.shape[0] = x->shape[0];
    s.sets.shape[1] = groups;
    s.sets.stride[0] = whole ? t->stride[0] : 0;
    s.sets.stride[1] = channel * (ptrdiff_t)width;
    s.runs.shape[0] = width;
    s.runs.stride[0] = channel;
    for (int i = 2; i < last; i++) {
        s.runs.shape[i - 1] = x->shape[i];
        s.runs.stride[i - 1] = whole ? t->stride[i] : 0;
    }
    s.step = last == 1 ? channel : whole ? t->stride[last] : 0;
    return s;
}

static vdit_status norm_rows(vdit_run *run, vdit_norm_fn *fn, const operands *o, vdit_norm norm)
{
    size_t mark = vdit_run_mark(run);
    split of_x, of_y, of_w, of_b;

    if (vdit_run_status(run) != VDIT_OK || check(run, o, 1, norm.eps) != VDIT_OK ||
        check_affine(run, o, o->x->shape[o->x->rank - 1]) != VDIT_OK)
        return vdit_run_status(run);
    of_x = split_rows(o->x);
    of_y = split_rows(o->y);
    of_w = split_rows_affine(o->x, o->w);
    of_b = split_rows_affine(o->x, o->b);
    norm.x = rows_of(run, &norm.x_set, o->x, &of_x);
    norm.y = rows_of(run, &norm.y_set, o->y, &of_y);
    norm.w = rows_of(run, &norm.w_set, o->w, &of_w);
    norm.b = rows_of(run, &norm.b_set, o->b, &of_b);
    norm.sets = 1;
    for (int i = 0; i < o->x->rank - 1; i++)
        norm.sets *= o->x->shape[i];
    norm.runs = 1;
    norm.length = o->x->shape[o->x->rank - 1];
    norm_all(run, fn, &norm);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

vdit_status vdit_layer_norm_by(vdit_run *run, vdit_norm_fn *fn, vdit_tensor *y,
                               const vdit_tensor *x, const vdit_tensor *w, const vdit_tensor *b,
                               double eps)
{
    const operands o = {"layer_norm", y, x, w, b};

    return norm_rows(run, fn, &o, (vdit_norm){.centred = 1, .eps = eps});
}

vdit_status vdit_rms_norm_by(vdit_run *run, vdit_norm_fn *fn, vdit_tensor *y, const vdit_tensor *x,
                             const vdit_tensor *w, double eps)
{
    const operands o = {"rms_norm", y, x, w, NULL};

    return norm_rows(run, fn, &o, (vdit_norm){.centred = 0, .eps = eps});
}

static vdit_status check_groups(vdit_run *run, const vdit_tensor *x, size_t groups)
{
    if (groups == 0 || x->shape[1] % groups != 0)
        return vdit_run_fail(run, VDIT_ERR_ARGUMENT,
                             "group_norm: %zu groups, expected a divisor of the %zu channels",
                             groups, x->shape[1]);
    return vdit_run_status(run);
}

vdit_status vdit_group_norm_by(vdit_run *run, vdit_norm_fn *fn, vdit_tensor *y,
                               const vdit_tensor *x, size_t groups, const vdit_tensor *w,
                               const vdit_tensor *b, double eps)
{
    const operands o = {"group_norm", y, x, w, b};
    size_t mark = vdit_run_mark(run);
    vdit_norm norm = {.centred = 1, .eps = eps, .runs = 1};
    split of_x, of_y, of_w, of_b;

    if (vdit_run_status(run) != VDIT_OK || check(run, &o, 2, eps) != VDIT_OK ||
        check_groups(run, x, groups) != VDIT_OK || check_affine(run, &o, x->shape[1]) != VDIT_OK)
        return vdit_run_status(run);
    of_x = split_groups(x, x, groups);
    of_y = split_groups(y, y, groups);
    of_w = split_groups(x, w, groups);
    of_b = split_groups(x, b, groups);
    norm.x = rows_of(run, &norm.x_set, x, &of_x);
    norm.y = rows_of(run, &norm.y_set, y, &of_y);
    norm.w = rows_of(run, &norm.w_set, w, &of_w);
    norm.b = rows_of(run, &norm.b_set, b, &of_b);
    norm.sets = x->shape[0] * groups;
    for (int i = 0; i < of_x.runs.rank; i++)
        norm.runs *= of_x.runs.shape[i];
    norm.length = x->rank == 2 ? x->shape[1] / groups : x->shape[x->rank - 1];
    norm_all(run, fn, &norm);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

vdit_status vdit_layer_norm(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                            const vdit_tensor *w, const vdit_tensor *b, double eps)
{
    return vdit_layer_norm_by(run, vdit_norm_set, y, x, w, b, eps);
}

vdit_status vdit_rms_norm(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, const vdit_tensor *w,
                          double eps)
{
    return vdit_rms_norm_by(run, vdit_norm_set, y, x, w, eps);
}

vdit_status vdit_group_norm(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, size_t groups,
                            const vdit_tensor *w, const vdit_tensor *b, double eps)
{
    return vdit_group_norm_by(run, vdit_norm_set, y, x, groups, w, b, eps);
}
