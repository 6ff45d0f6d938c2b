/*
 * judge_decision.c - masks by rank: which entries a backend kept.
 *
 * Entries whose distance from the threshold is within the noise are free; all others must be kept or dropped
 * as the golden has it. The numbers are then judged with the backend's own set.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "attention/bits.h"
#include "golden/evidence.h"
#include "golden/planned.h"

/* The number that a row's entries were compared with; NaN where the mask does not go by rank. */
static double threshold_of(const vdit_golden *golden, size_t b, size_t h, size_t r)
{
    const vdit_tensor *used = vdit_golden_find(golden, "used_threshold");
    const vdit_tensor *given = vdit_golden_find(golden, "threshold");
    const vdit_tensor *t = used ? used : given;
    size_t index[] = {b, h, r};

    if (t == NULL)
        return NAN;
    if (t->shape[2] == 1)
        index[2] = 0;
    return vdit_number_at(t, index);
}

/* How far from the threshold an entry of a row is free, relative to the larger of the two. */
static double reach_of(const vdit_evidence *ev, const vdit_golden *golden, size_t b, size_t h,
                       size_t r)
{
    int is_own = vdit_golden_find(golden, "threshold") == NULL;
    double e = vdit_evidence_error(ev, b, h, r) + (is_own ? vdit_evidence_most(ev, b, h) : 0);

    return e > 0 ? vdit_judge_limits()->z * (e + vdit_dtype_roundoff(VDIT_F32)) : 0;
}

static int is_free(double entry, double threshold, double reach)
{
    return entry == 0 || fabs(entry - threshold) <= reach * fmax(entry, threshold);
}

static vdit_status check_form(char *reason, size_t size, const vdit_tensor *keep,
                              const vdit_tensor *actual)
{
    char got[64], want[64];

    if (actual->dtype != VDIT_U8 || actual->rank != 4 ||
        memcmp(actual->shape, keep->shape, 4 * sizeof *keep->shape) != 0)
        snprintf(reason, size, "keep: %s %s instead of u8 %s", vdit_dtype_name(actual->dtype),
                 vdit_tensor_shape_text(got, sizeof got, actual),
                 vdit_tensor_shape_text(want, sizeof want, keep));
    return VDIT_OK;
}

/* The differences of one row. */
static void compare_row(const vdit_evidence *ev, const vdit_golden *golden, const vdit_tensor *keep,
                        const vdit_tensor *actual, const size_t at[3], size_t *flips, size_t *clear,
                        size_t *first)
{
    const float *entries = vdit_evidence_row(ev, at[0], at[1], at[2]);
    double threshold = threshold_of(golden, at[0], at[1], at[2]);
    double reach = reach_of(ev, golden, at[0], at[1], at[2]);

    for (size_t j = 0; j < ev->Nk; j++) {
        if (vdit_bits_has(keep, at[0], at[1], at[2], j) ==
            vdit_bits_has(actual, at[0], at[1], at[2], j))
            continue;
        if (is_free((double)entries[j], threshold, reach))
            *flips += entries[j] != 0;
        else if ((*clear)++ == 0)
            *first = j;
    }
}

vdit_status vdit_decision_judge(vdit_run *run, int *clear, size_t *flips, char *reason, size_t size,
                                const vdit_evidence *evidence, const vdit_golden *golden,
                                const vdit_tensor *actual)
{
    const vdit_tensor *keep = vdit_golden_find(golden, "keep");
    size_t wrong = 0, first = 0, where[3] = {0, 0, 0};

    reason[0] = '\0';
    *flips = 0;
    check_form(reason, size, keep, actual);
    *clear = reason[0] != '\0';
    if (*clear)
        return vdit_run_status(run);
    for (size_t n = 0; n < evidence->B * evidence->H * evidence->R; n++) {
        const size_t at[] = {n / evidence->R / evidence->H, n / evidence->R % evidence->H,
                             n % evidence->R};
        size_t before = wrong;
        compare_row(evidence, golden, keep, actual, at, flips, &wrong, &first);
        if (before == 0 && wrong != 0)
            memcpy(where, at, sizeof where);
    }
    *clear = wrong != 0;
    if (*clear)
        snprintf(reason, size,
                 "keep: %zu entries that are clear differ, the first at %zu,%zu,%zu,%zu", wrong,
                 where[0], where[1], where[2], first);
    return vdit_run_status(run);
}

vdit_status vdit_decision_apply(vdit_run *run, vdit_tensor *o, vdit_tensor *sigma,
                                const vdit_golden *golden, const vdit_contract *contract,
                                const vdit_tensor *keep)
{
    const vdit_tensor *own = vdit_golden_find(golden, "o");
    vdit_attention call;

    if (vdit_planned_call(run, &call, golden) != VDIT_OK ||
        vdit_planned_freeze(run, &call, keep) != VDIT_OK ||
        vdit_tensor_new(run, o, own->dtype, 4, own->shape) != VDIT_OK ||
        vdit_tensor_new(run, sigma, VDIT_BF16, 4, own->shape) != VDIT_OK)
        return vdit_run_status(run);
    call.o = o;
    if (contract != vdit_contract_find("exact")) {
        call.sigma = sigma;
        call.noise = vdit_contract_noise(contract, call.k->shape[2]);
    }
    return vdit_attention_reference(run, &call);
}

