/*
 * index.c - reads a shard index: {"metadata": {...}, "weight_map": {NAME: FILE, ...}}, where each
 * FILE is a safetensors file in the folder of the index.
 *
 * The index and its shards must agree: each tensor lies in the shard that the index says, and the
 * shards hold no other.
 */
#include <string.h>
#include "file/internal.h"
#include "file/json.h"

/* A shard is beside the index: a name that could lead elsewhere is an attack. */
static int is_plain_name(const char *name)
{
    return name[0] != '\0' && strpbrk(name, "/\\") == NULL && strcmp(name, ".") != 0 &&
           strstr(name, "..") == NULL;
}

/* The name in the folder of the index, in the file's memory. */
static char *beside(const vdit_source *source, const char *name)
{
    const char *slash = strrchr(source->path, '/');
    size_t folder = slash != NULL ? (size_t)(slash - source->path) + 1 : 0;
    char *path = vdit_file_alloc(source->run, source->file, folder + strlen(name) + 1, 1);

    if (path == NULL)
        return NULL;
    memcpy(path, source->path, folder);
    strcpy(path + folder, name);
    return path;
}

/* Strings of the index's metadata are kept; its other values, such as total_size, are not. */
static vdit_status read_meta(const vdit_source *source, json_t *meta)
{
    const char *key;
    json_t *value;

    json_object_foreach(meta, key,
                        value) if (json_is_string(value) &&
                                   vdit_file_add_meta(source, key, json_string_value(value)) !=
                                       VDIT_OK) break;
    return vdit_run_status(source->run);
}

/*
 * Reads the shard that weight_map names for a tensor, unless it was read before.
 * In, Out: parts, which part of the file each shard's name is.
 */
static vdit_status read_shard(const vdit_source *source, const char *tensor, const json_t *value,
                              json_t *parts)
{
    const char *name = json_string_value(value);
    vdit_source shard;
    char *path;

    if (name == NULL || !is_plain_name(name))
        return vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, tensor,
                              "shard \"%.200s\": expected the name of a file beside the index",
                              name != NULL ? name : "");
    if (json_object_get(parts, name) != NULL)
        return VDIT_OK;
    path = beside(source, name);
    if (path == NULL || vdit_file_map(source->run, source->file, &shard, path) != VDIT_OK)
        return vdit_run_status(source->run);
    if (json_object_set_new(parts, name, json_integer((json_int_t)shard.part)) != 0)
        return vdit_run_fail(source->run, VDIT_ERR_MEMORY, "%s: no memory for its shards",
                             source->path);
    return vdit_safetensors_read(&shard);
}

/* After all shards: each tensor of the index must be in its shard, and the shards hold no other. */
static vdit_status check_map(const vdit_source *source, json_t *map, const json_t *parts)
{
    vdit_file *file = source->file;
    const char *name;
    json_t *value;

    if (vdit_file_seal(source->run, file, source->path) != VDIT_OK)
        return vdit_run_status(source->run);
    json_object_foreach(map, name, value)
    {
        const char *shard = json_string_value(value);
        const vdit_entry *entry = vdit_file_entry(file, name);

        if (entry == NULL ||
            json_integer_value(json_object_get(parts, shard)) != (json_int_t)entry->part)
            return vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, name,
                                  "not in the shard \"%.200s\", where the index expects it", shard);
    }
    for (size_t i = 0; i < file->count; i++)
        if (json_object_get(map, file->entries[i].name) == NULL)
            return vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, file->entries[i].name,
                                  "in a shard, expected in the index too");
    return VDIT_OK;
}

static vdit_status read_index(const vdit_source *source, const json_t *index, json_t *parts)
{
    json_t *map = json_object_get(index, "weight_map"), *value;
    const char *name;

    if (!json_is_object(map))
        return vdit_file_fail(source->run, VDIT_ERR_FORMAT, source->path, NULL,
                              "expected an object \"weight_map\" in a shard index");
    if (parts == NULL)
        return vdit_run_fail(source->run, VDIT_ERR_MEMORY, "%s: no memory for its shards",
                             source->path);
    if (read_meta(source, json_object_get(index, "metadata")) != VDIT_OK)
        return vdit_run_status(source->run);
    json_object_foreach(map, name, value) if (read_shard(source, name, value, parts) !=
                                              VDIT_OK) return vdit_run_status(source->run);
    return check_map(source, map, parts);
}

vdit_status vdit_index_read(const vdit_source *source)
{
    json_t *index = vdit_json_parse(source->run, source->path, 0, source->bytes, source->size);
    json_t *parts;

    if (index == NULL)
        return vdit_run_status(source->run);
    parts = json_object();
    read_index(source, index, parts);
    json_decref(parts);
    json_decref(index);
    return vdit_run_status(source->run);
}
