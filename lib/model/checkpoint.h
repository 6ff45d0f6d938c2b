/* model/checkpoint.h - the files of a checkpoint folder in the layout of diffusers, and what must be in them. */
#ifndef VDIT_MODEL_CHECKPOINT_H
#define VDIT_MODEL_CHECKPOINT_H

#include "file/shards.h"
#include "model/family.h"

#define VDIT_CONFIG_NAME  "config.json"
#define VDIT_WEIGHTS_STEM "diffusion_pytorch_model"

/* Where a checkpoint's files are, in the run's memory. */
typedef struct vdit_checkpoint_paths {
    const char *config;  /* config.json */
    const char *weights; /* one safetensors file, or the index of its shards */
} vdit_checkpoint_paths;

/*
 * Finds them in a folder, or in its folder transformer/ as in a pipeline's. Of several files of weights an index is
 * taken before a file, and the plain name before those of the variants fp32, bf16 and fp16.
 * Out: paths. Returns: VDIT_OK, VDIT_ERR_IO.
 */
vdit_status vdit_checkpoint_find(vdit_run *run, vdit_checkpoint_paths *paths, const char *folder);

/*
 * Compares the names, shapes and dtypes of model->weights with what the network asks for. In: path, for messages.
 * Returns: VDIT_OK, or VDIT_ERR_FORMAT with the first difference and how many there are.
 */
vdit_status vdit_checkpoint_check(vdit_run *run, const vdit_model *model, const char *path);

/* Out: names[count], what a checkpoint of the model holds, all in dtype, without data, in the run's memory. */
vdit_status vdit_checkpoint_names(vdit_run *run, const vdit_model *model, vdit_dtype dtype,
                                  vdit_named **names, size_t *count);

/*
 * Makes a folder with the model's configuration and weights that fill makes. In: tensors[count] without data.
 * Returns: VDIT_OK, or the failure with nothing left.
 */
vdit_status vdit_checkpoint_write(vdit_run *run, const vdit_model *model, const char *folder,
                                  const vdit_named *tensors, size_t count, size_t shard_size,
                                  vdit_fill_fn *fill, void *state);

#endif
