/* explain_table.c - what each tile of keys adds to the rows that are explained. */
#include <math.h>
#include <string.h>
#include "golden/explain.h"

#define TILE VDIT_EXPLAIN_TILE

static vdit_status table_new(vdit_explain_table *t, vdit_explain *e)
{
    vdit_run *run = e->run;

    t->e = e;
    t->keys = e->head.keys;
    t->tiles = (t->keys + TILE - 1) / TILE;
    t->width = e->head.value_width;
    t->p = vdit_run_alloc(run, e->count * t->keys, sizeof *t->p);
    t->sum = vdit_run_alloc(run, e->count, sizeof *t->sum);
    t->o = vdit_run_alloc(run, e->count * t->width, sizeof *t->o);
    t->tile_sum = vdit_run_alloc(run, e->count * t->tiles, sizeof *t->tile_sum);
    t->tile_o = vdit_run_alloc(run, e->count * t->tiles * t->width, sizeof *t->tile_o);
    t->range_o = vdit_run_alloc(run, t->width, sizeof *t->range_o);
    return vdit_run_status(run);
}

void vdit_explain_add(const vdit_explain_table *t, double *o, size_t r, size_t j)
{
    double p = t->p[r * t->keys + j];
    const float *v = t->e->head.v + j * t->width;

    for (size_t c = 0; p != 0 && c < t->width; c++)
        o[c] += p * v[c];
}

static void table_fill(vdit_explain_table *t)
{
    vdit_wrong none = vdit_wrong_none(&t->e->head);

    memset(t->sum, 0, t->e->count * sizeof *t->sum);
    memset(t->o, 0, t->e->count * t->width * sizeof *t->o);
    memset(t->tile_sum, 0, t->e->count * t->tiles * sizeof *t->tile_sum);
    memset(t->tile_o, 0, t->e->count * t->tiles * t->width * sizeof *t->tile_o);
    for (size_t r = 0; r < t->e->count; r++) {
        double lse, most;
        vdit_wrong_row(&t->e->head, &none, t->e->rows[r], t->e->guess, &lse, &most);
        for (size_t j = 0; j < t->keys; j++) {
            double s = t->e->head.logits[j], *p = &t->p[r * t->keys + j];
            *p = s == -HUGE_VAL ? 0 : exp(s - most);
            t->tile_sum[r * t->tiles + j / TILE] += *p;
            vdit_explain_add(t, t->tile_o + (r * t->tiles + j / TILE) * t->width, r, j);
        }
        for (size_t i = 0; i < t->tiles; i++) {
            t->sum[r] += t->tile_sum[r * t->tiles + i];
            for (size_t c = 0; c < t->width; c++)
                t->o[r * t->width + c] += t->tile_o[(r * t->tiles + i) * t->width + c];
        }
    }
}

vdit_status vdit_explain_tabulate(vdit_explain_table *t, vdit_explain *e)
{
    if (table_new(t, e) == VDIT_OK)
        table_fill(t);
    return vdit_run_status(e->run);
}
