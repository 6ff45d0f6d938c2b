/*
 * explain_edits.c - an intervention that is done wrong: the reference on an edit that is not the one of the plan.
 *
 * Of two that give the same the first of the table is named, so what is more special comes first.
 */
#include <string.h>
#include "golden/explain.h"
#include "golden/planned.h"

#define PATTERNS 16 /* designed masks of an edit that can be changed */

/* The head whose edit is changed. */
typedef struct subject {
    const vdit_attention *call;
    vdit_pattern *patterns; /* [PATTERNS] memory for changed ones */
} subject;

/* Changes an edit. Returns: 1 if there was something to change. */
typedef int edit_change(vdit_edit *edit, const subject *s);

static int no_temperature(vdit_edit *e, const subject *s)
{
    int any = e->temperature != 1;

    (void)s;
    e->temperature = 1;
    return any;
}

static int inverse_temperature(vdit_edit *e, const subject *s)
{
    (void)s;
    if (e->temperature == 1 || e->temperature == 0)
        return 0;
    e->temperature = 1 / e->temperature;
    return 1;
}

/* The map is divided in place of the logits: its rows do not sum to 1. */
static int late_temperature(vdit_edit *e, const subject *s)
{
    (void)s;
    if (e->temperature == 1 || e->temperature == 0)
        return 0;
    e->gate /= e->temperature;
    e->temperature = 1;
    return 1;
}

static int sorts(const vdit_edit *e)
{
    return e->prune == VDIT_PRUNE_FRACTION;
}

static int by_row(vdit_edit *e, const subject *s)
{
    int any = sorts(e) && e->scope != VDIT_SCOPE_ROW;

    (void)s;
    e->scope = VDIT_SCOPE_ROW;
    return any;
}

static int by_head(vdit_edit *e, const subject *s)
{
    int any = sorts(e) && e->scope != VDIT_SCOPE_HEAD;

    (void)s;
    e->scope = VDIT_SCOPE_HEAD;
    return any;
}

static int over_all_heads(vdit_edit *e, const subject *s)
{
    int any = sorts(e) && e->scope != VDIT_SCOPE_GLOBAL;

    (void)s;
    e->scope = VDIT_SCOPE_GLOBAL;
    return any && s->call->q->shape[0] * s->call->q->shape[1] > 1;
}

static int fraction_kept(vdit_edit *e, const subject *s)
{
    (void)s;
    if (!sorts(e))
        return 0;
    e->fraction = 1 - e->fraction;
    return 1;
}

static int masks_after(const vdit_edit *e)
{
    return e->prune == VDIT_PRUNE_FRACTION || e->prune == VDIT_PRUNE_THRESHOLD ||
           (e->prune == VDIT_PRUNE_MASK && e->keep_moment == VDIT_AFTER_SOFTMAX) ||
           (e->pattern_count > 0 && e->pattern_moment == VDIT_AFTER_SOFTMAX) ||
           (e->dropped_blocks != 0 && e->block_moment == VDIT_AFTER_SOFTMAX);
}

static int goes(vdit_edit *e, vdit_lost lost)
{
    int any = masks_after(e) && e->lost != lost;

    e->lost = lost;
    return any;
}

static int renormalised(vdit_edit *e, const subject *s)
{
    (void)s;
    return goes(e, VDIT_LOST_RENORMALISED);
}

static int dropped(vdit_edit *e, const subject *s)
{
    (void)s;
    return goes(e, VDIT_LOST_DROPPED);
}

static int no_rank(vdit_edit *e, const subject *s)
{
    int any = e->prune != VDIT_PRUNE_NONE;

    (void)s;
    e->prune = VDIT_PRUNE_NONE;
    return any;
}

static int no_pattern(vdit_edit *e, const subject *s)
{
    int any = e->pattern_count > 0 || e->dropped_blocks != 0;

    (void)s;
    e->pattern_count = 0;
    e->dropped_blocks = 0;
    return any;
}

static vdit_moment other(vdit_moment moment)
{
    return moment == VDIT_BEFORE_SOFTMAX ? VDIT_AFTER_SOFTMAX : VDIT_BEFORE_SOFTMAX;
}

static int other_moment(vdit_edit *e, const subject *s)
{
    (void)s;
    e->pattern_moment = other(e->pattern_moment);
    e->block_moment = other(e->block_moment);
    e->keep_moment = other(e->keep_moment);
    return e->pattern_count > 0 || e->dropped_blocks != 0 || e->prune == VDIT_PRUNE_MASK;
}

static int wider_windows(vdit_edit *e, const subject *s)
{
    if (e->pattern_count == 0 || e->pattern_count > PATTERNS)
        return 0;
    memcpy(s->patterns, e->patterns, e->pattern_count * sizeof *s->patterns);
    for (size_t i = 0; i < e->pattern_count; i++)
        for (size_t axis = 0; axis < 3; axis++)
            s->patterns[i].window[axis]++;
    e->patterns = s->patterns;
    return 1;
}

