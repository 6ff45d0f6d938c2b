/* attend_picture.c - the picture of the maps as a PNG file: the heads on a sheet, in reading order. */
#include "config.h"
#include "attend.h"
#include "program.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GAP 2 /* pixels between heads */

/* "mean" or "max", then a scale, and its number. */
typedef struct view {
    const char *result;
    vdit_shading scale;
    double parameter;
} view;

static const struct {
    const char *name;
    vdit_shading scale;
    double usual, least, most;
} scales[] = {{"linear", VDIT_SHADE_LINEAR, 0, 0, 0},
              {"log", VDIT_SHADE_LOG, 4, 1, 300},
              {"clip", VDIT_SHADE_CLIP, 0.99, 0, 1},
              {"threshold", VDIT_SHADE_THRESHOLD, 1, 0, 1e300}};

/* "SCALE" or "SCALE=NUMBER". Returns: 1 if it is one. */
static int read_scale(view *made, const char *text)
{
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        size_t length = strlen(scales[i].name);
        const char *rest = text + length;

        if (strncmp(text, scales[i].name, length) != 0 || (*rest != '\0' && *rest != '='))
            continue;
        made->scale = scales[i].scale;
        made->parameter = scales[i].usual;
        if (*rest == '=') {
            char *end;

            made->parameter = strtod(rest + 1, &end);
            if (end == rest + 1 || *end != '\0' || made->scale == VDIT_SHADE_LINEAR ||
                !(made->parameter >= scales[i].least && made->parameter <= scales[i].most))
                return 0;
        }
        return 1;
    }
    return 0;
}

/* Reads --view: "mean:log=4". */
static view read_view(const char *text)
{
    const char *colon = text != NULL ? strchr(text, ':') : NULL;
    view made = {"picture.mean", VDIT_SHADE_LOG, 4};
    size_t length;

    if (text == NULL)
        return made;
    length = colon != NULL ? (size_t)(colon - text) : strlen(text);
    if (length == 3 && strncmp(text, "max", 3) == 0)
        made.result = "picture.max";
    else if (length != 4 || strncmp(text, "mean", 4) != 0)
        program_fail("--view: '%s' does not begin with mean or max", text);
    if (colon != NULL && !read_scale(&made, colon + 1))
        program_fail("--view: '%s': expected linear, log=DECADES, clip=SHARE or threshold=FACTOR",
                     text);
    return made;
}

void attend_picture_check(const attend_job *job, const char *path)
{
    read_view(job->set->view);
    if (strstr(job->set->meters, "picture") == NULL)
        program_fail("--measures: %s: a picture was expected among --meters", path);
}

/* Returns: all heads of [B,H,Y,X] side by side, as many columns as rows or one more. */
static vdit_tensor make_sheet(attend_job *job, const vdit_tensor *heads)
{
    size_t count = heads->shape[0] * heads->shape[1], Y = heads->shape[2], X = heads->shape[3];
    size_t columns = 1, shape[2];
    const float *from = heads->data;
    vdit_tensor sheet;

    while (columns * columns < count)
        columns++;
    shape[0] = (count + columns - 1) / columns * (Y + GAP) - GAP;
    shape[1] = columns * (X + GAP) - GAP;
    vdit_tensor_new(job->run, &sheet, VDIT_F32, 2, shape);
    program_check(job->run);
    memset(sheet.data, 0, vdit_tensor_count(&sheet) * sizeof(float));
    for (size_t i = 0; i < count; i++)
        for (size_t y = 0; y < Y; y++)
            memcpy((float *)sheet.data + (i / columns * (Y + GAP) + y) * shape[1] +
                       i % columns * (X + GAP),
                   from + (i * Y + y) * X, X * sizeof(float));
    return sheet;
}

/* What is seen, in words. */
static void describe(char *text, size_t size, const attend_job *job, const view *as,
                     const vdit_tensor *heads, const double range[2])
{
    const vdit_tokens *tokens = &job->set->tokens;
    size_t rows = attend_row_count(job), keys = job->k.shape[2], used;

    snprintf(text, size,
             "%s of blocks of %zu queries (down) and %zu keys (across); %zu x %zu heads in reading "
             "order; ",
             as->result, (rows + heads->shape[2] - 1) / heads->shape[2],
             (keys + heads->shape[3] - 1) / heads->shape[3], heads->shape[0], heads->shape[1]);
    used = strlen(text);
    if (as->scale == VDIT_SHADE_THRESHOLD)
        snprintf(text + used, size - used, "black above %.9g/%zu (C65)", as->parameter, keys);
    else
        snprintf(text + used, size - used, "%s scale, white %.9g, black %.9g",
                 scales[as->scale].name, range[0], range[1]);
    used = strlen(text);
    if (tokens->frames > 0)
        snprintf(text + used, size - used, "; tokens %zux%zux%zu video (t, y, x) %s %zu text",
                 tokens->frames, tokens->height, tokens->width,
                 tokens->text_first ? "behind" : "before", tokens->text);
}

void attend_picture_write(attend_job *job, const char *path)
{
    view as = read_view(job->set->view);
    const vdit_tensor *heads = vdit_meter_find(&job->measured, as.result);
    double range[2], parameter = as.parameter;
    char text[512];
    const vdit_meta texts[] = {{"Title", "attention map"},
                               {"Software", "libvdit " PACKAGE_VERSION},
                               {"Description", text}};
    vdit_tensor sheet, image;

    if (heads == NULL || vdit_tensor_count(heads) == 0)
        program_fail("--measures: %s: there is no picture to write", path);
    if (as.scale == VDIT_SHADE_THRESHOLD)
        parameter /= (double)job->k.shape[2];
    sheet = make_sheet(job, heads);
    if (vdit_shade(job->run, &image, &sheet, as.scale, parameter, range) != VDIT_OK)
        return;
    describe(text, sizeof text, job, &as, heads, range);
    vdit_png_write(job->run, path, &image, texts, sizeof texts / sizeof *texts);
}
