/*
 * judge_call.c - what the judge works out of an attention call: which keys are valid, the mean of V
 * over them (would it pass?), and the noise of the log-sum-exp.
 */
#include <math.h>
#include <string.h>
#include "golden/judge.h"
#include "golden/planned.h"

/* Operands of the source call, and the largest scale: the errors of logits grow with it. */
static void read_edits(vdit_call *c, const vdit_attention *a)
{
    double scale = fabs(c->scale);

    for (size_t h = 0; h < a->q->shape[1]; h++) {
        const vdit_edit *e = a->edits[h];
        if (e == NULL)
            continue;
        if (e->transfer & VDIT_FROM_Q)
            c->q = e->source_q;
        if (e->transfer & VDIT_FROM_K)
            c->k = e->source_k;
        if (e->transfer & VDIT_FROM_V)
            c->v = e->source_v;
        if (e->temperature > 0 && scale / e->temperature > fabs(c->scale))
            c->scale = scale / e->temperature;
    }
}

vdit_status vdit_call_read(vdit_run *run, vdit_call *call, const vdit_golden *golden)
{
    vdit_call c = {.q = vdit_golden_find(golden, "q"),
                   .k = vdit_golden_find(golden, "k"),
                   .v = vdit_golden_find(golden, "v"),
                   .mask = vdit_golden_find(golden, "mask"),
                   .key_length = vdit_golden_find(golden, "key_length"),
                   .rows = vdit_golden_find(golden, "rows"),
                   .scale = golden->scale};
    vdit_attention a;

    if (c.q == NULL || c.k == NULL || c.v == NULL)
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: q, k and v were expected", golden->name);
    vdit_attention_init(&a, c.q, c.k, c.v);
    a.mask = c.mask;
    a.key_length = c.key_length;
    a.rows = c.rows;
    a.scale = c.scale;
    if (vdit_attention_check(run, &a) != VDIT_OK)
        return vdit_run_status(run);
    if (vdit_planned_call(run, &a, golden) != VDIT_OK)
        return vdit_run_status(run);
    if (a.edits != NULL)
        read_edits(&c, &a);
    c.batches = c.q->shape[0];
    c.heads = c.q->shape[1];
    c.row_count = c.rows ? c.rows->shape[0] : c.q->shape[2];
    c.keys = c.k->shape[2];
    c.width = c.q->shape[3];
    c.value_width = c.v->shape[3];
    *call = c;
    return VDIT_OK;
}

double vdit_number_at(const vdit_tensor *t, const size_t *index)
{
    double x;

    vdit_load_f64(&x, 1, vdit_tensor_at(t, index), 0, t->dtype);
    return x;
}

size_t vdit_call_row(const vdit_call *call, size_t r)
{
    return call->rows ? (size_t)vdit_number_at(call->rows, &r) : r;
}

void vdit_row_load(double *out, const vdit_tensor *t, size_t b, size_t h, size_t i)
{
    size_t index[4] = {b, h, i, 0};

    vdit_load_f64(out, t->shape[3], vdit_tensor_at(t, index), t->stride[3], t->dtype);
}

void vdit_call_masks(const vdit_call *call, double *masks, size_t batch, size_t head, size_t r)
{
    const vdit_tensor *m = call->mask;
    size_t valid = call->keys;

    memset(masks, 0, call->keys * sizeof *masks);
    if (m != NULL) {
        size_t index[4] = {m->shape[0] == 1 ? 0 : batch, m->shape[1] == 1 ? 0 : head,
                           m->shape[2] == 1 ? 0 : vdit_call_row(call, r), 0};

        vdit_load_f64(masks, call->keys, vdit_tensor_at(m, index),
                      m->shape[3] == 1 ? 0 : m->stride[3], m->dtype);
        if (m->dtype == VDIT_BOOL)
            for (size_t j = 0; j < call->keys; j++)
                masks[j] = masks[j] != 0 ? 0 : -HUGE_VAL;
    }
    if (call->key_length != NULL)
        valid = (size_t)vdit_number_at(call->key_length, &batch);
    for (size_t j = valid; j < call->keys; j++)
        masks[j] = -HUGE_VAL;
}

/* Returns: 1 if row r has other valid keys than the row before it may have. */
static int masks_change(const vdit_call *call, size_t r)
{
    return r == 0 || call->mask != NULL;
}

