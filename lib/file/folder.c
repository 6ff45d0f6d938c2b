/* folder.c - making and removing folders. */
#include "config.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "file/folder.h"

/* The longest path that is removed; a longer one could not have been made. */
#define PATH_LIMIT 8192

vdit_status vdit_folder_make(vdit_run *run, const char *path)
{
    if (vdit_run_status(run) == VDIT_OK && mkdir(path, 0777) != 0)
        vdit_run_fail(run, VDIT_ERR_IO, "%s: cannot make the folder: %s", path, strerror(errno));
    return vdit_run_status(run);
}

void vdit_folder_remove(const char *path)
{
    rmdir(path);
}

void vdit_folder_remove_file(const char *folder, const char *name)
{
    char path[PATH_LIMIT];

    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) < sizeof path)
        unlink(path);
}

char *vdit_folder_join(vdit_run *run, const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = vdit_run_alloc(run, size, 1);

    if (path != NULL)
        snprintf(path, size, "%s/%s", folder, name);
    return path;
}
