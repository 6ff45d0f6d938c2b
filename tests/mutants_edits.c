/*
 * mutants_edits.c - interventions that are done wrong.
 *
 * Each is the reference on an edit that is not the one that was asked for: what a kernel does that
 * misreads a definition. Calls without edits are those of the honest kernel.
 */
#include <string.h>
#include "mutants.h"

#define PATTERNS 8 /* designed masks of one edit that can be changed */

/* The head whose edit is changed; patterns is memory for changed ones. */
typedef struct subject {
    vdit_run *run;
    const vdit_attention *a;
    vdit_pattern *patterns;
} subject;

/* What is changed in the edit of one head. */
typedef void edit_fault(vdit_edit *edit, const subject *s);

static void scope_rows(vdit_edit *e, const subject *s)
{
    (void)s;
    e->scope = e->scope == VDIT_SCOPE_ROW ? VDIT_SCOPE_HEAD : VDIT_SCOPE_ROW;
}

static void scope_global(vdit_edit *e, const subject *s)
{
    (void)s;
    e->scope = VDIT_SCOPE_GLOBAL;
}

static void fraction_of_kept(vdit_edit *e, const subject *s)
{
    (void)s;
    e->fraction = 1 - e->fraction;
}

/* Renormalised when it should not be, or not when it should. */
static void renormalised(vdit_edit *e, const subject *s)
{
    (void)s;
    e->lost = e->lost == VDIT_LOST_DROPPED ? VDIT_LOST_RENORMALISED : VDIT_LOST_DROPPED;
}

static void temperature_inverse(vdit_edit *e, const subject *s)
{
    (void)s;
    if (e->temperature != 0)
        e->temperature = 1 / e->temperature;
}

/* On the map in place of the logits: the rows do not sum to 1. */
static void temperature_late(vdit_edit *e, const subject *s)
{
    (void)s;
    if (e->temperature != 0)
        e->gate /= e->temperature;
    e->temperature = 1;
}

static void temperature_ignored(vdit_edit *e, const subject *s)
{
    (void)s;
    e->temperature = 1;
}

static void transfer_none(vdit_edit *e, const subject *s)
{
    (void)s;
    e->transfer = 0;
}

/* One operand of two: q or k stays that of the wrong branch. */
static void transfer_half(vdit_edit *e, const subject *s)
{
    (void)s;
    e->transfer &= ~(unsigned)(e->transfer & VDIT_FROM_Q ? VDIT_FROM_Q : VDIT_FROM_K);
}

/* The values of the branch that the map comes from, where their shape allows it. */
static void transfer_values(vdit_edit *e, const subject *s)
{
    if (e->source_v != NULL)
        e->transfer ^= VDIT_FROM_V;
    else if (e->source_k != NULL && e->transfer & VDIT_FROM_K)
        e->source_k = s->a->k;
}

static void mix_inverse(vdit_edit *e, const subject *s)
{
    (void)s;
    if (e->source_map != NULL || e->mix > 0)
        e->mix = 1 - e->mix;
}

static void uniform_padded(vdit_edit *e, const subject *s)
{
    (void)s;
    if (e->uniform == VDIT_UNIFORM_VALID)
        e->uniform = VDIT_UNIFORM_PADDED;
    else if (e->uniform == VDIT_UNIFORM_PADDED)
        e->uniform = VDIT_UNIFORM_VALID;
}

static void identity_for_uniform(vdit_edit *e, const subject *s)
{
    if (e->replace > 0 && s->a->q->shape[2] == s->a->k->shape[2])
        e->alpha = 1 - e->alpha;
}

static void replaced_wholly(vdit_edit *e, const subject *s)
{
    (void)s;
    if (e->replace > 0)
        e->replace = e->replace < 1 ? 1 : 0.5;
}

static void text_rows_too(vdit_edit *e, const subject *s)
{
    (void)s;
    e->queries = VDIT_ANY;
}

static void joint_order(vdit_edit *e, const subject *s)
{
    (void)s;
    e->tokens.text_first = !e->tokens.text_first;
}

