/* site_plan.c - what a plan does at an attention site. */
#include "attention/plan.h"
#include "model/site.h"

static vdit_site place_of(const vdit_net_site *site)
{
    const vdit_net_attention *a = site->a;
    const vdit_forward *call = site->net->call;
    vdit_site at = {a->layer, 0, call->step, call->branch, a->kind, a->tokens, a->k.shape[2]};

    return at;
}

/* Returns: t with axes of extent 1 before its own, as an edit takes it: one tensor may serve all heads. NULL for NULL. */
static const vdit_tensor *widen(vdit_run *run, const vdit_tensor *t, int rank)
{
    vdit_tensor *wide;

    if (t == NULL || t->rank >= rank || (wide = vdit_run_alloc(run, 1, sizeof *wide)) == NULL)
        return t;
    *wide = *t;
    wide->rank = rank;
    for (int axis = rank - 1, from = t->rank - 1; axis >= 0; axis--, from--) {
        wide->shape[axis] = from >= 0 ? t->shape[from] : 1;
        wide->stride[axis] = from >= 0 ? t->stride[from] : 0;
    }
    return wide;
}

/* Returns: the operands that the edit takes from the source run, as bits. */
static unsigned needs(const vdit_edit *edit)
{
    unsigned map = edit->mix != 0 && edit->source_map == NULL ? VDIT_FROM_Q | VDIT_FROM_K : 0;

    return edit->transfer | map;
}

/* Asks once for what all heads need, and hands it to each. */
static void take_sources(vdit_net_site *site)
{
    const vdit_forward *call = site->net->call;
    const vdit_tensor *q = NULL, *k = NULL, *v = NULL;
    unsigned needed = 0;
    size_t heads = site->a->q.shape[1];

    for (size_t h = 0; h < heads; h++)
        needed |= needs(&site->edits[h]);
    if (needed == 0)
        return;
    if (call->source == NULL) {
        vdit_run_fail(site->net->run, VDIT_ERR_ARGUMENT,
                      "the plan takes operands of a source run, and none is given");
        return;
    }
    vdit_net_site_settle(site,
                         call->source(call->source_state, site->net->name, needed, &q, &k, &v));
    for (size_t h = 0; h < heads; h++) {
        vdit_edit *edit = &site->edits[h];
        unsigned own = needs(edit);

        edit->source_q = own & VDIT_FROM_Q ? q : NULL;
        edit->source_k = own & VDIT_FROM_K ? k : NULL;
        edit->source_v = own & VDIT_FROM_V ? v : NULL;
    }
}

/* Lists the heads that are edited; an edit that is off leaves the head to the plain call, and its bits. */
static void list_heads(vdit_net_site *site)
{
    site->call.edits = NULL;
    for (size_t h = 0; h < site->a->q.shape[1]; h++) {
        site->heads[h] = vdit_edit_is_off(&site->edits[h]) ? NULL : &site->edits[h];
        if (site->heads[h] != NULL)
            site->call.edits = site->heads;
    }
}

/* The first run of a random control marks heads; the second skips those that were drawn. */
static void control(vdit_net_site *site, const unsigned char *random)
{
    vdit_control *control = site->net->control;
    size_t heads = site->a->q.shape[1];
    vdit_site at = place_of(site);

    for (size_t h = 0; control != NULL && h < heads && control->at < control->count; h++) {
        unsigned char *mark = &control->heads[control->at++];
        vdit_gate gate;

        at.head = h;
        gate = vdit_plan_gate(site->net->call->plan, &at);
        if (gate.kind == VDIT_GATE_RANDOM && control->drawn == 0) {
            control->drawn = gate.count;
            control->seed = gate.seed;
        }
        if (control->looks)
            *mark = random[h];
        else if (*mark)
            site->edits[h].gate = 0;
    }
}

/* Finds the gates that the map of the call decides. */
static void find_gates(vdit_net_site *site)
{
    vdit_run *run = site->net->run;
    size_t heads = site->a->q.shape[1];
    unsigned char *sinks = vdit_run_alloc(run, heads, 1), *random = vdit_run_alloc(run, heads, 1);
    vdit_site at = place_of(site);

    if (vdit_run_status(run) != VDIT_OK ||
        vdit_plan_sinks(run, sinks, random, site->net->call->plan, &at, &site->call) != VDIT_OK)
        return;
    for (size_t h = 0; h < heads; h++)
        if (sinks[h])
            site->edits[h].gate = 0;
    control(site, random);
}

void vdit_net_site_edit(vdit_net_site *site)
{
    vdit_run *run = site->net->run;
    const vdit_plan *plan = site->net->call->plan;
    size_t heads = site->a->q.shape[1];
    vdit_site at = place_of(site);

    if (plan == NULL || site->a->kind == 0)
        return;
    site->edits = vdit_run_alloc(run, heads, sizeof *site->edits);
    site->heads = vdit_run_alloc(run, heads, sizeof *site->heads);
    for (size_t h = 0; vdit_run_status(run) == VDIT_OK && h < heads; h++) {
        at.head = h;
        if (vdit_plan_edit(run, plan, &at, &site->edits[h]) != VDIT_OK)
            return;
        site->edits[h].threshold = widen(run, site->edits[h].threshold, 3);
        site->edits[h].keep = widen(run, site->edits[h].keep, 4);
        site->edits[h].source_map = widen(run, site->edits[h].source_map, 4);
    }
    if (vdit_run_status(run) != VDIT_OK)
        return;
    take_sources(site);
    list_heads(site);
    find_gates(site);
    list_heads(site);
}
