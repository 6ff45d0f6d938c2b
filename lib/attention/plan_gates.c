/* plan_gates.c - the gates of a call that a plan leaves to its map: of heads with a sink, and the random control. */
#include <stdio.h>
#include <vdit/meter.h>
#include "attention/plan.h"

vdit_status vdit_sinks_find(vdit_run *run, unsigned char *sinks, const vdit_attention *call,
                            const vdit_tokens *tokens, double tau)
{
    size_t mark = vdit_run_mark(run);
    vdit_meter_request request;
    vdit_meter_results results;
    const int64_t *key;
    char text[64];

    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    if (call->q->shape[0] != 1)
        return vdit_run_fail(run, VDIT_ERR_ARGUMENT,
                             "sinks are found in one batch, the call has %zu", call->q->shape[0]);
    snprintf(text, sizeof text, "sink:tau=%.17g", tau);
    vdit_meter_request_init(&request, text);
    request.tokens = *tokens;
    if (vdit_meter_run(run, call, &request, &results) == VDIT_OK) {
        key = vdit_meter_find(&results, "sink.key")->data;
        for (size_t h = 0; h < call->q->shape[1]; h++)
            sinks[h] = key[h] >= 0;
    }
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

int vdit_plan_draws(const vdit_plan *plan, size_t step, unsigned branch)
{
    for (const vdit_plan_line *line = plan->lines; line != NULL; line = line->next)
        if ((line->groups >> VDIT_GROUP_GATE & 1) && line->gate.kind == VDIT_GATE_RANDOM &&
            vdit_plan_set_has(&line->at.steps, step) && (line->at.branches & branch))
            return 1;
    return 0;
}

/* Out: sinks and random of the heads whose gate depends on the map; a tau is looked for once. */
static vdit_status sort_heads(vdit_run *run, unsigned char *sinks, unsigned char *random,
                              const vdit_gate *gates, const vdit_attention *call,
                              const vdit_tokens *tokens)
{
    size_t count = call->q->shape[1];
    unsigned char *at_tau = vdit_run_alloc(run, count, 1);
    double tau = -1;

    for (size_t h = 0; at_tau != NULL && h < count; h++) {
        const vdit_gate *gate = &gates[h];

        if (gate->kind == VDIT_GATE_NUMBER)
            continue;
        if (gate->tau != tau && vdit_sinks_find(run, at_tau, call, tokens, gate->tau) != VDIT_OK)
            break;
        tau = gate->tau;
        sinks[h] = gate->kind == VDIT_GATE_SINKS && at_tau[h];
        random[h] = gate->kind == VDIT_GATE_RANDOM && !at_tau[h];
    }
    return vdit_run_status(run);
}

vdit_status vdit_plan_sinks(vdit_run *run, unsigned char *sinks, unsigned char *random,
                            const vdit_plan *plan, const vdit_site *site,
                            const vdit_attention *call)
{
    size_t count = call->q->shape[1], mark = vdit_run_mark(run);
    vdit_gate *gates = vdit_run_alloc(run, count, sizeof *gates);
    vdit_site at = *site;

    for (size_t h = 0; gates != NULL && h < count; h++, at.head++) {
        gates[h] = vdit_plan_gate(plan, &at);
        sinks[h] = random[h] = 0;
    }
    if (gates != NULL)
        sort_heads(run, sinks, random, gates, call, &site->tokens);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

/* Leaves the heads of the control that are drawn; the first that asks for it says how many. */
static vdit_status draw(vdit_run *run, unsigned char *random, const vdit_plan *plan,
                        const vdit_site *site, size_t count)
{
    vdit_site at = *site;

    for (size_t h = 0; h < count; h++, at.head++) {
        vdit_gate gate = vdit_plan_gate(plan, &at);

        if (gate.kind == VDIT_GATE_RANDOM)
            return vdit_gate_draw(run, random, count, gate.count, gate.seed);
    }
    return VDIT_OK;
}

vdit_status vdit_plan_gates(vdit_run *run, double *gates, const vdit_plan *plan,
                            const vdit_site *site, const vdit_attention *call)
{
    size_t count = call->q->shape[1], mark = vdit_run_mark(run);
    unsigned char *sinks = vdit_run_alloc(run, count, 1), *random = vdit_run_alloc(run, count, 1);

    if (vdit_run_status(run) == VDIT_OK &&
        vdit_plan_sinks(run, sinks, random, plan, site, call) == VDIT_OK)
        draw(run, random, plan, site, count);
    for (size_t h = 0; vdit_run_status(run) == VDIT_OK && h < count; h++) {
        const vdit_edit *edit = call->edits != NULL ? call->edits[h] : NULL;
        gates[h] = sinks[h] || random[h] ? 0 : edit != NULL ? edit->gate : 1;
    }
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
