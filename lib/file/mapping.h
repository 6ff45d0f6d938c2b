/* mapping.h - the bytes of a file, read only. */
#ifndef VDIT_FILE_MAPPING_H
#define VDIT_FILE_MAPPING_H

#include <vdit/run.h>

typedef struct vdit_mapping {
    const unsigned char *bytes; /* page-aligned; not NULL, even for an empty file */
    size_t size;
} vdit_mapping;

/*
 * Maps a regular file. Its bytes must not change while it is mapped.
 * Out: mapping. In: path. Returns: VDIT_OK, VDIT_ERR_IO, VDIT_ERR_LIMIT.
 */
vdit_status vdit_mapping_open(vdit_run *run, vdit_mapping *mapping, const char *path);

/* Returns: 1 if the path, which may be NULL, leads to a file or folder. */
int vdit_path_exists(const char *path);

void vdit_mapping_close(const vdit_mapping *mapping);

#endif
