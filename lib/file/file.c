/* file.c - an open file: its memory, its tensors and their names. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/internal.h"
#include "file/dense.h"
#include "file/internal.h"

vdit_status vdit_file_fail(vdit_run *run, vdit_status status, const char *path, const char *name,
                           const char *format, ...)
{
    char what[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    if (name == NULL)
        return vdit_run_fail(run, status, "%s: %s", path, what);
    return vdit_run_fail(run, status, "%s: tensor \"%.200s\": %s", path, name, what);
}

void *vdit_file_alloc(vdit_run *run, vdit_file *file, size_t count, size_t size)
{
    void *made;

    if (vdit_run_status(run) != VDIT_OK)
        return NULL;
    made = vdit_run_alloc(file->memory, count, size);
    if (made == NULL)
        vdit_run_fail(run, vdit_run_status(file->memory), "%s", vdit_run_message(file->memory));
    return made;
}

/*
 * Room for one more item in an array of the file: doubled when full, the old array left to the
 * arena. Returns: the array, perhaps moved, or NULL with the run failed.
 */
static void *make_room(vdit_run *run, vdit_file *file, void *items, size_t count, size_t *room,
                       size_t size)
{
    size_t more = *room ? 2 * *room : 8;
    void *moved;

    if (count < *room)
        return items;
    moved = vdit_file_alloc(run, file, more, size);
    if (moved == NULL)
        return NULL;
    if (count > 0)
        memcpy(moved, items, count * size);
    *room = more;
    return moved;
}

static char *copy_text(vdit_run *run, vdit_file *file, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = vdit_file_alloc(run, file, size, 1);

    if (copy != NULL)
        memcpy(copy, text, size);
    return copy;
}

vdit_status vdit_file_map(vdit_run *run, vdit_file *file, vdit_source *source, const char *path)
{
    vdit_mapping *parts =
        make_room(run, file, file->parts, file->part_count, &file->part_room, sizeof *parts);
    vdit_mapping *part;

    if (parts == NULL)
        return vdit_run_status(run);
    file->parts = parts;
    part = &parts[file->part_count];
    if (vdit_mapping_open(run, part, path) != VDIT_OK)
        return vdit_run_status(run);
    *source = (vdit_source){run, file, path, part->bytes, part->size, file->part_count};
    file->part_count++;
    return VDIT_OK;
}

vdit_status vdit_file_add(const vdit_source *source, const char *name, const vdit_tensor *tensor)
{
    vdit_file *file = source->file;
    vdit_entry *entries = make_room(source->run, file, file->entries, file->count,
                                    &file->entry_room, sizeof *entries);
    char *copy = copy_text(source->run, file, name);

    if (entries == NULL || copy == NULL)
        return vdit_run_status(source->run);
    file->entries = entries;
    entries[file->count++] = (vdit_entry){copy, *tensor, source->part};
    return VDIT_OK;
}

vdit_status vdit_file_add_meta(const vdit_source *source, const char *key, const char *value)
{
    vdit_file *file = source->file;
    vdit_meta *meta;
    char *key_copy, *value_copy;

    meta =
        make_room(source->run, file, file->meta, file->meta_count, &file->meta_room, sizeof *meta);
    key_copy = copy_text(source->run, file, key);
    value_copy = copy_text(source->run, file, value);
    if (meta == NULL || key_copy == NULL || value_copy == NULL)
        return vdit_run_status(source->run);
    file->meta = meta;
    meta[file->meta_count++] = (vdit_meta){key_copy, value_copy};
    return VDIT_OK;
}

static int compare_names(const void *a, const void *b)
{
    const vdit_entry *const *left = a, *const *right = b;

    return strcmp((*left)->name, (*right)->name);
}

vdit_status vdit_file_seal(vdit_run *run, vdit_file *file, const char *path)
{
    const vdit_entry **sorted = vdit_file_alloc(run, file, file->count, sizeof *sorted);

    if (sorted == NULL)
        return vdit_run_status(run);
    for (size_t i = 0; i < file->count; i++)
        sorted[i] = &file->entries[i];
    if (file->count > 0)
        qsort(sorted, file->count, sizeof *sorted, compare_names);
    for (size_t i = 1; i < file->count; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            return vdit_file_fail(run, VDIT_ERR_FORMAT, path, sorted[i]->name,
                                  "there twice, expected one tensor of a name");
    file->by_name = sorted;
    return VDIT_OK;
}

const vdit_entry *vdit_file_entry(const vdit_file *file, const char *name)
{
    size_t low = 0, high = file->count; /* the name is at low <= i < high, if anywhere */

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, file->by_name[middle]->name);

        if (order == 0)
            return file->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

vdit_status vdit_file_adopt(const vdit_source *source, void **data, const unsigned char *bytes,
                            vdit_dtype dtype, size_t count, int big)
{
    size_t size = vdit_dtype_size(dtype);
    void *copy;

    if (!vdit_bytes_differ(size, big) && (uintptr_t)bytes % size == 0) {
        *data = (void *)(uintptr_t)bytes; /* read only: the header says so */
        return VDIT_OK;
    }
    copy = vdit_file_alloc(source->run, source->file, count, size);
    if (copy == NULL)
        return vdit_run_status(source->run);
    if (count > 0)
        memcpy(copy, bytes, count * size);
    vdit_bytes_to_host(copy, count, size, big);
    *data = copy;
    return VDIT_OK;
}

vdit_status vdit_file_check_bool(const vdit_source *source, const char *name,
                                 const vdit_tensor *tensor)
{
    const unsigned char *bytes = tensor->data;
    size_t count = tensor->dtype == VDIT_BOOL ? vdit_tensor_count(tensor) : 0;

    for (size_t i = 0; i < count; i++)
        if (bytes[i] > 1)
            return vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, name,
                                  "byte %zu is %d, expected a bool of 0 or 1", i, bytes[i]);
    return VDIT_OK;
}

void vdit_file_close(vdit_file *file)
{
    if (file == NULL)
        return;
    for (size_t i = 0; i < file->part_count; i++)
        vdit_mapping_close(&file->parts[i]);
    vdit_run_free(file->memory); /* and with it the file */
}

size_t vdit_file_count(const vdit_file *file)
{
    return file->count;
}

const char *vdit_file_name(const vdit_file *file, size_t i)
{
    return file->entries[i].name;
}

const vdit_tensor *vdit_file_tensor(const vdit_file *file, size_t i)
{
    return &file->entries[i].tensor;
}

const vdit_tensor *vdit_file_find(const vdit_file *file, const char *name)
{
    const vdit_entry *entry = vdit_file_entry(file, name);

    return entry != NULL ? &entry->tensor : NULL;
}

const char *vdit_file_meta(const vdit_file *file, const char *key)
{
    for (size_t i = 0; i < file->meta_count; i++)
        if (strcmp(file->meta[i].key, key) == 0)
            return file->meta[i].value;
    return NULL;
}
