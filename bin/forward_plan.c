/* forward_plan.c - the plan of vdit-forward: its text, the files that it names, the source run. */
#include "forward.h"
#include "program.h"
#include <string.h>

#define PLAN_MAX ((size_t)1 << 20)

/* Fails if what goes with a plan was given without one. */
static void refuse_without_plan(const forward_settings *set)
{
    int compares = set->meters != NULL && strstr(set->meters, "similarity") != NULL;

    if (set->source != NULL && !compares)
        program_fail("--source goes with --plan, or with the meter similarity");
    if (set->report != NULL)
        program_fail("--report goes with --plan");
}

static void parse(forward_job *job)
{
    const forward_settings *set = job->set;
    const char *text = set->plan;
    size_t size = text ? strlen(text) : 0;

    if (set->plan != NULL && set->plan_file != NULL)
        program_fail("--plan and --plan-file exclude each other");
    if (set->plan_file != NULL)
        text = program_text(job->run, &size, "plan-file", set->plan_file, PLAN_MAX);
    if (vdit_plan_parse(job->run, &job->plan, text, size) != VDIT_OK)
        program_fail("%s: %s", set->plan_file ? set->plan_file : "--plan",
                     vdit_run_message(job->run));
    for (size_t i = 0; i < vdit_plan_file_count(job->plan); i++) {
        vdit_tensor tensor = forward_pick(job, vdit_plan_file(job->plan, i));

        vdit_plan_bind(job->plan, i, &tensor);
    }
}

/* The trace of the source run. */
static void open_source(forward_job *job)
{
    const char *path = job->set->source;

    vdit_file_open(job->run, &job->files[job->file_count++], path);
    program_check(job->run);
    job->source = (vdit_trace_source_state){job->run, job->files[job->file_count - 1], path};
    job->call.source = vdit_trace_source;
    job->call.source_state = &job->source;
}

/* A plan that meets no head of the model is probably a mistake: says so, and what there is. */
static void check_reach(forward_job *job)
{
    const vdit_model_survey *survey = &job->survey;
    size_t heads, layers = 0, most = 0;

    vdit_plan_reach(job->run, &heads, job->plan, survey, job->call.step, job->call.branch);
    program_check(job->run);
    for (size_t i = 0; i < survey->site_count; i++)
        if (survey->sites[i].kind != 0) {
            layers = survey->sites[i].layer >= layers ? survey->sites[i].layer + 1 : layers;
            most = survey->sites[i].heads > most ? survey->sites[i].heads : most;
        }
    if (heads == 0)
        program_say(
            "the plan changes nothing at step %zu, branch %s: there are layers 0-%zu of %zu "
            "heads; vdit-model sites lists them",
            job->call.step, job->call.branch == VDIT_BRANCH_COND ? "c" : "u",
            layers > 0 ? layers - 1 : 0, most);
}

void forward_plan_read(forward_job *job)
{
    const forward_settings *set = job->set;

    job->call.step = set->step;
    if (set->branch != NULL && strcmp(set->branch, "c") != 0 && strcmp(set->branch, "u") != 0)
        program_fail("--branch: '%s' is none of c, u", set->branch);
    if (set->branch != NULL && *set->branch == 'u')
        job->call.branch = VDIT_BRANCH_UNCOND;
    if (set->source != NULL)
        open_source(job);
    if (set->plan == NULL && set->plan_file == NULL) {
        refuse_without_plan(set);
        return;
    }
    parse(job);
    job->call.plan = job->plan;
    check_reach(job);
}
