/* config.c - the keys of a config.json, each asked for once, through jansson. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "file/json.h"
#include "model/config.h"

/* Beyond any network; a product of two still fits the 64 bits in which a family checks its widths. */
#define SIZE_LIMIT   ((json_int_t)1 << 31)
#define LAYERS_LIMIT 4096

/* Which diffusers wrote a configuration; where none did, one that reads all keys that are written here. */
#define VERSION_KEY "_diffusers_version"
#define VERSION     "0.40.0"

struct vdit_config {
    vdit_run *run, *memory;
    const char *file;
    json_t *given; /* the object of the file */
    json_t *used;  /* what was asked for and answered, in that order */
};

vdit_config *vdit_config_open(vdit_run *run, vdit_run *memory, const char *name, const char *text,
                              size_t size)
{
    vdit_config *keys = vdit_run_alloc(memory, 1, sizeof *keys);
    json_t *given = vdit_json_parse(run, name, 0, text, size);

    if (given != NULL && !json_is_object(given))
        vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: expected a JSON object", name);
    if (keys == NULL)
        vdit_run_fail(run, VDIT_ERR_MEMORY, "%s: no memory for its keys", name);
    if (vdit_run_status(run) != VDIT_OK) {
        json_decref(given);
        return NULL;
    }
    *keys = (vdit_config){run, memory, name, given, json_object()};
    return keys;
}

void vdit_config_close(vdit_config *keys)
{
    if (keys == NULL)
        return;
    json_decref(keys->given);
    json_decref(keys->used);
}

/* Returns: the value of a key, NULL where it is missing or null. */
static const json_t *find(const vdit_config *keys, const char *key)
{
    const json_t *value = json_object_get(keys->given, key);

    return json_is_null(value) ? NULL : value;
}

/* Remembers the answer, which it takes, unless the key was asked for before. */
static void answer(vdit_config *keys, const char *key, json_t *value)
{
    if (json_object_get(keys->used, key) != NULL)
        json_decref(value);
    else if (json_object_set_new(keys->used, key, value) != 0)
        vdit_run_fail(keys->run, VDIT_ERR_MEMORY, "%s: no memory for its keys", keys->file);
}

/* A value of another type than the key has. */
static void refuse(const vdit_config *keys, const char *key, const char *expected)
{
    vdit_run_fail(keys->run, VDIT_ERR_FORMAT, "%s: key \"%s\": expected %s", keys->file, key,
                  expected);
}

/*
 * Returns: a whole number in least .. limit, or missing; one below least stands for null. After a refusal it is least,
 * so that a family may go on to ask for its other keys without dividing by 0.
 */
static size_t whole(vdit_config *keys, const char *key, size_t least, json_int_t limit,
                    size_t missing)
{
    const json_t *value = find(keys, key);
    json_int_t number = value != NULL ? json_integer_value(value) : (json_int_t)missing;

    if (value != NULL &&
        (!json_is_integer(value) || number < (json_int_t)least || number > limit)) {
        vdit_run_fail(keys->run, VDIT_ERR_FORMAT,
                      "%s: key \"%s\": expected a whole number from %zu to %jd", keys->file, key,
                      least, (intmax_t)limit);
        number = (json_int_t)least;
    }
    answer(keys, key, value == NULL && missing < least ? json_null() : json_integer(number));
    return (size_t)number;
}

size_t vdit_config_size(vdit_config *keys, const char *key, size_t least, size_t missing)
{
    return whole(keys, key, least, SIZE_LIMIT, missing);
}

size_t vdit_config_layers(vdit_config *keys, const char *key, size_t least, size_t missing)
{
    return whole(keys, key, least, LAYERS_LIMIT, missing);
}

double vdit_config_number(vdit_config *keys, const char *key, double missing)
{
    const json_t *value = find(keys, key);
    double number = value != NULL ? json_number_value(value) : missing;

    if (value != NULL && (!json_is_number(value) || !isfinite(number)))
        refuse(keys, key, "a number");
    answer(keys, key, json_real(number));
    return number;
}

int vdit_config_flag(vdit_config *keys, const char *key, int missing)
{
    const json_t *value = find(keys, key);
    int flag = value != NULL ? json_is_true(value) : missing;

    if (value != NULL && !json_is_boolean(value))
        refuse(keys, key, "true or false");
    answer(keys, key, json_boolean(flag));
    return flag;
}

