/*
 * explain.c - which fault reproduces what a kernel gave?
 *
 * The head with the largest residual is taken, and of it the worst rows. Under each fault they are
 * computed again, and what is left of the residual, in sigmas squared, is compared. A fault that comes
 * later in the table, as one with a fitted number does, must leave well less than one before.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "golden/explain.h"

#define BETTER  0.8  /* what a later explanation may leave of what the best so far leaves */
#define LEAST   0.5  /* the share that makes an explanation */
#define SPECIAL 1e12 /* z squared of a NaN or an infinity on one side alone */

static double z2_of(double actual, double guess, double sigma)
{
    double e = actual - guess;

    if (isnan(actual) || isnan(guess) || isinf(actual) || isinf(guess))
        return (isnan(actual) && isnan(guess)) || actual == guess ? 0 : SPECIAL;
    if (e == 0)
        return 0;
    e = sigma > 0 && isfinite(sigma) ? e / sigma : 1e3;
    return e * e < SPECIAL ? e * e : SPECIAL;
}

double vdit_explain_left(const vdit_explain *e)
{
    size_t n = e->count * e->head.value_width;
    double left = 0;

    for (size_t i = 0; i < n; i++)
        left += z2_of(e->actual_o[i], e->guess[i], e->sigma_o[i]);
    return left;
}

double vdit_explain_try(vdit_explain *e, const vdit_wrong *w)
{
    double lse, most;

    for (size_t r = 0; r < e->count; r++)
        vdit_wrong_row(&e->head, w, e->rows[r], e->guess + r * e->head.value_width, &lse, &most);
    return vdit_explain_left(e);
}

void vdit_explain_offer(vdit_explain *e, const char *hypothesis, const char *format, ...)
{
    double left = vdit_explain_left(e);
    va_list arguments;

    if (!(left < BETTER * e->left))
        return;
    e->left = left;
    e->best->hypothesis = hypothesis;
    va_start(arguments, format);
    vsnprintf(e->best->text, sizeof e->best->text, format, arguments);
    va_end(arguments);
}

/* The least-squares gain, 0 among the gains. */
static void hypothesis_gain(vdit_explain *e)
{
    size_t n = e->count * e->head.value_width;
    double ag = 0, gg = 0, gain;

    for (size_t i = 0; i < n; i++)
        if (e->sigma_o[i] > 0 && isfinite(e->actual_o[i]) && isfinite(e->golden_o[i])) {
            ag += e->actual_o[i] * e->golden_o[i] / (e->sigma_o[i] * e->sigma_o[i]);
            gg += e->golden_o[i] * e->golden_o[i] / (e->sigma_o[i] * e->sigma_o[i]);
        }
    gain = gg > 0 ? ag / gg : 0;
    for (size_t i = 0; i < n; i++)
        e->guess[i] = gain * e->golden_o[i];
    vdit_explain_offer(e, "gain", "gain %.4f: the output is multiplied", gain);
}

static int is_lost(double x, double as)
{
    return isnan(as) ? isnan(x) != 0 : x == as;
}

/* Rows that are nothing but 0, or NaN, and the others right. */
static void offer_lost(vdit_explain *e, double as, const char *hypothesis)
{
    size_t width = e->head.value_width, lost = 0;

    memcpy(e->guess, e->golden_o, e->count * width * sizeof *e->guess);
    for (size_t r = 0; r < e->count; r++) {
        size_t matches = 0;
        for (size_t c = 0; c < width; c++)
            matches += (size_t)is_lost(e->actual_o[r * width + c], as);
        for (size_t c = 0; matches == width && c < width; c++)
            e->guess[r * width + c] = as;
        lost += matches == width;
    }
    if (lost != 0)
        vdit_explain_offer(e, hypothesis, "%s rows, as row %zu", isnan(as) ? "NaN" : "zero",
                           e->rows[0]);
}

static void hypothesis_zeros(vdit_explain *e)
{
    offer_lost(e, 0, "zeros");
}

