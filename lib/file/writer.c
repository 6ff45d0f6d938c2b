/* writer.c - writes a file atomically. */
#include "config.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "file/dense.h"
#include "file/writer.h"

/* Names of temporaries that are tried: each taken one is another writer's or a crash's. */
#define ATTEMPTS 1000

static vdit_status fail(const vdit_writer *writer, const char *what)
{
    return vdit_run_fail(writer->run, VDIT_ERR_IO, "%s: cannot %s: %s", writer->path, what,
                         strerror(errno));
}

static char *copy_text(vdit_run *run, const char *text)
{
    char *copy = vdit_run_alloc(run, strlen(text) + 1, 1);

    return copy != NULL ? strcpy(copy, text) : NULL;
}

/* Finds the target behind symbolic links. Out: facts, if it exists. Returns: 1 if it exists. */
static int find_target(vdit_writer *writer, struct stat *facts)
{
    int exists = stat(writer->path, facts) == 0;
    char *resolved = exists ? realpath(writer->path, NULL) : NULL;

    writer->target = copy_text(writer->run, resolved != NULL ? resolved : writer->path);
    free(resolved);
    return exists;
}

/* Creates a file of a name not yet taken in the target's folder, with the permissions of any new
 * one. */
static void create_temporary(vdit_writer *writer)
{
    const char *slash = strrchr(writer->target, '/');
    size_t folder = slash != NULL ? (size_t)(slash - writer->target) + 1 : 0;
    size_t size = folder + 64;
    char *name = vdit_run_alloc(writer->run, size, 1);

    if (name == NULL)
        return;
    for (int i = 0; i < ATTEMPTS && writer->descriptor < 0; i++) {
        memcpy(name, writer->target, folder);
        snprintf(name + folder, size - folder, ".vdit-%ld-%d.tmp", (long)getpid(), i);
        writer->descriptor = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (writer->descriptor < 0 && errno != EEXIST)
            break;
    }
    if (writer->descriptor >= 0)
        writer->temporary = name;
}

vdit_status vdit_writer_open(vdit_run *run, vdit_writer *writer, const char *path)
{
    struct stat facts;
    int exists;

    *writer = (vdit_writer){run, path, NULL, NULL, -1, vdit_run_mark(run)};
    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    exists = find_target(writer, &facts);
    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    if (exists && !S_ISREG(facts.st_mode))
        writer->descriptor = open(writer->target, O_WRONLY | O_CLOEXEC);
    else
        create_temporary(writer);
    if (writer->descriptor < 0)
        return fail(writer, "create");
    return VDIT_OK;
}

vdit_status vdit_writer_bytes(vdit_writer *writer, const void *bytes, size_t size)
{
    const char *at = bytes;

    while (size > 0 && vdit_run_status(writer->run) == VDIT_OK) {
        size_t piece =
            size < (size_t)1 << 30 ? size : (size_t)1 << 30; /* some systems cap a write */
        ssize_t written = write(writer->descriptor, at, piece);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return fail(writer, "write");
        at += written;
        size -= (size_t)written;
    }
    return vdit_run_status(writer->run);
}

vdit_status vdit_writer_tensor(vdit_writer *writer, const vdit_tensor *tensor)
{
    vdit_dense stream = vdit_dense_start(tensor);
    char buffer[65536];
    size_t size;

    if (vdit_tensor_is_dense(tensor) && !vdit_bytes_differ(vdit_dtype_size(tensor->dtype), 0))
        return vdit_writer_bytes(writer, tensor->data, stream.size);
    while ((size = vdit_dense_read(&stream, buffer, sizeof buffer)) > 0)
        if (vdit_writer_bytes(writer, buffer, size) != VDIT_OK)
            break;
    return vdit_run_status(writer->run);
}

vdit_status vdit_writer_again(vdit_writer *writer, uint64_t at, const void *bytes, size_t size)
{
    off_t end;

    if (vdit_run_status(writer->run) != VDIT_OK)
        return vdit_run_status(writer->run);
    end = lseek(writer->descriptor, 0, SEEK_CUR);
    if (end < 0 || lseek(writer->descriptor, (off_t)at, SEEK_SET) < 0)
        return fail(writer, "seek");
    vdit_writer_bytes(writer, bytes, size);
    if (lseek(writer->descriptor, end, SEEK_SET) < 0)
        return fail(writer, "seek");
    return vdit_run_status(writer->run);
}

vdit_status vdit_writer_read(vdit_writer *writer, uint64_t at, void *bytes, size_t size)
{
    char *to = bytes;

    while (size > 0 && vdit_run_status(writer->run) == VDIT_OK) {
        ssize_t got = pread(writer->descriptor, to, size, (off_t)at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return fail(writer, "read");
        to += got;
        at += (uint64_t)got;
        size -= (size_t)got;
    }
    return vdit_run_status(writer->run);
}

vdit_status vdit_writer_close(vdit_writer *writer)
{
    /* A network file system may report a full disk only here. */
    if (writer->descriptor >= 0 && close(writer->descriptor) != 0)
        fail(writer, "write");
    if (writer->temporary != NULL && vdit_run_status(writer->run) == VDIT_OK &&
        rename(writer->temporary, writer->target) != 0)
        fail(writer, "put in place");
    if (writer->temporary != NULL && vdit_run_status(writer->run) != VDIT_OK)
        unlink(writer->temporary);
    vdit_run_release(writer->run, writer->mark);
    return vdit_run_status(writer->run);
}
