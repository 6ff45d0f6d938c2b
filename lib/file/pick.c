/* pick.c - one tensor by the text "FILE" or "FILE:NAME". */
#include "config.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "file/internal.h"

/* How many tensors a message lists. */
#define LISTED 12

/* Out: text, what the file holds: the first names with dtypes and shapes, cut to size bytes. */
static char *list_tensors(char *text, size_t size, const vdit_file *file)
{
    size_t count = vdit_file_count(file), used = 0;
    char shape[128];

    text[0] = '\0';
    for (size_t i = 0; i < count && i < LISTED && used < size; i++) {
        const vdit_tensor *t = vdit_file_tensor(file, i);

        used += (size_t)snprintf(text + used, size - used, "%s\"%.60s\" %s %s", i ? ", " : "",
                                 vdit_file_name(file, i), vdit_dtype_name(t->dtype),
                                 vdit_tensor_shape_text(shape, sizeof shape, t));
    }
    if (count > LISTED && used < size)
        snprintf(text + used, size - used, ", ...");
    return text;
}

/* Finds the tensor of that name, or with NULL the only one. Returns: NULL with the run failed. */
static const vdit_tensor *choose(vdit_run *run, const vdit_file *file, const char *path,
                                 const char *name)
{
    const vdit_tensor *found = name != NULL ? vdit_file_find(file, name) : NULL;
    size_t count = vdit_file_count(file);
    char list[800];

    if (found != NULL)
        return found;
    if (name == NULL && count == 1)
        return vdit_file_tensor(file, 0);
    list_tensors(list, sizeof list, file);
    if (count == 0)
        vdit_run_fail(run, VDIT_ERR_ARGUMENT, "%s: holds no tensor", path);
    else if (name == NULL)
        vdit_run_fail(run, VDIT_ERR_ARGUMENT,
                      "%s: holds %zu tensors, expected FILE:NAME with one of %s", path, count,
                      list);
    else
        vdit_run_fail(run, VDIT_ERR_ARGUMENT, "%s: no tensor \"%.60s\", expected one of %s", path,
                      name, list);
    return NULL;
}

static int exists(const char *path)
{
    struct stat facts;

    return stat(path, &facts) == 0;
}

/* Splits the copy of spec in place at its last colon, unless it is a path as a whole. */
static const char *split(char *spec)
{
    char *colon = strrchr(spec, ':');

    if (colon == NULL || exists(spec))
        return NULL;
    *colon = '\0';
    return colon + 1;
}

vdit_status vdit_file_pick(vdit_run *run, vdit_file **file, vdit_tensor *tensor, const char *spec)
{
    size_t mark = vdit_run_mark(run);
    char *path = vdit_run_alloc(run, strlen(spec) + 1, 1);
    const vdit_tensor *found = NULL;
    vdit_file *opened = NULL;
    const char *name;

    if (path == NULL)
        return vdit_run_status(run);
    name = split(strcpy(path, spec));
    if (vdit_file_open(run, &opened, path) == VDIT_OK)
        found = choose(run, opened, path, name);
    if (found != NULL) {
        *file = opened;
        *tensor = *found;
    } else {
        vdit_file_close(opened);
    }
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
