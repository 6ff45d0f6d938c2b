/* preset.c - configurations by a family's name, a size's, and settings KEY=VALUE. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "file/json.h"
#include "model/family.h"

#define LIST_SIZE 400

/* Adds a word to a list of them. */
static void list(char text[LIST_SIZE], const char *word)
{
    size_t length = strlen(text);

    snprintf(text + length, LIST_SIZE - length, "%s%s", length > 0 ? ", " : "", word);
}

/* Returns: the family of that name, or NULL with the run failed. */
static const vdit_network *find_family(vdit_run *run, const char *name)
{
    const vdit_network *family;
    char known[LIST_SIZE] = "";

    for (size_t i = 0; (family = vdit_network_at(i)) != NULL; i++) {
        if (strcmp(family->name, name) == 0)
            return family;
        list(known, family->name);
    }
    vdit_run_fail(run, VDIT_ERR_ARGUMENT, "family '%.100s', expected one of %s", name, known);
    return NULL;
}

/* Returns: the keys of a size, "{}" for NULL; or NULL with the run failed. */
static const char *find_preset(vdit_run *run, const vdit_network *family, const char *name)
{
    char known[LIST_SIZE] = "";

    if (name == NULL)
        return "{}";
    for (const vdit_preset *preset = family->presets; preset->name != NULL; preset++) {
        if (strcmp(preset->name, name) == 0)
            return preset->json;
        list(known, preset->name);
    }
    vdit_run_fail(run, VDIT_ERR_ARGUMENT, "size '%.100s' of %s, expected one of %s", name,
                  family->name, known);
    return NULL;
}

/* Puts KEY=VALUE into keys. A value that is no JSON is a text. */
static void set_key(vdit_run *run, json_t *keys, const char *setting)
{
    size_t length = strcspn(setting, "=");
    json_t *value;
    char *key = vdit_run_alloc(run, length + 1, 1);

    if (key == NULL)
        return;
    memcpy(key, setting, length);
    key[length] = '\0';
    if (length == 0 || setting[length] != '=') {
        vdit_run_fail(run, VDIT_ERR_ARGUMENT, "setting '%.100s', expected KEY=VALUE", setting);
        return;
    }
    /* A text needs no quotes, which a shell would take; a number, a list or true is what JSON says it is. */
    value = json_loads(setting + length + 1, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    if (value == NULL)
        value = json_string(setting + length + 1);
    if (value == NULL || json_object_set_new(keys, key, value) != 0)
        vdit_run_fail(run, VDIT_ERR_ARGUMENT, "setting '%.100s', expected UTF-8", setting);
}

/* Returns: the text of a configuration, to be freed, or NULL with the run failed. Later settings replace earlier ones. */
static char *compose(vdit_run *run, const vdit_network *family, const char *preset,
                     const char *const *settings, size_t count)
{
    const char *json = find_preset(run, family, preset);
    json_t *keys = json != NULL ? vdit_json_parse(run, family->name, 0, json, strlen(json)) : NULL;
    char *text = NULL;

    for (size_t i = 0; i < count && vdit_run_status(run) == VDIT_OK; i++)
        set_key(run, keys, settings[i]);
    if (vdit_run_status(run) == VDIT_OK) {
        json_object_set_new(keys, "_class_name", json_string(family->class_name));
        text = json_dumps(keys, 0);
        if (text == NULL)
            vdit_run_fail(run, VDIT_ERR_MEMORY, "%s: no memory for its keys", family->name);
    }
    json_decref(keys);
    return text;
}

vdit_status vdit_model_preset(vdit_run *run, vdit_model **model, const char *family,
                              const char *preset, const char *const *settings, size_t count)
{
    const vdit_network *found;
    char name[200];
    char *text;

    if (vdit_run_status(run) != VDIT_OK || (found = find_family(run, family)) == NULL)
        return vdit_run_status(run);
    text = compose(run, found, preset, settings, count);
    if (text == NULL)
        return vdit_run_status(run);
    snprintf(name, sizeof name, "%s%s%s", family, preset ? " " : "", preset ? preset : "");
    vdit_model_configure(run, model, name, text, strlen(text));
    free(text);
    return vdit_run_status(run);
}
