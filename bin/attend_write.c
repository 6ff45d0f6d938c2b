/* attend_write.c - the outputs of vdit-attend: their shapes, and all of them written or none. */
#include "attend.h"
#include "program.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <vdit/golden.h>

void attend_outputs_list(attend_job *job)
{
    const attend_settings *set = job->set;
    attend_output *to = job->outputs;
    int after = attend_plan_drops(job, VDIT_AFTER_SOFTMAX);

    to[ATTEND_O] = (attend_output){.option = "output", .name = "o", .path = set->output};
    to[ATTEND_LSE] = (attend_output){.option = "lse", .name = "lse", .path = set->lse};
    to[ATTEND_MAP] = (attend_output){.option = "map", .name = "map", .path = set->map};
    to[ATTEND_THRESHOLD].name = "threshold";
    to[ATTEND_MASKED].name = "masked";
    to[ATTEND_KEPT_MASS].name = "kept_mass";
    to[ATTEND_DENSE_MASS].name = "dense_mass";
    to[ATTEND_RENORMALISED].name = "renormalised";
    to[ATTEND_KEEP] = (attend_output){.option = "keep", .name = "keep", .path = set->keep};
    to[ATTEND_FREE] = (attend_output){.option = "free", .name = "free", .path = set->free};
    for (int i = ATTEND_THRESHOLD; i <= ATTEND_RENORMALISED; i++) {
        to[i].option = "report";
        to[i].path = set->report;
    }
    if (!attend_plan_drops(job, VDIT_BEFORE_SOFTMAX))
        to[ATTEND_DENSE_MASS].path = NULL;
    for (int i = 0; i < ATTEND_OUTPUTS; i++) {
        to[i].wanted = to[i].path != NULL;
        to[i].dtype = VDIT_F32;
    }
    to[ATTEND_MASKED].wanted |= after;
    to[ATTEND_KEPT_MASS].wanted |= after;
    to[ATTEND_O].dtype = to[ATTEND_RENORMALISED].dtype = job->dtype;
    to[ATTEND_MASKED].dtype = VDIT_I64;
    to[ATTEND_KEEP].dtype = to[ATTEND_FREE].dtype = VDIT_U8;
}

/* Returns: how many outputs go to the path of the i-th. */
static int count_sharing(const attend_job *job, int i)
{
    int count = 0;

    for (int other = 0; other < ATTEND_OUTPUTS; other++)
        count += job->outputs[other].path != NULL &&
                 strcmp(job->outputs[other].path, job->outputs[i].path) == 0;
    return count;
}

void attend_outputs_check(const attend_job *job)
{
    for (int i = 0; i < ATTEND_OUTPUTS; i++) {
        const attend_output *to = &job->outputs[i];
        int is_npy, is_npz;

        if (to->path == NULL)
            continue;
        is_npy = program_has_suffix(to->path, ".npy");
        is_npz = program_has_suffix(to->path, ".npz");
        if (!is_npy && !is_npz && !program_has_suffix(to->path, ".safetensors"))
            program_fail("--%s: %s: a name in .safetensors, .npz or .npy was expected", to->option,
                         to->path);
        if ((is_npy || is_npz) && to->dtype == VDIT_BF16)
            program_fail("--%s: %s: numpy has no bf16; write .safetensors or choose --dtype",
                         to->option, to->path);
        if (is_npy && count_sharing(job, i) > 1)
            program_fail("--%s: %s: an npy file holds one tensor only", to->option, to->path);
        program_folder_check(to->option, to->path);
    }
}

/*
 * The shape of an output in its file, with four axes, or with three for what is a number per row: o and
 * renormalised in the layout of q, the others [B,H,R,...] in any layout. Returns: the number of axes.
 */
