/* forward.c - one call of a denoiser: what a family's network is given, and what becomes of its output. */
#include <stdlib.h>
#include <string.h>
#include "attention/plan.h"
#include "model/family.h"

void vdit_forward_init(vdit_forward *call)
{
    memset(call, 0, sizeof *call);
    call->size = sizeof *call;
    call->dtype = VDIT_F32;
    call->branch = VDIT_BRANCH_COND;
}

/* Returns: the shape of a tensor against that of the family, with which the message is made. */
static void check_input(vdit_run *run, const char *name, const vdit_tensor *given,
                        const vdit_tensor *expected)
{
    char found[256], wanted[256];
    int same;

    if (expected->rank == 0)
        return;
    if (given == NULL) {
        vdit_run_fail(run, VDIT_ERR_ARGUMENT, "forward: %s is missing, expected shape %s", name,
                      vdit_tensor_shape_text(wanted, sizeof wanted, expected));
        return;
    }
    same = given->rank == expected->rank;
    for (int i = 0; same && i < given->rank; i++)
        same = given->shape[i] == expected->shape[i];
    if (!same)
        vdit_run_fail(run, VDIT_ERR_SHAPE, "forward: %s has shape %s, expected %s", name,
                      vdit_tensor_shape_text(found, sizeof found, given),
                      vdit_tensor_shape_text(wanted, sizeof wanted, expected));
}

vdit_extents vdit_forward_extents(const vdit_model *model, const vdit_forward *call)
{
    return model->family->extents(call);
}

vdit_status vdit_model_inputs_of(vdit_run *run, const vdit_model *model,
                                 const vdit_extents *extents, vdit_model_inputs *inputs)
{
    vdit_model_inputs found;

    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    memset(&found, 0, sizeof found);
    model->family->inputs(run, model->config, extents, &found);
    if (vdit_run_status(run) == VDIT_OK)
        *inputs = found;
    return vdit_run_status(run);
}

static vdit_net start(vdit_run *run, const vdit_model *model, const vdit_forward *call)
{
    vdit_net net = {.run = run,
                    .weights = model->weights,
                    .keeps_single = model->family->keeps_single,
                    .call = call,
                    .backend = call->backend,
                    .policy = call->dtype,
                    .dtype = call->dtype};

    if (net.backend == NULL)
        net.backend = vdit_backend_find("reference");
    return net;
}

/* Checks a call against its model. Out: inputs, what the family expects. */
static vdit_status check(vdit_run *run, const vdit_model *model, const vdit_forward *call,
                         vdit_model_inputs *inputs)
{
    vdit_extents extents;

    if (model->weights == NULL)
        return vdit_run_fail(run, VDIT_ERR_ARGUMENT, "%s: a configuration without weights",
                             model->path);
    if (call->dtype != VDIT_F32 && call->dtype != VDIT_BF16 && call->dtype != VDIT_F16)
        return vdit_run_fail(run, VDIT_ERR_DTYPE, "forward: dtype %s, expected f32, bf16 or f16",
                             vdit_dtype_name(call->dtype));
    if (call->latents == NULL || call->latents->rank != 5 || call->text == NULL ||
        call->text->rank != 3 || call->output == NULL)
        return vdit_run_fail(run, VDIT_ERR_SHAPE,
                             "forward: expected latents of 5 axes, text of 3, and an output");
    extents = model->family->extents(call);
    if (vdit_model_inputs_of(run, model, &extents, inputs) != VDIT_OK)
        return vdit_run_status(run);
    check_input(run, "latents", call->latents, &inputs->latents);
    check_input(run, "timestep", call->timestep, &inputs->timestep);
    check_input(run, "text", call->text, &inputs->text);
    if (call->text_mask != NULL)
        check_input(run, "text_mask", call->text_mask, &inputs->text_mask);
    check_input(run, "pooled", call->pooled, &inputs->pooled);
    check_input(run, "guidance", call->guidance, &inputs->guidance);
    check_input(run, "output", call->output, &inputs->output);
    return vdit_run_status(run);
}

/* Out: call, a description of a tensor without data for each input. */
static void describe(vdit_forward *call, const vdit_model_inputs *inputs)
{
    call->latents = &inputs->latents;
    call->timestep = &inputs->timestep;
    call->text = &inputs->text;
    call->text_mask = inputs->text_mask.rank > 0 ? &inputs->text_mask : NULL;
    call->pooled = inputs->pooled.rank > 0 ? &inputs->pooled : NULL;
    call->guidance = inputs->guidance.rank > 0 ? &inputs->guidance : NULL;
}