static int transposed_blocks(vdit_edit *e, const subject *s)
{
    const unsigned both = VDIT_BLOCK_VT | VDIT_BLOCK_TV;
    unsigned has = e->dropped_blocks & both;

    (void)s;
    if (has == 0 || has == both)
        return 0;
    e->dropped_blocks ^= both;
    return 1;
}

static int no_transfer(vdit_edit *e, const subject *s)
{
    int any = e->transfer != 0;

    (void)s;
    e->transfer = 0;
    return any;
}

static int not_taken(vdit_edit *e, unsigned operand)
{
    int any = (e->transfer & operand) != 0 && e->transfer != operand;

    e->transfer &= ~operand;
    return any;
}

static int own_queries(vdit_edit *e, const subject *s)
{
    (void)s;
    return not_taken(e, VDIT_FROM_Q);
}

static int own_keys(vdit_edit *e, const subject *s)
{
    (void)s;
    return not_taken(e, VDIT_FROM_K);
}

static int own_values(vdit_edit *e, const subject *s)
{
    (void)s;
    return not_taken(e, VDIT_FROM_V);
}

static int source_values(vdit_edit *e, const subject *s)
{
    int any = (e->transfer != 0 || e->mix != 0) && (e->transfer & VDIT_FROM_V) == 0 &&
              e->source_v != NULL;

    (void)s;
    e->transfer |= VDIT_FROM_V;
    return any;
}

static int inverse_mix(vdit_edit *e, const subject *s)
{
    (void)s;
    if (e->mix == 0 || e->mix == 0.5)
        return 0;
    e->mix = 1 - e->mix;
    return 1;
}

static int no_mix(vdit_edit *e, const subject *s)
{
    int any = e->mix != 0;

    (void)s;
    e->mix = 0;
    return any;
}

static int exchanged_i_u(vdit_edit *e, const subject *s)
{
    (void)s;
    if (e->replace == 0 || e->alpha == 0.5 || s->call->q->shape[2] != s->call->k->shape[2])
        return 0;
    e->alpha = 1 - e->alpha;
    return 1;
}

static int padded_mean(vdit_edit *e, const subject *s)
{
    int any = e->replace != 0 && e->uniform == VDIT_UNIFORM_VALID && s->call->key_length != NULL;

    e->uniform = VDIT_UNIFORM_PADDED;
    return any;
}

static int valid_mean(vdit_edit *e, const subject *s)
{
    int any = e->replace != 0 && e->uniform != VDIT_UNIFORM_VALID;

    (void)s;
    e->uniform = VDIT_UNIFORM_VALID;
    return any;
}

static int whole_replacement(vdit_edit *e, const subject *s)
{
    int any = e->replace != 0 && e->replace != 1;

    (void)s;
    e->replace = 1;
    return any;
}

static int no_replacement(vdit_edit *e, const subject *s)
{
    int any = e->replace != 0;

    (void)s;
    e->replace = 0;
    return any;
}

static int no_gate(vdit_edit *e, const subject *s)
{
    int any = e->gate != 1;

    (void)s;
    e->gate = 1;
    return any;
}

static int no_key_set(vdit_edit *e, const subject *s)
{
    int any = e->keys != NULL || e->first_text != 0;

    (void)s;
    e->keys = NULL;
    e->first_text = 0;
    return any;
}

static int a_text_key_more(vdit_edit *e, const subject *s)
{
    int any = e->first_text != 0;

    (void)s;
    e->first_text += (size_t)any;
    return any;
}

static int no_weights(vdit_edit *e, const subject *s)
{
    int any = e->key_weight != NULL;

    (void)s;
    e->key_weight = NULL;
    return any;
}

static int all_queries(vdit_edit *e, const subject *s)
{
    int any = e->queries != VDIT_ANY && e->queries != 0;

    (void)s;
    e->queries = VDIT_ANY;
    return any;
}

static int other_joint_order(vdit_edit *e, const subject *s)
{
    (void)s;
    e->tokens.text_first = !e->tokens.text_first;
    return e->tokens.text != 0;
}

static int no_edit(vdit_edit *e, const subject *s)
{
    vdit_tokens tokens = e->tokens;
    int any = !vdit_edit_is_off(e);

    (void)s;
    vdit_edit_init(e);
    e->tokens = tokens;
    return any;
}

