/* make.c - checkpoints that are made: of drawn weights, in memory or as a folder, or of those of another layout. */
#include <string.h>
#include "file/folder.h"
#include "file/internal.h"
#include "model/checkpoint.h"
#include "model/convert.h"
#include "model/weights.h"

/* Fails the run unless weights of that dtype can be. */
static vdit_status check_dtype(vdit_run *run, const vdit_model *model, vdit_dtype dtype)
{
    if (vdit_run_status(run) == VDIT_OK && dtype != VDIT_F32 && dtype != VDIT_BF16 &&
        dtype != VDIT_F16)
        vdit_run_fail(run, VDIT_ERR_DTYPE, "%s: weights in %s, expected f32, bf16 or f16",
                      model->path, vdit_dtype_name(dtype));
    return vdit_run_status(run);
}

vdit_status vdit_model_draw(vdit_run *run, vdit_model *model, uint64_t seed, vdit_dtype dtype)
{
    size_t mark = vdit_run_mark(run), count = 0;
    vdit_file *file = NULL;
    vdit_named *wanted = NULL;

    if (check_dtype(run, model, dtype) == VDIT_OK)
        vdit_checkpoint_names(run, model, dtype, &wanted, &count);
    if (vdit_run_status(run) == VDIT_OK)
        vdit_file_hold(run, &file, model->path, wanted, count);
    for (size_t i = 0; i < count && vdit_run_status(run) == VDIT_OK; i++) {
        const vdit_tensor *t = vdit_file_tensor(file, i);
        vdit_weight_rule rule = vdit_weight_rule_of(wanted[i].name, t, seed);

        vdit_weight_fill(run, &rule, t->data, dtype, 0, vdit_tensor_count(t));
    }
    vdit_run_release(run, mark);
    if (vdit_run_status(run) ==
        VDIT_OK) { /* what was there before stays until the new ones are complete */
        vdit_file_close(model->weights);
        model->weights = file;
    }
    return vdit_run_status(run);
}

/* What is drawn while a checkpoint is written: a block of a tensor at a time, on all threads. */
typedef struct drawing {
    vdit_run *run;
    const vdit_named *tensors;
    uint64_t seed;
    double done, total; /* elements */
} drawing;

static vdit_status fill(void *state, size_t tensor, size_t first, size_t count, void *out)
{
    drawing *d = state;
    const vdit_named *named = &d->tensors[tensor];
    vdit_weight_rule rule = vdit_weight_rule_of(named->name, &named->tensor, d->seed);

    vdit_weight_fill(d->run, &rule, out, named->tensor.dtype, first, count);
    d->done += (double)count;
    return vdit_run_progress(d->run, "weights", d->done, d->total);
}

vdit_status vdit_model_make(vdit_run *run, const vdit_model *model, const char *folder,
                            uint64_t seed, vdit_dtype dtype, size_t shard_size)
{
    size_t mark = vdit_run_mark(run), count = 0;
    vdit_named *wanted = NULL;
    drawing d = {run, NULL, seed, 0, 0};

    if (check_dtype(run, model, dtype) != VDIT_OK ||
        vdit_checkpoint_names(run, model, dtype, &wanted, &count) != VDIT_OK)
        return vdit_run_status(run);
    d.tensors = wanted;
    for (size_t i = 0; i < count; i++)
        d.total += (double)vdit_tensor_count(&wanted[i].tensor);
    vdit_checkpoint_write(run, model, folder, wanted, count, shard_size, fill, &d);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

/* What is copied while a checkpoint is written. */
typedef struct copying {
    vdit_run *run;
    const vdit_named *tensors;
    const vdit_convert_source *sources;
    double done, total; /* elements */
} copying;

static vdit_status copy(void *state, size_t tensor, size_t first, size_t count, void *out)
{
    copying *c = state;

    vdit_convert_read(&c->sources[tensor], c->tensors[tensor].tensor.dtype, first, count, out);
    c->done += (double)count;
    return vdit_run_progress(c->run, "weights", c->done, c->total);
}

/* Writes wanted[count] from an open file. In: dtype, NULL: each keeps its own. */
static void convert(vdit_run *run, const vdit_model *model, const char *path, const vdit_file *file,
                    const vdit_convert_rule *rules, const char *folder, const vdit_dtype *dtype,
                    size_t shard_size)
{
    vdit_convert_source *sources;
    copying c = {run, NULL, NULL, 0, 0};
    vdit_named *wanted;
    size_t count;

    if (vdit_checkpoint_names(run, model, VDIT_F32, &wanted, &count) != VDIT_OK)
        return;
    sources = vdit_run_alloc(run, count, sizeof *sources);
    if (sources == NULL ||
        vdit_convert_match(run, path, file, rules, wanted, count, sources) != VDIT_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        wanted[i].tensor.dtype = dtype != NULL ? *dtype : sources[i].from->dtype;
        c.total += (double)vdit_tensor_count(&wanted[i].tensor);
    }
    c.tensors = wanted;
    c.sources = sources;
    vdit_checkpoint_write(run, model, folder, wanted, count, shard_size, copy, &c);
}

vdit_status vdit_model_convert(vdit_run *run, const vdit_model *model, const char *from,
                               const char *folder, const vdit_dtype *dtype, size_t shard_size)
{
    size_t mark = vdit_run_mark(run);
    vdit_file *file = NULL;

    if (dtype != NULL && check_dtype(run, model, *dtype) != VDIT_OK)
        return vdit_run_status(run);
    if (from == NULL && model->weights == NULL)
        return vdit_run_fail(run, VDIT_ERR_ARGUMENT, "%s: a configuration without weights",
                             model->path);
    if (from == NULL) {
        convert(run, model, model->path, model->weights, NULL, folder, dtype, shard_size);
    } else if (model->family->original == NULL) {
        vdit_run_fail(run, VDIT_ERR_UNSUPPORTED, "%s: no other layout of %s is known", from,
                      model->family->name);
    } else if (vdit_file_open(run, &file, from) == VDIT_OK) {
        convert(run, model, from, file, model->family->original, folder, dtype, shard_size);
        vdit_file_close(file);
    }
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
