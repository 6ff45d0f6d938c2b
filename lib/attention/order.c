/* order.c - groups of rows, and what their sorted entries hold. */
#include <math.h>
#include <string.h>
#include "attention/order_many.h"
#include "attention/order_row.h"

static size_t query_count(const vdit_order *order)
{
    return order->facts.call->q->shape[2];
}

/* Groups of one head. */
static size_t groups_per_head(const vdit_order *order)
{
    const vdit_layout *layout = &order->facts.layout;

    switch (order->scope) {
    case VDIT_SCOPE_ROW:
        return query_count(order);
    case VDIT_SCOPE_FRAME:
        return layout->frames + (layout->query.text > 0);
    default:
        return 1;
    }
}

size_t vdit_order_groups(const vdit_order *order)
{
    return order->scope == VDIT_SCOPE_GLOBAL ? 1 : order->facts.count * groups_per_head(order);
}

size_t vdit_order_group(const vdit_order *order, size_t head, size_t r)
{
    size_t first = (head - order->facts.first) * groups_per_head(order);

    switch (order->scope) {
    case VDIT_SCOPE_GLOBAL:
        return 0;
    case VDIT_SCOPE_ROW:
        return first + r;
    case VDIT_SCOPE_FRAME:
        return first + vdit_layout_frame(&order->facts.layout, r);
    default:
        return first;
    }
}

/* The rows of a group that is no row. */
static vdit_order_part part_of(const vdit_order *order, size_t group)
{
    const vdit_facts_scope *facts = &order->facts;
    const vdit_layout *layout = &facts->layout;
    vdit_order_part part = {facts->first, facts->first + facts->count, 0, query_count(order)};
    size_t per_head = groups_per_head(order), frame = group % per_head;

    if (order->scope == VDIT_SCOPE_GLOBAL)
        return part;
    part.first = facts->first + group / per_head;
    part.end = part.first + 1;
    if (order->scope != VDIT_SCOPE_FRAME)
        return part;
    part.row = layout->query.text_at;
    part.rows = layout->query.text;
    if (frame < layout->frames) { /* without video queries a frame has no rows */
        part.rows = layout->query.video / layout->frames;
        part.row = layout->query.video_at + frame * part.rows;
    }
    return part;
}

static vdit_status check(vdit_run *run, const vdit_order *order)
{
    if (order->scope == VDIT_SCOPE_FRAME && order->facts.layout.frames == 0)
        return vdit_run_fail(run, VDIT_ERR_ARGUMENT, "scope frame: no frames are declared");
    return vdit_run_status(run);
}

/*
 * The places of a group whose entries are M: one for each fraction, with VDIT_TIES_LINEAR two. A place that is
 * not there counts as the last one.
 * Out: place[2 n], rest[n]. Returns: how many places.
 */
static size_t find_places(const vdit_order *order, uint64_t *place, vdit_mp *rest,
                          const double *fraction, size_t n, uint64_t M)
{
    if (order->ties != VDIT_TIES_LINEAR) {
        for (size_t i = 0; i < n; i++) {
            place[i] = vdit_order_place(NULL, fraction[i], M);
            place[i] -= place[i] == M;
        }
        return n;
    }
    for (size_t i = 0; i < n; i++) {
        place[2 * i] = vdit_order_place(&rest[i], fraction[i], M - 1);
        place[2 * i + 1] = place[2 * i] + (place[2 * i] + 1 < M);
    }
    return 2 * n;
}

/* Out: value[n] of one group, and M. */
static vdit_status group_values(vdit_order_many *many, const vdit_order *order,
                                const vdit_order_part *part, double *value, uint64_t *M,
                                const double *fraction, size_t n)
{
    size_t mark = vdit_run_mark(many->run), places;
    uint64_t *place = vdit_run_alloc(many->run, n, 2 * sizeof *place);
    double *at = vdit_run_alloc(many->run, n, 2 * sizeof *at);
    vdit_mp *rest = vdit_run_alloc(many->run, n, sizeof *rest);

    if (vdit_run_status(many->run) != VDIT_OK || vdit_order_survey(many, part, M) != VDIT_OK)
        return vdit_run_status(many->run);
    for (size_t i = 0; i < n; i++)
        value[i] = 0;
    if (*M > 0) {
        places = find_places(order, place, rest, fraction, n, *M);
        vdit_order_select(many, part, at, place, places);
        for (size_t i = 0; vdit_run_status(many->run) == VDIT_OK && i < n; i++)
            if (order->ties == VDIT_TIES_LINEAR)
                value[i] = vdit_order_between(at[2 * i], at[2 * i + 1], &rest[i]);
            else
                value[i] = fraction[i] < 1 ? at[i] : INFINITY;
    }
    vdit_run_release(many->run, mark);
    return vdit_run_status(many->run);
}

