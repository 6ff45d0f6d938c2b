/* mapping.c - the bytes of a file, read only. */
#include "config.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "file/mapping.h"

/* An open regular file, or -1 with the run failed. O_NONBLOCK: a FIFO must not block its refusal.
 */
static int open_regular(vdit_run *run, const char *path, struct stat *facts)
{
    int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    if (descriptor < 0) {
        vdit_run_fail(run, VDIT_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
        return -1;
    }
    if (fstat(descriptor, facts) != 0)
        vdit_run_fail(run, VDIT_ERR_IO, "%s: cannot examine: %s", path, strerror(errno));
    else if (!S_ISREG(facts->st_mode))
        vdit_run_fail(run, VDIT_ERR_IO, "%s: %s, expected a regular file", path,
                      S_ISDIR(facts->st_mode) ? "a folder" : "a device, pipe or socket");
    else if ((uintmax_t)facts->st_size > PTRDIFF_MAX)
        vdit_run_fail(run, VDIT_ERR_LIMIT, "%s: %ju bytes cannot be addressed", path,
                      (uintmax_t)facts->st_size);
    else
        return descriptor;
    close(descriptor);
    return -1;
}

int vdit_path_exists(const char *path)
{
    struct stat facts;

    return path != NULL && stat(path, &facts) == 0;
}

vdit_status vdit_mapping_open(vdit_run *run, vdit_mapping *mapping, const char *path)
{
    static const unsigned char nothing[1] = {0};
    struct stat facts;
    int descriptor;
    void *bytes;

    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    descriptor = open_regular(run, path, &facts);
    if (descriptor < 0)
        return vdit_run_status(run);
    if (facts.st_size == 0) { /* mmap refuses a length of 0 */
        mapping->bytes = nothing;
        mapping->size = 0;
        close(descriptor);
        return VDIT_OK;
    }
    bytes = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (bytes == MAP_FAILED)
        vdit_run_fail(run, VDIT_ERR_IO, "%s: cannot map %ju bytes: %s", path,
                      (uintmax_t)facts.st_size, strerror(errno));
    close(descriptor); /* the mapping stays */
    if (bytes == MAP_FAILED)
        return vdit_run_status(run);
    mapping->bytes = bytes;
    mapping->size = (size_t)facts.st_size;
    return VDIT_OK;
}

void vdit_mapping_close(const vdit_mapping *mapping)
{
    if (mapping->size > 0)
        munmap((void *)(uintptr_t)mapping->bytes, mapping->size);
}
