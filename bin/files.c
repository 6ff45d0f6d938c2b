/* files.c - the files of a command line: whether they can be written, and texts. */
#include "program.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int program_has_suffix(const char *path, const char *suffix)
{
    size_t length = strlen(path), tail = strlen(suffix);

    return length > tail && strcmp(path + length - tail, suffix) == 0;
}

void program_folder_check(const char *option, const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - path) + 1;

    if (length >= sizeof folder)
        program_fail("--%s: %s: the path is too long", option, path);
    snprintf(folder, sizeof folder, "%.*s", (int)length, path);
    if (access(length ? folder : ".", W_OK) != 0)
        program_fail("--%s: %s: cannot write into the folder %s", option, path,
                     length ? folder : ".");
}

char *program_text(vdit_run *run, size_t *size, const char *option, const char *path, size_t most)
{
    char *text = vdit_run_alloc(run, most + 1, 1);
    FILE *file;

    program_check(run);
    file = fopen(path, "rb");
    if (file == NULL)
        program_fail("--%s: %s: cannot open", option, path);
    *size = fread(text, 1, most + 1, file);
    if (ferror(file))
        program_fail("--%s: %s: cannot read", option, path);
    fclose(file);
    return text;
}
