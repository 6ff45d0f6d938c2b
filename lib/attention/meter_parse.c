/* meter_parse.c - the request as text: "entropy,topk:k=4:every=64,ladder:queries=all". */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "attention/meter.h"

static const vdit_meter_kind *find_kind(const char *name)
{
    for (size_t n = 0; vdit_meter_kinds[n] != NULL; n++)
        if (strcmp(vdit_meter_kinds[n]->info.name, name) == 0)
            return vdit_meter_kinds[n];
    return NULL;
}

/* Cuts text at the first of end. Returns: what follows, or NULL if nothing does. */
static char *cut(char *text, char end)
{
    char *at = strchr(text, end);

    if (at == NULL)
        return NULL;
    *at = '\0';
    return at + 1;
}

static void set_defaults(vdit_meter *meter)
{
    const vdit_meter_option *options = meter->kind->info.options;

    for (size_t i = 0; options != NULL && options[i].name != NULL; i++)
        meter->option[i] = options[i].value;
}

/* One "name=value". */
static void set_option(vdit_meter *meter, char *text)
{
    const vdit_meter_info *info = &meter->kind->info;
    char *value = cut(text, '=');

    for (size_t i = 0; info->options != NULL && info->options[i].name != NULL; i++)
        if (strcmp(info->options[i].name, text) == 0) {
            if (value == NULL || *value == '\0')
                vdit_run_fail(meter->engine->run, VDIT_ERR_ARGUMENT,
                              "meter %s: option %s has no value", info->name, text);
            meter->option[i] = value;
            return;
        }
    vdit_run_fail(meter->engine->run, VDIT_ERR_ARGUMENT, "meter %s: it has no option '%s'",
                  info->name, text);
}

/* The ids of the definitions, then the options: "C39=row/ln(valid),queries=video". */
static void write_ids(vdit_meter *meter)
{
    const vdit_meter_info *info = &meter->kind->info;
    size_t size = strlen(info->ids) + 1, used;
    char *ids;

    for (size_t i = 0; info->options != NULL && info->options[i].name != NULL; i++)
        size += strlen(info->options[i].name) + strlen(meter->option[i]) + 2;
    ids = vdit_run_alloc(meter->engine->run, size, 1);
    if (ids == NULL)
        return;
    used = (size_t)snprintf(ids, size, "%s", info->ids);
    for (size_t i = 0; info->options != NULL && info->options[i].name != NULL; i++)
        used += (size_t)snprintf(ids + used, size - used, "%s%s=%s", used > 0 ? "," : "",
                                 info->options[i].name, meter->option[i]);
    meter->ids = ids;
}

/* One "name:option=value:...". */
static void parse_one(vdit_meter_engine *engine, char *text)
{
    vdit_meter *meter = &engine->meters[engine->count];
    char *options = cut(text, ':');

    memset(meter, 0, sizeof *meter);
    meter->engine = engine;
    meter->kind = find_kind(text);
    if (meter->kind == NULL) {
        vdit_run_fail(engine->run, VDIT_ERR_ARGUMENT, "there is no meter '%s'", text);
        return;
    }
    for (size_t m = 0; m < engine->count; m++)
        if (engine->meters[m].kind == meter->kind)
            vdit_run_fail(engine->run, VDIT_ERR_ARGUMENT, "meter %s is asked for twice", text);
    set_defaults(meter);
    while (options != NULL && vdit_run_status(engine->run) == VDIT_OK) {
        char *next = cut(options, ':');
        set_option(meter, options);
        options = next;
    }
    if (vdit_run_status(engine->run) != VDIT_OK)
        return;
    write_ids(meter);
    engine->count++;
}

vdit_status vdit_meter_parse(vdit_meter_engine *engine, const char *text)
{
    size_t length = strlen(text), most = 1;
    char *copy = vdit_run_alloc(engine->run, length + 1, 1);

    for (const char *c = text; *c != '\0'; c++)
        most += *c == ',';
    engine->meters = vdit_run_alloc(engine->run, most, sizeof *engine->meters);
    if (vdit_run_status(engine->run) == VDIT_OK)
        memcpy(copy, text, length + 1);
    while (copy != NULL && vdit_run_status(engine->run) == VDIT_OK) {
        char *next = cut(copy, ',');
        parse_one(engine, copy);
        copy = next;
    }
    return vdit_run_status(engine->run);
}

void vdit_meter_refuse(vdit_meter *meter, size_t i, const char *expected)
{
    const vdit_meter_info *info = &meter->kind->info;

    vdit_run_fail(meter->engine->run, VDIT_ERR_ARGUMENT, "meter %s: option %s is '%s', expected %s",
                  info->name, info->options[i].name, meter->option[i], expected);
}

size_t vdit_meter_size(vdit_meter *meter, size_t i, size_t low, size_t high)
{
    char expected[64];
    size_t value = 0;
    const char *c = meter->option[i];

    for (; *c >= '0' && *c <= '9' && value <= SIZE_MAX / 16; c++)
        value = 10 * value + (size_t)(*c - '0');
    if (*c == '\0' && value >= low && value <= high)
        return value;
    snprintf(expected, sizeof expected, "%zu..%zu", low, high);
    vdit_meter_refuse(meter, i, expected);
    return low;
}

size_t vdit_meter_word(vdit_meter *meter, size_t i, const char *const *words)
{
    char expected[128] = "";
    size_t used = 0;

    for (size_t n = 0; words[n] != NULL; n++) {
        if (strcmp(words[n], meter->option[i]) == 0)
            return n;
        used = strlen(expected);
        snprintf(expected + used, sizeof expected - used, "%s%s", n > 0 ? " or " : "", words[n]);
    }
    vdit_meter_refuse(meter, i, expected);
    return 0;
}

unsigned vdit_meter_tokens(vdit_meter *meter, size_t i)
{
    static const char *const words[] = {"video", "text", "all", NULL};
    static const unsigned bits[] = {VDIT_VIDEO, VDIT_TEXT, VDIT_ANY};

    return bits[vdit_meter_word(meter, i, words)];
}