/* Counts the heads of the sites that a plan reaches. */
static void count_heads(void *state, const vdit_site_info *site)
{
    *(size_t *)state += site->kind != 0 ? site->heads : 0;
}

/* A dry run before the run: how much there is to do. Returns: the number of heads that a plan reaches. */
static size_t rehearse(vdit_net *net, const vdit_model *model, const vdit_model_inputs *inputs)
{
    vdit_forward call = *net->call;
    vdit_net dry = *net;
    size_t heads = 0;

    describe(&call, inputs);
    dry.call = &call;
    dry.dry = 1;
    dry.watch = (vdit_net_watch){.state = &heads, .site = count_heads};
    model->family->forward(&dry, model->config);
    net->total = dry.flops;
    return heads;
}

/*
 * The random control of a plan (C32): a first run, which nobody watches, tells which heads of the model have no sink
 * while the rest of the plan acts; of them some are drawn. Out: control.
 */
static void look(vdit_control *control, const vdit_net *net, const vdit_model *model)
{
    vdit_forward call = *net->call;
    vdit_net first = *net;
    size_t mark = vdit_run_mark(net->run);

    call.meters = NULL;
    call.site_edits = NULL;
    call.noise = NULL;
    first.call = &call;
    first.control = control;
    control->looks = 1;
    model->family->forward(&first, model->config);
    vdit_run_release(net->run, mark);
    control->looks = 0;
    control->at = 0;
    if (vdit_run_status(net->run) == VDIT_OK)
        vdit_gate_draw(net->run, control->heads, control->count, control->drawn, control->seed);
}

vdit_status vdit_forward_check(vdit_run *run, const vdit_model *model, const vdit_forward *call,
                               vdit_extents *extents)
{
    vdit_model_inputs inputs;

    if (check(run, model, call, &inputs) == VDIT_OK)
        *extents = model->family->extents(call);
    return vdit_run_status(run);
}

