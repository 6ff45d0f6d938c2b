/* forward_say.c - what vdit-forward says: before a call what it will take, afterwards what it was. */
#include "config.h"
#include "forward.h"
#include "program.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define LONG_SECONDS 5 /* an estimate beyond this is stated */

void forward_say_estimate(const forward_job *job)
{
    const vdit_extents *e = &job->extents;
    char line[256], memory[32], clock[32], time[48] = "under a second", trace[64] = "";

    if (job->expected >= 1)
        snprintf(time, sizeof time, "about %s",
                 program_time_text(clock, sizeof clock, job->expected));
    if (job->set->trace != NULL) {
        double bytes = vdit_trace_bytes(&job->survey, &job->trace);

        snprintf(trace, sizeof trace, ", trace %s", program_bytes_text((char[32]){0}, 32, bytes));
    }
    snprintf(line, sizeof line,
             "%s, latents %zu x %zu x %zu, text %zu, batch %zu: %.3g operations (%.0f%% "
             "attention), %s, memory %s beside the weights%s",
             vdit_model_family(job->model), e->frames, e->height, e->width, e->text, e->batch,
             job->survey.flops,
             job->survey.flops > 0 ? 100 * job->survey.attention_flops / job->survey.flops : 0,
             time, program_bytes_text(memory, sizeof memory, job->memory), trace);
    if (job->set->estimate)
        puts(line);
    else if (job->expected > LONG_SECONDS)
        program_say("%s", line);
}

/* Who computed the edited heads, if it is not who was asked for. */
static void say_fallback(const forward_job *job)
{
    if (job->computed != NULL && strcmp(job->computed, job->call.backend->name) != 0)
        program_say("backend %s has no edits; the %s computed %zu heads", job->call.backend->name,
                    job->computed, job->edited);
}

void forward_say_result(const forward_job *job)
{
    say_fallback(job);
    if (job->activation != NULL)
        program_say("the output holds NaN; %s is the first activation that does%s%s",
                    job->activation, job->weight != NULL ? ", and the weight " : "",
                    job->weight != NULL ? job->weight : "");
}

static json_t *tensor_json(const vdit_tensor *t)
{
    json_t *shape = json_array();

    for (int i = 0; i < t->rank; i++)
        json_array_append_new(shape, json_integer((json_int_t)t->shape[i]));
    return json_pack("{s:s, s:o}", "dtype", vdit_dtype_name(t->dtype), "shape", shape);
}

/* What the call was, beside what it takes. */
static void add_result(const forward_job *job, json_t *summary)
{
    const vdit_counters *stages = vdit_run_counters(job->run);

    json_object_set_new(summary, "output", tensor_json(&job->inputs.output));
    json_object_set_new(summary, "seconds", json_real(job->seconds));
    json_object_set_new(
        summary, "stages",
        json_pack("{s:[I,I,I], s:[I,I,I], s:[I,I,I]}", "linear", (json_int_t)stages->linear[0],
                  (json_int_t)stages->linear[1], (json_int_t)stages->linear[2], "attention",
                  (json_int_t)stages->attention[0], (json_int_t)stages->attention[1],
                  (json_int_t)stages->attention[2], "elementary", (json_int_t)stages->elementary[0],
                  (json_int_t)stages->elementary[1], (json_int_t)stages->elementary[2]));
    json_object_set_new(summary, "edited_heads", json_integer((json_int_t)job->edited));
    json_object_set(summary, "edits", job->edits.entries);
    json_object_set_new(summary, "nan",
                        job->activation != NULL ? json_string(job->activation) : json_null());
    json_object_set_new(summary, "nan_weight",
                        job->weight != NULL ? json_string(job->weight) : json_null());
}

void forward_print_json(const forward_job *job)
{
    const vdit_extents *e = &job->extents;
    json_t *summary =
        json_pack("{s:s, s:s, s:s, s:s, s:i, s:[I,I,I], s:I, s:I, s:f, s:f, s:f, s:f}", "model",
                  vdit_model_family(job->model), "backend", job->call.backend->name, "version",
                  PACKAGE_VERSION, "dtype", vdit_dtype_name(job->call.dtype), "threads",
                  vdit_run_threads(job->run), "latents", (json_int_t)e->frames,
                  (json_int_t)e->height, (json_int_t)e->width, "batch", (json_int_t)e->batch,
                  "text", (json_int_t)e->text, "flops", job->survey.flops, "attention_flops",
                  job->survey.attention_flops, "memory_bytes", job->memory, "trace_bytes",
                  job->set->trace != NULL ? vdit_trace_bytes(&job->survey, &job->trace) : 0);

    if (summary == NULL)
        program_fail("no memory");
    if (job->expected >= 0)
        json_object_set_new(summary, "estimated_seconds", json_real(job->expected));
    if (job->seconds >= 0)
        add_result(job, summary);
    json_dumpf(summary, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(summary);
}
