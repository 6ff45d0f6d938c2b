/*
 * meter_picture.c - the map made small: the mean and the largest entry of each block of queries and keys. A row's part of
 * a block is rounded to bf16, eight bits; sums of these are exact, and so is the largest of them.
 */
#include <math.h>
#include <string.h>
#include "attention/meter_cells.h"

enum { MEAN, MAX };

typedef struct picture {
    size_t rows, keys; /* of a block */
    size_t across, down;
    vdit_tally *cell;   /* [down][across] */
    float *top;         /* [down][across] */
    unsigned char *odd; /* [down] 1 where a row is NaN */
} picture;

static picture *own_of(const vdit_meter *meter)
{
    return ((const vdit_cells *)meter->state)->own;
}

static uint32_t block_of(const vdit_meter *meter, size_t j)
{
    return (uint32_t)(j / own_of(meter)->keys);
}

static void add(vdit_meter *meter, size_t r, const double *mass, const double *top)
{
    picture *own = own_of(meter);
    size_t at = r / own->rows * own->across;

    for (size_t i = 0; i < own->across; i++) {
        vdit_tally_add(&own->cell[at + i], mass[i]);
        if (top[i] > (double)own->top[at + i])
            own->top[at + i] = (float)top[i];
    }
}

static const vdit_cells_kind cells = {VDIT_BF16, 1, block_of, add};

static size_t divide_up(size_t n, size_t by)
{
    return (n + by - 1) / by;
}

static void open(vdit_meter *meter)
{
    size_t side = vdit_meter_size(meter, 0, 1, 4096), R = meter->engine->rows;
    size_t K = meter->extent['K' - 'A'];
    picture *own = vdit_run_alloc(meter->engine->run, 1, sizeof *own);
    vdit_cells *state;

    if (own == NULL)
        return;
    memset(own, 0, sizeof *own);
    own->rows = R > side ? divide_up(R, side) : 1;
    own->keys = K > side ? divide_up(K, side) : 1;
    own->down = divide_up(R, own->rows);
    own->across = divide_up(K, own->keys);
    meter->extent['Y' - 'A'] = own->down;
    meter->extent['X' - 'A'] = own->across;
    state = vdit_cells_open(meter, &cells, own->across);
    if (state != NULL)
        state->own = own;
}

static void start(vdit_meter *meter)
{
    picture *own = own_of(meter);
    vdit_run *run = meter->engine->run;

    vdit_cells_start(meter);
    own->cell = vdit_run_alloc(run, own->down, own->across * sizeof *own->cell);
    own->top = vdit_run_alloc(run, own->down, own->across * sizeof *own->top);
    own->odd = vdit_run_alloc(run, own->down, 1);
}

static void begin(vdit_meter *meter)
{
    picture *own = own_of(meter);

    vdit_cells_begin(meter);
    memset(own->cell, 0, own->down * own->across * sizeof *own->cell);
    memset(own->top, 0, own->down * own->across * sizeof *own->top);
    memset(own->odd, 0, own->down);
}

static void special(vdit_meter *meter, size_t r, vdit_row_kind kind)
{
    picture *own = own_of(meter);

    own->odd[r / own->rows] |= kind != VDIT_ROW_EMPTY;
}

/* Entries of a block count whether they are valid or not: one that is masked is 0. */
static void end(vdit_meter *meter)
{
    const picture *own = own_of(meter);
    size_t R = meter->engine->rows, K = meter->extent['K' - 'A'];

    for (size_t y = 0; y < own->down; y++)
        for (size_t x = 0; x < own->across; x++) {
            size_t rows = R - y * own->rows, keys = K - x * own->keys, at = y * own->across + x;
            size_t count =
                (rows < own->rows ? rows : own->rows) * (keys < own->keys ? keys : own->keys);

            vdit_meter_put(meter, MEAN, 0, at,
                           own->odd[y] ? NAN : vdit_cells_mean(&own->cell[at], count));
            vdit_meter_put(meter, MAX, 0, at, own->odd[y] ? NAN : (double)own->top[at]);
        }
}

static const vdit_meter_option options[] = {
    {"side", "256", "cells on each side, at most: blocks are as large as that needs"},
    {NULL, NULL, NULL}};

static const vdit_meter_output outputs[] = {
    {"mean", VDIT_F32, "BHYX", "mean entry of each block, queries down, keys across"},
    {"max", VDIT_F32, "BHYX", "largest entry of each block, rounded to bf16"},
    {NULL, VDIT_F32, NULL, NULL}};

const vdit_meter_kind vdit_meter_picture = {.info = {"picture",
                                                     "the map by blocks of queries and keys",
                                                     "C06=none", 2, 0, options, outputs},
                                            .open = open,
                                            .start = start,
                                            .begin = begin,
                                            .begin_block = vdit_cells_begin_block,
                                            .tile = vdit_cells_tile,
                                            .end_block = vdit_cells_end_block,
                                            .exact = vdit_cells_exact,
                                            .special = special,
                                            .end = end};
