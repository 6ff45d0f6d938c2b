/* mutants_softmax.c - softmax over blocks of keys, as it is done and as it is done wrong. */
#include <math.h>
#include <string.h>
#include "mutants.h"

#define LN2       0x1.62e42fefa39efp-1 /* ln 2 */
#define LAZY_STEP (8 * LN2)

/* What runs along the keys of one part. */
typedef struct running {
    mutant_softmax *s;
    float *o;
    float most, sum, rounded; /* rounded: the sum of the rounded map */
} running;

/* 8 bits of x, toward zero. */
static float truncated(float x)
{
    int exponent;
    double part = frexp(x, &exponent);

    return (float)ldexp(trunc(ldexp(part, 8)), exponent - 8);
}

float mutant_round(mutant_format format, vdit_dtype right, float x)
{
    static const vdit_dtype dtypes[] = {
        [FORMAT_F32] = VDIT_F32, [FORMAT_BF16] = VDIT_BF16, [FORMAT_F16] = VDIT_F16};

    if (format == FORMAT_TRUNCATED)
        return truncated(x);
    if (format != FORMAT_RIGHT)
        right = dtypes[format];
    return right == VDIT_F32 ? x : (float)vdit_round_f64(right, x);
}

static float power(const mutant_softmax *s, float x)
{
    return s->m->uses_exp2 ? exp2f(x) : expf(x);
}

/* Logits are in powers of two, or of e. */
static float in_units(const mutant_softmax *s, double x)
{
    return (float)(s->m->uses_exp2 ? x / LN2 : x);
}

static float next_reference(const running *r, float top)
{
    switch (r->s->m->reference) {
    case REFERENCE_NONE:
        return 0;
    case REFERENCE_FIRST:
        return r->most == -HUGE_VALF ? top : r->most;
    case REFERENCE_LAZY:
        return top > r->most + in_units(r->s, LAZY_STEP) ? top : r->most;
    default:
        return top > r->most ? top : r->most;
    }
}

/* The reference moves to most: what was summed shrinks. */
static void move_reference(running *r, float most)
{
    mutant_rescale how = r->s->m->rescale;
    float factor = power(r->s, r->most - most);

    r->most = most;
    if (how == RESCALE_NONE)
        return;
    if (how != RESCALE_OUTPUT_ALONE)
        r->sum *= factor;
    r->rounded *= factor;
    if (how == RESCALE_TWICE)
        factor *= factor;
    for (size_t c = 0; how != RESCALE_SUM_ALONE && c < r->s->width; c++)
        r->o[c] *= factor;
}

