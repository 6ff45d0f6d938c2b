/* attend_read.c - the inputs of vdit-attend, from files and numbers to one vdit_attention. */
#include "attend.h"
#include "program.h"
#include <math.h>
#include <string.h>

vdit_tensor attend_widen(const vdit_tensor *t, int rank)
{
    vdit_tensor wide = *t;
    int more = rank - t->rank;

    for (int i = 0; i < rank; i++) {
        wide.shape[i] = i < more ? 1 : t->shape[i - more];
        wide.stride[i] = i < more ? 0 : t->stride[i - more];
    }
    wide.rank = rank;
    return wide;
}

vdit_tensor attend_heads(const attend_job *job, const vdit_tensor *t)
{
    static const int order[] = {0, 2, 1, 3};
    vdit_tensor wide = attend_widen(t, 4);

    return t->rank > 2 && strcmp(job->set->layout, "BNHD") == 0 ? vdit_tensor_permute(&wide, order)
                                                                : wide;
}

vdit_tensor attend_pick(attend_job *job, const char *spec)
{
    vdit_tensor t;

    if (job->file_count == ATTEND_FILES)
        program_fail("%s: at most %d files can be read", spec, ATTEND_FILES);
    vdit_file_pick(job->run, &job->files[job->file_count], &t, spec);
    program_check(job->run);
    job->file_count++;
    return t;
}

vdit_tensor attend_pick_heads(attend_job *job, const char *option, const char *spec)
{
    vdit_tensor t;
    char shape[128];

    if (spec == NULL)
        program_fail("--%s is missing; see vdit-attend --help", option);
    t = attend_pick(job, spec);
    if (t.rank < 2 || t.rank > 4)
        program_fail("%s: %s has shape %s; [N,d], [H,N,d] or [B,H,N,d] was expected", spec, option,
                     vdit_tensor_shape_text(shape, sizeof shape, &t));
    return t;
}

static void pick_mask(attend_job *job)
{
    vdit_tensor t;
    char shape[128];

    if (job->set->mask == NULL)
        return;
    t = attend_pick(job, job->set->mask);
    if (t.rank > 4)
        program_fail("%s: the mask has shape %s; at most [B,H,Nq,Nk] was expected", job->set->mask,
                     vdit_tensor_shape_text(shape, sizeof shape, &t));
    job->mask = attend_widen(&t, 4);
    job->call.mask = &job->mask;
}

/* Returns: t, i64 or i32 [N] or a single number, as dense i64 [count]. */
static vdit_tensor to_indexes(attend_job *job, const char *spec, const vdit_tensor *t, size_t count)
{
    vdit_tensor list, wide = attend_widen(t, t->rank == 0 ? 1 : t->rank);
    size_t extent = wide.shape[0], size = vdit_dtype_size(t->dtype);
    char shape[128];

    if (t->rank > 1 || (t->dtype != VDIT_I64 && t->dtype != VDIT_I32) ||
        (extent != count && extent != 1))
        program_fail("%s: %s %s; i64 or i32 of %zu or one element was expected", spec,
                     vdit_dtype_name(t->dtype), vdit_tensor_shape_text(shape, sizeof shape, t),
                     count);
    vdit_tensor_new(job->run, &list, VDIT_I64, 1, &count);
    program_check(job->run);
    for (size_t i = 0; i < count; i++) {
        size_t at = extent == 1 ? 0 : i;
        int32_t narrow;
        int64_t *to = (int64_t *)list.data + i;

        memcpy(size == 8 ? (void *)to : &narrow, vdit_tensor_at(&wide, &at), size);
        *to = size == 8 ? *to : narrow;
    }
    return list;
}

/* "77" and "77,64" are numbers; any other text names a file. */
static void pick_key_length(attend_job *job)
{
    vdit_tensor t;

    if (job->set->key_length == NULL)
        return;
    if (job->set->key_length[strspn(job->set->key_length, "0123456789,")] == '\0')
        program_read_indexes(job->run, &t, "key-length", job->set->key_length, PTRDIFF_MAX);
    else
        t = attend_pick(job, job->set->key_length);
    job->key_length = to_indexes(job, job->set->key_length, &t, job->q.shape[0]);
    job->call.key_length = &job->key_length;
}

/* "0,7,100-199" and "every:STRIDE" are lists; any other text names a file. */
static void pick_rows(attend_job *job)
{
    const char *text = job->set->rows;
    vdit_tensor t;

    if (text == NULL)
        return;
    if (text[strspn(text, "0123456789,-")] == '\0' || strncmp(text, "every:", 6) == 0) {
        program_read_indexes(job->run, &job->rows, "rows", text, job->q.shape[2]);
    } else {
        t = attend_pick(job, text);
        job->rows = to_indexes(job, text, &t, t.rank == 1 ? t.shape[0] : 1);
    }
    job->call.rows = &job->rows;
}

/* The check of the call names a tensor; whoever gave the files wants the file named too. */
static void check_call(attend_job *job)
{
    const attend_settings *set = job->set;
    const struct {
        const char *name, *spec;
    } inputs[] = {{"q", set->q},       {"k", set->k},       {"v", set->v},
                  {"mask", set->mask}, {"rows", set->rows}, {"key_length", set->key_length}};
    const char *message;
    size_t length;

    if (vdit_attention_check(job->run, &job->call) == VDIT_OK)
        return;
    message = vdit_run_message(job->run);
    length = strcspn(message, " [");
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        if (strlen(inputs[i].name) == length && strncmp(message, inputs[i].name, length) == 0)
            program_fail("%s: %s", inputs[i].spec, message);
    program_check(job->run);
}

void attend_read(attend_job *job)
{
    job->q_file = attend_pick_heads(job, "q", job->set->q);
    job->k_file = attend_pick_heads(job, "k", job->set->k);
    job->v_file = attend_pick_heads(job, "v", job->set->v);
    job->q = attend_heads(job, &job->q_file);
    job->k = attend_heads(job, &job->k_file);
    job->v = attend_heads(job, &job->v_file);
    vdit_attention_init(&job->call, &job->q, &job->k, &job->v);
    if (job->set->dtype == NULL)
        job->dtype = job->q.dtype;
    if (!isnan(job->set->scale))
        job->call.scale = job->set->scale;
    pick_mask(job);
    pick_key_length(job);
    pick_rows(job);
    attend_plan_read(job);
    check_call(job);
}
