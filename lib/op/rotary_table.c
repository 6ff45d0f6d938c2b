/* rotary_table.c - rotary tables of positions on axes, rounded once (doc/numerics.md, 9.6). */
#include <math.h>
#include <string.h>
#include <vdit/op.h>
#include "base/parallel.h"
#include "exact/angle.h"
#include "op/shape.h"
#include "op/table.h"

#define TOGETHER 64 /* tokens of a task */

typedef struct rotary_state {
    vdit_table table;
    const vdit_tensor *position;
    const vdit_frequency *w; /* [pairs] */
    const size_t *axis;      /* [pairs] of each */
} rotary_state;

static void fill_tokens(void *context, size_t task, int thread)
{
    const rotary_state *s = context;
    const vdit_table *table = &s->table;
    size_t end = (task + 1) * TOGETHER;

    for (size_t n = task * TOGETHER; n < end && n < s->position->shape[0]; n++)
        for (size_t j = 0; j < table->pairs; j++) {
            const size_t at[] = {n, s->axis[j]}, to[] = {n, j};
            double t;

            vdit_load_f64(&t, 1, vdit_tensor_at(s->position, at), 1, VDIT_F64);
            for (int c = VDIT_SINE; c <= VDIT_COSINE; c++)
                vdit_table_put(table, c, to,
                               vdit_frequency_round(&s->w[j], t, table->out[c]->dtype, c,
                                                    table->decided[thread]));
        }
}

/* Out: pairs, the sum of widths / 2. */
static vdit_status check_widths(vdit_run *run, size_t *pairs, const size_t *widths, size_t axes)
{
    *pairs = 0;
    for (size_t a = 0; a < axes; a++) {
        if (widths[a] % 2 != 0)
            return vdit_run_fail(run, VDIT_ERR_ARGUMENT,
                                 "rotary_table: widths[%zu] is %zu, expected an even number", a,
                                 widths[a]);
        if (widths[a] / 2 > SIZE_MAX / 2 - *pairs)
            return vdit_run_fail(run, VDIT_ERR_LIMIT, "rotary_table: widths overflow");
        *pairs += widths[a] / 2;
    }
    return VDIT_OK;
}

static vdit_status check(vdit_run *run, size_t *pairs, const vdit_tensor *cosine,
                         const vdit_tensor *sine, const vdit_tensor *position, const size_t *widths,
                         double theta)
{
    size_t shape[2];

    if (vdit_table_check_position(run, "rotary_table", position) != VDIT_OK ||
        check_widths(run, pairs, widths, position->shape[1]) != VDIT_OK)
        return vdit_run_status(run);
    shape[0] = position->shape[0];
    shape[1] = *pairs;
    if (vdit_table_check(run, "rotary_table", cosine, sine, 2, shape) != VDIT_OK)
        return vdit_run_status(run);
    if (!(theta > 0 && isfinite(theta)))
        return vdit_run_fail(run, VDIT_ERR_ARGUMENT, "rotary_table: theta is %g, expected above 0",
                             theta);
    return VDIT_OK;
}

/* Every angle is below 2^30, and so is every position. */
static vdit_status check_angles(vdit_run *run, const rotary_state *s)
{
    double most = 1;

    for (size_t j = 0; j < s->table.pairs; j++)
        most = s->w[j].pair.high > most ? s->w[j].pair.high : most;
    for (size_t i = 0; i < vdit_tensor_count(s->position); i++) {
        const size_t axes = s->position->shape[1], at[] = {i / axes, i % axes};
        double t;

        vdit_load_f64(&t, 1, vdit_tensor_at(s->position, at), 1, VDIT_F64);
        if (t != 0 && isfinite(t) && !(fabs(t) * most < VDIT_ANGLE_LIMIT))
            return vdit_run_fail(
                run, VDIT_ERR_LIMIT,
                "rotary_table: position[%zu, %zu] is %g, expected angles below 2^30", at[0], at[1],
                t);
    }
    return VDIT_OK;
}

static vdit_status rotary(vdit_run *run, rotary_state *s, const size_t *widths, double theta)
{
    size_t pairs = s->table.pairs, tokens = s->position->shape[0], at = 0;
    vdit_frequency *w = vdit_run_alloc(run, pairs, sizeof *w);
    size_t *axis = vdit_run_alloc(run, pairs, sizeof *axis);

    if (vdit_table_start(run, &s->table) != VDIT_OK)
        return vdit_run_status(run);
    for (size_t a = 0; at < pairs; a++)
        for (size_t j = 0; j < widths[a] / 2; j++) {
            axis[at] = a;
            vdit_frequency_make(&w[at++], theta, j, (double)widths[a] / 2, 0);
        }
    s->w = w;
    s->axis = axis;
    if (check_angles(run, s) != VDIT_OK)
        return vdit_run_status(run);
    vdit_parallel(vdit_run_threads(run), tokens / TOGETHER + (tokens % TOGETHER != 0), fill_tokens,
                  s);
    vdit_table_finish(run, &s->table);
    return VDIT_OK;
}

vdit_status vdit_rotary_table(vdit_run *run, vdit_tensor *cosine, vdit_tensor *sine,
                              const vdit_tensor *position, const size_t *widths, double theta)
{
    rotary_state s = {.table = {.out = {sine, cosine}}, .position = position};
    size_t mark = vdit_run_mark(run);

    if (vdit_run_status(run) != VDIT_OK ||
        check(run, &s.table.pairs, cosine, sine, position, widths, theta) != VDIT_OK)
        return vdit_run_status(run);
    rotary(run, &s, widths, theta);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
