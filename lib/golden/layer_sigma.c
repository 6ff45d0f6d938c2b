/* layer_sigma.c - sigma of the operators of the networks, in binary64 in a fixed order. */
#include <math.h>
#include "golden/layer.h"
#include "golden/layer_activation.h"

/* What is added up for one element. */
typedef struct terms {
    double count, sum, square; /* how many; sum |t|; sum t^2 */
} terms;

static void add_term(terms *t, double value)
{
    t->count++;
    t->sum += fabs(value);
    t->square += value * value;
}

/* Returns: an input in binary64, dense, in the run's memory; NULL with the run failed. */
static double *load(vdit_run *run, const vdit_tensor *t)
{
    size_t count = vdit_tensor_count(t);
    double *value = vdit_run_alloc(run, count, sizeof *value);
    void *dense = vdit_run_alloc(run, count, vdit_dtype_size(t->dtype));

    if (vdit_run_status(run) != VDIT_OK)
        return NULL;
    vdit_tensor_pack(dense, t);
    vdit_load_f64(value, count, dense, 1, t->dtype);
    return value;
}

/* The golden's tensors in binary64, and what the sums run over. */
typedef struct sigma_state {
    const vdit_golden *golden;
    const vdit_noise *noise;
    const double *x, *second, *third, *y; /* second, third: NULL if there is none */
    size_t last;                          /* extent of the last axis of x */
} sigma_state;

/* 1/3 max(out_unit |y|, out_sub)^2 */
static double output_variance(const vdit_noise *noise, double y)
{
    double step = noise->out_unit * fabs(y);

    if (step < noise->out_sub)
        step = noise->out_sub;
    return step * step / 3;
}

/* The terms of element i of a short sum. */
static terms short_terms(const sigma_state *s, size_t i)
{
    size_t column = i % s->last, even = i - column % 2, pair = i / 2;
    terms t = {0};

    switch (s->golden->op) {
    case VDIT_OP_ADD:
        add_term(&t, s->x[i]);
        add_term(&t, s->second[i]);
        break;
    case VDIT_OP_MODULATE:
        add_term(&t, s->x[i]);
        add_term(&t, s->x[i] * s->second[column]);
        add_term(&t, s->third[column]);
        break;
    case VDIT_OP_GATED_ADD:
        add_term(&t, s->x[i]);
        add_term(&t, s->second[column] * s->third[i]);
        break;
    default: /* rotary */
        add_term(&t, s->x[i] * s->second[pair]);
        add_term(&t, s->x[i == even ? i + 1 : even] * s->third[pair]);
    }
    return t;
}

/* The terms of element i of a convolution whose stride is its kernel, [C, patch] after the batch. */
static terms conv_terms(const sigma_state *s, const vdit_tensor *y, size_t i)
{
    const vdit_tensor *x = &s->golden->inputs[0].tensor, *w = &s->golden->inputs[1].tensor;
    size_t depth = vdit_tensor_count(w) / w->shape[0], to[VDIT_MAX_RANK] = {0};
    size_t from[VDIT_MAX_RANK] = {0};
    terms t = {0};

    for (int axis = y->rank - 1; axis >= 0; axis--) {
        to[axis] = i % y->shape[axis];
        i /= y->shape[axis];
    }
    for (size_t k = 0; k < depth; k++) {
        size_t rest = k, at = to[0];
        for (int axis = w->rank - 1; axis > 0; axis--) {
            from[axis] = rest % w->shape[axis];
            rest /= w->shape[axis];
        }
        for (int axis = 1; axis < x->rank; axis++)
            at = at * x->shape[axis] + from[axis] + (axis > 1 ? to[axis] * w->shape[axis] : 0);
        add_term(&t, s->x[at] * s->second[to[1] * depth + k]);
    }
    add_term(&t, s->third[to[1]]);
    return t;
}

static double sum_variance(const sigma_state *s, const vdit_tensor *y, size_t i)
{
    terms t = s->golden->op == VDIT_OP_CONV ? conv_terms(s, y, i) : short_terms(s, i);
    double accumulated = s->noise->sum_unit * t.sum;

    return t.count * (accumulated * accumulated) +
           s->noise->score_unit * s->noise->score_unit * t.square;
}

