/* plan.c - what a plan does at a site. */
#include <string.h>
#include <vdit/random.h>
#include "attention/plan.h"

size_t vdit_plan_file_count(const vdit_plan *plan)
{
    return plan->file_count;
}

static vdit_plan_file_name *file_at(const vdit_plan *plan, size_t i)
{
    vdit_plan_file_name *file = plan->files;

    while (i-- > 0)
        file = file->next;
    return file;
}

const char *vdit_plan_file(const vdit_plan *plan, size_t i)
{
    return file_at(plan, i)->name;
}

void vdit_plan_bind(vdit_plan *plan, size_t i, const vdit_tensor *tensor)
{
    vdit_plan_file_name *file = file_at(plan, i);

    file->tensor = *tensor;
    for (vdit_plan_reference *r = plan->references; r != NULL; r = r->next)
        if (r->file == i)
            *r->into = &file->tensor;
}

static int selects(const vdit_plan_selector *at, const vdit_site *site)
{
    return vdit_plan_set_has(&at->layers, site->layer) &&
           vdit_plan_set_has(&at->heads, site->head) && vdit_plan_set_has(&at->steps, site->step) &&
           (at->branches & site->branch) && (at->kinds & site->kind);
}

/* Returns: VDIT_OK if each file that the line names is bound. */
static vdit_status check_files(vdit_run *run, const vdit_plan *plan, const vdit_plan_line *line)
{
    for (const vdit_plan_reference *r = plan->references; r != NULL; r = r->next)
        if (r->line == line && *r->into == NULL)
            return vdit_run_fail(run, VDIT_ERR_ARGUMENT, "plan, line %zu: %s is not loaded",
                                 line->number, vdit_plan_file(plan, r->file));
    return VDIT_OK;
}

/* Out: edit->keys, a list of keys as bool [Nk] in the run's memory. */
static vdit_status list_keys(vdit_run *run, const vdit_plan_line *line, const vdit_site *site,
                             vdit_edit *edit)
{
    const vdit_plan_set *set = &line->key_list;
    vdit_tensor *keys = vdit_run_alloc(run, 1, sizeof *keys);
    unsigned char *in;

    for (size_t i = 0; i < set->kept; i++)
        if (set->range[i][1] >= site->keys)
            return vdit_run_fail(run, VDIT_ERR_ARGUMENT,
                                 "plan, line %zu: key %zu is not below the number of keys, %zu",
                                 line->number, set->range[i][1], site->keys);
    if (keys == NULL || vdit_tensor_new(run, keys, VDIT_BOOL, 1, &site->keys) != VDIT_OK)
        return vdit_run_status(run);
    in = keys->data;
    for (size_t j = 0; j < site->keys; j++)
        in[j] = (unsigned char)vdit_plan_set_has(set, j);
    edit->keys = keys;
    return VDIT_OK;
}

vdit_status vdit_plan_edit(vdit_run *run, const vdit_plan *plan, const vdit_site *site,
                           vdit_edit *edit)
{
    const vdit_plan_line *first = NULL, *keys = NULL;
    vdit_edit made;

    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    vdit_edit_init(&made);
    made.tokens = site->tokens;
    for (const vdit_plan_line *line = plan->lines; line != NULL; line = line->next) {
        if (!selects(&line->at, site))
            continue;
        if (first != NULL && first->at.queries != line->at.queries)
            return vdit_run_fail(run, VDIT_ERR_ARGUMENT,
                                 "plan, line %zu: other queries (Q=) than in line %zu, which "
                                 "speaks of the same site",
                                 line->number, first->number);
        if (check_files(run, plan, line) != VDIT_OK)
            return vdit_run_status(run);
        first = line;
        keys = line->groups >> VDIT_GROUP_KEYS & 1 ? line : keys;
        vdit_plan_copy(&made, &line->values, line->groups);
        made.queries = line->at.queries;
    }
    if (keys != NULL && keys->key_list.count > 0 && list_keys(run, keys, site, &made) != VDIT_OK)
        return vdit_run_status(run);
    *edit = made;
    return VDIT_OK;
}

vdit_gate vdit_plan_gate(const vdit_plan *plan, const vdit_site *site)
{
    vdit_gate gate = {VDIT_GATE_NUMBER, 0, 0, 0};

    for (const vdit_plan_line *line = plan->lines; line != NULL; line = line->next)
        if ((line->groups >> VDIT_GROUP_GATE & 1) && selects(&line->at, site))
            gate = line->gate;
    return gate;
}

vdit_status vdit_gate_draw(vdit_run *run, unsigned char *heads, size_t head_count, size_t count,
                           size_t seed)
{
    size_t *marked = vdit_run_alloc(run, head_count, sizeof *marked), n = 0;
    const uint32_t key[2] = {(uint32_t)seed, 0};

    for (size_t h = 0; marked != NULL && h < head_count; h++)
        if (heads[h])
            marked[n++] = h;
    if (marked != NULL && n < count)
        vdit_run_fail(run, VDIT_ERR_ARGUMENT,
                      "gate random: %zu heads are to be drawn from %zu without a sink", count, n);
    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    memset(heads, 0, head_count);
    for (size_t i = 0; i < count; i++) {
        const uint32_t counter[4] = {(uint32_t)i, 0, 0, 0};
        uint32_t words[4];
        size_t at;

        vdit_philox4x32_10(words, counter, key);
        at = i + (size_t)((uint64_t)words[0] * (n - i) >> 32);
        heads[marked[at]] = 1;
        marked[at] = marked[i];
    }
    return VDIT_OK;
}
