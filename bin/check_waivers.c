/* check_waivers.c - expected failures, each with a reason and a day on which it ends. */
#include "config.h"
#include "check.h"
#include <fnmatch.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Returns: 1 if text is a date YYYY-MM-DD. */
static int is_date(const char *text)
{
    static const char form[] = "dddd-dd-dd";

    if (strlen(text) != sizeof form - 1)
        return 0;
    for (size_t i = 0; form[i] != '\0'; i++)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return 0;
    return strncmp(text + 5, "01", 2) >= 0 && strncmp(text + 5, "12", 2) <= 0 &&
           strncmp(text + 8, "01", 2) >= 0 && strncmp(text + 8, "31", 2) <= 0;
}

static void today(char text[11])
{
    time_t now = time(NULL);
    struct tm day;

    strftime(text, 11, "%Y-%m-%d", gmtime_r(&now, &day));
}

static const char *read_text(vdit_run *run, const char *path, size_t i, const json_t *object,
                             const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    char *copy;

    if (value == NULL || *value == '\0')
        program_fail("%s: waiver %zu: a text \"%s\" was expected", path, i, key);
    copy = vdit_run_alloc(run, strlen(value) + 1, 1);
    program_check(run);
    return strcpy(copy, value);
}

static void read_waiver(vdit_run *run, check_waiver *w, const char *path, size_t i,
                        const json_t *object)
{
    char day[11];

    if (json_object_size(object) != 3)
        program_fail("%s: waiver %zu: an object of case, reason and expires was expected", path, i);
    w->pattern = read_text(run, path, i, object, "case");
    w->reason = read_text(run, path, i, object, "reason");
    w->expires = read_text(run, path, i, object, "expires");
    if (!is_date(w->expires))
        program_fail("%s: waiver %zu: \"expires\" is '%s' where YYYY-MM-DD was expected", path, i,
                     w->expires);
    today(day);
    w->is_expired = strcmp(w->expires, day) < 0;
    w->was_used = 0;
}

void check_waivers_read(vdit_run *run, check_waivers *waivers, const char *path)
{
    json_error_t error;
    json_t *list = json_load_file(path, JSON_REJECT_DUPLICATES, &error);

    if (list == NULL && error.line < 0)
        program_fail("%s: %s", path, error.text);
    if (list == NULL)
        program_fail("%s: line %d: %s", path, error.line, error.text);
    if (!json_is_array(list))
        program_fail("%s: a list of waivers was expected", path);
    waivers->count = json_array_size(list);
    waivers->list = vdit_run_alloc(run, waivers->count, sizeof *waivers->list);
    program_check(run);
    for (size_t i = 0; i < waivers->count; i++)
        read_waiver(run, &waivers->list[i], path, i, json_array_get(list, i));
    json_decref(list);
}

const check_waiver *check_waivers_find(check_waivers *waivers, const char *name)
{
    for (size_t i = 0; i < waivers->count; i++) {
        check_waiver *w = &waivers->list[i];
        if (!w->is_expired && fnmatch(w->pattern, name, 0) == 0) {
            w->was_used = 1;
            return w;
        }
    }
    return NULL;
}

void check_waivers_say(const check_waivers *waivers)
{
    for (size_t i = 0; i < waivers->count; i++) {
        const check_waiver *w = &waivers->list[i];
        program_say("waiver for %s %s %s: %s%s", w->pattern, w->is_expired ? "expired on" : "until",
                    w->expires, w->reason,
                    w->is_expired || w->was_used ? "" : " (nothing failed under it)");
    }
}
