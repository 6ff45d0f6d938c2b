/* edit_oracle.c - an edited row from the definition. */
#include <stdlib.h>
#include <string.h>
#include "edit_oracle.h"

#define BITS    ATTENTION_ORACLE_BITS
#define NEAREST MPFR_RNDN

/* The entries of one map, and the values that it meets: o = sum_j w_j value_j. */
typedef struct terms {
    mpfr_t sum[64], size[64]; /* [dv] */
} terms;

static double load(const vdit_tensor *t, size_t a, size_t b, size_t c, size_t d)
{
    size_t index[4] = {a, b, c, d};
    double value;

    vdit_load_f64(&value, 1, vdit_tensor_at(t, index), 1, t->dtype);
    return value;
}

/* 1 if token n of an axis of N is text. */
static int is_text(const vdit_tokens *tokens, size_t N, size_t n)
{
    size_t video = tokens->frames * tokens->height * tokens->width;

    if (tokens->text == 0 || N == video)
        return 0;
    if (N == tokens->text)
        return 1;
    return tokens->text_first ? n < tokens->text : n >= video;
}

static unsigned block(const edit_oracle *oracle, size_t i, size_t j)
{
    int query = is_text(&oracle->edit->tokens, oracle->call->q->shape[2], i);
    int key = is_text(&oracle->edit->tokens, oracle->call->k->shape[2], j);

    return query ? (key ? VDIT_BLOCK_TT : VDIT_BLOCK_TV) : (key ? VDIT_BLOCK_VT : VDIT_BLOCK_VV);
}

static size_t key_length(const vdit_attention *call)
{
    int64_t length;

    if (call->key_length == NULL)
        return call->k->shape[2];
    memcpy(&length, call->key_length->data, sizeof length);
    return (size_t)length;
}

/* 1 if key j belongs to the set of keys. */
static int in_keys(const edit_oracle *oracle, size_t j)
{
    const vdit_edit *edit = oracle->edit;
    size_t nk = oracle->call->k->shape[2], at = j;

    if (edit->keys != NULL && load(edit->keys, j, 0, 0, 0) == 0)
        return 0;
    if (edit->first_text == 0 || !is_text(&edit->tokens, nk, j))
        return 1;
    if (!edit->tokens.text_first)
        at = j - (nk - edit->tokens.text);
    return at < edit->first_text;
}

/* 1 if entry (i, j) takes part in the softmax. */
static int is_valid(const edit_oracle *oracle, size_t i, size_t j)
{
    const vdit_edit *edit = oracle->edit;

    if (j >= key_length(oracle->call) || !in_keys(oracle, j))
        return 0;
    if (oracle->call->mask != NULL && load(oracle->call->mask, 0, 0, i, j) == 0)
        return 0; /* bool masks only */
    if (edit->block_moment == VDIT_BEFORE_SOFTMAX && (block(oracle, i, j) & edit->dropped_blocks))
        return 0;
    return oracle->before == NULL || oracle->before[i * oracle->call->k->shape[2] + j];
}

/* The map of q and k over the valid keys: an oracle of a call with an explicit mask. */
static void load_map(attention_oracle *map, vdit_attention *call, vdit_tensor *mask,
                     unsigned char *bytes, const edit_oracle *oracle, size_t i, int own)
{
    size_t nk = call->k->shape[2];

    memset(mask, 0, sizeof *mask);
    mask->dtype = VDIT_BOOL;
    mask->rank = 4;
    mask->shape[0] = mask->shape[1] = mask->shape[2] = 1;
    mask->shape[3] = nk;
    mask->stride[3] = 1;
    mask->stride[0] = mask->stride[1] = mask->stride[2] = (ptrdiff_t)nk;
    mask->data = bytes;
    for (size_t j = 0; j < nk; j++)
        bytes[j] = own ? (unsigned char)is_valid(oracle, i, j) : 1;
    if (!own && oracle->edit->align == NULL)
        for (size_t j = 0; j < nk; j++)
            bytes[j] = j < key_length(oracle->call) &&
                       (oracle->call->mask == NULL || load(oracle->call->mask, 0, 0, i, j) != 0);
    call->mask = mask;
    call->key_length = NULL;
    call->rows = NULL;
    call->edits = NULL;
    call->sigma = NULL;
    attention_oracle_new(map, call);
    attention_oracle_load(map, 0, 0, i);
}

