/* attend_write.c - the outputs of vdit-attend: their shapes, and all of them written or none. */
#include "attend.h"
#include "program.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OUTPUT_COUNT 3

/* An output that was asked for has a path. */
typedef struct output {
    const char *option, *path, *name;
    const vdit_tensor *tensor; /* in the axes of the file */
    vdit_dtype dtype;
} output;

static void list_outputs(output outputs[OUTPUT_COUNT], const attend_job *job)
{
    const attend_settings *set = job->set;

    outputs[0] = (output){"output", set->output, "o", &job->o_file, job->dtype};
    outputs[1] = (output){"lse", set->lse, "lse", &job->lse_file, VDIT_F32};
    outputs[2] = (output){"map", set->map, "map", &job->map_file, VDIT_F32};
}

int attend_has_suffix(const char *path, const char *suffix)
{
    size_t length = strlen(path), tail = strlen(suffix);

    return length > tail && strcmp(path + length - tail, suffix) == 0;
}

void attend_folder_check(const char *option, const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - path) + 1;

    if (length >= sizeof folder)
        program_fail("--%s: %s: the path is too long", option, path);
    snprintf(folder, sizeof folder, "%.*s", (int)length, path);
    if (access(length ? folder : ".", W_OK) != 0)
        program_fail("--%s: %s: cannot write into the folder %s", option, path,
                     length ? folder : ".");
}

/* Returns: how many outputs go to the path of outputs[i]. */
static int count_sharing(const output *outputs, int i)
{
    int count = 0;

    for (int other = 0; other < OUTPUT_COUNT; other++)
        count += outputs[other].path != NULL && strcmp(outputs[other].path, outputs[i].path) == 0;
    return count;
}

void attend_outputs_check(const attend_job *job)
{
    output outputs[OUTPUT_COUNT];

    list_outputs(outputs, job);
    for (int i = 0; i < OUTPUT_COUNT; i++) {
        const output *to = &outputs[i];
        int is_npy, is_npz;

        if (to->path == NULL)
            continue;
        is_npy = attend_has_suffix(to->path, ".npy");
        is_npz = attend_has_suffix(to->path, ".npz");
        if (!is_npy && !is_npz && !attend_has_suffix(to->path, ".safetensors"))
            program_fail("--%s: %s: a name in .safetensors, .npz or .npy was expected", to->option,
                         to->path);
        if ((is_npy || is_npz) && to->dtype == VDIT_BF16)
            program_fail("--%s: %s: numpy has no bf16; write .safetensors or choose --dtype",
                         to->option, to->path);
        if (is_npy && count_sharing(outputs, i) > 1)
            program_fail("--%s: %s: an npy file holds one tensor only", to->option, to->path);
        attend_folder_check(to->option, to->path);
    }
}

/*
 * The shapes of o, lse and map in their files: o in the layout of q, lse [B,H,R] and map [B,H,R,Nk]
 * in any layout; all without the leading axes that q lacks.
 */
static void make_shapes(size_t o[4], size_t lse[3], size_t map[4], const attend_job *job)
{
    size_t batches = job->q.shape[0], heads = job->q.shape[1];
    size_t rows = attend_row_count(job);
    int swapped = job->q_file.rank > 2 && strcmp(job->set->layout, "BNHD") == 0;

    o[0] = lse[0] = map[0] = batches;
    o[1] = swapped ? rows : heads;
    o[2] = swapped ? heads : rows;
    o[3] = job->v.shape[3];
    lse[1] = map[1] = heads;
    lse[2] = map[2] = rows;
    map[3] = job->k.shape[2];
}

static double product(const size_t *shape, int rank)
{
    double bytes = 1;

    for (int i = 0; i < rank; i++)
        bytes *= (double)shape[i];
    return bytes;
}

double attend_outputs_bytes(const attend_job *job)
{
    size_t o[4], lse[3], map[4];
    double bytes = 0;

    make_shapes(o, lse, map, job);
    if (job->set->output)
        bytes += product(o, 4) * (double)vdit_dtype_size(job->dtype);
    if (job->set->lse)
        bytes += product(lse, 3) * (double)vdit_dtype_size(VDIT_F32);
    if (job->set->map)
        bytes += product(map, 4) * (double)vdit_dtype_size(VDIT_F32);
    return bytes;
}

void attend_outputs_make(attend_job *job)
{
    size_t o[4], lse[3], map[4];
    int rank = job->q_file.rank, lacks = 4 - rank;

    make_shapes(o, lse, map, job);
    if (job->set->output) {
        vdit_tensor_new(job->run, &job->o_file, job->dtype, rank, o + lacks);
        job->o = attend_heads(job, &job->o_file);
        job->call.o = &job->o;
    }
    if (job->set->lse) {
        vdit_tensor_new(job->run, &job->lse_file, VDIT_F32, rank - 1, lse + lacks);
        job->lse = attend_widen(&job->lse_file, 3);
        job->call.lse = &job->lse;
    }
    if (job->set->map) {
        vdit_tensor_new(job->run, &job->map_file, VDIT_F32, rank, map + lacks);
        job->map = attend_widen(&job->map_file, 4);
        job->call.map = &job->map;
    }
    program_check(job->run);
}

/* Writes the file of outputs[i] with all outputs that share it. */
static void write_file(attend_job *job, const output *outputs, int i)
{
    vdit_named named[OUTPUT_COUNT];
    size_t count = 0;

    for (int other = i; other < OUTPUT_COUNT; other++)
        if (outputs[other].path != NULL && strcmp(outputs[other].path, outputs[i].path) == 0) {
            named[count++] = (vdit_named){outputs[other].name, *outputs[other].tensor};
            job->written[other] = 1;
        }
    if (vdit_file_write(job->run, outputs[i].path, named, count) == VDIT_OK)
        return;
    for (int other = i; other < OUTPUT_COUNT; other++)
        job->written[other] = 0;
}

void attend_outputs_write(attend_job *job)
{
    output outputs[OUTPUT_COUNT];

    list_outputs(outputs, job);
    for (int i = 0; i < OUTPUT_COUNT && vdit_run_status(job->run) == VDIT_OK; i++)
        if (outputs[i].path != NULL && !job->written[i])
            write_file(job, outputs, i);
    if (vdit_run_status(job->run) != VDIT_OK)
        attend_outputs_remove(job);
    program_check(job->run);
}

void attend_outputs_remove(const attend_job *job)
{
    output outputs[OUTPUT_COUNT];

    list_outputs(outputs, job);
    for (int i = 0; i < OUTPUT_COUNT; i++)
        if (job->written[i])
            unlink(outputs[i].path);
    attend_meters_remove(job);
}
