/* walk.c - the map once more, tile by tile, with bounds on its entries (doc/numerics.md, 5.3). */
#include <math.h>
#include <string.h>
#include "attention/walk.h"

vdit_status vdit_walk_new(vdit_run *run, vdit_walk *walk, const vdit_head *head)
{
    size_t nr = head->kernel->nr;

    memset(walk, 0, sizeof *walk);
    walk->head = head;
    vdit_stream_new(run, &walk->stream, head);
    vdit_last_new(run, &walk->last, head);
    walk->logit = vdit_run_alloc(run, VDIT_TILE * nr, sizeof(double));
    walk->error = vdit_run_alloc(run, VDIT_STREAM_PANELS * nr, sizeof(double));
    return vdit_run_status(run);
}

double vdit_walk_bytes(const vdit_attention *a)
{
    return vdit_stream_bytes(a) + vdit_last_bytes(a) +
           8 * VDIT_KERNEL_NR_MAX * (VDIT_TILE + VDIT_STREAM_PANELS);
}

/* The relative error of an entry of this lane, whatever the key. */
static double entry_error(const vdit_walk *walk, size_t lane)
{
    const vdit_head *head = walk->head;
    /* with a mask, bound.weight speaks of logits within 64 ln 2 of the top; here they are within 300 */
    double far = head->masked ? 4096 * 0x1p-53 : 0;
    vdit_row_bound bound;

    if (!vdit_walk_has(walk, lane))
        return 1;
    vdit_stream_bound(&bound, &walk->stream, lane);
    if (!bound.usable)
        return 1;
    return 1.02 * (2 * bound.weight + bound.total + 2 * bound.logit * head->key_norm_max + far) +
           bound.floor;
}

void vdit_walk_load(vdit_walk *walk, size_t first, size_t rows, int values)
{
    walk->loaded = 0;
    vdit_stream_load(&walk->stream, first, rows);
    if (values)
        vdit_stream_run(&walk->stream);
    else
        vdit_stream_sums(&walk->stream);
    for (size_t lane = 0; lane < walk->stream.panels * walk->head->kernel->nr; lane++)
        walk->error[lane] = entry_error(walk, lane);
}

void vdit_walk_tile(vdit_walk *walk, size_t p, size_t t)
{
    size_t nr = walk->head->kernel->nr, keys = vdit_tile_keys(walk->head, t);
    double scrap[2 * VDIT_KERNEL_NR_MAX] = {0};

    vdit_stream_logits(&walk->stream, p, t);
    memcpy(walk->logit, walk->stream.s, keys * nr * sizeof(double));
    walk->head->kernel->exp2_sum(keys, walk->stream.top + p * nr, walk->stream.s, scrap,
                                 scrap + VDIT_KERNEL_NR_MAX);
}

int vdit_walk_has(const vdit_walk *walk, size_t lane)
{
    return lane < walk->stream.rows && !walk->stream.odd[lane] && walk->stream.sum[lane] > 0;
}

double vdit_walk_row_entry(vdit_walk *walk, size_t r, size_t j)
{
    if (!walk->loaded || walk->last.r != r) {
        vdit_last_load(&walk->last, r);
        walk->loaded = 1;
        walk->asked++;
    }
    return vdit_last_entry(&walk->last, j);
}

double vdit_walk_entry(vdit_walk *walk, size_t lane, size_t j)
{
    return vdit_walk_row_entry(walk, walk->stream.first + lane, j);
}

void vdit_walk_cut(const vdit_walk *walk, size_t lane, double tau, double *low, double *high)
{
    /* the midpoint of tau and the f32 below it: exact, the least being 2^-150 */
    double middle = tau > 0 ? (tau + (double)nextafterf((float)tau, 0)) / 2 : 0;
    double weight = middle * walk->stream.sum[lane], slack = weight * (walk->error[lane] + 0x1p-50);

    *low = weight - slack > 0 ? weight - slack : 0;
    *high = !(tau > 0) ? 0 : walk->error[lane] < 1 ? weight + slack : INFINITY;
}
