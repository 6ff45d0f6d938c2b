/* safetensors_write.c - writes safetensors: a length, a JSON header, and the tensors one after
 * another. */
#include <string.h>
#include "file/dense.h"
#include "file/internal.h"
#include "file/json.h"
#include "file/safetensors_stream.h"
#include "file/safetensors.h"
#include "file/shards.h"

/* The header is padded with spaces so that the data starts at a multiple of this. */
#define ALIGNMENT 8

/*
 * Adds the one pair of object packed to header under a key that is not there yet; takes packed.
 * In: what the pair is, for messages; the error of packing where packed is NULL.
 */
static vdit_status add_pair(vdit_run *run, const char *path, json_t *header, const char *what,
                            const char *key, json_t *packed, json_error_t *error)
{
    int failed = packed == NULL && json_error_code(error) != json_error_invalid_utf8;

    if (packed == NULL && !failed)
        return vdit_run_fail(run, VDIT_ERR_ARGUMENT, "%s: %s \"%.200s\": expected UTF-8", path,
                             what, key);
    if (packed != NULL && json_object_get(header, key) != NULL)
        vdit_run_fail(run, VDIT_ERR_ARGUMENT, "%s: %s \"%.200s\": given twice", path, what, key);
    else if (failed || json_object_update(header, packed) != 0)
        vdit_run_fail(run, VDIT_ERR_MEMORY, "%s: no memory for the header", path);
    json_decref(packed);
    return vdit_run_status(run);
}

json_t *vdit_safetensors_meta(vdit_run *run, const char *path, const vdit_meta *meta, size_t count)
{
    json_t *object = json_object();
    json_error_t error = {0};

    if (object == NULL)
        vdit_run_fail(run, VDIT_ERR_MEMORY, "%s: no memory for the header", path);
    for (size_t i = 0; i < count && vdit_run_status(run) == VDIT_OK; i++)
        add_pair(run, path, object, "metadata", meta[i].key,
                 json_pack_ex(&error, 0, "{s:s}", meta[i].key, meta[i].value), &error);
    return object;
}

static json_t *pack_shape(const vdit_tensor *tensor)
{
    json_t *shape = json_array();

    for (int i = 0; i < tensor->rank; i++)
        if (json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i])) != 0) {
            json_decref(shape);
            return NULL;
        }
    return shape;
}

vdit_status vdit_safetensors_place(vdit_run *run, const char *path, json_t *header,
                                   const vdit_named *named, json_int_t *begin)
{
    const vdit_tensor *t = &named->tensor;
    json_int_t end = *begin + (json_int_t)(vdit_tensor_count(t) * vdit_dtype_size(t->dtype));
    json_error_t error = {0};
    json_t *packed;

    if (strcmp(named->name, VDIT_SAFETENSORS_META) == 0)
        return vdit_run_fail(run, VDIT_ERR_ARGUMENT,
                             "%s: a tensor may not have the name \"" VDIT_SAFETENSORS_META "\"",
                             path);
    packed = json_pack_ex(&error, 0, "{s:{s:s,s:o,s:[I,I]}}", named->name, "dtype",
                          vdit_safetensors_dtype_name(t->dtype), "shape", pack_shape(t),
                          "data_offsets", *begin, end);
    *begin = end;
    return add_pair(run, path, header, "tensor", named->name, packed, &error);
}

static void build_header(vdit_run *run, const char *path, json_t *header, const vdit_named *tensors,
                         size_t count, const vdit_meta *meta, size_t meta_count)
{
    json_t *pairs = vdit_safetensors_meta(run, path, meta, meta_count);
    json_int_t begin = 0;

    if (meta_count > 0 && json_object_set(header, VDIT_SAFETENSORS_META, pairs) != 0)
        vdit_run_fail(run, VDIT_ERR_MEMORY, "%s: no memory for the header", path);
    json_decref(pairs);
    for (size_t i = 0; i < count && vdit_run_status(run) == VDIT_OK; i++)
        vdit_safetensors_place(run, path, header, &tensors[i], &begin);
}

