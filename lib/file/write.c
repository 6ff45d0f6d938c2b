/* write.c - writers by suffix, and of plain bytes. */
#include <string.h>
#include "file/internal.h"
#include "file/writer.h"

vdit_status vdit_bytes_write(vdit_run *run, const char *path, const void *bytes, size_t size)
{
    vdit_writer writer;

    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    if (vdit_writer_open(run, &writer, path) == VDIT_OK)
        vdit_writer_bytes(&writer, bytes, size);
    return vdit_writer_close(&writer);
}
