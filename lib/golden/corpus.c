/* corpus.c - the parts that making and verifying a corpus share, and opening its cases. */
#include <stdio.h>
#include <string.h>
#include "file/sha256.h"
#include "golden/corpus.h"
#include "golden/layout.h"

void vdit_corpus_report(const vdit_corpus_options *options, vdit_case_event event, const char *name,
                        const char *text)
{
    if (options != NULL && options->report != NULL)
        options->report(options->state, event, name, text);
}

int vdit_corpus_wants(const vdit_corpus_options *options, const char *name)
{
    if (options == NULL || options->only == NULL)
        return 1;
    for (size_t i = 0; i < options->only_count; i++)
        if (strcmp(options->only[i], name) == 0)
            return 1;
    return 0;
}

vdit_status vdit_corpus_check_only(vdit_run *run, const vdit_corpus_options *options,
                                   const char *const *names, size_t count)
{
    for (size_t i = 0; options != NULL && options->only != NULL && i < options->only_count; i++) {
        size_t n = 0;
        while (n < count && strcmp(names[n], options->only[i]) != 0)
            n++;
        if (n == count)
            return vdit_run_fail(run, VDIT_ERR_ARGUMENT, "no case is called %s", options->only[i]);
    }
    return vdit_run_status(run);
}

int vdit_corpus_forgive(vdit_run *run)
{
    switch (vdit_run_status(run)) {
    case VDIT_ERR_IO:
    case VDIT_ERR_FORMAT:
    case VDIT_ERR_SHAPE:
    case VDIT_ERR_DTYPE:
    case VDIT_ERR_LIMIT:
    case VDIT_ERR_ARGUMENT:
        vdit_run_clear(run);
        return 1;
    default:
        return 0;
    }
}

int vdit_corpus_sums_hold(const vdit_golden *golden, const vdit_manifest_case *entry)
{
    for (size_t i = 0; i < entry->tensor_count; i++) {
        vdit_tensor t;
        char sum[65];
        if (!vdit_layout_find(&t, golden, entry->tensors[i].name))
            return 0;
        vdit_tensor_sha256(sum, &t);
        if (strcmp(sum, entry->tensors[i].sha256) != 0)
            return 0;
    }
    return 1;
}

/* Out: named, the tensor that the manifest tells of, as the file has it. */
static vdit_status find_tensor(vdit_run *run, vdit_named *named, const vdit_file *file,
                               const char *path, const vdit_manifest_tensor *t)
{
    const vdit_tensor *found = vdit_file_find(file, t->name);
    char has[200], wants[200];
    vdit_tensor shape;

    if (found == NULL)
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: tensor \"%s\" is missing", path, t->name);
    if (found->dtype != t->dtype)
        return vdit_run_fail(run, VDIT_ERR_DTYPE, "%s: tensor \"%s\" is %s, expected %s", path,
                             t->name, vdit_dtype_name(found->dtype), vdit_dtype_name(t->dtype));
    shape = vdit_tensor_view(NULL, t->dtype, t->rank, t->shape);
    vdit_tensor_shape_text(has, sizeof has, found);
    vdit_tensor_shape_text(wants, sizeof wants, &shape);
    if (strcmp(has, wants) != 0)
        return vdit_run_fail(run, VDIT_ERR_SHAPE, "%s: tensor \"%s\" is %s, expected %s", path,
                             t->name, has, wants);
    *named = (vdit_named){t->name, *found};
    return VDIT_OK;
}

/* Out: file, and the list of its tensors in the manifest's order. */
static vdit_status open_part(vdit_run *run, vdit_file **file, vdit_named *list, size_t *count,
                             size_t room, const char *path, const vdit_manifest_case *c,
                             int outputs)
{
    if (vdit_file_open(run, file, path) != VDIT_OK)
        return vdit_run_status(run);
    for (size_t i = 0; i < c->tensor_count; i++) {
        if (c->tensors[i].is_output != outputs)
            continue;
        if (*count == room)
            return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: more than %zu tensors", path, room);
        if (find_tensor(run, &list[*count], *file, path, &c->tensors[i]) != VDIT_OK)
            return vdit_run_status(run);
        (*count)++;
    }
    if (vdit_file_count(*file) != *count)
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: %zu tensors, the manifest lists %zu", path,
                             vdit_file_count(*file), *count);
    return VDIT_OK;
}

vdit_status vdit_golden_open(vdit_run *run, vdit_golden *golden, const char *directory,
                             const vdit_manifest_case *c)
{
    vdit_golden made = {.name = c->params.name,
                        .op = c->params.op,
                        .contract = c->params.contract,
                        .scale = c->params.scale,
                        .axes = c->params.axes,
                        .tokens = c->params.tokens,
                        .plan = c->params.plan,
                        .meters = c->params.meters};
    char *in = vdit_path_join(run, directory, c->in);
    char *out = vdit_path_join(run, directory, c->out);

    if (vdit_run_status(run) == VDIT_OK &&
        open_part(run, &made.in, made.inputs, &made.input_count, VDIT_GOLDEN_INPUTS, in, c, 0) ==
            VDIT_OK &&
        open_part(run, &made.out, made.outputs, &made.output_count, VDIT_GOLDEN_OUTPUTS, out, c,
                  1) == VDIT_OK &&
        vdit_layout_load(run, &made, in) == VDIT_OK)
        *golden = made;
    else
        vdit_golden_close(&made);
    return vdit_run_status(run);
}
