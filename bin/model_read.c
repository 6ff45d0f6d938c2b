/* model_read.c - what the commands of vdit-model have in common: models, extents, small words. */
#include "config.h"
#include "model.h"
#include "program.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CONFIG_LIMIT 1000000 /* bytes; a configuration has about a thousand */

/* What the pipelines of a family pass: rows of the text, and how a video becomes latents. */
static const struct {
    const char *family;
    size_t text, frames,
        pixels; /* frames in one of the latents' after the first, pixels along a side of it */
} usual[] = {
    {"wan", 512, 4, 8},
    {"mochi", 256, 6, 8},
    {"hunyuan", 256, 4, 8},
    {"cogvideox", 226, 4, 8},
};

static size_t find_usual(const vdit_model *model)
{
    size_t i = 0;

    while (i + 1 < sizeof usual / sizeof *usual &&
           strcmp(usual[i].family, vdit_model_family(model)) != 0)
        i++;
    return i;
}

const char *model_only(model_operands operands, const char *expected)
{
    if (operands.count != 1)
        program_fail("expected %s, found %zu arguments; see --help", expected, operands.count);
    return operands.list[0];
}

vdit_dtype model_dtype(const model_settings *set, vdit_dtype missing)
{
    vdit_dtype dtype = missing;

    if (set->dtype != NULL &&
        (!vdit_dtype_find(&dtype, set->dtype) || !vdit_dtype_is_float(dtype) || dtype == VDIT_F64))
        program_fail("--dtype: '%s' is none of f32, bf16, f16", set->dtype);
    return dtype;
}

/* Reads a configuration alone. */
static void configure(vdit_run *run, vdit_model **model, const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = vdit_run_alloc(run, CONFIG_LIMIT + 1, 1);
    size_t size;

    program_check(run);
    if (file == NULL)
        program_fail("%s: cannot open: %s", path, strerror(errno));
    size = fread(text, 1, CONFIG_LIMIT + 1, file);
    if (ferror(file))
        program_fail("%s: cannot read: %s", path, strerror(errno));
    fclose(file);
    if (size > CONFIG_LIMIT)
        program_fail("%s: more than %d bytes, expected a config.json", path, CONFIG_LIMIT);
    vdit_model_configure(run, model, path, text, size);
}

vdit_model *model_open(vdit_run *run, const char *path)
{
    vdit_model *model = NULL;
    struct stat facts;

    if (stat(path, &facts) == 0 && !S_ISDIR(facts.st_mode))
        configure(run, &model, path);
    else
        vdit_model_open(run, &model, path);
    program_check(run);
    return model;
}

void model_extents(vdit_run *run, const vdit_model *model, const model_settings *set,
                   vdit_extents *extents)
{
    size_t kind = find_usual(model), three[3];
    vdit_model_inputs inputs;

    *extents = vdit_model_smallest(model);
    if (set->size != NULL && set->video != NULL)
        program_fail("--size and --video: expected one of them");
    if (set->size != NULL) {
        program_grid(three, "size", set->size);
    } else if (set->video != NULL) {
        program_grid(three, "video", set->video);
        three[0] = (three[0] - 1) / usual[kind].frames + 1;
        three[1] /= usual[kind].pixels;
        three[2] /= usual[kind].pixels;
    }
    if (set->size != NULL || set->video != NULL) {
        extents->frames = three[0];
        extents->height = three[1];
        extents->width = three[2];
    }
    if (set->text > 0)
        extents->text = set->text;
    else if (extents->text <= 1) /* a table does not say how many */
        extents->text = usual[kind].text;
    extents->batch = set->batch;
    vdit_model_inputs_of(run, model, extents, &inputs);
    program_check(run);
}

void model_print_json(json_t *object)
{
    json_dumpf(object, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(object);
}

json_t *model_shape_json(const vdit_tensor *tensor)
{
    json_t *shape = json_array();

    for (int i = 0; i < tensor->rank; i++)
        json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i]));
    return shape;
}

const char *model_kind_name(unsigned kind)
{
    return kind == VDIT_KIND_FULL       ? "full"
           : kind == VDIT_KIND_SPATIAL  ? "spatial"
           : kind == VDIT_KIND_TEMPORAL ? "temporal"
           : kind == VDIT_KIND_CROSS    ? "cross"
                                        : "-";
}
