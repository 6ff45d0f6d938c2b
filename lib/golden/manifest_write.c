/* manifest_write.c - describing cases, and writing a manifest. */
#include <stdio.h>
#include <string.h>
#include "file/sha256.h"
#include "golden/case.h"
#include "golden/layout.h"
#include "golden/manifest.h"

static const char *file_name(vdit_run *run, const char *name, const char *suffix)
{
    size_t size = strlen(name) + strlen(suffix) + 1;
    char *text = vdit_run_alloc(run, size, 1);

    if (text != NULL)
        snprintf(text, size, "%s%s", name, suffix);
    return text;
}

vdit_status vdit_manifest_start(vdit_run *run, vdit_manifest_case *entry, const vdit_case *c)
{
    memset(entry, 0, sizeof *entry);
    entry->params = *c;
    entry->in = file_name(run, c->name, ".in.safetensors");
    entry->out = file_name(run, c->name, ".out.safetensors");
    return vdit_run_status(run);
}

void vdit_manifest_add(vdit_manifest_case *entry, const vdit_golden *golden, int outputs)
{
    vdit_named list[VDIT_GOLDEN_INPUTS + VDIT_GOLDEN_OUTPUTS];
    size_t count = vdit_layout_store(list, golden, outputs);

    for (size_t i = 0; i < count; i++) {
        vdit_manifest_tensor *t = &entry->tensors[entry->tensor_count++];
        memset(t, 0, sizeof *t);
        snprintf(t->name, sizeof t->name, "%s", list[i].name);
        t->is_output = outputs;
        t->dtype = list[i].tensor.dtype;
        t->rank = list[i].tensor.rank;
        memcpy(t->shape, list[i].tensor.shape, (size_t)t->rank * sizeof *t->shape);
        vdit_tensor_sha256(t->sha256, &list[i].tensor);
    }
}

static void write_tensor(vdit_text *text, const vdit_manifest_tensor *t)
{
    vdit_text_print(text, "\"%s\": {\"file\": \"%s\", \"dtype\": \"%s\", \"shape\": [", t->name,
                    t->is_output ? "out" : "in", vdit_dtype_name(t->dtype));
    for (int i = 0; i < t->rank; i++)
        vdit_text_print(text, i ? ", %zu" : "%zu", t->shape[i]);
    vdit_text_print(text, "], \"sha256\": \"%s\"}", t->sha256);
}

static void write_case(vdit_text *text, const vdit_manifest_case *c)
{
    vdit_text_print(text, "    {\"name\": \"%s\", ", c->params.name);
    vdit_case_write(text, &c->params);
    vdit_text_print(text, ",\n     \"in\": \"%s\", ", c->in);
    vdit_text_print(text, "\"out\": \"%s\",\n     \"tensors\": {", c->out);
    for (size_t i = 0; i < c->tensor_count; i++) {
        vdit_text_print(text, i ? ",\n       " : "\n       ");
        write_tensor(text, &c->tensors[i]);
    }
    vdit_text_print(text, "}}");
}

/* All strings are names that were checked, so none needs JSON's escapes. A tensor is one line. */
vdit_status vdit_manifest_write(vdit_run *run, const vdit_manifest *manifest, const char *path)
{
    size_t mark = vdit_run_mark(run);
    vdit_text text = {.run = run};

    vdit_text_print(&text, "{\"format\": \"%s\",\n", VDIT_MANIFEST_FORMAT);
    vdit_text_print(&text, " \"recipe\": \"%s\",\n", manifest->recipe);
    vdit_text_print(&text, " \"library\": \"%s\",\n", manifest->library);
    vdit_text_print(&text, " \"case_count\": %zu,\n", manifest->case_count);
    vdit_text_print(&text, " \"cases\": [\n");
    for (size_t i = 0; i < manifest->case_count; i++) {
        write_case(&text, &manifest->cases[i]);
        vdit_text_print(&text, i + 1 < manifest->case_count ? ",\n" : "\n");
    }
    vdit_text_print(&text, " ]}\n");
    if (vdit_run_status(run) == VDIT_OK)
        vdit_bytes_write(run, path, text.bytes, text.size);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
