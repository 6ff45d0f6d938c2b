/* golden.c - finding tensors of a golden, and closing its files. */
#include <string.h>
#include <vdit/golden.h>

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

void vdit_golden_close(vdit_golden *golden)
{
    vdit_file_close(golden->in);
    vdit_file_close(golden->out);
    golden->in = golden->out = NULL;
    golden->input_count = golden->output_count = 0;
}