vdit_status vdit_model_forward(vdit_run *run, const vdit_model *model, const vdit_forward *call)
{
    size_t mark = vdit_run_mark(run);
    vdit_control control = {0};
    vdit_model_inputs inputs;
    vdit_tensor output;
    vdit_net net;

    if (vdit_run_status(run) != VDIT_OK || check(run, model, call, &inputs) != VDIT_OK)
        return vdit_run_status(run);
    net = start(run, model, call);
    control.count = rehearse(&net, model, &inputs);
    if (call->plan != NULL && vdit_plan_draws(call->plan, call->step, call->branch)) {
        control.heads = vdit_run_alloc(run, control.count, 1);
        if (control.heads != NULL)
            look(&control, &net, model);
        net.control = &control;
    }
    net.watch.state = call->trace_state;
    net.watch.activation = call->trace;
    output = model->family->forward(&net, model->config);
    vdit_net_copy(&net, *call->output, &output);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

/* The lists of a survey while they grow; a pass that counts comes before the one that fills. */
typedef struct survey_state {
    vdit_run *run;
    vdit_model_survey *survey;
    int fills;
} survey_state;

static char *copy_text(vdit_run *run, const char *text)
{
    char *copy = vdit_run_alloc(run, strlen(text) + 1, 1);

    return copy != NULL ? strcpy(copy, text) : NULL;
}

static vdit_name_info name_info(vdit_run *run, const char *name, const vdit_tensor *tensor)
{
    vdit_name_info info = {copy_text(run, name), *tensor};

    info.tensor.data = NULL;
    return info;
}

static void see_weight(void *state, const char *name, const vdit_tensor *weight)
{
    survey_state *s = state;
    vdit_model_survey *survey = s->survey;

    if (s->fills)
        survey->weights[survey->weight_count] = name_info(s->run, name, weight);
    survey->weight_count++;
}

static vdit_status see_activation(void *state, const char *name, const vdit_tensor *activation)
{
    survey_state *s = state;
    vdit_model_survey *survey = s->survey;

    if (s->fills)
        survey->activations[survey->activation_count] = name_info(s->run, name, activation);
    survey->activation_count++;
    return VDIT_OK;
}

static void see_site(void *state, const vdit_site_info *site)
{
    survey_state *s = state;
    vdit_model_survey *survey = s->survey;

    if (s->fills) {
        survey->sites[survey->site_count] = *site;
        survey->sites[survey->site_count].name = copy_text(s->run, site->name);
    }
    survey->site_count++;
}

/* One dry run. */
static void run_dry(survey_state *s, const vdit_model *model, const vdit_model_inputs *inputs,
                    vdit_dtype dtype)
{
    vdit_model_survey *survey = s->survey;
    vdit_forward call;
    vdit_net net;

    vdit_forward_init(&call);
    describe(&call, inputs);
    call.dtype = dtype;
    net = start(s->run, model, &call);
    net.dry = 1;
    net.watch.state = s;
    net.watch.weight = see_weight;
    net.watch.activation = see_activation;
    net.watch.site = see_site;
    survey->weight_count = survey->activation_count = survey->site_count = 0;
    model->family->forward(&net, model->config);
    survey->flops = net.flops;
    survey->attention_flops = net.attention_flops;
    survey->bytes = (double)net.peak;
}

/* By name, then by place. */
static int compare_infos(const void *a, const void *b)
{
    const vdit_name_info *x = *(vdit_name_info *const *)a, *y = *(vdit_name_info *const *)b;
    int order = strcmp(x->name, y->name);

    return order != 0 ? order : (x > y) - (x < y);
}

/* A weight that is used again, as by a norm that runs twice, stays once, at its first use. */
static void drop_repeated_weights(vdit_run *run, vdit_model_survey *survey)
{
    size_t count = survey->weight_count, kept = 0;
    vdit_name_info **sorted = vdit_run_alloc(run, count, sizeof *sorted);
    char *repeated = vdit_run_alloc(run, count, 1);

    if (vdit_run_status(run) != VDIT_OK)
        return;
    for (size_t i = 0; i < count; i++)
        sorted[i] = &survey->weights[i];
    qsort(sorted, count, sizeof *sorted, compare_infos);
    for (size_t i = 0; i < count; i++)
        repeated[sorted[i] - survey->weights] =
            i > 0 && strcmp(sorted[i]->name, sorted[i - 1]->name) == 0;
    for (size_t i = 0; i < count; i++)
        if (!repeated[i])
            survey->weights[kept++] = survey->weights[i];
    survey->weight_count = kept;
}

vdit_status vdit_model_survey_of(vdit_run *run, const vdit_model *model,
                                 const vdit_extents *extents, vdit_dtype dtype,
                                 vdit_model_survey *survey)
{
    vdit_model_inputs inputs;
    vdit_model_survey made = {0};
    survey_state state = {run, &made, 0};

    if (vdit_model_inputs_of(run, model, extents, &inputs) != VDIT_OK)
        return vdit_run_status(run);
    run_dry(&state, model, &inputs, dtype);
    made.weights = vdit_run_alloc(run, made.weight_count, sizeof *made.weights);
    made.activations = vdit_run_alloc(run, made.activation_count, sizeof *made.activations);
    made.sites = vdit_run_alloc(run, made.site_count, sizeof *made.sites);
    state.fills = 1;
    if (vdit_run_status(run) == VDIT_OK)
        run_dry(&state, model, &inputs, dtype);
    if (vdit_run_status(run) == VDIT_OK)
        drop_repeated_weights(run, &made);
    if (vdit_run_status(run) == VDIT_OK)
        *survey = made;
    return vdit_run_status(run);
}

vdit_status vdit_plan_reach(vdit_run *run, size_t *heads, const vdit_plan *plan,
                            const vdit_model_survey *survey, size_t step, unsigned branch)
{
    size_t reached = 0, mark = vdit_run_mark(run);
    vdit_edit edit;

    for (size_t i = 0; i < survey->site_count; i++) {
        const vdit_site_info *info = &survey->sites[i];
        vdit_site site = {info->layer, 0, step, branch, info->kind, info->tokens, info->keys};

        for (; info->kind != 0 && site.head < info->heads; site.head++) {
            if (vdit_plan_edit(run, plan, &site, &edit) != VDIT_OK)
                return vdit_run_status(run);
            reached +=
                !vdit_edit_is_off(&edit) || vdit_plan_gate(plan, &site).kind != VDIT_GATE_NUMBER;
        }
        vdit_run_release(run, mark);
    }
    *heads = reached;
    return vdit_run_status(run);
}
