/* vdit-attend.c - attention on tensors from files. Its man page, vdit-attend(1), is the contract. */
#include "config.h"
#include "attend.h"
#include "meters.h"
#include "program.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vdit/golden.h>

#define LONG_FLOPS   2e11 /* a call beyond this is estimated first: some seconds on any machine */
#define LONG_SECONDS 5    /* an estimate beyond this is stated */

static attend_settings set = {.layout = "BHND", .scale = NAN};

/* Reads "F,H,W" into the vdit_tokens at into. */
static void read_video(void *into, const char *option, const char *text)
{
    vdit_tokens *tokens = into;
    size_t *to[3] = {&tokens->frames, &tokens->height, &tokens->width};
    char copy[80];
    char *at = copy;

    snprintf(copy, sizeof copy, "%s", text);
    for (int i = 0; i < 3; i++) {
        char *end = i < 2 ? strchr(at, ',') : at + strlen(at);

        if (strlen(text) >= sizeof copy || end == NULL)
            program_fail("--%s: '%s' is not FRAMES,HEIGHT,WIDTH", option, text);
        *end = '\0';
        if (!program_size(to[i], at) || *to[i] == 0)
            program_fail("--%s: '%s' is not FRAMES,HEIGHT,WIDTH", option, text);
        at = end + 1;
    }
}

/* Adds a file for the meters. */
static void read_measures(void *into, const char *option, const char *text)
{
    attend_settings *settings = into;

    if (*text == '\0' || settings->measures_count == ATTEND_MEASURES)
        program_fail("--%s: '%s': at most %d files were expected", option, text, ATTEND_MEASURES);
    settings->measures[settings->measures_count++] = text;
}

static const program_option options[] = {
    {"q", 'q', "FILE[:NAME]", "queries: [N,d], [H,N,d] or [B,H,N,d]", program_read_text, &set.q},
    {"k", 'k', "FILE[:NAME]", "keys", program_read_text, &set.k},
    {"v", 'v', "FILE[:NAME]", "values", program_read_text, &set.v},
    {"output", 'o', "FILE", "write the output o", program_read_text, &set.output},
    {"lse", 0, "FILE", "write the log-sum-exp of each row, lse", program_read_text, &set.lse},
    {"map", 0, "FILE", "write the attention map of the rows, map", program_read_text, &set.map},
    {"backend", 'b', "NAME", "reference (default) or fast", program_read_text, &set.backend},
    {"plugin", 'p', "FILE[:NAME]", "a backend of a shared object, vdit-backend(3)",
     program_read_text, &set.plugin},
    {"dtype", 0, "f32|bf16|f16", "dtype of o (default: that of q)", program_read_text, &set.dtype},
    {"scale", 's', "S", "factor of the logits (default: 1/sqrt(d))", program_read_double,
     &set.scale},
    {"mask", 0, "FILE[:NAME]", "mask over [B,H,Nq,Nk]: float is added, bool 1 attends",
     program_read_text, &set.mask},
    {"key-length", 0, "N|N,N,...|FILE[:NAME]", "valid keys, for all or per batch",
     program_read_text, &set.key_length},
    {"rows", 0, "LIST|every:STRIDE|FILE[:NAME]", "query rows to compute, such as 0,7,100-199",
     program_read_text, &set.rows},
    {"layout", 0, "BHND|BNHD", "order of the axes of q, k, v and o", program_read_text,
     &set.layout},
    {"layout-video", 0, "F,H,W", "the video tokens: frames, height, width", read_video,
     &set.tokens},
    {"text", 0, "N", "text tokens, behind the video tokens", program_read_size, &set.tokens.text},
    {"text-first", 0, NULL, "the text tokens stand before the video tokens", program_read_flag,
     &set.tokens.text_first},
    {"plan", 0, "TEXT", "edit the call: see vdit-plan(7)", program_read_text, &set.plan},
    {"plan-file", 0, "FILE", "edit the call by a plan from a file", program_read_text,
     &set.plan_file},
    {"site", 0, "TEXT", "where the call stands (default: L0 S0 B=c K=full; heads from H0)",
     program_read_text, &set.site},
    {"source-q", 0, "FILE[:NAME]", "queries of the source call, for transfer and mix",
     program_read_text, &set.source[0]},
    {"source-k", 0, "FILE[:NAME]", "its keys", program_read_text, &set.source[1]},
    {"source-v", 0, "FILE[:NAME]", "its values", program_read_text, &set.source[2]},
    {"report", 0, "FILE", "write what the edits did: threshold, masked, kept_mass, ...",
     program_read_text, &set.report},
    {"keep", 0, "FILE", "write the mask after the softmax, keep, a bit per entry",
     program_read_text, &set.keep},
    {"free", 0, "FILE", "write which entries are within the noise of the threshold, free, likewise",
     program_read_text, &set.free},
    {"meters", 0, "LIST", "statistics of the map, such as entropy,topk:k=4; help lists them",
     program_read_text, &set.meters},
    {"measures", 'm', "FILE", "write them: .json, .npz, .safetensors, .png; may be given again",
     read_measures, &set},
    {"view", 0, "mean|max[:SCALE]", "what .png shows: linear, log=4, clip=0.99, threshold=1",
     program_read_text, &set.view},
    {"threads", 't', "N", "threads (default: all); the bits do not depend on it",
     program_read_threads, &set.threads},
    {"estimate", 0, NULL, "print what the call would take, and stop", program_read_flag,
     &set.estimate},
    {"json", 0, NULL, "print a summary as JSON", program_read_flag, &set.json},
    {0},
};