static int shape_of(size_t shape[4], const attend_job *job, int i)
{
    size_t rows = attend_row_count(job), heads = job->q.shape[1], keys = job->k.shape[2];
    int swapped = job->q_file.rank > 2 && strcmp(job->set->layout, "BNHD") == 0;
    int like_o = i == ATTEND_O || i == ATTEND_RENORMALISED;

    shape[0] = job->q.shape[0];
    shape[1] = like_o && swapped ? rows : heads;
    shape[2] = like_o && swapped ? heads : rows;
    shape[3] = like_o ? job->v.shape[3] : i == ATTEND_MAP ? keys : keys / 8 + (keys % 8 != 0);
    return like_o || i == ATTEND_MAP || i == ATTEND_KEEP || i == ATTEND_FREE ? 4 : 3;
}

double attend_outputs_bytes(const attend_job *job)
{
    double bytes = 0;

    for (int i = 0; i < ATTEND_OUTPUTS; i++) {
        double size = (double)vdit_dtype_size(job->outputs[i].dtype);
        size_t shape[4];
        int axes = shape_of(shape, job, i);

        for (int axis = 0; axis < axes; axis++)
            size *= (double)shape[axis];
        bytes += job->outputs[i].wanted ? size : 0;
    }
    return bytes;
}

/* Makes output i without the leading axes that q lacks. Returns: it as the library takes it, or NULL. */
static vdit_tensor *make_output(attend_job *job, int i)
{
    attend_output *to = &job->outputs[i];
    int lacks = 4 - job->q_file.rank, axes;
    size_t shape[4];

    if (!to->wanted)
        return NULL;
    axes = shape_of(shape, job, i);
    vdit_tensor_new(job->run, &to->file, to->dtype, axes - lacks, shape + lacks);
    program_check(job->run);
    to->tensor = i == ATTEND_O || i == ATTEND_RENORMALISED ? attend_heads(job, &to->file)
                                                           : attend_widen(&to->file, axes);
    return &to->tensor;
}

void attend_outputs_make(attend_job *job)
{
    vdit_edit_report *report = &job->report;

    job->call.o = make_output(job, ATTEND_O);
    job->call.lse = make_output(job, ATTEND_LSE);
    job->call.map = make_output(job, ATTEND_MAP);
    report->size = sizeof *report;
    report->threshold = make_output(job, ATTEND_THRESHOLD);
    report->masked = make_output(job, ATTEND_MASKED);
    report->kept_mass = make_output(job, ATTEND_KEPT_MASS);
    report->dense_mass = make_output(job, ATTEND_DENSE_MASS);
    report->renormalised = make_output(job, ATTEND_RENORMALISED);
    report->keep = make_output(job, ATTEND_KEEP);
    report->free = make_output(job, ATTEND_FREE);
    /* of what an honest kernel of q's dtype commits; only free asks for it */
    job->call.noise = vdit_contract_noise(vdit_contract_default(job->q.dtype), job->k.shape[2]);
    job->call.report = job->plan != NULL ? report : NULL;
}

/* Writes the file of output i with all outputs that share it. */
static void write_file(attend_job *job, int i)
{
    attend_output *to = job->outputs;
    vdit_named named[ATTEND_OUTPUTS] = {{NULL, {0}}};
    size_t count = 0;

    for (int other = i; other < ATTEND_OUTPUTS; other++)
        if (to[other].path != NULL && strcmp(to[other].path, to[i].path) == 0) {
            named[count++] = (vdit_named){to[other].name, to[other].file};
            to[other].written = 1;
        }
    if (vdit_file_write(job->run, to[i].path, named, count) == VDIT_OK)
        return;
    for (int other = i; other < ATTEND_OUTPUTS; other++)
        to[other].written = 0;
}

void attend_outputs_write(attend_job *job)
{
    for (int i = 0; i < ATTEND_OUTPUTS && vdit_run_status(job->run) == VDIT_OK; i++)
        if (job->outputs[i].path != NULL && !job->outputs[i].written)
            write_file(job, i);
    if (vdit_run_status(job->run) != VDIT_OK)
        attend_outputs_remove(job);
    program_check(job->run);
}

void attend_outputs_remove(const attend_job *job)
{
    for (int i = 0; i < ATTEND_OUTPUTS; i++)
        if (job->outputs[i].written)
            unlink(job->outputs[i].path);
    attend_meters_remove(job);
}
