/*
 * npz_write.c - writes an npz archive: a zip of npy arrays, stored or deflated.
 *
 * Times are fixed, so that a stored archive is a function of the tensors alone; a deflated one depends
 * on the zlib in use too.
 */
#include "config.h"
#include <stdio.h>
#include <string.h>
#include <zip.h>
#include "file/dense.h"
#include "file/internal.h"
#include "file/npy.h"
#include "file/writer.h"

/* 1 January 1980, the first day of zip. */
#define DOS_DATE ((1 << 5) | 1)

/* zlib's own default level. */
#define DEFLATE_LEVEL 6

/* An array as the stream that libzip reads: its header, then its data. */
typedef struct array {
    const char *name, *entry_name; /* of the tensor, and with .npy */
    const vdit_tensor *tensor;
    unsigned char header[VDIT_NPY_HEADER];
    size_t header_size, header_done;
    vdit_dense stream;
    zip_error_t error;
} array;

static size_t read_array(array *a, unsigned char *out, size_t size)
{
    size_t left = a->header_size - a->header_done, used = size < left ? size : left;

    memcpy(out, a->header + a->header_done, used);
    a->header_done += used;
    return used + vdit_dense_read(&a->stream, out + used, size - used);
}

static void restart(array *a)
{
    a->header_done = 0;
    a->stream = vdit_dense_start(a->tensor);
}

/* libzip's view of an array. */
static zip_int64_t serve(void *state, void *data, zip_uint64_t size, zip_source_cmd_t command)
{
    array *a = state;
    zip_stat_t *facts = data;

    switch (command) {
    case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE,
                                              ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE,
                                              -1);
    case ZIP_SOURCE_OPEN:
        restart(a);
        return 0;
    case ZIP_SOURCE_READ:
        return (zip_int64_t)read_array(a, data, (size_t)size);
    case ZIP_SOURCE_STAT:
        zip_stat_init(facts);
        facts->size = a->header_size + vdit_dense_start(a->tensor).size;
        facts->valid = ZIP_STAT_SIZE;
        return sizeof *facts;
    case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&a->error, data, size);
    case ZIP_SOURCE_CLOSE:
    case ZIP_SOURCE_FREE:
        return 0;
    default:
        zip_error_set(&a->error, ZIP_ER_OPNOTSUPP, 0);
        return -1;
    }
}

/* Records what libzip says: its memory, a full disk, or a name that cannot be. */
static vdit_status fail(const vdit_writer *writer, const char *name, zip_error_t *error)
{
    int code = zip_error_code_zip(error);
    vdit_status status = code == ZIP_ER_MEMORY                           ? VDIT_ERR_MEMORY
                         : code == ZIP_ER_INVAL || code == ZIP_ER_EXISTS ? VDIT_ERR_ARGUMENT
                                                                         : VDIT_ERR_IO;

    if (name == NULL)
        return vdit_file_fail(writer->run, status, writer->path, NULL, "cannot write: %s",
                              zip_error_strerror(error));
    return vdit_file_fail(writer->run, status, writer->path, name,
                          "cannot be put into a zip (its name is taken or not UTF-8?): %s",
                          zip_error_strerror(error));
}

static vdit_status add_array(const vdit_writer *writer, zip_t *archive, array *a, int deflate)
{
    zip_source_t *source = zip_source_function(archive, serve, a);
    zip_int64_t i = -1;

    if (source != NULL)
        i = zip_file_add(archive, a->entry_name, source, ZIP_FL_ENC_UTF_8);
    if (i < 0) {
        zip_source_free(source);
        return fail(writer, a->name, zip_get_error(archive));
    }
    if (zip_set_file_compression(archive, (zip_uint64_t)i, deflate ? ZIP_CM_DEFLATE : ZIP_CM_STORE,
                                 deflate ? DEFLATE_LEVEL : 0) != 0 ||
        zip_file_set_dostime(archive, (zip_uint64_t)i, 0, DOS_DATE, 0) != 0)
        return fail(writer, a->name, zip_get_error(archive));
    return VDIT_OK;
}

/* Writes the archive over the writer's temporary. */
static vdit_status write_archive(const vdit_writer *writer, array *arrays, size_t count,
                                 int deflate)
{
    int code;
    zip_t *archive = zip_open(writer->temporary, ZIP_CREATE | ZIP_TRUNCATE, &code);
    zip_error_t error;

    if (archive == NULL) {
        zip_error_init_with_code(&error, code);
        fail(writer, NULL, &error);
        zip_error_fini(&error);
        return vdit_run_status(writer->run);
    }
    for (size_t i = 0; i < count && vdit_run_status(writer->run) == VDIT_OK; i++)
        add_array(writer, archive, &arrays[i], deflate);
    if (vdit_run_status(writer->run) == VDIT_OK && zip_close(archive) == 0)
        return VDIT_OK;
    fail(writer, NULL, zip_get_error(archive)); /* no word against an earlier failure */
    zip_discard(archive);
    return vdit_run_status(writer->run);
}

/* Out: the array of a tensor. */
static vdit_status prepare(vdit_run *run, const char *path, array *a, const vdit_named *named)
{
    size_t size = strlen(named->name) + sizeof ".npy";
    char *name = vdit_run_alloc(run, size, 1);

    if (name == NULL)
        return vdit_run_status(run);
    snprintf(name, size, "%s.npy", named->name);
    a->name = named->name;
    a->entry_name = name;
    a->tensor = &named->tensor;
    zip_error_init(&a->error);
    return vdit_npy_build(run, a->header, &a->header_size, path, named->name, a->tensor);
}

/* An archive without entries, which libzip does not write: the end record alone. */
static vdit_status write_empty(vdit_writer *writer)
{
    static const unsigned char end_record[22] = {'P', 'K', 5, 6};

    return vdit_writer_bytes(writer, end_record, sizeof end_record);
}

vdit_status vdit_npz_write(vdit_run *run, const char *path, const vdit_named *tensors, size_t count,
                           int deflate)
{
    size_t mark = vdit_run_mark(run);
    array *arrays = vdit_run_alloc(run, count, sizeof *arrays);
    vdit_writer writer;

    for (size_t i = 0; i < count && vdit_run_status(run) == VDIT_OK; i++)
        prepare(run, path, &arrays[i], &tensors[i]);
    if (vdit_writer_open(run, &writer, path) == VDIT_OK) {
        if (writer.temporary == NULL)
            vdit_run_fail(run, VDIT_ERR_UNSUPPORTED,
                          "%s: a device or pipe, expected a regular file", path);
        else if (count == 0)
            write_empty(&writer);
        else
            write_archive(&writer, arrays, count, deflate);
    }
    vdit_writer_close(&writer);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