static const program self = {
    "vdit-attend",
    "Softmax attention on tensors from safetensors, npy and npz files.",
    "[OPTION]... --q FILE --k FILE --v FILE -o FILE",
    options,
};

/* Checks the words of the command line that need no file. */
static void check_words(attend_job *job)
{
    job->backend = program_backend(job->run, set.backend, set.plugin);
    if (strcmp(set.layout, "BHND") != 0 && strcmp(set.layout, "BNHD") != 0)
        program_fail("--layout: '%s' is none of BHND, BNHD", set.layout);
    if (set.dtype != NULL &&
        (!vdit_dtype_find(&job->dtype, set.dtype) ||
         (job->dtype != VDIT_F32 && job->dtype != VDIT_BF16 && job->dtype != VDIT_F16)))
        program_fail("--dtype: '%s' is none of f32, bf16, f16", set.dtype);
    if (set.meters != NULL && strcmp(set.meters, "help") == 0) {
        meters_list();
        exit(program_finish(0));
    }
    if (!set.estimate && set.output == NULL && set.lse == NULL && set.map == NULL &&
        set.report == NULL && set.keep == NULL && set.free == NULL && set.meters == NULL)
        program_fail("nothing to write: give -o, --lse, --map, --report or --meters");
}

/* Refuses what cannot fit: a run that swaps would not end. */
static void check_memory(const attend_estimate *expected)
{
    char needed[32], there[32];
    double memory = program_memory();

    if (memory > 0 && expected->bytes > memory)
        program_fail("the call needs %s of memory and this machine has %s%s",
                     program_bytes_text(needed, sizeof needed, expected->bytes),
                     program_bytes_text(there, sizeof there, memory),
                     set.map ? "; choose fewer --rows for the map" : "");
}

/* States the estimate on stderr (words) or, for --estimate, on stdout. */
static void state_estimate(const attend_job *job, const attend_estimate *expected)
{
    char line[256], bytes[32], time[32] = "under a second", passes[48] = "";

    if (expected->seconds >= 1)
        program_time_text(time, sizeof time, expected->seconds);
    if (job->plan != NULL)
        snprintf(passes, sizeof passes, ", passes over the map %d", attend_plan_passes(job));
    snprintf(line, sizeof line, "%zu x %zu heads of %zu x %zu, width %zu: about %s, memory %s%s",
             job->q.shape[0], job->q.shape[1], attend_row_count(job), job->k.shape[2],
             job->q.shape[3], time, program_bytes_text(bytes, sizeof bytes, expected->bytes),
             passes);
    if (set.estimate)
        puts(line);
    else if (expected->seconds > LONG_SECONDS)
        program_say("%s", line);
}

/* Lets the reference compute, and says so, what the backend that was asked for does not offer. */
static void fall_back(attend_job *job)
{
    int is_edited = job->call.edits != NULL;

    if (vdit_golden_offers(job->backend, VDIT_OP_ATTENTION, is_edited))
        return;
    program_say("backend %s has no attention%s; the reference computes", job->backend->name,
                is_edited ? " with edits" : "");
    job->backend = vdit_backend_find("reference");
}

