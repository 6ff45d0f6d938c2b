/* extra.c - files in a corpus that its manifest does not know. */
#include "config.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "golden/case.h"
#include "golden/corpus.h"

/* Returns: 1 if name is wanted, or wanted with npz in place of safetensors. */
static int is_file(const char *name, const char *wanted)
{
    size_t stem = strlen(wanted) - strlen("safetensors");

    if (strcmp(name, wanted) == 0)
        return 1;
    return strlen(wanted) > strlen("safetensors") && strncmp(name, wanted, stem) == 0 &&
           strcmp(name + stem, "npz") == 0;
}

static int is_known(const vdit_manifest *manifest, const char *name)
{
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, VDIT_MANIFEST_NAME) == 0)
        return 1;
    for (size_t i = 0; i < manifest->case_count; i++)
        if (is_file(name, manifest->cases[i].in) || is_file(name, manifest->cases[i].out))
            return 1;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Out: names, up to room of them. Returns: the number of unknown files. */
static size_t list_unknown(vdit_run *run, char **names, size_t room, const vdit_manifest *manifest,
                           DIR *folder)
{
    struct dirent *entry;
    size_t count = 0;

    while ((entry = readdir(folder)) != NULL) {
        if (is_known(manifest, entry->d_name))
            continue;
        if (count < room)
            names[count] = vdit_text_copy(run, entry->d_name);
        count++;
    }
    return count;
}

vdit_status vdit_corpus_find_extra(vdit_run *run, size_t *failures, const vdit_manifest *manifest,
                                   const char *directory, const vdit_corpus_options *options)
{
    char *names[100]; /* that are named; more are only counted */
    size_t room = sizeof names / sizeof *names, count, mark = vdit_run_mark(run);
    DIR *folder = opendir(directory);

    if (folder == NULL)
        return vdit_run_fail(run, VDIT_ERR_IO, "%s: cannot list: %s", directory, strerror(errno));
    count = list_unknown(run, names, room, manifest, folder);
    closedir(folder);
    if (vdit_run_status(run) == VDIT_OK) {
        qsort(names, count < room ? count : room, sizeof *names, by_name);
        for (size_t i = 0; i < count && i < room; i++)
            vdit_corpus_report(options, VDIT_CASE_EXTRA, names[i],
                               "a file that the manifest does not list");
        *failures += count;
    }
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
