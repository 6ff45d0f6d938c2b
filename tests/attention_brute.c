/* attention_brute.c - sorted lists of the map's entries, which MPFR gives. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "attention_brute.h"
#include "attention_oracle.h"

#define ENTRIES 6000

/* One entry of the map, and its group. */
typedef struct entry {
    double value;
    size_t group, row, key; /* row among those of all heads */
} entry;

static entry entries[ENTRIES];
static size_t entry_count;

static int by_group_value_place(const void *a, const void *b)
{
    const entry *x = a, *y = b;

    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    if (x->row != y->row)
        return x->row < y->row ? -1 : 1;
    return x->key < y->key ? -1 : 1;
}

/* The layout that is judged, as it was declared. */
static vdit_tokens declared;

/* Whether a token of an axis of N is text. */
static int is_text(const vdit_tokens *tokens, size_t N, size_t n)
{
    size_t video = tokens->frames * tokens->height * tokens->width;

    if (N == video || tokens->text == 0)
        return 0;
    if (N == tokens->text)
        return 1;
    return tokens->text_first ? n < tokens->text : n >= video;
}

size_t brute_group(const vdit_order *order, size_t head, size_t r)
{
    const vdit_tokens *tokens = &declared;
    size_t Nq = order->facts.call->q->shape[2], frame = tokens->height * tokens->width;
    size_t text =
        tokens->text_first && Nq == tokens->frames * frame + tokens->text ? tokens->text : 0;

    switch (order->scope) {
    case VDIT_SCOPE_HEAD:
        return head;
    case VDIT_SCOPE_ROW:
        return head * Nq + r;
    case VDIT_SCOPE_GLOBAL:
        return 0;
    default:
        return head * 1000 + (is_text(tokens, Nq, r) ? 999 : (r - text) / frame);
    }
}

static unsigned block_of(const vdit_order *order, size_t r, size_t j)
{
    const vdit_attention *call = order->facts.call;
    int query = is_text(&declared, call->q->shape[2], r);
    int key = is_text(&declared, call->k->shape[2], j);

    return 1u << (2 * query + key);
}

/* Whether query r is padding: beyond the key length of self-attention. */
static int is_padding(const vdit_attention *call, size_t b, size_t r)
{
    return call->key_length != NULL && call->q->shape[2] == call->k->shape[2] &&
           (int64_t)r >= ((const int64_t *)call->key_length->data)[b];
}

void brute_gather(const vdit_order *order, const vdit_tokens *tokens)
{
    const vdit_attention *call = order->facts.call;
    size_t H = call->q->shape[1], Nq = call->q->shape[2];
    unsigned blocks = order->facts.blocks == 0 ? 15 : order->facts.blocks;
    attention_oracle oracle;

    entry_count = 0;
    declared = *tokens;
    attention_oracle_new(&oracle, call);
    for (size_t head = 0; head < order->facts.count; head++)
        for (size_t r = 0; r < Nq; r++) {
            if (is_padding(call, head / H, r))
                continue;
            attention_oracle_load(&oracle, head / H, head % H, r);
            for (size_t i = 0; i < oracle.count; i++) {
                entry *to = &entries[entry_count];

                if ((blocks & block_of(order, r, oracle.key[i])) == 0)
                    continue;
                assert_true(++entry_count < ENTRIES);
                to->value = attention_oracle_map(&oracle, oracle.key[i]);
                to->row = head * Nq + r;
                to->key = oracle.key[i];
            }
        }
    attention_oracle_free(&oracle);
}

void brute_sort(const vdit_order *order)
{
    size_t Nq = order->facts.call->q->shape[2];

    for (size_t i = 0; i < entry_count; i++)
        entries[i].group = brute_group(order, entries[i].row / Nq, entries[i].row % Nq);
    qsort(entries, entry_count, sizeof entries[0], by_group_value_place);
}

uint64_t brute_place(double fraction, size_t M)
{
    mpfr_t x;
    uint64_t place;

    mpfr_init2(x, 200);
    mpfr_set_d(x, fraction, MPFR_RNDN);
    mpfr_mul_ui(x, x, M, MPFR_RNDN);
    place = mpfr_get_ui(x, MPFR_RNDD);
    mpfr_clear(x);
    return place;
}

/* The value interpolated as VDIT_TIES_LINEAR has it. */
static double between(const entry *list, double fraction, size_t M)
{
    uint64_t place = brute_place(fraction, M - 1);
    double high = place + 1 < M ? list[place + 1].value : 0, rounded;
    mpfr_t x, step;

    mpfr_inits2(2000, x, step, (mpfr_ptr)0);
    mpfr_set_d(x, fraction, MPFR_RNDN);
    mpfr_mul_ui(x, x, M - 1, MPFR_RNDN);
    mpfr_sub_ui(x, x, place, MPFR_RNDN);
    mpfr_set_d(step, high, MPFR_RNDN);
    mpfr_sub_d(step, step, list[place].value, MPFR_RNDN);
    mpfr_mul(x, x, step, MPFR_RNDN);
    mpfr_add_d(x, x, list[place].value, MPFR_RNDN);
    rounded = oracle_round(x, VDIT_F32);
    mpfr_clears(x, step, (mpfr_ptr)0);
    return rounded;
}

const double *brute_least(const vdit_order *order, size_t row, size_t *M)
{
    size_t Nq = order->facts.call->q->shape[2], first = 0;
    size_t group = brute_group(order, row / Nq, row % Nq);

    while (first < entry_count && entries[first].group != group)
        first++;
    *M = 0;
    while (first + *M < entry_count && entries[first + *M].group == group)
        ++*M;
    return *M > 0 ? &entries[first].value : NULL;
}

double brute_threshold(uint64_t *quota, const vdit_order *order, size_t row, double fraction)
{
    size_t M;
    const entry *list =
        (const entry *)brute_least(order, row, &M); /* its value is its first member */
    uint64_t drop = brute_place(fraction, M);
    double tau;

    *quota = 0;
    if (M == 0)
        return 0;
    if (order->ties == VDIT_TIES_LINEAR)
        return between(list, fraction, M);
    tau = drop < M ? list[drop].value : INFINITY;
    for (size_t i = 0; order->ties == VDIT_TIES_COUNT && i < drop; i++)
        *quota += list[i].row == row && list[i].value == tau;
    return tau;
}
