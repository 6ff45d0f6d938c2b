/*
 * meter_map.c - the map itself where one wants to see it: sampled rows, and a rectangle; and each row's
 * log-sum-exp. Entries are rounded once to f32, as vdit_attention's map is.
 */
#include <math.h>
#include <string.h>
#include "attention/meter.h"
#include "attention/rows.h"

enum { ENTRY, WHICH };

/* The rows first, first + step, ... (count of them) at the keys key .. key + keys - 1. */
typedef struct window {
    size_t first, step, count, key, keys;
} window;

static void open_rows(vdit_meter *meter)
{
    window *state = vdit_run_alloc(meter->engine->run, 1, sizeof *state);

    if (state == NULL)
        return;
    meter->state = state;
    state->first = 0;
    state->step = vdit_meter_size(meter, 0, 1, SIZE_MAX / 2);
    state->count = (meter->engine->rows + state->step - 1) / state->step;
    state->key = 0;
    state->keys = meter->extent['K' - 'A'];
    meter->extent['S' - 'A'] = state->count;
}

/* A part of an axis: "FIRST" and "COUNT" (all: up to the end), options i and i + 1. */
static void read_part(vdit_meter *meter, size_t i, size_t extent, size_t *first, size_t *count)
{
    *first = vdit_meter_size(meter, i, 0, extent > 0 ? extent - 1 : 0);
    *count = strcmp(meter->option[i + 1], "all") == 0
                 ? extent - *first
                 : vdit_meter_size(meter, i + 1, 1, extent - *first);
}

static void open_rectangle(vdit_meter *meter)
{
    window *state = vdit_run_alloc(meter->engine->run, 1, sizeof *state);

    if (state == NULL)
        return;
    meter->state = state;
    state->step = 1;
    read_part(meter, 0, meter->engine->rows, &state->first, &state->count);
    read_part(meter, 2, meter->extent['K' - 'A'], &state->key, &state->keys);
    meter->extent['X' - 'A'] = state->count;
    meter->extent['Y' - 'A'] = state->keys;
}

/* Returns: 1 if row r is in the window; out: its place there. */
static int find_row(const window *state, size_t r, size_t *place)
{
    if (r < state->first || (r - state->first) % state->step != 0)
        return 0;
    *place = (r - state->first) / state->step;
    return *place < state->count;
}

/* Entries of one lane on tile t. */
static void settle_lane(vdit_meter *meter, const vdit_walk *walk, size_t lane, size_t place,
                        size_t t)
{
    const window *state = meter->state;
    size_t nr = walk->head->kernel->nr, keys = vdit_tile_keys(walk->head, t);
    double error = walk->error[lane] < 1 ? walk->error[lane] + 0x1p-50 : INFINITY;

    for (size_t j = 0; j < keys; j++) {
        size_t at = walk->head->key_at[t * VDIT_TILE + j] - state->key;
        double value = walk->stream.s[j * nr + lane % nr] / walk->stream.sum[lane];

        if (at < state->keys) /* a key before the window wraps around */
            vdit_meter_settle(meter, ENTRY, walk->stream.first + lane, place * state->keys + at,
                              value, error * value + 0x1p-390);
    }
}

static void tile(vdit_meter *meter, vdit_walk *walk, size_t p, size_t t, int worker)
{
    size_t nr = walk->head->kernel->nr, place;

    (void)worker;
    for (size_t lane = p * nr; lane < (p + 1) * nr; lane++)
        if (vdit_meter_has(meter->engine, walk, lane) &&
            find_row(meter->state, walk->stream.first + lane, &place))
            settle_lane(meter, walk, lane, place, t);
}

static void exact(vdit_meter *meter, vdit_last *last)
{
    const window *state = meter->state;
    size_t place;

    if (!find_row(state, last->r, &place))
        return;
    for (size_t j = 0; j < last->head->keys; j++) {
        size_t at = last->head->key_at[j] - state->key;

        if (at < state->keys)
            vdit_meter_put(meter, ENTRY, last->r, place * state->keys + at,
                           vdit_last_entry(last, j));
    }
}

