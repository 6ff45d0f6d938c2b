/*
 * program.h - what every program does alike: options, help, errors, progress, data files.
 *
 * A program describes its options in one table, from which the command line is read and --help is
 * printed. Whatever is wrong ends in one line "vdit-x: message" on stderr and exit status 2; exit
 * cleans up, since the library's writers leave nothing partial.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <vdit/backend.h>

#if defined(__GNUC__)
#define PROGRAM_NORETURN __attribute__((noreturn))
#else
#define PROGRAM_NORETURN
#endif

#define PROGRAM_FAILURE 2 /* the exit status of bad usage and unreadable input */

/* Reads the text of an option into a variable, or fails with a line that names the option. */
typedef void program_read_fn(void *into, const char *option, const char *text);

/* One option. A table of them ends with an entry of zeros. */
typedef struct program_option {
    const char *name;     /* the long name, without dashes */
    char letter;          /* the short name, or 0 */
    const char *argument; /* what --help calls its argument; NULL: it takes none */
    const char *text;     /* what it does, for --help */
    program_read_fn *read;
    void *into; /* what read fills; its type is what read says */
} program_option;

/* What a program is. */
typedef struct program {
    const char *name;  /* "vdit-attend" */
    const char *about; /* one sentence */
    const char *usage; /* what follows the name, a line per form */
    const program_option *options;
} program;

/*
 * Reads the command line; prints --help or --version and exits if asked to.
 * Out: operands, the arguments that are no options. Returns: their number.
 */
int program_parse(const program *self, int argc, char **argv, char ***operands);

/* Readers for the table: the type that into points to is in the name of each. */
program_read_fn program_read_flag;    /* int, set to 1; the option takes no argument */
program_read_fn program_read_text;    /* const char * */
program_read_fn program_read_size;    /* size_t, a decimal number */
program_read_fn program_read_threads; /* int, 1 to 1024 */
program_read_fn program_read_double;  /* double, finite, decimal or hexadecimal */

/* Out: value. In: text, decimal digits and nothing else. Returns: 1, or 0 with value untouched. */
int program_size(size_t *value, const char *text);

/* Out: grid, from "21x60x104", each from 1; fails, naming the option, where text is anything else. */
void program_grid(size_t grid[3], const char *option, const char *text);

/*
 * Reads a list of indices: "every:STRIDE", or numbers and ranges "0,7,100-199" (both ends counted).
 * Out: list, i64 [R], in the order given. In: option (for messages), text, limit: each is below it.
 */
void program_read_indexes(vdit_run *run, vdit_tensor *list, const char *option, const char *text,
                          size_t limit);

/* Returns: 1 if path ends so, with something before it. */
int program_has_suffix(const char *path, const char *suffix);

/* Fails if the folder of path takes no new file. */
void program_folder_check(const char *option, const char *path);

/*
 * Reads a text file. Out: size, most + 1 if it is longer. Returns: it, in the run's memory and without a NUL; fails if it
 * cannot be read.
 */
char *program_text(vdit_run *run, size_t *size, const char *option, const char *path, size_t most);

/* Prints "NAME: message" as one line on stderr and exits with PROGRAM_FAILURE. */
void program_fail(const char *format, ...) PROGRAM_NORETURN VDIT_PRINTF(1, 2);

/* Fails with the run's message if the run has failed. */
void program_check(const vdit_run *run);

/* Prints "NAME: message" as one line on stderr, clearing a progress bar there. */
void program_say(const char *format, ...) VDIT_PRINTF(1, 2);

/* Returns: status, once all of stdout is written; fails if it could not be. The last call of main.
 */
int program_finish(int status);

/*
 * Shows the progress of run on stderr if that is a terminal. From here on an interrupt (SIGINT,
 * SIGTERM) cancels the run, so that its call returns and cleans up; a second one kills. Called again
 * it begins a new bar.
 */
void program_progress(vdit_run *run);

/* The same, but the bar is that of one piece of work alone, whatever else reports beside it. */
void program_progress_of(vdit_run *run, const char *what);

/* Wipes the bar off the terminal, if one is shown: before anything else is printed there. */
void program_progress_clear(void);

/* Returns: seconds on a clock that never steps. */
double program_seconds(void);

/* Writes "1.5 GiB" or "2:05" (minutes and seconds) into text. Returns: text. */
char *program_bytes_text(char *text, size_t size, double bytes);
char *program_time_text(char *text, size_t size, double seconds);

/* Returns: the physical memory of this machine in bytes, 0 if unknown. */
double program_memory(void);

/*
 * Loads a plugin. In: spec, FILE or FILE:NAME. It stays loaded until the program ends: threads that a
 * plugin's own libraries started may outlive every call.
 * Returns: the backend; fails if there is none.
 */
const vdit_backend *program_plugin(vdit_run *run, const char *spec);

/*
 * Returns: the backend that the options --backend and --plugin ask for, either of which may be NULL; fails if there is
 * none, or both are given.
 */
const vdit_backend *program_backend(vdit_run *run, const char *name, const char *plugin);

/*
 * Finds a data file. argument is a path if it names a file or folder or holds a slash; else
 * folder/argument+suffix is looked for in $VDIT_DATA, where the package was installed, beside the
 * source. Example: program_data(run, "quick", "recipes", ".json").
 * Returns: the path, in the run's memory; fails if there is none.
 */
const char *program_data(vdit_run *run, const char *argument, const char *folder,
                         const char *suffix);

#endif
