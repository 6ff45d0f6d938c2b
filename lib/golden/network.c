/* network.c - recipes of networks: reading them, and running a case. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "file/json.h"
#include "golden/case.h"
#include "golden/text.h"

#define FORMAT       "vdit-networks/1"
#define MOST_CASES   1000
#define EXTENT_LIMIT 65536.0 /* of a batch, a video or a text: cases are small */

int vdit_network_recipe_is(const char *path)
{
    vdit_run *run = vdit_run_new();
    json_t *root = run != NULL ? vdit_json_load(run, path) : NULL;
    const char *format = json_string_value(json_object_get(root, "format"));
    int is = format != NULL && strcmp(format, FORMAT) == 0;

    json_decref(root);
    vdit_run_free(run);
    return is;
}

/* What is being read, for messages. */
typedef struct reader {
    vdit_run *run;
    const char *path;
    size_t place; /* of the case */
    json_t *object;
    size_t known; /* keys that were asked for and are there */
} reader;

static json_t *get(reader *r, const char *key)
{
    json_t *value = json_object_get(r->object, key);

    r->known += value != NULL;
    return value;
}

static void expect(reader *r, int ok, const char *key, const char *what)
{
    if (!ok)
        vdit_run_fail(r->run, VDIT_ERR_FORMAT, "%s: case %zu: \"%s\": expected %s", r->path,
                      r->place + 1, key, what);
}

static const char *read_text(reader *r, const char *key)
{
    const char *text = json_string_value(get(r, key));

    expect(r, text != NULL, key, "a text");
    return text != NULL ? vdit_text_copy(r->run, text) : NULL;
}

static vdit_dtype read_dtype(reader *r, const char *key)
{
    const char *name = json_string_value(get(r, key));
    vdit_dtype dtype = VDIT_F32;

    expect(r,
           name != NULL && vdit_dtype_find(&dtype, name) &&
               (dtype == VDIT_F32 || dtype == VDIT_BF16 || dtype == VDIT_F16),
           key, "f32, bf16 or f16");
    return dtype;
}

static size_t read_size(reader *r, const char *key)
{
    json_t *value = get(r, key);
    double number = json_is_integer(value) ? (double)json_integer_value(value) : 0;

    expect(r, number >= 1 && number <= EXTENT_LIMIT, key, "a whole number from 1 to 65536");
    return vdit_run_status(r->run) == VDIT_OK ? (size_t)number : 1;
}

/* Returns: numbers[count] in the run's memory; NULL if the key is missing. */
static double *read_numbers(reader *r, const char *key, size_t count)
{
    json_t *list = get(r, key);
    double *numbers;

    if (list == NULL)
        return NULL;
    numbers = vdit_run_alloc(r->run, count, sizeof *numbers);
    expect(r, json_array_size(list) == count, key, "a number for each of the batch");
    for (size_t i = 0; vdit_run_status(r->run) == VDIT_OK && i < count; i++) {
        numbers[i] = json_number_value(json_array_get(list, i));
        expect(r, json_is_number(json_array_get(list, i)) && fabs(numbers[i]) <= 1e6, key,
               "numbers up to 1e6");
    }
    return numbers;
}

static size_t *read_valid(reader *r, const vdit_extents *extents)
{
    double *numbers = read_numbers(r, "valid", extents->batch);
    size_t *valid;

    if (numbers == NULL || vdit_run_status(r->run) != VDIT_OK)
        return NULL;
    valid = vdit_run_alloc(r->run, extents->batch, sizeof *valid);
    for (size_t i = 0; valid != NULL && i < extents->batch; i++) {
        expect(r, numbers[i] >= 0 && numbers[i] <= (double)extents->text, "valid",
               "rows of the text");
        valid[i] = (size_t)fabs(numbers[i]);
    }
    return valid;
}

/* "settings": {"num_layers": 3} as KEY=VALUE. */
static void read_settings(reader *r, vdit_network_case *c)
{
    json_t *object = get(r, "settings"), *value;
    const char *key;

    expect(r, object == NULL || json_is_object(object), "settings", "an object");
    if (vdit_run_status(r->run) != VDIT_OK)
        return;
    c->settings = vdit_run_alloc(r->run, json_object_size(object), sizeof *c->settings);
    json_object_foreach(object, key, value)
    {
        char *text = json_dumps(value, JSON_ENCODE_ANY);
        vdit_text setting = {.run = r->run};

        expect(r, text != NULL && strlen(text) + strlen(key) < 400, "settings", "short values");
        if (vdit_run_status(r->run) == VDIT_OK &&
            vdit_text_print(&setting, "%s=%s", key, text) == VDIT_OK)
            c->settings[c->setting_count++] = setting.bytes;
        free(text);
    }
}

static void read_case(reader *r, vdit_network_case *c)
{
    c->name = read_text(r, "name");
    expect(r, c->name != NULL && vdit_name_is_safe(c->name), "name",
           "letters, digits, '.', '_' or '-'");
    c->family = read_text(r, "family");
    c->size = read_text(r, "size");
    read_settings(r, c);
    c->seed = read_size(r, "seed");
    c->weights = read_dtype(r, "weights");
    c->dtype = read_dtype(r, "dtype");
    c->extents.batch = read_size(r, "batch");
    c->extents.frames = read_size(r, "frames");
    c->extents.height = read_size(r, "height");
    c->extents.width = read_size(r, "width");
    c->extents.text = read_size(r, "text");
    c->timestep = read_numbers(r, "timestep", c->extents.batch);
    c->guidance = read_numbers(r, "guidance", c->extents.batch);
    c->valid = read_valid(r, &c->extents);
    expect(r, c->timestep != NULL, "timestep", "a number for each of the batch");
    expect(r, r->known == json_object_size(r->object), "name", "no other keys than documented");
}

