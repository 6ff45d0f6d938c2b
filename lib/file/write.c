/* write.c - writers by suffix, and of plain bytes. */
#include <string.h>
#include "file/internal.h"
#include "file/writer.h"

vdit_status vdit_bytes_write(vdit_run *run, const char *path, const void *bytes, size_t size)
{
    vdit_writer writer;

    if (vdit_writer_open(run, &writer, path) == VDIT_OK)
        vdit_writer_bytes(&writer, bytes, size);
    return vdit_writer_close(&writer);
}

static int ends_with(const char *path, const char *suffix)
{
    size_t size = strlen(path), tail = strlen(suffix);

    return size > tail && strcmp(path + size - tail, suffix) == 0;
}

vdit_status vdit_file_write(vdit_run *run, const char *path, const vdit_named *tensors,
                            size_t count)
{
    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    if (ends_with(path, ".safetensors"))
        return vdit_safetensors_write(run, path, tensors, count, NULL, 0);
    if (ends_with(path, ".npz"))
        return vdit_npz_write(run, path, tensors, count, 0);
    if (!ends_with(path, ".npy"))
        return vdit_run_fail(run, VDIT_ERR_ARGUMENT,
                             "%s: expected a name that ends in .safetensors, .npy or .npz", path);
    if (count != 1)
        return vdit_run_fail(
            run, VDIT_ERR_ARGUMENT,
            "%s: %zu tensors, expected one for npy (.npz or .safetensors take more)", path, count);
    return vdit_npy_write(run, path, &tensors[0].tensor);
}