/* The last one: a mask that lets NaN in says more. */
static void hypothesis_nan(vdit_explain *e)
{
    offer_lost(e, (double)NAN, "NaN");
}

/* One element of all. */
static void hypothesis_element(vdit_explain *e)
{
    size_t n = e->count * e->head.value_width, worst = 0;
    double most = 0;

    for (size_t i = 0; i < n; i++) {
        double z2 = z2_of(e->actual_o[i], e->golden_o[i], e->sigma_o[i]);
        if (z2 > most) {
            most = z2;
            worst = i;
        }
    }
    memcpy(e->guess, e->golden_o, n * sizeof *e->guess);
    e->guess[worst] = e->actual_o[worst];
    vdit_explain_offer(e, "element",
                       "one element: row %zu, channel %zu is %.4g where %.4g is right",
                       e->rows[worst / e->head.value_width], worst % e->head.value_width,
                       e->actual_o[worst], e->golden_o[worst]);
}

static const struct {
    const char *name;
    vdit_hypothesis_fn *offer;
} hypotheses[] = {
    {"zeros", hypothesis_zeros},
    {"temperature, quantile, lost mass, masked entries, transfer, mix, replacement, gate, keys, "
     "tokens, heads, plan",
     vdit_explain_edits},
    {"scale, mean", vdit_explain_scale},
    {"key_length", vdit_explain_length},
    {"mask", vdit_explain_mask},
    {"rows, heads, batches", vdit_explain_places},
    {"channels", vdit_explain_channels},
    {"order", vdit_explain_order},
    {"a tile's keys or values", vdit_explain_tiles},
    {"rescale, maximum, merge, subnormals", vdit_explain_softmax},
    {"gain", hypothesis_gain},
    {"keys, denominator", vdit_explain_keys},
    {"rounding, accumulators", vdit_explain_rounding},
    {"element", hypothesis_element},
    {"NaN", hypothesis_nan}};

const char *vdit_hypothesis_at(size_t i)
{
    return i < sizeof hypotheses / sizeof *hypotheses ? hypotheses[i].name : NULL;
}

/* Returns: the sum of z squared over row r of head (b, h). */
static double row_residual(const vdit_explain *e, size_t b, size_t h, size_t r, double *x[3])
{
    double sum = 0;

    vdit_row_load(x[0], e->o, b, h, r);
    vdit_row_load(x[1], e->actual, b, h, r);
    vdit_row_load(x[2], e->sigma, b, h, r);
    for (size_t c = 0; c < e->call.value_width; c++)
        sum += z2_of(x[1][c], x[0][c], x[2][c]);
    return sum;
}

/* Out: the head with the largest residual. */
static void worst_head(const vdit_explain *e, size_t *b, size_t *h, double *x[3])
{
    double most = -1;

    for (size_t i = 0; i < e->call.batches * e->call.heads; i++) {
        double sum = 0;
        for (size_t r = 0; r < e->call.row_count; r++)
            sum += row_residual(e, i / e->call.heads, i % e->call.heads, r, x);
        if (sum > most) {
            most = sum;
            *b = i / e->call.heads;
            *h = i % e->call.heads;
        }
    }
}

/* Out: the worst rows of the head, the worst first. */
static void worst_rows(vdit_explain *e, double *x[3])
{
    double sums[VDIT_EXPLAIN_ROWS];

    for (size_t r = 0; r < e->call.row_count; r++) {
        double sum = row_residual(e, e->head.b, e->head.h, r, x);
        size_t at = e->count;
        while (at > 0 && sums[at - 1] < sum)
            at--;
        if (at == VDIT_EXPLAIN_ROWS)
            continue;
        if (e->count < VDIT_EXPLAIN_ROWS)
            e->count++;
        for (size_t i = e->count - 1; i > at; i--) {
            sums[i] = sums[i - 1];
            e->places[i] = e->places[i - 1];
        }
        sums[at] = sum;
        e->places[at] = r;
    }
    for (size_t i = 0; i < e->count; i++) {
        size_t width = e->head.value_width;
        e->rows[i] = vdit_call_row(&e->call, e->places[i]);
        vdit_row_load(e->golden_o + i * width, e->o, e->head.b, e->head.h, e->places[i]);
        vdit_row_load(e->actual_o + i * width, e->actual, e->head.b, e->head.h, e->places[i]);
        vdit_row_load(e->sigma_o + i * width, e->sigma, e->head.b, e->head.h, e->places[i]);
    }
}

