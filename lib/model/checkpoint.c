/* checkpoint.c - finds a checkpoint's files, and compares what they hold with what the network asks for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "file/folder.h"
#include "file/mapping.h"
#include "model/checkpoint.h"

/* Returns: the folder that holds config.json, NULL with the run failed. */
static const char *find_folder(vdit_run *run, const char *folder)
{
    char *inner = vdit_folder_join(run, folder, "transformer");

    if (vdit_path_exists(vdit_folder_join(run, folder, VDIT_CONFIG_NAME)))
        return folder;
    if (inner != NULL && vdit_path_exists(vdit_folder_join(run, inner, VDIT_CONFIG_NAME)))
        return inner;
    vdit_run_fail(run, VDIT_ERR_IO,
                  "%s: expected a folder with " VDIT_CONFIG_NAME ", here or in transformer/",
                  folder);
    return NULL;
}

vdit_status vdit_checkpoint_find(vdit_run *run, vdit_checkpoint_paths *paths, const char *folder)
{
    static const char *const names[] = {
        VDIT_WEIGHTS_STEM ".safetensors.index.json",      VDIT_WEIGHTS_STEM ".safetensors",
        VDIT_WEIGHTS_STEM ".safetensors.index.fp32.json", VDIT_WEIGHTS_STEM ".fp32.safetensors",
        VDIT_WEIGHTS_STEM ".safetensors.index.bf16.json", VDIT_WEIGHTS_STEM ".bf16.safetensors",
        VDIT_WEIGHTS_STEM ".safetensors.index.fp16.json", VDIT_WEIGHTS_STEM ".fp16.safetensors",
    };
    const char *found = find_folder(run, folder);

    if (found == NULL)
        return vdit_run_status(run);
    paths->config = vdit_folder_join(run, found, VDIT_CONFIG_NAME);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        paths->weights = vdit_folder_join(run, found, names[i]);
        if (vdit_path_exists(paths->weights))
            return vdit_run_status(run);
    }
    return vdit_run_fail(
        run, VDIT_ERR_IO,
        "%s: expected weights as " VDIT_WEIGHTS_STEM ".safetensors, whole or in shards", found);
}

/* The faults of a checkpoint: the first is told, the others are counted. */
typedef struct faults {
    size_t count;
    char first[600];
} faults;

/* In: the tensor's name, and what is wrong with it. */
static void add_fault(faults *f, const char *name, const char *what)
{
    if (f->count++ == 0)
        snprintf(f->first, sizeof f->first, "tensor \"%.250s\" %s", name, what);
}

static int same_shape(const vdit_tensor *a, const vdit_tensor *b)
{
    int same = a->rank == b->rank;

    for (int i = 0; same && i < a->rank; i++)
        same = a->shape[i] == b->shape[i];
    return same;
}

/* Compares one weight with what is found under its name. */
static void check_weight(faults *f, const vdit_name_info *wanted, const vdit_tensor *found)
{
    char what[300], expected[120], given[120];

    vdit_tensor_shape_text(expected, sizeof expected, &wanted->tensor);
    if (found == NULL) {
        snprintf(what, sizeof what, "is missing, expected shape %s", expected);
        add_fault(f, wanted->name, what);
    } else if (!same_shape(&wanted->tensor, found)) {
        snprintf(what, sizeof what, "has shape %s, expected %s",
                 vdit_tensor_shape_text(given, sizeof given, found), expected);
        add_fault(f, wanted->name, what);
    } else if (found->dtype != VDIT_F32 && found->dtype != VDIT_BF16 && found->dtype != VDIT_F16) {
        snprintf(what, sizeof what, "is %s, expected f32, bf16 or f16",
                 vdit_dtype_name(found->dtype));
        add_fault(f, wanted->name, what);
    }
}

/* For qsort and bsearch over pointers to names. */
static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of the file that the network does not ask for: they may belong to a part that is not offered. */
static void find_unknown(vdit_run *run, faults *f, const vdit_file *file,
                         const vdit_model_survey *survey)
{
    size_t count = survey->weight_count;
    const char **known = vdit_run_alloc(run, count, sizeof *known);

    if (known == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        known[i] = survey->weights[i].name;
    qsort(known, count, sizeof *known, compare_names);
    for (size_t i = 0; i < vdit_file_count(file); i++) {
        const char *name = vdit_file_name(file, i);

        if (bsearch(&name, known, count, sizeof *known, compare_names) == NULL)
            add_fault(f, name, "is unknown to this network");
    }
}

vdit_status vdit_checkpoint_check(vdit_run *run, const vdit_model *model, const char *path)
{
    vdit_extents smallest = vdit_model_smallest(model);
    vdit_model_survey survey;
    faults f = {0, ""};

    if (vdit_model_survey_of(run, model, &smallest, VDIT_F32, &survey) != VDIT_OK)
        return vdit_run_status(run);
    for (size_t i = 0; i < survey.weight_count; i++)
        check_weight(&f, &survey.weights[i],
                     vdit_file_find(model->weights, survey.weights[i].name));
    find_unknown(run, &f, model->weights, &survey);
    if (f.count == 1)
        vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: %s", path, f.first);
    else if (f.count > 1)
        vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: %s; and %zu more such faults", path, f.first,
                      f.count - 1);
    return vdit_run_status(run);
}
