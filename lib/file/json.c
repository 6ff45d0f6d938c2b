/* json.c - JSON texts from strangers, through jansson. */
#include "file/json.h"
#include "file/mapping.h"

json_t *vdit_json_parse(vdit_run *run, const char *path, size_t offset, const void *text,
                        size_t size)
{
    json_error_t error = {0}; /* jansson leaves its code unset at times */
    json_t *value;

    if (vdit_run_status(run) != VDIT_OK)
        return NULL;
    if (size > VDIT_JSON_LIMIT) {
        vdit_run_fail(run, VDIT_ERR_LIMIT, "%s: %zu bytes of JSON, expected at most %zu", path,
                      size, VDIT_JSON_LIMIT);
        return NULL;
    }
    value = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (value != NULL)
        return value;
    /* Before its first character jansson runs out of memory without a word. */
    if (json_error_code(&error) == json_error_out_of_memory || error.text[0] == '\0')
        vdit_run_fail(run, VDIT_ERR_MEMORY, "%s: no memory for %zu bytes of JSON", path, size);
    else
        vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: offset %zu (line %d, column %d): not JSON: %s",
                      path, offset + (size_t)error.position, error.line, error.column, error.text);
    return NULL;
}

json_t *vdit_json_load(vdit_run *run, const char *path)
{
    vdit_mapping mapping;
    json_t *value;

    if (vdit_mapping_open(run, &mapping, path) != VDIT_OK)
        return NULL;
    value = vdit_json_parse(run, path, 0, mapping.bytes, mapping.size);
    vdit_mapping_close(&mapping);
    return value;
}
