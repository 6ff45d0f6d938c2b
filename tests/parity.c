/*
 * parity.c - networks against what diffusers computes, activation by activation. doc/parity.md is what it prints.
 *
 *     parity FIXTURE...            a line for each fixture, after what breaks the limits
 *     parity --list FIXTURE...     and a line for each activation
 *
 * The distance of x to the true t is |x - t| / |t| with 2-norms over all elements of an activation; the truth is the
 * fixture's run in binary64. data/parity/make_parity.py says how fixtures are made.
 */
#include "program.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vdit/file.h>
#include <vdit/model.h>

/*
 * Limits of a distance relative to the other implementation's own, and in any case. In bf16 roundings are few and large, so
 * that each of the two is the luckier one somewhere; there the ratios' geometric mean may be at most 1.
 */
#define RATIO_LIMIT      1.25
#define RATIO_LIMIT_HALF 1.5
#define DISTANCE_LIMIT   1e-5

#define SETTINGS_MAX 32

static int list;

static const program_option options[] = {
    {"list", 0, NULL, "a line for each activation", program_read_flag, &list},
    {0},
};
static const program self = {"parity", "Compares networks with fixtures of data/parity.",
                             "[OPTION...] FIXTURE...", options};

/* A fixture, and what is found while its network runs. */
typedef struct fixture {
    vdit_run *run;
    const char *path;
    vdit_file *file;
    json_t *of;    /* the case */
    json_t *order; /* names of activations */
    int half;      /* a checkpoint in bf16: compared with the run in bf16 */
    size_t compared, beyond;
    double worst, worst_ratio, log_ratios;
    char worst_name[256], worst_ratio_name[256];
    json_t *seen;
} fixture;

static const vdit_tensor *find(const fixture *f, const char *folder, const char *name)
{
    char full[512];

    snprintf(full, sizeof full, "%s/%s", folder, name);
    return vdit_file_find(f->file, full);
}

/* Returns: the elements in binary64, in the run's memory. */
static double *load(vdit_run *run, const vdit_tensor *t)
{
    size_t count = vdit_tensor_count(t);
    void *dense = vdit_run_alloc(run, count, vdit_dtype_size(t->dtype));
    double *out = vdit_run_alloc(run, count, sizeof *out);

    program_check(run);
    vdit_tensor_pack(dense, t);
    vdit_load_f64(out, count, dense, 1, t->dtype);
    return out;
}

/* Returns: |x - t| / |t|; the norm of x where t is 0. */
static double distance(vdit_run *run, const vdit_tensor *x, const vdit_tensor *truth)
{
    size_t mark = vdit_run_mark(run), n = vdit_tensor_count(truth);
    double *a = load(run, x), *t = load(run, truth), error = 0, norm = 0;

    for (size_t i = 0; i < n; i++) {
        error += (a[i] - t[i]) * (a[i] - t[i]);
        norm += t[i] * t[i];
    }
    vdit_run_release(run, mark);
    return sqrt(error) / (norm > 0 ? sqrt(norm) : 1);
}

static int same_shape(const vdit_tensor *a, const vdit_tensor *b)
{
    return a->rank == b->rank &&
           memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) == 0;
}

/* A NaN breaks every limit. */
static int breaks(const fixture *f, double ours, double theirs)
{
    if (f->half)
        return !(ours <= RATIO_LIMIT_HALF * theirs);
    return !(ours <= RATIO_LIMIT * theirs && ours <= DISTANCE_LIMIT);
}

static void note(fixture *f, const char *name, double ours, double theirs)
{
    double ratio = theirs > 0 ? ours / theirs : ours > 0 ? HUGE_VAL : 1;

    f->compared++;
    f->log_ratios += ratio > 0 ? log(ratio) : 0;
    if (!(ours < f->worst)) {
        f->worst = ours;
        snprintf(f->worst_name, sizeof f->worst_name, "%s", name);
    }
    if (!(ratio < f->worst_ratio)) {
        f->worst_ratio = ratio;
        snprintf(f->worst_ratio_name, sizeof f->worst_ratio_name, "%s", name);
    }
    if (breaks(f, ours, theirs))
        f->beyond++;
    if (list || breaks(f, ours, theirs))
        printf("%s: %s: %.2e, the other's own %.2e, ratio %.2f%s\n", f->path, name, ours, theirs,
               ratio, breaks(f, ours, theirs) ? ", beyond the limit" : "");
}

