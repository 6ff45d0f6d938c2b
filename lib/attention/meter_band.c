/*
 * meter_band.c - how much of a head lies on the map's diagonal, and on the lines beside it that pair equal places of different
 * frames: each row's mass on its keys there, beside that of a uniform row.
 *
 * On the video, counted from its first token, with H W tokens in a frame: the diagonal of query n is the keys n - width ..
 * n + width; its stripes are the keys n mod H W + f H W but for n itself.
 */
#include <math.h>
#include <string.h>
#include "attention/meter.h"

#define UNIT 0x1p-53

enum { ROW, MASS, CHANCE };

typedef struct band {
    size_t width;   /* of the diagonal; */
    int stripes;    /* or 1 */
    double **sums;  /* [threads][lanes] */
    size_t *packed; /* [Nk] where a key of the call is packed, SIZE_MAX if it is not */
} band;

/* The keys first, first + step, ... of the call, count of them, but for one. */
typedef struct set {
    size_t first, step, count, but;
} set;

static void open_band(vdit_meter *meter, int stripes)
{
    const vdit_layout *layout = &meter->engine->layout;
    band *state = vdit_run_alloc(meter->engine->run, 1, sizeof *state);

    if (state == NULL)
        return;
    memset(state, 0, sizeof *state);
    meter->state = state;
    state->stripes = stripes;
    if (!stripes)
        state->width = vdit_meter_size(meter, 0, 0, SIZE_MAX / 4);
    if (layout->query.video == 0 || layout->key.video == 0)
        vdit_run_fail(meter->engine->run, VDIT_ERR_ARGUMENT,
                      "meter %s: it needs video queries and video keys", meter->kind->info.name);
}

static void open_diagonal(vdit_meter *meter)
{
    open_band(meter, 0);
}

static void open_stripe(vdit_meter *meter)
{
    open_band(meter, 1);
}

static void start(vdit_meter *meter)
{
    vdit_run *run = meter->engine->run;
    band *state = meter->state;
    size_t lanes = VDIT_STREAM_PANELS * meter->engine->head.kernel->nr;

    state->packed = vdit_run_alloc(run, meter->extent['K' - 'A'], sizeof *state->packed);
    state->sums = vdit_run_alloc(run, (size_t)meter->engine->threads, sizeof *state->sums);
    for (int i = 0; i < meter->engine->threads && vdit_run_status(run) == VDIT_OK; i++)
        state->sums[i] = vdit_run_alloc(run, lanes, sizeof(double));
}

static void begin(vdit_meter *meter)
{
    band *state = meter->state;
    const vdit_head *head = &meter->engine->head;

    for (size_t j = 0; j < meter->extent['K' - 'A']; j++)
        state->packed[j] = SIZE_MAX;
    for (size_t j = 0; j < head->keys; j++)
        state->packed[head->key_at[j]] = j;
}

static void begin_block(vdit_meter *meter, vdit_walk *walk, int worker)
{
    memset(((band *)meter->state)->sums[worker], 0,
           walk->stream.panels * walk->head->kernel->nr * sizeof(double));
}

/* Returns: 1 if row r is a video query. Out: its set. */
static int find_set(const vdit_meter *meter, size_t r, set *keys)
{
    const band *state = meter->state;
    const vdit_layout *layout = &meter->engine->layout;
    size_t frame = layout->height * layout->width, query = vdit_query_at(meter->engine->call, r), n;
    size_t video = layout->key.video, end;

    if (vdit_axis_kind(&layout->query, query) != VDIT_VIDEO)
        return 0;
    n = query - layout->query.video_at;
    keys->step = state->stripes ? frame : 1;
    keys->first = state->stripes ? n % frame : n > state->width ? n - state->width : 0;
    end = state->stripes || video - n <= state->width ? video : n + state->width + 1;
    keys->count = (end - keys->first + keys->step - 1) / keys->step;
    keys->but = state->stripes ? layout->key.video_at + n : SIZE_MAX;
    keys->first += layout->key.video_at;
    return 1;
}

static void tile(vdit_meter *meter, vdit_walk *walk, size_t p, size_t t, int worker)
{
    const band *state = meter->state;
    const vdit_head *head = walk->head;
    size_t nr = head->kernel->nr, from = t * VDIT_TILE, keys = vdit_tile_keys(head, t);
    size_t least = head->key_at[from], most = head->key_at[from + keys - 1];

    for (size_t lane = p * nr; lane < (p + 1) * nr; lane++) {
        set in;

        if (!vdit_meter_has(meter->engine, walk, lane) ||
            !find_set(meter, walk->stream.first + lane, &in))
            continue;
        for (size_t n = least > in.first ? (least - in.first + in.step - 1) / in.step : 0;
             n < in.count && in.first + n * in.step <= most; n++) {
            size_t key = in.first + n * in.step;

            if (key != in.but && state->packed[key] != SIZE_MAX)
                state->sums[worker][lane] +=
                    walk->stream.s[(state->packed[key] - from) * nr + lane % nr];
        }
    }
}

