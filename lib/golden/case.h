/* golden/case.h - a case between JSON and struct. */
#ifndef VDIT_GOLDEN_CASE_H
#define VDIT_GOLDEN_CASE_H

#include <jansson.h>
#include <vdit/golden.h>
#include "golden/text.h"

/* The largest extent, tensor and case of a recipe. */
#define VDIT_CASE_EXTENT 2147483647.0 /* 2^31 - 1 */
#define VDIT_CASE_BYTES  0x1p36       /* 64 GiB a tensor */
#define VDIT_CASE_FLOPS  1e15

/*
 * Reads a case whose dtype and family are single names.
 * Out: c; without a name where the object has none. In: object, where (for messages: "FILE: case 3"),
 * ignored, the keys that are somebody else's (ends with NULL).
 * Returns: VDIT_OK, VDIT_ERR_FORMAT, VDIT_ERR_LIMIT, VDIT_ERR_MEMORY.
 */
vdit_status vdit_case_read(vdit_run *run, vdit_case *c, json_t *object, const char *where,
                           const char *const *ignored);

/* Writes the members of an object, without its braces: all that vdit_case_read reads. */
void vdit_case_write(vdit_text *text, const vdit_case *c);

/* Checks that values fit each other and the limits. In: where (for messages). */
vdit_status vdit_case_check(vdit_run *run, const vdit_case *c, const char *where);

/* Out: c->name = LABEL-FAMILY-DTYPE-SIZE, the label being the operator's name if it is NULL. */
vdit_status vdit_case_name(vdit_run *run, vdit_case *c, const char *label);

/* Returns: 1 if text may be a part of a file name: letters, digits, . _ -, not . or - first. */
int vdit_name_is_safe(const char *text);

/* Out: rows[vdit_case_rows(c)], the computed query rows, ascending. */
void vdit_case_list_rows(int64_t *rows, const vdit_case *c);

#endif
