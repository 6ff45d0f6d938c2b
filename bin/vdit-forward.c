/* vdit-forward.c - one call of a denoiser. Its man page, vdit-forward(1), is the contract. */
#include "config.h"
#include "forward.h"
#include "meters.h"
#include "model_time.h"
#include "program.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONG_FLOPS 2e11 /* a call beyond this is estimated first: some seconds on any machine */
#define HAS_NAN    1    /* exit status: the output holds NaN */

static forward_settings set = {.batch = 1, .shadows = 3};

/* Adds a pattern of names. */
static void read_pattern(void *into, const char *option, const char *text)
{
    forward_settings *settings = into;

    if (*text == '\0' || settings->trace_name_count == FORWARD_PATTERNS)
        program_fail("--%s: '%s': at most %d patterns were expected", option, text,
                     FORWARD_PATTERNS);
    settings->trace_names[settings->trace_name_count++] = text;
}

static void read_seed(void *into, const char *option, const char *text)
{
    forward_settings *settings = into;

    program_read_size(&settings->seed, option, text);
    settings->is_seeded = 1;
}

static const program_option options[] = {
    {"latents", 0, "FILE[:NAME]", "the noisy latents, of five axes", program_read_text,
     &set.latents},
    {"timestep", 0, "T|FILE[:NAME]", "the time, for all samples or [B]", program_read_text,
     &set.timestep},
    {"text", 0, "FILE[:NAME]", "the embedded prompts [B, rows, width]", program_read_text,
     &set.text},
    {"text-mask", 0, "FILE[:NAME]", "which rows are valid [B, rows] (default: all)",
     program_read_text, &set.text_mask},
    {"pooled", 0, "FILE[:NAME]", "hunyuan: the pooled text [B, width]", program_read_text,
     &set.pooled},
    {"guidance", 0, "G|FILE[:NAME]", "hunyuan: the guidance times 1000", program_read_text,
     &set.guidance},
    {"without-rotary", 0, NULL, "cogvideox: as if no rotary tables were passed", program_read_flag,
     &set.without_rotary},
    {"seed", 0, "N", "draw the inputs that are not given", read_seed, &set},
    {"size", 's', "FxHxW", "of latents that are drawn (default: the smallest)", program_read_text,
     &set.size},
    {"text-rows", 0, "N", "of a text that is drawn", program_read_size, &set.text_rows},
    {"batch", 0, "N", "samples that are drawn (default: 1)", program_read_size, &set.batch},
    {"output", 'o', "FILE", "write the output", program_read_text, &set.output},
    {"dtype", 'd', "f32|bf16|f16", "precision of the activations (default: f32)", program_read_text,
     &set.dtype},
    {"backend", 'b', "NAME", "reference (default) or fast", program_read_text, &set.backend},
    {"plugin", 'p', "FILE[:NAME]", "a backend of a shared object, vdit-backend(3)",
     program_read_text, &set.plugin},
    {"plan", 0, "TEXT", "edit attention: see vdit-plan(7)", program_read_text, &set.plan},
    {"plan-file", 0, "FILE", "edit attention by a plan from a file", program_read_text,
     &set.plan_file},
    {"step", 0, "N", "the step that the plan sees (default: 0)", program_read_size, &set.step},
    {"branch", 0, "c|u", "the branch that it sees, with the prompt or without (default: c)",
     program_read_text, &set.branch},
    {"source", 0, "TRACE", "the source run of transfer and mix: a trace with */q, */k, */v",
     program_read_text, &set.source},
    {"report", 0, "FILE", "write what the edits did: .json, .npz, .safetensors", program_read_text,
     &set.report},
    {"meters", 0, "LIST", "statistics of the maps, such as entropy,topk:k=4; help lists them",
     program_read_text, &set.meters},
    {"meter-sites", 0, "PATTERN", "sites that are metered, such as '*.3.attn1' (default: all)",
     program_read_text, &set.meter_sites},
    {"measures", 'm', "FILE", "write them: .json, .npz, .safetensors", program_read_text,
     &set.measures},
    {"trace", 0, "FILE", "write the activations: vdit-trace(5)", program_read_text, &set.trace},
    {"trace-names", 0, "PATTERN", "only those that fit; may be given again", read_pattern, &set},
    {"noise", 0, "CONTRACT", "with the noise that an honest kernel of it has", program_read_text,
     &set.noise},
    {"shadows", 0, "N", "runs that find the noise (default: 3)", program_read_size, &set.shadows},
    {"threads", 't', "N", "threads (default: all); the bits do not depend on it",
     program_read_threads, &set.threads},
    {"estimate", 0, NULL, "print what the call would take, and stop", program_read_flag,
     &set.estimate},
    {"json", 0, NULL, "print a summary as JSON", program_read_flag, &set.json},
    {0},
};

static const program self = {
    "vdit-forward",
    "One call of a denoiser, with edits, meters and a trace of its activations.",
    "MODEL --latents FILE --timestep T --text FILE -o FILE [OPTION]...\n"
    "MODEL --seed N [--size FxHxW] [--text-rows N] -o FILE [OPTION]...",
    options,
};

