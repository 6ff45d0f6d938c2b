/* forward_sites.c - what meters say of the sites and what a plan did there, and the files that it goes to. */
#include "config.h"
#include "forward.h"
#include "meters.h"
#include "program.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Keeps a copy of an array under "site/name". */
static vdit_status keep(forward_list *list, const char *site, const char *name,
                        const vdit_tensor *t)
{
    size_t length = strlen(site) + strlen(name) + 2;
    char *copy = vdit_run_alloc(list->memory, length, 1);
    vdit_tensor made;

    if (list->count == list->room) {
        size_t room = 2 * list->room + 64;
        vdit_named *more = vdit_run_alloc(list->memory, room, sizeof *more);

        if (more == NULL)
            return vdit_run_status(list->memory);
        if (list->count > 0)
            memcpy(more, list->named, list->count * sizeof *more);
        list->named = more;
        list->room = room;
    }
    if (copy == NULL ||
        vdit_tensor_new(list->memory, &made, t->dtype, t->rank, t->shape) != VDIT_OK)
        return vdit_run_status(list->memory);
    vdit_tensor_pack(made.data, t);
    snprintf(copy, length, "%s/%s", site, name);
    list->named[list->count++] = (vdit_named){copy, made};
    return VDIT_OK;
}

/* Returns: 1 if the file holds arrays, not JSON. */
static int is_arrays(const char *path)
{
    return !program_has_suffix(path, ".json");
}

static vdit_status hear_meters(void *state, const char *site, const vdit_meter_results *results)
{
    forward_job *job = state;
    forward_list *list = &job->measures;
    vdit_status status = VDIT_OK;

    if (is_arrays(job->set->measures))
        for (size_t i = 0; i < results->count && status == VDIT_OK; i++)
            status = keep(list, site, results->list[i].name, &results->list[i].tensor);
    else if (json_array_append_new(list->entries, json_pack("{s:s, s:o}", "site", site, "meters",
                                                            meters_json(results))) != 0)
        status = VDIT_ERR_MEMORY;
    return status;
}

/* A number that may be unknown. */
static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* Returns: what the heads undergo, those that undergo the same together. */
static json_t *orders_json(forward_job *job, const vdit_site_edits *did)
{
    json_t *list = json_array();
    const char *order[2] = {NULL, NULL};

    for (size_t h = 0, first = 0; h <= did->heads; h++) {
        order[1] = h == did->heads         ? NULL
                   : did->edits[h] == NULL ? "as without a plan"
                                           : vdit_edit_order(job->run, did->edits[h]);
        if (h > 0 && (order[1] == NULL || strcmp(order[0], order[1]) != 0)) {
            json_array_append_new(list, json_pack("{s:[I,I], s:s}", "heads", (json_int_t)first,
                                                  (json_int_t)(h - 1), "order", order[0]));
            first = h;
        }
        order[0] = order[1];
    }
    return list;
}

static json_t *edits_json(forward_job *job, const vdit_site_edits *did)
{
    return json_pack("{s:s, s:I, s:s, s:I, s:o, s:o, s:o, s:o, s:o}", "site", did->site, "layer",
                     (json_int_t)did->layer, "backend", did->backend, "edited",
                     (json_int_t)did->edited, "edits", orders_json(job, did), "masked_fraction",
                     number(did->masked_fraction), "kept_mass", number(did->kept_mass),
                     "least_kept_mass", number(did->least_kept_mass), "dense_mass",
                     number(did->dense_mass));
}

static vdit_status hear_edits(void *state, const vdit_site_edits *did)
{
    forward_job *job = state;
    const vdit_edit_report *report = did->report;
    vdit_status status = VDIT_OK;

    job->edited += did->edited;
    job->computed = did->backend;
    if (json_array_append_new(job->edits.entries, edits_json(job, did)) != 0)
        return VDIT_ERR_MEMORY;
    if (job->set->report == NULL || !is_arrays(job->set->report))
        return VDIT_OK;
    if (report->masked != NULL)
        status = keep(&job->edits, did->site, "masked", report->masked);
    if (report->kept_mass != NULL && status == VDIT_OK)
        status = keep(&job->edits, did->site, "kept_mass", report->kept_mass);
    if (report->dense_mass != NULL && status == VDIT_OK)
        status = keep(&job->edits, did->site, "dense_mass", report->dense_mass);
    return status;
}

static void start_list(forward_list *list)
{
    list->entries = json_array();
    list->memory = vdit_run_new();
    if (list->entries == NULL || list->memory == NULL)
        program_fail("no memory");
}

