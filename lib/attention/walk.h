/*
 * attention/walk.h - a second look at the map: one panel of rows on one tile of keys at a time, once the
 * sums of its rows are known.
 *
 * For lane l and key j of the tile the map entry is about s[j * nr + l % nr] / sum[l], with a relative
 * error of at most error[l]; whoever needs the entry as a fact, its f32 rounding, asks vdit_walk_entry.
 */
#ifndef VDIT_ATTENTION_WALK_H
#define VDIT_ATTENTION_WALK_H

#include "attention/last.h"
#include "attention/stream.h"

typedef struct vdit_walk {
    const vdit_head *head;
    vdit_stream stream; /* the block: top, sum, ... of its rows; s: the weights of the tile */
    double *logit;      /* [VDIT_TILE][nr] the logits of the tile in units of log 2 */
    double *error;      /* [lanes] relative, of an entry; 1 where nothing is known */
    vdit_last last;     /* the row that was asked for last */
    int loaded;         /* 1 if there is one */
    uint64_t asked;     /* rows that were computed for vdit_walk_entry */
} vdit_walk;

/* Room for one block, in the run's memory. Returns: VDIT_OK or the failure. */
vdit_status vdit_walk_new(vdit_run *run, vdit_walk *walk, const vdit_head *head);

/* Bytes that vdit_walk_new takes, at most. */
double vdit_walk_bytes(const vdit_attention *call);

/*
 * Loads rows first .. first + rows - 1 (at most VDIT_STREAM_PANELS * nr) and streams their sums: top,
 * most, sum, square; with values also o.
 */
void vdit_walk_load(vdit_walk *walk, size_t first, size_t rows, int values);

/* Tile t for panel p: logit, and the weights in stream.s. */
void vdit_walk_tile(vdit_walk *walk, size_t p, size_t t);

/* Returns: 1 if lane is a row with a finite query and at least one key; the others have no entries. */
int vdit_walk_has(const vdit_walk *walk, size_t lane);

/* Returns: the map entry of packed key j for a lane that has entries, rounded once to f32. Slow. */
double vdit_walk_entry(vdit_walk *walk, size_t lane, size_t j);

/* The same for row r of the call, whatever is loaded. */
double vdit_walk_row_entry(vdit_walk *walk, size_t r, size_t j);

/*
 * A threshold tau > 0, an f32, made ready for the rows of a lane: an entry rounds to tau or above if its weight is
 * at least high, below tau if its weight is less than low, and in between vdit_walk_entry decides. tau = 0 gives
 * low = high = 0: every entry is at or above it.
 */
void vdit_walk_cut(const vdit_walk *walk, size_t lane, double tau, double *low, double *high);

#endif