const char *vdit_config_text(vdit_config *keys, const char *key, const char *missing)
{
    const json_t *value = find(keys, key);
    const char *text = value != NULL ? json_string_value(value) : missing;
    char *copy;

    if (value != NULL && text == NULL) {
        refuse(keys, key, "a text");
        text = missing; /* so that a family may compare it */
    }
    answer(keys, key, text != NULL ? json_string(text) : json_null());
    if (text == NULL)
        return NULL;
    copy = vdit_run_alloc(keys->memory, strlen(text) + 1, 1);
    if (copy == NULL)
        vdit_run_fail(keys->run, VDIT_ERR_MEMORY, "%s: no memory for its keys", keys->file);
    return copy != NULL ? strcpy(copy, text) : "";
}

void vdit_config_sizes(vdit_config *keys, const char *key, size_t *out, size_t count,
                       const size_t *missing)
{
    const json_t *value = find(keys, key);
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(value, i);
        json_int_t number = value != NULL ? json_integer_value(item) : (json_int_t)missing[i];

        if (value != NULL && (json_array_size(value) != count || !json_is_integer(item) ||
                              number < 1 || number > SIZE_LIMIT)) {
            vdit_run_fail(keys->run, VDIT_ERR_FORMAT,
                          "%s: key \"%s\": expected a list of %zu whole numbers from 1 to %jd",
                          keys->file, key, count, (intmax_t)SIZE_LIMIT);
            number = 1;
        }
        out[i] = (size_t)number;
        json_array_append_new(list, json_integer(number));
    }
    answer(keys, key, list);
}

void vdit_config_absent(vdit_config *keys, const char *key, const char *what)
{
    if (find(keys, key) != NULL)
        vdit_run_fail(keys->run, VDIT_ERR_UNSUPPORTED, "%s: key \"%s\": %s is not offered",
                      keys->file, key, what);
    answer(keys, key, json_null());
}

void vdit_config_only(vdit_config *keys, const char *key, int ok, const char *what)
{
    if (!ok)
        vdit_run_fail(keys->run, VDIT_ERR_UNSUPPORTED, "%s: key \"%s\": only %s is offered",
                      keys->file, key, what);
}

const char *vdit_config_class(const vdit_config *keys)
{
    return json_string_value(json_object_get(keys->given, "_class_name"));
}

void vdit_config_check(vdit_config *keys)
{
    const char *key;
    json_t *value;

    /* A key that is not known may switch on what this network would leave out without a word; null switches nothing on. */
    json_object_foreach(keys->given, key, value)
    {
        if (key[0] != '_' && !json_is_null(value) && json_object_get(keys->used, key) == NULL)
            vdit_run_fail(keys->run, VDIT_ERR_UNSUPPORTED, "%s: key \"%.200s\" is not known",
                          keys->file, key);
    }
}

/*
 * Returns: all as text, numbers with as few digits as read back as the same; NULL without memory. To be freed with free.
 */
static char *shortest(const json_t *all)
{
    char *text = NULL;
    int same = 0;

    for (size_t digits = 1; digits <= 17 && !same; digits++) {
        json_t *read;

        free(text);
        text = json_dumps(all, JSON_INDENT(2) | JSON_REAL_PRECISION(digits));
        read = text != NULL ? json_loads(text, 0, NULL) : NULL;
        same = json_equal(all, read);
        json_decref(read);
    }
    return text;
}

const char *vdit_config_effective(vdit_run *run, const vdit_config *keys, const char *class_name)
{
    const char *version = json_string_value(json_object_get(keys->given, VERSION_KEY));
    json_t *all = json_pack("{s:s,s:s}", "_class_name", class_name, VERSION_KEY,
                            version != NULL ? version : VERSION);
    char *text, *copy = NULL;

    json_object_update(all, keys->used);
    text = shortest(all);
    if (text != NULL)
        copy = vdit_run_alloc(run, strlen(text) + 1, 1);
    else
        vdit_run_fail(run, VDIT_ERR_MEMORY, "%s: no memory for its keys", keys->file);
    if (copy != NULL)
        strcpy(copy, text);
    free(text);
    json_decref(all);
    return copy;
}
