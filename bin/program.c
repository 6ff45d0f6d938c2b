/* program.c - options, help, errors, clean exits and data files of every program. */
#include "config.h"
#include "program.h"
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPTIONS_MAX 48
#define LONG_ONLY   256 /* getopt's value of the i-th option is LONG_ONLY + i */
#define TEXT_COLUMN 28  /* where --help puts the text of an option */

static const program *this_program;

static const program_option common_options[] = {
    {"help", 'h', NULL, "print this and exit", NULL, NULL},
    {"version", 'V', NULL, "print the version and exit", NULL, NULL},
    {0},
};

/* A message is one line, whatever bytes an argument put into it. */
static void print_line(const char *format, va_list arguments)
{
    char line[2048];

    vsnprintf(line, sizeof line, format, arguments);
    for (char *c = line; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    program_progress_clear();
    fprintf(stderr, "%s: %s\n", this_program->name, line);
}

void program_say(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_line(format, arguments);
    va_end(arguments);
}

void program_fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_line(format, arguments);
    va_end(arguments);
    exit(PROGRAM_FAILURE);
}

void program_check(const vdit_run *run)
{
    if (vdit_run_status(run) != VDIT_OK)
        program_fail("%s", vdit_run_message(run));
}

int program_finish(int status)
{
    program_progress_clear();
    if (fflush(stdout) != 0 || ferror(stdout))
        program_fail("standard output: %s", strerror(errno));
    return status;
}

static void print_option(const program_option *option)
{
    char left[80];

    snprintf(left, sizeof left, "  %c%c%c --%s%s%s", option->letter ? '-' : ' ',
             option->letter ? option->letter : ' ', option->letter ? ',' : ' ', option->name,
             option->argument ? " " : "", option->argument ? option->argument : "");
    if (strlen(left) + 2 > TEXT_COLUMN)
        printf("%s\n%*s%s\n", left, TEXT_COLUMN, "", option->text);
    else
        printf("%-*s%s\n", TEXT_COLUMN, left, option->text);
}

static void print_help(void)
{
    const char *usage = this_program->usage, *lead = "usage:";

    for (;;) {
        size_t length = strcspn(usage, "\n");
        printf("%-6s %s %.*s\n", lead, this_program->name, (int)length, usage);
        if (usage[length] == '\0')
            break;
        usage += length + 1;
        lead = "";
    }
    printf("%s\n\n", this_program->about);
    for (const program_option *o = this_program->options; o->name != NULL; o++)
        print_option(o);
    for (const program_option *o = common_options; o->name != NULL; o++)
        print_option(o);
}

/* The tables of getopt_long for this program's options and the common ones. */
typedef struct getopt_tables {
    const program_option *options[OPTIONS_MAX];
    struct option longs[OPTIONS_MAX + 1];
    char
        letters[2 * OPTIONS_MAX + 2]; /* begins with ':' so that a missing argument is told apart */
    int count;
} getopt_tables;

static void add_options(getopt_tables *tables, const program_option *options)
{
    for (; options->name != NULL && tables->count < OPTIONS_MAX; options++) {
        struct option *to = &tables->longs[tables->count];
        size_t used = strlen(tables->letters);

        to->name = options->name;
        to->has_arg = options->argument ? required_argument : no_argument;
        to->val = LONG_ONLY + tables->count;
        if (options->letter) {
            tables->letters[used++] = options->letter;
            if (options->argument)
                tables->letters[used] = ':';
        }
        tables->options[tables->count++] = options;
    }
}

/* Returns: the option that getopt_long found as value, or NULL if it is none. */
static const program_option *find_option(const getopt_tables *tables, int value)
{
    if (value >= LONG_ONLY)
        return tables->options[value - LONG_ONLY];
    for (int i = 0; i < tables->count; i++)
        if (value != 0 && tables->options[i]->letter == value)
            return tables->options[i];
    return NULL;
}

