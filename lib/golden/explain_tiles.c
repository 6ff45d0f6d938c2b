/*
 * explain_tiles.c - one tile of keys that is wrong: it has the values or the keys of the tile before,
 * was swapped with it, or is permuted within. A tile that is tried changes the sums of a row by its own.
 */
#include <math.h>
#include <string.h>
#include "golden/explain.h"

#define TILE VDIT_EXPLAIN_TILE

typedef enum kind { STALE_VALUES, SWAPPED, STALE_KEYS, PERMUTED, KINDS } kind;

/* o += p * the value of key j. */
static void add_value(const vdit_explain_table *t, double *o, double p, size_t j)
{
    const float *v = t->e->head.v + j * t->width;

    for (size_t c = 0; p != 0 && c < t->width; c++)
        o[c] += p * v[c];
}

/* Adds to o what tile i gives under the fault, less what it should give. Returns: the change of l. */
static double change(const vdit_explain_table *t, kind what, size_t r, size_t i, double *o)
{
    size_t first = i * TILE, end = first + TILE < t->keys ? first + TILE : t->keys;
    const double *p = t->p + r * t->keys;
    double sum = 0;

    for (size_t j = first; j < end; j++) {
        size_t at = j % 16, base = j - at;
        add_value(t, o, -p[j], j);
        if (what == STALE_VALUES || what == SWAPPED) {
            add_value(t, o, p[j], j - TILE);
        } else if (what == PERMUTED) {
            add_value(t, o, p[j], base + 16 <= t->keys ? base + at % 4 * 4 + at / 4 : j);
        } else {
            sum += p[j - TILE] - p[j];
            add_value(t, o, p[j - TILE], j);
        }
        if (what == SWAPPED) {
            add_value(t, o, -p[j - TILE], j - TILE);
            add_value(t, o, p[j - TILE], j);
        }
    }
    return sum;
}

static double try_tile(const vdit_explain_table *t, kind what, size_t i)
{
    for (size_t r = 0; r < t->e->count; r++) {
        double sum = t->sum[r];
        memcpy(t->range_o, t->o + r * t->width, t->width * sizeof *t->range_o);
        sum += change(t, what, r, i, t->range_o);
        for (size_t c = 0; c < t->width; c++)
            t->e->guess[r * t->width + c] = sum > 0 ? t->range_o[c] / sum : 0;
    }
    return vdit_explain_left(t->e);
}

void vdit_explain_tiles(vdit_explain *e)
{
    static const char *const names[KINDS] = {"values stale", "tiles swapped", "keys stale",
                                             "values permuted"};
    static const char *const texts[KINDS] = {"is that of the tile before",
                                             "and of the tile before swapped",
                                             "is that of the tile before", "permuted within 16"};
    size_t valid = vdit_wrong_none(&e->head).valid;
    vdit_explain_table t;

    if (vdit_explain_tabulate(&t, e) != VDIT_OK)
        return;
    for (kind what = STALE_VALUES; what < KINDS; what++) {
        size_t best = t.tiles, end;
        double least = HUGE_VAL;
        for (size_t i = what == PERMUTED ? 0 : 1; i < t.tiles && i * TILE < valid; i++) {
            double left = try_tile(&t, what, i);
            if (left < least) {
                least = left;
                best = i;
            }
        }
        if (best == t.tiles)
            continue;
        try_tile(&t, what, best);
        end = best * TILE + TILE < valid ? best * TILE + TILE : valid;
        vdit_explain_offer(e, names[what], "%s of keys %zu..%zu %s", what == STALE_KEYS ? "K" : "V",
                           best * TILE, end - 1, texts[what]);
    }
}
