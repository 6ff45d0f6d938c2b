/*
 * mutants_stored.c - an honest kernel for edits: the whole map of a head in f32, edited entry by entry as the
 * formulas of vdit_edit(3) stand, then times v. It shares nothing with the library's streamed parts.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "mutants.h"

#define MOST 512 /* tokens of an axis */

/* A map in memory, and what it is made of. */
typedef struct stored {
    const vdit_attention *a;
    const vdit_edit *edit;
    size_t b, h, Nq, Nk, length;
    float *map, *other;  /* [Nq][Nk] of the call, and of the source call */
    float *lse;          /* [Nq] of map */
    float *row, *sum;    /* [width] scratch */
    unsigned char *keep; /* [Nk] */
} stored;

/* What this kernel has no code for. */
static int lacks(const vdit_edit *e)
{
    return e->pattern_count > 0 || e->align != NULL || e->temperature == 0 ||
           e->identity != VDIT_IDENTITY_FULL || e->uniform == VDIT_UNIFORM_SEGMENTS ||
           e->ties != VDIT_TIES_KEPT || e->keep_maximum ||
           (e->prune == VDIT_PRUNE_FRACTION && e->scope != VDIT_SCOPE_HEAD &&
            e->scope != VDIT_SCOPE_ROW);
}

/* VDIT_VIDEO or VDIT_TEXT: of token i of an axis of n. */
static unsigned kind_of(const vdit_tokens *t, size_t n, size_t i)
{
    size_t video = t->frames * t->height * t->width;

    if (t->text == 0 || n == video)
        return VDIT_VIDEO;
    if (n == t->text)
        return VDIT_TEXT;
    return (t->text_first ? i < t->text : i >= video) ? VDIT_TEXT : VDIT_VIDEO;
}

static unsigned block_of(const stored *s, size_t i, size_t j)
{
    int text_row = kind_of(&s->edit->tokens, s->Nq, i) == VDIT_TEXT;
    int text_key = kind_of(&s->edit->tokens, s->Nk, j) == VDIT_TEXT;

    return 1U << (2 * text_row + text_key);
}

/* The bit of entry (r, j) in a mask, whose rows are those that are computed. */
static int bit_of(const stored *s, const vdit_tensor *bits, size_t r, size_t j)
{
    const size_t at[4] = {s->b, s->h, r, j / 8};

    return *(const unsigned char *)vdit_tensor_at(bits, at) >> j % 8 & 1;
}

/* Whether key j takes part at all. */
static int takes_part(const stored *s, size_t j)
{
    const vdit_edit *e = s->edit;
    size_t text_at = e->tokens.text_first || s->Nk == e->tokens.text ? 0 : s->Nk - e->tokens.text;

    if (j >= s->length)
        return 0;
    if (e->keys != NULL && *(const unsigned char *)vdit_tensor_at(e->keys, &j) == 0)
        return 0;
    return e->first_text == 0 || kind_of(&e->tokens, s->Nk, j) == VDIT_VIDEO ||
           j < text_at + e->first_text;
}