static void blocks_transposed(vdit_edit *e, const subject *s)
{
    unsigned vt = e->dropped_blocks & VDIT_BLOCK_VT, tv = e->dropped_blocks & VDIT_BLOCK_TV;

    (void)s;
    e->dropped_blocks &= ~(unsigned)(VDIT_BLOCK_VT | VDIT_BLOCK_TV);
    e->dropped_blocks |= (vt ? VDIT_BLOCK_TV : 0) | (tv ? VDIT_BLOCK_VT : 0);
}

static void moments_exchanged(vdit_edit *e, const subject *s)
{
    (void)s;
    e->block_moment =
        e->block_moment == VDIT_BEFORE_SOFTMAX ? VDIT_AFTER_SOFTMAX : VDIT_BEFORE_SOFTMAX;
    e->pattern_moment =
        e->pattern_moment == VDIT_BEFORE_SOFTMAX ? VDIT_AFTER_SOFTMAX : VDIT_BEFORE_SOFTMAX;
}

static void windows_wider(vdit_edit *e, const subject *s)
{
    for (size_t i = 0; i < e->pattern_count && e->pattern_count <= PATTERNS; i++) {
        s->patterns[i] = e->patterns[i];
        for (size_t axis = 0; axis < 3; axis++)
            s->patterns[i].window[axis] += 1;
    }
    if (e->pattern_count <= PATTERNS)
        e->patterns = s->patterns;
}

static void keys_ignored(vdit_edit *e, const subject *s)
{
    (void)s;
    e->keys = NULL;
    e->first_text = e->first_text ? e->first_text + 1 : 0;
}

static void weights_ignored(vdit_edit *e, const subject *s)
{
    (void)s;
    e->key_weight = NULL;
}

static void gate_ignored(vdit_edit *e, const subject *s)
{
    (void)s;
    e->gate = 1;
}

/* A tensor with a number for each row, or for each entry, of a call; NULL without memory. */
static vdit_tensor *new_tensor(const subject *s, vdit_dtype dtype, int rank)
{
    const vdit_attention *a = s->a;
    size_t rows = a->rows ? a->rows->shape[0] : a->q->shape[2];
    const size_t shape[4] = {a->q->shape[0], a->q->shape[1], rows, a->k->shape[2]};
    vdit_tensor *t = vdit_run_alloc(s->run, 1, sizeof *t);

    if (t == NULL || vdit_tensor_new(s->run, t, dtype, rank, shape) != VDIT_OK)
        return NULL;
    memset(t->data, 0, vdit_tensor_count(t) * vdit_dtype_size(dtype));
    return t;
}

/* The threshold of the dense map in place of this pass's own; a given one replaced by this pass's own. */
static void threshold_pass(vdit_edit *e, const subject *s)
{
    vdit_edit_report report = {.size = sizeof report};
    const vdit_edit **list;
    vdit_attention dense = *s->a;
    vdit_edit plain;

    if (e->prune == VDIT_PRUNE_THRESHOLD) {
        e->prune = VDIT_PRUNE_FRACTION;
        e->fraction = 0.3;
        return;
    }
    list = vdit_run_alloc(s->run, s->a->q->shape[1], sizeof *list);
    report.threshold = new_tensor(s, VDIT_F32, 3);
    if (e->prune != VDIT_PRUNE_FRACTION || list == NULL || report.threshold == NULL)
        return;
    vdit_edit_init(&plain);
    plain.tokens = e->tokens;
    plain.prune = e->prune;
    plain.fraction = e->fraction;
    plain.scope = e->scope;
    plain.prunable = e->prunable;
    for (size_t h = 0; h < s->a->q->shape[1]; h++)
        list[h] = &plain;
    dense.edits = list;
    dense.report = &report;
    dense.lse = NULL;
    if (vdit_attention_reference(s->run, &dense) != VDIT_OK)
        return;
    e->prune = VDIT_PRUNE_THRESHOLD;
    e->threshold = report.threshold;
}

/* I in cross-attention, of which a plan for self-attention does not speak: the value at the query's own place. */
static void identity_cross(vdit_edit *e, const subject *s)
{
    size_t keys = s->a->k->shape[2];
    vdit_tensor *map;

    if (s->a->q->shape[2] == keys || (map = new_tensor(s, VDIT_F32, 4)) == NULL)
        return;
    for (size_t i = 0; i < vdit_tensor_count(map) / keys; i++)
        ((float *)map->data)[i * keys + i % map->shape[2] % keys] = 1;
    e->mix = 1;
    e->source_map = map;
}

