/*
 * meter_ladder.c - how many queries give a key a weight of tau or more (C27), counted from the entries' f32
 * roundings: a count is a fact.
 */
#include <math.h>
#include <string.h>
#include "attention/meter_ladder.h"

vdit_status vdit_ladder_new(vdit_run *run, vdit_ladder *ladder, const vdit_meter_engine *engine)
{
    size_t lanes = VDIT_STREAM_PANELS * engine->head.kernel->nr, keys = engine->call->k->shape[2];

    ladder->engine = engine;
    ladder->workers = vdit_run_alloc(run, (size_t)engine->threads, sizeof *ladder->workers);
    for (int i = 0; i < engine->threads && vdit_run_status(run) == VDIT_OK; i++) {
        vdit_ladder_worker *own = &ladder->workers[i];
        own->low = vdit_run_alloc(run, ladder->steps * lanes, sizeof(double));
        own->high = vdit_run_alloc(run, ladder->steps * lanes, sizeof(double));
        own->count = vdit_run_alloc(run, keys, ladder->steps * sizeof *own->count);
    }
    return vdit_run_status(run);
}

void vdit_ladder_begin(vdit_ladder *ladder)
{
    size_t keys = ladder->engine->call->k->shape[2];

    for (int i = 0; i < ladder->engine->threads; i++)
        memset(ladder->workers[i].count, 0,
               ladder->steps * keys * sizeof *ladder->workers[i].count);
}

void vdit_ladder_begin_block(vdit_ladder *ladder, const vdit_walk *walk, int worker)
{
    const vdit_meter_engine *engine = ladder->engine;
    vdit_ladder_worker *own = &ladder->workers[worker];
    size_t lanes = walk->stream.panels * walk->head->kernel->nr;

    for (size_t lane = 0; lane < lanes; lane++)
        for (size_t n = 0; n < ladder->steps; n++) {
            double *low = &own->low[n * lanes + lane], *high = &own->high[n * lanes + lane];

            *low = *high = INFINITY; /* no weight is counted */
            if (vdit_meter_has(engine, walk, lane) &&
                (engine->query_class[walk->stream.first + lane] & ladder->queries) != 0)
                vdit_walk_cut(walk, lane, ladder->tau[n], low, high);
        }
}

/* The steps that one weight, of packed key j, reaches; tau grows with n. */
static void climb(const vdit_ladder *ladder, vdit_walk *walk, size_t lane, size_t j, double weight,
                  vdit_ladder_worker *own)
{
    size_t lanes = walk->stream.panels * walk->head->kernel->nr, keys = walk->head->keys;

    for (size_t n = 0; n < ladder->steps; n++) {
        if (weight < own->low[n * lanes + lane])
            return;
        if (weight < own->high[n * lanes + lane] && vdit_walk_entry(walk, lane, j) < ladder->tau[n])
            return;
        own->count[n * keys + j]++;
    }
}

void vdit_ladder_tile(vdit_ladder *ladder, vdit_walk *walk, size_t p, size_t t, int worker)
{
    vdit_ladder_worker *own = &ladder->workers[worker];
    size_t nr = walk->head->kernel->nr, keys = vdit_tile_keys(walk->head, t);
    const double *low = own->low + p * nr; /* of the first step */

    for (size_t j = 0; j < keys; j++) {
        const double *weight = walk->stream.s + j * nr;
        int any = 0;

        for (size_t l = 0; l < nr; l++)
            any |= weight[l] >= low[l];
        for (size_t l = 0; any && l < nr; l++)
            climb(ladder, walk, p * nr + l, t * VDIT_TILE + j, weight[l], own);
    }
}

uint64_t vdit_ladder_count(const vdit_ladder *ladder, size_t n, size_t j)
{
    uint64_t count = 0;

    for (int i = 0; i < ladder->engine->threads; i++)
        count += ladder->workers[i].count[n * ladder->engine->head.keys + j];
    return count;
}

/* The steps of C27, as f32. */
static const float steps[] = {0.1f, 0.2f, 0.3f, 0.5f, 0.7f, 0.9f};

#define STEPS (sizeof steps / sizeof *steps)

enum { COUNT, TAU, QUERIES };

static void open(vdit_meter *meter)
{
    vdit_ladder *state = vdit_run_alloc(meter->engine->run, 1, sizeof *state);

    if (state == NULL)
        return;
    meter->state = state;
    state->steps = STEPS;
    for (size_t n = 0; n < STEPS; n++)
        state->tau[n] = steps[n];
    state->queries = vdit_meter_tokens(meter, 0);
    meter->extent['L' - 'A'] = STEPS;
}

static void start(vdit_meter *meter)
{
    vdit_ladder_new(meter->engine->run, meter->state, meter->engine);
}

static void begin(vdit_meter *meter)
{
    vdit_ladder_begin(meter->state);
}

static void begin_block(vdit_meter *meter, vdit_walk *walk, int worker)
{
    vdit_ladder_begin_block(meter->state, walk, worker);
}

static void tile(vdit_meter *meter, vdit_walk *walk, size_t p, size_t t, int worker)
{
    vdit_ladder_tile(meter->state, walk, p, t, worker);
}

static void end(vdit_meter *meter)
{
    const vdit_ladder *state = meter->state;
    const vdit_meter_engine *engine = meter->engine;
    size_t keys = meter->extent['K' - 'A'];

    for (size_t n = 0; n < STEPS; n++) {
        for (size_t j = 0; j < engine->head.keys; j++)
            vdit_meter_put(meter, COUNT, 0, n * keys + engine->head.key_at[j],
                           (double)vdit_ladder_count(state, n, j));
        vdit_store_f64((float *)meter->out[TAU].data + n, VDIT_F32, steps[n]);
    }
    vdit_meter_put(meter, QUERIES, 0, 0, (double)vdit_meter_queries(engine, state->queries));
}

static const vdit_meter_output outputs[] = {
    {"count", VDIT_I64, "BHLK", "queries whose weight on the key, rounded to f32, is tau or more"},
    {"tau", VDIT_F32, "L", "the ladder: 0.1, 0.2, 0.3, 0.5, 0.7, 0.9"},
    {"queries", VDIT_I64, "BH", "how many queries there are"},
    {NULL, VDIT_F32, NULL, NULL}};

static const vdit_meter_option options[] = {
    {"queries", "video", "video, text or all: which queries are counted"}, {NULL, NULL, NULL}};

const vdit_meter_kind vdit_meter_ladder = {
    .info = {"ladder", "counts of the queries that attend heavily to a key",
             "C27=counts(0.1..0.9),C28=option", 2, 0, options, outputs},
    .open = open,
    .start = start,
    .begin = begin,
    .begin_block = begin_block,
    .tile = tile,
    .end = end};
