/*
 * judge_ratio.c - the 2x rule of half-precision test suites, printed beside z because it is known.
 *
 * The yardstick is attention computed plainly: logits, map and output each rounded to the inputs'
 * half precision, everything between them in binary64. It judges nothing here: it takes one maximum
 * for the whole tensor, and its yardstick grows on peaked rows (doc/conformance.md).
 */
#include <math.h>
#include "golden/judge.h"

/* Multiplications and additions that the plain computation may take: some tenths of a second. */
#define PLAIN_WORK 1e8

/* Memory for one row of the plain computation. */
typedef struct plain {
    double *masks, *p; /* [keys] */
    double *q, *k;     /* [d] */
    double *v, *o;     /* [dv] */
} plain;

static vdit_status plain_new(vdit_run *run, plain *w, const vdit_call *call)
{
    w->masks = vdit_run_alloc(run, call->keys, sizeof *w->masks);
    w->p = vdit_run_alloc(run, call->keys, sizeof *w->p);
    w->q = vdit_run_alloc(run, call->width, sizeof *w->q);
    w->k = vdit_run_alloc(run, call->width, sizeof *w->k);
    w->v = vdit_run_alloc(run, call->value_width, sizeof *w->v);
    w->o = vdit_run_alloc(run, call->value_width, sizeof *w->o);
    return vdit_run_status(run);
}

/* Out: p, the rounded logits of one row; -inf at keys that are not valid. Returns: the largest. */
static double plain_logits(const vdit_call *call, plain *w, vdit_dtype dtype, const size_t at[3])
{
    double most = -HUGE_VAL;

    vdit_call_masks(call, w->masks, at[0], at[1], at[2]);
    vdit_row_load(w->q, call->q, at[0], at[1], vdit_call_row(call, at[2]));
    for (size_t j = 0; j < call->keys; j++) {
        double s = 0;

        w->p[j] = -HUGE_VAL;
        if (w->masks[j] == -HUGE_VAL)
            continue;
        vdit_row_load(w->k, call->k, at[0], at[1], j);
        for (size_t c = 0; c < call->width; c++)
            s += w->q[c] * w->k[c];
        w->p[j] = vdit_round_f64(dtype, s * call->scale + w->masks[j]);
        most = w->p[j] > most ? w->p[j] : most;
    }
    return most;
}

/* Out: o, the rounded output of one row. */
static void plain_row(const vdit_call *call, plain *w, vdit_dtype dtype, const size_t at[3])
{
    double most = plain_logits(call, w, dtype, at), sum = 0;

    for (size_t c = 0; c < call->value_width; c++)
        w->o[c] = 0;
    for (size_t j = 0; j < call->keys; j++)
        sum += w->p[j] = w->p[j] == -HUGE_VAL ? 0 : exp(w->p[j] - most);
    for (size_t j = 0; j < call->keys; j++) {
        double p = sum > 0 ? vdit_round_f64(dtype, w->p[j] / sum) : 0;

        if (p == 0)
            continue;
        vdit_row_load(w->v, call->v, at[0], at[1], j);
        for (size_t c = 0; c < call->value_width; c++)
            w->o[c] += p * w->v[c];
    }
    for (size_t c = 0; c < call->value_width; c++)
        w->o[c] = vdit_round_f64(dtype, w->o[c]);
}

/* Returns: the largest |x - golden| of a row, over what is finite on both sides. */
static double row_error(const double *x, const double *golden, size_t n)
{
    double most = 0;

    for (size_t c = 0; c < n; c++) {
        double e = fabs(x[c] - golden[c]);
        if (isfinite(e) && e > most)
            most = e;
    }
    return most;
}

vdit_status vdit_call_ratio(vdit_run *run, double *ratio, const vdit_call *call,
                            const vdit_tensor *golden, const vdit_tensor *actual)
{
    size_t mark = vdit_run_mark(run), total = call->batches * call->heads * call->row_count, stride;
    double work = (double)total * (double)call->keys * (double)(call->width + call->value_width);
    double ours = 0, theirs = 0, *g = vdit_run_alloc(run, call->value_width, sizeof *g);
    plain w;

    *ratio = NAN;
    if (plain_new(run, &w, call) == VDIT_OK && golden->dtype != VDIT_F32) {
        stride = 1 + (size_t)(work / PLAIN_WORK);
        for (size_t i = 0; i < total; i += stride) {
            size_t at[3] = {i / call->row_count / call->heads, i / call->row_count % call->heads,
                            i % call->row_count};
            double e;

            plain_row(call, &w, golden->dtype, at);
            vdit_row_load(g, golden, at[0], at[1], at[2]);
            e = row_error(w.o, g, call->value_width);
            theirs = e > theirs ? e : theirs;
            vdit_row_load(w.o, actual, at[0], at[1], at[2]);
            e = row_error(w.o, g, call->value_width);
            ours = e > ours ? e : ours;
        }
        if (theirs > 0)
            *ratio = ours / theirs;
    }
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