static float sum_pairs(const float *x, size_t n)
{
    float sum = 0;

    if (n > 8)
        return sum_pairs(x, n / 2) + sum_pairs(x + n / 2, n - n / 2);
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

static float sum_block(const running *r, size_t first, size_t last)
{
    const mutant *m = r->s->m;
    float sum = 0;

    if (m->is_pairwise)
        return sum_pairs(r->s->p + first, last - first);
    for (size_t t = first; t < last; t++)
        if (!(t >= MUTANT_TILE && t < MUTANT_TILE + m->sum_misses))
            sum += r->s->p[t];
    return sum;
}

/* block += weight * value, with one rounding or two. */
static void add_value(const mutant_softmax *s, float weight, const float *value)
{
    for (size_t c = 0; c < s->width; c += MUTANT_LANE)
        if (s->m->is_fused)
            for (size_t i = 0; i < MUTANT_LANE; i++)
                s->block[c + i] = (float)((double)weight * value[c + i] + s->block[c + i]);
        else
            for (size_t i = 0; i < MUTANT_LANE; i++)
                s->block[c + i] += weight * value[c + i];
}

/* The values of a block, weighted by the rounded map, join the output. */
static void add_values(running *r, size_t first, size_t last)
{
    mutant_softmax *s = r->s;
    float rounded = 0;

    memset(s->block, 0, s->width * sizeof *s->block);
    for (size_t t = first; t < last; t++) {
        float weight = mutant_round(s->m->p, s->dtype, s->p[t]);
        rounded += weight;
        if (weight != 0)
            add_value(s, weight, s->values[t]);
    }
    r->rounded += rounded;
    for (size_t c = 0; c < s->width; c++)
        r->o[c] = mutant_round(s->m->accumulators, VDIT_F32, r->o[c] + s->block[c]);
}

static void add_block(running *r, size_t first, size_t last)
{
    float top = -HUGE_VALF, most;

    for (size_t t = first; t < last; t++)
        top = r->s->logits[t] > top ? r->s->logits[t] : top;
    if (top == -HUGE_VALF)
        return;
    most = next_reference(r, top);
    if (most != r->most)
        move_reference(r, most);
    for (size_t t = first; t < last; t++)
        r->s->p[t] = power(r->s, r->s->logits[t] - most);
    r->sum = mutant_round(r->s->m->accumulators, VDIT_F32, r->sum + sum_block(r, first, last));
    add_values(r, first, last);
}

/* One part of the keys, block after block. */
static void run_part(running *r, size_t first, size_t last)
{
    size_t block = r->s->m->block ? r->s->m->block : MUTANT_TILE;
    size_t blocks = (last - first + block - 1) / block;

    for (size_t i = 0; i < blocks; i++) {
        size_t at = first + (r->s->m->is_backwards ? blocks - 1 - i : i) * block;
        add_block(r, at, at + block < last ? at + block : last);
    }
}

/* total and part, as split-KV joins them: each weighs what its sum of exponentials says. */
static void merge_part(running *total, const running *part)
{
    mutant_softmax *s = total->s;
    float most = part->most > total->most ? part->most : total->most, a, b;

    if (part->most == -HUGE_VALF)
        return;
    a = total->most == -HUGE_VALF ? 0 : power(s, total->most - most);
    b = power(s, part->most - most);
    if (s->m->merge == MERGE_AVERAGE && total->most != -HUGE_VALF)
        a = b = 1;
    for (size_t c = 0; c < s->width; c++)
        total->o[c] = a * total->o[c] + b * part->o[c];
    total->sum = a * total->sum + b * part->sum;
    total->rounded = a * total->rounded + b * part->rounded;
    total->most = most;
}

static running part_begin(mutant_softmax *s, float *o)
{
    running r = {s, o, -HUGE_VALF, 0, 0};

    if (s->m->reference == REFERENCE_NONE)
        r.most = 0;
    memset(o, 0, s->width * sizeof *o);
    return r;
}

static running run_parts(mutant_softmax *s)
{
    size_t parts = s->m->parts ? s->m->parts : 1, length = (s->count + parts - 1) / parts;
    running total = part_begin(s, s->o);

    if (parts == 1) {
        run_part(&total, 0, s->count);
        return total;
    }
    for (size_t i = 0; i < parts && i * length < s->count; i++) {
        size_t last = (i + 1) * length < s->count ? (i + 1) * length : s->count;
        running part = part_begin(s, s->part);
        if (i != 0 && last == s->count && s->m->merge == MERGE_WITHOUT_LAST)
            continue;
        run_part(&part, i * length, last);
        merge_part(&total, &part);
    }
    return total;
}

/* The plain way: the whole map first, divided, then rounded. */
static running run_two_pass(mutant_softmax *s)
{
    running r = part_begin(s, s->o);

    for (size_t t = 0; t < s->count; t++)
        r.most = s->logits[t] > r.most ? s->logits[t] : r.most;
    for (size_t t = 0; r.most != -HUGE_VALF && t < s->count; t++)
        s->p[t] = power(s, s->logits[t] - r.most);
    for (size_t t = 0; r.most != -HUGE_VALF && t < s->count; t += MUTANT_TILE)
        r.sum += sum_block(&r, t, t + MUTANT_TILE < s->count ? t + MUTANT_TILE : s->count);
    for (size_t t = 0; r.sum > 0 && t < s->count; t++)
        s->p[t] /= r.sum;
    for (size_t t = 0; r.sum > 0 && t < s->count; t += MUTANT_TILE)
        add_values(&r, t, t + MUTANT_TILE < s->count ? t + MUTANT_TILE : s->count);
    return r;
}

static float lse_of(const running *r, float sum)
{
    float most = r->s->m->uses_exp2 ? (float)(r->most * LN2) : r->most, lse = most + logf(sum);

    switch (r->s->m->lse) {
    case LSE_BASE_2:
        return (float)(lse / LN2);
    case LSE_WITHOUT_MAXIMUM:
        return logf(sum);
    case LSE_MAXIMUM_ALONE:
        return most;
    default:
        return lse;
    }
}

void mutant_softmax_run(mutant_softmax *s)
{
    running r = s->m->is_two_pass ? run_two_pass(s) : run_parts(s);
    float sum = s->m->sums_rounded ? r.rounded : r.sum;

    s->lse = -HUGE_VALF;
    if (r.most == -HUGE_VALF || (s->m->reference == REFERENCE_NONE && r.sum == 0))
        return; /* no valid key: o is 0 */
    if (s->m->sum_has_one)
        sum += power(s, -r.most);
    s->lse = lse_of(&r, s->m->sum_has_one ? sum : r.sum);
    if (s->m->is_two_pass)
        return;
    for (size_t c = 0; c < s->width; c++)
        s->o[c] = s->m->uses_reciprocal ? s->o[c] * (1 / sum) : s->o[c] / sum;
}