/* terms += factor * w / l * x, for all channels of a row of values. */
static void add(terms *t, const mpfr_t factor, const mpfr_t w, const mpfr_t l, const double *x,
                size_t dv)
{
    mpfr_t term;

    mpfr_init2(term, BITS);
    for (size_t c = 0; c < dv; c++) {
        mpfr_mul(term, factor, w, NEAREST);
        mpfr_mul_d(term, term, x[c], NEAREST);
        mpfr_div(term, term, l, NEAREST);
        mpfr_add(t->sum[c], t->sum[c], term, NEAREST);
        mpfr_abs(term, term, NEAREST);
        mpfr_add(t->size[c], t->size[c], term, NEAREST);
    }
    mpfr_clear(term);
}

static void values(double *x, const edit_oracle *oracle, size_t j, double factor)
{
    const vdit_tensor *v = oracle->call->v;

    for (size_t c = 0; c < v->shape[3]; c++)
        x[c] = load(v, 0, 0, j, c) * factor;
}

/* Which entries of the row are kept after the softmax. */
static void keep_entries(edit_row *row, const edit_oracle *oracle, const attention_oracle *map,
                         size_t i)
{
    const vdit_edit *edit = oracle->edit;
    size_t nk = oracle->call->k->shape[2], kept = 0, best = 0;
    unsigned prunable = edit->prunable != 0 ? edit->prunable : 15;
    uint64_t quota = oracle->quota != NULL ? oracle->quota[i] : 0;
    double most = -1;

    memset(row->kept, 0, sizeof row->kept);
    for (size_t n = 0; n < map->count; n++) {
        size_t j = map->key[n];
        double entry = attention_oracle_map(map, j);
        int drop = oracle->after != NULL && !oracle->after[i * nk + j];

        if (edit->block_moment == VDIT_AFTER_SOFTMAX &&
            (block(oracle, i, j) & edit->dropped_blocks))
            drop = 1;
        if (edit->prune == VDIT_PRUNE_MASK)
            drop |= !((int)load(edit->keep, 0, 0, i, j / 8) >> j % 8 & 1);
        if (!drop && oracle->tau != NULL && (block(oracle, i, j) & prunable) != 0) {
            drop = entry < oracle->tau[i];
            if (entry == oracle->tau[i] && quota > 0) {
                quota--;
                drop = 1;
            }
        }
        if (entry > most) {
            most = entry;
            best = j;
        }
        row->kept[j] = (unsigned char)!drop;
        kept += !drop;
    }
    if (kept == 0 && edit->keep_maximum && map->count > 0)
        row->kept[best] = 1;
}

/* Adds M(a) times the weighted values. */
static void add_own(terms *t, edit_row *row, const edit_oracle *oracle, const attention_oracle *map,
                    size_t i, const mpfr_t factor)
{
    const vdit_edit *edit = oracle->edit;
    size_t dv = oracle->call->v->shape[3], nk = oracle->call->k->shape[2], valid = 0, kept = 0;
    mpfr_t mass, lost, one;
    double x[64];

    mpfr_inits2(BITS, mass, lost, one, (mpfr_ptr)0);
    mpfr_set_zero(mass, 1);
    mpfr_set_zero(lost, 1);
    mpfr_set_ui(one, 1, NEAREST);
    keep_entries(row, oracle, map, i);
    for (size_t n = 0; n < map->count; n++) {
        kept += row->kept[map->key[n]];
        if (row->kept[map->key[n]])
            mpfr_add(mass, mass, map->p[n], NEAREST);
        else
            mpfr_add(lost, lost, map->p[n], NEAREST);
    }
    row->masked = map->count - kept;
    for (size_t n = 0; n < map->count; n++) {
        size_t j = map->key[n];
        if (!row->kept[j])
            continue;
        values(x, oracle, j, edit->key_weight != NULL ? load(edit->key_weight, j, 0, 0, 0) : 1);
        add(t, factor, map->p[n], edit->lost == VDIT_LOST_RENORMALISED ? mass : map->sum, x, dv);
    }
    for (size_t j = 0; j < key_length(oracle->call); j++)
        valid += (size_t)in_keys(oracle, j);
    if (map->count > 0 && row->masked > 0 && edit->lost == VDIT_LOST_DIAGONAL) {
        values(x, oracle, i, 1);
        add(t, factor, lost, map->sum, x, dv);
    }
    mpfr_mul_ui(one, map->sum, valid, NEAREST);
    for (size_t j = 0; row->masked > 0 && edit->lost == VDIT_LOST_UNIFORM && j < nk; j++) {
        if (j >= key_length(oracle->call) || !in_keys(oracle, j))
            continue;
        values(x, oracle, j, 1);
        add(t, factor, lost, one, x, dv);
    }
    row->kept_mass = 0;
    if (map->count > 0 && kept > 0) {
        mpfr_div(mass, mass, map->sum, NEAREST);
        row->kept_mass = oracle_round(mass, VDIT_F32);
    }
    mpfr_clears(mass, lost, one, (mpfr_ptr)0);
}

