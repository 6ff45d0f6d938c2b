/* meter_cells.c - groups of keys, row by row (doc/numerics.md, section 7). */
#include <math.h>
#include <string.h>
#include "attention/meter_cells.h"

#define UNIT 0x1p-53

vdit_cells *vdit_cells_open(vdit_meter *meter, const vdit_cells_kind *kind, size_t groups)
{
    vdit_cells *cells = vdit_run_alloc(meter->engine->run, 1, sizeof *cells);

    if (cells != NULL) {
        memset(cells, 0, sizeof *cells);
        cells->kind = kind;
        cells->groups = groups;
    }
    meter->state = cells;
    return cells;
}

void vdit_cells_start(vdit_meter *meter)
{
    vdit_run *run = meter->engine->run;
    vdit_cells *cells = meter->state;
    size_t lanes = VDIT_STREAM_PANELS * meter->engine->head.kernel->nr, groups = cells->groups;

    cells->group = vdit_run_alloc(run, meter->extent['K' - 'A'], sizeof *cells->group);
    cells->count = vdit_run_alloc(run, groups, sizeof *cells->count);
    cells->workers = vdit_run_alloc(run, (size_t)meter->engine->threads, sizeof *cells->workers);
    for (int i = 0; i < meter->engine->threads && vdit_run_status(run) == VDIT_OK; i++) {
        vdit_cells_worker *own = &cells->workers[i];

        memset(own, 0, sizeof *own);
        own->mass = vdit_run_alloc(run, groups, lanes * sizeof(double));
        own->mass_fact = vdit_run_alloc(run, groups, sizeof(double));
        own->exact = vdit_run_alloc(run, groups, sizeof(vdit_mp));
        if (!cells->kind->maxima)
            continue;
        own->top = vdit_run_alloc(run, groups, lanes * sizeof(double));
        own->top_fact = vdit_run_alloc(run, groups, sizeof(double));
        own->exact_top = vdit_run_alloc(run, groups, sizeof(vdit_mp));
    }
}

void vdit_cells_begin(vdit_meter *meter)
{
    vdit_cells *cells = meter->state;
    const vdit_head *head = &meter->engine->head;

    memset(cells->count, 0, cells->groups * sizeof *cells->count);
    cells->most = 0;
    for (size_t j = 0; j < head->keys; j++) {
        uint32_t group = cells->kind->group(meter, head->key_at[j]);

        cells->group[j] = group;
        if (group != VDIT_CELLS_NO_GROUP && ++cells->count[group] > cells->most)
            cells->most = cells->count[group];
    }
}

void vdit_cells_begin_block(vdit_meter *meter, vdit_walk *walk, int worker)
{
    const vdit_cells *cells = meter->state;
    size_t size = walk->stream.panels * walk->head->kernel->nr * cells->groups * sizeof(double);

    memset(cells->workers[worker].mass, 0, size);
    if (cells->kind->maxima)
        memset(cells->workers[worker].top, 0, size);
}

void vdit_cells_tile(vdit_meter *meter, vdit_walk *walk, size_t p, size_t t, int worker)
{
    const vdit_cells *cells = meter->state;
    size_t nr = walk->head->kernel->nr, keys = vdit_tile_keys(walk->head, t);
    const uint32_t *group = cells->group + t * VDIT_TILE;
    double *mass = cells->workers[worker].mass + p * cells->groups * nr;
    double *top = cells->kind->maxima ? cells->workers[worker].top + p * cells->groups * nr : NULL;

    for (size_t j = 0; j < keys; j++) {
        const double *s = walk->stream.s + j * nr;

        if (group[j] == VDIT_CELLS_NO_GROUP)
            continue;
        for (size_t l = 0; l < nr; l++)
            mass[group[j] * nr + l] += s[l];
        for (size_t l = 0; top != NULL && l < nr; l++)
            top[group[j] * nr + l] = s[l] > top[group[j] * nr + l] ? s[l] : top[group[j] * nr + l];
    }
}

/*
 * The facts of a lane. A mass is a plain sum of at most `most` weights; it and a largest entry err relatively as entries do.
 * Returns: 0 if one is open.
 */
