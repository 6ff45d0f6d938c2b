/* network_manifest.c - the sums of every activation of every case of a recipe of networks. */
#include <config.h>
#include <stdio.h>
#include <string.h>
#include "base/internal.h"
#include "file/json.h"
#include "file/sha256.h"
#include "golden/corpus.h"

#define FORMAT "vdit-networks-manifest/1"

/* Writes the cases as they are run. */
typedef struct writing {
    vdit_text text;
    size_t count; /* tensors of the case so far */
} writing;

static vdit_status write_tensor(void *state, const char *name, const vdit_tensor *t)
{
    writing *w = state;
    char sum[65];

    vdit_tensor_sha256(sum, t);
    vdit_text_print(&w->text, "%s\n       {\"name\": \"%s\", \"dtype\": \"%s\", \"shape\": [",
                    w->count++ > 0 ? "," : "", name, vdit_dtype_name(t->dtype));
    for (int i = 0; i < t->rank; i++)
        vdit_text_print(&w->text, i ? ", %zu" : "%zu", t->shape[i]);
    return vdit_text_print(&w->text, "], \"sha256\": \"%s\"}", sum);
}

vdit_status vdit_network_recipe_make(vdit_run *run, const vdit_network_recipe *recipe,
                                     const char *path, const vdit_corpus_options *options)
{
    size_t mark = vdit_run_mark(run);
    vdit_run *aside = vdit_run_new_like(run); /* the text outlives the scopes of the cases */
    writing w = {.text = {.run = aside}};

    if (aside == NULL)
        return vdit_run_status(run);
    vdit_text_print(
        &w.text, "{\"format\": \"%s\",\n \"recipe\": \"%s\",\n \"library\": \"%s\",\n \"cases\": [",
        FORMAT, recipe->name, PACKAGE_VERSION);
    for (size_t i = 0; vdit_run_status(run) == VDIT_OK && i < recipe->case_count; i++) {
        const vdit_network_case *c = &recipe->cases[i];

        vdit_corpus_report(options, VDIT_CASE_BEGIN, c->name, "");
        vdit_text_print(&w.text, "%s\n    {\"name\": \"%s\", \"tensors\": [", i > 0 ? "," : "",
                        c->name);
        w.count = 0;
        if (vdit_network_case_run(run, c, write_tensor, &w) == VDIT_OK)
            vdit_corpus_report(options, VDIT_CASE_MADE, c->name, "");
        vdit_text_print(&w.text, "]}");
    }
    vdit_text_print(&w.text, "]}\n");
    if (vdit_run_status(aside) != VDIT_OK)
        vdit_run_fail(run, vdit_run_status(aside), "%s", vdit_run_message(aside));
    if (vdit_run_status(run) == VDIT_OK)
        vdit_bytes_write(run, path, w.text.bytes, w.text.size);
    vdit_run_free(aside);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

/* One case against its list of tensors. */
typedef struct comparing {
    json_t *tensors;
    size_t at;
    char difference[700]; /* the first; "" while all hold */
} comparing;

static int same_shape(json_t *shape, const vdit_tensor *t)
{
    int same = json_array_size(shape) == (size_t)t->rank;

    for (int i = 0; same && i < t->rank; i++)
        same = (size_t)json_integer_value(json_array_get(shape, (size_t)i)) == t->shape[i];
    return same;
}

static vdit_status compare(void *state, const char *name, const vdit_tensor *t)
{
    comparing *c = state;
    json_t *listed = json_array_get(c->tensors, c->at++);
    const char *known = json_string_value(json_object_get(listed, "name"));
    const char *dtype = json_string_value(json_object_get(listed, "dtype"));
    const char *expected = json_string_value(json_object_get(listed, "sha256"));
    char sum[65];

    if (c->difference[0] != '\0')
        return VDIT_OK;
    vdit_tensor_sha256(sum, t);
    if (known == NULL || strcmp(known, name) != 0)
        snprintf(c->difference, sizeof c->difference,
                 "activation %zu is %.250s, the manifest has %.250s", c->at, name,
                 known ? known : "nothing");
    else if (dtype == NULL || strcmp(dtype, vdit_dtype_name(t->dtype)) != 0 ||
             !same_shape(json_object_get(listed, "shape"), t))
        snprintf(c->difference, sizeof c->difference,
                 "%.250s: another dtype or shape in the manifest", name);
    else if (expected == NULL || strcmp(expected, sum) != 0)
        snprintf(c->difference, sizeof c->difference,
                 "the first activation that differs is %.250s (%zu of %zu): SHA-256 %.16s... in "
                 "the manifest, %.16s... recomputed",
                 name, c->at, json_array_size(c->tensors), expected ? expected : "nothing", sum);
    return VDIT_OK;
}

static json_t *find_case(json_t *cases, const char *name)
{
    json_t *one;
    size_t i;

    json_array_foreach(cases, i, one)
    {
        const char *known = json_string_value(json_object_get(one, "name"));

        if (known != NULL && strcmp(known, name) == 0)
            return one;
    }
    return NULL;
}

/* Returns: 1 if the case holds. */
static int verify_case(vdit_run *run, const vdit_network_case *c, json_t *cases,
                       const vdit_corpus_options *options)
{
    json_t *listed = find_case(cases, c->name);
    comparing state = {json_object_get(listed, "tensors"), 0, ""};

    vdit_corpus_report(options, VDIT_CASE_BEGIN, c->name, "");
    if (listed == NULL)
        snprintf(state.difference, sizeof state.difference, "the manifest has no such case");
    else if (vdit_network_case_run(run, c, compare, &state) == VDIT_OK &&
             state.at < json_array_size(state.tensors) && state.difference[0] == '\0')
        snprintf(state.difference, sizeof state.difference, "%zu activations, the manifest has %zu",
                 state.at, json_array_size(state.tensors));
    if (vdit_run_status(run) == VDIT_OK)
        vdit_corpus_report(options, state.difference[0] ? VDIT_CASE_DIFFERS : VDIT_CASE_HOLDS,
                           c->name, state.difference);
    return state.difference[0] == '\0';
}

/* Cases that only the manifest has. Returns: their number. */
static size_t find_extra(const vdit_network_recipe *recipe, json_t *cases,
                         const vdit_corpus_options *options)
{
    size_t count = 0, i;
    json_t *one;

    json_array_foreach(cases, i, one)
    {
        const char *name = json_string_value(json_object_get(one, "name"));
        size_t n = 0;

        while (n < recipe->case_count && (name == NULL || strcmp(recipe->cases[n].name, name) != 0))
            n++;
        if (n < recipe->case_count)
            continue;
        vdit_corpus_report(options, VDIT_CASE_EXTRA, name ? name : "(no name)",
                           "in the manifest, but no case of the recipe");
        count++;
    }
    return count;
}

vdit_status vdit_network_recipe_verify(vdit_run *run, size_t *failures,
                                       const vdit_network_recipe *recipe, const char *manifest,
                                       const vdit_corpus_options *options)
{
    json_t *root = vdit_json_load(run, manifest), *cases = json_object_get(root, "cases");
    const char *format = json_string_value(json_object_get(root, "format"));
    const char **names = vdit_run_alloc(run, recipe->case_count, sizeof *names);
    size_t count = 0;

    if (root != NULL && (format == NULL || strcmp(format, FORMAT) != 0))
        vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: expected \"format\": \"%s\"", manifest, FORMAT);
    for (size_t i = 0; vdit_run_status(run) == VDIT_OK && i < recipe->case_count; i++)
        names[i] = recipe->cases[i].name;
    vdit_corpus_check_only(run, options, names, recipe->case_count);
    for (size_t i = 0; vdit_run_status(run) == VDIT_OK && i < recipe->case_count; i++)
        if (vdit_corpus_wants(options, names[i]))
            count += !verify_case(run, &recipe->cases[i], cases, options);
    if (vdit_run_status(run) == VDIT_OK && (options == NULL || options->only == NULL))
        count += find_extra(recipe, cases, options);
    json_decref(root);
    if (vdit_run_status(run) == VDIT_OK)
        *failures = count;
    return vdit_run_status(run);
}
