/* attend_meters.c - the meters of vdit-attend: what is asked for, and the files that they go to. */
#include "config.h"
#include "attend.h"
#include "meters.h"
#include "program.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Fails if another output goes to the i-th file of meters. */
static void check_apart(const attend_settings *set, size_t i)
{
    const char *others[6 + ATTEND_MEASURES] = {set->output, set->lse,  set->map,
                                               set->report, set->keep, set->free};

    for (size_t n = 0; n < i; n++)
        others[6 + n] = set->measures[n];
    for (size_t n = 0; n < 6 + i; n++)
        if (others[n] != NULL && strcmp(others[n], set->measures[i]) == 0)
            program_fail("--measures: %s: another output goes there", set->measures[i]);
}

void attend_meters_check(const attend_job *job)
{
    const attend_settings *set = job->set;

    if (set->meters == NULL && set->measures_count > 0)
        program_fail("-m says where meters go, but --meters names none");
    if (set->meters != NULL && set->measures_count == 0)
        program_fail("--meters: give -m FILE.json, FILE.npz or FILE.safetensors");
    for (size_t i = 0; i < set->measures_count; i++) {
        const char *path = set->measures[i];

        if (!program_has_suffix(path, ".json") && !program_has_suffix(path, ".npz") &&
            !program_has_suffix(path, ".safetensors") && !program_has_suffix(path, ".png"))
            program_fail("--measures: %s: a name in .json, .npz, .safetensors or .png was expected",
                         path);
        if (program_has_suffix(path, ".png"))
            attend_picture_check(job, path);
        program_folder_check("measures", path);
        check_apart(set, i);
    }
}

/* What is asked for. */
static vdit_meter_request request_of(const attend_job *job)
{
    vdit_meter_request request;

    vdit_meter_request_init(&request, job->set->meters);
    request.tokens = job->set->tokens;
    if (job->set->source[0] != NULL || job->set->source[1] != NULL) {
        request.other_q = job->set->source[0] != NULL ? &job->source[0] : &job->q;
        request.other_k = job->set->source[1] != NULL ? &job->source[1] : &job->k;
    }
    return request;
}

void attend_meters_cost(attend_estimate *expected, const attend_job *job)
{
    vdit_meter_request request = request_of(job);
    vdit_attention_cost cost;

    vdit_meter_estimate(&cost, job->run, &job->call, &request);
    program_check(job->run);
    expected->meters = cost.flops / (expected->cost.flops + 1);
    expected->cost.flops += cost.flops;
    expected->cost.entries += cost.entries;
    expected->bytes += cost.bytes;
}

void attend_meters_run(attend_job *job)
{
    vdit_meter_request request = request_of(job);

    vdit_meter_run(job->run, &job->call, &request, &job->measured);
    program_check(job->run);
}

static void write_json(attend_job *job, const char *path)
{
    const vdit_tokens *tokens = &job->set->tokens;
    json_t *all;
    char *text;

    all = json_pack("{s:s, s:s, s:f, s:{s:[I,I,I], s:I, s:b}, s:o}", "format", "vdit-meters/1",
                    "version", PACKAGE_VERSION, "scale", job->call.scale, "tokens", "video",
                    (json_int_t)tokens->frames, (json_int_t)tokens->height,
                    (json_int_t)tokens->width, "text", (json_int_t)tokens->text, "text_first",
                    tokens->text_first, "meters", meters_json(&job->measured));
    text = json_dumps(all, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    json_decref(all);
    if (text == NULL)
        program_fail("no memory");
    vdit_bytes_write(job->run, path, text, strlen(text));
    free(text);
}

/* The ids of all meters, a line each: "entropy C39=row/ln(valid),C40=exact0". */
static void list_ids(attend_job *job, vdit_named *to)
{
    size_t size = 0, used = 0;
    char *text;

    for (size_t i = 0; i < job->measured.count; i++)
        size += strlen(job->measured.list[i].meter) + strlen(job->measured.list[i].ids) + 2;
    text = vdit_run_alloc(job->run, size + 1, 1);
    program_check(job->run);
    for (size_t i = 0; i < job->measured.count; i++) {
        const vdit_meter_result *result = &job->measured.list[i];
        if (i == 0 || strcmp(result->meter, job->measured.list[i - 1].meter) != 0)
            used += (size_t)snprintf(text + used, size + 1 - used, "%s %s\n", result->meter,
                                     result->ids);
    }
    to->name = "ids";
    to->tensor = vdit_tensor_view(text, VDIT_U8, 1, &used);
}

static void write_arrays(attend_job *job, const char *path)
{
    vdit_named *named = vdit_run_alloc(job->run, job->measured.count + 1, sizeof *named);

    program_check(job->run);
    for (size_t i = 0; i < job->measured.count; i++)
        named[i] = (vdit_named){job->measured.list[i].name, job->measured.list[i].tensor};
    list_ids(job, &named[job->measured.count]);
    vdit_file_write(job->run, path, named, job->measured.count + 1);
}

void attend_meters_write(attend_job *job)
{
    const attend_settings *set = job->set;

    for (size_t i = 0; i < set->measures_count && vdit_run_status(job->run) == VDIT_OK; i++) {
        if (program_has_suffix(set->measures[i], ".json"))
            write_json(job, set->measures[i]);
        else if (program_has_suffix(set->measures[i], ".png"))
            attend_picture_write(job, set->measures[i]);
        else
            write_arrays(job, set->measures[i]);
        job->measures_written += vdit_run_status(job->run) == VDIT_OK;
    }
    if (vdit_run_status(job->run) != VDIT_OK)
        attend_outputs_remove(job);
    program_check(job->run);
}

void attend_meters_remove(const attend_job *job)
{
    for (size_t i = 0; i < job->measures_written; i++)
        unlink(job->set->measures[i]);
}