/* A row of NaN has them at its valid keys. An empty row stays as it was made, 0. */
static void special(vdit_meter *meter, size_t r, vdit_row_kind kind)
{
    const window *state = meter->state;
    size_t place;

    if (kind == VDIT_ROW_EMPTY || !find_row(state, r, &place))
        return;
    for (size_t i = 0; i < state->keys; i++)
        if (vdit_meter_valid(meter->engine, r, state->key + i))
            vdit_meter_put(meter, ENTRY, r, place * state->keys + i, NAN);
}

static void end(vdit_meter *meter)
{
    const window *state = meter->state;
    int64_t *which = meter->out[WHICH].data;

    for (size_t i = 0; i < state->count; i++)
        which[i] = (int64_t)vdit_query_at(meter->engine->call, state->first + i * state->step);
}

static void end_block_lse(vdit_meter *meter, vdit_walk *walk, int worker)
{
    (void)worker;
    for (size_t lane = 0; lane < walk->stream.rows; lane++) {
        double lse;

        if (!vdit_meter_has(meter->engine, walk, lane))
            continue;
        if (vdit_rows_lse(&lse, &walk->stream, lane))
            vdit_meter_put(meter, 0, walk->stream.first + lane, 0, lse);
        else
            meter->open[walk->stream.first + lane] = 1;
    }
}

static void exact_lse(vdit_meter *meter, vdit_last *last)
{
    vdit_meter_put(meter, 0, last->r, 0, vdit_last_lse(last));
}

static void special_lse(vdit_meter *meter, size_t r, vdit_row_kind kind)
{
    vdit_meter_put(meter, 0, r, 0,
                   kind == VDIT_ROW_EMPTY ? -INFINITY
                   : kind == VDIT_ROW_NAN ? NAN
                                          : INFINITY);
}

static const vdit_meter_output rows_outputs[] = {
    {"entry", VDIT_F32, "BHSK", "map entries of the sampled rows"},
    {"which", VDIT_I64, "S", "query indices of the sampled rows"},
    {NULL, VDIT_F32, NULL, NULL}};

static const vdit_meter_option rows_options[] = {{"every", "64", "one row of the call in so many"},
                                                 {NULL, NULL, NULL}};

const vdit_meter_kind vdit_meter_rows = {
    .info = {"rows", "sampled rows of the map", "", 2, 0, rows_options, rows_outputs},
    .open = open_rows,
    .tile = tile,
    .exact = exact,
    .special = special,
    .end = end};

static const vdit_meter_output rectangle_outputs[] = {
    {"entry", VDIT_F32, "BHXY", "map entries of the rectangle"},
    {"which", VDIT_I64, "X", "query indices of its rows"},
    {NULL, VDIT_F32, NULL, NULL}};

static const vdit_meter_option rectangle_options[] = {
    {"row", "0", "its first row of the call"},
    {"rows", "all", "how many, or all up to the end"},
    {"key", "0", "its first key"},
    {"keys", "all", "how many, or all up to the end"},
    {NULL, NULL, NULL}};

const vdit_meter_kind vdit_meter_rectangle = {
    .info = {"rectangle", "a rectangle of the map", "", 2, 0, rectangle_options, rectangle_outputs},
    .open = open_rectangle,
    .tile = tile,
    .exact = exact,
    .special = special,
    .end = end};

static const vdit_meter_output lse_outputs[] = {
    {"row", VDIT_F32, "BHR", "log-sum-exp of the row's logits, nats"},
    {NULL, VDIT_F32, NULL, NULL}};

const vdit_meter_kind vdit_meter_lse = {
    .info = {"lse", "log-sum-exp of the rows", "", 1, 0, NULL, lse_outputs},
    .end_block = end_block_lse,
    .exact = exact_lse,
    .special = special_lse};
