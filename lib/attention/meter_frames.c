/*
 * meter_frames.c - how far a head looks: mass between frames and by the distance in frames (row masses in f32), and mass by
 * the distance in space (row masses in bf16, because a row has many).
 */
#include <math.h>
#include <string.h>
#include "attention/meter_cells.h"

enum { MASS, DISTANCE };

/* Sums over rows; one of the two meters has each. */
typedef struct sums {
    vdit_tally *cell;   /* [F][F], or [2H - 1][2W - 1] */
    size_t *rows;       /* [F] queries of each frame; or one number: all */
    unsigned char *odd; /* [F] 1 where a row is NaN; or one for all */
    size_t cells, kinds;
} sums;

static void open_sums(vdit_meter *meter, const vdit_cells_kind *kind, size_t groups, size_t cells,
                      size_t kinds)
{
    vdit_cells *state = vdit_cells_open(meter, kind, groups);
    sums *own = vdit_run_alloc(meter->engine->run, 1, sizeof *own);

    if (state == NULL || own == NULL)
        return;
    state->own = own;
    own->cells = cells;
    own->kinds = kinds;
    if (meter->engine->layout.query.video == 0 || meter->engine->layout.key.video == 0)
        vdit_run_fail(meter->engine->run, VDIT_ERR_ARGUMENT,
                      "meter %s: it needs video queries and video keys", meter->kind->info.name);
}

static void start(vdit_meter *meter)
{
    vdit_run *run = meter->engine->run;
    sums *own = ((vdit_cells *)meter->state)->own;

    vdit_cells_start(meter);
    own->cell = vdit_run_alloc(run, own->cells, sizeof *own->cell);
    own->rows = vdit_run_alloc(run, own->kinds, sizeof *own->rows);
    own->odd = vdit_run_alloc(run, own->kinds, 1);
}

static void begin(vdit_meter *meter)
{
    sums *own = ((vdit_cells *)meter->state)->own;

    vdit_cells_begin(meter);
    memset(own->cell, 0, own->cells * sizeof *own->cell);
    memset(own->rows, 0, own->kinds * sizeof *own->rows);
    memset(own->odd, 0, own->kinds);
}

/* Returns: 1 if row r is a valid video query. Out: its (t, y, x). */
static int find_query(const vdit_meter *meter, size_t r, size_t at[3])
{
    const vdit_meter_engine *engine = meter->engine;

    if (engine->query_class[r] != VDIT_VIDEO)
        return 0;
    vdit_layout_place(at, &engine->layout, &engine->layout.query, vdit_query_at(engine->call, r));
    return 1;
}

static uint32_t frame_of(const vdit_meter *meter, size_t j)
{
    const vdit_layout *layout = &meter->engine->layout;

    if (vdit_axis_kind(&layout->key, j) != VDIT_VIDEO)
        return VDIT_CELLS_NO_GROUP;
    return (uint32_t)((j - layout->key.video_at) / (layout->height * layout->width));
}

static uint32_t spot_of(const vdit_meter *meter, size_t j)
{
    const vdit_layout *layout = &meter->engine->layout;

    if (vdit_axis_kind(&layout->key, j) != VDIT_VIDEO)
        return VDIT_CELLS_NO_GROUP;
    return (uint32_t)((j - layout->key.video_at) % (layout->height * layout->width));
}

static void add_frames(vdit_meter *meter, size_t r, const double *mass, const double *top)
{
    const vdit_cells *state = meter->state;
    sums *own = state->own;
    size_t at[3];

    (void)top;
    if (!find_query(meter, r, at))
        return;
    for (size_t f = 0; f < state->groups; f++)
        vdit_tally_add(&own->cell[at[0] * state->groups + f], mass[f]);
    own->rows[at[0]]++;
}

/* A row's mass on (y', x') goes to the cell (y' - y, x' - x). */
static void add_spots(vdit_meter *meter, size_t r, const double *mass, const double *top)
{
    const vdit_layout *layout = &meter->engine->layout;
    sums *own = ((vdit_cells *)meter->state)->own;
    size_t at[3], W = layout->width, across = 2 * W - 1;

    (void)top;
    if (!find_query(meter, r, at))
        return;
    for (size_t y = 0; y < layout->height; y++)
        for (size_t x = 0; x < W; x++)
            vdit_tally_add(
                &own->cell[(y + layout->height - 1 - at[1]) * across + x + W - 1 - at[2]],
                mass[y * W + x]);
    own->rows[0]++;
}