void forward_sites_listen(forward_job *job)
{
    start_list(&job->edits);
    start_list(&job->measures);
    if (job->plan != NULL) {
        job->call.site_edits = hear_edits;
        job->call.site_edits_state = job;
    }
    if (job->set->meters == NULL)
        return;
    job->call.meters = job->set->meters;
    job->call.meter_sites = job->set->meter_sites;
    job->call.site_meters = hear_meters;
    job->call.site_meters_state = job;
}

/* Fails unless the path ends in one of the suffixes, and its folder takes a file. */
static void check_path(const char *option, const char *path, int json)
{
    if (!program_has_suffix(path, ".safetensors") && !program_has_suffix(path, ".npz") &&
        !(json && program_has_suffix(path, ".json")) &&
        !(!json && program_has_suffix(path, ".npy")))
        program_fail("--%s: %s: a name in %s.safetensors or .npz was expected", option, path,
                     json ? ".json, " : ".npy, ");
    program_folder_check(option, path);
}

/* Fails if meters are asked for at sites that the network does not have. */
static void check_meter_sites(const forward_job *job)
{
    size_t i = 0;

    while (i < job->survey.site_count && job->set->meter_sites != NULL &&
           !vdit_name_matches(job->set->meter_sites, job->survey.sites[i].name))
        i++;
    if (i == job->survey.site_count)
        program_fail("--meter-sites: no site fits '%s'; vdit-model sites lists them",
                     job->set->meter_sites ? job->set->meter_sites : "*");
}

/* Returns: where an output goes; NULL: nowhere. */
static const char *path_of(const forward_settings *set, int output)
{
    const char *const paths[] = {set->output, set->measures, set->report, set->trace};

    return paths[output];
}

void forward_sites_check(const forward_job *job)
{
    static const char *const options[] = {"output", "measures", "report", "trace"};
    const forward_settings *set = job->set;

    if ((set->meters == NULL) != (set->measures == NULL))
        program_fail("--meters LIST and -m FILE go together");
    if (set->meter_sites != NULL && set->meters == NULL)
        program_fail("--meter-sites goes with --meters");
    if (set->meters != NULL)
        check_meter_sites(job);
    if (set->trace != NULL && !program_has_suffix(set->trace, ".safetensors"))
        program_fail("--trace: %s: a name in .safetensors was expected", set->trace);
    for (int i = 0; i < FORWARD_OUTPUTS; i++) {
        const char *path = path_of(set, i);

        if (path == NULL)
            continue;
        check_path(options[i], path, i == FORWARD_MEASURES || i == FORWARD_REPORT);
        for (int n = 0; n < i; n++)
            if (path_of(set, n) != NULL && strcmp(path_of(set, n), path) == 0)
                program_fail("--%s: %s: another output goes there", options[i], path);
    }
}

/* Returns: the text of a list as JSON, to be freed. */
static char *list_text(const forward_job *job, const forward_list *list, const char *format)
{
    json_t *all = json_pack(
        "{s:s, s:s, s:s, s:I, s:s, s:O}", "format", format, "version", PACKAGE_VERSION, "model",
        vdit_model_family(job->model), "step", (json_int_t)job->call.step, "branch",
        job->call.branch == VDIT_BRANCH_COND ? "c" : "u", "sites", list->entries);
    char *text = all != NULL ? json_dumps(all, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : NULL;

    json_decref(all);
    if (text == NULL)
        program_fail("no memory");
    return text;
}

/* Writes what was heard, as JSON or as arrays. */
static void write_list(forward_job *job, const forward_list *list, int output, const char *format)
{
    const char *path = path_of(job->set, output);
    char *text;

    if (path == NULL || vdit_run_status(job->run) != VDIT_OK)
        return;
    if (is_arrays(path)) {
        vdit_file_write(job->run, path, list->named, list->count);
    } else {
        text = list_text(job, list, format);
        vdit_bytes_write(job->run, path, text, strlen(text));
        free(text);
    }
    job->written[output] = vdit_run_status(job->run) == VDIT_OK;
}

void forward_sites_write(forward_job *job)
{
    const vdit_named output = {"output", job->inputs.output};

    if (job->set->output != NULL)
        job->written[FORWARD_OUTPUT] =
            vdit_file_write(job->run, job->set->output, &output, 1) == VDIT_OK;
    write_list(job, &job->measures, FORWARD_MEASURES, "vdit-site-meters/1");
    write_list(job, &job->edits, FORWARD_REPORT, "vdit-site-edits/1");
    if (vdit_run_status(job->run) != VDIT_OK)
        forward_remove(job);
    program_check(job->run);
}

void forward_remove(const forward_job *job)
{
    for (int i = 0; i < FORWARD_OUTPUTS; i++)
        if (job->written[i])
            unlink(path_of(job->set, i));
}
