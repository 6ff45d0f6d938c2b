/* meter_estimate.c - what meters will take, from shapes and the request alone. */
#include <string.h>
#include "attention/meter.h"

/* More than any meter keeps for a key or a lane of a worker, and for a row of the head. */
#define BYTES_PER_KEY  64
#define BYTES_PER_LANE 4096
#define BYTES_PER_ROW  32

/* Returns: bytes of a meter's results. */
static double result_bytes(const vdit_meter *meter)
{
    const vdit_meter_output *outputs = meter->kind->info.outputs;
    double bytes = 0;

    for (size_t i = 0; outputs[i].name != NULL; i++) {
        double one = (double)vdit_dtype_size(outputs[i].dtype);

        for (const char *letter = outputs[i].shape; *letter != '\0'; letter++)
            one *= (double)meter->extent[*letter - 'A'];
        bytes += one;
    }
    return bytes;
}

/* Returns: 1 for a meter that runs the plain call, or order statistics, once a head has been walked. */
static int runs_calls(const vdit_meter *meter)
{
    return meter->kind->tile == NULL && meter->kind->end_block == NULL;
}

/* Adds what the engine itself, and what each meter, takes. */
static void add_costs(vdit_attention_cost *cost, const vdit_meter_engine *engine)
{
    const vdit_attention *call = engine->call;
    double rows = (double)engine->rows, keys = (double)call->k->shape[2],
           meters = (double)engine->count;
    double lanes = VDIT_STREAM_PANELS * VDIT_KERNEL_NR_MAX;
    vdit_attention_cost plain;
    int passes = 0, calls = 0;

    vdit_attention_estimate(&plain, engine->run, call);
    for (size_t m = 0; m < engine->count; m++) {
        const vdit_meter *meter = &engine->meters[m];
        int own = meter->kind->tile != NULL ? 2 : meter->kind->end_block != NULL ? 1 : 0;

        cost->bytes += result_bytes(meter);
        passes = own > passes ? own : passes;
        calls += runs_calls(meter);
    }
    cost->entries = passes * engine->heads * rows * keys + calls * plain.entries;
    cost->flops =
        2 * passes * engine->heads * rows * keys * (double)call->q->shape[3] + calls * plain.flops;
    cost->bytes +=
        vdit_head_bytes(call) + BYTES_PER_ROW * rows * (meters + 1) +
        vdit_run_threads(engine->run) *
            (vdit_walk_bytes(call) + meters * (BYTES_PER_KEY * keys + BYTES_PER_LANE * lanes));
    if (calls > 0)
        cost->bytes += plain.bytes + 8 * rows * (double)call->v->shape[3];
}

vdit_status vdit_meter_estimate(vdit_attention_cost *cost, vdit_run *run,
                                const vdit_attention *call, const vdit_meter_request *request)
{
    size_t mark = vdit_run_mark(run);
    vdit_meter_engine engine;

    memset(cost, 0, sizeof *cost);
    if (vdit_run_status(run) == VDIT_OK && vdit_meter_open(&engine, run, call, request) == VDIT_OK)
        add_costs(cost, &engine);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
