/* model.c - a model: a family's configuration, and the checkpoint that fits it. */
#include <stdio.h>
#include <string.h>
#include "base/internal.h"
#include "file/mapping.h"
#include "model/checkpoint.h"
#include "model/family.h"

void vdit_model_close(vdit_model *model)
{
    if (model == NULL)
        return;
    vdit_file_close(model->weights);
    vdit_run_free(model->memory); /* and with it the model */
}

const char *vdit_model_family(const vdit_model *model)
{
    return model->family->name;
}

const char *vdit_model_configuration(const vdit_model *model)
{
    return model->effective;
}

const vdit_file *vdit_model_weights(const vdit_model *model)
{
    return model->weights;
}

vdit_extents vdit_model_smallest(const vdit_model *model)
{
    return model->family->smallest(model->config);
}

/* An empty model, or NULL with the run failed. */
static vdit_model *new_model(vdit_run *run, const char *path)
{
    vdit_run *memory = vdit_run_new_like(run);
    vdit_model *model = NULL;
    char *copy = NULL;

    if (memory != NULL) {
        model = vdit_run_alloc(memory, 1, sizeof *model);
        copy = vdit_run_alloc(memory, strlen(path) + 1, 1);
    }
    if (copy == NULL) {
        vdit_run_fail(run, VDIT_ERR_MEMORY, "%s: no memory for the model", path);
        vdit_run_free(memory);
        return NULL;
    }
    *model = (vdit_model){.memory = memory, .path = strcpy(copy, path)};
    return model;
}

/* Returns: the family of that class, or NULL with the run failed. */
static const vdit_network *find_family(vdit_run *run, const char *name, const char *class_name)
{
    const vdit_network *family;
    char known[400] = "";

    for (size_t i = 0; (family = vdit_network_at(i)) != NULL; i++) {
        size_t length = strlen(known);

        if (class_name != NULL && strcmp(class_name, family->class_name) == 0)
            return family;
        snprintf(known + length, sizeof known - length, "%s%s", i > 0 ? ", " : "",
                 family->class_name);
    }
    vdit_run_fail(run, class_name ? VDIT_ERR_UNSUPPORTED : VDIT_ERR_FORMAT,
                  "%s: key \"_class_name\": %.100s, expected one of %s", name,
                  class_name ? class_name : "missing", known);
    return NULL;
}

/* Reads all keys into the model. Every refusal fails the run; the first one stands. */
static void configure(vdit_run *run, vdit_model *model, vdit_config *keys)
{
    model->family = find_family(run, model->path, vdit_config_class(keys));
    if (model->family == NULL)
        return;
    model->config = vdit_run_alloc(model->memory, 1, model->family->config_size);
    if (model->config == NULL) {
        vdit_run_fail(run, VDIT_ERR_MEMORY, "%s: no memory for the model", model->path);
        return;
    }
    memset(model->config, 0, model->family->config_size);
    model->family->configure(keys, model->config);
    vdit_config_check(keys);
    model->effective = vdit_config_effective(model->memory, keys, model->family->class_name);
    if (model->effective == NULL)
        vdit_run_fail(run, VDIT_ERR_MEMORY, "%s: no memory for the model", model->path);
}

/* Out: model if the run has not failed; else it is closed. */
static vdit_status finish(vdit_run *run, vdit_model **model, vdit_model *made)
{
    if (vdit_run_status(run) == VDIT_OK)
        *model = made;
    else
        vdit_model_close(made);
    return vdit_run_status(run);
}

vdit_status vdit_model_configure(vdit_run *run, vdit_model **model, const char *name,
                                 const char *text, size_t size)
{
    vdit_model *made;
    vdit_config *keys;

    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    made = new_model(run, name);
    if (made == NULL)
        return vdit_run_status(run);
    keys = vdit_config_open(run, made->memory, made->path, text, size);
    if (keys != NULL)
        configure(run, made, keys);
    vdit_config_close(keys);
    return finish(run, model, made);
}

vdit_status vdit_model_open(vdit_run *run, vdit_model **model, const char *path)
{
    size_t mark = vdit_run_mark(run);
    vdit_checkpoint_paths paths;
    vdit_mapping config;
    vdit_model *made = NULL;

    if (vdit_run_status(run) != VDIT_OK || vdit_checkpoint_find(run, &paths, path) != VDIT_OK ||
        vdit_mapping_open(run, &config, paths.config) != VDIT_OK)
        return vdit_run_status(run);
    vdit_model_configure(run, &made, paths.config, (const char *)config.bytes, config.size);
    vdit_mapping_close(&config);
    /* The survey that the weights are compared with asks the network itself, so no second list can be out of date. */
    if (vdit_run_status(run) == VDIT_OK)
        vdit_file_open(run, &made->weights, paths.weights);
    if (vdit_run_status(run) == VDIT_OK)
        vdit_checkpoint_check(run, made, paths.weights);
    vdit_run_release(run, mark);
    return made != NULL ? finish(run, model, made) : vdit_run_status(run);
}