/* An edit that goes to another head than it should is told from one that changes. */
static const struct {
    mutant plain; /* its name and what it is */
    edit_fault *fault;
    int next_head; /* each head has the edit of the next */
    int idle_too;  /* heads without an edit are changed as well */
} edits[] = {
    {{.name = "stored-map", .about = "honest: the map in memory, edited entry by entry"},
     .fault = NULL},
    {{.name = "quantile-row", .about = "mutant: the quantile by row in place of by head"},
     .fault = scope_rows},
    {{.name = "quantile-global", .about = "mutant: the quantile over all heads"},
     .fault = scope_global},
    {{.name = "fraction-kept", .about = "mutant: the fraction kept in place of masked"},
     .fault = fraction_of_kept},
    {{.name = "renormalised", .about = "mutant: renormalised when it should not be, or not"},
     .fault = renormalised},
    {{.name = "temperature-inverse", .about = "mutant: the inverse temperature"},
     .fault = temperature_inverse},
    {{.name = "temperature-late", .about = "mutant: the temperature after the softmax"},
     .fault = temperature_late},
    {{.name = "temperature-none", .about = "mutant: the temperature ignored"},
     .fault = temperature_ignored},
    {{.name = "transfer-none", .about = "mutant: the map of the wrong branch"},
     .fault = transfer_none},
    {{.name = "transfer-half", .about = "mutant: one operand of the wrong branch"},
     .fault = transfer_half},
    {{.name = "transfer-values", .about = "mutant: v, or k, of the wrong branch"},
     .fault = transfer_values},
    {{.name = "mix-inverse", .about = "mutant: the maps mixed the other way round"},
     .fault = mix_inverse},
    {{.name = "uniform-padded", .about = "mutant: U over padded keys too"},
     .fault = uniform_padded},
    {{.name = "identity-uniform", .about = "mutant: I and U exchanged"},
     .fault = identity_for_uniform},
    {{.name = "replaced", .about = "mutant: the map replaced more, or less, than asked"},
     .fault = replaced_wholly},
    {{.name = "text-rows", .about = "mutant: text rows edited too"}, .fault = text_rows_too},
    {{.name = "joint-edit", .about = "mutant: text taken for video, at the other end"},
     .fault = joint_order},
    {{.name = "blocks-transposed", .about = "mutant: block vt for tv"}, .fault = blocks_transposed},
    {{.name = "moments", .about = "mutant: masked after the softmax for before"},
     .fault = moments_exchanged},
    {{.name = "windows-wider", .about = "mutant: windows one token wider"}, .fault = windows_wider},
    {{.name = "keys-kept", .about = "mutant: dropped keys attended"}, .fault = keys_ignored},
    {{.name = "weights-none", .about = "mutant: weights of keys ignored"},
     .fault = weights_ignored},
    {{.name = "gate-none", .about = "mutant: the head gate ignored"}, .fault = gate_ignored},
    {{.name = "threshold-pass", .about = "mutant: the threshold of the wrong pass"},
     .fault = threshold_pass},
    {{.name = "identity-cross", .about = "mutant: I on cross-attention too"},
     .fault = identity_cross,
     .idle_too = 1},
    {{.name = "edit-next-head", .about = "mutant: each head has the edit of the next"},
     .next_head = 1},
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

    if (edits[i].fault == NULL && !edits[i].next_head)
        return mutant_stored(run, a);
    for (size_t h = 0; vdit_run_status(run) == VDIT_OK && h < heads; h++) {
        const subject s = {run, a, patterns + h * PATTERNS};

        list[h] = a->edits[edits[i].next_head ? (h + 1) % heads : h];
        if ((list[h] == NULL && !edits[i].idle_too) || edits[i].fault == NULL)
            continue;
        vdit_edit_init(&copies[h]);
        if (list[h] != NULL)
            copies[h] = *list[h];
        edits[i].fault(&copies[h], &s);
        list[h] = &copies[h];
    }
    call.edits = list;
    if (vdit_run_status(run) == VDIT_OK)
        vdit_attention_reference(run, &call);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