/* Out: map, the softmax of the rows of q and k; -1 where there is no entry; lse. */
static void fill_map(stored *s, float *map, float *lse, const vdit_tensor *q, const vdit_tensor *k,
                     double scale)
{
    const vdit_edit *e = s->edit;
    size_t d = q->shape[3], width = (d + MUTANT_LANE - 1) / MUTANT_LANE * MUTANT_LANE;

    for (size_t i = 0; i < s->Nq; i++) {
        float most = -HUGE_VALF, total = 0, *p = map + i * s->Nk;

        mutant_row_load(s->row, width, q, s->b, s->h, i);
        for (size_t j = 0; j < s->Nk; j++) {
            int dropped = e->block_moment == VDIT_BEFORE_SOFTMAX && e->dropped_blocks != 0 &&
                          (e->dropped_blocks & block_of(s, i, j)) != 0;

            p[j] = -HUGE_VALF;
            if (dropped || !takes_part(s, j))
                continue;
            mutant_row_load(s->sum, width, k, s->b, s->h, j);
            p[j] = mutant_dot_lanes(s->row, s->sum, width) * (float)scale;
            most = p[j] > most ? p[j] : most;
        }
        for (size_t j = 0; j < s->Nk; j++)
            total += p[j] == -HUGE_VALF ? 0 : expf(p[j] - most);
        for (size_t j = 0; j < s->Nk; j++)
            p[j] = p[j] == -HUGE_VALF ? -1 : expf(p[j] - most) / total;
        lse[i] = total > 0 ? most + logf(total) : -HUGE_VALF;
    }
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

static int is_prunable(const stored *s, size_t i, size_t j)
{
    return s->edit->prunable == 0 || (s->edit->prunable & block_of(s, i, j)) != 0;
}

/* The order statistic of the entries of rows first .. end - 1; padding queries have none. */
static float quantile(const stored *s, size_t first, size_t end, float *list)
{
    size_t count = 0, place;
    double at;

    for (size_t i = first; i < end && (s->Nq != s->Nk || i < s->length); i++)
        for (size_t j = 0; j < s->Nk; j++)
            if (s->map[i * s->Nk + j] >= 0 && is_prunable(s, i, j))
                list[count++] = s->map[i * s->Nk + j];
    qsort(list, count, sizeof *list, ascending);
    at = s->edit->fraction * (double)count;
    /* the floor of the product itself, which the rounded one may have passed */
    place = (size_t)floor(at) - (at == floor(at) && fma(s->edit->fraction, (double)count, -at) < 0);
    return place < count ? list[place] : HUGE_VALF;
}

/* The threshold of row r, query i; head: that of the whole head. list[Nq Nk] is scratch. */
static float threshold_of(const stored *s, size_t r, size_t i, float head, float *list)
{
    const vdit_tensor *given = s->edit->threshold;

    if (s->edit->prune == VDIT_PRUNE_THRESHOLD) {
        const size_t at[3] = {s->b, s->h, given->shape[2] == 1 ? 0 : r};
        return *(const float *)vdit_tensor_at(given, at);
    }
    if (s->edit->prune == VDIT_PRUNE_NONE || s->edit->prune == VDIT_PRUNE_MASK)
        return 0;
    return s->edit->scope == VDIT_SCOPE_ROW ? quantile(s, i, i + 1, list) : head;
}

/* Whether entry (r, j), of query i, stays after the softmax. */
static int stays(const stored *s, size_t r, size_t i, size_t j, float threshold)
{
    const vdit_edit *e = s->edit;

    if (e->block_moment == VDIT_AFTER_SOFTMAX && (e->dropped_blocks & block_of(s, i, j)) != 0)
        return 0;
    if (e->prune == VDIT_PRUNE_MASK)
        return bit_of(s, e->keep, r, j);
    return !is_prunable(s, i, j) || s->map[i * s->Nk + j] >= threshold;
}

/* Says of a row what its mask did. */
static void report(const stored *s, size_t r, size_t valid, size_t kept, float mass,
                   float threshold)
{
    const vdit_edit_report *to = s->a->report;
    const size_t at[3] = {s->b, s->h, r};
    int64_t masked = (int64_t)(valid - kept);

    if (to == NULL)
        return;
    if (to->masked != NULL)
        memcpy(vdit_tensor_at(to->masked, at), &masked, sizeof masked);
    if (to->kept_mass != NULL)
        memcpy(vdit_tensor_at(to->kept_mass, at), &mass, sizeof mass);
    if (to->threshold != NULL)
        memcpy(vdit_tensor_at(to->threshold, at), &threshold, sizeof threshold);
    for (size_t j = 0; to->keep != NULL && j < s->Nk; j += 8) {
        const size_t byte[4] = {s->b, s->h, r, j / 8};
        unsigned bits = 0;

        for (size_t n = 0; n < 8 && j + n < s->Nk; n++)
            bits |= (unsigned)s->keep[j + n] << n;
        *(unsigned char *)vdit_tensor_at(to->keep, byte) = (unsigned char)bits;
    }
}

/* The weights of the values in row r of the output, query i: the edited map. Returns: in s->row [Nk]. */
static void edit_row(stored *s, size_t r, size_t i, float threshold)
{
    const vdit_edit *e = s->edit;
    float kept_mass = 0, lost = 0, *w = s->row;
    size_t valid = 0, kept = 0;

    for (size_t j = 0; j < s->Nk; j++) {
        float p = s->map[i * s->Nk + j];

        w[j] = 0;
        s->keep[j] = 0;
        if (p < 0)
            continue;
        valid++;
        s->keep[j] = (unsigned char)stays(s, r, i, j, threshold);
        kept += s->keep[j];
        w[j] = s->keep[j] ? p : 0;
        *(s->keep[j] ? &kept_mass : &lost) += p;
    }
    report(s, r, valid, kept, kept == valid && kept > 0 ? 1 : kept_mass, threshold);
    for (size_t j = 0; j < s->Nk; j++) {
        if (e->lost == VDIT_LOST_RENORMALISED && kept > 0)
            w[j] /= kept_mass;
        if (e->lost == VDIT_LOST_DIAGONAL && j == i)
            w[j] += lost;
        if (e->lost == VDIT_LOST_UNIFORM && takes_part(s, j))
            w[j] += lost / (float)valid;
        if (e->key_weight != NULL)
            w[j] *= *(const float *)vdit_tensor_at(e->key_weight, &j);
    }
}

/* R and the source's map join the row; then the gate. */
static void blend_row(stored *s, size_t r, size_t i)
{
    const vdit_edit *e = s->edit;
    double valid = 0;

    for (size_t j = 0; j < s->Nk; j++)
        valid += takes_part(s, j);
    for (size_t j = 0; j < s->Nk; j++) {
        const size_t at[4] = {s->b, s->h, r, j};
        double own = e->mix_adds ? 1 : 1 - e->mix, uniform = takes_part(s, j) / valid;
        double w = (1 - e->replace) * (double)s->row[j];

        if (e->uniform == VDIT_UNIFORM_PADDED)
            uniform = 1 / (double)s->Nk;
        if (e->replace > 0)
            w += e->replace * (e->alpha * (j == i) + (1 - e->alpha) * uniform);
        w *= own;
        if (e->mix != 0 && e->source_map != NULL)
            w += e->mix * (double)*(const float *)vdit_tensor_at(e->source_map, at);
        else if (e->mix != 0 && s->other[i * s->Nk + j] >= 0)
            w += e->mix * (double)s->other[i * s->Nk + j];
        s->row[j] = (float)(e->gate * w);
    }
}

/* Row r of o, the weights times v, and of lse, which no mask after the softmax changes. */
static void write_row(stored *s, const vdit_tensor *v, size_t r, size_t i)
{
    const vdit_tensor *o = s->a->o, *lse = s->a->lse;
    size_t dv = v->shape[3], width = (dv + MUTANT_LANE - 1) / MUTANT_LANE * MUTANT_LANE;
    float *value = s->sum + width;

    memset(s->sum, 0, width * sizeof *s->sum);
    for (size_t j = 0; j < s->Nk; j++) {
        if (s->row[j] == 0)
            continue;
        mutant_row_load(value, width, v, s->b, s->h, j);
        for (size_t c = 0; c < dv; c++)
            s->sum[c] += s->row[j] * value[c];
    }
    for (size_t c = 0; c < dv; c++) {
        const size_t at[4] = {s->b, s->h, r, c};
        vdit_store_f64(vdit_tensor_at(o, at), o->dtype, (double)s->sum[c]);
    }
    if (lse != NULL) {
        const size_t at[3] = {s->b, s->h, r};
        vdit_store_f64(vdit_tensor_at(lse, at), lse->dtype, (double)s->lse[i]);
    }
}

static size_t query_of(const vdit_attention *a, size_t r)
{
    return a->rows != NULL ? (size_t) * (const int64_t *)vdit_tensor_at(a->rows, &r) : r;
}

/* The rows of one head of which the edit speaks (its queries), or the others, which are plain. */
static void run_rows(stored *s, const vdit_edit *edit, unsigned queries, float *list)
{
    const vdit_attention *a = s->a;
    const vdit_tensor *q = edit->transfer & VDIT_FROM_Q ? edit->source_q : a->q;
    const vdit_tensor *k = edit->transfer & VDIT_FROM_K ? edit->source_k : a->k;
    const vdit_tensor *v = edit->transfer & VDIT_FROM_V ? edit->source_v : a->v;
    size_t rows = a->rows != NULL ? a->rows->shape[0] : s->Nq;
    float head;

    s->edit = edit;
    if (edit->mix != 0 && edit->source_map == NULL)
        fill_map(s, s->other, s->lse, edit->source_q, edit->source_k, a->scale / edit->temperature);
    fill_map(s, s->map, s->lse, q, k, a->scale / edit->temperature);
    head = edit->prune == VDIT_PRUNE_FRACTION ? quantile(s, 0, s->Nq, list) : 0;
    for (size_t r = 0; r < rows; r++) {
        size_t i = query_of(a, r);

        if ((kind_of(&edit->tokens, s->Nq, i) & queries) == 0)
            continue;
        edit_row(s, r, i, threshold_of(s, r, i, head, list));
        blend_row(s, r, i);
        write_row(s, v, r, i);
    }
}

/* One head: the rows that are not edited, then those that are. */
static void run_head(stored *s, const vdit_edit *edit, float *list)
{
    vdit_edit off;

    vdit_edit_init(&off);
    if (edit == NULL) {
        run_rows(s, &off, VDIT_ANY, list);
        return;
    }
    off.tokens = edit->tokens;
    if (edit->queries != VDIT_ANY && edit->queries != 0)
        run_rows(s, &off, VDIT_ANY & ~edit->queries, list);
    run_rows(s, edit, edit->queries != 0 ? edit->queries : VDIT_ANY, list);
}

vdit_status mutant_stored(vdit_run *run, const vdit_attention *a)
{
    size_t mark = vdit_run_mark(run), Nq = a->q->shape[2], Nk = a->k->shape[2];
    size_t width = a->q->shape[3] + 2 * a->v->shape[3] + 3 * MUTANT_LANE + Nk;
    stored s = {.a = a, .Nq = Nq, .Nk = Nk};
    float *list;

    if (Nq > MOST || Nk > MOST)
        return vdit_run_fail(run, VDIT_ERR_UNSUPPORTED, "at most %d tokens", MOST);
    list = vdit_run_alloc(run, Nq, Nk * sizeof *list);
    for (size_t h = 0; h < a->q->shape[1]; h++)
        if (a->mask != NULL || a->map != NULL || (a->edits[h] != NULL && lacks(a->edits[h])))
            return vdit_run_fail(run, VDIT_ERR_UNSUPPORTED, "no code for this edit");
    s.map = vdit_run_alloc(run, Nq, Nk * sizeof *s.map);
    s.other = vdit_run_alloc(run, Nq, Nk * sizeof *s.other);
    s.lse = vdit_run_alloc(run, Nq, sizeof *s.lse);
    s.row = vdit_run_alloc(run, width, sizeof *s.row);
    s.sum = vdit_run_alloc(run, width, sizeof *s.sum);
    s.keep = vdit_run_alloc(run, Nk, 1);
    for (s.b = 0; vdit_run_status(run) == VDIT_OK && s.b < a->q->shape[0]; s.b++)
        for (s.h = 0; s.h < a->q->shape[1]; s.h++) {
            s.length = Nk;
            if (a->key_length != NULL)
                s.length = (size_t) * (const int64_t *)vdit_tensor_at(a->key_length, &s.b);
            run_head(&s, a->edits[s.h], list);
        }
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
