/* model.h - the parts of vdit-model: the command line, and its commands. */
#ifndef MODEL_H
#define MODEL_H

#include <jansson.h>
#include <vdit/model.h>

/* The command line; what is not given is 0 or NULL. */
typedef struct model_settings {
    const char *output, *size, *video, *dtype;
    size_t seed, shard_size, text, batch;
    int threads, tensors, activations, no_scan, json;
} model_settings;

/* What follows the command's name. */
typedef struct model_operands {
    char **list;
    size_t count;
} model_operands;

/* A command. Returns: the exit status. */
typedef int model_command(vdit_run *run, const model_settings *set, model_operands operands);

model_command model_init, model_convert, model_inspect, model_sites, model_estimate;

/* Returns: the one operand; fails with what was expected if there is another number of them. */
const char *model_only(model_operands operands, const char *expected);

/* Returns: --dtype, or the one that is meant without it. */
vdit_dtype model_dtype(const model_settings *set, vdit_dtype missing);

/* Opens a checkpoint folder, or a configuration where path is a file. Fails if it cannot. */
vdit_model *model_open(vdit_run *run, const char *path);

/* Out: extents of a call, from --size or --video, --text and --batch; the smallest ones where none is given. */
void model_extents(vdit_run *run, const vdit_model *model, const model_settings *set,
                   vdit_extents *extents);

/* Prints an object on stdout, and releases it. */
void model_print_json(json_t *object);

/* Returns: a new list of a tensor's extents. */
json_t *model_shape_json(const vdit_tensor *tensor);

/* Returns: "full", "spatial", "temporal", "cross", or "-" for 0. */
const char *model_kind_name(unsigned kind);

#endif
