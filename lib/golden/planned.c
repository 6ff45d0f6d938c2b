/* planned.c - the plan of a case: its tensors by name, and the edit of each head. */
#include <stdio.h>
#include <string.h>
#include "golden/case.h"
#include "golden/planned.h"
#include "golden/maker.h"
#include "golden/sides.h"

#define TILE 16 /* tokens of a side of "tiles" */

/* A tensor that a plan may name, and how its elements are made. Formulas: vdit-recipe(5), PLANS. */
typedef struct named_input {
    const char *name;
    vdit_dtype dtype;
    int rank;
    double (*element)(const vdit_case *c, const size_t *index, uint64_t number);
} named_input;

static double threshold_at(const vdit_case *c, const size_t *index, uint64_t number)
{
    (void)number;
    return (1 + (double)((index[0] * c->H + index[1]) % 4) / 4) / (2 * (double)c->Nk);
}

static double word_at(const vdit_case *c, uint32_t tensor, uint64_t number)
{
    return (double)vdit_draw_word((vdit_draw){c->seed, tensor}, number);
}

static double uniform_at(const vdit_case *c, uint32_t tensor, uint64_t number)
{
    return vdit_draw_uniform((vdit_draw){c->seed, tensor}, number);
}

/* Eight entries, each kept with three in four; those beyond the last key are not read. */
static double entries_at(const vdit_case *c, const size_t *index, uint64_t number)
{
    uint32_t word = vdit_draw_word((vdit_draw){c->seed, VDIT_DRAW_ENTRIES}, number);
    size_t left = c->Nk - 8 * index[3];

    return (double)((word | word >> 8) & (left < 8 ? (1u << left) - 1 : 255));
}

static double keys_at(const vdit_case *c, const size_t *index, uint64_t number)
{
    return index[0] == 0 || word_at(c, VDIT_DRAW_KEYS, number) >= 0x1p30;
}

static double tiles_at(const vdit_case *c, const size_t *index, uint64_t number)
{
    size_t rows = (c->Nq + TILE - 1) / TILE, columns = (c->Nk + TILE - 1) / TILE;

    return index[1] == index[0] * columns / rows || word_at(c, VDIT_DRAW_TILES, number) >= 0x1p31;
}

static double weight_at(const vdit_case *c, const size_t *index, uint64_t number)
{
    (void)index;
    return 0.5 + uniform_at(c, VDIT_DRAW_WEIGHT, number);
}

/* A source key stands for two keys of the call, evenly. */
static double align_at(const vdit_case *c, const size_t *index, uint64_t number)
{
    (void)number;
    return index[1] == index[0] || index[1] == (index[0] + 1) % c->Nk ? 0.5 : 0;
}

static double map_at(const vdit_case *c, const size_t *index, uint64_t number)
{
    (void)index;
    return 2 * uniform_at(c, VDIT_DRAW_MAP, number) / (double)c->Nk;
}

static const named_input named_inputs[] = {
    {"threshold", VDIT_F32, 3, threshold_at},
    {"entries", VDIT_U8, 4, entries_at},
    {"keys", VDIT_BOOL, 1, keys_at},
    {"tiles", VDIT_BOOL, 2, tiles_at},
    {"weight", VDIT_F32, 1, weight_at},
    {"align", VDIT_F32, 2, align_at},
    {"map", VDIT_F32, 4, map_at},
};

#define NAMED_COUNT (sizeof named_inputs / sizeof *named_inputs)

static const named_input *named_find(const char *name)
{
    for (size_t i = 0; i < NAMED_COUNT; i++)
        if (strcmp(named_inputs[i].name, name) == 0)
            return &named_inputs[i];
    return NULL;
}

