/* trace.c - a call's activations in a file, with what noise they may have: vdit-trace(5). */
#include <config.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/internal.h"
#include "file/dense.h"
#include "file/safetensors_stream.h"
#include "model/family.h"

#define PIECE 8192 /* elements that are compared at a time */

/* One activation of the file. */
typedef struct entry {
    struct entry *next;
    char *name;
    vdit_dtype dtype;
    uint64_t at; /* in the data */
    double squares,
        count;   /* over the shadows: sum of the squared distances, and how many there are */
    double peak; /* the largest distance */
} entry;

typedef struct trace {
    vdit_run *memory; /* of the file and the entries: the network's scopes do not reach it */
    const vdit_forward *call;
    const vdit_trace_request *request;
    vdit_safetensors_stream stream;
    entry *first, **last;
    entry *expected; /* of a shadow: the next */
} trace;

void vdit_trace_request_init(vdit_trace_request *request, const char *path)
{
    memset(request, 0, sizeof *request);
    request->size = sizeof *request;
    request->path = path;
    request->shadows = 3;
}

static int is_wanted(const vdit_trace_request *request, const char *name)
{
    for (size_t i = 0; i < request->pattern_count; i++)
        if (vdit_name_matches(request->patterns[i], name))
            return 1;
    return request->pattern_count == 0;
}

double vdit_trace_bytes(const vdit_model_survey *survey, const vdit_trace_request *request)
{
    double bytes = 0;

    for (size_t i = 0; i < survey->activation_count; i++) {
        const vdit_name_info *info = &survey->activations[i];

        if (is_wanted(request, info->name))
            bytes += (double)vdit_tensor_count(&info->tensor) *
                     (double)vdit_dtype_size(info->tensor.dtype);
    }
    return bytes;
}

/* Returns: room for the header: every activation, and its name and numbers once more in the metadata. */
static size_t header_room(const vdit_model_survey *survey, const vdit_trace_request *request)
{
    size_t room = 4096;

    for (size_t i = 0; i < survey->activation_count; i++)
        if (is_wanted(request, survey->activations[i].name))
            room += 2 * vdit_safetensors_room(survey->activations[i].name,
                                              survey->activations[i].tensor.rank);
    return room;
}

/* Fails if a pattern fits no name. */
static void check_patterns(vdit_run *run, const vdit_model_survey *survey,
                           const vdit_trace_request *request)
{
    for (size_t n = 0; n < request->pattern_count; n++) {
        size_t i = 0;

        while (i < survey->activation_count &&
               !vdit_name_matches(request->patterns[n], survey->activations[i].name))
            i++;
        if (i == survey->activation_count)
            vdit_run_fail(run, VDIT_ERR_ARGUMENT, "no activation has a name that fits '%s'",
                          request->patterns[n]);
    }
}

/* Returns: how many entries have this name, which a module that runs twice gives twice. */
static size_t count_named(const trace *t, const char *name)
{
    size_t length = strlen(name), count = 0;

    for (const entry *e = t->first; e != NULL; e = e->next)
        count += strncmp(e->name, name, length) == 0 &&
                 (e->name[length] == '\0' || e->name[length] == '#');
    return count;
}

/* Makes the entry of an activation; the second of one name is "name#2". */
static entry *new_entry(trace *t, const char *name, vdit_dtype dtype)
{
    size_t size = strlen(name) + 24, before = count_named(t, name);
    entry *made = vdit_run_alloc(t->memory, 1, sizeof *made);
    char *copy = vdit_run_alloc(t->memory, size, 1);

    if (copy == NULL)
        return NULL;
    snprintf(copy, size, before > 0 ? "%s#%zu" : "%s", name, before + 1);
    *made = (entry){.name = copy, .dtype = dtype};
    *t->last = made;
    t->last = &made->next;
    return made;
}

