/* json.h - JSON texts from strangers, through jansson. */
#ifndef VDIT_FILE_JSON_H
#define VDIT_FILE_JSON_H

#include <jansson.h>
#include <vdit/run.h>

/* The longest JSON text that is taken: the limit that the safetensors format sets its headers. */
#define VDIT_JSON_LIMIT ((size_t)100 * 1000 * 1000)

/*
 * Parses one object or array. A name that an object holds twice, a NUL character and a nesting
 * beyond jansson's limit (2,048) are errors.
 * In: text[size], and for the message the path and the offset of the text in that file.
 * Returns: a new reference, or NULL with the run failed, the message naming offset, line and
 * column.
 */
json_t *vdit_json_parse(vdit_run *run, const char *path, size_t offset, const void *text,
                        size_t size);

/* The same for a whole file. */
json_t *vdit_json_load(vdit_run *run, const char *path);

#endif