/* Out: shape of a named tensor. */
static void shape_of(size_t shape[4], const named_input *n, const vdit_case *c)
{
    size_t rows = vdit_case_rows(c);
    const size_t shapes[NAMED_COUNT][4] = {
        {c->B, c->H, 1},
        {c->B, c->H, rows, (c->Nk + 7) / 8},
        {c->Nk},
        {(c->Nq + TILE - 1) / TILE, (c->Nk + TILE - 1) / TILE},
        {c->Nk},
        {c->Nk, c->Nk},
        {c->B, c->H, rows, c->Nk},
    };

    memcpy(shape, shapes[n - named_inputs], sizeof shapes[0]);
}

static void store(void *at, vdit_dtype dtype, double value)
{
    if (dtype == VDIT_F32)
        vdit_store_f64(at, dtype, value);
    else
        *(unsigned char *)at = (unsigned char)value;
}

/* Out: t, made element by element. */
static vdit_status make_named(vdit_run *run, vdit_tensor *t, const named_input *n,
                              const vdit_case *c)
{
    size_t shape[4], size = vdit_dtype_size(n->dtype), count;

    shape_of(shape, n, c);
    if (vdit_tensor_new(run, t, n->dtype, n->rank, shape) != VDIT_OK)
        return vdit_run_status(run);
    count = vdit_tensor_count(t);
    for (size_t number = 0; number < count; number++) {
        size_t index[4], rest = number;
        for (int i = n->rank - 1; i >= 0; rest /= shape[i], i--)
            index[i] = rest % shape[i];
        store((char *)t->data + number * size, n->dtype, n->element(c, index, number));
    }
    return VDIT_OK;
}

static vdit_status add(vdit_run *run, vdit_golden *golden, const char *name, const vdit_tensor *t)
{
    if (vdit_run_status(run) == VDIT_OK)
        golden->inputs[golden->input_count++] = (vdit_named){name, *t};
    return vdit_run_status(run);
}

/* The source call is the case with the next seed. */
static vdit_status add_source(vdit_run *run, vdit_golden *golden, const vdit_case *c,
                              const int64_t *rows, size_t row_count)
{
    static const char *const names[] = {"source_q", "source_k", "source_v"};
    vdit_case source = *c;
    vdit_maker m;

    source.seed = c->seed + 1;
    m = vdit_maker_of(&source, rows, row_count);
    for (int i = 0; i < 3; i++) {
        const size_t shape[] = {c->B, c->H, m.extent[i], m.width[i]};
        vdit_tensor t;
        if (vdit_tensor_new(run, &t, c->dtype, 4, shape) != VDIT_OK ||
            vdit_maker_fill(run, &t, &m, i) != VDIT_OK || add(run, golden, names[i], &t) != VDIT_OK)
            return vdit_run_status(run);
    }
    return VDIT_OK;
}

static vdit_status parse(vdit_run *run, vdit_plan **plan, const char *text)
{
    return vdit_plan_parse(run, plan, text, strlen(text));
}

vdit_status vdit_planned_check(vdit_run *run, const char *text, const char *where)
{
    vdit_plan *plan;

    if (text[strcspn(text, "\"\\\n")] != '\0' || strlen(text) > 400)
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: \"plan\": expected up to 400 characters, none of them a quote, "
                             "a backslash or a line break",
                             where);
    if (parse(run, &plan, text) != VDIT_OK) {
        char message[600];
        snprintf(message, sizeof message, "%s", vdit_run_message(run));
        vdit_run_clear(run);
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: \"plan\": %s", where, message);
    }
    for (size_t i = 0; i < vdit_plan_file_count(plan); i++)
        if (named_find(vdit_plan_file(plan, i)) == NULL)
            return vdit_run_fail(run, VDIT_ERR_FORMAT,
                                 "%s: \"plan\": a case has no tensor %s, expected threshold, "
                                 "entries, keys, tiles, weight, align or map",
                                 where, vdit_plan_file(plan, i));
    return VDIT_OK;
}

/* Binds the plan's files to tensors of the golden. */
static void bind(vdit_plan *plan, const vdit_golden *golden)
{
    for (size_t i = 0; i < vdit_plan_file_count(plan); i++)
        vdit_plan_bind(plan, i, vdit_golden_find(golden, vdit_plan_file(plan, i)));
}