/* Hears the activations of the run itself. */
static vdit_status write_one(void *state, const char *name, const vdit_tensor *activation)
{
    trace *t = state;
    vdit_status status = VDIT_OK;
    entry *made;

    if (t->call->trace != NULL)
        status = t->call->trace(t->call->trace_state, name, activation);
    if (status != VDIT_OK || !is_wanted(t->request, name))
        return status;
    made = new_entry(t, name, activation->dtype);
    if (made != NULL)
        vdit_safetensors_add(&t->stream, made->name, activation, &made->at);
    return vdit_run_status(t->memory);
}

/* Adds the distances of n elements, as they stand in the file, to those of an entry. */
static void add_distances(entry *e, void *clean, void *moved, size_t n)
{
    size_t size = vdit_dtype_size(e->dtype);

    vdit_bytes_to_host(clean, n, size, 0);
    vdit_bytes_to_host(moved, n, size, 0);
    for (size_t i = 0; i < n; i++) {
        double x, y, distance;

        vdit_load_f64(&x, 1, (char *)clean + i * size, 1, e->dtype);
        vdit_load_f64(&y, 1, (char *)moved + i * size, 1, e->dtype);
        distance = fabs(x - y);
        if (!isfinite(distance))
            continue;
        e->squares += distance * distance;
        e->count++;
        e->peak = distance > e->peak ? distance : e->peak;
    }
}

/* Hears the activations of a shadow, in the same order. */
static vdit_status compare_one(void *state, const char *name, const vdit_tensor *activation)
{
    trace *t = state;
    entry *e = t->expected;
    char clean[8 * PIECE], moved[8 * PIECE];
    size_t got, size = vdit_dtype_size(activation->dtype);
    vdit_dense stream = vdit_dense_start(activation);
    uint64_t at;

    if (!is_wanted(t->request, name))
        return VDIT_OK;
    if (e == NULL || strncmp(e->name, name, strlen(name)) != 0 || e->dtype != activation->dtype)
        return vdit_run_fail(t->memory, VDIT_ERR_ARGUMENT, "%s: another run has it elsewhere",
                             name);
    t->expected = e->next;
    at = e->at;
    while ((got = vdit_dense_read(&stream, moved, PIECE * size)) > 0) {
        if (vdit_safetensors_again(&t->stream, at, clean, got) != VDIT_OK)
            return vdit_run_status(t->memory);
        add_distances(e, clean, moved, got / size);
        at += got;
    }
    return VDIT_OK;
}

/* Runs the shadows, each like the call but for the noise; nobody but the trace hears of them. */
static void run_shadows(vdit_run *run, trace *t, const vdit_model *model)
{
    size_t mark = vdit_run_mark(run);
    vdit_forward call = *t->call;
    vdit_tensor output;

    if (t->request->noise == NULL || vdit_run_status(run) != VDIT_OK ||
        vdit_tensor_new(run, &output, call.output->dtype, call.output->rank, call.output->shape) !=
            VDIT_OK)
        return;
    call.output = &output;
    call.trace = compare_one;
    call.trace_state = t;
    call.meters = NULL;
    call.site_edits = NULL;
    call.noise = t->request->noise;
    for (size_t i = 0; i < t->request->shadows; i++) {
        t->expected = t->first;
        call.noise_seed = (uint32_t)i;
        if (vdit_model_forward(run, model, &call) != VDIT_OK)
            break;
    }
    vdit_run_release(run, mark);
}

/* Returns: the text of a JSON value, which it takes, in the trace's memory; NULL with its run failed. */
static char *text_of(trace *t, json_t *value)
{
    const size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(9);
    size_t size = json_dumpb(value, NULL, 0, flags);
    char *text = vdit_run_alloc(t->memory, size + 1, 1);

    if (text != NULL && (size == 0 || json_dumpb(value, text, size, flags) != size))
        vdit_run_fail(t->memory, VDIT_ERR_MEMORY, "no memory for the header");
    if (text != NULL)
        text[size] = '\0';
    json_decref(value);
    return text;
}

/* Returns: the names in the order of execution. */
static char *order_text(trace *t)
{
    json_t *order = json_array();

    for (const entry *e = t->first; e != NULL; e = e->next)
        json_array_append_new(order, json_string(e->name));
    return text_of(t, order);
}