static void check_names(const reader *r, const vdit_network_recipe *recipe)
{
    for (size_t i = 0; i < recipe->case_count; i++)
        for (size_t n = 0; n < i; n++)
            if (strcmp(recipe->cases[i].name, recipe->cases[n].name) == 0)
                vdit_run_fail(r->run, VDIT_ERR_FORMAT, "%s: two cases are called %s", r->path,
                              recipe->cases[i].name);
}

vdit_status vdit_network_recipe_load(vdit_run *run, vdit_network_recipe *recipe, const char *path)
{
    json_t *root = vdit_json_load(run, path), *cases = json_object_get(root, "cases");
    const char *format = json_string_value(json_object_get(root, "format"));
    reader r = {.run = run, .path = path, .object = root};
    vdit_network_recipe made = {0};

    if (root != NULL && (format == NULL || strcmp(format, FORMAT) != 0))
        vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: expected \"format\": \"%s\"", path, FORMAT);
    made.case_count = json_array_size(cases);
    if (root != NULL && (made.case_count == 0 || made.case_count > MOST_CASES))
        vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: \"cases\": expected 1 to %d", path, MOST_CASES);
    made.cases = vdit_run_alloc(run, made.case_count, sizeof *made.cases);
    if (vdit_run_status(run) == VDIT_OK) {
        memset(made.cases, 0, made.case_count * sizeof *made.cases);
        made.name = read_text(&r, "name");
        made.about = read_text(&r, "about");
    }
    for (r.place = 0; vdit_run_status(run) == VDIT_OK && r.place < made.case_count; r.place++) {
        r.object = json_array_get(cases, r.place);
        r.known = 0;
        read_case(&r, &made.cases[r.place]);
    }
    if (vdit_run_status(run) == VDIT_OK)
        check_names(&r, &made);
    json_decref(root);
    if (vdit_run_status(run) == VDIT_OK)
        *recipe = made;
    return vdit_run_status(run);
}

/* Out: t, f32 [batch], of the case's numbers. Returns: t, or NULL without numbers. */
static const vdit_tensor *numbers(vdit_run *run, vdit_tensor *t, const double *values, size_t batch)
{
    if (values == NULL || vdit_tensor_new(run, t, VDIT_F32, 1, &batch) != VDIT_OK)
        return NULL;
    for (size_t i = 0; i < batch; i++)
        vdit_store_f64((float *)t->data + i, VDIT_F32, values[i]);
    return t;
}

/* Out: t, bool [batch, text], 1 for the first valid rows. */
static const vdit_tensor *mask(vdit_run *run, vdit_tensor *t, const vdit_network_case *c)
{
    size_t shape[] = {c->extents.batch, c->extents.text};

    if (c->valid == NULL || vdit_tensor_new(run, t, VDIT_BOOL, 2, shape) != VDIT_OK)
        return NULL;
    for (size_t b = 0; b < shape[0]; b++)
        for (size_t i = 0; i < shape[1]; i++)
            ((unsigned char *)t->data)[b * shape[1] + i] = i < c->valid[b];
    return t;
}

/* The tensors of a call. */
typedef struct call_tensors {
    vdit_model_inputs drawn;
    vdit_tensor timestep, text_mask, guidance, output;
} call_tensors;

/* Out: call and its tensors, in the run's memory: what the case says, and drawn what it does not. */
static void prepare(vdit_run *run, const vdit_network_case *c, const vdit_model *model,
                    vdit_forward *call, call_tensors *t)
{
    vdit_forward_init(call);
    if (vdit_inputs_draw(run, &t->drawn, model, &c->extents, c->seed) != VDIT_OK)
        return;
    call->latents = &t->drawn.latents;
    call->text = &t->drawn.text;
    call->pooled = t->drawn.pooled.rank > 0 ? &t->drawn.pooled : NULL;
    call->timestep = numbers(run, &t->timestep, c->timestep, c->extents.batch);
    call->guidance = numbers(run, &t->guidance, c->guidance, c->extents.batch);
    call->text_mask = mask(run, &t->text_mask, c);
    call->dtype = c->dtype;
    vdit_tensor_new(run, &t->output, c->dtype, t->drawn.output.rank, t->drawn.output.shape);
    call->output = &t->output;
}

static void tell(vdit_trace_fn *trace, void *state, const char *name, const vdit_tensor *t)
{
    if (t != NULL)
        trace(state, name, t);
}

static void run_case(vdit_run *run, const vdit_network_case *c, const vdit_model *model,
                     vdit_trace_fn *trace, void *state)
{
    call_tensors tensors;
    vdit_forward call;

    prepare(run, c, model, &call, &tensors);
    call.trace = trace;
    call.trace_state = state;
    if (vdit_run_status(run) != VDIT_OK)
        return;
    tell(trace, state, "in/latents", call.latents);
    tell(trace, state, "in/text", call.text);
    tell(trace, state, "in/pooled", call.pooled);
    if (vdit_model_forward(run, model, &call) == VDIT_OK)
        trace(state, "output", call.output);
}

vdit_status vdit_network_case_run(vdit_run *run, const vdit_network_case *c, vdit_trace_fn *trace,
                                  void *state)
{
    size_t mark = vdit_run_mark(run);
    vdit_model *model = NULL;

    if (vdit_model_preset(run, &model, c->family, c->size, c->settings, c->setting_count) ==
            VDIT_OK &&
        vdit_model_draw(run, model, c->seed, c->weights) == VDIT_OK)
        run_case(run, c, model, trace, state);
    vdit_model_close(model);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