/* Adds the whole map with its entries of some keys, or a segment's mass spread over it. */
static void add_identity(terms *t, const edit_oracle *oracle, const attention_oracle *map, size_t i,
                         const mpfr_t factor)
{
    const vdit_edit *edit = oracle->edit;
    size_t dv = oracle->call->v->shape[3];
    int text = is_text(&edit->tokens, oracle->call->q->shape[2], i);
    double x[64];
    mpfr_t one;

    mpfr_init2(one, BITS);
    mpfr_set_ui(one, 1, NEAREST);
    if (edit->identity == VDIT_IDENTITY_FULL ||
        (edit->identity == VDIT_IDENTITY_VIDEO_CUT && !text)) {
        values(x, oracle, i, 1);
        add(t, factor, one, one, x, dv);
    } else {
        for (size_t n = 0; n < map->count; n++) {
            size_t j = map->key[n];
            int moved = block(oracle, i, j) == VDIT_BLOCK_VV;
            values(x, oracle, moved ? i : j, 1);
            add(t, factor, map->p[n], map->sum, x, dv);
        }
    }
    mpfr_clear(one);
}

static void add_uniform(terms *t, const edit_oracle *oracle, const attention_oracle *map,
                        const mpfr_t factor)
{
    const vdit_edit *edit = oracle->edit;
    size_t dv = oracle->call->v->shape[3], nk = oracle->call->k->shape[2];
    size_t length = edit->uniform == VDIT_UNIFORM_PADDED ? nk : key_length(oracle->call);
    size_t count[2] = {0, 0};
    mpfr_t mass[2], divisor;
    double x[64];

    mpfr_inits2(BITS, mass[0], mass[1], divisor, (mpfr_ptr)0);
    for (int side = 0; side < 2; side++)
        mpfr_set_zero(mass[side], 1);
    for (size_t n = 0; n < map->count; n++) {
        int side = is_text(&edit->tokens, nk, map->key[n]);
        mpfr_add(mass[side], mass[side], map->p[n], NEAREST);
    }
    for (size_t j = 0; j < length; j++)
        if (edit->uniform == VDIT_UNIFORM_PADDED || in_keys(oracle, j))
            count[edit->uniform == VDIT_UNIFORM_SEGMENTS && is_text(&edit->tokens, nk, j)]++;
    for (size_t j = 0; j < length; j++) {
        int side = edit->uniform == VDIT_UNIFORM_SEGMENTS && is_text(&edit->tokens, nk, j);

        if (edit->uniform != VDIT_UNIFORM_PADDED && !in_keys(oracle, j))
            continue;
        values(x, oracle, j, 1);
        if (edit->uniform == VDIT_UNIFORM_SEGMENTS) {
            if (map->count == 0)
                continue;
            mpfr_mul_ui(divisor, map->sum, count[side], NEAREST);
            add(t, factor, mass[side], divisor, x, dv);
        } else {
            mpfr_set_ui(divisor, count[0], NEAREST);
            mpfr_set_ui(mass[0], 1, NEAREST);
            add(t, factor, mass[0], divisor, x, dv);
        }
    }
    mpfr_clears(mass[0], mass[1], divisor, (mpfr_ptr)0);
}

