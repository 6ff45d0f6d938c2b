/* plugin.c - backends from a shared object: loading it, and checking what it exports. */
#include "config.h"
#include <stdio.h>
#include <string.h>
#include <vdit/backend.h>
#include "backend/object.h"
#ifdef HAVE_DLOPEN
#include <dlfcn.h>
#endif

#define ENTRY      "vdit_plugin_entry"
#define NAME_BYTES 64   /* of a backend's name with its NUL */
#define PATH_BYTES 4096 /* of a path with its NUL */

typedef const vdit_plugin *entry_fn(void);

/* Returns: 1 for a name that can stand in a command line and in a table. */
static int is_name(const char *name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-";
    size_t length = name == NULL ? 0 : strspn(name, letters);

    return length > 0 && length < NAME_BYTES && name[length] == '\0';
}

/* Returns: the number of the first backend called name, count if there is none. */
static size_t place_of(const vdit_plugin *plugin, const char *name, size_t count)
{
    size_t i = 0;

    while (i < count && strcmp(plugin->backends[i]->name, name) != 0)
        i++;
    return i;
}

static vdit_status check_backend(vdit_run *run, const vdit_plugin *plugin, size_t i,
                                 const char *path)
{
    const vdit_backend *backend = plugin->backends[i];

    if (backend == NULL)
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: backend %zu is NULL", path, i);
    if (backend->size < offsetof(vdit_backend, linear))
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: backend %zu has size %zu; at least %zu was expected", path, i,
                             backend->size, offsetof(vdit_backend, linear));
    if (!is_name(backend->name))
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: backend %zu has no name of letters, digits and \"._+-\"", path,
                             i);
    if (place_of(plugin, backend->name, i) < i)
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: two backends are called %s", path,
                             backend->name);
    return VDIT_OK;
}

/* The version is checked first: of another one nothing else is known. */
static vdit_status check_plugin(vdit_run *run, const vdit_plugin *plugin, const char *path)
{
    if (plugin == NULL)
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: " ENTRY " returned NULL", path);
    if (plugin->abi != VDIT_PLUGIN_ABI)
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: a plugin of ABI %u; this library takes ABI %d", path, plugin->abi,
                             VDIT_PLUGIN_ABI);
    if (plugin->size < sizeof *plugin)
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: vdit_plugin has size %zu; at least %zu was expected", path,
                             plugin->size, sizeof *plugin);
    if (plugin->count == 0 || plugin->backends == NULL)
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: a plugin without backends", path);
    for (size_t i = 0; i < plugin->count && vdit_run_status(run) == VDIT_OK; i++)
        check_backend(run, plugin, i, path);
    return vdit_run_status(run);
}

#ifdef HAVE_DLOPEN
/* Out: loaded->handle. All symbols are looked up now: what is missing is found here, not in a call. */
static vdit_status open_object(vdit_run *run, vdit_loaded *loaded, const char *path)
{
    char here[PATH_BYTES];
    const char *reason;
    int length = snprintf(here, sizeof here, "%s%s", strchr(path, '/') ? "" : "./", path);

    if (length < 0 || (size_t)length >= sizeof here)
        return vdit_run_fail(run, VDIT_ERR_ARGUMENT, "%.64s...: the path is too long", path);
    if (vdit_object_check(run, here) != VDIT_OK)
        return vdit_run_status(run);
    loaded->handle = dlopen(here, RTLD_NOW | RTLD_LOCAL);
    if (loaded->handle != NULL)
        return VDIT_OK;
    reason = dlerror();
    if (reason == NULL)
        reason = "no reason was given";
    if (strncmp(reason, here, (size_t)length) == 0) /* names it already */
        return vdit_run_fail(run, VDIT_ERR_IO, "%s", reason);
    return vdit_run_fail(run, VDIT_ERR_IO, "%s: not loaded: %s", path, reason);
}

/* Out: loaded->plugin, as the object gives it. */
static vdit_status call_entry(vdit_run *run, vdit_loaded *loaded, const char *path)
{
    void *symbol = dlsym(loaded->handle, ENTRY);
    entry_fn *entry;

    if (symbol == NULL)
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: no plugin: it does not export " ENTRY,
                             path);
    /* POSIX makes the two kinds of pointer alike; ISO C has no conversion. */
    memcpy(&entry, &symbol, sizeof entry);
    loaded->plugin = entry();
    return VDIT_OK;
}

void vdit_plugin_close(vdit_loaded *loaded)
{
    if (loaded->handle != NULL)
        dlclose(loaded->handle);
    memset(loaded, 0, sizeof *loaded);
}
#else
static vdit_status open_object(vdit_run *run, vdit_loaded *loaded, const char *path)
{
    (void)loaded;
    return vdit_run_fail(run, VDIT_ERR_UNSUPPORTED, "%s: this build of libvdit loads no plugins",
                         path);
}

static vdit_status call_entry(vdit_run *run, vdit_loaded *loaded, const char *path)
{
    return open_object(run, loaded, path);
}

void vdit_plugin_close(vdit_loaded *loaded)
{
    memset(loaded, 0, sizeof *loaded);
}
#endif

vdit_status vdit_plugin_load(vdit_run *run, vdit_loaded *loaded, const char *path)
{
    vdit_loaded made = {NULL, NULL};

    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    if (open_object(run, &made, path) == VDIT_OK && call_entry(run, &made, path) == VDIT_OK &&
        check_plugin(run, made.plugin, path) == VDIT_OK)
        *loaded = made;
    else
        vdit_plugin_close(&made);
    return vdit_run_status(run);
}

/* Writes the names of the backends, ", " between them, cut to size. */
static void list_names(char *text, size_t size, const vdit_plugin *plugin)
{
    size_t used = 0;

    *text = '\0';
    for (size_t i = 0; i < plugin->count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "",
                                 plugin->backends[i]->name);
}

const vdit_backend *vdit_plugin_find(vdit_run *run, const vdit_loaded *loaded, const char *name)
{
    const vdit_plugin *plugin = loaded->plugin;
    char names[512];
    size_t i = name == NULL ? 0 : place_of(plugin, name, plugin->count);

    if (i < plugin->count && (name != NULL || plugin->count == 1))
        return plugin->backends[i];
    list_names(names, sizeof names, plugin);
    if (name == NULL)
        vdit_run_fail(run, VDIT_ERR_ARGUMENT, "the plugin has %zu backends; name one of %s",
                      plugin->count, names);
    else
        vdit_run_fail(run, VDIT_ERR_ARGUMENT, "no backend of the plugin is called %s; it has %s",
                      name, names);
    return NULL;
}
