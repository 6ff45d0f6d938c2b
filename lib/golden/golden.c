/* golden.c - finding tensors of a golden, writing and closing its files. */
#include <stdio.h>
#include <string.h>
#include "golden/layout.h"

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

vdit_status vdit_golden_write(vdit_run *run, const vdit_golden *golden, const char *in,
                              const char *out)
{
    char scale[40];
    const vdit_meta meta[] = {{"op", vdit_operator_name(golden->op)},
                              {"case", golden->name},
                              {"contract", golden->contract->name},
                              {"scale", scale},
                              {"layout", vdit_axes_name(golden->axes)}};
    size_t meta_count = golden->op != VDIT_OP_ATTENTION ? 3 : golden->axes ? 5 : 4;
    vdit_named stored[VDIT_GOLDEN_INPUTS + VDIT_GOLDEN_OUTPUTS];

    snprintf(scale, sizeof scale, "%.17g", golden->scale);
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
