/* manifest.c - reading a manifest, and finding things in it. */
#include <stdio.h>
#include <string.h>
#include "file/json.h"
#include "golden/case.h"
#include "golden/manifest.h"

const vdit_manifest_case *vdit_manifest_find(const vdit_manifest *manifest, const char *name)
{
    for (size_t i = 0; i < manifest->case_count; i++)
        if (strcmp(manifest->cases[i].params.name, name) == 0)
            return &manifest->cases[i];
    return NULL;
}

const vdit_manifest_tensor *vdit_manifest_tensor_find(const vdit_manifest_case *c, const char *name)
{
    for (size_t i = 0; i < c->tensor_count; i++)
        if (strcmp(c->tensors[i].name, name) == 0)
            return &c->tensors[i];
    return NULL;
}

int vdit_manifest_tensor_equal(const vdit_manifest_tensor *a, const vdit_manifest_tensor *b)
{
    return strcmp(a->name, b->name) == 0 && a->is_output == b->is_output && a->dtype == b->dtype &&
           a->rank == b->rank && memcmp(a->shape, b->shape, sizeof a->shape) == 0 &&
           strcmp(a->sha256, b->sha256) == 0;
}

static vdit_status read_shape(vdit_run *run, vdit_manifest_tensor *t, json_t *shape,
                              const char *where)
{
    if (!json_is_array(shape) || json_array_size(shape) > VDIT_MAX_RANK)
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: tensor \"%s\": \"shape\": expected a list of up to %d extents",
                             where, t->name, VDIT_MAX_RANK);
    t->rank = (int)json_array_size(shape);
    for (int i = 0; i < t->rank; i++) {
        json_int_t extent = json_integer_value(json_array_get(shape, (size_t)i));
        if (!json_is_integer(json_array_get(shape, (size_t)i)) || extent < 0 ||
            (double)extent > VDIT_CASE_EXTENT)
            return vdit_run_fail(run, VDIT_ERR_FORMAT,
                                 "%s: tensor \"%s\": \"shape\": expected extents up to %.0f", where,
                                 t->name, VDIT_CASE_EXTENT);
        t->shape[i] = (size_t)extent;
    }
    return VDIT_OK;
}

static vdit_status read_tensor(vdit_run *run, vdit_manifest_tensor *t, const char *name,
                               json_t *object, const char *where)
{
    const char *file = json_string_value(json_object_get(object, "file"));
    const char *dtype = json_string_value(json_object_get(object, "dtype"));
    const char *sum = json_string_value(json_object_get(object, "sha256"));

    memset(t, 0, sizeof *t);
    if (!vdit_name_is_safe(name) || strlen(name) >= sizeof t->name)
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: tensor \"%.80s\": expected a name of up to %zu letters, digits, "
                             "'.', '_' or '-'",
                             where, name, sizeof t->name - 1);
    strcpy(t->name, name);
    if (file == NULL || (strcmp(file, "in") != 0 && strcmp(file, "out") != 0))
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: tensor \"%s\": \"file\": expected in or out", where, name);
    if (dtype == NULL || !vdit_dtype_find(&t->dtype, dtype))
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: tensor \"%s\": \"dtype\": unknown", where,
                             name);
    if (sum == NULL || strlen(sum) != 64 || strspn(sum, "0123456789abcdef") != 64)
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: tensor \"%s\": \"sha256\": expected 64 hexadecimal digits", where,
                             name);
    t->is_output = strcmp(file, "out") == 0;
    memcpy(t->sha256, sum, sizeof t->sha256);
    return read_shape(run, t, json_object_get(object, "shape"), where);
}

static vdit_status read_tensors(vdit_run *run, vdit_manifest_case *c, json_t *tensors,
                                const char *where)
{
    const size_t room = sizeof c->tensors / sizeof *c->tensors;
    const char *name;
    json_t *value;

    if (json_object_size(tensors) == 0 || json_object_size(tensors) > room)
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: \"tensors\": expected 1 to %zu", where,
                             room);
    json_object_foreach(tensors, name, value)
    {
        if (read_tensor(run, &c->tensors[c->tensor_count], name, value, where) != VDIT_OK)
            return vdit_run_status(run);
        c->tensor_count++;
    }
    return VDIT_OK;
}

/* Out: text, a string of the object that is safe as a file name. */
static vdit_status read_name(vdit_run *run, const char **text, json_t *object, const char *key,
                             const char *where)
{
    const char *value = json_string_value(json_object_get(object, key));

    if (value == NULL || !vdit_name_is_safe(value))
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: \"%s\": expected letters, digits, '.', '_' or '-'", where, key);
    *text = vdit_text_copy(run, value);
    return vdit_run_status(run);
}

static vdit_status read_case(vdit_run *run, vdit_manifest_case *c, json_t *object,
                             const char *where)
{
    static const char *const ignored[] = {"name", "in", "out", "tensors", NULL};

    memset(c, 0, sizeof *c);
    if (vdit_case_read(run, &c->params, object, where, ignored) != VDIT_OK ||
        read_name(run, &c->params.name, object, "name", where) != VDIT_OK ||
        read_name(run, &c->in, object, "in", where) != VDIT_OK ||
        read_name(run, &c->out, object, "out", where) != VDIT_OK)
        return vdit_run_status(run);
    return read_tensors(run, c, json_object_get(object, "tensors"), where);
}

static vdit_status read_head(vdit_run *run, vdit_manifest *m, json_t *root, const char *path)
{
    const char *format = json_string_value(json_object_get(root, "format"));
    const char *recipe = json_string_value(json_object_get(root, "recipe"));
    const char *library = json_string_value(json_object_get(root, "library"));
    json_t *count = json_object_get(root, "case_count"), *cases = json_object_get(root, "cases");

    if (format == NULL || strcmp(format, VDIT_MANIFEST_FORMAT) != 0)
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: expected \"format\": \"%s\"", path,
                             VDIT_MANIFEST_FORMAT);
    if (recipe == NULL || library == NULL)
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: \"recipe\" or \"library\" is missing",
                             path);
    if (!json_is_array(cases) || !json_is_integer(count) ||
        json_integer_value(count) != (json_int_t)json_array_size(cases))
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: \"case_count\" is not the number of cases, %zu", path,
                             json_array_size(cases));
    m->recipe = vdit_text_copy(run, recipe);
    m->library = vdit_text_copy(run, library);
    m->case_count = json_array_size(cases);
    m->cases = vdit_run_alloc(run, m->case_count, sizeof *m->cases);
    return vdit_run_status(run);
}

static vdit_status read_cases(vdit_run *run, vdit_manifest *m, json_t *cases, const char *path)
{
    for (size_t i = 0; i < m->case_count; i++) {
        char where[600];
        snprintf(where, sizeof where, "%.500s: case %zu", path, i + 1);
        if (read_case(run, &m->cases[i], json_array_get(cases, i), where) != VDIT_OK)
            return vdit_run_status(run);
        for (size_t n = 0; n < i; n++)
            if (strcmp(m->cases[n].params.name, m->cases[i].params.name) == 0)
                return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: two cases are called %s", where,
                                     m->cases[i].params.name);
    }
    return VDIT_OK;
}

vdit_status vdit_manifest_read(vdit_run *run, vdit_manifest *manifest, const char *path)
{
    vdit_manifest made = {0};
    json_t *root = vdit_json_load(run, path);

    if (root != NULL && read_head(run, &made, root, path) == VDIT_OK &&
        read_cases(run, &made, json_object_get(root, "cases"), path) == VDIT_OK)
        *manifest = made;
    json_decref(root);
    return vdit_run_status(run);
}
