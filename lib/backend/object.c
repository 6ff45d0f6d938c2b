/*
 * object.c - the segments of an ELF file against its length.
 *
 * Places of the fields are those of Elf32_Ehdr, Elf64_Ehdr, Elf32_Phdr and Elf64_Phdr in the System V ABI.
 */
#include "backend/object.h"
#include <stdio.h>
#include <string.h>

#define HEADER_BYTES 64 /* of Elf64_Ehdr, the larger one */
#define ENTRY_BYTES  56 /* of Elf64_Phdr, the larger one */
#define PT_LOAD      1  /* a segment that is mapped */

/* Where a field lies in the 64-bit and in the 32-bit struct, and how many bytes it has. */
typedef struct field {
    size_t at64, size64, at32, size32;
} field;

static const field entries_at = {32, 8, 28, 4}, entry_size = {54, 2, 42, 2},
                   entry_count = {56, 2, 44, 2}, kind = {0, 4, 0, 4}, offset = {8, 8, 4, 4},
                   length = {32, 8, 16, 4};

/* An open file and how its numbers are written. */
typedef struct object {
    FILE *file;
    int is_64, is_little;
} object;

static uint64_t get(const object *o, const unsigned char *bytes, const field *f)
{
    size_t at = o->is_64 ? f->at64 : f->at32, size = o->is_64 ? f->size64 : f->size32;
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++)
        value = value << 8 | bytes[at + (o->is_little ? size - 1 - i : i)];
    return value;
}

/* Returns: where the last mapped segment ends, or the table of segments itself. */
static uint64_t needed_bytes(const object *o, const unsigned char *header, uint64_t size)
{
    uint64_t table = get(o, header, &entries_at), step = get(o, header, &entry_size);
    uint64_t count = get(o, header, &entry_count), needed = table + count * step;
    unsigned char entry[ENTRY_BYTES];
    size_t bytes = o->is_64 ? ENTRY_BYTES : 32;

    for (uint64_t i = 0; table < size && needed <= size && i < count; i++) {
        uint64_t end;

        if (fseek(o->file, (long)(table + i * step), SEEK_SET) != 0 ||
            fread(entry, 1, bytes, o->file) != bytes)
            return size + 1;
        end = get(o, entry, &offset) + get(o, entry, &length);
        if (get(o, entry, &kind) == PT_LOAD && end > needed)
            needed = end;
    }
    return needed;
}

vdit_status vdit_object_check(vdit_run *run, const char *path)
{
    unsigned char header[HEADER_BYTES];
    object o = {fopen(path, "rb"), 0, 0};
    uint64_t needed = 0;
    long size = 0;

    if (o.file == NULL)
        return VDIT_OK;
    if (fread(header, 1, sizeof header, o.file) == sizeof header &&
        memcmp(header, "\177ELF", 4) == 0 && fseek(o.file, 0, SEEK_END) == 0 &&
        (size = ftell(o.file)) > 0) {
        o.is_64 = header[4] == 2;
        o.is_little = header[5] == 1;
        needed = needed_bytes(&o, header, (uint64_t)size);
    }
    fclose(o.file);
    if (needed > (uint64_t)(size > 0 ? size : 0))
        return vdit_run_fail(run, VDIT_ERR_FORMAT,
                             "%s: cut off: %ld bytes, and its segments end beyond them", path,
                             size);
    return VDIT_OK;
}
