/*
 * bench_forward.c - times calls of a denoiser on request, so that a script can alternate them with another's.
 *
 *     bench_forward DIR FRAMES HEIGHT WIDTH
 *
 * Opens the checkpoint and prints the seconds that this took. Then reads lines "BACKEND" from stdin; calls the model
 * with normal latents of these extents and a text of 512 rows, and prints its line "SECONDS". Two threads.
 */
#include <config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vdit/model.h>
#include "bench.h"

#define TEXT 512 /* rows */

/* Normal inputs of a call; the output. */
static void make_inputs(vdit_run *run, vdit_model_inputs *in, vdit_forward *call)
{
    static int64_t when[1] = {500};

    in->latents = bench_normal(run, VDIT_F32, in->latents.rank, in->latents.shape, 1);
    in->text = bench_normal(run, VDIT_F32, in->text.rank, in->text.shape, 2);
    in->timestep.data = when;
    vdit_tensor_new(run, &in->output, VDIT_F32, in->output.rank, in->output.shape);
    bench_require(run);
    vdit_forward_init(call);
    call->latents = &in->latents;
    call->text = &in->text;
    call->timestep = &in->timestep;
    call->output = &in->output;
}

static void answer(vdit_run *run, const vdit_model *model, vdit_forward *call, const char *backend)
{
    double start = bench_seconds();

    call->backend = vdit_backend_find(backend);
    if (call->backend == NULL)
        exit(2);
    vdit_model_forward(run, model, call);
    bench_require(run);
    printf("%.4f\n", bench_seconds() - start);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    double start = bench_seconds();
    vdit_run *run = vdit_run_new();
    vdit_model *model = NULL;
    vdit_extents extents = {.batch = 1, .text = TEXT};
    vdit_model_inputs in;
    vdit_forward call;
    char line[64];

    if (argc != 5)
        return 2;
    extents.frames = strtoul(argv[2], NULL, 10);
    extents.height = strtoul(argv[3], NULL, 10);
    extents.width = strtoul(argv[4], NULL, 10);
    vdit_run_set_threads(run, BENCH_THREADS);
    vdit_model_open(run, &model, argv[1]);
    bench_require(run);
    printf("%.4f\n", bench_seconds() - start);
    fflush(stdout);
    vdit_model_inputs_of(run, model, &extents, &in);
    bench_require(run);
    make_inputs(run, &in, &call);
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        answer(run, model, &call, line);
    }
    vdit_model_close(model);
    vdit_run_free(run);
    return 0;
}
