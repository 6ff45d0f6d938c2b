/* recipe.c - reading a recipe: the lists of each case expanded, every name unique. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "file/json.h"
#include "golden/case.h"

#define FORMAT     "vdit-recipe/1"
#define MOST_CASES 10000

/* Returns: the number of values of a key that may be a list. */
static size_t list_size(json_t *value)
{
    return json_is_array(value) ? json_array_size(value) : 1;
}

static json_t *list_at(json_t *value, size_t i)
{
    return json_is_array(value) ? json_array_get(value, i) : value;
}

static size_t expanded_count(json_t *object)
{
    return list_size(json_object_get(object, "dtype")) *
           list_size(json_object_get(object, "family"));
}

/* Out: c, the i-th case that an object expands to: dtypes vary fastest. */
static vdit_status expand(vdit_run *run, vdit_case *c, json_t *object, size_t i, const char *where)
{
    static const char *const ignored[] = {"name", NULL};
    json_t *dtypes = json_object_get(object, "dtype"), *label = json_object_get(object, "name");
    json_t *families = json_object_get(object, "family"), *single = json_copy(object);
    size_t dtype_count = list_size(dtypes);

    if (json_is_array(dtypes))
        json_object_set(single, "dtype", list_at(dtypes, i % dtype_count));
    if (json_is_array(families))
        json_object_set(single, "family", list_at(families, i / dtype_count));
    vdit_case_read(run, c, single, where, ignored);
    json_decref(single);
    if (label != NULL && (!json_is_string(label) || !vdit_name_is_safe(json_string_value(label)) ||
                          json_string_length(label) > 64))
        vdit_run_fail(run, VDIT_ERR_FORMAT,
                      "%s: \"name\": expected up to 64 letters, digits, '.', '_' or '-'", where);
    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    return vdit_case_name(run, c, json_string_value(label));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static vdit_status check_names(vdit_run *run, const vdit_recipe *recipe, const char *path)
{
    size_t mark = vdit_run_mark(run);
    const char **names = vdit_run_alloc(run, recipe->case_count, sizeof *names);

    if (names == NULL)
        return vdit_run_status(run);
    for (size_t i = 0; i < recipe->case_count; i++)
        names[i] = recipe->cases[i].name;
    qsort(names, recipe->case_count, sizeof *names, by_name);
    for (size_t i = 1; i < recipe->case_count; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            vdit_run_fail(run, VDIT_ERR_FORMAT,
                          "%s: two cases are called %s: give one of them a \"name\"", path,
                          names[i]);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

/* Out: text, "FILE: case 3 (LABEL)", the label being the operator if the case has no name. */
static void describe(char *text, size_t size, const char *path, size_t i, json_t *object)
{
    const char *label = json_string_value(json_object_get(object, "name"));

    if (label == NULL)
        label = json_string_value(json_object_get(object, "op"));
    snprintf(text, size, "%.500s: case %zu (%.64s)", path, i + 1, label ? label : "no op");
}

static vdit_status read_cases(vdit_run *run, vdit_recipe *recipe, json_t *list, const char *path)
{
    size_t total = 0, done = 0;

    for (size_t i = 0; i < json_array_size(list) && total <= MOST_CASES; i++)
        total += expanded_count(json_array_get(list, i));
    if (total > MOST_CASES)
        return vdit_run_fail(run, VDIT_ERR_LIMIT, "%s: more than %d cases", path, MOST_CASES);
    recipe->cases = vdit_run_alloc(run, total, sizeof *recipe->cases);
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *object = json_array_get(list, i);
        size_t count = expanded_count(object);
        char where[700];
        describe(where, sizeof where, path, i, object);
        for (size_t n = 0; n < count; n++, done++)
            if (vdit_run_status(run) != VDIT_OK ||
                expand(run, &recipe->cases[done], object, n, where) != VDIT_OK)
                return vdit_run_status(run);
    }
    recipe->case_count = done;
    return check_names(run, recipe, path);
}

static vdit_status read_head(vdit_run *run, vdit_recipe *recipe, json_t *root, const char *path)
{
    const char *format = json_string_value(json_object_get(root, "format"));
    const char *name = json_string_value(json_object_get(root, "name"));
    const char *about = json_string_value(json_object_get(root, "about"));

    if (format == NULL || strcmp(format, FORMAT) != 0)
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: expected \"format\": \"%s\"", path, FORMAT);
    if (name == NULL || !vdit_name_is_safe(name))
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: \"name\": expected letters, digits, '.', '_' or '-'", path);
    if (about == NULL || json_object_size(root) != 4)
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: expected the keys format, name, about and cases", path);
    if (json_array_size(json_object_get(root, "cases")) == 0)
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: \"cases\": expected a list", path);
    recipe->name = vdit_text_copy(run, name);
    recipe->about = vdit_text_copy(run, about);
    return vdit_run_status(run);
}

vdit_status vdit_recipe_load(vdit_run *run, vdit_recipe *recipe, const char *path)
{
    vdit_recipe made = {0};
    json_t *root = vdit_json_load(run, path);

    if (root != NULL && read_head(run, &made, root, path) == VDIT_OK &&
        read_cases(run, &made, json_object_get(root, "cases"), path) == VDIT_OK)
        *recipe = made;
    json_decref(root);
    return vdit_run_status(run);
}
