/* npy_file.c - a file of one npy array. */
#include "file/internal.h"
#include "file/npy.h"
#include "file/writer.h"

vdit_status vdit_npy_read(const vdit_source *source)
{
    vdit_run *run = source->run;
    size_t probe = source->size < VDIT_NPY_PROBE ? source->size : VDIT_NPY_PROBE, start = 0;
    vdit_npy npy;

    if (vdit_npy_header_size(run, &start, source->path, NULL, source->bytes, probe) != VDIT_OK)
        return vdit_run_status(run);
    if (start > source->size)
        return vdit_file_fail(run, VDIT_ERR_FORMAT, source->path, NULL,
                              "%zu bytes, expected a header up to offset %zu", source->size, start);
    if (vdit_npy_parse(run, &npy, source->path, NULL, source->bytes, start) != VDIT_OK)
        return vdit_run_status(run);
    if (source->size - start != npy.bytes)
        return vdit_file_fail(run, VDIT_ERR_FORMAT, source->path, NULL,
                              "%zu bytes of data at offset %zu, expected %zu from the shape",
                              source->size - start, start, npy.bytes);
    if (vdit_file_adopt(source, &npy.tensor.data, source->bytes + start, npy.tensor.dtype,
                        vdit_tensor_count(&npy.tensor), npy.big_endian) != VDIT_OK ||
        vdit_file_check_bool(source, "", &npy.tensor) != VDIT_OK)
        return vdit_run_status(run);
    return vdit_file_add(source, "", &npy.tensor);
}

vdit_status vdit_npy_write(vdit_run *run, const char *path, const vdit_tensor *tensor)
{
    unsigned char header[VDIT_NPY_HEADER];
    vdit_writer writer;
    size_t size;

    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    if (vdit_npy_build(run, header, &size, path, NULL, tensor) != VDIT_OK)
        return vdit_run_status(run);
    if (vdit_writer_open(run, &writer, path) == VDIT_OK &&
        vdit_writer_bytes(&writer, header, size) == VDIT_OK)
        vdit_writer_tensor(&writer, tensor);
    return vdit_writer_close(&writer);
}
