/*
 * mutants_edits.c - interventions that are done wrong.
 *
 * Each is the reference on an edit that is not the one that was asked for: what a kernel does that
 * misreads a definition. Calls without edits are those of the honest kernel.
 */
#include "mutants.h"

#define PATTERNS 8 /* designed masks of one edit that can be changed */

/* What is changed in the edit of one head; the array is memory for changed patterns. */
typedef void edit_fault(vdit_edit *edit, const vdit_attention *a, vdit_pattern *patterns);

static void scope_rows(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    (void)a;
    (void)patterns;
    e->scope = e->scope == VDIT_SCOPE_ROW ? VDIT_SCOPE_HEAD : VDIT_SCOPE_ROW;
}

static void scope_global(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    (void)a;
    (void)patterns;
    e->scope = VDIT_SCOPE_GLOBAL;
}

static void fraction_of_kept(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    (void)a;
    (void)patterns;
    e->fraction = 1 - e->fraction;
}

/* Renormalised when it should not be, or not when it should. */
static void renormalised(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    (void)a;
    (void)patterns;
    e->lost = e->lost == VDIT_LOST_DROPPED ? VDIT_LOST_RENORMALISED : VDIT_LOST_DROPPED;
}

static void temperature_inverse(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    (void)a;
    (void)patterns;
    if (e->temperature != 0)
        e->temperature = 1 / e->temperature;
}

/* On the map in place of the logits: the rows do not sum to 1. */
static void temperature_late(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    (void)a;
    (void)patterns;
    if (e->temperature != 0)
        e->gate /= e->temperature;
    e->temperature = 1;
}

static void temperature_ignored(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    (void)a;
    (void)patterns;
    e->temperature = 1;
}

static void transfer_none(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    (void)a;
    (void)patterns;
    e->transfer = 0;
}

/* One operand of two: q or k stays that of the wrong branch. */
static void transfer_half(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    (void)a;
    (void)patterns;
    e->transfer &= ~(unsigned)(e->transfer & VDIT_FROM_Q ? VDIT_FROM_Q : VDIT_FROM_K);
}

/* The values of the branch that the map comes from, where their shape allows it. */
static void transfer_values(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    (void)a;
    (void)patterns;
    if (e->source_v != NULL)
        e->transfer ^= VDIT_FROM_V;
    else if (e->source_k != NULL && e->transfer & VDIT_FROM_K)
        e->source_k = a->k;
}

static void mix_inverse(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    (void)a;
    (void)patterns;
    if (e->source_map != NULL || e->mix > 0)
        e->mix = 1 - e->mix;
}

static void uniform_padded(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    (void)a;
    (void)patterns;
    if (e->uniform == VDIT_UNIFORM_VALID)
        e->uniform = VDIT_UNIFORM_PADDED;
}

static void identity_for_uniform(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    (void)a;
    (void)patterns;
    if (e->replace > 0 && a->q->shape[2] == a->k->shape[2])
        e->alpha = 1 - e->alpha;
}

static void replaced_wholly(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    (void)a;
    (void)patterns;
    if (e->replace > 0)
        e->replace = e->replace < 1 ? 1 : 0.5;
}

static void text_rows_too(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    (void)a;
    (void)patterns;
    e->queries = VDIT_ANY;
}

static void joint_order(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    (void)a;
    (void)patterns;
    e->tokens.text_first = !e->tokens.text_first;
}

static void blocks_transposed(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    unsigned vt = e->dropped_blocks & VDIT_BLOCK_VT, tv = e->dropped_blocks & VDIT_BLOCK_TV;

    (void)a;
    (void)patterns;
    e->dropped_blocks &= ~(unsigned)(VDIT_BLOCK_VT | VDIT_BLOCK_TV);
    e->dropped_blocks |= (vt ? VDIT_BLOCK_TV : 0) | (tv ? VDIT_BLOCK_VT : 0);
}

static void moments_exchanged(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    (void)a;
    (void)patterns;
    e->block_moment =
        e->block_moment == VDIT_BEFORE_SOFTMAX ? VDIT_AFTER_SOFTMAX : VDIT_BEFORE_SOFTMAX;
    e->pattern_moment =
        e->pattern_moment == VDIT_BEFORE_SOFTMAX ? VDIT_AFTER_SOFTMAX : VDIT_BEFORE_SOFTMAX;
}

static void windows_wider(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    (void)a;
    for (size_t i = 0; i < e->pattern_count && e->pattern_count <= PATTERNS; i++) {
        patterns[i] = e->patterns[i];
        for (size_t axis = 0; axis < 3; axis++)
            patterns[i].window[axis] += 1;
    }
    if (e->pattern_count <= PATTERNS)
        e->patterns = patterns;
}

