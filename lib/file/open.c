/* open.c - which format a file has, told from its first bytes, and opening it. */
#include <string.h>
#include "base/internal.h"
#include "file/internal.h"

/*
 * JSON starts with a brace or white space. So can the length that starts a safetensors file, but
 * its upper four bytes are 0 for every permitted length, and JSON text holds no NUL.
 */
static int is_json(const vdit_source *source)
{
    return source->size > 0 && strchr("{ \t\r\n", source->bytes[0]) != NULL &&
           source->bytes[0] != '\0' &&
           memchr(source->bytes, 0, source->size < 8 ? source->size : 8) == NULL;
}

static int starts_with(const vdit_source *source, const char *magic, size_t size)
{
    return source->size >= size && memcmp(source->bytes, magic, size) == 0;
}

static vdit_reader *reader_of(const vdit_source *source)
{
    if (starts_with(source, "\x93NUMPY", 6))
        return vdit_npy_read;
    if (starts_with(source, "PK\3\4", 4) || starts_with(source, "PK\5\6", 4))
        return vdit_npz_read;
    return is_json(source) ? vdit_index_read : vdit_safetensors_read;
}

/* An empty file object, or NULL with the run failed. */
static vdit_file *new_file(vdit_run *run)
{
    vdit_run *memory = vdit_run_new_like(run);
    vdit_file *file;

    if (memory == NULL)
        return NULL;
    file = vdit_run_alloc(memory, 1, sizeof *file);
    if (file == NULL) {
        vdit_run_fail(run, vdit_run_status(memory), "%s", vdit_run_message(memory));
        vdit_run_free(memory);
        return NULL;
    }
    memset(file, 0, sizeof *file);
    file->memory = memory;
    return file;
}

/* Reads the source if all went well so far; on failure closes the file. Out: file on success. */
static vdit_status finish(vdit_run *run, vdit_file **file, const vdit_source *source,
                          vdit_file *made, vdit_reader *reader)
{
    if (vdit_run_status(run) == VDIT_OK)
        (reader != NULL ? reader : reader_of(source))(source);
    if (vdit_run_status(run) == VDIT_OK)
        vdit_file_seal(run, made, source->path);
    if (vdit_run_status(run) == VDIT_OK)
        *file = made;
    else
        vdit_file_close(made);
    return vdit_run_status(run);
}

vdit_status vdit_file_open(vdit_run *run, vdit_file **file, const char *path)
{
    vdit_file *made = new_file(run);
    vdit_source source;

    if (made == NULL)
        return vdit_run_status(run);
    vdit_file_map(run, made, &source, path);
    return finish(run, file, &source, made, NULL);
}

vdit_status vdit_file_open_bytes(vdit_run *run, vdit_file **file, const char *path,
                                 const void *bytes, size_t size, vdit_reader *reader)
{
    vdit_file *made = new_file(run);
    vdit_source source = {run, made, path, bytes, size, 0};

    if (made == NULL)
        return vdit_run_status(run);
    return finish(run, file, &source, made, reader);
}

vdit_status vdit_file_hold(vdit_run *run, vdit_file **file, const char *path,
                           const vdit_named *tensors, size_t count)
{
    vdit_file *made = new_file(run);
    vdit_source source = {run, made, path, NULL, 0, 0};

    for (size_t i = 0; made != NULL && i < count && vdit_run_status(run) == VDIT_OK; i++) {
        vdit_tensor t = tensors[i].tensor;

        t.data = vdit_file_alloc(run, made, vdit_tensor_count(&t), vdit_dtype_size(t.dtype));
        if (t.data != NULL)
            vdit_file_add(&source, tensors[i].name, &t);
    }
    if (vdit_run_status(run) == VDIT_OK)
        vdit_file_seal(run, made, path);
    if (vdit_run_status(run) == VDIT_OK)
        *file = made;
    else
        vdit_file_close(made);
    return vdit_run_status(run);
}
