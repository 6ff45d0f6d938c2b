/*
 * product.c - blocks, threads and scratch of the exact matrix product.
 *
 * Columns are taken in blocks whose panels all threads share; in a block each task packs some rows and
 * runs them against a group of the panels. Long sums are cut into slices that fit the cache.
 */
#include <string.h>
#include "base/parallel.h"
#include "op/pack.h"
#include "op/product_row.h"

#define UNIT          0x1p-53
#define SLICE         2048               /* products per kernel call */
#define ROWS          64                 /* rows of x per task */
#define COLUMN_BYTES  ((size_t)64 << 20) /* of shared panels, if that is more than one */
#define COLUMN_PANELS 64                 /* at most so many of them */
#define TILES         (ROWS * VDIT_KERNEL_NR_MAX)

/* What one thread writes. */
typedef struct worker {
    double *x;          /* panels of ROWS rows */
    double norm[ROWS];  /* of these rows */
    double tile[TILES]; /* sums of all rows with one panel of w */
    double part[VDIT_KERNEL_TILE_MAX];
    uint64_t decided[3]; /* linear counters */
} worker;

/* A call: the product at hand, the block of columns at hand, scratch. */
typedef struct product_state {
    vdit_product p;
    const vdit_kernel_f64 *kernel;
    size_t first, panels, panels_max; /* of columns */
    size_t whole;                     /* blocks of rows that are one task each */
    size_t groups;                    /* of panels: tasks of each further block of rows */
    double *w, *w_norm, *bias, *bias_unit;
    worker *workers;
} product_state;

