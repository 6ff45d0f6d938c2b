/* safetensors_stream.c - a safetensors file whose tensors come one after another. */
#include <string.h>
#include "file/safetensors.h"
#include "file/safetensors_stream.h"

#define ALIGNMENT 8 /* of the data's start */

size_t vdit_safetensors_room(const char *name, int rank)
{
    /* a letter may take six bytes (\u0001), a number 20 and its comma */
    return 6 * strlen(name) + 96 + 21 * ((size_t)rank + 2);
}

vdit_status vdit_safetensors_begin(vdit_run *run, vdit_safetensors_stream *stream, const char *path,
                                   size_t room)
{
    static const char spaces[] = "                                                                ";
    size_t left;

    *stream = (vdit_safetensors_stream){.room = room + (ALIGNMENT - room % ALIGNMENT) % ALIGNMENT};
    if (vdit_writer_open(run, &stream->writer, path) != VDIT_OK)
        return vdit_run_status(run);
    stream->header = json_object();
    if (stream->header == NULL)
        return vdit_run_fail(run, VDIT_ERR_MEMORY, "%s: no memory for the header", path);
    if (stream->writer.temporary == NULL)
        return vdit_run_fail(run, VDIT_ERR_UNSUPPORTED, "%s: not a file: expected one", path);
    for (left = stream->room + 8; left >= sizeof spaces - 1; left -= sizeof spaces - 1)
        vdit_writer_bytes(&stream->writer, spaces, sizeof spaces - 1);
    return vdit_writer_bytes(&stream->writer, spaces, left);
}

vdit_status vdit_safetensors_add(vdit_safetensors_stream *stream, const char *name,
                                 const vdit_tensor *tensor, uint64_t *at)
{
    vdit_run *run = stream->writer.run;
    const vdit_named named = {name, *tensor};
    json_int_t begin = (json_int_t)stream->bytes;

    if (vdit_run_status(run) != VDIT_OK ||
        vdit_safetensors_place(run, stream->writer.path, stream->header, &named, &begin) != VDIT_OK)
        return vdit_run_status(run);
    if (at != NULL)
        *at = stream->bytes;
    stream->bytes = (uint64_t)begin;
    return vdit_writer_tensor(&stream->writer, tensor);
}

vdit_status vdit_safetensors_again(vdit_safetensors_stream *stream, uint64_t at, void *bytes,
                                   size_t size)
{
    return vdit_writer_read(&stream->writer, 8 + stream->room + at, bytes, size);
}

/* Puts the header into its room. */
static void fill_header(vdit_safetensors_stream *stream, const vdit_meta *meta, size_t count)
{
    vdit_run *run = stream->writer.run;
    const char *path = stream->writer.path;
    json_t *pairs = vdit_safetensors_meta(run, path, meta, count);
    unsigned char prefix[8];
    char *text = vdit_run_alloc(run, stream->room, 1);
    size_t length;

    if (json_object_set(stream->header, VDIT_SAFETENSORS_META, pairs) != 0)
        vdit_run_fail(run, VDIT_ERR_MEMORY, "%s: no memory for the header", path);
    json_decref(pairs);
    if (vdit_run_status(run) != VDIT_OK)
        return;
    memset(text, ' ', stream->room);
    length = json_dumpb(stream->header, text, stream->room, JSON_COMPACT);
    if (length == 0 || length > stream->room)
        vdit_run_fail(run, VDIT_ERR_LIMIT, "%s: a header of %zu bytes, expected at most %zu", path,
                      length, stream->room);
    for (int i = 0; i < 8; i++)
        prefix[i] = (unsigned char)((uint64_t)stream->room >> 8 * i);
    vdit_writer_again(&stream->writer, 0, prefix, sizeof prefix);
    vdit_writer_again(&stream->writer, 8, text, stream->room);
}

vdit_status vdit_safetensors_end(vdit_safetensors_stream *stream, const vdit_meta *meta,
                                 size_t count)
{
    if (vdit_run_status(stream->writer.run) == VDIT_OK)
        fill_header(stream, meta, count);
    json_decref(stream->header);
    stream->header = NULL;
    return vdit_writer_close(&stream->writer);
}
