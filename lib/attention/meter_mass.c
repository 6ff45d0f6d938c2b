/*
 * meter_mass.c - the mass that a row gives to ranges of keys: video and text (C01), the first text token (C37),
 * the first frame (C36). A head's figure is the mean of its rows' masses.
 */
#include <math.h>
#include <string.h>
#include "attention/meter.h"

#define UNIT   0x1p-53
#define RANGES 2

typedef struct mass {
    size_t ranges;
    size_t first[RANGES], end[RANGES];   /* keys of the call */
    size_t packed[RANGES], past[RANGES]; /* packed keys of the head */
    unsigned queries;                    /* whose mean is taken, where there is but one */
    double **sums;                       /* [threads][RANGES][lanes] */
} mass;

/* In the order of the kinds below: a meter's first outputs are the masses of its ranges. */
static mass *open_ranges(vdit_meter *meter, size_t ranges)
{
    mass *state = vdit_run_alloc(meter->engine->run, 1, sizeof *state);

    if (state != NULL) {
        memset(state, 0, sizeof *state);
        state->ranges = ranges;
        state->queries = VDIT_ANY;
    }
    meter->state = state;
    return state;
}

static void set_range(mass *state, size_t n, size_t first, size_t count)
{
    state->first[n] = first;
    state->end[n] = first + count;
}

static void open_segments(vdit_meter *meter)
{
    mass *state = open_ranges(meter, 2);
    const vdit_axis *key = &meter->engine->layout.key;

    if (state == NULL)
        return;
    set_range(state, 0, key->video_at, key->video);
    set_range(state, 1, key->text_at, key->text);
}

static void open_text0(vdit_meter *meter)
{
    mass *state = open_ranges(meter, 1);

    if (state == NULL)
        return;
    set_range(state, 0, meter->engine->layout.key.text_at, 1);
    state->queries = vdit_meter_tokens(meter, 0);
}

static void open_first_frame(vdit_meter *meter)
{
    mass *state = open_ranges(meter, 1);
    const vdit_layout *layout = &meter->engine->layout;

    if (state == NULL)
        return;
    if (layout->key.video == 0)
        vdit_run_fail(meter->engine->run, VDIT_ERR_ARGUMENT,
                      "meter %s: the keys have no video tokens", meter->kind->info.name);
    set_range(state, 0, layout->key.video_at, layout->height * layout->width);
    state->queries = vdit_meter_tokens(meter, 0);
}

static void start(vdit_meter *meter)
{
    vdit_run *run = meter->engine->run;
    mass *state = meter->state;
    size_t count = RANGES * VDIT_STREAM_PANELS * meter->engine->head.kernel->nr;

    state->sums = vdit_run_alloc(run, (size_t)meter->engine->threads, sizeof *state->sums);
    for (int i = 0; i < meter->engine->threads && vdit_run_status(run) == VDIT_OK; i++)
        state->sums[i] = vdit_run_alloc(run, count, sizeof(double));
}

/* Where the ranges lie among the packed keys, which are in the order of the call. */
static void begin(vdit_meter *meter)
{
    mass *state = meter->state;
    const vdit_head *head = &meter->engine->head;

    for (size_t n = 0; n < state->ranges; n++) {
        state->packed[n] = state->past[n] = 0;
        for (size_t j = 0; j < head->keys; j++) {
            state->packed[n] += head->key_at[j] < state->first[n];
            state->past[n] += head->key_at[j] < state->end[n];
        }
    }
}

static void begin_block(vdit_meter *meter, vdit_walk *walk, int worker)
{
    size_t count = RANGES * VDIT_STREAM_PANELS * walk->head->kernel->nr;

    memset(((mass *)meter->state)->sums[worker], 0, count * sizeof(double));
}

static void tile(vdit_meter *meter, vdit_walk *walk, size_t p, size_t t, int worker)
{
    mass *state = meter->state;
    size_t nr = walk->head->kernel->nr, keys = vdit_tile_keys(walk->head, t), from = t * VDIT_TILE;

    for (size_t n = 0; n < state->ranges; n++) {
        double *sum = state->sums[worker] + (n * VDIT_STREAM_PANELS + p) * nr;
        double part[VDIT_KERNEL_NR_MAX] = {0};
        size_t first = state->packed[n] > from ? state->packed[n] - from : 0;
        size_t end = state->past[n] > from ? state->past[n] - from : 0;

        for (size_t j = first; j < end && j < keys; j++)
            for (size_t l = 0; l < nr; l++)
                part[l] += walk->stream.s[j * nr + l];
        for (size_t l = 0; l < nr; l++)
            sum[l] += part[l];
    }
}

