/*
 * npz_read.c - reads an npz archive: a zip of npy arrays, stored or deflated, named NAME.npy.
 *
 * An archive of a few bytes may claim, or truly hold, any size. So before memory is asked for, an
 * entry's size must be one that its compressed bytes can make, the entries together must not take more
 * compressed bytes than the file has, and the size must be what the entry's own npy header says.
 */
#include "config.h"
#include <string.h>
#include <unistd.h>
#include <zip.h>
#include "file/dense.h"
#include "file/internal.h"
#include "file/npy.h"

/*
 * Deflate makes at most 1,032 bytes of one: a match gives at most 258 bytes and takes at least two
 * bits, one for its length and one for its distance (RFC 1951, section 3.2.5).
 */
#define DEFLATE_RATIO 1032

/* What is known of an entry before it is opened, and what all entries took so far. */
typedef struct entry {
    const char *name; /* without .npy */
    zip_uint64_t index, size;
} entry;

typedef struct total {
    uint64_t size, packed;
} total;

static vdit_status zip_status(int code)
{
    return code == ZIP_ER_MEMORY ? VDIT_ERR_MEMORY : VDIT_ERR_FORMAT;
}

/* Bytes of memory that this machine has; no limit where the system does not say. */
static uint64_t machine_memory(void)
{
#if defined _SC_PHYS_PAGES && defined _SC_PAGESIZE
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

    if (pages > 0 && size > 0)
        return (uint64_t)pages * (uint64_t)size;
#endif
    return UINT64_MAX;
}

/* The name of an entry, without its suffix, in the run's memory; NULL with the run failed. */
static char *tensor_name(const vdit_source *source, const char *name)
{
    size_t size = strlen(name);
    char *copy;

    if (size < 4 || strcmp(name + size - 4, ".npy") != 0) {
        vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, NULL,
                       "zip entry \"%.200s\", expected a name that ends in .npy", name);
        return NULL;
    }
    copy = vdit_run_alloc(source->run, size - 3, 1);
    if (copy != NULL) {
        memcpy(copy, name, size - 4);
        copy[size - 4] = '\0';
    }
    return copy;
}

/* Whether the sizes of an entry can be true. In, Out: all, the sizes of the entries before, and it. */
static vdit_status check_sizes(const vdit_source *source, const char *name, const zip_stat_t *facts,
                               total *all)
{
    uint64_t packed = facts->comp_size,
             ratio = facts->comp_method == ZIP_CM_STORE ? 1 : DEFLATE_RATIO;
    uint64_t memory = machine_memory();

    if (packed > source->size - all->packed)
        return vdit_file_fail(
            source->run, VDIT_ERR_FORMAT, source->path, name,
            "%ju compressed bytes, expected at most %ju, what the entries before left",
            (uintmax_t)packed, (uintmax_t)(source->size - all->packed));
    if (facts->size / ratio > packed || (ratio == 1 && facts->size != packed))
        return vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, name,
                              "%ju bytes declared, expected at most %ju from %ju compressed bytes",
                              (uintmax_t)facts->size, (uintmax_t)(packed * ratio),
                              (uintmax_t)packed);
    all->packed += packed;
    if (facts->size > PTRDIFF_MAX || facts->size > memory - all->size)
        return vdit_file_fail(
            source->run, VDIT_ERR_LIMIT, source->path, name,
            "%ju bytes declared, expected at most the machine's memory of %ju for "
            "all tensors together",
            (uintmax_t)facts->size, (uintmax_t)memory);
    all->size += facts->size;
    return VDIT_OK;
}

static vdit_status check_entry(const vdit_source *source, const char *name, const zip_stat_t *facts,
                               total *all)
{
    const zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;

    if ((facts->valid & needed) != needed)
        return vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, name,
                              "zip entry without a size");
    if ((facts->valid & ZIP_STAT_ENCRYPTION_METHOD) && facts->encryption_method != ZIP_EM_NONE)
        return vdit_file_fail(source->run, VDIT_ERR_UNSUPPORTED, source->path, name,
                              "zip entry is encrypted, expected plain");
    if (facts->comp_method != ZIP_CM_STORE && facts->comp_method != ZIP_CM_DEFLATE)
        return vdit_file_fail(source->run, VDIT_ERR_UNSUPPORTED, source->path, name,
                              "zip method %d, expected 0 (stored) or 8 (deflated)",
                              facts->comp_method);
    return check_sizes(source, name, facts, all);
}

static vdit_status fail_read(const vdit_source *source, const char *name, zip_file_t *open,
                             uint64_t offset)
{
    int code = zip_error_code_zip(zip_file_get_error(open));

    return vdit_file_fail(source->run, zip_status(code), source->path, name, "offset %ju: %s",
                          (uintmax_t)offset, code ? zip_file_strerror(open) : "data ends early");
}

/* Out: size bytes of the entry at to. In: their offset in the entry, for messages. */
static vdit_status read_bytes(const vdit_source *source, const char *name, zip_file_t *open,
                              void *to, size_t size, size_t offset)
{
    for (size_t done = 0; done < size;) {
        zip_int64_t got = zip_fread(open, (char *)to + done, size - done);

        if (got <= 0)
            return fail_read(source, name, open, offset + done);
        done += (size_t)got;
    }
    return VDIT_OK;
}

