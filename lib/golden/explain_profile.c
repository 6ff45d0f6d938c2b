/* explain_profile.c - where a residual is: its rms z by heads, by tiles of rows, by channels. */
#include <math.h>
#include <string.h>
#include "golden/explain.h"

/* The sums of one pass. */
typedef struct profile {
    const vdit_call *call;
    vdit_profile_axis axis;
    size_t count;
    double *sum, *elements; /* [count] */
} profile;

static size_t part_count(const vdit_call *call, vdit_profile_axis axis)
{
    if (axis == VDIT_PROFILE_HEADS)
        return call->batches * call->heads;
    if (axis == VDIT_PROFILE_CHANNELS)
        return call->value_width;
    return (call->q->shape[2] + VDIT_EXPLAIN_TILE - 1) / VDIT_EXPLAIN_TILE;
}

/* Adds row r of head (b, h): x holds golden, actual and sigma. */
static void add_row(profile *p, size_t b, size_t h, size_t r, double *const x[3])
{
    for (size_t c = 0; c < p->call->value_width; c++) {
        size_t row = vdit_call_row(p->call, r) / VDIT_EXPLAIN_TILE;
        size_t at = p->axis == VDIT_PROFILE_HEADS  ? b * p->call->heads + h
                    : p->axis == VDIT_PROFILE_ROWS ? row
                                                   : c;
        double e = x[1][c] - x[0][c];
        int same = x[1][c] == x[0][c] || (isnan(x[1][c]) && isnan(x[0][c]));

        p->elements[at]++;
        if (!same)
            p->sum[at] += isfinite(e) && x[2][c] > 0 ? e / x[2][c] * (e / x[2][c]) : HUGE_VAL;
    }
}

static void add_all(profile *p, const vdit_tensor *o, const vdit_tensor *actual,
                    const vdit_tensor *sigma, double *const x[3])
{
    for (size_t b = 0; b < p->call->batches; b++)
        for (size_t h = 0; h < p->call->heads; h++)
            for (size_t r = 0; r < p->call->row_count; r++) {
                vdit_row_load(x[0], o, b, h, r);
                vdit_row_load(x[1], actual, b, h, r);
                vdit_row_load(x[2], sigma, b, h, r);
                add_row(p, b, h, r, x);
            }
}

vdit_status vdit_case_profile(vdit_run *run, double **rms, size_t *count, const vdit_golden *golden,
                              const vdit_tensor *sigma, const vdit_tensor *o,
                              vdit_profile_axis axis)
{
    const vdit_tensor *right = vdit_golden_find(golden, "o");
    vdit_call call;
    profile p = {&call, axis, 0, NULL, NULL};
    double *x[3];

    sigma = sigma ? sigma : vdit_golden_find(golden, "o.sigma");
    if (right == NULL || sigma == NULL || o->rank != 4 ||
        memcmp(o->shape, right->shape, 4 * sizeof(size_t)) != 0)
        return vdit_run_fail(run, VDIT_ERR_SHAPE, "%s: no output to profile", golden->name);
    if (vdit_call_read(run, &call, golden) != VDIT_OK)
        return vdit_run_status(run);
    p.count = part_count(&call, axis);
    p.sum = vdit_run_alloc(run, 2 * p.count, sizeof *p.sum);
    for (size_t i = 0; i < 3; i++)
        x[i] = vdit_run_alloc(run, call.value_width, sizeof *x[i]);
    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    memset(p.sum, 0, 2 * p.count * sizeof *p.sum);
    p.elements = p.sum + p.count;
    add_all(&p, right, o, sigma, x);
    for (size_t i = 0; i < p.count; i++)
        p.sum[i] = p.elements[i] > 0 ? sqrt(p.sum[i] / p.elements[i]) : 0;
    *rms = p.sum;
    *count = p.count;
    return VDIT_OK;
}

/* Adds the row of x to its line of the picture, and the number of rows there. */
static void add_line(float *line, double *const x[3], size_t n)
{
    for (size_t c = 0; c < n; c++) {
        double e = x[1][c] - x[0][c];
        int same = x[1][c] == x[0][c] || (isnan(x[1][c]) && isnan(x[0][c]));

        if (!same)
            line[c] += x[2][c] > 0 ? (float)(e / x[2][c] * (e / x[2][c])) : NAN;
    }
}

vdit_status vdit_case_residual(vdit_run *run, vdit_tensor *picture, const vdit_golden *golden,
                               const vdit_tensor *sigma, const vdit_tensor *o, size_t lines)
{
    const vdit_tensor *right = vdit_golden_find(golden, "o");
    size_t rows, each, shape[2];
    double *x[3];
    vdit_call call;

    sigma = sigma ? sigma : vdit_golden_find(golden, "o.sigma");
    if (right == NULL || sigma == NULL || o->rank != 4 || lines == 0 ||
        memcmp(o->shape, right->shape, 4 * sizeof(size_t)) != 0)
        return vdit_run_fail(run, VDIT_ERR_SHAPE, "%s: no output to show", golden->name);
    if (vdit_call_read(run, &call, golden) != VDIT_OK)
        return vdit_run_status(run);
    rows = call.batches * call.heads * call.row_count;
    each = (rows + lines - 1) / lines;
    each = each ? each : 1;
    shape[0] = (rows + each - 1) / each;
    shape[1] = call.value_width;
    for (size_t i = 0; i < 3; i++)
        x[i] = vdit_run_alloc(run, call.value_width, sizeof *x[i]);
    if (vdit_tensor_new(run, picture, VDIT_F32, 2, shape) != VDIT_OK)
        return vdit_run_status(run);
    memset(picture->data, 0, shape[0] * shape[1] * sizeof(float));
    for (size_t i = 0; i < rows; i++) {
        size_t bh = i / call.row_count, r = i % call.row_count;
        vdit_row_load(x[0], right, bh / call.heads, bh % call.heads, r);
        vdit_row_load(x[1], o, bh / call.heads, bh % call.heads, r);
        vdit_row_load(x[2], sigma, bh / call.heads, bh % call.heads, r);
        add_line((float *)picture->data + i / each * shape[1], x, shape[1]);
    }
    for (size_t i = 0; i < shape[0] * shape[1]; i++) {
        float *z = (float *)picture->data + i;
        *z = sqrtf(*z / (float)each);
    }
    return VDIT_OK;
}
