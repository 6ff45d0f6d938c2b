/* explain_row.c - one row of attention in binary64, with a fault built in. */
#include <float.h>
#include <math.h>
#include <string.h>
#include "golden/explain.h"

#define TILE VDIT_EXPLAIN_TILE
#define STEP 16 /* keys between two roundings of narrow sums: a step of the matrix units */

void vdit_explain_rows(float *out, const vdit_tensor *t, size_t b, size_t h)
{
    size_t width = t->shape[3];
    double part[64];

    for (size_t j = 0; j < t->shape[2]; j++)
        for (size_t c = 0; c < width; c += 64) {
            size_t index[4] = {b, h, j, c}, n = width - c < 64 ? width - c : 64;
            vdit_load_f64(part, n, vdit_tensor_at(t, index), t->stride[3], t->dtype);
            for (size_t i = 0; i < n; i++)
                out[j * width + c + i] = (float)part[i]; /* exact: f32 at most */
        }
}

vdit_status vdit_explain_load(vdit_run *run, vdit_explain_head *head, const vdit_call *call,
                              size_t b, size_t h)
{
    vdit_explain_head made = {call, b,    h,    call->keys, call->width, call->value_width,
                              NULL, NULL, NULL, NULL,       NULL,        NULL,
                              NULL, NULL};
    size_t keys = call->keys;

    made.k = vdit_run_alloc(run, keys * call->width, sizeof(float));
    made.v = vdit_run_alloc(run, keys * call->value_width, sizeof(float));
    made.q = vdit_run_alloc(run, call->width, sizeof(double));
    made.masks = vdit_run_alloc(run, keys, sizeof(double));
    made.logits = vdit_run_alloc(run, keys, sizeof(double));
    made.p = vdit_run_alloc(run, keys, sizeof(double));
    made.o = vdit_run_alloc(run, call->value_width, sizeof(double));
    made.part = vdit_run_alloc(run, call->value_width, sizeof(double));
    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    vdit_explain_rows(made.k, call->k, b, h);
    vdit_explain_rows(made.v, call->v, b, h);
    *head = made;
    return VDIT_OK;
}

vdit_wrong vdit_wrong_none(const vdit_explain_head *head)
{
    vdit_wrong w = {.k = head->k,
                    .v = head->v,
                    .scale = head->call->scale,
                    .valid = head->keys,
                    .channels = head->width};

    if (head->call->key_length != NULL)
        w.valid = (size_t)vdit_number_at(head->call->key_length, &head->b);
    return w;
}

static int is_in(vdit_range r, size_t j)
{
    return j >= r.first && j < r.end;
}

static double rounded(vdit_wrong_round how, double x)
{
    int exponent;
    double part;

    switch (how) {
    case VDIT_ROUND_BF16:
        return vdit_round_f64(VDIT_BF16, x);
    case VDIT_ROUND_F16:
        return vdit_round_f64(VDIT_F16, x);
    case VDIT_ROUND_CUT:
        part = frexp(x, &exponent);
        return ldexp(trunc(ldexp(part, 8)), exponent - 8);
    default:
        return x;
    }
}

/* Out: head->masks, what is added to the logits of a row. */
static void masks_of(vdit_explain_head *head, const vdit_wrong *w, size_t row)
{
    vdit_call call = *head->call;
    size_t keys = head->keys;

    call.key_length = NULL;
    call.rows = NULL;
    if (w->mask == VDIT_MASK_IGNORED)
        call.mask = NULL;
    if (w->mask == VDIT_MASK_NEXT_ROW)
        row = (row + 1) % call.q->shape[2];
    vdit_call_masks(&call, head->masks, head->b, head->h, row);
    for (size_t j = 0; w->mask == VDIT_MASK_INVERTED && j < TILE && j < keys; j++)
        head->masks[j] = head->masks[j] == -HUGE_VAL ? 0 : -HUGE_VAL;
    for (size_t j = row + 1; w->mask == VDIT_MASK_CAUSAL && j < keys; j++)
        head->masks[j] = -HUGE_VAL;
    for (size_t j = w->valid; j < keys; j++)
        head->masks[j] = -HUGE_VAL;
    for (size_t j = w->missing.first; j < w->missing.end && j < keys; j++)
        head->masks[j] = -HUGE_VAL;
    for (size_t j = w->stride; w->stride != 0 && j <= keys; j += w->stride)
        head->masks[j - 1] = -HUGE_VAL;
}

/* Out: head->logits, -inf where there is no key. Returns: the largest. */
static double logits_of(vdit_explain_head *head, const vdit_wrong *w, size_t row)
{
    double most = -HUGE_VAL;

    vdit_row_load(head->q, head->call->q, head->b, head->h, row);
    masks_of(head, w, row);
    for (size_t j = 0; j < head->keys; j++) {
        const float *k = w->k + (is_in(w->moved_keys, j) ? j - TILE : j) * head->width;
        double s = 0, mask = head->masks[j];

        head->logits[j] = -HUGE_VAL;
        if (mask == -HUGE_VAL)
            continue;
        if (w->channel_shift == 0)
            for (size_t c = 0; c < w->channels; c++)
                s += head->q[c] * k[c];
        else
            for (size_t c = 0; c < w->channels; c++)
                s += head->q[(c + w->channel_shift) % head->width] * k[c];
        s = w->mask == VDIT_MASK_SCALED ? (s + mask) * w->scale : s * w->scale + mask;
        head->logits[j] = rounded(w->scores, s);
        most = head->logits[j] > most || isnan(head->logits[j]) ? head->logits[j] : most;
    }
    return most;
}