/* The site of head h: the first layer and step, the conditional branch. */
static vdit_site site_of(const vdit_golden *golden, const vdit_attention *call, size_t h)
{
    int is_cross = golden->tokens.text != 0 && call->k->shape[2] == golden->tokens.text &&
                   call->q->shape[2] != call->k->shape[2];

    return (vdit_site){.head = h,
                       .branch = VDIT_BRANCH_COND,
                       .kind = is_cross ? VDIT_KIND_CROSS : VDIT_KIND_FULL,
                       .tokens = golden->tokens,
                       .keys = call->k->shape[2]};
}

static int takes_source(const vdit_edit *edit)
{
    return edit->transfer != 0 || (edit->mix != 0 && edit->source_map == NULL);
}

/* Out: edits [H], of the plan whose files are bound. */
static vdit_status edits_of(vdit_run *run, vdit_edit *edits, const vdit_plan *plan,
                            const vdit_golden *golden, const vdit_attention *call)
{
    for (size_t h = 0; h < call->q->shape[1]; h++) {
        vdit_site site = site_of(golden, call, h);
        if (vdit_plan_edit(run, plan, &site, &edits[h]) != VDIT_OK)
            return vdit_run_status(run);
        if (takes_source(&edits[h])) {
            edits[h].source_q = vdit_golden_find(golden, "source_q");
            edits[h].source_k = vdit_golden_find(golden, "source_k");
            edits[h].source_v = vdit_golden_find(golden, "source_v");
        }
    }
    return VDIT_OK;
}

/* Adds the tensors that the plan names. Returns: 1 if an edit takes operands of a source call. */
static int add_named(vdit_run *run, vdit_golden *golden, const vdit_case *c)
{
    vdit_edit *edits = vdit_run_alloc(run, c->H, sizeof *edits);
    vdit_attention call;
    vdit_plan *plan;
    int needs = 0;

    if (edits == NULL || parse(run, &plan, c->plan) != VDIT_OK)
        return 0;
    for (size_t i = 0; i < vdit_plan_file_count(plan); i++) {
        const named_input *n = named_find(vdit_plan_file(plan, i));
        vdit_tensor t;
        if (make_named(run, &t, n, c) != VDIT_OK || add(run, golden, n->name, &t) != VDIT_OK)
            return 0;
    }
    bind(plan, golden);
    vdit_attention_init(&call, &golden->inputs[0].tensor, &golden->inputs[1].tensor,
                        &golden->inputs[2].tensor);
    if (edits_of(run, edits, plan, golden, &call) != VDIT_OK)
        return 0;
    for (size_t h = 0; h < c->H; h++)
        needs |= takes_source(&edits[h]);
    return needs;
}

vdit_status vdit_planned_add(vdit_run *run, vdit_golden *golden, const vdit_case *c)
{
    const vdit_tensor *rows = vdit_golden_find(golden, "rows");
    int needs = c->meters != NULL && strstr(c->meters, "similarity") != NULL;
    vdit_tensor all_rows;

    if (c->plan != NULL)
        needs |= add_named(run, golden, c);
    if (vdit_run_status(run) != VDIT_OK || !needs)
        return vdit_run_status(run);
    if (rows == NULL) {
        if (vdit_sides_rows(run, &all_rows, c) != VDIT_OK)
            return vdit_run_status(run);
        rows = &all_rows;
    }
    return add_source(run, golden, c, rows->data, rows->shape[0]);
}

/* Out: list[H], the edits that do something, NULL elsewhere. */
static void list_edits(const vdit_edit **list, const vdit_edit *made, size_t heads)
{
    for (size_t h = 0; h < heads; h++)
        list[h] = vdit_edit_is_off(&made[h]) ? NULL : &made[h];
}