/* The same for the rows of each head. */
static vdit_status row_values(vdit_run *run, const vdit_order *order, vdit_order_wanted *wanted)
{
    const vdit_facts_scope *scope = &order->facts;
    size_t rows = query_count(order), mark = vdit_run_mark(run);
    vdit_facts facts;

    if (vdit_facts_new(run, &facts, scope, 0) == VDIT_OK)
        for (size_t i = 0; i < scope->count; i++) {
            vdit_order_rows(run, &facts, scope->first + i, wanted);
            wanted->value += rows * wanted->n;
            wanted->size += wanted->size != NULL ? rows : 0;
            wanted->below += wanted->below != NULL ? rows : 0;
        }
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

vdit_status vdit_order_values(vdit_run *run, double *value, uint64_t *size, const vdit_order *order,
                              const double *fraction, size_t n)
{
    size_t mark = vdit_run_mark(run), groups = vdit_order_groups(order);
    vdit_order_wanted wanted = {order->ties, fraction, n, value, size, NULL};
    vdit_order_many many;

    if (check(run, order) != VDIT_OK)
        return vdit_run_status(run);
    if (order->scope == VDIT_SCOPE_ROW)
        return row_values(run, order, &wanted);
    vdit_order_many_new(run, &many, order);
    for (size_t g = 0; g < groups && vdit_run_status(run) == VDIT_OK; g++) {
        vdit_order_part part = part_of(order, g);
        uint64_t M = 0;

        group_values(&many, order, &part, value + g * n, &M, fraction, n);
        if (size != NULL)
            size[g] = M;
    }
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

/* Shares out what of the entries that equal tau is to be dropped, row by row. */
static void share_out(uint64_t *quota, const vdit_order_counts *counts, size_t rows, uint64_t drop)
{
    for (size_t i = 0; i < rows; i++)
        drop -= counts->below[i];
    for (size_t i = 0; i < rows; i++) {
        quota[i] = drop < counts->equal[i] ? drop : counts->equal[i];
        drop -= quota[i];
    }
}

/* Out: tau and quota of a group's rows. */
static vdit_status group_threshold(vdit_order_many *many, const vdit_order *order, size_t group,
                                   double *tau, uint64_t *quota, double fraction)
{
    vdit_order_part part = part_of(order, group);
    size_t rows = (part.end - part.first) * part.rows, mark = vdit_run_mark(many->run);
    size_t at = (part.first - order->facts.first) * query_count(order) + part.row;
    vdit_order_counts counts = {NULL, NULL};
    double value = 0;
    uint64_t M;

    if (group_values(many, order, &part, &value, &M, &fraction, 1) != VDIT_OK)
        return vdit_run_status(many->run);
    for (size_t i = 0; i < rows; i++)
        tau[at + i] = value;
    if (quota == NULL)
        return VDIT_OK;
    counts.below = vdit_run_alloc(many->run, rows, sizeof *counts.below);
    counts.equal = vdit_run_alloc(many->run, rows, sizeof *counts.equal);
    if (vdit_run_status(many->run) == VDIT_OK &&
        vdit_order_count(many, &part, &counts, value) == VDIT_OK)
        share_out(quota + at, &counts, rows, vdit_order_place(NULL, fraction, M));
    vdit_run_release(many->run, mark);
    return vdit_run_status(many->run);
}

/* The thresholds of rows that are sorted each for itself. */
static vdit_status row_thresholds(vdit_run *run, double *tau, uint64_t *quota,
                                  const vdit_order *order, double fraction)
{
    size_t rows = order->facts.count * query_count(order), mark = vdit_run_mark(run);
    uint64_t *size = quota != NULL ? vdit_run_alloc(run, rows, sizeof *size) : NULL;
    vdit_order_wanted wanted = {order->ties, &fraction, 1, tau, size, quota};

    row_values(run, order, &wanted);
    for (size_t i = 0; vdit_run_status(run) == VDIT_OK && quota != NULL && i < rows; i++)
        quota[i] = vdit_order_place(NULL, fraction, size[i]) - quota[i];
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

vdit_status vdit_order_thresholds(vdit_run *run, double *tau, uint64_t *quota,
                                  const vdit_order *order, double fraction)
{
    size_t rows = order->facts.count * query_count(order), mark = vdit_run_mark(run);
    int known = fraction == 0 || (fraction == 1 && order->ties != VDIT_TIES_LINEAR);
    vdit_order_many many;

    if (check(run, order) != VDIT_OK)
        return vdit_run_status(run);
    for (size_t i = 0; known && i < rows; i++) {
        tau[i] = fraction == 0 ? 0 : INFINITY;
        if (quota != NULL)
            quota[i] = 0;
    }
    if (known)
        return VDIT_OK;
    if (order->scope == VDIT_SCOPE_ROW)
        return row_thresholds(run, tau, quota, order, fraction);
    vdit_order_many_new(run, &many, order);
    for (size_t g = 0; g < vdit_order_groups(order) && vdit_run_status(run) == VDIT_OK; g++)
        group_threshold(&many, order, g, tau, quota, fraction);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

double vdit_order_bytes(const vdit_run *run, const vdit_order *order, size_t n)
{
    double rows = (double)query_count(order), group = rows;

    if (order->scope == VDIT_SCOPE_GLOBAL)
        group *= (double)order->facts.count;
    if (order->scope == VDIT_SCOPE_ROW)
        return vdit_facts_bytes(run, &order->facts, 0) + vdit_order_rows_bytes(run, order) +
               8 * rows * (double)order->facts.count;
    return vdit_order_many_bytes(run, order, n) + 16 * group + (double)n * (32 + sizeof(vdit_mp));
}