/* The header as text in the run's memory. Out: length. Returns: NULL with the run failed. */
static char *header_text(vdit_run *run, const char *path, const vdit_named *tensors, size_t count,
                         const vdit_meta *meta, size_t meta_count, size_t *length)
{
    json_t *header = json_object();
    char *text = NULL;

    if (header != NULL)
        build_header(run, path, header, tensors, count, meta, meta_count);
    *length = json_dumpb(header, NULL, 0, JSON_COMPACT);
    if (vdit_run_status(run) == VDIT_OK && *length > 0)
        text = vdit_run_alloc(run, *length, 1);
    if (text != NULL && json_dumpb(header, text, *length, JSON_COMPACT) != *length)
        text = NULL;
    if (text == NULL) /* no word against an earlier failure, which stands */
        vdit_run_fail(run, VDIT_ERR_MEMORY, "%s: no memory for the header", path);
    json_decref(header);
    return text;
}

static void write_header(vdit_writer *writer, const char *text, size_t length)
{
    size_t padding = (ALIGNMENT - length % ALIGNMENT) % ALIGNMENT;
    unsigned char prefix[8];

    for (int i = 0; i < 8; i++)
        prefix[i] = (unsigned char)((uint64_t)(length + padding) >> 8 * i);
    vdit_writer_bytes(writer, prefix, sizeof prefix);
    vdit_writer_bytes(writer, text, length);
    vdit_writer_bytes(writer, "        ", padding);
}

/* Elements that are made and written at once. */
#define BLOCK ((size_t)1 << 20)

/* Writes tensor i as fill makes it. In: block, room for BLOCK elements. */
static void stream_tensor(vdit_writer *writer, const vdit_tensor *t, size_t i, void *block,
                          vdit_fill_fn *fill, void *state)
{
    size_t count = vdit_tensor_count(t), size = vdit_dtype_size(t->dtype);

    for (size_t first = 0; first < count && vdit_run_status(writer->run) == VDIT_OK;
         first += BLOCK) {
        size_t n = count - first < BLOCK ? count - first : BLOCK;

        if (fill(state, i, first, n, block) != VDIT_OK)
            return;
        if (vdit_bytes_differ(size, 0))
            vdit_bytes_to_host(block, n, size, 0); /* the same swap leads back */
        vdit_writer_bytes(writer, block, n * size);
    }
}

/* A file of tensors that fill makes, or that lie in memory where fill is NULL. */
static vdit_status write_file(vdit_run *run, const char *path, const vdit_named *tensors,
                              size_t count, const vdit_meta *meta, size_t meta_count,
                              vdit_fill_fn *fill, void *state)
{
    size_t mark = vdit_run_mark(run), length;
    void *block = NULL;
    vdit_writer writer;
    char *text;

    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    text = header_text(run, path, tensors, count, meta, meta_count, &length);
    if (fill != NULL)
        block = vdit_run_alloc(run, BLOCK, sizeof(uint64_t));
    if (vdit_writer_open(run, &writer, path) == VDIT_OK)
        write_header(&writer, text, length);
    for (size_t i = 0; i < count && vdit_run_status(run) == VDIT_OK; i++)
        if (fill != NULL)
            stream_tensor(&writer, &tensors[i].tensor, i, block, fill, state);
        else
            vdit_writer_tensor(&writer, &tensors[i].tensor);
    vdit_writer_close(&writer);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

vdit_status vdit_safetensors_write(vdit_run *run, const char *path, const vdit_named *tensors,
                                   size_t count, const vdit_meta *meta, size_t meta_count)
{
    return write_file(run, path, tensors, count, meta, meta_count, NULL, NULL);
}

vdit_status vdit_safetensors_fill(vdit_run *run, const char *path, const vdit_named *tensors,
                                  size_t count, const vdit_meta *meta, size_t meta_count,
                                  vdit_fill_fn *fill, void *state)
{
    return write_file(run, path, tensors, count, meta, meta_count, fill, state);
}
