/* golden.c - finding tensors of a golden, writing and closing its files. */
#include <stdio.h>
#include <string.h>
#include "golden/layout.h"

#define MOST_META 10

static const vdit_tensor *find(const vdit_named *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i].tensor;
    return NULL;
}

const vdit_tensor *vdit_golden_find(const vdit_golden *golden, const char *name)
{
    const vdit_tensor *t = find(golden->inputs, golden->input_count, name);

    return t ? t : find(golden->outputs, golden->output_count, name);
}

/* Metadata that are made of numbers. */
typedef struct numbers {
    char scale[40], video[80], text[24];
} numbers;

/* Out: meta, room for MOST_META; numbers. Returns: how many there are. */
static size_t list_meta(vdit_meta *meta, numbers *n, const vdit_golden *golden)
{
    const vdit_tokens *t = &golden->tokens;
    size_t count = 0;

    meta[count++] = (vdit_meta){"op", vdit_operator_name(golden->op)};
    meta[count++] = (vdit_meta){"case", golden->name};
    meta[count++] = (vdit_meta){"contract", golden->contract->name};
    if (golden->op != VDIT_OP_ATTENTION)
        return count;
    snprintf(n->scale, sizeof n->scale, "%.17g", golden->scale);
    snprintf(n->video, sizeof n->video, "%zu,%zu,%zu", t->frames, t->height, t->width);
    snprintf(n->text, sizeof n->text, "%zu", t->text);
    meta[count++] = (vdit_meta){"scale", n->scale};
    if (golden->axes != VDIT_AXES_BHND)
        meta[count++] = (vdit_meta){"layout", vdit_axes_name(golden->axes)};
    if (t->frames != 0)
        meta[count++] = (vdit_meta){"video", n->video};
    if (t->text != 0)
        meta[count++] = (vdit_meta){"text", n->text};
    if (t->text_first)
        meta[count++] = (vdit_meta){"text_first", "true"};
    if (golden->plan != NULL)
        meta[count++] = (vdit_meta){"plan", golden->plan};
    if (golden->meters != NULL)
        meta[count++] = (vdit_meta){"meters", golden->meters};
    return count;
}

vdit_status vdit_golden_write(vdit_run *run, const vdit_golden *golden, const char *in,
                              const char *out)
{
    vdit_named stored[VDIT_GOLDEN_INPUTS + VDIT_GOLDEN_OUTPUTS];
    vdit_meta meta[MOST_META];
    numbers n;
    size_t meta_count = list_meta(meta, &n, golden);

    if (in != NULL && vdit_run_status(run) == VDIT_OK)
        vdit_safetensors_write(run, in, stored, vdit_layout_store(stored, golden, 0), meta,
                               meta_count);
    if (out != NULL && vdit_run_status(run) == VDIT_OK)
        vdit_safetensors_write(run, out, stored, vdit_layout_store(stored, golden, 1), meta, 3);
    return vdit_run_status(run);
}

void vdit_golden_close(vdit_golden *golden)
{
    vdit_file_close(golden->in);
    vdit_file_close(golden->out);
    golden->in = golden->out = NULL;
    golden->input_count = golden->output_count = 0;
}
