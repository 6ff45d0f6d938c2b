/* check_trace.c - two traces: a table of activations in which the first that diverges is marked. */
#include "config.h"
#include "check.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int check_is_trace(const char *path)
{
    vdit_run *run = vdit_run_new();
    vdit_file *file;
    int is_trace = 0;

    if (run != NULL && access(path, F_OK) == 0 && vdit_file_open(run, &file, path) == VDIT_OK) {
        is_trace = vdit_file_is_trace(file);
        vdit_file_close(file);
    }
    vdit_run_free(run);
    return is_trace;
}

/* Writes "2,0,17", the index of the largest distance; "-" without one. */
static const char *where_text(char *text, size_t size, const vdit_trace_line *line)
{
    size_t used = 0;

    snprintf(text, size, "-");
    for (int i = 0; i < line->rank && line->peak > 0 && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, i ? ",%zu" : "%zu", line->where[i]);
    return text;
}

static void print_line(const vdit_trace_line *line, size_t width, int is_first)
{
    char where[96];

    printf("%c %-*s  %-8s", is_first ? '>' : ' ', (int)width, line->name,
           line->agrees    ? "agrees"
           : line->missing ? "missing"
                           : "DIVERGES");
    if (line->measured)
        printf("  %8.3g %8.3g %9.2e %9.2e  %-17s", line->z, line->z_peak,
               line->size > 0 ? line->rms / line->size : line->rms, line->peak,
               where_text(where, sizeof where, line));
    printf("%s%s\n", line->agrees || line->missing ? "" : "  ", line->missing ? "" : line->reason);
}

static void print_table(const vdit_trace_finding *f)
{
    size_t width = strlen("activation");

    for (size_t i = 0; i < f->count; i++)
        width = strlen(f->lines[i].name) > width ? strlen(f->lines[i].name) : width;
    printf("  %-*s  %-8s  %8s %8s %9s %9s  %s\n", (int)width, "activation", "verdict", "z",
           "peak z", "rel error", "max error", "at");
    for (size_t i = 0; i < f->count; i++)
        print_line(&f->lines[i], width, i == f->first);
    printf("\n%s: %s\n", vdit_verdict_name(f->verdict), f->text);
    printf("%zu compared, %zu diverge, %zu missing, %zu not expected; noise of %s%s\n", f->compared,
           f->diverging, f->missing, f->more, f->noise != NULL ? f->noise : "none",
           f->guessed ? ", guessed: no trace has a sigma" : "");
}

/* JSON has no NaN and no infinities: null stands for them. */
static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *line_json(const vdit_trace_line *line)
{
    json_t *where = json_array(), *object;

    for (int i = 0; i < line->rank && line->peak > 0; i++)
        json_array_append_new(where, json_integer((json_int_t)line->where[i]));
    object = json_pack("{s:s, s:s, s:s}", "name", line->name, "verdict",
                       line->agrees    ? "agrees"
                       : line->missing ? "missing"
                                       : "diverges",
                       "reason", line->reason);
    if (line->measured)
        json_object_update_new(
            object,
            json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:O, s:o, s:o}",
                      "elements", (json_int_t)line->count, "unequal", (json_int_t)line->unequal,
                      "specials", (json_int_t)line->specials, "z", number(line->z), "peak_z",
                      number(line->z_peak), "rms_error", number(line->rms), "max_error",
                      number(line->peak), "rms", number(line->size), "sigma", number(line->sigma),
                      "sigma_peak", number(line->sigma_peak), "where", where, "expected",
                      number(line->expected), "actual", number(line->actual)));
    json_decref(where);
    return object;
}

/* Returns: the name of a line, null past the last. */
static json_t *name_json(const vdit_trace_finding *f, size_t i)
{
    return i < f->count ? json_string(f->lines[i].name) : json_null();
}

static void print_json(const vdit_trace_finding *f)
{
    json_t *lines = json_array(), *object;

    for (size_t i = 0; i < f->count; i++)
        json_array_append_new(lines, line_json(&f->lines[i]));
    object =
        json_pack("{s:s, s:s, s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:o, s:b, s:o}", "format",
                  "vdit-check-trace/1", "verdict", vdit_verdict_name(f->verdict), "text", f->text,
                  "first", name_json(f, f->first), "first_unequal", name_json(f, f->first_unequal),
                  "compared", (json_int_t)f->compared, "diverging", (json_int_t)f->diverging,
                  "missing", (json_int_t)f->missing, "not_expected", (json_int_t)f->more, "noise",
                  f->noise != NULL ? json_string(f->noise) : json_null(), "guessed", f->guessed,
                  "activations", lines);
    if (object == NULL)
        program_fail("no memory");
    json_dumpf(object, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    putchar('\n');
    json_decref(object);
}

vdit_verdict check_trace(check_job *j, const char *expected_path, const char *actual_path,
                         const char *pattern)
{
    vdit_trace_finding finding;
    vdit_file *expected, *actual;

    vdit_file_open(j->run, &expected, expected_path);
    program_check(j->run);
    vdit_file_open(j->run, &actual, actual_path);
    program_check(j->run);
    vdit_trace_judge(j->run, &finding, expected, actual, pattern, j->contract);
    program_check(j->run);
    if (pattern != NULL && finding.count == 0)
        program_fail("--case: no activation fits '%s'", pattern);
    if (j->printer.is_json)
        print_json(&finding);
    else
        print_table(&finding);
    vdit_file_close(expected);
    vdit_file_close(actual);
    return finding.verdict;
}
