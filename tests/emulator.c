/* emulator.c - attention kernels to judge: honest ones and broken ones, in plain loops. */
#include <math.h>
#include <string.h>
#include <vdit/random.h>
#include "emulator.h"

#define LOG2_E    1.4426950408889634
#define TILE      64
#define TWO_PI    6.283185307179586
#define LOOKED_AT 5 /* the key that is counted twice */

/* A standard normal number: Box and Muller over the counter-based generator. */
static double normal_at(uint64_t seed, uint32_t stream, size_t i)
{
    uint32_t counter[4] = {(uint32_t)i, stream, 0, 0}, out[4];
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};

    vdit_philox4x32_10(out, counter, key);
    return sqrt(-2 * log((out[0] + 0.5) * 0x1p-32)) * cos(TWO_PI * out[1] * 0x1p-32);
}

static double *fill_normal(vdit_run *run, uint64_t seed, uint32_t stream, size_t count)
{
    double *x = vdit_run_alloc(run, count, sizeof *x);

    for (size_t i = 0; i < count; i++)
        x[i] = normal_at(seed, stream, i);
    return x;
}

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/*
 * Each row is aimed at one key, a tile further each row: the logit of that key is ln N, about as much
 * as all others together, and a quarter of a random query is added.
 */
static void aim(double *q, const double *k, const emulator_case *c, double scale)
{
    for (size_t i = 0; i < c->rows; i++) {
        const double *target = k + (i * (TILE + 7) % c->keys) * c->width;
        double factor = log((double)c->keys) / scale / dot(target, target, c->width);
        for (size_t x = 0; x < c->width; x++)
            q[i * c->width + x] = 0.25 * q[i * c->width + x] + factor * target[x];
    }
}

static vdit_tensor store(vdit_run *run, double *x, vdit_dtype dtype, size_t rows, size_t width)
{
    size_t shape[4] = {1, 1, rows, width};
    vdit_tensor t;

    vdit_tensor_new(run, &t, dtype, 4, shape);
    for (size_t i = 0; i < rows * width; i++) {
        x[i] = vdit_round_f64(dtype, x[i]);
        vdit_store_f64((char *)t.data + i * vdit_dtype_size(dtype), dtype, x[i]);
    }
    return t;
}

/* sigma^2 of one element, term by term as in vdit/attention.h. */
static double variance(const double *v, size_t stride, const double *p, const double *errors,
                       size_t keys, double sum, double o, const vdit_noise *noise)
{
    double map = 0, scores = 0, size = 0, out = noise->out_unit * fabs(o);

    for (size_t j = 0; j < keys; j++) {
        double x = v[j * stride], step = noise->p_unit * p[j];
        step = (step > noise->p_sub ? step : noise->p_sub) / sum;
        map += step * step * x * x;
        scores += errors[j] * errors[j] * (x - o) * (x - o);
        size += p[j] / sum * fabs(x);
    }
    out = out > noise->out_sub ? out : noise->out_sub;
    size *= noise->sum_unit;
    return map / 3 + scores + out * out / 3 + size * size;
}

/* One row of the golden. p and errors are memory for a row of the map. */
static void golden_row(emulator_bench *b, size_t i, double *p, double *errors,
                       const vdit_noise *noise, double *o, double *sigma, double *lse)
{
    double scale = b->golden.scale, most = -HUGE_VAL, sum = 0;
    double norm = sqrt(dot(b->q + i * b->width, b->q + i * b->width, b->width));

    for (size_t j = 0; j < b->keys; j++) {
        const double *k = b->k + j * b->width;
        p[j] = scale * dot(b->q + i * b->width, k, b->width);
        errors[j] = noise->score_unit * scale * norm * sqrt(dot(k, k, b->width));
        most = p[j] > most ? p[j] : most;
    }
    for (size_t j = 0; j < b->keys; j++)
        sum += p[j] = exp(p[j] - most);
    for (size_t j = 0; j < b->keys; j++)
        errors[j] *= p[j] / sum;
    for (size_t c = 0; c < b->width; c++) {
        o[c] = 0;
        for (size_t j = 0; j < b->keys; j++)
            o[c] += p[j] / sum * b->v[j * b->width + c];
        sigma[c] = sqrt(variance(b->v + c, b->width, p, errors, b->keys, sum, o[c], noise));
    }
    *lse = most + log(sum);
}