/* A mass errs as its entries do, and by its own sum: doc/numerics.md, 7.3. */
static void end_block(vdit_meter *meter, vdit_walk *walk, int worker)
{
    mass *state = meter->state;
    size_t nr = walk->head->kernel->nr;
    double own = UNIT * (VDIT_TILE + (double)walk->head->tiles + 4);

    for (size_t lane = 0; lane < walk->stream.rows; lane++)
        for (size_t n = 0; n < state->ranges && vdit_meter_has(meter->engine, walk, lane); n++) {
            double sum = state->sums[worker][n * VDIT_STREAM_PANELS * nr + lane];
            double value = sum / walk->stream.sum[lane];
            double error =
                1.02 * (walk->error[lane] + own) * value + (double)walk->head->keys * 0x1p-390;

            vdit_meter_settle(meter, n, walk->stream.first + lane, 0, value,
                              walk->error[lane] < 1 ? error : INFINITY);
        }
}

static void exact(vdit_meter *meter, vdit_last *last)
{
    mass *state = meter->state;

    for (size_t n = 0; n < state->ranges; n++) {
        vdit_mp sum;

        vdit_mp_from_f64(&sum, 0);
        for (size_t j = state->packed[n]; j < state->past[n]; j++)
            vdit_mp_add(&sum, &sum, &last->p[j]);
        if (sum.sign != 0)
            vdit_mp_div(&sum, &sum, &last->sum);
        vdit_meter_put_exact(meter, n, last->r, 0, &sum);
    }
}

/* Returns: 1 if a key of the range is valid for row r. */
static int attends(const vdit_meter *meter, size_t n, size_t r)
{
    const mass *state = meter->state;

    for (size_t j = state->first[n]; j < state->end[n]; j++)
        if (vdit_meter_valid(meter->engine, r, j))
            return 1;
    return 0;
}

static void special(vdit_meter *meter, size_t r, vdit_row_kind kind)
{
    mass *state = meter->state;

    for (size_t n = 0; n < state->ranges; n++)
        vdit_meter_put(meter, n, r, 0, kind != VDIT_ROW_EMPTY && attends(meter, n, r) ? NAN : 0);
}

static void end_segments(vdit_meter *meter)
{
    for (size_t n = 0; n < 2; n++) {
        vdit_meter_put(meter, 2 + n, 0, 0, vdit_meter_mean(meter, n, VDIT_VIDEO, NULL, NULL));
        vdit_meter_put(meter, 4 + n, 0, 0, vdit_meter_mean(meter, n, VDIT_TEXT, NULL, NULL));
    }
}

static void end_one(vdit_meter *meter)
{
    unsigned queries = ((mass *)meter->state)->queries;

    vdit_meter_put(meter, 1, 0, 0, vdit_meter_mean(meter, 0, queries, NULL, NULL));
}

static const vdit_meter_output segment_outputs[] = {
    {"row_video", VDIT_F32, "BHR", "mass of the row on video keys"},
    {"row_text", VDIT_F32, "BHR", "mass of the row on text keys"},
    {"vv", VDIT_F32, "BH", "mean of row_video over the video queries"},
    {"vt", VDIT_F32, "BH", "mean of row_text over the video queries"},
    {"tv", VDIT_F32, "BH", "mean of row_video over the text queries; NaN without any"},
    {"tt", VDIT_F32, "BH", "mean of row_text over the text queries; NaN without any"},
    {NULL, VDIT_F32, NULL, NULL}};

static const vdit_meter_output one_outputs[] = {
    {"row", VDIT_F32, "BHR", "mass of the row on these keys"},
    {"mass", VDIT_F32, "BH", "mean of row over the queries"},
    {NULL, VDIT_F32, NULL, NULL}};

static const vdit_meter_option one_options[] = {
    {"queries", "video", "video, text or all: whose mean is taken"}, {NULL, NULL, NULL}};

const vdit_meter_kind vdit_meter_segments = {
    .info = {"segments", "mass of the four blocks of a joint map", "C01=all+segments", 2, 0, NULL,
             segment_outputs},
    .open = open_segments,
    .start = start,
    .begin = begin,
    .begin_block = begin_block,
    .tile = tile,
    .end_block = end_block,
    .exact = exact,
    .special = special,
    .end = end_segments};

const vdit_meter_kind vdit_meter_text0 = {.info = {"text0", "mass on the first text token",
                                                   "C16=first,C37=text0_mass", 2, VDIT_METER_TEXT,
                                                   one_options, one_outputs},
                                          .open = open_text0,
                                          .start = start,
                                          .begin = begin,
                                          .begin_block = begin_block,
                                          .tile = tile,
                                          .end_block = end_block,
                                          .exact = exact,
                                          .special = special,
                                          .end = end_one};

const vdit_meter_kind vdit_meter_first_frame = {
    .info = {"first-frame", "mass on the keys of the first frame", "C36=first_frame_mass", 2,
             VDIT_METER_TOKENS, one_options, one_outputs},
    .open = open_first_frame,
    .start = start,
    .begin = begin,
    .begin_block = begin_block,
    .tile = tile,
    .end_block = end_block,
    .exact = exact,
    .special = special,
    .end = end_one};
