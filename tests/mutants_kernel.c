/* mutants_kernel.c - attention head by head and row by row, with what is wrong put in its place. */
#include <math.h>
#include <stdint.h>
#include <string.h>
#include "mutants.h"

#define LOG2_E 0x1.71547652b82fep+0 /* log2 e */

float mutant_dot_lanes(const float *a, const float *b, size_t n)
{
    float lanes[MUTANT_LANE] = {0}, sum = 0;

    for (size_t c = 0; c < n; c += MUTANT_LANE)
        for (size_t i = 0; i < MUTANT_LANE; i++)
            lanes[i] += a[c + i] * b[c + i];
    for (size_t i = 0; i < MUTANT_LANE; i++)
        sum += lanes[i];
    return sum;
}

/* The product of two f32 is exact in binary64; that the sum rounds there first hardly shows. */
float mutant_dot_fused(const float *a, const float *b, size_t n)
{
    float lanes[MUTANT_LANE] = {0}, sum = 0;

    for (size_t c = 0; c < n; c += MUTANT_LANE)
        for (size_t i = 0; i < MUTANT_LANE; i++)
            lanes[i] = (float)((double)a[c + i] * b[c + i] + lanes[i]);
    for (size_t i = 0; i < MUTANT_LANE; i++)
        sum += lanes[i];
    return sum;
}

float mutant_dot_in_order(const float *a, const float *b, size_t n)
{
    float sum = 0;

    for (size_t c = 0; c < n; c++)
        sum += a[c] * b[c];
    return sum;
}

float mutant_dot_pairs(const float *a, const float *b, size_t n)
{
    size_t half = n / 2;

    if (n <= MUTANT_LANE)
        return mutant_dot_in_order(a, b, n);
    return mutant_dot_pairs(a, b, half) + mutant_dot_pairs(a + half, b + half, n - half);
}

/* Memory for one row; each thread has its own. */
typedef struct worker {
    float *q, *masks, *logits;
    double *load;
    mutant_softmax softmax;
} worker;

/* A call on the way: the head that is computed now. */
typedef struct kernel {
    const vdit_attention *a;
    const mutant *m;
    mutant_head head;
    mutant_route route;
    const float **keys, **values; /* [steps] */
    float *zeros;
    worker *workers;
    int threads;
} kernel;

static size_t padded(size_t n)
{
    return (n + MUTANT_LANE - 1) / MUTANT_LANE * MUTANT_LANE;
}

static void worker_new(vdit_run *run, worker *w, const kernel *k, size_t steps)
{
    size_t keys = k->a->k->shape[2], dv = k->head.value_width;

    memset(w, 0, sizeof *w);
    w->q = vdit_run_alloc(run, k->head.key_width, sizeof(float));
    w->masks = vdit_run_alloc(run, keys, sizeof(float));
    w->load = vdit_run_alloc(run, keys, sizeof(double));
    w->logits = vdit_run_alloc(run, steps, sizeof(float));
    w->softmax.p = vdit_run_alloc(run, steps, sizeof(float));
    w->softmax.block = vdit_run_alloc(run, dv, sizeof(float));
    w->softmax.o = vdit_run_alloc(run, dv, sizeof(float));
    w->softmax.part = vdit_run_alloc(run, dv, sizeof(float));
}

static vdit_status kernel_new(vdit_run *run, kernel *w, const vdit_attention *a, const mutant *m)
{
    size_t keys = a->k->shape[2], steps = keys + 3 * MUTANT_TILE;
    size_t d = padded(a->q->shape[3]), dv = padded(a->v->shape[3]), most = d > dv ? d : dv;

    memset(w, 0, sizeof *w);
    w->a = a;
    w->m = m;
    w->threads = vdit_run_threads(run);
    w->head = (mutant_head){.a = a, .key_width = d, .value_width = dv};
    w->head.k = vdit_run_alloc(run, keys * d, sizeof(float));
    w->head.v = vdit_run_alloc(run, keys * dv, sizeof(float));
    w->route.steps = vdit_run_alloc(run, steps, sizeof *w->route.steps);
    w->keys = vdit_run_alloc(run, steps, sizeof *w->keys);
    w->values = vdit_run_alloc(run, steps, sizeof *w->values);
    w->zeros = vdit_run_alloc(run, most, sizeof(float));
    w->workers = vdit_run_alloc(run, (size_t)w->threads, sizeof *w->workers);
    for (int i = 0; vdit_run_status(run) == VDIT_OK && i < w->threads; i++)
        worker_new(run, &w->workers[i], w, steps);
    if (vdit_run_status(run) == VDIT_OK)
        memset(w->zeros, 0, most * sizeof(float));
    return vdit_run_status(run);
}