/* Checks the words of the command line that need no file. */
static void check_words(forward_job *job)
{
    vdit_dtype dtype = VDIT_F32;

    job->call.backend = program_backend(job->run, set.backend, set.plugin);
    if (set.dtype != NULL &&
        (!vdit_dtype_find(&dtype, set.dtype) || !vdit_dtype_is_float(dtype) || dtype == VDIT_F64))
        program_fail("--dtype: '%s' is none of f32, bf16, f16", set.dtype);
    job->call.dtype = dtype;
    if (set.batch == 0 || set.batch > 1000000)
        program_fail("--batch: %zu is not a number from 1 to 1000000", set.batch);
    if (set.trace == NULL && (set.trace_name_count > 0 || set.noise != NULL))
        program_fail("--trace-names and --noise go with --trace");
    if (set.noise == NULL && set.shadows != 3)
        program_fail("--shadows goes with --noise");
    if (set.shadows == 0 || set.shadows > 1000)
        program_fail("--shadows: %zu is not a number from 1 to 1000", set.shadows);
    if (!set.estimate && set.output == NULL && set.trace == NULL && set.measures == NULL &&
        set.report == NULL)
        program_fail("nothing to write: give -o, --trace, --report or --meters with -m");
}

/* The request of a trace. */
static void request_trace(forward_job *job)
{
    const vdit_contract *contract = set.noise != NULL ? vdit_contract_find(set.noise) : NULL;

    vdit_trace_request_init(&job->trace, set.trace);
    job->trace.patterns = set.trace_names;
    job->trace.pattern_count = set.trace_name_count;
    job->trace.shadows = set.shadows;
    if (set.noise == NULL)
        return;
    if (contract == NULL || contract->noise.out_unit == 0)
        program_fail("--noise: '%s' is no contract with noise, such as f32 or bf16/f32acc",
                     set.noise);
    job->trace.noise = &contract->noise;
    job->trace.contract = contract->name;
}

static double tensor_bytes(const vdit_tensor *t)
{
    return t->rank > 0 ? (double)vdit_tensor_count(t) * (double)vdit_dtype_size(t->dtype) : 0;
}

/* What the call will take; refuses what cannot fit: a run that swaps would not end. */
static void estimate(forward_job *job)
{
    const vdit_model_inputs *in = &job->inputs;
    double memory = program_memory();
    int runs = 1 + (set.noise != NULL ? 2 * (int)set.shadows : 0);
    char needed[32], there[32];

    job->memory = job->survey.bytes + tensor_bytes(&in->latents) + tensor_bytes(&in->text) +
                  tensor_bytes(&in->pooled) + 2 * tensor_bytes(&in->output);
    if (memory > 0 && job->memory > memory && !set.estimate)
        program_fail("the call needs %s of memory and this machine has %s",
                     program_bytes_text(needed, sizeof needed, job->memory),
                     program_bytes_text(there, sizeof there, memory));
    if (set.estimate || job->survey.flops > LONG_FLOPS)
        job->expected =
            runs * model_seconds(job->run, job->call.backend, &job->survey, job->call.dtype);
    program_check(job->run);
}

/* NaN in the inputs explains NaN in the output. */
static void check_inputs(const forward_job *job)
{
    const struct {
        const char *option;
        const vdit_tensor *tensor;
    } inputs[] = {{"latents", job->call.latents},
                  {"timestep", job->call.timestep},
                  {"text", job->call.text},
                  {"pooled", job->call.pooled},
                  {"guidance", job->call.guidance}};

    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        if (inputs[i].tensor != NULL && vdit_tensor_has_nan(inputs[i].tensor))
            program_say("--%s holds NaN", inputs[i].option);
}

static void compute(forward_job *job)
{
    double start = program_seconds();

    program_progress_of(job->run, "forward");
    if (set.trace != NULL)
        job->written[FORWARD_TRACE] =
            vdit_model_trace(job->run, job->model, &job->call, &job->trace) == VDIT_OK;
    else
        vdit_model_forward(job->run, job->model, &job->call);
    program_check(job->run);
    job->seconds = program_seconds() - start;
    if (vdit_tensor_has_nan(job->call.output))
        vdit_nan_find(job->run, job->model, &job->call, &job->activation, &job->weight);
    program_progress_clear();
}

static void open_model(forward_job *job, int count, char **operands)
{
    if (set.meters != NULL && strcmp(set.meters, "help") == 0) {
        meters_list();
        exit(program_finish(0));
    }
    if (count != 1)
        program_fail("%d operands where one was expected, the folder of a model; see --help",
                     count);
    check_words(job);
    request_trace(job);
    vdit_model_open(job->run, &job->model, operands[0]);
    program_check(job->run);
}

static void close_all(forward_job *job)
{
    for (int i = 0; i < job->file_count; i++)
        vdit_file_close(job->files[i]);
    json_decref(job->edits.entries);
    json_decref(job->measures.entries);
    vdit_run_free(job->edits.memory);
    vdit_run_free(job->measures.memory);
    vdit_model_close(job->model);
    vdit_run_free(job->run);
}

int main(int argc, char **argv)
{
    forward_job job = {.set = &set, .seconds = -1, .expected = -1};
    char **operands;
    int count = program_parse(&self, argc, argv, &operands), status;

    if ((job.run = vdit_run_new()) == NULL)
        program_fail("no memory");
    vdit_run_set_threads(job.run, set.threads);
    vdit_forward_init(&job.call);
    open_model(&job, count, operands);
    forward_inputs_read(&job);
    vdit_model_survey_of(job.run, job.model, &job.extents, job.call.dtype, &job.survey);
    program_check(job.run);
    forward_sites_check(&job);
    forward_plan_read(&job);
    forward_sites_listen(&job);
    estimate(&job);
    if (!set.json)
        forward_say_estimate(&job);
    if (!set.estimate) {
        check_inputs(&job);
        compute(&job);
        forward_sites_write(&job);
        forward_say_result(&job);
    }
    if (set.json)
        forward_print_json(&job);
    if (fflush(stdout) != 0)
        forward_remove(&job);
    status = job.activation != NULL ? HAS_NAN : 0;
    close_all(&job);
    return program_finish(status);
}