/* Out: mean[dv] and size[dv], the means of v and |v| over the valid keys; 0 without any. */
static void mean_of_values(const vdit_call *call, double *mean, double *size, double *v,
                           const double *masks, size_t b, size_t h)
{
    size_t valid = 0;

    memset(mean, 0, call->value_width * sizeof *mean);
    memset(size, 0, call->value_width * sizeof *size);
    for (size_t j = 0; j < call->keys; j++) {
        if (masks[j] == -HUGE_VAL)
            continue;
        valid++;
        vdit_row_load(v, call->v, b, h, j);
        for (size_t c = 0; c < call->value_width; c++) {
            mean[c] += v[c];
            size[c] += fabs(v[c]);
        }
    }
    for (size_t c = 0; valid != 0 && c < call->value_width; c++) {
        mean[c] /= (double)valid;
        size[c] /= (double)valid;
    }
}

/* Returns: 1 if a golden element is the mean up to one step of its format and the sum's rounding. */
static int is_mean(double golden, double mean, double size, vdit_dtype dtype)
{
    double step =
        vdit_dtype_roundoff(dtype) * fabs(mean) * 2 + vdit_dtype_roundoff(VDIT_F32) * size;

    return (isnan(golden) && isnan(mean)) || golden == mean || fabs(golden - mean) <= step;
}

vdit_status vdit_call_mean(vdit_run *run, vdit_tensor *mean, int *exact, const vdit_call *call,
                           const vdit_tensor *golden)
{
    double *masks = vdit_run_alloc(run, call->keys, sizeof *masks);
    double *m = vdit_run_alloc(run, call->value_width, sizeof *m);
    double *size = vdit_run_alloc(run, call->value_width, sizeof *size);
    double *line = vdit_run_alloc(run, call->value_width, sizeof *line);

    if (vdit_tensor_new(run, mean, golden->dtype, golden->rank, golden->shape) != VDIT_OK)
        return vdit_run_status(run);
    *exact = 1;
    for (size_t b = 0; b < call->batches; b++)
        for (size_t h = 0; h < call->heads; h++)
            for (size_t r = 0; r < call->row_count; r++) {
                if (masks_change(call, r)) {
                    vdit_call_masks(call, masks, b, h, r);
                    mean_of_values(call, m, size, line, masks, b, h);
                }
                vdit_row_load(line, golden, b, h, r);
                for (size_t c = 0; c < call->value_width; c++) {
                    size_t index[4] = {b, h, r, c};
                    vdit_store_f64(vdit_tensor_at(mean, index), mean->dtype, m[c]);
                    *exact &= is_mean(line[c], m[c], size[c], golden->dtype);
                }
            }
    return vdit_run_status(run);
}

static double norm(const double *x, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sqrt(sum);
}

/* The largest norm of a valid key. */
static double largest_key(const vdit_call *call, const double *norms, const double *masks)
{
    double most = 0;

    for (size_t j = 0; j < call->keys; j++)
        if (masks[j] != -HUGE_VAL && !(norms[j] <= most))
            most = norms[j];
    return most;
}

/*
 * With every logit off by at most e = score_unit |scale| |q| max|k|, the log-sum-exp is off by at most
 * e; the sum itself carries the accumulation's relative error; logarithm, sum and result round in f32.
 */
static double lse_sigma(const vdit_call *call, const vdit_noise *noise, double q, double k,
                        double lse)
{
    double score = noise->score_unit * fabs(call->scale) * q * k;
    double sum = noise->sum_unit * sqrt(1 + (double)call->keys / 3);
    double rounding = vdit_dtype_roundoff(VDIT_F32) * (1 + fabs(lse));

    return sqrt(score * score + sum * sum + rounding * rounding);
}

vdit_status vdit_call_lse_sigma(vdit_run *run, vdit_tensor *sigma, const vdit_call *call,
                                const vdit_tensor *lse, const vdit_noise *noise)
{
    size_t shape[4] = {call->batches, call->heads, call->row_count, 1};
    double *norms = vdit_run_alloc(run, call->keys, sizeof *norms);
    double *masks = vdit_run_alloc(run, call->keys, sizeof *masks);
    double *line = vdit_run_alloc(run, call->width, sizeof *line), most = 0;

    if (vdit_tensor_new(run, sigma, VDIT_F64, 4, shape) != VDIT_OK)
        return vdit_run_status(run);
    for (size_t b = 0; b < call->batches; b++)
        for (size_t h = 0; h < call->heads; h++) {
            for (size_t j = 0; j < call->keys; j++) {
                vdit_row_load(line, call->k, b, h, j);
                norms[j] = norm(line, call->width);
            }
            for (size_t r = 0; r < call->row_count; r++) {
                size_t index[4] = {b, h, r, 0};
                if (masks_change(call, r)) {
                    vdit_call_masks(call, masks, b, h, r);
                    most = largest_key(call, norms, masks);
                }
                vdit_row_load(line, call->q, b, h, vdit_call_row(call, r));
                *(double *)vdit_tensor_at(sigma, index) = lse_sigma(
                    call, noise, norm(line, call->width), most, vdit_number_at(lse, index));
            }
        }
    return vdit_run_status(run);
}