/* What getopt_long did not accept: found is ':' or '?'. */
static void refuse_option(const getopt_tables *tables, int found, char **argv)
{
    const program_option *option = find_option(tables, optopt);

    if (found == ':')
        program_fail("option --%s needs an argument: %s", option->name, option->argument);
    if (option != NULL)
        program_fail("option --%s takes no argument", option->name);
    if (optopt != 0)
        program_fail("unknown option -%c; see %s --help", optopt, this_program->name);
    program_fail("unknown or ambiguous option %s; see %s --help", argv[optind - 1],
                 this_program->name);
}

static void use_option(const program_option *option)
{
    if (option->read != NULL) {
        option->read(option->into, option->name, optarg);
        return;
    }
    if (option->letter == 'h')
        print_help();
    else
        printf("%s (%s) %s\n", this_program->name, PACKAGE_NAME, PACKAGE_VERSION);
    exit(program_finish(0));
}

int program_parse(const program *self, int argc, char **argv, char ***operands)
{
    getopt_tables tables = {{NULL}, {{0}}, ":", 0};
    int found;

    this_program = self;
    signal(SIGXFSZ, SIG_IGN); /* a file that grows too large is a failed write, which cleans up */
    add_options(&tables, self->options);
    add_options(&tables, common_options);
    opterr = 0;
    while ((found = getopt_long(argc, argv, tables.letters, tables.longs, NULL)) != -1) {
        if (found == ':' || found == '?')
            refuse_option(&tables, found, argv);
        use_option(find_option(&tables, found));
    }
    *operands = argv + optind;
    return argc - optind;
}

void program_read_flag(void *into, const char *option, const char *text)
{
    (void)option;
    (void)text;
    *(int *)into = 1;
}

void program_read_text(void *into, const char *option, const char *text)
{
    if (*text == '\0')
        program_fail("--%s: the argument is empty", option);
    *(const char **)into = text;
}

int program_size(size_t *value, const char *text)
{
    size_t result = 0;

    if (*text == '\0')
        return 0;
    for (; *text != '\0'; text++) {
        size_t digit = (size_t)(*text - '0');
        if (*text < '0' || *text > '9' || result > (SIZE_MAX - digit) / 10)
            return 0;
        result = result * 10 + digit;
    }
    *value = result;
    return 1;
}

void program_read_size(void *into, const char *option, const char *text)
{
    if (!program_size(into, text))
        program_fail("--%s: '%s' is not a whole number from 0 to %zu", option, text, SIZE_MAX);
}

void program_grid(size_t grid[3], const char *option, const char *text)
{
    char part[24];

    for (int i = 0; i < 3; i++) {
        size_t length = strcspn(text, "x");

        snprintf(part, sizeof part, "%.*s", (int)(length < 23 ? length : 23), text);
        if (!program_size(&grid[i], part) || grid[i] == 0 || grid[i] >> 30 != 0 ||
            (text[length] == 'x') != (i < 2))
            program_fail("--%s: expected FRAMESxHEIGHTxWIDTH, three whole numbers from 1", option);
        text += length + (i < 2);
    }
}

void program_read_threads(void *into, const char *option, const char *text)
{
    size_t value;

    if (!program_size(&value, text) || value < 1 || value > 1024)
        program_fail("--%s: '%s' is not a number of threads from 1 to 1024", option, text);
    *(int *)into = (int)value;
}

void program_read_double(void *into, const char *option, const char *text)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !isfinite(value))
        program_fail("--%s: '%s' is not a finite number", option, text);
    *(double *)into = value;
}

