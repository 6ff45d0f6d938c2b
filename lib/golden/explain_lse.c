/* explain_lse.c - an output that is right, and a log-sum-exp that is not. */
#include <math.h>
#include <stdio.h>
#include "golden/explain.h"

#define LN2  0x1.62e42fefa39efp-1 /* ln 2 */
#define NEAR 1e-4                 /* what counts as equal here, relative to 1 + |lse| */

/* What a kernel may have given in place of the log-sum-exp. */
static double guess(int kind, double lse, double most, double shift)
{
    const double guesses[] = {lse / LN2, lse - most, most, lse * LN2, lse + shift};

    return guesses[kind];
}

void vdit_explain_lse(vdit_explain *e, const vdit_tensor *lse)
{
    static const char *const texts[] = {
        "LSE in base 2", "LSE without the maximum", "the maximum in place of the LSE",
        "LSE in base e where base 2 was scaled: times ln 2", "LSE shifted by a constant"};
    vdit_wrong w = vdit_wrong_none(&e->head);
    size_t matches[5] = {0}, wrong = 0;
    double shift = 0;

    for (size_t r = 0; r < e->count; r++) {
        size_t at[3] = {e->head.b, e->head.h, e->places[r]};
        double actual = vdit_number_at(lse, at), right, most;

        vdit_wrong_row(&e->head, &w, e->rows[r], e->guess, &right, &most);
        shift = r == 0 ? actual - right : shift;
        wrong += !(fabs(actual - right) <= NEAR * (1 + fabs(right)));
        for (int kind = 0; kind < 5; kind++)
            matches[kind] +=
                fabs(actual - guess(kind, right, most, shift)) <= NEAR * (1 + fabs(right));
    }
    for (int kind = 0; wrong != 0 && kind < 5; kind++)
        if (matches[kind] == e->count) {
            e->best->hypothesis = "lse";
            e->best->share = 1;
            e->best->rms = 0;
            snprintf(e->best->text, sizeof e->best->text, kind == 4 ? "%s: %+.4g" : "%s",
                     texts[kind], shift);
            return;
        }
}
