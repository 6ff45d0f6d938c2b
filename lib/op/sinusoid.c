/* sinusoid.c - sinusoids of positions, rounded once (doc/numerics.md, 9.6). */
#include <math.h>
#include <string.h>
#include <vdit/op.h>
#include "base/parallel.h"
#include "exact/angle.h"
#include "op/shape.h"

typedef struct sinusoid_state {
    const vdit_tensor *y, *t;
    const ptrdiff_t *y_row, *t_at; /* the rows of y; the elements of t */
    const vdit_frequency *w;       /* [half] */
    size_t half;
    int cos_first;
    uint64_t (*decided)[3]; /* per thread */
} sinusoid_state;

static double position(const sinusoid_state *s, size_t i)
{
    double t;

    vdit_load_f64(&t, 1, (char *)s->t->data + s->t_at[i] * (ptrdiff_t)vdit_dtype_size(s->t->dtype),
                  1, s->t->dtype);
    return t;
}

static void fill_row(void *context, size_t row, int thread)
{
    const sinusoid_state *s = context;
    const vdit_tensor *y = s->y;
    ptrdiff_t size = (ptrdiff_t)vdit_dtype_size(y->dtype), step = y->stride[y->rank - 1] * size;
    char *out = (char *)y->data + s->y_row[row] * size;
    double t = position(s, row);

    for (size_t i = 0; i < 2 * s->half; i++) {
        vdit_circular c = (i < s->half) == (s->cos_first != 0) ? VDIT_COSINE : VDIT_SINE;
        vdit_store_f64(
            out + (ptrdiff_t)i * step, y->dtype,
            vdit_frequency_round(&s->w[i % s->half], t, y->dtype, c, s->decided[thread]));
    }
    if (y->shape[y->rank - 1] % 2 != 0)
        vdit_store_f64(out + (ptrdiff_t)(2 * s->half) * step, y->dtype, 0);
}

static vdit_status check_t(vdit_run *run, const vdit_tensor *t)
{
    if (!vdit_dtype_is_float(t->dtype) && t->dtype != VDIT_I64 && t->dtype != VDIT_I32)
        return vdit_run_fail(run, VDIT_ERR_DTYPE,
                             "sinusoid: t is %s, expected f64, f32, bf16, f16, i64 or i32",
                             vdit_dtype_name(t->dtype));
    if (t->rank < 0 || t->rank >= VDIT_MAX_RANK)
        return vdit_run_fail(run, VDIT_ERR_SHAPE, "sinusoid: t has %d axes, expected 0 to %d",
                             t->rank, VDIT_MAX_RANK - 1);
    return VDIT_OK;
}

static vdit_status check(vdit_run *run, const vdit_tensor *y, const vdit_tensor *t, double period,
                         double shift)
{
    size_t shape[VDIT_MAX_RANK], half;

    if (vdit_check_dtype(run, "sinusoid", "y", y) != VDIT_OK || check_t(run, t) != VDIT_OK ||
        vdit_check_rank(run, "sinusoid", "y", y, 1) != VDIT_OK)
        return vdit_run_status(run);
    memcpy(shape, t->shape, sizeof shape);
    shape[t->rank] = y->shape[y->rank - 1];
    if (vdit_check_shape(run, "sinusoid", "y", y, t->rank + 1, shape, "to fit t") != VDIT_OK)
        return vdit_run_status(run);
    half = y->shape[y->rank - 1] / 2;
    if (!(period > 0 && isfinite(period)))
        return vdit_run_fail(run, VDIT_ERR_ARGUMENT, "sinusoid: period is %g, expected above 0",
                             period);
    if (half > 0 && !(shift < (double)half && isfinite(shift)))
        return vdit_run_fail(run, VDIT_ERR_ARGUMENT, "sinusoid: shift is %g, expected below %zu",
                             shift, half);
    return VDIT_OK;
}

/* Every angle is below 2^30, and so is every position. */
static vdit_status check_angles(vdit_run *run, const sinusoid_state *s, size_t count)
{
    double most = 1;

    for (size_t j = 0; j < s->half; j++)
        most = s->w[j].pair.high > most ? s->w[j].pair.high : most;
    for (size_t i = 0; i < count; i++) {
        double t = fabs(position(s, i));
        if (t > 0 && isfinite(t) && !(t * most < VDIT_ANGLE_LIMIT))
            return vdit_run_fail(run, VDIT_ERR_LIMIT,
                                 "sinusoid: t[%zu] is %g, expected angles below 2^30", i,
                                 position(s, i));
    }
    return VDIT_OK;
}

static vdit_status sinusoid(vdit_run *run, sinusoid_state *s, double period, double shift)
{
    int threads = vdit_run_threads(run);
    vdit_frequency *w = vdit_run_alloc(run, s->half, sizeof *w);
    size_t count;

    s->y_row = vdit_row_offsets(run, &count, s->y, s->y->rank - 1);
    s->t_at = vdit_row_offsets(run, &count, s->t, s->t->rank);
    s->decided = vdit_run_alloc(run, (size_t)threads, sizeof *s->decided);
    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    for (size_t j = 0; j < s->half; j++)
        vdit_frequency_make(&w[j], period, j, (double)s->half, shift);
    s->w = w;
    if (check_angles(run, s, count) != VDIT_OK)
        return vdit_run_status(run);
    memset(s->decided, 0, (size_t)threads * sizeof *s->decided);
    vdit_parallel(threads, count, fill_row, s);
    for (int i = 0; i < threads; i++)
        for (int stage = 0; stage < 3; stage++)
            vdit_run_counters(run)->elementary[stage] += s->decided[i][stage];
    return VDIT_OK;
}

vdit_status vdit_sinusoid(vdit_run *run, vdit_tensor *y, const vdit_tensor *t, double period,
                          double shift, int cos_first)
{
    sinusoid_state s = {.y = y, .t = t, .cos_first = cos_first};
    size_t mark = vdit_run_mark(run);

    if (vdit_run_status(run) != VDIT_OK || check(run, y, t, period, shift) != VDIT_OK)
        return vdit_run_status(run);
    s.half = y->shape[y->rank - 1] / 2;
    sinusoid(run, &s, period, shift);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