/* Returns: {"NAME": [sigma, peak], ...}. */
static char *sigma_text(trace *t)
{
    json_t *all = json_object();

    for (const entry *e = t->first; e != NULL; e = e->next) {
        double sigma = e->count > 0 ? sqrt(e->squares / e->count) : 0;

        json_object_set_new(all, e->name, json_pack("[f,f]", sigma, e->peak));
    }
    return text_of(t, all);
}

/* Puts the file in place, or removes it. */
static void finish(vdit_run *run, trace *t, const vdit_model *model)
{
    const vdit_forward *call = t->call;
    const char *backend = call->backend != NULL ? call->backend->name : "reference";
    vdit_meta meta[9] = {
        {"format", "vdit-trace/1"},     {"library", PACKAGE_NAME " " PACKAGE_VERSION},
        {"model", model->family->name}, {"dtype", vdit_dtype_name(call->dtype)},
        {"backend", backend},           {"order", NULL}};
    size_t count = 6;
    char shadows[24];

    if (vdit_run_status(run) == VDIT_OK)
        meta[5].value = order_text(t);
    else
        vdit_run_fail(t->memory, vdit_run_status(run), "%s", vdit_run_message(run));
    if (t->request->noise != NULL && vdit_run_status(t->memory) == VDIT_OK) {
        snprintf(shadows, sizeof shadows, "%zu", t->request->shadows);
        meta[count++] = (vdit_meta){"noise", t->request->contract};
        meta[count++] = (vdit_meta){"shadows", shadows};
        meta[count++] = (vdit_meta){"sigma", sigma_text(t)};
    }
    if (vdit_safetensors_end(&t->stream, meta, count) != VDIT_OK)
        vdit_run_fail(run, vdit_run_status(t->memory), "%s", vdit_run_message(t->memory));
}

vdit_status vdit_model_trace(vdit_run *run, const vdit_model *model, const vdit_forward *call,
                             const vdit_trace_request *request)
{
    trace t = {.call = call, .request = request, .last = &t.first};
    vdit_forward traced = *call;
    size_t mark = vdit_run_mark(run);
    vdit_model_survey survey;
    vdit_extents extents;

    if (vdit_run_status(run) != VDIT_OK ||
        vdit_forward_check(run, model, call, &extents) != VDIT_OK ||
        vdit_model_survey_of(run, model, &extents, call->dtype, &survey) != VDIT_OK)
        return vdit_run_status(run);
    check_patterns(run, &survey, request);
    t.memory = vdit_run_new_like(run);
    if (t.memory == NULL)
        return vdit_run_status(run);
    vdit_safetensors_begin(t.memory, &t.stream, request->path, header_room(&survey, request));
    if (vdit_run_status(t.memory) != VDIT_OK)
        vdit_run_fail(run, vdit_run_status(t.memory), "%s", vdit_run_message(t.memory));
    vdit_run_release(run, mark);
    traced.trace = write_one;
    traced.trace_state = &t;
    vdit_model_forward(run, model, &traced);
    run_shadows(run, &t, model);
    finish(run, &t, model);
    vdit_run_free(t.memory);
    return vdit_run_status(run);
}

vdit_status vdit_trace_source(void *state, const char *site, unsigned needed, const vdit_tensor **q,
                              const vdit_tensor **k, const vdit_tensor **v)
{
    const vdit_trace_source_state *source = state;
    const vdit_tensor **to[] = {q, k, v};
    char name[VDIT_NET_NAME_MAX + 2];

    for (int i = 0; i < 3; i++) {
        if (!(needed >> i & 1))
            continue;
        snprintf(name, sizeof name, "%s/%c", site, "qkv"[i]);
        *to[i] = vdit_file_find(source->file, name);
        if (*to[i] == NULL)
            return vdit_run_fail(source->run, VDIT_ERR_FORMAT,
                                 "%s: tensor \"%s\" is missing, which the plan takes", source->path,
                                 name);
    }
    return VDIT_OK;
}