/* A mass errs as its entries do, and by its own plain sum. */
static void end_block(vdit_meter *meter, vdit_walk *walk, int worker)
{
    const band *state = meter->state;

    for (size_t lane = 0; lane < walk->stream.rows; lane++) {
        set in;
        double value, error;

        if (!vdit_meter_has(meter->engine, walk, lane) ||
            !find_set(meter, walk->stream.first + lane, &in))
            continue;
        value = state->sums[worker][lane] / walk->stream.sum[lane];
        error = 1.02 * (walk->error[lane] + UNIT * ((double)in.count + 4)) * value +
                (double)walk->head->keys * 0x1p-390;
        vdit_meter_settle(meter, ROW, walk->stream.first + lane, 0, value,
                          walk->error[lane] < 1 ? error : INFINITY);
    }
}

static void exact(vdit_meter *meter, vdit_last *last)
{
    const band *state = meter->state;
    vdit_mp sum;
    set in;

    vdit_mp_from_f64(&sum, 0);
    if (!find_set(meter, last->r, &in))
        return;
    for (size_t n = 0; n < in.count; n++) {
        size_t key = in.first + n * in.step;

        if (key != in.but && state->packed[key] != SIZE_MAX)
            vdit_mp_add(&sum, &sum, &last->p[state->packed[key]]);
    }
    if (sum.sign != 0)
        vdit_mp_div(&sum, &sum, &last->sum);
    vdit_meter_put_exact(meter, ROW, last->r, 0, &sum);
}

/* Returns: how many keys of the row's set are valid. */
static size_t valid_keys(const vdit_meter *meter, size_t r, const set *in)
{
    size_t count = 0;

    for (size_t n = 0; n < in->count; n++) {
        size_t key = in->first + n * in->step;

        count += key != in->but && vdit_meter_valid(meter->engine, r, key);
    }
    return count;
}

static void special(vdit_meter *meter, size_t r, vdit_row_kind kind)
{
    set in;

    vdit_meter_put(
        meter, ROW, r, 0,
        kind != VDIT_ROW_EMPTY && find_set(meter, r, &in) && valid_keys(meter, r, &in) > 0 ? NAN
                                                                                           : 0);
}

/* The share of the valid keys that lie in the set, rounded to f32, as the mean over rows. */
static double chance(const vdit_meter *meter)
{
    const vdit_meter_engine *engine = meter->engine;
    size_t count = 0;
    vdit_acc sum, part, whole;

    vdit_acc_zero(&sum);
    for (size_t r = 0; r < engine->rows; r++) {
        size_t valid;
        set in;

        if (engine->query_class[r] != VDIT_VIDEO || !find_set(meter, r, &in))
            continue;
        count++;
        valid = vdit_meter_valid_keys(engine, r);
        if (valid == 0)
            continue;
        vdit_acc_zero(&part);
        vdit_acc_zero(&whole);
        vdit_acc_add(&part, (double)valid_keys(meter, r, &in));
        vdit_acc_add(&whole, (double)valid);
        vdit_acc_add(&sum, vdit_meter_ratio(&part, &whole, VDIT_F32));
    }
    if (count == 0)
        return NAN;
    vdit_acc_zero(&whole);
    vdit_acc_add(&whole, (double)count);
    return vdit_meter_ratio(&sum, &whole, VDIT_F32);
}

static void end(vdit_meter *meter)
{
    vdit_meter_put(meter, MASS, 0, 0, vdit_meter_mean(meter, ROW, VDIT_VIDEO, NULL, NULL));
    vdit_meter_put(meter, CHANCE, 0, 0, chance(meter));
}

static const vdit_meter_option diagonal_options[] = {{"width", "16", "tokens on either side"},
                                                     {NULL, NULL, NULL}};

static const vdit_meter_output outputs[] = {
    {"row", VDIT_F32, "BHR", "mass of the row there; 0 for a text query"},
    {"mass", VDIT_F32, "BH", "mean of row over the video queries"},
    {"chance", VDIT_F32, "BH", "the same of a uniform map over the valid keys"},
    {NULL, VDIT_F32, NULL, NULL}};

const vdit_meter_kind vdit_meter_diagonal = {
    .info = {"diagonal", "mass near the map's diagonal", "C01=vv", 2, 0, diagonal_options, outputs},
    .open = open_diagonal,
    .start = start,
    .begin = begin,
    .begin_block = begin_block,
    .tile = tile,
    .end_block = end_block,
    .exact = exact,
    .special = special,
    .end = end};

const vdit_meter_kind vdit_meter_stripe = {.info = {"stripe",
                                                    "mass on the same place in other frames",
                                                    "C01=vv", 2, VDIT_METER_TOKENS, NULL, outputs},
                                           .open = open_stripe,
                                           .start = start,
                                           .begin = begin,
                                           .begin_block = begin_block,
                                           .tile = tile,
                                           .end_block = end_block,
                                           .exact = exact,
                                           .special = special,
                                           .end = end};