static void make_outputs(vdit_run *run, emulator_bench *b, vdit_dtype dtype)
{
    vdit_noise noise = vdit_contract_noise(b->golden.contract, b->keys);
    size_t count = b->rows * b->width;
    double *o = vdit_run_alloc(run, count, sizeof *o), *p, *errors;
    double *sigma = vdit_run_alloc(run, count, sizeof *sigma);
    double *lse = vdit_run_alloc(run, b->rows, sizeof *lse);
    vdit_named outputs[3] = {{"o", {0}}, {"lse", {0}}, {"o.sigma", {0}}};

    p = vdit_run_alloc(run, b->keys, sizeof *p);
    errors = vdit_run_alloc(run, b->keys, sizeof *errors);
    for (size_t i = 0; i < b->rows; i++)
        golden_row(b, i, p, errors, &noise, o + i * b->width, sigma + i * b->width, lse + i);
    outputs[0].tensor = store(run, o, dtype, b->rows, b->width);
    outputs[1].tensor = store(run, lse, VDIT_F32, b->rows, 1);
    outputs[1].tensor.rank = 3;
    outputs[2].tensor = store(run, sigma, VDIT_BF16, b->rows, b->width);
    b->golden.output_count = 3;
    memcpy(b->golden.outputs, outputs, sizeof outputs);
}

void emulator_make(vdit_run *run, emulator_bench *bench, const emulator_case *c)
{
    emulator_bench b = {.rows = c->rows, .keys = c->keys, .width = c->width};
    vdit_named inputs[3] = {{"q", {0}}, {"k", {0}}, {"v", {0}}};

    b.golden.name = c->family;
    b.golden.op = VDIT_OP_ATTENTION;
    b.golden.contract = vdit_contract_default(c->dtype);
    b.golden.scale = 1 / sqrt((double)c->width);
    b.q = fill_normal(run, c->seed, 0, c->rows * c->width);
    b.k = fill_normal(run, c->seed, 1, c->keys * c->width);
    b.v = fill_normal(run, c->seed, 2, c->keys * c->width);
    if (strcmp(c->family, "needle") == 0)
        aim(b.q, b.k, c, b.golden.scale);
    if (strcmp(c->family, "uniform") == 0)
        memset(b.q, 0, c->rows * c->width * sizeof *b.q);
    inputs[0].tensor = store(run, b.q, c->dtype, c->rows, c->width);
    inputs[1].tensor = store(run, b.k, c->dtype, c->keys, c->width);
    inputs[2].tensor = store(run, b.v, c->dtype, c->keys, c->width);
    b.golden.input_count = 3;
    memcpy(b.golden.inputs, inputs, sizeof inputs);
    make_outputs(run, &b, c->dtype);
    b.dots = vdit_run_alloc(run, c->rows * c->keys, sizeof *b.dots);
    for (size_t i = 0; i < c->rows; i++)
        for (size_t j = 0; j < c->keys; j++) {
            float sum = 0;
            for (size_t x = 0; x < c->width; x++)
                sum += (float)b.q[i * c->width + x] * (float)b.k[j * c->width + x];
            b.dots[i * c->keys + j] = sum;
        }
    *bench = b;
}

/* What a kernel keeps for a row. */
typedef struct state {
    const emulator_bench *bench;
    const emulator_kernel *kernel;
    vdit_dtype dtype;
    float *logits, *o; /* [keys], [width] */
    float most, sum;
} state;

static float round_to(vdit_dtype dtype, float x)
{
    return (float)vdit_round_f64(dtype, x);
}

static float power(const state *s, float x)
{
    return s->kernel->uses_exp2 ? exp2f(x) : expf(x);
}

/* The logits of a row, in f32, with the faults that concern them. */
static void make_logits(state *s, size_t row)
{
    double factor = s->kernel->scale != 0 ? s->kernel->scale : 1;
    float scale = (float)(s->bench->golden.scale * factor * (s->kernel->uses_exp2 ? LOG2_E : 1));

    for (size_t j = 0; j < s->bench->keys; j++) {
        s->logits[j] = s->bench->dots[row * s->bench->keys + j] * scale;
        if (s->kernel->rounds_scores)
            s->logits[j] = round_to(VDIT_BF16, s->logits[j]);
    }
}