static void add_source(terms *t, const edit_oracle *oracle, size_t i, const mpfr_t factor)
{
    const vdit_edit *edit = oracle->edit;
    size_t dv = oracle->call->v->shape[3], nk = oracle->call->k->shape[2];
    vdit_attention call = *oracle->call;
    unsigned char bytes[256];
    attention_oracle map;
    vdit_tensor mask;
    double x[64];
    mpfr_t entry, one;

    mpfr_inits2(BITS, entry, one, (mpfr_ptr)0);
    mpfr_set_ui(one, 1, NEAREST);
    for (size_t j = 0; edit->source_map != NULL && j < key_length(oracle->call); j++) {
        if (!in_keys(oracle, j))
            continue;
        values(x, oracle, j, 1);
        mpfr_set_d(entry, load(edit->source_map, 0, 0, i, j), NEAREST);
        add(t, factor, entry, one, x, dv);
    }
    mpfr_clears(entry, one, (mpfr_ptr)0);
    if (edit->source_map != NULL)
        return;
    call.q = edit->source_q;
    call.k = edit->source_k;
    call.scale /= edit->temperature;
    load_map(&map, &call, &mask, bytes, oracle, i, 0);
    for (size_t n = 0; n < map.count; n++) {
        size_t from = map.key[n];
        if (edit->align == NULL) {
            values(x, oracle, from, 1);
            add(t, factor, map.p[n], map.sum, x, dv);
            continue;
        }
        for (size_t j = 0; j < nk && j < key_length(oracle->call); j++) {
            values(x, oracle, j, load(edit->align, from, j, 0, 0));
            add(t, factor, map.p[n], map.sum, x, dv);
        }
    }
    attention_oracle_free(&map);
}

/* factor = x y, or x (1 - y). */
static void times(mpfr_t factor, const mpfr_t x, double y, int complement)
{
    mpfr_t other;

    mpfr_init2(other, BITS);
    mpfr_set_d(other, y, NEAREST);
    if (complement)
        mpfr_ui_sub(other, 1, other, NEAREST);
    mpfr_mul(factor, x, other, NEAREST);
    mpfr_clear(other);
}

void edit_oracle_row(edit_row *row, const edit_oracle *oracle, size_t i, vdit_dtype dtype)
{
    const vdit_edit *edit = oracle->edit;
    size_t dv = oracle->call->v->shape[3];
    vdit_attention call = *oracle->call;
    edit_oracle moved = *oracle;
    vdit_attention operands = *oracle->call;
    unsigned char bytes[256];
    attention_oracle map;
    vdit_tensor mask;
    mpfr_t gate, own, replaced, factor;
    terms t;

    if ((edit->transfer & VDIT_FROM_Q) != 0)
        operands.q = edit->source_q;
    if ((edit->transfer & VDIT_FROM_K) != 0)
        operands.k = edit->source_k;
    if ((edit->transfer & VDIT_FROM_V) != 0)
        operands.v = edit->source_v;
    moved.call = &operands;
    call = operands;
    call.scale /= edit->temperature;
    load_map(&map, &call, &mask, bytes, &moved, i, 1);
    mpfr_inits2(BITS, gate, own, replaced, factor, (mpfr_ptr)0);
    for (size_t c = 0; c < dv; c++) {
        mpfr_inits2(BITS, t.sum[c], t.size[c], (mpfr_ptr)0);
        mpfr_set_zero(t.sum[c], 1);
        mpfr_set_zero(t.size[c], 1);
    }
    mpfr_set_d(gate, edit->gate, NEAREST);
    times(own, gate, edit->mix_adds ? 0 : edit->mix, 1);
    times(replaced, own, edit->replace, 0);
    times(factor, own, edit->replace, 1);
    add_own(&t, row, &moved, &map, i, factor);
    times(factor, replaced, edit->alpha, 0);
    if (!mpfr_zero_p(factor))
        add_identity(&t, &moved, &map, i, factor);
    times(factor, replaced, edit->alpha, 1);
    if (!mpfr_zero_p(factor))
        add_uniform(&t, &moved, &map, factor);
    times(factor, gate, edit->mix, 0);
    if (!mpfr_zero_p(factor))
        add_source(&t, &moved, i, factor);
    for (size_t c = 0; c < dv; c++) {
        attention_oracle_snap(t.sum[c], t.size[c]);
        row->o[c] = oracle_round(t.sum[c], dtype);
        mpfr_clears(t.sum[c], t.size[c], (mpfr_ptr)0);
    }
    mpfr_clears(gate, own, replaced, factor, (mpfr_ptr)0);
    attention_oracle_free(&map);
}
