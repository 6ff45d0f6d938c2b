/* checkpoint_write.c - writes a checkpoint folder, whole or not at all. */
#include <string.h>
#include "file/folder.h"
#include "model/checkpoint.h"

vdit_status vdit_checkpoint_names(vdit_run *run, const vdit_model *model, vdit_dtype dtype,
                                  vdit_named **names, size_t *count)
{
    vdit_extents smallest = vdit_model_smallest(model);
    vdit_model_survey survey;
    vdit_named *made;

    if (vdit_model_survey_of(run, model, &smallest, VDIT_F32, &survey) != VDIT_OK)
        return vdit_run_status(run);
    made = vdit_run_alloc(run, survey.weight_count, sizeof *made);
    if (made == NULL)
        return vdit_run_status(run);
    for (size_t i = 0; i < survey.weight_count; i++) {
        const vdit_tensor *t = &survey.weights[i].tensor;

        made[i].name = survey.weights[i].name;
        made[i].tensor = vdit_tensor_view(NULL, dtype, t->rank, t->shape);
    }
    *names = made;
    *count = survey.weight_count;
    return VDIT_OK;
}

/* The configuration comes last: a folder without one is no checkpoint. */
static void write_config(vdit_run *run, const vdit_model *model, const char *folder)
{
    const char *path = vdit_folder_join(run, folder, VDIT_CONFIG_NAME);
    size_t length = strlen(model->effective);
    char *text = vdit_run_alloc(run, length + 1, 1);

    if (text == NULL)
        return;
    memcpy(text, model->effective, length);
    text[length] = '\n';
    vdit_bytes_write(run, path, text, length + 1);
}

vdit_status vdit_checkpoint_write(vdit_run *run, const vdit_model *model, const char *folder,
                                  const vdit_named *tensors, size_t count, size_t shard_size,
                                  vdit_fill_fn *fill, void *state)
{
    /* A folder that exists is never written into: so all that is in it at a failure is ours to remove. */
    if (vdit_folder_make(run, folder) != VDIT_OK)
        return vdit_run_status(run);
    vdit_shards_write(run, folder, VDIT_WEIGHTS_STEM, tensors, count, shard_size, fill, state);
    if (vdit_run_status(run) == VDIT_OK)
        write_config(run, model, folder);
    if (vdit_run_status(run) != VDIT_OK) {
        vdit_shards_remove(folder, VDIT_WEIGHTS_STEM, tensors, count, shard_size);
        vdit_folder_remove(folder);
    }
    return vdit_run_status(run);
}
