/* map.c - checks, broadcasting and threads of the operators with short sums. */
#include "base/parallel.h"
#include "op/map.h"
#include "op/shape.h"

#define TASK 8192 /* elements, at least a row */

typedef struct map_state {
    const vdit_map *map;
    vdit_lines y, a, b, c; /* c without data: missing */
    size_t rows, length;   /* length: of a row, in elements of b */
    size_t together;       /* rows per task */
} map_state;

static void map_row(const map_state *s, size_t row)
{
    enum { WIDE = VDIT_LINES_PIECE };
    const size_t per = s->map->per, piece = WIDE / per;
    double y[WIDE], a[WIDE], b[WIDE], c[WIDE];

    for (size_t i = 0; s->c.data == NULL && i < piece; i++)
        c[i] = s->map->missing;
    for (size_t at = 0; at < s->length; at += piece) {
        size_t n = s->length - at < piece ? s->length - at : piece;

        vdit_lines_load(a, n * per, &s->a, row, at * per);
        vdit_lines_load(b, n, &s->b, row, at);
        if (s->c.data != NULL)
            vdit_lines_load(c, n, &s->c, row, at);
        s->map->fn(n, y, a, b, c);
        vdit_lines_store(&s->y, row, at * per, y, n * per);
    }
}

static void map_row_single(const map_state *s, size_t row)
{
    enum { WIDE = VDIT_LINES_PIECE };
    const size_t per = s->map->per, piece = WIDE / per;
    float y[WIDE], a[WIDE], b[WIDE], c[WIDE];

    for (size_t i = 0; s->c.data == NULL && i < piece; i++)
        c[i] = (float)s->map->missing;
    for (size_t at = 0; at < s->length; at += piece) {
        size_t n = s->length - at < piece ? s->length - at : piece;

        vdit_lines_load_f32(a, n * per, &s->a, row, at * per);
        vdit_lines_load_f32(b, n, &s->b, row, at);
        if (s->c.data != NULL)
            vdit_lines_load_f32(c, n, &s->c, row, at);
        s->map->single(s->map->kind, n, y, a, b, c);
        vdit_lines_store_f32(&s->y, row, at * per, y, n * per);
    }
}

static void map_task(void *context, size_t task, int thread)
{
    const map_state *s = context;
    size_t end = (task + 1) * s->together;

    (void)thread;
    for (size_t row = task * s->together; row < end && row < s->rows; row++)
        (s->map->single != NULL ? map_row_single : map_row)(s, row);
}

static vdit_status check(vdit_run *run, const vdit_map *map, const vdit_tensor *y,
                         const vdit_tensor *a, const vdit_tensor *b, const vdit_tensor *c)
{
    size_t last;

    if (vdit_check_dtype(run, map->op, map->name[0], a) != VDIT_OK ||
        vdit_check_dtype(run, map->op, map->name[1], b) != VDIT_OK ||
        (c != NULL && vdit_check_dtype(run, map->op, map->name[2], c) != VDIT_OK) ||
        vdit_check_dtype(run, map->op, "y", y) != VDIT_OK ||
        vdit_check_rank(run, map->op, map->name[0], a, map->per > 1) != VDIT_OK)
        return vdit_run_status(run);
    last = a->rank > 0 ? a->shape[a->rank - 1] : 0;
    if (last % map->per != 0)
        return vdit_run_fail(run, VDIT_ERR_SHAPE,
                             "%s: %s has %zu elements in a row, expected pairs", map->op,
                             map->name[0], last);
    return vdit_check_shape(run, map->op, "y", y, a->rank, a->shape, "to fit x");
}

static void map_all(vdit_run *run, map_state *s, const vdit_tensor *shape)
{
    s->length = shape->rank > 0 ? shape->shape[shape->rank - 1] : 1;
    if (s->rows == 0 || s->length == 0)
        return;
    s->together = s->length < TASK ? TASK / s->length : 1;
    vdit_parallel(vdit_run_threads(run), s->rows / s->together + (s->rows % s->together != 0),
                  map_task, s);
}

vdit_status vdit_map_run(vdit_run *run, const vdit_map *map, vdit_tensor *y, const vdit_tensor *a,
                         const vdit_tensor *b, const vdit_tensor *c)
{
    map_state s = {.map = map};
    size_t mark = vdit_run_mark(run);
    vdit_tensor shape, b_view, c_view;

    if (vdit_run_status(run) != VDIT_OK || check(run, map, y, a, b, c) != VDIT_OK)
        return vdit_run_status(run);
    shape = *a;
    if (a->rank > 0)
        shape.shape[a->rank - 1] /= map->per;
    if (vdit_broadcast(run, map->op, map->name[1], &b_view, b, &shape) != VDIT_OK ||
        (c != NULL && vdit_broadcast(run, map->op, map->name[2], &c_view, c, &shape) != VDIT_OK))
        return vdit_run_status(run);
    s.y = vdit_lines_of(run, y, &s.rows);
    s.a = vdit_lines_of(run, a, &s.rows);
    s.b = vdit_lines_of(run, &b_view, &s.rows);
    if (c != NULL)
        s.c = vdit_lines_of(run, &c_view, &s.rows);
    if (vdit_run_status(run) == VDIT_OK)
        map_all(run, &s, &shape);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