void mutant_row_load(float *out, size_t width, const vdit_tensor *t, size_t b, size_t h, size_t i)
{
    size_t index[4] = {b, h, i, 0}, n = t->shape[3];
    double part[MUTANT_LANE];

    for (size_t c = 0; c < width; c++) {
        if (c % MUTANT_LANE == 0 && c < n) {
            index[3] = c;
            vdit_load_f64(part, n - c < MUTANT_LANE ? n - c : MUTANT_LANE, vdit_tensor_at(t, index),
                          t->stride[3], t->dtype);
        }
        out[c] = c < n ? (float)part[c % MUTANT_LANE] : 0;
    }
}

static mutant_place place_at(const kernel *w, size_t b, size_t h, size_t row)
{
    mutant_place p = {b,
                      h,
                      row,
                      b,
                      h,
                      b,
                      h,
                      row,
                      b,
                      w->a->q->shape[0],
                      w->a->q->shape[1],
                      w->a->q->shape[2],
                      w->a->k->shape[2]};

    if (w->m->place != NULL)
        w->m->place(&p);
    return p;
}

/* The keys below key_length, or what the fault takes for it. */
static size_t valid_keys(const kernel *w, size_t batch)
{
    size_t keys = w->a->k->shape[2];
    double valid = (double)keys;

    if (w->a->key_length != NULL)
        vdit_load_f64(&valid, 1, vdit_tensor_at(w->a->key_length, &batch), 1,
                      w->a->key_length->dtype);
    return w->m->length ? w->m->length((size_t)valid, keys) : (size_t)valid;
}

/* Loads k and v of a head, and lays out the way through them. */
static void head_begin(kernel *w, size_t b, size_t h)
{
    mutant_head *head = &w->head;
    size_t keys = w->a->k->shape[2];

    head->place = place_at(w, b, h, 0);
    head->valid = valid_keys(w, head->place.length_batch);
    for (size_t j = 0; j < keys; j++) {
        mutant_row_load(head->k + j * head->key_width, head->key_width, w->a->k,
                        head->place.key_batch, head->place.key_head, j);
        mutant_row_load(head->v + j * head->value_width, head->value_width, w->a->v,
                        head->place.value_batch, head->place.value_head, j);
    }
    if (w->m->load != NULL)
        w->m->load(head);
    w->route.count = head->valid;
    w->route.keys = keys;
    for (size_t j = 0; j < head->valid; j++)
        w->route.steps[j] = (struct mutant_step){j, j};
    if (w->m->route != NULL)
        w->m->route(&w->route);
    for (size_t t = 0; t < w->route.count; t++) {
        struct mutant_step s = w->route.steps[t];
        w->keys[t] = s.key == MUTANT_PADDING ? w->zeros : head->k + s.key * head->key_width;
        w->values[t] = s.value == MUTANT_PADDING ? w->zeros : head->v + s.value * head->value_width;
    }
}

/* Out: masks[keys], what the mask adds to the logits of a row. */
static void masks_load(const kernel *k, worker *w, const mutant_place *p)
{
    const vdit_tensor *m = k->a->mask;
    size_t keys = k->a->k->shape[2];

    memset(w->masks, 0, keys * sizeof *w->masks);
    if (m != NULL && k->m->mask != MASK_IGNORED) {
        size_t index[4] = {m->shape[0] == 1 ? 0 : p->batch, m->shape[1] == 1 ? 0 : p->head,
                           m->shape[2] == 1 ? 0 : p->mask_row, 0};
        vdit_load_f64(w->load, keys, vdit_tensor_at(m, index), m->shape[3] == 1 ? 0 : m->stride[3],
                      m->dtype);
        for (size_t j = 0; j < keys; j++) {
            double x = w->load[j];
            if (m->dtype == VDIT_BOOL)
                x = x != 0 ? 0 : -HUGE_VAL;
            if (k->m->mask == MASK_INVERTED && j < MUTANT_TILE)
                x = x == -HUGE_VAL ? 0 : -HUGE_VAL;
            w->masks[j] = (float)x;
        }
    }
    for (size_t j = p->row + 1; k->m->mask == MASK_CAUSAL && j < keys; j++)
        w->masks[j] = -HUGE_VALF;
}

