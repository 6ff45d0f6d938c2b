/* elementwise.c - each element: estimate, rounding test, else multi-precision (doc/numerics.md, 3). */
#include <math.h>
#include <string.h>
#include "base/parallel.h"
#include "exact/elementary.h"
#include "op/elementwise.h"
#include "op/shape.h"

#define TASK 4096 /* elements */

typedef struct map_state {
    vdit_elementwise_fn *fn;
    const void *f;
    vdit_lines y, x, z;     /* z without data: absent */
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

static void apply_all(const void *f, vdit_dtype dtype, size_t n, double *y, const double *x,
                      const double *z, uint64_t decided[3])
{
    (void)z;
    for (size_t i = 0; i < n; i++)
        y[i] = apply(f, x[i], dtype, decided);
}

/* A piece of one row. */
static void map_piece(const map_state *s, size_t row, size_t start, size_t count, uint64_t *decided)
{
    enum { PIECE = VDIT_LINES_PIECE };
    double x[PIECE], y[PIECE], z[PIECE];

    for (size_t at = start; at < start + count; at += PIECE) {
        size_t left = start + count - at, n = left < PIECE ? left : PIECE;
        vdit_lines_load(x, n, &s->x, row, at);
        if (s->z.data != NULL)
            vdit_lines_load(z, n, &s->z, row, at);
        s->fn(s->f, s->y.dtype, n, y, x, s->z.data != NULL ? z : NULL, decided);
        vdit_lines_store(&s->y, row, at, y, n);
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

static void map_all(vdit_run *run, map_state *s)
{
    int threads = vdit_run_threads(run);

    memset(s->decided, 0, (size_t)threads * sizeof *s->decided);
    vdit_parallel(threads, s->count / TASK + (s->count % TASK != 0), map_task, s);
    for (int i = 0; i < threads; i++)
        for (int stage = 0; stage < 3; stage++)
            vdit_run_counters(run)->elementary[stage] += s->decided[i][stage];
}

vdit_status vdit_elementwise_run(vdit_run *run, vdit_elementwise_fn *fn, const void *f,
                                 vdit_tensor *y, const vdit_tensor *x, const vdit_tensor *z)
{
    map_state s = {.fn = fn, .f = f};
    size_t mark = vdit_run_mark(run), rows = 0;

    s.y = vdit_lines_of(run, y, &rows);
    s.x = vdit_lines_of(run, x, &rows);
    if (z != NULL)
        s.z = vdit_lines_of(run, z, &rows);
    s.decided = vdit_run_alloc(run, (size_t)vdit_run_threads(run), sizeof *s.decided);
    s.length = x->rank > 0 ? x->shape[x->rank - 1] : 1;
    s.count = rows * s.length;
    if (vdit_run_status(run) == VDIT_OK)
        map_all(run, &s);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

vdit_status vdit_elementwise(vdit_run *run, const vdit_function *f, vdit_tensor *y,
                             const vdit_tensor *x)
{
    if (vdit_run_status(run) != VDIT_OK || check(run, f->name, y, x) != VDIT_OK)
        return vdit_run_status(run);
    return vdit_elementwise_run(run, apply_all, f, y, x, NULL);
}
