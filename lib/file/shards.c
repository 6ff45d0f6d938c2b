/* shards.c - which tensor goes into which shard, the shards, and their index. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "file/folder.h"
#include "file/json.h"
#include "file/shards.h"

#define NAME_SIZE 256

/* A run of tensors in one file, and who makes their data. */
typedef struct part {
    size_t first, count;
    vdit_fill_fn *fill;
    void *state;
} part;

/* In binary64, which holds every size of a file exactly. */
static double bytes_of(const vdit_named *named)
{
    return (double)vdit_tensor_count(&named->tensor) * (double)vdit_dtype_size(named->tensor.dtype);
}

/* Out: p, the shard that begins at p->first. A tensor is never split. */
static void measure(part *p, const vdit_named *tensors, size_t count, size_t shard_size)
{
    double bytes = 0;

    for (p->count = 0; p->first + p->count < count; p->count++) {
        bytes += bytes_of(&tensors[p->first + p->count]);
        if (p->count > 0 && bytes > (double)shard_size)
            return;
    }
}

/* Returns: the number of shards, at least 1. Their names hold it, so they are counted before the first is written. */
static size_t count_shards(const vdit_named *tensors, size_t count, size_t shard_size)
{
    part p = {0, 0, NULL, NULL};
    size_t shards = 0;

    for (; p.first < count; p.first += p.count, shards++)
        measure(&p, tensors, count, shard_size);
    return shards > 0 ? shards : 1;
}

/* Writes the name of shard i (from 0) of so many. Returns: name. */
static char *shard_name(char name[NAME_SIZE], const char *stem, size_t i, size_t shards)
{
    if (shards == 1)
        snprintf(name, NAME_SIZE, "%s.safetensors", stem);
    else
        snprintf(name, NAME_SIZE, "%s-%05zu-of-%05zu.safetensors", stem, i + 1, shards);
    return name;
}

static char *index_name(char name[NAME_SIZE], const char *stem)
{
    snprintf(name, NAME_SIZE, "%s.safetensors.index.json", stem);
    return name;
}

/* The shard's tensors have numbers of their own; fill is asked by those of all. */
static vdit_status fill_shard(void *state, size_t tensor, size_t first, size_t count, void *out)
{
    const part *p = state;

    return p->fill(p->state, p->first + tensor, first, count, out);
}

static void write_shard(vdit_run *run, const char *path, const vdit_named *tensors, part *p)
{
    static const vdit_meta format = {"format", "pt"};

    if (path != NULL)
        vdit_safetensors_fill(run, path, tensors + p->first, p->count, &format, 1, fill_shard, p);
}

static void write_index(vdit_run *run, const char *path, json_t *map, double total)
{
    json_t *index =
        json_pack("{s:{s:I},s:O}", "metadata", "total_size", (json_int_t)total, "weight_map", map);
    char *text = index != NULL ? json_dumps(index, JSON_INDENT(2)) : NULL;

    if (text == NULL)
        vdit_run_fail(run, VDIT_ERR_MEMORY, "%s: no memory for the index", path);
    else
        vdit_bytes_write(run, path, text, strlen(text));
    free(text);
    json_decref(index);
}

vdit_status vdit_shards_write(vdit_run *run, const char *folder, const char *stem,
                              const vdit_named *tensors, size_t count, size_t shard_size,
                              vdit_fill_fn *fill, void *state)
{
    size_t shards = count_shards(tensors, count, shard_size);
    part p = {0, 0, fill, state};
    json_t *map = json_object();
    char name[NAME_SIZE];
    double total = 0;

    for (size_t i = 0; i < shards && vdit_run_status(run) == VDIT_OK; i++, p.first += p.count) {
        measure(&p, tensors, count, shard_size);
        shard_name(name, stem, i, shards);
        write_shard(run, vdit_folder_join(run, folder, name), tensors, &p);
        for (size_t j = p.first; j < p.first + p.count; j++) {
            total += bytes_of(&tensors[j]);
            if (json_object_set_new(map, tensors[j].name, json_string(name)) != 0)
                vdit_run_fail(run, VDIT_ERR_MEMORY, "%s: no memory for the index", folder);
        }
    }
    if (shards > 1 && vdit_run_status(run) == VDIT_OK)
        write_index(run, vdit_folder_join(run, folder, index_name(name, stem)), map, total);
    json_decref(map);
    if (vdit_run_status(run) != VDIT_OK)
        vdit_shards_remove(folder, stem, tensors, count, shard_size);
    return vdit_run_status(run);
}

void vdit_shards_remove(const char *folder, const char *stem, const vdit_named *tensors,
                        size_t count, size_t shard_size)
{
    size_t shards = count_shards(tensors, count, shard_size);
    char name[NAME_SIZE];

    for (size_t i = 0; i < shards; i++)
        vdit_folder_remove_file(folder, shard_name(name, stem, i, shards));
    vdit_folder_remove_file(folder, index_name(name, stem));
}