/* Returns: the key whose value key j gets. */
static size_t value_of(const vdit_explain_head *head, const vdit_wrong *w, size_t j)
{
    size_t at = j % 16, base = j - at, valid = w->valid < head->keys ? w->valid : head->keys;

    if (w->value_shift != 0 && valid > 0)
        return (size_t)((ptrdiff_t)(j + valid) + w->value_shift % (ptrdiff_t)valid) % valid;
    if (is_in(w->moved_values, j))
        return j - TILE;
    if (w->swaps && is_in(w->moved_values, j + TILE))
        return j + TILE;
    if (w->order == VDIT_ORDER_RIGHT || !is_in(w->order_in, j) || base + 16 > valid)
        return j;
    switch (w->order) {
    case VDIT_ORDER_TRANSPOSED:
        return base + at % 4 * 4 + at / 4;
    case VDIT_ORDER_INTERLEAVED:
        return base + at % 2 * 8 + at / 2;
    case VDIT_ORDER_SPLIT:
        return base + at % 8 * 2 + at / 8;
    default:
        return base + 15 - at;
    }
}

/* o += weight * the value that key j gets. */
static void add_value(vdit_explain_head *head, const vdit_wrong *w, double *o, size_t j,
                      double weight)
{
    const float *v = w->v + value_of(head, w, j) * head->value_width;

    if (weight == 0)
        return;
    for (size_t c = 0; c < head->value_width; c++)
        if (!w->flushes || fabs(v[c]) >= (head->call->v->dtype == VDIT_F16 ? 0x1p-14 : FLT_MIN))
            o[c] += weight * v[c];
}

/* The sums of a part of the keys, in the order of a kernel that goes through them by blocks. */
typedef struct sums {
    double most, sum;
    double *o;
} sums;

static void rescale(vdit_explain_head *head, const vdit_wrong *w, sums *s, double most)
{
    double factor = s->most == -HUGE_VAL ? 0 : exp(s->most - most);

    s->most = most;
    if (w->rescale == VDIT_RESCALE_NONE)
        return;
    if (w->rescale != VDIT_RESCALE_OUTPUT)
        s->sum *= factor;
    if (w->rescale == VDIT_RESCALE_TWICE)
        factor *= factor;
    for (size_t c = 0; w->rescale != VDIT_RESCALE_SUM && c < head->value_width; c++)
        s->o[c] *= factor;
}

static void add_block(vdit_explain_head *head, const vdit_wrong *w, sums *s, size_t first,
                      size_t end)
{
    double most = s->most;

    for (size_t j = first; j < end; j++)
        most = head->logits[j] > most ? head->logits[j] : most;
    if (most == -HUGE_VAL)
        return;
    if (most != s->most)
        rescale(head, w, s, most);
    for (size_t j = first; j < end; j++) {
        double times = is_in(w->twice, j) ? 2 : 1;
        double p = head->logits[j] == -HUGE_VAL ? 0 : exp(head->logits[j] - most);
        s->sum += is_in(w->unsummed, j) ? 0 : times * p;
        add_value(head, w, s->o, j, times * rounded(w->p, p));
    }
    s->sum = rounded(w->sums, s->sum);
    for (size_t c = 0; w->sums != VDIT_ROUND_NOT && c < head->value_width; c++)
        s->o[c] = rounded(w->sums, s->o[c]);
}

/* Returns: 1 if the order of the keys shows, so that they must be gone through by blocks. */
static size_t block_of(const vdit_explain_head *head, const vdit_wrong *w)
{
    if (w->sums != VDIT_ROUND_NOT)
        return STEP;
    return w->rescale != VDIT_RESCALE_RIGHT || w->p != VDIT_ROUND_NOT ? TILE : head->keys;
}

static sums run_part(vdit_explain_head *head, const vdit_wrong *w, double *o, size_t first,
                     size_t end)
{
    sums s = {-HUGE_VAL, 0, o};
    size_t block = block_of(head, w);

    memset(o, 0, head->value_width * sizeof *o);
    for (size_t at = first; at < end; at += block)
        add_block(head, w, &s, at, at + block < end ? at + block : end);
    return s;
}

/* Parts that are averaged as if each had the same maximum. */
static sums run_parts(vdit_explain_head *head, const vdit_wrong *w)
{
    size_t valid = w->valid < head->keys ? w->valid : head->keys;
    size_t length = (valid + w->parts - 1) / w->parts;
    sums total = {-HUGE_VAL, 0, head->o};

    memset(head->o, 0, head->value_width * sizeof *head->o);
    for (size_t first = 0; first < valid; first += length) {
        sums s =
            run_part(head, w, head->part, first, first + length < valid ? first + length : valid);
        total.sum += s.sum;
        total.most = s.most > total.most ? s.most : total.most;
        for (size_t c = 0; c < head->value_width; c++)
            head->o[c] += head->part[c];
    }
    return total;
}

void vdit_wrong_row(vdit_explain_head *head, const vdit_wrong *w, size_t row, double *o,
                    double *lse, double *most)
{
    double top = logits_of(head, w, row);
    sums s = w->parts != 0 ? run_parts(head, w) : run_part(head, w, head->o, 0, head->keys);

    if (w->extra > 0)
        s.sum += w->extra * exp(-s.most);
    *lse = s.sum > 0 ? s.most + log(s.sum) : -HUGE_VAL;
    if (w->sum_has_one)
        s.sum += exp(-s.most);
    *most = top;
    for (size_t c = 0; c < head->value_width; c++) {
        o[c] = s.sum > 0 || isnan(s.sum) ? head->o[c] / s.sum : 0;
        if (w->no_maximum && top > 88.72) /* e^s overflows f32 */
            o[c] = NAN;
        o[c] = rounded(w->output, o[c]);
    }
}
