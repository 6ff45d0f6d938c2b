/* plan_table.c - the actions of a plan, their options, and the presets. vdit-plan(7) says what each means. */
#include <float.h>
#include <string.h>
#include "attention/plan.h"

static const char *const operands[] = {"q", "k", "v", NULL};
static const char *const blocks[] = {"vv", "vt", "tv", "tt", NULL};
static const char *const moments[] = {"before", "after", NULL};
static const char *const text_words[] = {"dense", "masked", NULL};
static const char *const scopes[] = {"head", "row", "frame", "global", NULL};
static const char *const ties[] = {"kept", "count", "linear", NULL};
static const char *const losts[] = {"dropped", "renormalised", "diagonal", "uniform", NULL};
static const char *const empties[] = {"zero", "maximum", NULL};
static const char *const identities[] = {"full", "video-cut", "video-move", NULL};
static const char *const owns[] = {"weakened", "kept", NULL};
static const char *const uniforms[] = {"valid", "padded", "segments", NULL};

const char *const vdit_plan_branch_words[] = {"c", "u", NULL};
const char *const vdit_plan_query_words[] = {"video", "text", NULL};
const vdit_plan_kind_word vdit_plan_kind_words[] = {
    {"self", VDIT_KIND_SELF},         {"full", VDIT_KIND_FULL},   {"spatial", VDIT_KIND_SPATIAL},
    {"temporal", VDIT_KIND_TEMPORAL}, {"cross", VDIT_KIND_CROSS}, {NULL, 0}};

/* An enumeration is filled as the int that it is. */
typedef char enumerations_are_ints
    [sizeof(vdit_moment) == sizeof(int) && sizeof(vdit_scope) == sizeof(int) ? 1 : -1];

#define EDIT(field)    offsetof(vdit_plan_line, values.field)
#define LINE(field)    offsetof(vdit_plan_line, field)
#define PATTERN(field) offsetof(vdit_pattern, field)
#define MOST           VDIT_PLAN_COUNT_MAX

#define NUMBER(name, offset, required, low, high)                                                  \
    {                                                                                              \
        name, VDIT_PLAN_NUMBER, required, 0, offset, NULL, low, high, 0                            \
    }
#define SIZES(name, offset, required, low, count)                                                  \
    {                                                                                              \
        name, VDIT_PLAN_SIZES, required, 0, offset, NULL, low, MOST, count                         \
    }
#define WORD(name, offset, words)                                                                  \
    {                                                                                              \
        name, VDIT_PLAN_WORD, 0, 0, offset, words, 0, 0, 0                                         \
    }
#define BITS(name, offset, required, words)                                                        \
    {                                                                                              \
        name, VDIT_PLAN_BITS, required, 0, offset, words, 0, 0, 0                                  \
    }
#define FILE_OF(name, offset, required)                                                            \
    {                                                                                              \
        name, VDIT_PLAN_FILE, required, 0, offset, NULL, 0, 0, 0                                   \
    }
#define OF_PATTERN(name, type, field, low, count)                                                  \
    {                                                                                              \
        name, type, 1, 1, PATTERN(field), NULL, low, MOST, count                                   \
    }

#define PLACED                                                                                     \
    WORD(NULL, EDIT(pattern_moment), moments), WORD("text", EDIT(text_masked), text_words)
#define JOINT    WORD("joint", EDIT(identity), identities)
#define OVER     WORD("over", EDIT(uniform), uniforms)
#define WEIGHT   NUMBER("weight", EDIT(replace), 0, 0, 1)
#define SIZES_OF VDIT_PLAN_SIZES

