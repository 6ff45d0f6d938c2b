/*
 * meter_ladder.h - counts per key of the queries whose weight is at least tau, for some tau: the part that the
 * meters ladder and sink have in common.
 */
#ifndef VDIT_ATTENTION_METER_LADDER_H
#define VDIT_ATTENTION_METER_LADDER_H

#include "attention/meter.h"

#define VDIT_LADDER_STEPS 6

typedef struct vdit_ladder_worker {
    double *low, *high; /* [steps][lanes] vdit_walk_cut */
    uint32_t *count;    /* [steps][packed keys] */
} vdit_ladder_worker;

/* The first three are the caller's to set, before vdit_ladder_new. */
typedef struct vdit_ladder {
    size_t steps;
    double tau[VDIT_LADDER_STEPS]; /* f32 numbers above 0, growing */
    unsigned queries;              /* which count */
    const vdit_meter_engine *engine;
    vdit_ladder_worker *workers; /* [threads] */
} vdit_ladder;

/* Room for any head, in the run's memory. Returns: VDIT_OK or the failure. */
vdit_status vdit_ladder_new(vdit_run *run, vdit_ladder *ladder, const vdit_meter_engine *engine);

/* As the functions of vdit_meter_kind. */
void vdit_ladder_begin(vdit_ladder *ladder);
void vdit_ladder_begin_block(vdit_ladder *ladder, const vdit_walk *walk, int worker);
void vdit_ladder_tile(vdit_ladder *ladder, vdit_walk *walk, size_t p, size_t t, int worker);

/* Returns: how many queries give packed key j a weight of tau[n] or more. */
uint64_t vdit_ladder_count(const vdit_ladder *ladder, size_t n, size_t j);

#endif