vdit_row_mask vdit_decision_row(const vdit_evidence *evidence, const vdit_tensor *keep, size_t b,
                                size_t h, size_t r)
{
    const float *entries = vdit_evidence_row(evidence, b, h, r);
    vdit_row_mask row = {0, 0};

    for (size_t j = 0; j < evidence->Nk; j++)
        if (entries[j] != 0 && vdit_bits_has(keep, b, h, r, j))
            row.mass += (double)entries[j];
        else
            row.masked += entries[j] != 0;
    return row;
}

vdit_row_mask vdit_decision_free(const vdit_evidence *evidence, const vdit_golden *golden, size_t b,
                                 size_t h, size_t r)
{
    const float *entries = vdit_evidence_row(evidence, b, h, r);
    double threshold = threshold_of(golden, b, h, r), reach = reach_of(evidence, golden, b, h, r);
    vdit_row_mask row = {0, 0};

    for (size_t j = 0; j < evidence->Nk; j++)
        if (entries[j] != 0 && is_free((double)entries[j], threshold, reach)) {
            row.masked++;
            row.mass += (double)entries[j];
        }
    return row;
}

/* Out: bits of the entries that are not clear. Returns: their number. */
static size_t list_free(vdit_tensor *bits, const vdit_evidence *ev, const vdit_golden *golden)
{
    size_t count = 0;

    for (size_t b = 0; b < ev->B; b++)
        for (size_t h = 0; h < ev->H; h++)
            for (size_t r = 0; r < ev->R; r++) {
                const float *entries = vdit_evidence_row(ev, b, h, r);
                double threshold = threshold_of(golden, b, h, r);
                double reach = reach_of(ev, golden, b, h, r);
                for (size_t j = 0; j < ev->Nk; j++)
                    if (entries[j] != 0 && is_free((double)entries[j], threshold, reach)) {
                        vdit_bits_set(bits, b, h, r, j);
                        count++;
                    }
            }
    return count;
}

/* Out: magnitudes, f32 of the shape of v. */
static vdit_status magnitudes_of(vdit_run *run, vdit_tensor *magnitudes, const vdit_tensor *v)
{
    size_t width = v->shape[3];
    double *row = vdit_run_alloc(run, width, sizeof *row);

    if (vdit_tensor_new(run, magnitudes, VDIT_F32, 4, v->shape) != VDIT_OK)
        return vdit_run_status(run);
    for (size_t n = 0; n < v->shape[0] * v->shape[1] * v->shape[2]; n++) {
        size_t heads = v->shape[1], tokens = v->shape[2];
        vdit_row_load(row, v, n / tokens / heads, n / tokens % heads, n % tokens);
        for (size_t c = 0; c < width; c++)
            vdit_store_f64((float *)magnitudes->data + n * width + c, VDIT_F32, fabs(row[c]));
    }
    return VDIT_OK;
}

/*
 * Out: moved, f32 [B,H,R,dv]: sum of a |v| over the entries of bits. Where what is lost goes elsewhere or the rest
 * is renormalised, an entry moves twice its share, over the kept mass.
 */
static vdit_status weigh_free(vdit_run *run, vdit_tensor *moved, const vdit_golden *golden,
                              const vdit_tensor *bits, const size_t *shape)
{
    vdit_tensor magnitudes;
    vdit_attention call;

    if (vdit_planned_call(run, &call, golden) != VDIT_OK ||
        vdit_planned_freeze(run, &call, bits) != VDIT_OK ||
        vdit_planned_mask_only(run, &call) != VDIT_OK ||
        magnitudes_of(run, &magnitudes, call.v) != VDIT_OK ||
        vdit_tensor_new(run, moved, VDIT_F32, 4, shape) != VDIT_OK)
        return vdit_run_status(run);
    call.v = &magnitudes;
    call.o = moved;
    return vdit_attention_reference(run, &call);
}

vdit_status vdit_decision_widen(vdit_run *run, vdit_tensor *wide, const vdit_evidence *evidence,
                                const vdit_golden *golden, const vdit_tensor *sigma)
{
    const vdit_tensor *keep = vdit_golden_find(golden, "keep");
    const vdit_tensor *mass = vdit_golden_find(golden, "kept_mass");
    size_t width = sigma->shape[3];
    vdit_tensor bits, moved;

    if (vdit_tensor_new(run, &bits, VDIT_U8, 4, keep->shape) != VDIT_OK ||
        vdit_tensor_new(run, wide, VDIT_F64, 4, sigma->shape) != VDIT_OK)
        return vdit_run_status(run);
    memset(bits.data, 0, vdit_tensor_count(&bits));
    if (list_free(&bits, evidence, golden) == 0) {
        *wide = *sigma;
        return VDIT_OK;
    }
    if (weigh_free(run, &moved, golden, &bits, sigma->shape) != VDIT_OK)
        return vdit_run_status(run);
    for (size_t n = 0; n < vdit_tensor_count(wide); n++) {
        size_t row = n / width, b = row / evidence->R / evidence->H;
        const size_t at[] = {b, row / evidence->R % evidence->H, row % evidence->R, n % width};
        double kept = vdit_number_at(mass, at), s = vdit_number_at(sigma, at);
        double m = 2 * (double)((const float *)moved.data)[n] / (kept > 0x1p-20 ? kept : 1);
        ((double *)wide->data)[n] = sqrt(s * s + m * m);
    }
    return VDIT_OK;
}
