/* shards.h - tensors too many for memory or for one file: streamed, in shards with an index. */
#ifndef VDIT_FILE_SHARDS_H
#define VDIT_FILE_SHARDS_H

#include <vdit/file.h>

/*
 * Makes elements of a tensor. Out: out[count], of its dtype: its elements first, first + 1, ... in row-major order.
 * In: its number. Asked for each element once, in order. Returns: VDIT_OK, or the failure of the run.
 */
typedef vdit_status vdit_fill_fn(void *state, size_t tensor, size_t first, size_t count, void *out);

/* As vdit_safetensors_write; the data of tensors is not looked at but made by fill. */
vdit_status vdit_safetensors_fill(vdit_run *run, const char *path, const vdit_named *tensors,
                                  size_t count, const vdit_meta *meta, size_t meta_count,
                                  vdit_fill_fn *fill, void *state);

/*
 * Writes into a folder STEM.safetensors, or where the data exceed shard_size bytes STEM-00001-of-0000N.safetensors, ...
 * of at most so many (or one tensor), and STEM.safetensors.index.json. The metadata is {"format": "pt"}, as PyTorch's.
 * Returns: VDIT_OK, or the failure with none of these files left.
 */
vdit_status vdit_shards_write(vdit_run *run, const char *folder, const char *stem,
                              const vdit_named *tensors, size_t count, size_t shard_size,
                              vdit_fill_fn *fill, void *state);

/* Removes these files, as far as they are there. */
void vdit_shards_remove(const char *folder, const char *stem, const vdit_named *tensors,
                        size_t count, size_t shard_size);

#endif
