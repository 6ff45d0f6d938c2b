/*
 * writer.h - writes a file atomically: into a temporary beside the target, renamed at the end.
 *
 * A failure, at any point, removes the temporary and leaves an existing target as it was. A target
 * that exists and is a device or a pipe is written to directly: there is nothing to keep.
 */
#ifndef VDIT_FILE_WRITER_H
#define VDIT_FILE_WRITER_H

#include <vdit/tensor.h>

typedef struct vdit_writer {
    vdit_run *run;
    const char *path; /* as the caller gave it, for messages */
    char *target;     /* what path means: the file behind a symbolic link */
    char *temporary;  /* NULL: the target is written directly */
    int descriptor;
    size_t mark; /* of the run's memory, before this writer */
} vdit_writer;

/*
 * Out: writer, to be closed even if this fails. In: path.
 * Returns: VDIT_OK, VDIT_ERR_IO, VDIT_ERR_MEMORY.
 */
vdit_status vdit_writer_open(vdit_run *run, vdit_writer *writer, const char *path);

/* Appends bytes[size], or the tensor's dense row-major little-endian bytes. */
vdit_status vdit_writer_bytes(vdit_writer *writer, const void *bytes, size_t size);
vdit_status vdit_writer_tensor(vdit_writer *writer, const vdit_tensor *tensor);

/*
 * Writes over, or reads, bytes[size] from a place on that were appended before. For a temporary alone: a pipe has
 * no places. Out, In: bytes. Returns: VDIT_OK, VDIT_ERR_IO.
 */
vdit_status vdit_writer_again(vdit_writer *writer, uint64_t at, const void *bytes, size_t size);
vdit_status vdit_writer_read(vdit_writer *writer, uint64_t at, void *bytes, size_t size);

/*
 * If nothing failed since vdit_writer_open, puts the file in place; else removes what there is of
 * it. Frees memory that the run allocated since the opening. Returns: VDIT_OK or the failure.
 */
vdit_status vdit_writer_close(vdit_writer *writer);

#endif
