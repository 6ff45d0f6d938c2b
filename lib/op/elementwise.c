/* elementwise.c - each element: estimate, rounding test, else multi-precision (doc/numerics.md, 3). */
#include <math.h>
#include <string.h>
#include "base/parallel.h"
#include "exact/elementary.h"
#include "op/elementwise.h"
#include "op/shape.h"

#define TASK  4096 /* elements */
#define CHUNK 128  /* elements converted at a time */

typedef struct map_state {
    const vdit_function *f;
    const vdit_tensor *x, *y;
    const ptrdiff_t *x_row, *y_row; /* rows of the last axis */
    ptrdiff_t x_step, y_step;
    size_t length, count;   /* of a row; of all */
    uint64_t (*decided)[3]; /* per thread */
} map_state;

/* The bound is the estimate's, and 4 units for the roundings of the test itself. */
static double apply(const vdit_function *f, double x, vdit_dtype dtype, uint64_t *decided)
{
    double value, error, low, high;
    vdit_mp precise;

    decided[0]++;
    if (f->special(&value, x))
        return vdit_round_f64(dtype, value);
    value = f->estimate(x);
    error = fabs(value) * (VDIT_ESTIMATE_ERROR + 4 * 0x1p-53);
    low = vdit_round_f64(dtype, value - error);
    high = vdit_round_f64(dtype, value + error);
    if (memcmp(&low, &high, sizeof low) == 0)
        return low;
    decided[0]--;
    decided[2]++;
    vdit_mp_from_f64(&precise, x);
    f->precise(&precise, &precise);
    return vdit_mp_round(&precise, dtype);
}

/* A piece of one row. */
static void map_piece(const map_state *s, size_t row, size_t start, size_t count, uint64_t *decided)
{
    ptrdiff_t x_size = (ptrdiff_t)vdit_dtype_size(s->x->dtype);
    ptrdiff_t y_size = (ptrdiff_t)vdit_dtype_size(s->y->dtype);
    const char *x =
        (const char *)s->x->data + (s->x_row[row] + (ptrdiff_t)start * s->x_step) * x_size;
    char *y = (char *)s->y->data + (s->y_row[row] + (ptrdiff_t)start * s->y_step) * y_size;
    double value[CHUNK];

    for (size_t done = 0; done < count; done += CHUNK) {
        size_t n = count - done < CHUNK ? count - done : CHUNK;
        vdit_load_f64(value, n, x + (ptrdiff_t)done * s->x_step * x_size, s->x_step, s->x->dtype);
        for (size_t i = 0; i < n; i++)
            vdit_store_f64(y + (ptrdiff_t)(done + i) * s->y_step * y_size, s->y->dtype,
                           apply(s->f, value[i], s->y->dtype, decided));
    }
}

static void map_task(void *context, size_t task, int thread)
{
    map_state *s = context;
    size_t at = task * TASK, end = s->count - at < TASK ? s->count : at + TASK;

    while (at < end) {
        size_t start = at % s->length, left = s->length - start;
        size_t count = end - at < left ? end - at : left;
        map_piece(s, at / s->length, start, count, s->decided[thread]);
        at += count;
    }
}

static vdit_status check(vdit_run *run, const char *op, const vdit_tensor *y, const vdit_tensor *x)
{
    if (vdit_check_dtype(run, op, "x", x) != VDIT_OK ||
        vdit_check_dtype(run, op, "y", y) != VDIT_OK ||
        vdit_check_rank(run, op, "x", x, 0) != VDIT_OK)
        return vdit_run_status(run);
    return vdit_check_shape(run, op, "y", y, x->rank, x->shape, "to fit x");
}

static vdit_status map_all(vdit_run *run, map_state *s)
{
    int threads = vdit_run_threads(run), last = s->x->rank - 1;
    size_t rows;

    s->x_row = vdit_row_offsets(run, &rows, s->x, last < 0 ? 0 : last);
    s->y_row = vdit_row_offsets(run, &rows, s->y, last < 0 ? 0 : last);
    s->decided = vdit_run_alloc(run, (size_t)threads, sizeof *s->decided);
    if (s->decided == NULL)
        return vdit_run_status(run);
    memset(s->decided, 0, (size_t)threads * sizeof *s->decided);
    s->length = last < 0 ? 1 : s->x->shape[last];
    s->x_step = last < 0 ? 1 : s->x->stride[last];
    s->y_step = last < 0 ? 1 : s->y->stride[last];
    s->count = rows * s->length;
    vdit_parallel(threads, s->count / TASK + (s->count % TASK != 0), map_task, s);
    for (int i = 0; i < threads; i++)
        for (int stage = 0; stage < 3; stage++)
            vdit_run_counters(run)->elementary[stage] += s->decided[i][stage];
    return VDIT_OK;
}

vdit_status vdit_elementwise(vdit_run *run, const vdit_function *f, vdit_tensor *y,
                             const vdit_tensor *x)
{
    map_state s = {.f = f, .x = x, .y = y};
    size_t mark = vdit_run_mark(run);

    if (vdit_run_status(run) != VDIT_OK || check(run, f->name, y, x) != VDIT_OK)
        return vdit_run_status(run);
    map_all(run, &s);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
