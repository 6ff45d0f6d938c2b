/*
 * explain_keys.c - keys that are missing, counted twice, or missing in the denominator: a search over
 * ranges, from the best single key and from the best tile, by steps that halve.
 *
 * A range takes from the sums of a row what its tiles and its odd keys add up to.
 */
#include <math.h>
#include <string.h>
#include "golden/explain.h"

#define TILE VDIT_EXPLAIN_TILE

typedef enum kind { MISSING, TWICE, UNSUMMED } kind;

/* Out: t->range_o. Returns: the sum of the range, in row r. */
static double range_sums(const vdit_explain_table *t, size_t r, vdit_range range)
{
    double sum = 0;

    memset(t->range_o, 0, t->width * sizeof *t->range_o);
    for (size_t j = range.first; j < range.end;) {
        size_t i = j / TILE;
        if (j % TILE == 0 && (j + TILE <= range.end || range.end == t->keys)) {
            const double *o = t->tile_o + (r * t->tiles + i) * t->width;
            sum += t->tile_sum[r * t->tiles + i];
            for (size_t c = 0; c < t->width; c++)
                t->range_o[c] += o[c];
            j += TILE;
        } else {
            sum += t->p[r * t->keys + j];
            vdit_explain_add(t, t->range_o, r, j++);
        }
    }
    return sum;
}

/* Out: the guess without, or with twice, the range. Returns: what it leaves. */
static double try_range(const vdit_explain_table *t, kind what, vdit_range range)
{
    double times = what == TWICE ? -1 : 1;

    for (size_t r = 0; r < t->e->count; r++) {
        double sum = t->sum[r] - times * range_sums(t, r, range);
        for (size_t c = 0; c < t->width; c++) {
            double o = t->o[r * t->width + c] - (what == UNSUMMED ? 0 : times * t->range_o[c]);
            t->e->guess[r * t->width + c] = sum > 0 ? o / sum : 0;
        }
    }
    return vdit_explain_left(t->e);
}

/* The best range of n keys, or of one tile, among those that begin at multiples of n. */
static vdit_range best_start(const vdit_explain_table *t, kind what, size_t n, double *left)
{
    vdit_range best = {0, n < t->keys ? n : t->keys};

    *left = HUGE_VAL;
    for (size_t first = 0; first < t->keys; first += n) {
        vdit_range range = {first, first + n < t->keys ? first + n : t->keys};
        double now = try_range(t, what, range);
        if (now < *left) {
            *left = now;
            best = range;
        }
    }
    return best;
}

/* Moves an end of the range by step, if that stays a range. Returns: 1 if it did. */
static int moved(vdit_range *range, int end, ptrdiff_t step, size_t keys)
{
    ptrdiff_t first = (ptrdiff_t)range->first + (end ? 0 : step);
    ptrdiff_t last = (ptrdiff_t)range->end + (end ? step : 0);

    if (first < 0 || last > (ptrdiff_t)keys || first >= last)
        return 0;
    range->first = (size_t)first;
    range->end = (size_t)last;
    return 1;
}

/* Moves both ends, by steps that double as long as they help and halve down to 1. */
static void climb(const vdit_explain_table *t, kind what, vdit_range *range, double *left)
{
    for (size_t step = t->keys / 2 + 1, rounds = 0; step > 0 && rounds < 200; rounds++) {
        int improved = 0;
        for (int end = 0; end < 2; end++)
            for (int back = 1; back >= 0; back--) {
                vdit_range next = *range;
                double now;
                if (!moved(&next, end, back ? -(ptrdiff_t)step : (ptrdiff_t)step, t->keys))
                    continue;
                now = try_range(t, what, next);
                if (now < *left) {
                    *left = now;
                    *range = next;
                    improved = 1;
                }
            }
        if (!improved)
            step /= 2;
    }
}

static void offer_range(vdit_explain_table *t, kind what)
{
    static const char *const texts[] = {"missing", "counted twice", "missing in the denominator"};
    static const char *const names[] = {"keys missing", "keys twice", "denominator"};
    size_t valid = vdit_wrong_none(&t->e->head).valid;
    vdit_range best = {0, 0};
    double least = HUGE_VAL;

    for (size_t n = 1; n <= TILE; n *= TILE) {
        double left;
        vdit_range range = best_start(t, what, n, &left);
        climb(t, what, &range, &left);
        if (left < least) {
            least = left;
            best = range;
        }
    }
    try_range(t, what, best);
    if (best.end > valid) /* beyond the valid keys nothing is to be told */
        best.end = valid;
    vdit_explain_offer(
        t->e, names[what], "keys %zu..%zu %s%s", best.first, best.end - 1, texts[what],
        best.end == valid && best.end - best.first == valid % TILE ? ": the last, partial tile"
                                                                   : "");
}

void vdit_explain_keys(vdit_explain *e)
{
    vdit_wrong w = vdit_wrong_none(&e->head);
    vdit_explain_table t;

    w.extra = (double)((TILE - w.valid % TILE) % TILE);
    vdit_explain_try(e, &w);
    vdit_explain_offer(e, "padding", "%g keys of zeros attended, up to the end of the last tile",
                       w.extra);
    w.extra = 0;
    w.sum_has_one = 1;
    vdit_explain_try(e, &w);
    vdit_explain_offer(e, "denominator", "1 added to the denominator");
    w.sum_has_one = 0;
    w.stride = TILE;
    vdit_explain_try(e, &w);
    vdit_explain_offer(e, "keys missing", "every 64th key missing");
    if (vdit_explain_tabulate(&t, e) != VDIT_OK)
        return;
    for (kind what = MISSING; what <= UNSUMMED; what++)
        offer_range(&t, what);
}
