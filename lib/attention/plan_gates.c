/* plan_gates.c - the gates of a call that a plan leaves to its map: of heads with a sink, and the random control. */
#include <stdio.h>
#include <vdit/meter.h>
#include <vdit/plan.h>

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

/* What is known of the heads of a call. */
typedef struct heads {
    vdit_gate *gates;
    unsigned char *sinks;  /* 1: has a sink at the tau of its gate, which asks for one */
    unsigned char *random; /* 1: may be drawn for the control */
} heads;

/* Out: sinks and random of each head whose gate depends on its map. */
static vdit_status sort_heads(vdit_run *run, heads *all, const vdit_attention *call,
                              const vdit_tokens *tokens)
{
    size_t count = call->q->shape[1];
    unsigned char *at_tau = vdit_run_alloc(run, count, 1);
    double tau = -1;

    for (size_t h = 0; at_tau != NULL && h < count; h++) {
        const vdit_gate *gate = &all->gates[h];

        if (gate->kind == VDIT_GATE_NUMBER)
            continue;
        if (gate->tau != tau && vdit_sinks_find(run, at_tau, call, tokens, gate->tau) != VDIT_OK)
            break;
        tau = gate->tau;
        all->sinks[h] = gate->kind == VDIT_GATE_SINKS && at_tau[h];
        all->random[h] = gate->kind == VDIT_GATE_RANDOM && !at_tau[h];
    }
    return vdit_run_status(run);
}

/* Leaves the heads of the control that are drawn; the first that asks for it says how many. */
static vdit_status draw(vdit_run *run, heads *all, size_t count)
{
    size_t first = 0;

    while (first < count && all->gates[first].kind != VDIT_GATE_RANDOM)
        first++;
    if (first == count)
        return vdit_run_status(run);
    return vdit_gate_draw(run, all->random, count, all->gates[first].count, all->gates[first].seed);
}

vdit_status vdit_plan_gates(vdit_run *run, double *gates, const vdit_plan *plan,
                            const vdit_site *site, const vdit_attention *call)
{
    size_t count = call->q->shape[1], mark = vdit_run_mark(run), open = 0;
    vdit_site at = *site;
    heads all = {vdit_run_alloc(run, count, sizeof *all.gates), vdit_run_alloc(run, count, 1),
                 vdit_run_alloc(run, count, 1)};

    for (size_t h = 0; vdit_run_status(run) == VDIT_OK && h < count; h++, at.head++) {
        all.gates[h] = vdit_plan_gate(plan, &at);
        all.sinks[h] = all.random[h] = 0;
        open += all.gates[h].kind != VDIT_GATE_NUMBER;
    }
    if (open > 0 && sort_heads(run, &all, call, &site->tokens) == VDIT_OK)
        draw(run, &all, count);
    for (size_t h = 0; vdit_run_status(run) == VDIT_OK && h < count; h++) {
        const vdit_edit *edit = call->edits != NULL ? call->edits[h] : NULL;
        gates[h] = all.sinks[h] || all.random[h] ? 0 : edit != NULL ? edit->gate : 1;
    }
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
