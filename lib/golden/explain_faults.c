/* explain_faults.c - another scale, masks, lengths, roundings; sums that were not rescaled. */
#include <math.h>
#include "golden/explain.h"

static void offer_fault(vdit_explain *e, const vdit_wrong *w, const char *hypothesis,
                        const char *text)
{
    vdit_explain_try(e, w);
    vdit_explain_offer(e, hypothesis, "%s", text);
}

/* Returns: what a scale times factor leaves. */
static double try_scale(vdit_explain *e, double factor)
{
    vdit_wrong w = vdit_wrong_none(&e->head);

    w.scale *= factor;
    return vdit_explain_try(e, &w);
}

/* Known wrong scales, then one that is fitted: by grid, then by thirds. */
void vdit_explain_scale(vdit_explain *e)
{
    double d = (double)e->head.width, scale = e->head.call->scale, power = 1, best = 1, step = 1.2;
    double left = HUGE_VAL;

    while (power < d)
        power *= 2;
    const struct {
        double factor;
        const char *text;
    } known[] = {{scale, "scale 1/d in place of 1/sqrt(d): the scale is squared"},
                 {1 / scale, "no scale"},
                 {0x1.71547652b82fep+0, "log2 e twice: the scale times 1.4427"},
                 {0x1.62e42fefa39efp-1, "log2 e missing: the scale times 0.6931"},
                 {sqrt(d / power), "the scale of the next power of two of the width"},
                 {0, "mean of V: all weights equal"}};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        try_scale(e, known[i].factor);
        vdit_explain_offer(e, known[i].factor == 0 ? "mean" : "scale", "%s", known[i].text);
    }
    for (double f = 0.5; f < 2.1; f *= 1.02) {
        double now = try_scale(e, f);
        if (now < left) {
            left = now;
            best = f;
        }
    }
    for (step = 0.02; step > 1e-6; step /= 2)
        for (int sign = -1; sign <= 1; sign += 2) {
            double now = try_scale(e, best * (1 + sign * step));
            if (now < left) {
                left = now;
                best *= 1 + sign * step;
            }
        }
    try_scale(e, best);
    vdit_explain_offer(e, "scale", "the scale times %.4f", best);
}

void vdit_explain_mask(vdit_explain *e)
{
    static const struct {
        vdit_wrong_mask mask;
        const char *text;
    } masks[] = {{VDIT_MASK_IGNORED, "the mask ignored"},
                 {VDIT_MASK_SCALED, "the mask added before the scale"},
                 {VDIT_MASK_INVERTED, "the mask inverted in the first 64 keys"},
                 {VDIT_MASK_NEXT_ROW, "the mask of the next row"}};
    vdit_wrong w = vdit_wrong_none(&e->head);

    for (size_t i = 0; e->call.mask != NULL && i < sizeof masks / sizeof *masks; i++) {
        w.mask = masks[i].mask;
        offer_fault(e, &w, "mask", masks[i].text);
    }
    w.mask = VDIT_MASK_CAUSAL;
    offer_fault(e, &w, "mask", "causal: keys after the row masked");
}

void vdit_explain_length(vdit_explain *e)
{
    vdit_wrong w = vdit_wrong_none(&e->head);
    size_t valid = w.valid, keys = e->head.keys, none = 0;
    size_t tile = (valid + VDIT_EXPLAIN_TILE - 1) / VDIT_EXPLAIN_TILE * VDIT_EXPLAIN_TILE;
    const struct {
        size_t valid;
        const char *text;
    } lengths[] = {{keys, "key_length ignored"},
                   {valid + 1, "key_length off by one: a key too many"},
                   {valid - 1, "key_length off by one: a key too few"},
                   {tile < keys ? tile : keys, "key_length rounded up to a tile of 64"},
                   {e->call.key_length ? (size_t)vdit_number_at(e->call.key_length, &none) : keys,
                    "key_length of batch 0"}};

    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        if (e->call.key_length != NULL && valid < keys && lengths[i].valid != valid) {
            w.valid = lengths[i].valid;
            offer_fault(e, &w, "key_length", lengths[i].text);
        }
    if (e->call.key_length != NULL && valid == keys) { /* another batch may be shorter */
        w.valid = lengths[4].valid;
        offer_fault(e, &w, "key_length", lengths[4].text);
    }
}

void vdit_explain_rounding(vdit_explain *e)
{
    static const char *const formats[] = {"", "bf16", "f16", "bf16 toward zero"};

    for (vdit_wrong_round r = VDIT_ROUND_BF16; r <= VDIT_ROUND_CUT; r++) {
        vdit_wrong w = vdit_wrong_none(&e->head);
        w.p = r;
        vdit_explain_try(e, &w);
        vdit_explain_offer(e, "rounding", "P rounded to %s", formats[r]);
        w.p = VDIT_ROUND_NOT;
        w.output = r;
        vdit_explain_try(e, &w);
        vdit_explain_offer(e, "rounding", "output rounded to %s", formats[r]);
        w.output = VDIT_ROUND_NOT;
        w.scores = r;
        vdit_explain_try(e, &w);
        vdit_explain_offer(e, "rounding", "logits rounded to %s", formats[r]);
        w.scores = VDIT_ROUND_NOT;
        w.sums = r;
        vdit_explain_try(e, &w);
        vdit_explain_offer(e, "accumulators", "sums kept in %s", formats[r]);
    }
}

void vdit_explain_softmax(vdit_explain *e)
{
    static const struct {
        vdit_wrong_rescale rescale;
        const char *text;
    } faults[] = {{VDIT_RESCALE_NONE, "no rescale when the maximum moves, blocks of 64 keys"},
                  {VDIT_RESCALE_OUTPUT, "the sum not rescaled when the maximum moves"},
                  {VDIT_RESCALE_SUM, "the output not rescaled when the maximum moves"},
                  {VDIT_RESCALE_TWICE, "the output rescaled twice when the maximum moves"}};
    vdit_wrong w = vdit_wrong_none(&e->head);

    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        w.rescale = faults[i].rescale;
        offer_fault(e, &w, "rescale", faults[i].text);
    }
    w.rescale = VDIT_RESCALE_RIGHT;
    w.no_maximum = 1;
    offer_fault(e, &w, "maximum", "no maximum subtracted: exp overflows");
    w.no_maximum = 0;
    w.flushes = 1;
    offer_fault(e, &w, "subnormals", "subnormal values read as 0");
    w.flushes = 0;
    for (w.parts = 2; w.parts <= 8; w.parts++) {
        vdit_explain_try(e, &w);
        vdit_explain_offer(e, "merge", "%zu parts of the keys merged without their weights",
                           w.parts);
    }
}
