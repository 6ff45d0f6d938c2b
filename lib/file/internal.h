/*
 * internal.h - what an open file is made of, for the readers of each format.
 *
 * The memory of an open file belongs to a run of its own, so that the file may be closed before or
 * after the run that opened it is freed, and whatever scopes that one has.
 */
#ifndef VDIT_FILE_INTERNAL_H
#define VDIT_FILE_INTERNAL_H

#include <vdit/file.h>
#include "file/mapping.h"

/* One tensor: its name, and which of the mapped files it came from. */
typedef struct vdit_entry {
    char *name;
    vdit_tensor tensor;
    size_t part;
} vdit_entry;

struct vdit_file {
    vdit_run *memory; /* owns all below and this struct */
    vdit_mapping *parts;
    size_t part_count;
    vdit_entry *entries;
    size_t count;
    const vdit_entry **by_name; /* entries, sorted; made by vdit_file_seal */
    vdit_meta *meta;
    size_t meta_count;
    size_t part_room, entry_room, meta_room;
};

/* What a reader of a format works on: the bytes of one part of a file. */
typedef struct vdit_source {
    vdit_run *run;
    vdit_file *file;
    const char *path; /* for messages, and for what lies beside it */
    const unsigned char *bytes;
    size_t size;
    size_t part;
} vdit_source;

/*
 * Records "PATH: tensor "NAME": ..." (without the middle where name is NULL); returns the status.
 * A long name is cut.
 */
vdit_status vdit_file_fail(vdit_run *run, vdit_status status, const char *path, const char *name,
                           const char *format, ...) VDIT_PRINTF(5, 6);

/* Memory of the file, aligned to 64. Returns: NULL with the run failed. */
void *vdit_file_alloc(vdit_run *run, vdit_file *file, size_t count, size_t size);

/* Maps a file as the next part. Out: source. Returns: VDIT_OK or the failure. */
vdit_status vdit_file_map(vdit_run *run, vdit_file *file, vdit_source *source, const char *path);

/* Adds a tensor under a copy of the name, of the part that source is. */
vdit_status vdit_file_add(const vdit_source *source, const char *name, const vdit_tensor *tensor);

/* Adds a copy of a metadata pair; of two with one key the first is found. */
vdit_status vdit_file_add_meta(const vdit_source *source, const char *key, const char *value);

/* After the last tensor: makes names searchable. Two tensors of one name are an error. */
vdit_status vdit_file_seal(vdit_run *run, vdit_file *file, const char *path);

/* Returns: the entry of that name, or NULL. The file is sealed. */
const vdit_entry *vdit_file_entry(const vdit_file *file, const char *name);

/*
 * Describes little-endian (or, with big, big-endian) elements at bytes as a tensor, in place where
 * alignment and byte order allow it, else as a copy in the file's memory.
 * Out: data. In: count elements of dtype. Returns: VDIT_OK, VDIT_ERR_MEMORY.
 */
vdit_status vdit_file_adopt(const vdit_source *source, void **data, const unsigned char *bytes,
                            vdit_dtype dtype, size_t count, int big);

/* Checks that every element of a bool tensor is 0 or 1. */
vdit_status vdit_file_check_bool(const vdit_source *source, const char *name,
                                 const vdit_tensor *tensor);

/* A reader of one format: adds all tensors of the source to its file. */
typedef vdit_status vdit_reader(const vdit_source *source);

vdit_reader vdit_safetensors_read, vdit_index_read, vdit_npy_read, vdit_npz_read;

/*
 * As vdit_file_open, on bytes that the caller keeps until the file is closed, by the given reader or,
 * where it is NULL, the one that the content asks for.
 */
vdit_status vdit_file_open_bytes(vdit_run *run, vdit_file **file, const char *path,
                                 const void *bytes, size_t size, vdit_reader *reader);

/*
 * A file of tensors in its own memory, not cleared, for the caller to fill. Out: file. In: path, for messages; tensors
 * without data.
 */
vdit_status vdit_file_hold(vdit_run *run, vdit_file **file, const char *path,
                           const vdit_named *tensors, size_t count);

#endif