/* Adds weight * V of key j to the output. */
static void add_value(state *s, size_t j, float weight)
{
    double factor = s->kernel->gain != 0 ? s->kernel->gain : 1;
    const double *v;

    if (s->kernel->swaps_tile && j >= TILE && j < 2 * TILE)
        j += TILE;
    v = s->bench->v + j * s->bench->width;
    for (size_t c = 0; c < s->bench->width; c++)
        s->o[c] += weight * (float)(v[c] * factor);
}

static void add_key(state *s, size_t j, float p)
{
    float rounded = s->kernel->keeps_map ? p : round_to(s->dtype, p);

    s->sum += s->kernel->sums_rounded ? rounded : p;
    add_value(s, j, rounded);
}

/* One block of keys of the online softmax. */
static void add_block(state *s, size_t first, size_t last)
{
    float most = s->most, correction;

    for (size_t j = first; j < last; j++)
        most = s->logits[j] > most ? s->logits[j] : most;
    correction = power(s, s->most - most);
    s->sum *= correction;
    for (size_t c = 0; c < s->bench->width; c++)
        s->o[c] *= correction;
    s->most = most;
    for (size_t j = first; j < last; j++) {
        add_key(s, j, power(s, s->logits[j] - most));
        if (s->kernel->counts_twice && j == LOOKED_AT)
            add_key(s, j, power(s, s->logits[j] - most));
    }
}

static void run_online(state *s, size_t keys)
{
    size_t block = s->kernel->block ? s->kernel->block : TILE, blocks = (keys + block - 1) / block;

    for (size_t i = 0; i < blocks; i++) {
        size_t at = (s->kernel->is_backwards ? blocks - 1 - i : i) * block;
        add_block(s, at, at + block < keys ? at + block : keys);
    }
    for (size_t c = 0; c < s->bench->width; c++)
        s->o[c] /= s->sum;
}

/* The plain way: the whole map, normalised, then rounded. */
static void run_two_pass(state *s, size_t keys)
{
    for (size_t j = 0; j < keys; j++)
        s->most = s->logits[j] > s->most ? s->logits[j] : s->most;
    for (size_t j = 0; j < keys; j++)
        s->sum += s->logits[j] = expf(s->logits[j] - s->most);
    for (size_t j = 0; j < keys; j++)
        add_value(s, j, round_to(s->dtype, s->logits[j] / s->sum));
}

void emulator_run(vdit_run *run, vdit_tensor *o, vdit_tensor *lse, const emulator_bench *bench,
                  const emulator_kernel *kernel)
{
    size_t shape[4] = {1, 1, bench->rows, bench->width}, keys = bench->keys - kernel->drops;
    vdit_dtype dtype = bench->golden.outputs[0].tensor.dtype;
    state s = {.bench = bench, .kernel = kernel, .dtype = dtype};

    vdit_tensor_new(run, o, dtype, 4, shape);
    vdit_tensor_new(run, lse, VDIT_F32, 3, shape);
    s.logits = vdit_run_alloc(run, bench->keys, sizeof *s.logits);
    s.o = vdit_run_alloc(run, bench->width, sizeof *s.o);
    for (size_t i = 0; i < bench->rows; i++) {
        size_t index[4] = {0, 0, i, 0};
        s.most = -HUGE_VALF;
        s.sum = 0;
        memset(s.o, 0, bench->width * sizeof *s.o);
        make_logits(&s, i);
        if (kernel->is_two_pass)
            run_two_pass(&s, keys);
        else
            run_online(&s, keys);
        for (size_t c = 0; c < bench->width; c++)
            vdit_store_f64((char *)o->data + (i * bench->width + c) * vdit_dtype_size(dtype), dtype,
                           s.o[c]);
        *(float *)vdit_tensor_at(lse, index) =
            s.most * (kernel->uses_exp2 ? (float)(1 / LOG2_E) : 1) + logf(s.sum);
    }
}