static int settle_lane(const vdit_cells *cells, const vdit_cells_worker *own, const vdit_walk *walk,
                       size_t lane)
{
    size_t nr = walk->head->kernel->nr, at = lane / nr * cells->groups * nr + lane % nr;
    double error = 1.02 * (walk->error[lane] + UNIT * ((double)cells->most + 4));
    double floor = (double)walk->head->keys * 0x1p-390, sum = walk->stream.sum[lane];

    if (!(walk->error[lane] < 1))
        return 0;
    for (size_t g = 0; g < cells->groups; g++) {
        double value = own->mass[at + g * nr] / sum;

        if (!vdit_meter_fact(&own->mass_fact[g], cells->kind->dtype, value, error * value + floor))
            return 0;
        if (!cells->kind->maxima)
            continue;
        value = own->top[at + g * nr] / sum;
        if (!vdit_meter_fact(&own->top_fact[g], cells->kind->dtype, value, error * value + floor))
            return 0;
    }
    return 1;
}

static void add_row(vdit_meter *meter, size_t r, const vdit_cells_worker *own)
{
    const vdit_cells *cells = meter->state;

#ifdef _OPENMP
#pragma omp critical(vdit_meter_cells)
#endif
    cells->kind->add(meter, r, own->mass_fact, own->top_fact);
}

void vdit_cells_end_block(vdit_meter *meter, vdit_walk *walk, int worker)
{
    const vdit_cells *cells = meter->state;
    const vdit_cells_worker *own = &cells->workers[worker];

    for (size_t lane = 0; lane < walk->stream.rows; lane++) {
        size_t r = walk->stream.first + lane;

        if (!vdit_meter_has(meter->engine, walk, lane))
            continue;
        if (settle_lane(cells, own, walk, lane))
            add_row(meter, r, own);
        else
            meter->open[r] = 1;
    }
}

/* Returns: the worker to which a row in multi-precision belongs. */
static const vdit_cells_worker *worker_of(const vdit_meter *meter, const vdit_last *last)
{
    const vdit_cells *cells = meter->state;
    size_t i = 0;

    while (&meter->engine->walks[i].last != last)
        i++;
    return &cells->workers[i];
}

/* value / sum, snapped (doc/numerics.md, 5.5) and rounded once. */
static double fact_of(vdit_mp *value, const vdit_last *last, vdit_dtype dtype)
{
    if (value->sign == 0)
        return 0;
    vdit_mp_div(value, value, &last->sum);
    vdit_snap_to(value, value);
    return vdit_mp_round(value, dtype);
}

void vdit_cells_exact(vdit_meter *meter, vdit_last *last)
{
    const vdit_cells *cells = meter->state;
    const vdit_cells_worker *own = worker_of(meter, last);

    for (size_t g = 0; g < cells->groups; g++) {
        vdit_mp_from_f64(&own->exact[g], 0);
        if (cells->kind->maxima)
            vdit_mp_from_f64(&own->exact_top[g], 0);
    }
    for (size_t j = 0; j < last->head->keys; j++) {
        uint32_t g = cells->group[j];

        if (g == VDIT_CELLS_NO_GROUP || last->p[j].sign == 0)
            continue;
        vdit_mp_add(&own->exact[g], &own->exact[g], &last->p[j]);
        if (cells->kind->maxima && vdit_mp_compare(&last->p[j], &own->exact_top[g]) > 0)
            own->exact_top[g] = last->p[j];
    }
    for (size_t g = 0; g < cells->groups; g++) {
        own->mass_fact[g] = fact_of(&own->exact[g], last, cells->kind->dtype);
        if (cells->kind->maxima)
            own->top_fact[g] = fact_of(&own->exact_top[g], last, cells->kind->dtype);
    }
    add_row(meter, last->r, own);
}

double vdit_cells_mean(const vdit_tally *sum, size_t count)
{
    vdit_acc total, over;

    if (count == 0)
        return NAN;
    vdit_acc_zero(&total);
    vdit_acc_zero(&over);
    vdit_tally_to_acc(&total, sum);
    vdit_acc_add(&over, (double)count);
    return vdit_meter_ratio(&total, &over, VDIT_F32);
}
