/*
 * attention/meter_cells.h - meters of groups of keys: the mass, or the largest entry, that each row has on each
 * group, rounded to a fact; and exact sums of these over rows.
 */
#ifndef VDIT_ATTENTION_METER_CELLS_H
#define VDIT_ATTENTION_METER_CELLS_H

#include "attention/meter.h"
#include "exact/tally.h"

#define VDIT_CELLS_NO_GROUP UINT32_MAX

typedef struct vdit_cells vdit_cells;

/* What a meter of cells adds. */
typedef struct vdit_cells_kind {
    vdit_dtype dtype; /* of the facts: f32, or bf16 where a row has many */
    int maxima;       /* 1: largest entries too */
    /* Returns: the group of key j of the call, below cells->groups, or VDIT_CELLS_NO_GROUP. */
    uint32_t (*group)(const vdit_meter *meter, size_t j);
    /* A row's facts: mass[groups], top[groups] (NULL without maxima). One thread at a time. */
    void (*add)(vdit_meter *meter, size_t r, const double *mass, const double *top);
} vdit_cells_kind;

/* What a thread works with. */
typedef struct vdit_cells_worker {
    double *mass, *top;           /* [panels][groups][nr] of a block */
    double *mass_fact, *top_fact; /* [groups] of a row */
    vdit_mp *exact, *exact_top;   /* [groups] */
} vdit_cells_worker;

struct vdit_cells {
    const vdit_cells_kind *kind;
    size_t groups;
    uint32_t *group; /* [Nk] of the packed keys */
    size_t most;     /* keys of the largest group */
    size_t *count;   /* [groups] scratch */
    vdit_cells_worker *workers;
    void *own; /* the meter's */
};

/* Returns: meter->state as made by open, with room for groups to be made by vdit_cells_start. */
vdit_cells *vdit_cells_open(vdit_meter *meter, const vdit_cells_kind *kind, size_t groups);

/* The functions of a vdit_meter_kind. */
void vdit_cells_start(vdit_meter *meter);
void vdit_cells_begin(vdit_meter *meter);
void vdit_cells_begin_block(vdit_meter *meter, vdit_walk *walk, int worker);
void vdit_cells_tile(vdit_meter *meter, vdit_walk *walk, size_t p, size_t t, int worker);
void vdit_cells_end_block(vdit_meter *meter, vdit_walk *walk, int worker);
void vdit_cells_exact(vdit_meter *meter, vdit_last *last);

/* Returns: sum / count, rounded once to f32; NaN for count 0. */
double vdit_cells_mean(const vdit_tally *sum, size_t count);

#endif
