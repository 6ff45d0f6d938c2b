/* check_command.c - a command as a backend: its folder, its words, how it ended. */
#include "config.h"
#include "check.h"
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPEN_FOLDERS 16

/* The one folder of this process: atexit takes no argument. */
static char *folder_made;

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    remove(path);
    return 0;
}

static void remove_folder(void)
{
    nftw(folder_made, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
}

void check_command_begin(vdit_run *run, check_command *command, const char *text)
{
    const char *base = getenv("TMPDIR");
    size_t size;
    char *path;

    if (strstr(text, "{in}") == NULL || strstr(text, "{out}") == NULL)
        program_fail("--exec: the command must name both {in} and {out}");
    if (base == NULL || *base == '\0')
        base = "/tmp";
    size = strlen(base) + sizeof "/vdit-check-XXXXXX";
    path = vdit_run_alloc(run, size, 1);
    program_check(run);
    snprintf(path, size, "%s/vdit-check-XXXXXX", base);
    if (mkdtemp(path) == NULL)
        program_fail("%s: %s", path, strerror(errno));
    folder_made = strdup(path); /* the run may be gone when the process exits */
    if (folder_made == NULL) {
        rmdir(path);
        program_fail("no memory");
    }
    atexit(remove_folder);
    command->text = text;
    command->folder = path;
}

/* Appends a word to the line as one word of the shell: in single quotes. Returns: the new end. */
static char *append_quoted(char *end, const char *word)
{
    *end++ = '\'';
    for (; *word != '\0'; word++) {
        if (*word == '\'') {
            memcpy(end, "'\\'", 3);
            end += 3;
        }
        *end++ = *word;
    }
    *end++ = '\'';
    return end;
}

/* Returns: the command with its words filled in. */
static char *fill_in(vdit_run *run, const char *text, const char *in, const char *out)
{
    size_t places = 1, longest = strlen(in) > strlen(out) ? strlen(in) : strlen(out);
    char *line, *end;

    for (const char *c = text; (c = strchr(c, '{')) != NULL; c++)
        places++;
    line = vdit_run_alloc(run, strlen(text) + places * (4 * longest + 2) + 1, 1);
    program_check(run);
    for (end = line; *text != '\0';) {
        if (strncmp(text, "{in}", 4) == 0) {
            end = append_quoted(end, in);
            text += 4;
        } else if (strncmp(text, "{out}", 5) == 0) {
            end = append_quoted(end, out);
            text += 5;
        } else {
            *end++ = *text++;
        }
    }
    *end = '\0';
    return line;
}

/* Returns: as waitpid's status, of a shell that ran the line; fails if there could be none. */
static int run_shell(const char *line)
{
    int status = 0;
    pid_t child;

    fflush(stdout);
    program_progress_clear();
    child = fork();
    if (child < 0)
        program_fail("no process for the command: %s", strerror(errno));
    if (child == 0) {
        dup2(STDERR_FILENO, STDOUT_FILENO);
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            program_fail("waiting for the command: %s", strerror(errno));
    return status;
}

int check_command_run(vdit_run *run, const check_command *command, const char *in, const char *out,
                      char *reason, size_t size)
{
    size_t mark = vdit_run_mark(run);
    int status = run_shell(fill_in(run, command->text, in, out));

    vdit_run_release(run, mark);
    if (WIFSIGNALED(status))
        snprintf(reason, size, "the command was ended by signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        snprintf(reason, size, "the command ended with status %d", WEXITSTATUS(status));
    else
        return 1;
    return 0;
}
