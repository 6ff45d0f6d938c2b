/* explain_places.c - rows, heads, batches and channels that were taken for others. */
#include <math.h>
#include <string.h>
#include "golden/explain.h"

#define OTHERS 64 /* heads and batches that are tried */

static double row_left(const vdit_explain *e, size_t r, const double *guess)
{
    size_t n = e->head.value_width;
    double left = 0;

    for (size_t c = 0; c < n; c++) {
        double x = (e->actual_o[r * n + c] - guess[c]) / e->sigma_o[r * n + c];
        left += x * x;
    }
    return left;
}

/*
 * Each row is the one that `other` says, or right: whichever fits. A fault may be of the last block
 * alone.
 */
static void offer_rows(vdit_explain *e, size_t (*other)(size_t row, size_t shift), size_t shift,
                       const char *text)
{
    vdit_wrong none = vdit_wrong_none(&e->head);
    size_t n = e->head.value_width, rows = e->call.q->shape[2];

    for (size_t r = 0; r < e->count; r++) {
        double *guess = e->guess + r * n, lse, most;
        size_t row = other(e->rows[r], shift) % rows;
        vdit_wrong_row(&e->head, &none, row, guess, &lse, &most);
        if (!(row_left(e, r, guess) <= row_left(e, r, e->golden_o + r * n)))
            memcpy(guess, e->golden_o + r * n, n * sizeof *guess);
    }
    vdit_explain_offer(e, "rows", text, shift);
}

static size_t swapped(size_t row, size_t shift)
{
    return row ^ shift;
}

static size_t further(size_t row, size_t shift)
{
    return row + shift;
}

static size_t constant(size_t row, size_t shift)
{
    (void)row;
    return shift;
}

/* The computed row that is most like the worst one; the worst one's place if there is none. */
static size_t nearest_row(const vdit_explain *e, double *line)
{
    double least = HUGE_VAL;
    size_t best = e->places[0];

    for (size_t r = 0; r < e->call.row_count; r++) {
        double left;
        vdit_row_load(line, e->o, e->head.b, e->head.h, r);
        left = row_left(e, 0, line);
        if (left < least) {
            least = left;
            best = r;
        }
    }
    return best;
}

static void offer_all_rows(vdit_explain *e)
{
    size_t rows = e->call.q->shape[2], near;
    double *line = vdit_run_alloc(e->run, e->head.value_width, sizeof *line);
    const size_t steps[] = {1, 16, 32, 64, 128, (rows + 7) / 8};

    if (line == NULL)
        return;
    for (size_t s = 1; s <= 2; s++)
        offer_rows(e, swapped, s, "rows swapped: row i is row i ^ %zu");
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        offer_rows(e, further, steps[i], "rows shifted: row i is row i + %zu");
        if (steps[i] < rows)
            offer_rows(e, further, rows - steps[i], "rows shifted: row i is row i + %zu, around");
    }
    near = vdit_call_row(&e->call, nearest_row(e, line));
    offer_rows(e, further, (near + rows - e->rows[0]) % rows, "rows shifted: row i is row i + %zu");
    offer_rows(e, constant, near, "rows are all row %zu");
}

/* k, v or both of another head or batch. */
static void offer_operands(vdit_explain *e, size_t b, size_t h, float *k, float *v)
{
    static const char *const what[] = {"", "k", "v", "k and v"};
    size_t keys = e->head.keys;

    vdit_explain_rows(k, e->call.k, b, h);
    vdit_explain_rows(v, e->call.v, b, h);
    for (int kind = 1; kind <= 3; kind++) {
        vdit_wrong w = vdit_wrong_none(&e->head);
        w.k = kind & 1 ? k : w.k;
        w.v = kind & 2 ? v : w.v;
        vdit_explain_try(e, &w);
        vdit_explain_offer(e, b == e->head.b ? "heads" : "batches",
                           "%s of batch %zu, head %zu in batch %zu, head %zu", what[kind], b, h,
                           e->head.b, e->head.h);
        if (kind == 1) { /* the first tile alone */
            size_t n = keys < VDIT_EXPLAIN_TILE ? keys : VDIT_EXPLAIN_TILE;
            float *mixed = vdit_run_alloc(e->run, keys * e->head.width, sizeof *mixed);
            if (mixed == NULL)
                return;
            memcpy(mixed, e->head.k, keys * e->head.width * sizeof *mixed);
            memcpy(mixed, k, n * e->head.width * sizeof *mixed);
            w.k = mixed;
            vdit_explain_try(e, &w);
            vdit_explain_offer(e, "heads", "k of batch %zu, head %zu in the first tile", b, h);
        }
    }
}

