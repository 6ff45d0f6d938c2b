/* masked_mean.c - means over the rows that a mask keeps: a sum, divided by an integer, rounded once. */
#include <math.h>
#include <string.h>
#include <vdit/op.h>
#include "base/parallel.h"
#include "exact/accumulator.h"
#include "exact/settle.h"
#include "op/lines.h"
#include "op/shape.h"

#define UNIT 0x1p-53

typedef struct mean_state {
    vdit_lines x, y, mask; /* rows [B N], [B], [B]; a mask without rows keeps all */
    size_t n, d, pieces;   /* pieces: of a row, one task each */
    size_t least;
    uint64_t (*decided)[3]; /* per thread */
} mean_state;

static int keeps(const mean_state *s, size_t b, size_t n)
{
    double value = 1;

    if (s->mask.row != NULL)
        vdit_lines_load(&value, 1, &s->mask, b, n);
    return value != 0;
}

/* What decides an element: its place and the divisor. */
typedef struct mean_element {
    size_t b, i, divisor;
} mean_element;

static double mean_exactly(const mean_state *s, const mean_element *at)
{
    vdit_acc sum;
    double value;

    vdit_acc_zero(&sum);
    for (size_t n = 0; n < s->n; n++) {
        if (!keeps(s, at->b, n))
            continue;
        vdit_lines_load(&value, 1, &s->x, at->b * s->n + n, at->i);
        vdit_acc_add(&sum, value);
    }
    return vdit_acc_round_quotient(&sum, at->divisor, s->y.dtype);
}

/*
 * sum errs by less than count u of size = sum |x|; the quotient, the divisor as a double and the ends of the
 * interval by less than 4 u of the result (doc/numerics.md, 10.3).
 */
static double mean_round(const mean_state *s, const mean_element *at, double count, double sum,
                         double size, uint64_t *decided)
{
    double value = sum / (double)at->divisor, rounded;
    double error = 1.001 * (count + 8) * UNIT * (size / (double)at->divisor);
    int stage = 0;

    if (at->divisor == 0)
        rounded = NAN;
    else if (!isfinite(sum))
        rounded = value;
    else if (size == 0)
        rounded = 0.0;
    else if (!vdit_settle_simple(&rounded, s->y.dtype, value, error)) {
        rounded = mean_exactly(s, at);
        stage = 2;
    }
    decided[stage]++;
    return rounded;
}

static void mean_task(void *context, size_t task, int thread)
{
    const mean_state *s = context;
    double x[VDIT_LINES_PIECE], sum[VDIT_LINES_PIECE] = {0}, size[VDIT_LINES_PIECE] = {0};
    size_t first = task % s->pieces * VDIT_LINES_PIECE, count = 0;
    size_t width = s->d - first < VDIT_LINES_PIECE ? s->d - first : VDIT_LINES_PIECE;
    mean_element at = {task / s->pieces, 0, 0};

    for (size_t n = 0; n < s->n; n++) {
        if (!keeps(s, at.b, n))
            continue;
        count++;
        vdit_lines_load(x, width, &s->x, at.b * s->n + n, first);
        for (size_t i = 0; i < width; i++) {
            sum[i] += x[i];
            size[i] += fabs(x[i]);
        }
    }
    at.divisor = count > s->least ? count : s->least;
    for (size_t i = 0; i < width; i++) {
        at.i = first + i;
        x[i] = mean_round(s, &at, (double)count, sum[i], size[i], s->decided[thread]);
    }
    vdit_lines_store(&s->y, at.b, first, x, width);
}

static vdit_status check(vdit_run *run, const vdit_tensor *y, const vdit_tensor *x,
                         const vdit_tensor *mask)
{
    size_t shape[3] = {0};

    if (vdit_check_dtype(run, "masked_mean", "x", x) != VDIT_OK ||
        vdit_check_dtype(run, "masked_mean", "y", y) != VDIT_OK)
        return vdit_run_status(run);
    if (x->rank != 3)
        return vdit_run_fail(run, VDIT_ERR_SHAPE, "masked_mean: x has %d axes, expected 3",
                             x->rank);
    if (mask != NULL && vdit_dtype_is_float(mask->dtype))
        return vdit_run_fail(run, VDIT_ERR_DTYPE,
                             "masked_mean: mask is %s, expected an integer type or bool",
                             vdit_dtype_name(mask->dtype));
    if (mask != NULL &&
        vdit_check_shape(run, "masked_mean", "mask", mask, 2, x->shape, "to fit x") != VDIT_OK)
        return vdit_run_status(run);
    shape[0] = x->shape[0];
    shape[1] = x->shape[2];
    return vdit_check_shape(run, "masked_mean", "y", y, 2, shape, "to fit x");
}

static void mean_all(vdit_run *run, mean_state *s, size_t batch)
{
    int threads = vdit_run_threads(run);

    s->decided = vdit_run_alloc(run, (size_t)threads, sizeof *s->decided);
    if (s->decided == NULL)
        return;
    memset(s->decided, 0, (size_t)threads * sizeof *s->decided);
    s->pieces = s->d / VDIT_LINES_PIECE + (s->d % VDIT_LINES_PIECE != 0);
    vdit_parallel(threads, batch * s->pieces, mean_task, s);
    for (int i = 0; i < threads; i++)
        for (int stage = 0; stage < 3; stage++)
            vdit_run_counters(run)->norm[stage] += s->decided[i][stage];
}

vdit_status vdit_masked_mean(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                             const vdit_tensor *mask, size_t least)
{
    mean_state s = {.least = least};
    size_t mark = vdit_run_mark(run), rows, batch;

    if (vdit_run_status(run) != VDIT_OK || check(run, y, x, mask) != VDIT_OK)
        return vdit_run_status(run);
    s.n = x->shape[1];
    s.d = x->shape[2];
    s.x = vdit_lines_of(run, x, &rows);
    s.y = vdit_lines_of(run, y, &batch);
    if (mask != NULL)
        s.mask = vdit_lines_of(run, mask, &batch);
    if (vdit_run_status(run) == VDIT_OK)
        mean_all(run, &s, batch);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