/* Rows without keys count with mass 0; a row of NaN makes what it counts for NaN. */
static void special(vdit_meter *meter, size_t r, vdit_row_kind kind)
{
    sums *own = ((vdit_cells *)meter->state)->own;
    size_t at[3];

    if (!find_query(meter, r, at))
        return;
    if (own->kinds == 1)
        at[0] = 0;
    own->rows[at[0]]++;
    own->odd[at[0]] |= kind != VDIT_ROW_EMPTY;
}

static const vdit_cells_kind frame_cells = {VDIT_F32, 0, frame_of, add_frames};
static const vdit_cells_kind spot_cells = {VDIT_BF16, 0, spot_of, add_spots};

static void open_frames(vdit_meter *meter)
{
    size_t F = meter->engine->layout.frames;

    meter->extent['D' - 'A'] = 2 * F - 1;
    open_sums(meter, &frame_cells, F, F * F, F);
}

static void open_offset(vdit_meter *meter)
{
    const vdit_layout *layout = &meter->engine->layout;

    meter->extent['Y' - 'A'] = 2 * layout->height - 1;
    meter->extent['X' - 'A'] = 2 * layout->width - 1;
    open_sums(meter, &spot_cells, layout->height * layout->width,
              meter->extent['Y' - 'A'] * meter->extent['X' - 'A'], 1);
}

static void end_frames(vdit_meter *meter)
{
    const vdit_cells *state = meter->state;
    const sums *own = state->own;
    size_t F = state->groups, all = 0;
    int odd = 0;
    vdit_acc rows, sum;

    for (size_t t = 0; t < F; t++) {
        all += own->rows[t];
        odd |= own->odd[t];
        for (size_t to = 0; to < F; to++)
            vdit_meter_put(meter, MASS, 0, t * F + to,
                           own->odd[t] ? NAN
                                       : vdit_cells_mean(&own->cell[t * F + to], own->rows[t]));
    }
    vdit_acc_zero(&rows);
    vdit_acc_add(&rows, (double)all);
    for (size_t d = 0; d < 2 * F - 1; d++) {
        vdit_acc_zero(&sum);
        for (size_t t = 0; t < F; t++)
            if (t + d >= F - 1 && t + d - (F - 1) < F)
                vdit_tally_to_acc(&sum, &own->cell[t * F + t + d - (F - 1)]);
        vdit_meter_put(meter, DISTANCE, 0, d,
                       odd || all == 0 ? NAN : vdit_meter_ratio(&sum, &rows, VDIT_F32));
    }
}

static void end_offset(vdit_meter *meter)
{
    const sums *own = ((vdit_cells *)meter->state)->own;

    for (size_t i = 0; i < own->cells; i++)
        vdit_meter_put(meter, MASS, 0, i,
                       own->odd[0] ? NAN : vdit_cells_mean(&own->cell[i], own->rows[0]));
}

static const vdit_meter_output frame_outputs[] = {
    {"mass", VDIT_F32, "BHFF", "mean over the queries of frame t of their mass on frame t'"},
    {"dt", VDIT_F32, "BHD", "mean over the video queries of their mass at t' - t = D - (F - 1)"},
    {NULL, VDIT_F32, NULL, NULL}};

static const vdit_meter_output offset_outputs[] = {
    {"mass", VDIT_F32, "BHYX",
     "mean over the video queries of their mass at (y' - y, x' - x) = (Y - (H - 1), X - (W - 1))"},
    {NULL, VDIT_F32, NULL, NULL}};

const vdit_meter_kind vdit_meter_frames = {
    .info = {"frames", "mass between frames, and by the distance in frames", "C01=vv,C06=none", 2,
             VDIT_METER_TOKENS, NULL, frame_outputs},
    .open = open_frames,
    .start = start,
    .begin = begin,
    .begin_block = vdit_cells_begin_block,
    .tile = vdit_cells_tile,
    .end_block = vdit_cells_end_block,
    .exact = vdit_cells_exact,
    .special = special,
    .end = end_frames};

const vdit_meter_kind vdit_meter_offset = {
    .info = {"offset", "mass by the distance in space, any frame", "C01=vv,C06=none", 2,
             VDIT_METER_TOKENS, NULL, offset_outputs},
    .open = open_offset,
    .start = start,
    .begin = begin,
    .begin_block = vdit_cells_begin_block,
    .tile = vdit_cells_tile,
    .end_block = vdit_cells_end_block,
    .exact = vdit_cells_exact,
    .special = special,
    .end = end_offset};