/* The output of another head or batch. */
static void offer_output(vdit_explain *e, size_t b, size_t h)
{
    for (size_t r = 0; r < e->count; r++)
        vdit_row_load(e->guess + r * e->head.value_width, e->o, b, h, e->places[r]);
    vdit_explain_offer(e, b == e->head.b ? "heads" : "batches",
                       "batch %zu, head %zu is batch %zu, head %zu", e->head.b, e->head.h, b, h);
}

static void offer_other(vdit_explain *e, size_t b, size_t h)
{
    size_t mark = vdit_run_mark(e->run), keys = e->head.keys;
    float *k = vdit_run_alloc(e->run, keys * e->head.width, sizeof *k);
    float *v = vdit_run_alloc(e->run, keys * e->head.value_width, sizeof *v);

    if (k != NULL && v != NULL) {
        offer_output(e, b, h);
        offer_operands(e, b, h, k, v);
    }
    vdit_run_release(e->run, mark);
}

void vdit_explain_places(vdit_explain *e)
{
    offer_all_rows(e);
    for (size_t h = 0; h < e->call.heads && h < OTHERS; h++)
        if (h != e->head.h)
            offer_other(e, e->head.b, h);
    for (size_t b = 0; b < e->call.batches && b < OTHERS; b++)
        if (b != e->head.b)
            offer_other(e, b, e->head.h);
}

/* The channel with the largest residual, as another one. */
static void offer_channel(vdit_explain *e)
{
    size_t n = e->head.value_width, worst = 0, best = 0;
    double most = -1, least = HUGE_VAL;

    for (size_t c = 0; c < n; c++) {
        double sum = 0;
        for (size_t r = 0; r < e->count; r++) {
            double x = (e->actual_o[r * n + c] - e->golden_o[r * n + c]) / e->sigma_o[r * n + c];
            sum += x * x;
        }
        if (sum > most) {
            most = sum;
            worst = c;
        }
    }
    for (size_t c = 0; c < n; c++) {
        double sum = 0;
        for (size_t r = 0; r < e->count; r++)
            sum += fabs(e->actual_o[r * n + worst] - e->golden_o[r * n + c]);
        if (c != worst && sum < least) {
            least = sum;
            best = c;
        }
    }
    memcpy(e->guess, e->golden_o, e->count * n * sizeof *e->guess);
    for (size_t r = 0; r < e->count; r++)
        e->guess[r * n + worst] = e->golden_o[r * n + best];
    vdit_explain_offer(e, "channels", "channel %zu of the output is channel %zu", worst, best);
}

void vdit_explain_channels(vdit_explain *e)
{
    static const size_t tails[] = {1, 4, 8, 16, 32};
    size_t d = e->head.width;
    vdit_wrong w = vdit_wrong_none(&e->head);

    offer_channel(e);
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
        if (tails[i] < d) {
            w.channels = d - tails[i];
            vdit_explain_try(e, &w);
            vdit_explain_offer(e, "channels", "the last %zu channels missing in q k", tails[i]);
        }
    w.channels = d;
    for (size_t i = 0; i < 2 && d > 1; i++) {
        w.channel_shift = i == 0 ? 1 : d - 1;
        vdit_explain_try(e, &w);
        vdit_explain_offer(e, "channels", "channels of k shifted by one against those of q");
    }
}