/* Reads one item, "7" or "100-199", into its first and last index. */
static void read_range(size_t ends[2], const char *option, const char *item, size_t limit)
{
    char first[24];
    size_t length = strcspn(item, "-");
    const char *last = item[length] == '-' ? item + length + 1 : item;

    snprintf(first, sizeof first, "%.*s", (int)(length < 23 ? length : 23), item);
    if (!program_size(&ends[0], first) || !program_size(&ends[1], last) || ends[0] > ends[1])
        program_fail("--%s: '%s' is neither an index nor a range FIRST-LAST", option, item);
    if (ends[1] >= limit)
        program_fail("--%s: index %zu is not below %zu", option, ends[1], limit);
}

/* Walks over a comma list. Out: list, unless NULL. Returns: the number of indices. */
static size_t read_list(int64_t *list, const char *option, const char *text, size_t limit)
{
    size_t count = 0;

    for (;;) {
        char item[64];
        size_t ends[2], length = strcspn(text, ",");

        snprintf(item, sizeof item, "%.*s", (int)(length < 63 ? length : 63), text);
        read_range(ends, option, item, limit);
        if (ends[1] - ends[0] >= SIZE_MAX - count)
            program_fail("--%s: too many indices", option);
        for (size_t i = ends[0]; list != NULL && i <= ends[1]; i++)
            list[count + i - ends[0]] = (int64_t)i;
        count += ends[1] - ends[0] + 1;
        if (text[length] == '\0')
            return count;
        text += length + 1;
    }
}

void program_read_indexes(vdit_run *run, vdit_tensor *list, const char *option, const char *text,
                          size_t limit)
{
    size_t stride = 0, count;

    if (strncmp(text, "every:", 6) == 0) {
        if (!program_size(&stride, text + 6) || stride == 0)
            program_fail("--%s: '%s' is not every:STRIDE with a stride of at least 1", option,
                         text);
        count = limit / stride + (limit % stride != 0);
    } else {
        count = read_list(NULL, option, text, limit);
    }
    vdit_tensor_new(run, list, VDIT_I64, 1, &count);
    program_check(run);
    if (stride == 0)
        read_list(list->data, option, text, limit);
    for (size_t i = 0; stride != 0 && i < count; i++)
        ((int64_t *)list->data)[i] = (int64_t)(i * stride);
}

char *program_bytes_text(char *text, size_t size, double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    int unit = 0;

    for (; bytes >= 1024 && unit < 5; unit++)
        bytes /= 1024;
    snprintf(text, size, unit && bytes < 10 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return text;
}

char *program_time_text(char *text, size_t size, double seconds)
{
    double minutes = floor(seconds / 60), hours = floor(minutes / 60);

    if (hours >= 1)
        snprintf(text, size, "%.0f:%02.0f:%02.0f", hours, minutes - 60 * hours,
                 floor(seconds - 60 * minutes));
    else
        snprintf(text, size, "%.0f:%02.0f", minutes, floor(seconds - 60 * minutes));
    return text;
}

double program_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

    return pages > 0 && size > 0 ? (double)pages * (double)size : 0;
}

const char *program_data(vdit_run *run, const char *argument, const char *folder,
                         const char *suffix)
{
    const char *const bases[] = {getenv("VDIT_DATA"), PROGRAM_DATADIR, PROGRAM_SOURCE_DATA};
    size_t size = 0;
    char *path;

    if (strchr(argument, '/') != NULL || access(argument, F_OK) == 0)
        return argument;
    for (size_t i = 0; i < 3; i++)
        size += bases[i] ? strlen(bases[i]) : 0;
    size += strlen(folder) + strlen(argument) + strlen(suffix) + 3;
    path = vdit_run_alloc(run, size, 1);
    program_check(run);
    for (size_t i = 0; i < 3; i++) {
        if (bases[i] == NULL)
            continue;
        snprintf(path, size, "%s/%s/%s%s", bases[i], folder, argument, suffix);
        if (access(path, F_OK) == 0)
            return path;
    }
    program_fail("%s: no such file, and no %s/%s%s in $VDIT_DATA or %s", argument, folder, argument,
                 suffix, PROGRAM_DATADIR);
}