/* Loads the head and the rows. */
static vdit_status begin(vdit_explain *e)
{
    size_t width = e->call.value_width, n = VDIT_EXPLAIN_ROWS * width, b = 0, h = 0;
    double *memory = vdit_run_alloc(e->run, 4 * n + 3 * width, sizeof *memory), *x[3];

    if (memory == NULL)
        return vdit_run_status(e->run);
    e->golden_o = memory;
    e->actual_o = memory + n;
    e->sigma_o = memory + 2 * n;
    e->guess = memory + 3 * n;
    for (size_t i = 0; i < 3; i++)
        x[i] = memory + 4 * n + i * width;
    worst_head(e, &b, &h, x);
    if (vdit_explain_load(e->run, &e->head, &e->call, b, h) == VDIT_OK)
        worst_rows(e, x);
    return vdit_run_status(e->run);
}

/* Explains a residual of the output. */
static vdit_status explain_output(vdit_explain *e)
{
    size_t n;

    if (begin(e) != VDIT_OK)
        return vdit_run_status(e->run);
    n = e->count * e->head.value_width;
    memcpy(e->guess, e->golden_o, n * sizeof *e->guess);
    e->total = e->left = vdit_explain_left(e);
    e->best->batch = e->head.b;
    e->best->head = e->head.h;
    e->best->rows = e->count;
    for (size_t i = 0; i < sizeof hypotheses / sizeof *hypotheses; i++) {
        size_t mark = vdit_run_mark(e->run);
        hypotheses[i].offer(e);
        vdit_run_release(e->run, mark);
        if (vdit_run_status(e->run) != VDIT_OK)
            return vdit_run_status(e->run);
    }
    e->best->share = e->total > 0 ? 1 - e->left / e->total : 0;
    e->best->rms = n ? sqrt(e->left / (double)n) : 0;
    if (!(e->best->share >= LEAST))
        e->best->hypothesis = NULL;
    return VDIT_OK;
}

static const vdit_tensor *named(const vdit_named *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i].tensor;
    return NULL;
}

vdit_status vdit_case_explain(vdit_run *run, vdit_explanation *explanation,
                              const vdit_golden *golden, const vdit_tensor *sigma,
                              const vdit_named *actual, size_t count)
{
    const vdit_tensor *o = vdit_golden_find(golden, "o"), *mine = named(actual, count, "o");
    const vdit_tensor *lse = named(actual, count, "lse");
    size_t mark = vdit_run_mark(run);
    vdit_explanation best = {0};
    vdit_explain e = {.run = run, .golden = golden, .o = o, .actual = mine, .best = &best};

    e.sigma = sigma ? sigma : vdit_golden_find(golden, "o.sigma");
    if (golden->op != VDIT_OP_ATTENTION || o == NULL || mine == NULL || e.sigma == NULL ||
        mine->dtype != o->dtype || mine->rank != 4 ||
        memcmp(mine->shape, o->shape, sizeof(size_t) * 4) != 0)
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: no outputs that could be explained",
                             golden->name);
    if (vdit_call_read(run, &e.call, golden) == VDIT_OK && explain_output(&e) == VDIT_OK &&
        lse != NULL && !(sqrt(e.total / (double)(e.count * e.call.value_width)) > 1.5))
        vdit_explain_lse(&e, lse);
    vdit_run_release(run, mark);
    if (vdit_run_status(run) == VDIT_OK)
        *explanation = best;
    return vdit_run_status(run);
}