/* Called with each activation of our run. */
static vdit_status compare(void *state, const char *name, const vdit_tensor *ours)
{
    fixture *f = state;
    const vdit_tensor *truth = find(f, "f64", name);
    const vdit_tensor *theirs = find(f, f->half ? "bf16" : "f32", name);
    char found[128], wanted[128];

    if (truth == NULL || theirs == NULL)
        return VDIT_OK; /* a name of ours alone: an operand of attention */
    json_object_set_new(f->seen, name, json_true());
    if (same_shape(ours, truth)) {
        note(f, name, distance(f->run, ours, truth), distance(f->run, theirs, truth));
        return VDIT_OK;
    }
    printf("%s: %s has shape %s, expected %s\n", f->path, name,
           vdit_tensor_shape_text(found, sizeof found, ours),
           vdit_tensor_shape_text(wanted, sizeof wanted, truth));
    f->beyond++;
    return VDIT_OK;
}

/* Returns: the network of the case, with the weights that its seed draws. */
static vdit_model *make_model(fixture *f)
{
    char *settings[SETTINGS_MAX], *value;
    size_t count = 0;
    vdit_model *model = NULL;
    vdit_dtype dtype = f->half ? VDIT_BF16 : VDIT_F32;
    json_t *setting;
    const char *key;

    json_object_foreach(json_object_get(f->of, "config"), key, setting)
    {
        value = json_dumps(setting, JSON_ENCODE_ANY);
        settings[count] = vdit_run_alloc(f->run, strlen(key) + strlen(value) + 2, 1);
        program_check(f->run);
        sprintf(settings[count++], "%s=%s", key, value);
        free(value);
    }
    vdit_model_preset(f->run, &model, json_string_value(json_object_get(f->of, "family")),
                      json_string_value(json_object_get(f->of, "preset")),
                      (const char *const *)settings, count);
    if (vdit_run_status(f->run) == VDIT_OK)
        vdit_model_draw(f->run, model, (uint64_t)json_integer_value(json_object_get(f->of, "seed")),
                        dtype);
    program_check(f->run);
    return model;
}

static void run_model(fixture *f, const vdit_model *model)
{
    vdit_tensor output;
    const vdit_tensor *expected = find(f, "f64", "output");
    vdit_forward call;

    vdit_forward_init(&call);
    call.latents = find(f, "in", "latents");
    call.timestep = find(f, "in", "timestep");
    call.text = find(f, "in", "text");
    call.text_mask = find(f, "in", "text_mask");
    call.pooled = find(f, "in", "pooled");
    call.guidance = find(f, "in", "guidance");
    call.without_rotary = !json_is_true(json_object_get(f->of, "rotary"));
    call.dtype = f->half ? VDIT_BF16 : VDIT_F32;
    call.trace = compare;
    call.trace_state = f;
    vdit_tensor_new(f->run, &output, call.dtype, expected->rank, expected->shape);
    call.output = &output;
    vdit_model_forward(f->run, model, &call);
    program_check(f->run);
    compare(f, "output", &output);
}

/* Returns: the number of activations of the fixture that our run did not have. */
static size_t missing(const fixture *f)
{
    size_t i, count = 0;
    json_t *name;

    json_array_foreach(f->order, i,
                       name) if (json_object_get(f->seen, json_string_value(name)) == NULL)
    {
        printf("%s: %s is missing\n", f->path, json_string_value(name));
        count++;
    }
    return count;
}

/* Returns: 1 if all is within the limits. */
static int hold(const char *path)
{
    fixture f = {.run = vdit_run_new(), .path = path, .seen = json_object()};
    vdit_model *model;
    int good;

    vdit_file_open(f.run, &f.file, path);
    program_check(f.run);
    f.of = json_loads(vdit_file_meta(f.file, "case"), 0, NULL);
    f.order = json_loads(vdit_file_meta(f.file, "order"), 0, NULL);
    f.half = strcmp(json_string_value(json_object_get(f.of, "dtype")), "bf16") == 0;
    model = make_model(&f);
    run_model(&f, model);
    good = missing(&f) == 0 && f.beyond == 0 && f.compared > 0 && (!f.half || f.log_ratios <= 0);
    printf("| %s | %zu | %.1e | `%s` | %.2f | %.2f | `%s` |\n",
           json_string_value(json_object_get(f.of, "name")), f.compared, f.worst, f.worst_name,
           exp(f.log_ratios / (double)f.compared), f.worst_ratio, f.worst_ratio_name);
    vdit_model_close(model);
    json_decref(f.of);
    json_decref(f.order);
    json_decref(f.seen);
    vdit_file_close(f.file);
    vdit_run_free(f.run);
    return good;
}

int main(int argc, char **argv)
{
    char **operands;
    int count = program_parse(&self, argc, argv, &operands), good = 0;

    printf("| case | activations | largest distance | at | mean ratio | largest ratio | at |\n"
           "|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < count; i++)
        good += hold(operands[i]);
    return program_finish(good == count && count > 0 ? 0 : 1);
}