/* Statistics of the n elements from first on. */
typedef struct statistics {
    double n, mean, size, scale;
} statistics;

static statistics statistics_of(const sigma_state *s, size_t first, size_t n)
{
    int centred = s->golden->op != VDIT_OP_RMS_NORM;
    statistics set = {.n = (double)n};
    double square = 0;

    for (size_t i = first; centred && i < first + n; i++) {
        set.mean += s->x[i];
        set.size += fabs(s->x[i]);
    }
    set.mean /= set.n;
    set.size /= set.n;
    for (size_t i = first; i < first + n; i++)
        square += (s->x[i] - set.mean) * (s->x[i] - set.mean);
    set.scale = 1 / sqrt(square / set.n + VDIT_LAYER_EPS);
    return set;
}

static double norm_variance(const sigma_state *s, const statistics *set, size_t i, size_t channel)
{
    double w = set->scale * fabs(s->second[channel]);
    double t = (s->x[i] - set->mean) * w, b = s->third != NULL ? s->third[channel] : 0;
    double sums = s->noise->sum_unit * (set->size * w + fabs(t));
    double steps = 4 * s->noise->sum_unit * (fabs(s->x[i]) * w);
    double bias = s->noise->sum_unit * b, product = s->noise->score_unit * t;

    return set->n * (sums * sums) + steps * steps + bias * bias + product * product;
}

static void store(const sigma_state *s, vdit_tensor *sigma, size_t i, double variance)
{
    double value = s->y[i];

    variance += output_variance(s->noise, value);
    vdit_store_f64((char *)sigma->data + 2 * i, VDIT_BF16, isfinite(value) ? sqrt(variance) : 0);
}

static int is_norm(vdit_operator op)
{
    return op == VDIT_OP_LAYER_NORM || op == VDIT_OP_RMS_NORM || op == VDIT_OP_GROUP_NORM;
}

/* Set by set: a row, or the channels of a group with all that follows. */
static void norm_sigma(const sigma_state *s, vdit_tensor *sigma, const vdit_tensor *y)
{
    int grouped = s->golden->op == VDIT_OP_GROUP_NORM;
    size_t count = vdit_tensor_count(y), channels = grouped ? y->shape[1] : s->last;
    size_t inner = grouped ? s->last : 1;
    size_t n = grouped ? channels / VDIT_LAYER_GROUPS * inner : s->last;

    for (size_t first = 0; first < count; first += n) {
        statistics set = statistics_of(s, first, n);
        for (size_t i = first; i < first + n; i++)
            store(s, sigma, i, norm_variance(s, &set, i, i / inner % channels));
    }
}

vdit_status vdit_layer_sigma(vdit_run *run, vdit_tensor *sigma, const vdit_golden *golden,
                             const vdit_tensor *y, const vdit_contract *contract)
{
    const vdit_tensor *x = &golden->inputs[0].tensor;
    sigma_state s = {.golden = golden, .noise = &contract->noise, .last = x->shape[x->rank - 1]};
    size_t count = vdit_tensor_count(y), mark;

    if (vdit_layer_is_activation(golden->op))
        return vdit_layer_activation_sigma(run, sigma, golden, y, contract);
    if (vdit_tensor_new(run, sigma, VDIT_BF16, y->rank, y->shape) != VDIT_OK)
        return vdit_run_status(run);
    mark = vdit_run_mark(run);
    s.x = load(run, x);
    s.second = load(run, &golden->inputs[1].tensor);
    s.third = golden->input_count > 2 ? load(run, &golden->inputs[2].tensor) : NULL;
    s.y = load(run, y);
    if (vdit_run_status(run) == VDIT_OK && is_norm(golden->op))
        norm_sigma(&s, sigma, y);
    for (size_t i = 0; vdit_run_status(run) == VDIT_OK && !is_norm(golden->op) && i < count; i++)
        store(&s, sigma, i, sum_variance(&s, y, i));
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
