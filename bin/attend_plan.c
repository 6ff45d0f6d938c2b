/* attend_plan.c - the plan of vdit-attend: from its text to an edit for each head. */
#include "attend.h"
#include "program.h"
#include <string.h>

#define PLAN_MAX ((size_t)1 << 20)

static void parse_plan(attend_job *job)
{
    const attend_settings *set = job->set;
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
        vdit_tensor tensor = attend_pick(job, vdit_plan_file(job->plan, i));
        vdit_plan_bind(job->plan, i, &tensor);
    }
}

/* The operands of the source call, in the layout of the others. */
static void read_source(attend_job *job)
{
    static const char *const options[] = {"source-q", "source-k", "source-v"};

    for (int i = 0; i < 3; i++)
        if (job->set->source[i] != NULL) {
            vdit_tensor t = attend_pick_heads(job, options[i], job->set->source[i]);
            job->source[i] = attend_heads(job, &t);
        }
}

static vdit_site site_of(const attend_job *job)
{
    vdit_site site = {0, 0, 0, VDIT_BRANCH_COND, VDIT_KIND_FULL, {0}, 0};

    site.tokens = job->set->tokens;
    site.keys = job->k.shape[2];
    if (job->set->site != NULL)
        vdit_site_parse(job->run, &site, job->set->site);
    program_check(job->run);
    return site;
}

/* Returns: t in the run's memory with axes put before its own, as the edit takes it; NULL for NULL. */
static const vdit_tensor *widen(attend_job *job, const vdit_tensor *t, int rank)
{
    vdit_tensor *wide;

    if (t == NULL || t->rank >= rank)
        return t;
    wide = vdit_run_alloc(job->run, 1, sizeof *wide);
    program_check(job->run);
    *wide = attend_widen(t, rank);
    return wide;
}

/* Fills what the plan leaves to its caller. */
static void complete(attend_job *job, vdit_edit *edit)
{
    const vdit_tensor **sources[] = {&edit->source_q, &edit->source_k, &edit->source_v};

    for (int i = 0; i < 3; i++)
        if (job->set->source[i] != NULL)
            *sources[i] = &job->source[i];
    edit->threshold = widen(job, edit->threshold, 3);
    edit->keep = widen(job, edit->keep, 4);
    edit->source_map = widen(job, edit->source_map, 4);
}

/* Whether the source call is wanted for the meter that compares two maps. */
static int compares(const attend_settings *set)
{
    return set->meters != NULL && strstr(set->meters, "similarity") != NULL;
}

/* Fails if what was given makes sense with a plan alone. */
static void refuse_without_plan(const attend_settings *set)
{
    const struct {
        const char *option, *text;
    } given[] = {{"site", set->site},          {"source-q", set->source[0]},
                 {"source-k", set->source[1]}, {"source-v", set->source[2]},
                 {"report", set->report},      {"keep", set->keep},
                 {"free", set->free}};

    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        if (given[i].text != NULL && !((i == 1 || i == 2) && compares(set)))
            program_fail("--%s needs --plan or --plan-file", given[i].option);
}

void attend_plan_read(attend_job *job)
{
    size_t heads = job->q.shape[1];
    vdit_site site;

    if (job->set->plan == NULL && job->set->plan_file == NULL) {
        refuse_without_plan(job->set);
        read_source(job);
        return;
    }
    parse_plan(job);
    read_source(job);
    site = site_of(job);
    job->edits = vdit_run_alloc(job->run, heads, sizeof *job->edits);
    job->heads = vdit_run_alloc(job->run, heads, sizeof *job->heads);
    program_check(job->run);
    for (size_t h = 0; h < heads; h++, site.head++) {
        vdit_plan_edit(job->run, job->plan, &site, &job->edits[h]);
        program_check(job->run);
        complete(job, &job->edits[h]);
        job->heads[h] = vdit_edit_is_off(&job->edits[h]) ? NULL : &job->edits[h];
    }
    job->call.edits = job->heads;
}

int attend_plan_drops(const attend_job *job, vdit_moment moment)
{
    for (size_t h = 0; job->plan != NULL && h < job->q.shape[1]; h++)
        if (vdit_edit_drops(&job->edits[h], moment))
            return 1;
    return 0;
}

int attend_plan_passes(const attend_job *job)
{
    int most = job->plan == NULL;

    for (size_t h = 0; job->plan != NULL && h < job->q.shape[1]; h++) {
        int passes = vdit_edit_passes(&job->edits[h]);
        most = passes > most ? passes : most;
    }
    return most;
}

void attend_plan_gates(attend_job *job)
{
    size_t heads = job->q.shape[1];
    double *gates = vdit_run_alloc(job->run, heads, sizeof *gates);
    vdit_site site;

    if (job->plan == NULL)
        return;
    site = site_of(job);
    program_progress(job->run);
    vdit_plan_gates(job->run, gates, job->plan, &site, &job->call);
    program_check(job->run);
    for (size_t h = 0; h < heads; h++)
        if (gates[h] == 0 && job->edits[h].gate != 0) {
            job->edits[h].gate = 0;
            job->heads[h] = &job->edits[h];
        }
}
