/* special.c - infinities and NaN in q, k and v, by the rules of IEEE-754. */
#include <math.h>
#include "attention/special.h"

/* What a set of logits or terms amounts to once infinities and NaN have been met. */
typedef struct census {
    int nan, plus, minus; /* met at least once */
} census;

static void count(census *met, double x)
{
    met->nan |= x != x;
    met->plus |= x == INFINITY;
    met->minus |= x == -INFINITY;
}

/* The sum of what was met: NaN, an infinity, or 0 for finite terms only. */
static double verdict(const census *met)
{
    if (met->nan || (met->plus && met->minus))
        return NAN;
    return met->plus ? INFINITY : met->minus ? -INFINITY : 0;
}

/* The class of scale * q.k + mask. The mask is finite. Returns: NaN, an infinity, or 0 if finite. */
static double logit_class(const vdit_head *head, const double *q, const double *k)
{
    census met = {0, 0, 0};

    for (size_t c = 0; c < head->d; c++)
        count(&met, q[c] * k[c]);
    if (verdict(&met) == 0)
        return 0;
    return verdict(&met) * head->call->scale;
}

/* Gives all of row r one value each: o and map entries of attended keys, and lse. */
static void fill_row(const vdit_head *head, vdit_rows *rows, size_t r, double o, double lse)
{
    const vdit_attention *call = head->call;
    size_t length = vdit_key_length(call, head->b);

    for (size_t c = 0; call->o != NULL && c < head->dv; c++)
        vdit_rows_put(head, call->o, r, c, o);
    for (size_t c = 0; call->sigma != NULL && c < head->dv; c++)
        vdit_rows_put(head, call->sigma, r, c, 0);
    if (call->lse != NULL)
        vdit_rows_put(head, call->lse, r, 0, lse);
    for (size_t j = 0; call->map != NULL && j < length; j++)
        vdit_rows_put(head, call->map, r, j, vdit_head_mask(head, r, j) == -INFINITY ? 0 : o);
    rows->open[r] = 0;
}

vdit_row_kind vdit_special_kind(const vdit_head *head, size_t r, double *q, double *k)
{
    int odd_query = !vdit_head_query(head, q, r);
    size_t keys = odd_query ? vdit_key_length(head->call, head->b) : head->odd_key_count;
    census met = {0, 0, 0};

    for (size_t i = 0; i < keys; i++) {
        size_t j = odd_query ? i : head->odd_keys[i];
        if (vdit_head_mask(head, r, j) == -INFINITY)
            continue;
        vdit_head_key(head, k, j);
        count(&met, logit_class(head, q, k));
    }
    if (met.nan)
        return VDIT_ROW_NAN;
    if (met.plus)
        return VDIT_ROW_INFINITE;
    return odd_query ? VDIT_ROW_EMPTY : VDIT_ROW_PLAIN; /* then every logit is -inf */
}

/* The logits of row r that are not finite. Returns: 1 if they decide the row. */
static int odd_logits(const vdit_head *head, vdit_rows *rows, size_t r, double *q, double *k)
{
    vdit_row_kind kind = vdit_special_kind(head, r, q, k);

    if (kind == VDIT_ROW_NAN)
        fill_row(head, rows, r, NAN, NAN);
    else if (kind == VDIT_ROW_INFINITE)
        fill_row(head, rows, r, NAN, INFINITY);
    else if (kind == VDIT_ROW_EMPTY)
        fill_row(head, rows, r, 0, -INFINITY);
    return kind != VDIT_ROW_PLAIN;
}

/* Channel c of row r, where some attended value may be infinite or NaN. */
static void odd_channel(const vdit_head *head, vdit_rows *rows, size_t r, size_t c, double *v)
{
    census met = {0, 0, 0};

    for (size_t i = 0; i < head->odd_value_count; i++)
        if (vdit_head_mask(head, r, head->odd_values[i]) != -INFINITY) {
            vdit_head_value(head, v, head->odd_values[i]);
            count(&met, v[c]);
        }
    if (verdict(&met) == 0)
        return;
    if (head->call->o != NULL) {
        vdit_rows_put(head, head->call->o, r, c, verdict(&met));
        rows->o[r * head->dv + c] = 0;
    }
    if (head->call->sigma != NULL) {
        vdit_rows_put(head, head->call->sigma, r, c, 0);
        rows->sigma[r * head->dv + c] = 0;
    }
}

vdit_status vdit_special_rows(vdit_run *run, const vdit_head *head, vdit_rows *rows)
{
    size_t mark = vdit_run_mark(run);
    double *q = vdit_run_alloc(run, 2 * head->d + head->dv, sizeof(double));

    if (q == NULL)
        return vdit_run_status(run);
    for (size_t r = 0; r < head->row_count; r++) {
        if (head->odd_key_count > 0 || (rows->open[r] & VDIT_OPEN_ODD) != 0)
            if (odd_logits(head, rows, r, q, q + head->d))
                continue;
        for (size_t c = 0; head->odd_value_count > 0 && c < head->dv; c++)
            odd_channel(head, rows, r, c, q + 2 * head->d);
    }
    vdit_run_release(run, mark);
    return VDIT_OK;
}