void *vdit_matrix_at(const vdit_matrix *a, ptrdiff_t i)
{
    return (char *)a->data + i * (ptrdiff_t)vdit_dtype_size(a->dtype);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t parts(size_t whole, size_t part)
{
    return whole / part + (whole % part != 0);
}

/*
 * W + 3, where W is the most roundings that a product takes part in: adding the bias and forming the
 * ends of the rounding test take the rest (doc/numerics.md, 2.1).
 */
static double weight(size_t depth)
{
    size_t additions =
        depth > 0 ? vdit_kernel_weight(0, least(depth, SLICE), VDIT_KERNEL_CHUNK) : 0;

    return (double)(additions + parts(depth, SLICE) + 3);
}

/* Packs one panel of w, with its part of the bias. */
static void pack_w(void *context, size_t panel, int thread)
{
    product_state *s = context;
    size_t nr = s->kernel->nr, at = panel * nr, first = s->first + at;
    size_t count = least(nr, s->p.n - first);

    (void)thread;
    vdit_pack_panel(s->w + at * s->p.depth, s->w_norm + at, &s->p.w, first, count, nr, s->p.depth,
                    weight(s->p.depth) * UNIT);
    memset(s->bias + at, 0, nr * sizeof *s->bias);
    if (s->p.b.data != NULL)
        vdit_load_f64(s->bias + at, count,
                      vdit_matrix_at(&s->p.b, s->p.b.row[0] + (ptrdiff_t)first * s->p.b.step),
                      s->p.b.step, s->p.b.dtype);
    for (size_t o = at; o < at + nr; o++)
        s->bias_unit[o] = 3 * UNIT * (s->bias[o] < 0 ? -s->bias[o] : s->bias[o]);
}

/* Out: me->tile = x panels times one panel of w. */
static void multiply(const product_state *s, worker *me, const double *w, size_t x_panels)
{
    size_t mr = s->kernel->mr, nr = s->kernel->nr, depth = s->p.depth;

    for (size_t k = 0; k == 0 || k < depth; k += SLICE)
        for (size_t i = 0; i < x_panels; i++) {
            const double *x = me->x + i * mr * depth + k * mr;
            double *tile = me->tile + i * mr * nr;
            if (k == 0) {
                s->kernel->gemm(least(SLICE, depth), VDIT_KERNEL_CHUNK, x, w, tile);
                continue;
            }
            s->kernel->gemm(least(SLICE, depth - k), VDIT_KERNEL_CHUNK, x, w + k * nr, me->part);
            for (size_t j = 0; j < mr * nr; j++)
                tile[j] += me->part[j];
        }
}

/*
 * Asks for the lines of y that this tile will be written to, while its products are summed: they lie
 * far apart, and waiting for each took a thirtieth of the time. Changes no result.
 */
static void expect_tile(const product_state *s, size_t panel, size_t first_row, size_t rows)
{
#if defined(__GNUC__)
    const vdit_matrix *y = &s->p.y;
    size_t column = s->first + panel * s->kernel->nr,
           last = least(s->kernel->nr, s->p.n - column) - 1;

    for (size_t i = first_row; i < first_row + rows; i++) {
        ptrdiff_t target = y->row[i] + (ptrdiff_t)column * y->step;
        __builtin_prefetch(vdit_matrix_at(y, target), 1);
        __builtin_prefetch(vdit_matrix_at(y, target + (ptrdiff_t)last * y->step), 1);
    }
#else
    (void)s, (void)panel, (void)first_row, (void)rows;
#endif
}

/* Rounds rows x columns of the tile into y. */
static void round_tile(const product_state *s, worker *me, size_t panel, size_t first_row,
                       size_t rows)
{
    size_t mr = s->kernel->mr, nr = s->kernel->nr, at = panel * nr, depth = s->p.depth;
    const vdit_matrix *y = &s->p.y;

    for (size_t i = 0; i < rows; i++) {
        vdit_product_row row = {
            .sum = me->tile + i * nr, /* panels of mr rows follow each other */
            .bias = s->bias + at,
            .x_norm = me->norm[i],
            .w_norm = s->w_norm + at,
            .bias_unit = s->bias_unit + at,
            .x = me->x + i / mr * mr * depth + i % mr,
            .w = s->w + at * depth,
            .x_step = mr,
            .w_step = nr,
            .depth = depth,
            .count = least(nr, s->p.n - s->first - at),
        };
        ptrdiff_t target = y->row[first_row + i] + (ptrdiff_t)(s->first + at) * y->step;
        vdit_product_row_round(&row, vdit_matrix_at(y, target), y->step, y->dtype, me->decided);
    }
}

/* One block of rows against all panels, or, for the last blocks, against one group of them. */
static void compute(void *context, size_t task, int thread)
{
    product_state *s = context;
    worker *me = &s->workers[thread];
    size_t split = task < s->whole ? 0 : task - s->whole;
    size_t groups = task < s->whole ? 1 : s->groups, group = split % groups;
    size_t first_row = (task < s->whole ? task : s->whole + split / groups) * ROWS;
    size_t mr = s->kernel->mr, rows = least(ROWS, s->p.m - first_row), x_panels = parts(rows, mr);
    size_t start = s->panels * group / groups, end = s->panels * (group + 1) / groups;

    for (size_t i = 0; i < x_panels; i++)
        vdit_pack_panel(me->x + i * mr * s->p.depth, me->norm + i * mr, &s->p.x, first_row + i * mr,
                        least(mr, rows - i * mr), mr, s->p.depth, 1.0);
    for (size_t panel = start; panel < end; panel++) {
        expect_tile(s, panel, first_row, rows);
        multiply(s, me, s->w + panel * s->kernel->nr * s->p.depth, x_panels);
        round_tile(s, me, panel, first_row, rows);
    }
}

static void run_product(product_state *s, int threads)
{
    size_t row_blocks = parts(s->p.m, ROWS), columns = s->panels_max * s->kernel->nr, last;

    for (s->first = 0; s->first < s->p.n; s->first += columns) {
        s->panels = parts(least(columns, s->p.n - s->first), s->kernel->nr);
        /* The last blocks are split, so that no thread waits long for another; the others are not,
         * because each task packs its rows anew. */
        last = least(row_blocks, 2 * (size_t)threads);
        s->whole = row_blocks - last;
        s->groups = least(s->panels, parts(8 * (size_t)threads, last));
        vdit_parallel(threads, s->panels, pack_w, s);
        vdit_parallel(threads, s->whole + last * s->groups, compute, s);
    }
}

/* Out: scratch for the call, in the run's memory. */
static vdit_status allocate(vdit_run *run, product_state *s, size_t threads)
{
    size_t mr = s->kernel->mr, nr = s->kernel->nr, depth = s->p.depth > 0 ? s->p.depth : 1;
    size_t rows = least(ROWS, parts(s->p.m, mr) * mr);
    size_t fitting = COLUMN_BYTES / sizeof(double) / nr / depth;

    s->panels_max = least(parts(s->p.n, nr), least(COLUMN_PANELS, fitting > 0 ? fitting : 1));
    s->w = vdit_run_alloc(run, depth, s->panels_max * nr * sizeof(double));
    s->w_norm = vdit_run_alloc(run, s->panels_max * nr, sizeof(double));
    s->bias = vdit_run_alloc(run, s->panels_max * nr, sizeof(double));
    s->bias_unit = vdit_run_alloc(run, s->panels_max * nr, sizeof(double));
    s->workers = vdit_run_alloc(run, threads, sizeof *s->workers);
    if (s->workers == NULL)
        return vdit_run_status(run);
    memset(s->workers, 0, threads * sizeof *s->workers);
    for (size_t i = 0; i < threads; i++)
        s->workers[i].x = vdit_run_alloc(run, depth, rows * sizeof(double));
    return vdit_run_status(run);
}

static vdit_matrix moved(const vdit_matrix *a, ptrdiff_t offset)
{
    vdit_matrix result = *a;

    result.data = vdit_matrix_at(a, offset);
    return result;
}

vdit_status vdit_product_run(vdit_run *run, const vdit_kernel_f64 *kernel, const vdit_product *p,
                             size_t count, const ptrdiff_t *x_offset, const ptrdiff_t *w_offset,
                             const ptrdiff_t *y_offset)
{
    product_state s = {.p = *p, .kernel = kernel};
    int threads = vdit_run_threads(run);
    size_t mark = vdit_run_mark(run);

    if (p->depth > VDIT_PRODUCT_DEPTH_MAX)
        return vdit_run_fail(run, VDIT_ERR_LIMIT, "%s: sums of %zu products, expected at most 2^31",
                             p->op, p->depth);
    if (p->m == 0 || p->n == 0 || count == 0)
        return VDIT_OK;
    if (allocate(run, &s, (size_t)threads) != VDIT_OK) {
        vdit_run_release(run, mark);
        return vdit_run_status(run);
    }
    for (size_t i = 0; i < count; i++) {
        s.p.x = moved(&p->x, x_offset[i]);
        s.p.w = moved(&p->w, w_offset[i]);
        s.p.y = moved(&p->y, y_offset[i]);
        run_product(&s, threads);
    }
    for (int i = 0; i < threads; i++)
        for (int stage = 0; stage < 3; stage++)
            vdit_run_counters(run)->linear[stage] += s.workers[i].decided[stage];
    vdit_run_release(run, mark);
    return VDIT_OK;
}

vdit_status vdit_product_exact(vdit_run *run, const vdit_product *p, size_t count,
                               const ptrdiff_t *x_offset, const ptrdiff_t *w_offset,
                               const ptrdiff_t *y_offset)
{
    return vdit_product_run(run, vdit_kernel_f64_at(0), p, count, x_offset, w_offset, y_offset);
}