const vdit_plan_action vdit_plan_actions[] = {
    {"transfer",
     VDIT_GROUP_TRANSFER,
     0,
     {{NULL, VDIT_PLAN_LETTERS, 1, 0, EDIT(transfer), operands, 0, 0, 0}}},
    {"temperature", VDIT_GROUP_TEMPERATURE, 0, {NUMBER(NULL, EDIT(temperature), 1, 0, DBL_MAX)}},
    {"keys", VDIT_GROUP_KEYS, 0, {{NULL, VDIT_PLAN_KEYS, 1, 0, EDIT(keys), NULL, 0, 0, 0}}},
    {"first-text", VDIT_GROUP_FIRST_TEXT, 0, {SIZES(NULL, EDIT(first_text), 1, 1, 1)}},
    {"keep tiles",
     VDIT_GROUP_KEEP,
     VDIT_PATTERN_TILES,
     {OF_PATTERN(NULL, VDIT_PLAN_FILE, tiles, 0, 0), OF_PATTERN("rows", SIZES_OF, rows, 1, 1),
      OF_PATTERN("columns", SIZES_OF, columns, 1, 1), PLACED}},
    {"keep sliding",
     VDIT_GROUP_KEEP,
     VDIT_PATTERN_SLIDING,
     {OF_PATTERN("tile", SIZES_OF, tile, 1, 3), OF_PATTERN("window", SIZES_OF, window, 1, 3),
      PLACED}},
    {"keep radial",
     VDIT_GROUP_KEEP,
     VDIT_PATTERN_RADIAL,
     {{"decay", VDIT_PLAN_NUMBER, 0, 1, PATTERN(decay), NULL, 0, DBL_MAX, 0}, PLACED}},
    {"keep spatial",
     VDIT_GROUP_KEEP,
     VDIT_PATTERN_SPATIAL,
     {OF_PATTERN("window", SIZES_OF, window[1], 0, 2), PLACED}},
    {"keep temporal",
     VDIT_GROUP_KEEP,
     VDIT_PATTERN_TEMPORAL,
     {OF_PATTERN("window", SIZES_OF, window[0], 0, 1), PLACED}},
    {"keep first-frame", VDIT_GROUP_KEEP, VDIT_PATTERN_FIRST_FRAME, {PLACED}},
    {"drop",
     VDIT_GROUP_DROP,
     0,
     {BITS(NULL, EDIT(dropped_blocks), 1, blocks), WORD(NULL, EDIT(block_moment), moments)}},
    {"mask",
     VDIT_GROUP_MASK,
     0,
     {NUMBER(NULL, EDIT(fraction), 0, 0, 1), FILE_OF("threshold", EDIT(threshold), 0),
      FILE_OF("entries", EDIT(keep), 0), WORD("scope", EDIT(scope), scopes),
      WORD("ties", EDIT(ties), ties), BITS("prunable", EDIT(prunable), 0, blocks),
      WORD("lost", EDIT(lost), losts), WORD("empty", EDIT(keep_maximum), empties),
      WORD(NULL, EDIT(keep_moment), moments)}},
    {"reweight", VDIT_GROUP_REWEIGHT, 0, {FILE_OF(NULL, EDIT(key_weight), 1)}},
    {"identity", VDIT_GROUP_REPLACE, 0, {WEIGHT, JOINT}},
    {"uniform", VDIT_GROUP_REPLACE, 1, {WEIGHT, OVER}},
    {"blend", VDIT_GROUP_REPLACE, 2, {NUMBER("alpha", EDIT(alpha), 1, 0, 1), WEIGHT, JOINT, OVER}},
    {"mix",
     VDIT_GROUP_MIX,
     0,
     {NUMBER(NULL, EDIT(mix), 1, 0, 1), WORD("own", EDIT(mix_adds), owns),
      FILE_OF("map", EDIT(source_map), 0), FILE_OF("align", EDIT(align), 0)}},
    {"gate", VDIT_GROUP_GATE, VDIT_GATE_NUMBER, {NUMBER(NULL, EDIT(gate), 1, -DBL_MAX, DBL_MAX)}},
    {"gate sinks", VDIT_GROUP_GATE, VDIT_GATE_SINKS, {NUMBER("tau", LINE(gate.tau), 0, 0, 1)}},
    {"gate random",
     VDIT_GROUP_GATE,
     VDIT_GATE_RANDOM,
     {SIZES(NULL, LINE(gate.count), 1, 0, 1), SIZES("seed", LINE(gate.seed), 0, 0, 1)}},
    {NULL, VDIT_GROUP_GATE, 0, {{0}}},
};

/* The figures and tables of P1 (Wen et al.) and P2 (Liu et al.); the register's defaults fill what they leave open. */
const vdit_plan_preset vdit_plan_presets[] = {
    {"wen2025:fig2", "K=self: transfer qk", NULL},                              /* C10 to C13 */
    {"wen2025:fig5", "L$ K=self: transfer qk", "a layer"},                      /* 0, 3, 19 */
    {"wen2025:fig6", "all: first-text 1", NULL},                                /* C16, C17 */
    {"wen2025:fig7a", "K=self: mask $", "a fraction, 10% to 70% in the paper"}, /* C18 to C25 */
    {"wen2025:fig7b", "L$ K=self: mask 20%", "a layer"},
    {"wen2025:fig7c", "L!44,45 K=self: mask $", "a fraction"},
    {"wen2025:fig8", "L44 K=self: temperature 0.2", NULL},                 /* C26 */
    {"wen2025:fig10", "K=self: gate sinks tau=0.3", NULL},                 /* C27 to C31 */
    {"wen2025:fig10-random", "K=self: gate random 46 seed=$", "a seed"},   /* C32 */
    {"liu2025:identity", "L$ K=self: identity", "a layer"},                /* C46, C49 */
    {"liu2025:uniform", "L$ K=self: uniform", "a layer"},                  /* C47 */
    {"liu2025:fig14", "K=self: blend alpha=$", "0, 0.25, 0.5, 0.75 or 1"}, /* C50 */
    {"liu2025:all", "K=self: transfer qk", NULL},                          /* C59 */
    {"liu2025:masactrl", "K=spatial: transfer kv", NULL},
    {"liu2025:value", "K=spatial: transfer v", NULL},
    {"liu2025:p2p", "K=cross: transfer qk", NULL},
    {NULL, NULL, NULL},
};