static json_t *shape_json(const vdit_tensor *t)
{
    json_t *shape = json_array();

    for (int i = 0; i < t->rank; i++)
        json_array_append_new(shape, json_integer((json_int_t)t->shape[i]));
    return json_pack("{s:s, s:o}", "dtype", vdit_dtype_name(t->dtype), "shape", shape);
}

static void add_output(json_t *outputs, const attend_output *output)
{
    json_t *entry;

    if (output->path == NULL)
        return;
    entry = shape_json(&output->file);
    json_object_set_new(entry, "file", json_string(output->path));
    json_object_set_new(outputs, output->name, entry);
}

/* Prints the summary that vdit-attend(1) describes; seconds is negative if nothing was computed. */
static void print_json(const attend_job *job, const attend_estimate *expected, double seconds)
{
    const uint64_t *stages = vdit_run_counters(job->run)->attention;
    json_t *outputs = json_object(), *measures = json_array();
    json_t *summary = json_pack(
        "{s:s, s:s, s:i, s:o, s:o, s:o, s:f, s:I, s:I, s:I, s:I}", "backend", job->backend->name,
        "version", PACKAGE_VERSION, "threads", vdit_run_threads(job->run), "q",
        shape_json(&job->q_file), "k", shape_json(&job->k_file), "v", shape_json(&job->v_file),
        "scale", job->call.scale, "rows", (json_int_t)attend_row_count(job), "flops",
        (json_int_t)expected->cost.flops, "entries", (json_int_t)expected->cost.entries, "bytes",
        (json_int_t)expected->bytes);

    attend_plan_json(job, summary, seconds >= 0);
    if (expected->seconds >= 0)
        json_object_set_new(summary, "estimated_seconds", json_real(expected->seconds));
    if (seconds >= 0) {
        for (int i = 0; i < ATTEND_OUTPUTS; i++)
            add_output(outputs, &job->outputs[i]);
        json_object_set_new(summary, "seconds", json_real(seconds));
        json_object_set_new(summary, "stages",
                            json_pack("[I, I, I]", (json_int_t)stages[0], (json_int_t)stages[1],
                                      (json_int_t)stages[2]));
        json_object_set(summary, "outputs", outputs);
        for (size_t i = 0; i < set.measures_count; i++)
            json_array_append_new(measures, json_string(set.measures[i]));
        json_object_set(summary, "measures", measures);
    }
    json_dumpf(summary, stdout, JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(outputs);
    json_decref(measures);
    json_decref(summary);
}

/* Returns: seconds that the call and its meters took. */
static double compute(attend_job *job)
{
    double start = program_seconds();

    program_progress(job->run); /* anew: the trial has used up its bar */
    attend_outputs_make(job);
    if (job->call.o != NULL || job->call.lse != NULL || job->call.map != NULL ||
        job->call.report != NULL)
        vdit_backend_attention(job->run, job->backend, &job->call);
    program_check(job->run);
    if (set.meters != NULL)
        attend_meters_run(job);
    program_progress_clear();
    return program_seconds() - start;
}

int main(int argc, char **argv)
{
    attend_job job = {.set = &set};
    attend_estimate expected;
    char **operands;
    double seconds = -1;

    if (program_parse(&self, argc, argv, &operands) != 0)
        program_fail("'%s' was not expected; inputs are given as --q, --k and --v", operands[0]);
    if ((job.run = vdit_run_new()) == NULL)
        program_fail("no memory");
    vdit_run_set_threads(job.run, set.threads);
    check_words(&job);
    attend_read(&job);
    attend_outputs_list(&job);
    attend_outputs_check(&job);
    attend_meters_check(&job);
    fall_back(&job);
    attend_cost(&expected, &job);
    check_memory(&expected);
    program_progress(job.run);
    if (set.estimate || expected.cost.flops > LONG_FLOPS)
        attend_try(&expected, &job);
    if (!set.estimate)
        attend_plan_gates(&job);
    if (!set.json) {
        state_estimate(&job, &expected);
        attend_plan_say(&job);
    }
    if (!set.estimate) {
        seconds = compute(&job);
        if (!set.json)
            attend_plan_say_score(&job);
        attend_outputs_write(&job);
        attend_meters_write(&job);
    }
    if (set.json)
        print_json(&job, &expected, seconds);
    if (fflush(stdout) != 0)
        attend_outputs_remove(&job);
    for (int i = 0; i < job.file_count; i++)
        vdit_file_close(job.files[i]);
    vdit_run_free(job.run);
    return program_finish(0);
}