static void keys_ignored(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    (void)a;
    (void)patterns;
    e->keys = NULL;
    e->first_text = e->first_text ? e->first_text + 1 : 0;
}

static void weights_ignored(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    (void)a;
    (void)patterns;
    e->key_weight = NULL;
}

static void gate_ignored(vdit_edit *e, const vdit_attention *a, vdit_pattern *patterns)
{
    (void)a;
    (void)patterns;
    e->gate = 1;
}

/* An edit that goes to another head than it should is told from one that changes. */
static const struct {
    mutant plain; /* its name and what it is */
    edit_fault *fault;
    int next_head; /* each head has the edit of the next */
} edits[] = {
    {{.name = "quantile-row", .about = "mutant: the quantile by row in place of by head"},
     scope_rows,
     0},
    {{.name = "quantile-global", .about = "mutant: the quantile over all heads"}, scope_global, 0},
    {{.name = "fraction-kept", .about = "mutant: the fraction kept in place of masked"},
     fraction_of_kept,
     0},
    {{.name = "renormalised", .about = "mutant: renormalised when it should not be, or not"},
     renormalised,
     0},
    {{.name = "temperature-inverse", .about = "mutant: the inverse temperature"},
     temperature_inverse,
     0},
    {{.name = "temperature-late", .about = "mutant: the temperature after the softmax"},
     temperature_late,
     0},
    {{.name = "temperature-none", .about = "mutant: the temperature ignored"},
     temperature_ignored,
     0},
    {{.name = "transfer-none", .about = "mutant: the map of the wrong branch"}, transfer_none, 0},
    {{.name = "transfer-half", .about = "mutant: one operand of the wrong branch"},
     transfer_half,
     0},
    {{.name = "transfer-values", .about = "mutant: v, or k, of the wrong branch"},
     transfer_values,
     0},
    {{.name = "mix-inverse", .about = "mutant: the maps mixed the other way round"},
     mix_inverse,
     0},
    {{.name = "uniform-padded", .about = "mutant: U over padded keys too"}, uniform_padded, 0},
    {{.name = "identity-uniform", .about = "mutant: I and U exchanged"}, identity_for_uniform, 0},
    {{.name = "replaced", .about = "mutant: the map replaced more, or less, than asked"},
     replaced_wholly,
     0},
    {{.name = "text-rows", .about = "mutant: text rows edited too"}, text_rows_too, 0},
    {{.name = "joint-edit", .about = "mutant: text taken for video, at the other end"},
     joint_order,
     0},
    {{.name = "blocks-transposed", .about = "mutant: block vt for tv"}, blocks_transposed, 0},
    {{.name = "moments", .about = "mutant: masked after the softmax for before"},
     moments_exchanged,
     0},
    {{.name = "windows-wider", .about = "mutant: windows one token wider"}, windows_wider, 0},
    {{.name = "keys-kept", .about = "mutant: dropped keys attended"}, keys_ignored, 0},
    {{.name = "weights-none", .about = "mutant: weights of keys ignored"}, weights_ignored, 0},
    {{.name = "gate-none", .about = "mutant: the head gate ignored"}, gate_ignored, 0},
    {{.name = "edit-next-head", .about = "mutant: each head has the edit of the next"}, NULL, 1},
};

const mutant *mutant_edit_at(size_t i)
{
    return i < sizeof edits / sizeof *edits ? &edits[i].plain : NULL;
}

vdit_status mutant_edited(vdit_run *run, const vdit_attention *a, size_t i)
{
    size_t mark = vdit_run_mark(run), heads = a->q->shape[1];
    vdit_edit *copies = vdit_run_alloc(run, heads, sizeof *copies);
    vdit_pattern *patterns = vdit_run_alloc(run, heads * PATTERNS, sizeof *patterns);
    const vdit_edit **list = vdit_run_alloc(run, heads, sizeof *list);
    vdit_attention call = *a;

    for (size_t h = 0; vdit_run_status(run) == VDIT_OK && h < heads; h++) {
        list[h] = a->edits[edits[i].next_head ? (h + 1) % heads : h];
        if (list[h] == NULL || edits[i].fault == NULL)
            continue;
        copies[h] = *list[h];
        edits[i].fault(&copies[h], a, patterns + h * PATTERNS);
        list[h] = &copies[h];
    }
    call.edits = list;
    if (vdit_run_status(run) == VDIT_OK)
        vdit_attention_reference(run, &call);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