static mutant_dot *dot_of(const mutant *m)
{
    if (m->dot != NULL)
        return m->dot;
    return m->is_fused ? mutant_dot_fused : m->is_pairwise ? mutant_dot_pairs : mutant_dot_lanes;
}

/* Out: w->logits, of every step. */
static void logits_make(const kernel *k, worker *w, const mutant_place *p)
{
    const mutant *m = k->m;
    mutant_dot *dot = dot_of(m);
    double scale = m->scale ? m->scale(k->a->scale, k->a->q->shape[3]) : k->a->scale;
    float unit = m->uses_exp2 ? (float)LOG2_E : 1, factor = (float)scale;

    mutant_row_load(w->q, k->head.key_width, k->a->q, p->batch, p->head, p->row);
    masks_load(k, w, p);
    for (size_t c = 0; m->scales_q && c < k->head.key_width; c++)
        w->q[c] *= factor;
    for (size_t t = 0; t < k->route.count; t++) {
        size_t key = k->route.steps[t].key;
        float mask = key == MUTANT_PADDING ? 0 : w->masks[key], s = -HUGE_VALF;

        if (mask != -HUGE_VALF) {
            s = dot(w->q, k->keys[t], k->head.key_width);
            if (m->mask == MASK_SCALED)
                s += mask;
            s = (m->scales_q ? s : s * factor) + (m->mask == MASK_SCALED ? 0 : mask);
        }
        w->logits[t] = mutant_round(m->scores, VDIT_F32, s) * unit;
    }
}

static void row_store(const kernel *k, const worker *w, size_t b, size_t h, size_t r)
{
    const vdit_tensor *o = k->a->o, *lse = k->a->lse;
    size_t index[4] = {b, h, r, 0}, width = k->a->v->shape[3];

    for (size_t c = 0; o != NULL && c < width; c++) {
        index[3] = c;
        vdit_store_f64(vdit_tensor_at(o, index), o->dtype,
                       mutant_round(k->m->output, VDIT_F32, w->softmax.o[c]));
    }
    if (lse != NULL)
        vdit_store_f64(vdit_tensor_at(lse, index), lse->dtype, w->softmax.lse);
}

static void row_run(const kernel *k, worker *w, size_t b, size_t h, size_t r)
{
    mutant_softmax *s = &w->softmax;
    mutant_place p;
    mutant_result result;
    double row = (double)r;

    if (k->a->rows != NULL)
        vdit_load_f64(&row, 1, vdit_tensor_at(k->a->rows, &r), 1, k->a->rows->dtype);
    p = place_at(k, b, h, (size_t)row);
    logits_make(k, w, &p);
    s->m = k->m;
    s->dtype = k->a->q->dtype;
    s->count = k->route.count;
    s->width = k->head.value_width;
    s->logits = w->logits;
    s->values = k->values;
    mutant_softmax_run(s);
    result = (mutant_result){s->o, &s->lse, k->a->v->shape[3], r, &p};
    if (k->m->damage != NULL)
        k->m->damage(&result);
    row_store(k, w, b, h, r);
}

/* The rows of one head, of which each thread takes every threads-th. */
static void head_run(kernel *k, size_t b, size_t h, size_t rows)
{
    head_begin(k, b, h);
#ifdef _OPENMP
#pragma omp parallel for num_threads(k->threads) schedule(static)
#endif
    for (int i = 0; i < k->threads; i++)
        for (size_t r = (size_t)i; r < rows; r += (size_t)k->threads)
            row_run(k, &k->workers[i], b, h, r);
}

vdit_status mutant_attention(vdit_run *run, const vdit_attention *a, const mutant *m)
{
    size_t mark = vdit_run_mark(run), rows = a->rows ? a->rows->shape[0] : a->q->shape[2];
    kernel k;

    if (a->map != NULL || a->sigma != NULL || a->edits != NULL)
        return vdit_run_fail(run, VDIT_ERR_UNSUPPORTED, "%s: o and lse alone are computed",
                             m->name);
    if (kernel_new(run, &k, a, m) == VDIT_OK)
        for (size_t b = 0; b < a->q->shape[0]; b++)
            for (size_t h = 0; h < a->q->shape[1]; h++)
                head_run(&k, b, h, rows);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
