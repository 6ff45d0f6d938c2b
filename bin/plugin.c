/* plugin.c - a backend by its name, or from FILE[:NAME] of the command line. */
#include "program.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const vdit_backend *program_plugin(vdit_run *run, const char *spec)
{
    const char *colon = access(spec, F_OK) == 0 ? NULL : strrchr(spec, ':');
    size_t length = colon == NULL ? strlen(spec) : (size_t)(colon - spec);
    char *path = vdit_run_alloc(run, length + 1, 1);
    const vdit_backend *backend;
    vdit_loaded loaded;

    program_check(run);
    memcpy(path, spec, length);
    path[length] = '\0';
    vdit_plugin_load(run, &loaded, path);
    program_check(run);
    backend = vdit_plugin_find(run, &loaded, colon == NULL ? NULL : colon + 1);
    if (backend == NULL)
        program_fail("%s: %s", path, vdit_run_message(run));
    return backend;
}

const vdit_backend *program_backend(vdit_run *run, const char *name, const char *plugin)
{
    const vdit_backend *found, *b;
    char names[256] = "";

    if (plugin != NULL && name != NULL)
        program_fail("--plugin and --backend exclude each other");
    if (plugin != NULL)
        return program_plugin(run, plugin);
    for (size_t i = 0; (b = vdit_backend_at(i)) != NULL; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", b->name);
    }
    found = vdit_backend_find(name != NULL ? name : "reference");
    if (found == NULL)
        program_fail("--backend: '%s' is none of %s", name, names);
    return found;
}
