/*
 * safetensors_stream.h - a safetensors file whose tensors come one after another, before anybody knows all of them.
 *
 * The header stands before the data: room for it is left at the start, and what is not needed stays spaces, as the
 * format allows. So tensors are written as they come and none is kept.
 */
#ifndef VDIT_FILE_SAFETENSORS_STREAM_H
#define VDIT_FILE_SAFETENSORS_STREAM_H

#include <jansson.h>
#include <vdit/file.h>
#include "file/writer.h"

/*
 * Adds one tensor to a header, its data at offset begin. Out: begin, moved past the data. In: path, for messages.
 */
vdit_status vdit_safetensors_place(vdit_run *run, const char *path, json_t *header,
                                   const vdit_named *named, json_int_t *begin);

/* Returns: the metadata object, empty if there is none; a new reference, or NULL with the run failed. */
json_t *vdit_safetensors_meta(vdit_run *run, const char *path, const vdit_meta *meta, size_t count);

typedef struct vdit_safetensors_stream {
    vdit_writer writer;
    json_t *header;
    size_t room;    /* bytes of the header, spaces included */
    uint64_t bytes; /* of data so far */
} vdit_safetensors_stream;

/* Returns: room that suffices for a tensor's part of the header. */
size_t vdit_safetensors_room(const char *name, int rank);

/*
 * Out: stream, to be closed even if this fails. In: path, of a file that can be written anywhere in (no pipe); room,
 * for the header with its metadata. Returns: VDIT_OK, VDIT_ERR_IO, VDIT_ERR_UNSUPPORTED, VDIT_ERR_MEMORY.
 */
vdit_status vdit_safetensors_begin(vdit_run *run, vdit_safetensors_stream *stream, const char *path,
                                   size_t room);

/* Writes a tensor. Out: at, its place in the data, unless NULL. */
vdit_status vdit_safetensors_add(vdit_safetensors_stream *stream, const char *name,
                                 const vdit_tensor *tensor, uint64_t *at);

/* Out: bytes[size] of the data, from a place on, as they stand in the file. */
vdit_status vdit_safetensors_again(vdit_safetensors_stream *stream, uint64_t at, void *bytes,
                                   size_t size);

/* If nothing failed since the beginning writes the header and puts the file in place; else removes it. */
vdit_status vdit_safetensors_end(vdit_safetensors_stream *stream, const vdit_meta *meta,
                                 size_t count);

#endif