/* The fields of an edit by group. */
static const struct {
    vdit_plan_group group;
    size_t offset, size;
} fields[] = {
#define FIELD(group, field)                                                                        \
    {                                                                                              \
        group, offsetof(vdit_edit, field), sizeof(((vdit_edit *)0)->field)                         \
    }
    FIELD(VDIT_GROUP_TRANSFER, transfer),   FIELD(VDIT_GROUP_TEMPERATURE, temperature),
    FIELD(VDIT_GROUP_KEYS, keys),           FIELD(VDIT_GROUP_FIRST_TEXT, first_text),
    FIELD(VDIT_GROUP_KEEP, patterns),       FIELD(VDIT_GROUP_KEEP, pattern_count),
    FIELD(VDIT_GROUP_KEEP, text_masked),    FIELD(VDIT_GROUP_KEEP, pattern_moment),
    FIELD(VDIT_GROUP_DROP, dropped_blocks), FIELD(VDIT_GROUP_DROP, block_moment),
    FIELD(VDIT_GROUP_MASK, prune),          FIELD(VDIT_GROUP_MASK, fraction),
    FIELD(VDIT_GROUP_MASK, scope),          FIELD(VDIT_GROUP_MASK, ties),
    FIELD(VDIT_GROUP_MASK, threshold),      FIELD(VDIT_GROUP_MASK, keep),
    FIELD(VDIT_GROUP_MASK, keep_moment),    FIELD(VDIT_GROUP_MASK, prunable),
    FIELD(VDIT_GROUP_MASK, keep_maximum),   FIELD(VDIT_GROUP_MASK, lost),
    FIELD(VDIT_GROUP_REWEIGHT, key_weight), FIELD(VDIT_GROUP_REPLACE, replace),
    FIELD(VDIT_GROUP_REPLACE, alpha),       FIELD(VDIT_GROUP_REPLACE, identity),
    FIELD(VDIT_GROUP_REPLACE, uniform),     FIELD(VDIT_GROUP_MIX, mix),
    FIELD(VDIT_GROUP_MIX, mix_adds),        FIELD(VDIT_GROUP_MIX, source_map),
    FIELD(VDIT_GROUP_MIX, align),           FIELD(VDIT_GROUP_GATE, gate),
};

void vdit_plan_copy(vdit_edit *to, const vdit_edit *from, unsigned groups)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (groups >> fields[i].group & 1)
            memcpy((char *)to + fields[i].offset, (const char *)from + fields[i].offset,
                   fields[i].size);
}

void *vdit_plan_value(const vdit_plan_option *option, vdit_plan_line *line, size_t n)
{
    char *base = option->of_pattern ? (char *)&line->pattern[n] : (char *)line;

    return base + option->offset;
}

/* "mask" has three forms: options 0, 1 and 2 of its row. Only entries, not a map's order, can act before it. */
static const char *finish_mask(vdit_edit *values, unsigned given)
{
    static const vdit_prune forms[] = {VDIT_PRUNE_NONE, VDIT_PRUNE_FRACTION, VDIT_PRUNE_THRESHOLD,
                                       VDIT_PRUNE_NONE, VDIT_PRUNE_MASK,     VDIT_PRUNE_NONE,
                                       VDIT_PRUNE_NONE, VDIT_PRUNE_NONE};

    values->prune = forms[given & 7];
    if (values->prune == VDIT_PRUNE_NONE)
        return "either a fraction, threshold= or entries=";
    if (values->prune != VDIT_PRUNE_MASK && values->keep_moment == VDIT_BEFORE_SOFTMAX)
        return "entries= where a mask acts before the softmax";
    return NULL;
}

const char *vdit_plan_finish(const vdit_plan_action *action, vdit_plan_line *line, unsigned given)
{
    vdit_edit *values = &line->values;

    if (action->group == VDIT_GROUP_MASK)
        return finish_mask(values, given);
    if (action->group == VDIT_GROUP_GATE)
        line->gate.kind = (vdit_gate_kind)action->value;
    if (action->group == VDIT_GROUP_REPLACE) {
        if (!(given & 1u << (action->value == 2)))
            values->replace = 1;
        if (action->value < 2)
            values->alpha = action->value == 0;
    }
    return NULL;
}

const vdit_plan_action *vdit_plan_action_of(const vdit_plan_line *line, vdit_plan_group group,
                                            size_t n)
{
    const vdit_edit *values = &line->values;
    int value = 0;

    if (!(line->groups >> group & 1) || (group == VDIT_GROUP_KEEP && n >= values->pattern_count))
        return NULL;
    if (group == VDIT_GROUP_KEEP)
        value = (int)line->pattern[n].kind;
    if (group == VDIT_GROUP_GATE)
        value = (int)line->gate.kind;
    if (group == VDIT_GROUP_REPLACE)
        value = values->alpha == 1 && values->uniform == 0    ? 0
                : values->alpha == 0 && values->identity == 0 ? 1
                                                              : 2;
    for (const vdit_plan_action *a = vdit_plan_actions; a->name != NULL; a++)
        if (a->group == group && a->value == value)
            return a;
    return NULL;
}