/* The header of an opened entry. Out: npy, start (the offset of the data). */
static vdit_status read_header(const vdit_source *source, const entry *e, zip_file_t *open,
                               vdit_npy *npy, size_t *start)
{
    unsigned char probe[VDIT_NPY_PROBE], *header;
    size_t size = e->size < sizeof probe ? (size_t)e->size : sizeof probe;

    if (read_bytes(source, e->name, open, probe, size, 0) != VDIT_OK ||
        vdit_npy_header_size(source->run, start, source->path, e->name, probe, size) != VDIT_OK)
        return vdit_run_status(source->run);
    if (*start > e->size || *start < size)
        return vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, e->name,
                              "offset 8: header up to offset %zu in an entry of %ju bytes", *start,
                              (uintmax_t)e->size);
    header = vdit_run_alloc(source->run, *start, 1);
    if (header == NULL)
        return vdit_run_status(source->run);
    memcpy(header, probe, size);
    if (read_bytes(source, e->name, open, header + size, *start - size, size) != VDIT_OK)
        return vdit_run_status(source->run);
    return vdit_npy_parse(source->run, npy, source->path, e->name, header, *start);
}

/* The data of an opened entry, and that nothing follows it: reading past its end checks the CRC. */
static vdit_status read_data(const vdit_source *source, const entry *e, zip_file_t *open,
                             vdit_npy *npy, size_t start)
{
    size_t size = vdit_dtype_size(npy->tensor.dtype);
    char extra;
    void *data = vdit_file_alloc(source->run, source->file, npy->bytes, 1);

    if (data == NULL || read_bytes(source, e->name, open, data, npy->bytes, start) != VDIT_OK)
        return vdit_run_status(source->run);
    switch (zip_fread(open, &extra, 1)) {
    case 0:
        break;
    case 1:
        return vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, e->name,
                              "data goes on at offset %ju, expected its end", (uintmax_t)e->size);
    default:
        return fail_read(source, e->name, open, e->size);
    }
    vdit_bytes_to_host(data, npy->bytes / size, size, npy->big_endian);
    npy->tensor.data = data;
    return VDIT_OK;
}

static vdit_status read_opened(const vdit_source *source, const entry *e, zip_file_t *open)
{
    size_t start = 0;
    vdit_npy npy;

    if (read_header(source, e, open, &npy, &start) != VDIT_OK)
        return vdit_run_status(source->run);
    if (e->size - start != npy.bytes)
        return vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, e->name,
                              "%ju bytes of data at offset %zu, expected %zu from the shape",
                              (uintmax_t)(e->size - start), start, npy.bytes);
    if (read_data(source, e, open, &npy, start) != VDIT_OK ||
        vdit_file_check_bool(source, e->name, &npy.tensor) != VDIT_OK)
        return vdit_run_status(source->run);
    return vdit_file_add(source, e->name, &npy.tensor);
}

static vdit_status read_entry(const vdit_source *source, zip_t *archive, zip_uint64_t i, total *all)
{
    vdit_run *run = source->run;
    zip_stat_t facts;
    zip_file_t *open;
    entry e;

    if (zip_stat_index(archive, i, 0, &facts) != 0 || !(facts.valid & ZIP_STAT_NAME))
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: zip entry %ju: %s", source->path,
                             (uintmax_t)i, zip_strerror(archive));
    e = (entry){tensor_name(source, facts.name), i, facts.size};
    if (e.name == NULL || check_entry(source, e.name, &facts, all) != VDIT_OK)
        return vdit_run_status(run);
    open = zip_fopen_index(archive, i, 0);
    if (open == NULL)
        return vdit_file_fail(run, zip_status(zip_error_code_zip(zip_get_error(archive))),
                              source->path, e.name, "zip entry: %s", zip_strerror(archive));
    read_opened(source, &e, open);
    zip_fclose(open);
    return vdit_run_status(run);
}

static void read_entries(const vdit_source *source, zip_t *archive)
{
    zip_uint64_t count = (zip_uint64_t)zip_get_num_entries(archive, 0);
    size_t mark = vdit_run_mark(source->run);
    total all = {0, 0};

    for (zip_uint64_t i = 0; i < count; i++) {
        vdit_status status = read_entry(source, archive, i, &all);

        vdit_run_release(source->run, mark);
        if (status != VDIT_OK)
            return;
    }
}

vdit_status vdit_npz_read(const vdit_source *source)
{
    zip_error_t error;
    zip_source_t *bytes;
    zip_t *archive;

    zip_error_init(&error);
    bytes = zip_source_buffer_create(source->bytes, source->size, 0, &error);
    archive = bytes != NULL ? zip_open_from_source(bytes, ZIP_RDONLY, &error) : NULL;
    if (archive == NULL) {
        vdit_file_fail(source->run, zip_status(zip_error_code_zip(&error)), source->path, NULL,
                       "not an npz archive: %s", zip_error_strerror(&error));
        zip_source_free(bytes);
    } else {
        read_entries(source, archive);
        zip_discard(archive); /* and bytes with it */
    }
    zip_error_fini(&error);
    return vdit_run_status(source->run);
}