static const struct {
    const char *name, *text;
    edit_change *change; /* NULL: each head has the edit of the next */
    int sorts;           /* 1: the map is sorted anew; else the golden's thresholds stand */
} changes[] = {
    {"temperature", "the temperature ignored", no_temperature, 1},
    {"temperature", "the inverse of the temperature", inverse_temperature, 1},
    {"temperature", "the temperature after the softmax", late_temperature, 1},
    {"quantile", "the quantile by row", by_row, 1},
    {"quantile", "the quantile by head", by_head, 1},
    {"quantile", "the quantile over all heads", over_all_heads, 1},
    {"quantile", "the fraction kept in place of masked", fraction_kept, 1},
    {"lost mass", "the kept mass divided out: renormalised", renormalised, 0},
    {"lost mass", "what is lost dropped", dropped, 0},
    {"masked entries", "entries of low rank, or of the mask, not dropped", no_rank, 0},
    {"masked entries",
     "dropped after the softmax in place of before it, or before in place of after", other_moment,
     0},
    {"masked entries", "block vt in place of tv, or tv of vt", transposed_blocks, 0},
    {"masked entries", "windows one wider", wider_windows, 0},
    {"masked entries", "designed masks and blocks not dropped", no_pattern, 0},
    {"transfer", "q of the wrong branch: not that of the source", own_queries, 1},
    {"transfer", "k of the wrong branch: not that of the source", own_keys, 1},
    {"transfer", "v of the wrong branch: not that of the source", own_values, 0},
    {"transfer", "v of the wrong branch: that of the source", source_values, 0},
    {"transfer", "nothing taken from the source", no_transfer, 1},
    {"mix", "the maps mixed the other way round", inverse_mix, 0},
    {"mix", "the map of the source not mixed in", no_mix, 0},
    {"replacement", "I and U exchanged", exchanged_i_u, 0},
    {"replacement", "U over padded keys too", padded_mean, 0},
    {"replacement", "U over the valid keys", valid_mean, 0},
    {"replacement", "the map replaced wholly", whole_replacement, 0},
    {"replacement", "the map not replaced", no_replacement, 0},
    {"gate", "the head gate ignored", no_gate, 0},
    {"keys", "a text token more than asked", a_text_key_more, 1},
    {"keys", "keys attended that the plan leaves out", no_key_set, 1},
    {"keys", "weights of keys ignored", no_weights, 0},
    {"tokens", "the rows of the other kind edited too", all_queries, 0},
    {"tokens", "text taken for video, at the other end", other_joint_order, 1},
    {"heads", "each head has the edit of the next", NULL, 0},
    {"plan", "the plan ignored", no_edit, 0},
};

#define CHANGE_COUNT (sizeof changes / sizeof *changes)

/* A call under changed edits. */
typedef struct trial {
    vdit_explain *e;
    vdit_attention call;
    const vdit_edit *const *planned; /* [H] NULL where a head has none */
    const vdit_edit **list;          /* [H] */
    vdit_edit *edits;                /* [H] */
    vdit_pattern *patterns;          /* [H][PATTERNS] */
    vdit_tensor o;
} trial;

/* The golden says what the entries were compared with, unless equal ones were counted. */
static void take_thresholds(const trial *t, vdit_edit *edit)
{
    const vdit_tensor *used = vdit_golden_find(t->e->golden, "used_threshold");

    if (!sorts(edit) || used == NULL || edit->ties == VDIT_TIES_COUNT)
        return;
    edit->prune = VDIT_PRUNE_THRESHOLD;
    edit->threshold = used;
}

/* Out: t->edits under change i. Returns: 1 if some head's is another then. */
static int change_edits(trial *t, size_t i)
{
    size_t heads = t->call.q->shape[1];
    int any = 0;

    for (size_t h = 0; h < heads; h++) {
        const vdit_edit *from = t->planned[changes[i].change != NULL ? h : (h + 1) % heads];
        subject s = {&t->call, t->patterns + h * PATTERNS};

        t->list[h] = from;
        any |= changes[i].change == NULL && from != t->planned[h];
        if (from == NULL)
            continue;
        t->edits[h] = *from;
        t->list[h] = &t->edits[h];
        if (changes[i].change != NULL)
            any |= changes[i].change(&t->edits[h], &s);
        if (!changes[i].sorts)
            take_thresholds(t, &t->edits[h]);
    }
    return any;
}

/* Computes guess under the changed edits. Returns: 0 where that is no call, as an edit may not be. */
static int try_edits(trial *t)
{
    vdit_explain *e = t->e;

    if (vdit_attention_reference(e->run, &t->call) != VDIT_OK) {
        if (vdit_run_status(e->run) != VDIT_ERR_MEMORY)
            vdit_run_clear(e->run);
        return 0;
    }
    for (size_t r = 0; r < e->count; r++)
        vdit_row_load(e->guess + r * e->head.value_width, &t->o, e->head.b, e->head.h,
                      e->places[r]);
    return 1;
}

void vdit_explain_edits(vdit_explain *e)
{
    trial t = {.e = e};
    size_t heads;

    if (e->golden->plan == NULL || vdit_planned_call(e->run, &t.call, e->golden) != VDIT_OK)
        return;
    heads = t.call.q->shape[1];
    t.planned = t.call.edits;
    t.list = vdit_run_alloc(e->run, heads, sizeof *t.list);
    t.edits = vdit_run_alloc(e->run, heads, sizeof *t.edits);
    t.patterns = vdit_run_alloc(e->run, heads * PATTERNS, sizeof *t.patterns);
    if (vdit_tensor_new(e->run, &t.o, e->o->dtype, 4, e->o->shape) != VDIT_OK)
        return;
    t.call.edits = t.list;
    t.call.o = &t.o;
    for (size_t i = 0; i < CHANGE_COUNT && vdit_run_status(e->run) == VDIT_OK; i++)
        if (change_edits(&t, i) && try_edits(&t))
            vdit_explain_offer(e, changes[i].name, "%s", changes[i].text);
}
