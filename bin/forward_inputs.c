/* forward_inputs.c - the tensors of a call: from files, from numbers of the command line, or drawn with a seed. */
#include "forward.h"
#include "program.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

vdit_tensor forward_pick(forward_job *job, const char *spec)
{
    vdit_tensor tensor;

    if (job->file_count == FORWARD_FILES)
        program_fail("%s: more than %d files", spec, FORWARD_FILES);
    vdit_file_pick(job->run, &job->files[job->file_count++], &tensor, spec);
    program_check(job->run);
    return tensor;
}

/* Returns: 1 and the number, if the text is one; else it names a file. */
static int is_number(double *value, const char *text)
{
    char *end;

    *value = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*value);
}

/* Fills t, one number per sample, with the number, as a whole one if it is one. */
static void fill(forward_job *job, vdit_tensor *t, double value)
{
    int whole = value == floor(value) && fabs(value) < 0x1p53;

    vdit_tensor_new(job->run, t, whole ? VDIT_I64 : VDIT_F32, 1, &job->extents.batch);
    program_check(job->run);
    for (size_t i = 0; i < job->extents.batch; i++) {
        if (whole)
            ((int64_t *)t->data)[i] = (int64_t)value;
        else
            ((float *)t->data)[i] = (float)value;
    }
}

/* Takes an input that is given; NULL leaves what was drawn, or fails. needed: the network takes it. */
static void take(forward_job *job, vdit_tensor *t, const char *option, const char *given,
                 int is_scalar)
{
    int needed = t->rank > 0;
    double value;

    if (given == NULL) {
        if (needed && !job->set->is_seeded && strcmp(option, "text-mask") != 0)
            program_fail("%s takes %s: give --%s FILE, or --seed N to draw it",
                         vdit_model_family(job->model), option, option);
        return;
    }
    if (!needed)
        program_fail("--%s: %s has no such input", option, vdit_model_family(job->model));
    if (is_scalar && is_number(&value, given))
        fill(job, t, value);
    else
        *t = forward_pick(job, given);
}

/* The extents of the call: of the tensors that are given, of --size and --text-rows, or the smallest. */
static void find_extents(forward_job *job)
{
    const forward_settings *set = job->set;
    vdit_extents smallest = vdit_model_smallest(job->model);
    vdit_tensor latents, text;
    size_t rows[3] = {1, set->text_rows > 0 ? set->text_rows : smallest.text, 1}, grid[3];

    job->extents = smallest;
    job->extents.batch = set->batch;
    job->extents.text = rows[1];
    if (set->size != NULL) {
        program_grid(grid, "size", set->size);
        job->extents.frames = grid[0];
        job->extents.height = grid[1];
        job->extents.width = grid[2];
    }
    text = vdit_tensor_view(NULL, VDIT_F32, 3, rows);
    if (set->text != NULL)
        text = forward_pick(job, set->text);
    if (text.rank != 3)
        program_fail("--text: %s: %d axes, expected batch, rows and width", set->text, text.rank);
    job->extents.text = text.shape[1];
    if (set->latents == NULL)
        return;
    latents = forward_pick(job, set->latents);
    if (latents.rank != 5)
        program_fail("--latents: %s: %d axes, expected 5", set->latents, latents.rank);
    job->call.latents = &latents;
    job->call.text = &text;
    job->extents = vdit_forward_extents(job->model, &job->call);
}

void forward_inputs_read(forward_job *job)
{
    const forward_settings *set = job->set;
    vdit_model_inputs *in = &job->inputs;

    if (set->size != NULL && set->latents != NULL)
        program_fail("--size and --latents exclude each other");
    if (set->text_rows > 0 && set->text != NULL)
        program_fail("--text-rows and --text exclude each other");
    if ((set->size != NULL || set->text_rows > 0) && !set->is_seeded && !set->estimate)
        program_fail("--size and --text-rows go with --seed, which draws the inputs");
    find_extents(job);
    vdit_model_inputs_of(job->run, job->model, &job->extents, in);
    program_check(job->run);
    if (set->estimate)
        return;
    if (set->is_seeded)
        vdit_inputs_draw(job->run, in, job->model, &job->extents, set->seed);
    else
        vdit_tensor_new(job->run, &in->output, VDIT_F32, in->output.rank, in->output.shape);
    program_check(job->run);
    take(job, &in->latents, "latents", set->latents, 0);
    take(job, &in->text, "text", set->text, 0);
    take(job, &in->timestep, "timestep", set->timestep, 1);
    take(job, &in->text_mask, "text-mask", set->text_mask, 0);
    take(job, &in->pooled, "pooled", set->pooled, 0);
    take(job, &in->guidance, "guidance", set->guidance, 1);
    job->call.latents = &in->latents;
    job->call.text = &in->text;
    job->call.timestep = &in->timestep;
    job->call.text_mask = in->text_mask.data != NULL ? &in->text_mask : NULL;
    job->call.pooled = in->pooled.data != NULL ? &in->pooled : NULL;
    job->call.guidance = in->guidance.data != NULL ? &in->guidance : NULL;
    job->call.output = &in->output;
    if (set->without_rotary && strcmp(vdit_model_family(job->model), "cogvideox") != 0)
        program_fail("--without-rotary: the tables of %s are its own",
                     vdit_model_family(job->model));
    job->call.without_rotary = set->without_rotary;
}