/* Closes the gates that the map decides. In: call with its edits, made[H] and list[H]. */
static vdit_status set_gates(vdit_run *run, vdit_edit *made, const vdit_edit **list,
                             const vdit_plan *plan, const vdit_golden *golden,
                             const vdit_attention *call)
{
    size_t heads = call->q->shape[1];
    vdit_site site = site_of(golden, call, 0);
    double *gates = vdit_run_alloc(run, heads, sizeof *gates);

    if (gates == NULL || vdit_plan_gates(run, gates, plan, &site, call) != VDIT_OK)
        return vdit_run_status(run);
    for (size_t h = 0; h < heads; h++)
        made[h].gate = gates[h];
    list_edits(list, made, heads);
    return VDIT_OK;
}

/* Out: call->edits [H], each NULL where it is off; NULL if no head has one. */
static vdit_status set_edits(vdit_run *run, vdit_attention *call, const vdit_golden *golden)
{
    size_t heads = call->q->shape[1];
    const vdit_edit **list = vdit_run_alloc(run, heads, sizeof *list);
    vdit_edit *made = vdit_run_alloc(run, heads, sizeof *made);
    vdit_plan *plan;

    if (vdit_run_status(run) != VDIT_OK || parse(run, &plan, golden->plan) != VDIT_OK)
        return vdit_run_status(run);
    bind(plan, golden);
    if (edits_of(run, made, plan, golden, call) != VDIT_OK)
        return vdit_run_status(run);
    list_edits(list, made, heads);
    call->edits = list;
    return set_gates(run, made, list, plan, golden, call);
}

vdit_status vdit_planned_call(vdit_run *run, vdit_attention *call, const vdit_golden *golden)
{
    vdit_attention_init(call, &golden->inputs[0].tensor, &golden->inputs[1].tensor,
                        &golden->inputs[2].tensor);
    call->scale = golden->scale;
    call->mask = vdit_golden_find(golden, "mask");
    call->key_length = vdit_golden_find(golden, "key_length");
    call->rows = vdit_golden_find(golden, "rows");
    return golden->plan ? set_edits(run, call, golden) : vdit_run_status(run);
}

/* Out: call->edits, copies that may be changed, in copies[H]. Returns: NULL without memory or edits. */
static vdit_edit *copy_edits(vdit_run *run, vdit_attention *call)
{
    size_t heads = call->q->shape[1];
    const vdit_edit **list = vdit_run_alloc(run, heads, sizeof *list);
    vdit_edit *copies = vdit_run_alloc(run, heads, sizeof *copies);

    if (list == NULL || copies == NULL || call->edits == NULL)
        return NULL;
    for (size_t h = 0; h < heads; h++) {
        vdit_edit_init(&copies[h]);
        if (call->edits[h] != NULL)
            copies[h] = *call->edits[h];
        list[h] = call->edits[h] ? &copies[h] : NULL;
    }
    call->edits = list;
    return copies;
}

vdit_status vdit_planned_freeze(vdit_run *run, vdit_attention *call, const vdit_tensor *keep)
{
    vdit_edit *edits = copy_edits(run, call);

    for (size_t h = 0; edits != NULL && h < call->q->shape[1]; h++) {
        if (edits[h].prune == VDIT_PRUNE_NONE)
            continue;
        edits[h].prune = VDIT_PRUNE_MASK;
        edits[h].keep = keep;
        edits[h].keep_moment = VDIT_AFTER_SOFTMAX;
        edits[h].threshold = NULL;
        edits[h].keep_maximum = 0;
        edits[h].ties = VDIT_TIES_KEPT;
        edits[h].scope = VDIT_SCOPE_HEAD;
        edits[h].prunable = 0;
        edits[h].fraction = 0;
    }
    return vdit_run_status(run);
}

vdit_status vdit_planned_mask_only(vdit_run *run, vdit_attention *call)
{
    vdit_edit *edits = copy_edits(run, call);

    for (size_t h = 0; edits != NULL && h < call->q->shape[1]; h++) {
        edits[h].lost = VDIT_LOST_DROPPED;
        edits[h].key_weight = NULL;
        edits[h].replace = 0;
        edits[h].mix = 0;
        edits[h].mix_adds = 0;
        edits[h].source_map = edits[h].align = NULL;
    }
    return vdit_run_status(run);
}
