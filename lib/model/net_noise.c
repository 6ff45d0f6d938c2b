/*
 * net_noise.c - the noise of an honest kernel, added to what operators return: a shadow run (vdit-trace(5)).
 *
 * What an element errs by is drawn evenly within +-sqrt(3) sigma of
 *     sigma^2 = 1/3 max(out_unit |y|, out_sub)^2 + (p_unit^2 + (4 + K / 16) sum_unit^2) / 3 * m
 * with m the mean square of its row: the first term is the rounding of the result. In the second p_unit stands for
 * operands that a unit rounds before it multiplies; 4 = 2^2 for a function or a product that errs by two units; and
 * a sum of K terms that rounds by up to u of what it has reached is a walk, which ends off by
 * u sqrt(K / 2 / 3) of its size if it is one chain. Kernels add in 8 chains or more, K / 8 terms each: u^2 / 3 K / 16.
 * Attention has a sigma of its own, that of the noise model, element by element (vdit/attention.h).
 */
#include <math.h>
#include <vdit/random.h>
#include "model/net.h"

#define CHAINS 16 /* 8 of them, and the 2 of the walk */

/* The units of f32: what the original keeps in f32 has them in half precision too. */
static const vdit_noise single = {.p_unit = 0x1p-23,
                                  .score_unit = 0x1p-21,
                                  .out_unit = 0x1p-24,
                                  .out_sub = 0x1p-133,
                                  .sum_unit = 0x1p-24};

/* The random numbers of one result: word 0 to 3 of counter (i / 4, operator, 0, 0) are those of elements i. */
typedef struct stream {
    uint32_t key[2], operation, words[4];
    uint64_t at;
} stream;

/* Returns: a uniform number in [-1, 1). */
static double next(stream *s)
{
    if (s->at % 4 == 0) {
        const uint32_t counter[4] = {(uint32_t)(s->at / 4), (uint32_t)(s->at / 4 >> 32),
                                     s->operation, 0};
        vdit_philox4x32_10(s->words, counter, s->key);
    }
    return (double)s->words[s->at++ % 4] * 0x1p-31 - 1;
}

static stream start(vdit_net *net)
{
    stream s = {.key = {net->call->noise_seed, 0}, .operation = net->operators++};

    return s;
}

/* Returns: the noise of what has this dtype. */
static const vdit_noise *units(const vdit_net *net, vdit_dtype dtype)
{
    return dtype == VDIT_F32 && net->policy != VDIT_F32 ? &single : net->call->noise;
}

/* Out: y[n]. In: row[n], y in binary64; common, the variance that all its elements have. */
static void add_row(stream *s, char *y, vdit_dtype dtype, const double *row, size_t n,
                    const vdit_noise *noise, double common)
{
    size_t size = vdit_dtype_size(dtype);

    for (size_t i = 0; i < n; i++) {
        double own = noise->out_unit * fabs(row[i]);

        own = own > noise->out_sub ? own : noise->out_sub;
        vdit_store_f64(y + i * size, dtype, row[i] + next(s) * sqrt(own * own + 3 * common));
    }
}

static double mean_square(const double *row, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += isfinite(row[i]) ? row[i] * row[i] : 0;
    return n > 0 ? sum / (double)n : 0;
}

void vdit_net_perturb(vdit_net *net, const vdit_tensor *y, size_t terms)
{
    size_t n = y->rank > 0 ? y->shape[y->rank - 1] : 1, count, mark;
    const vdit_noise *noise;
    double *row, common;
    stream s;

    if (net->dry || net->call->noise == NULL || vdit_run_status(net->run) != VDIT_OK)
        return;
    noise = units(net, y->dtype);
    common = noise->p_unit * noise->p_unit +
             (4 + (double)terms / CHAINS) * noise->sum_unit * noise->sum_unit;
    mark = vdit_run_mark(net->run);
    row = vdit_run_alloc(net->run, n, sizeof *row);
    count = vdit_tensor_count(y);
    s = start(net);
    for (size_t i = 0; row != NULL && i < count; i += n) {
        char *at = (char *)y->data + i * vdit_dtype_size(y->dtype);

        vdit_load_f64(row, n, at, 1, y->dtype);
        add_row(&s, at, y->dtype, row, n, noise, common / 3 * mean_square(row, n));
    }
    vdit_run_release(net->run, mark);
}

/* Returns: the address of the i-th element in row-major order. */
static void *element(const vdit_tensor *t, size_t i)
{
    size_t index[VDIT_MAX_RANK];

    for (int axis = t->rank - 1; axis >= 0; axis--) {
        index[axis] = i % t->shape[axis];
        i /= t->shape[axis];
    }
    return vdit_tensor_at(t, index);
}

void vdit_net_jitter(vdit_net *net, vdit_tensor *t, double roundings)
{
    vdit_tensor moved;
    double *to;
    stream s;

    if (net->dry || net->call->noise == NULL ||
        vdit_tensor_new(net->run, &moved, VDIT_F64, t->rank, t->shape) != VDIT_OK)
        return;
    to = moved.data;
    s = start(net);
    for (size_t i = 0; i < vdit_tensor_count(t); i++) {
        vdit_load_f64(&to[i], 1, element(t, i), 1, t->dtype);
        to[i] += (next(&s) < 0 ? -roundings : roundings) * single.sum_unit * to[i];
    }
    *t = moved;
}

vdit_status vdit_net_attend_noisily(vdit_net *net, const vdit_attention *call)
{
    vdit_attention noisy = *call;
    vdit_tensor sigma;
    stream s;

    noisy.noise = vdit_noise_over(units(net, call->o->dtype), call->k->shape[2]);
    vdit_tensor_new(net->run, &sigma, VDIT_BF16, 4, call->o->shape);
    noisy.sigma = &sigma;
    if (vdit_run_status(net->run) != VDIT_OK ||
        vdit_attention_reference(net->run, &noisy) != VDIT_OK)
        return vdit_run_status(net->run);
    s = start(net);
    for (size_t i = 0; i < vdit_tensor_count(&sigma); i++) {
        void *at = element(call->o, i);
        double value, spread;

        vdit_load_f64(&value, 1, at, 1, call->o->dtype);
        vdit_load_f64(&spread, 1, element(&sigma, i), 1, VDIT_BF16);
        vdit_store_f64(at, call->o->dtype, value + next(&s) * sqrt(3 * spread * spread));
    }
    return VDIT_OK;
}
