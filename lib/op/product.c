/*
 * product.c - blocks, threads and scratch of the exact matrix product.
 *
 * A block of rows of x is packed once, for all threads; against it the columns are taken in blocks, packed alike. A task
 * runs some rows against some panels of columns. Long sums are cut into slices that fit the cache.
 */
#include <string.h>
#include "base/parallel.h"
#include "op/pack.h"
#include "op/product_row.h"

#define UNIT         0x1p-53
#define SLICE        1024 /* products per kernel call: those of ROWS fit the second cache */
#define ROWS         64   /* rows of x per task */
#define TOGETHER     4    /* panels that take a slice of the rows in turn */
#define X_BYTES      ((size_t)24 << 20) /* of packed rows, if that is more than ROWS */
#define COLUMN_BYTES ((size_t)16 << 20) /* of packed columns, if that is more than one panel */
#define TILES        (ROWS * VDIT_KERNEL_NR_MAX)

/* What one thread writes. */
typedef struct worker {
    double tile[TOGETHER][TILES]; /* sums of all rows of a task with some panels of w */
    double part[VDIT_KERNEL_TILE_MAX];
    uint64_t decided[3]; /* linear counters */
} worker;

/* A call: the product at hand, the blocks of rows and columns at hand, scratch. */
typedef struct product_state {
    vdit_product p;
    const vdit_kernel_f64 *kernel;
    size_t first_row, rows, rows_max;
    size_t first, panels, panels_max; /* of columns */
    double *x, *x_norm;
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

static void pack_x(void *context, size_t panel, int thread)
{
    product_state *s = context;
    size_t mr = s->kernel->mr, at = panel * mr;

    (void)thread;
    vdit_pack_panel(s->x + at * s->p.depth, s->x_norm + at, &s->p.x, s->first_row + at,
                    least(mr, s->rows - at), mr, s->p.depth, 1.0);
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

/* Adds the products of slice k to the sums of all rows with one panel, or begins with them. */
static void add_slice(const product_state *s, worker *me, double *tile, const double *w, size_t row,
                      size_t rows, size_t k)
{
    size_t mr = s->kernel->mr, nr = s->kernel->nr, depth = s->p.depth;

    for (size_t i = 0; i < rows; i += mr, tile += mr * nr) {
        const double *x = s->x + (row + i) * depth + k * mr;
        s->kernel->gemm(least(SLICE, depth - k), VDIT_KERNEL_CHUNK, x, w + k * nr,
                        k > 0 ? me->part : tile);
        if (k > 0)
            s->kernel->add(me->part, tile);
    }
}

/*
 * Asks for the lines of y that this tile will be written to, while its products are summed: they lie
 * far apart, and waiting for each took a thirtieth of the time. Changes no result.
 */
static void expect_tile(const product_state *s, size_t panel, size_t row, size_t rows)
{
#if defined(__GNUC__)
    const vdit_matrix *y = &s->p.y;
    size_t column = s->first + panel * s->kernel->nr,
           last = least(s->kernel->nr, s->p.n - column) - 1;

    for (size_t i = row; i < row + rows; i++) {
        ptrdiff_t target = y->row[s->first_row + i] + (ptrdiff_t)column * y->step;
        __builtin_prefetch(vdit_matrix_at(y, target), 1);
        __builtin_prefetch(vdit_matrix_at(y, target + (ptrdiff_t)last * y->step), 1);
    }
#else
    (void)s, (void)panel, (void)row, (void)rows;
#endif
}

/* Rounds rows x columns of the tile into y. In: row, in the block of rows. */
static void round_tile(const product_state *s, worker *me, const double *tile, size_t panel,
                       size_t row, size_t rows)
{
    size_t mr = s->kernel->mr, nr = s->kernel->nr, at = panel * nr, depth = s->p.depth;
    const vdit_matrix *y = &s->p.y;

    for (size_t i = row; i < row + rows; i++) {
        vdit_product_row sums = {
            .sum = tile + (i - row) * nr, /* panels of mr rows follow each other */
            .bias = s->bias + at,
            .x_norm = s->x_norm[i],
            .w_norm = s->w_norm + at,
            .bias_unit = s->bias_unit + at,
            .x = s->x + i / mr * mr * depth + i % mr,
            .w = s->w + at * depth,
            .x_step = mr,
            .w_step = nr,
            .depth = depth,
            .count = least(nr, s->p.n - s->first - at),
        };
        ptrdiff_t target = y->row[s->first_row + i] + (ptrdiff_t)(s->first + at) * y->step;
        vdit_product_row_round(&sums, vdit_matrix_at(y, target), y->step, y->dtype, me->decided);
    }
}

/* ROWS rows against TOGETHER panels, or what is left of them. */
static void compute(void *context, size_t task, int thread)
{
    product_state *s = context;
    worker *me = &s->workers[thread];
    size_t depth = s->p.depth, size = s->kernel->nr * depth, groups = parts(s->panels, TOGETHER);
    size_t row = task / groups * ROWS, rows = least(ROWS, s->rows - row);
    size_t start = task % groups * TOGETHER, end = least(s->panels, start + TOGETHER);

    for (size_t panel = start; panel < end; panel++)
        expect_tile(s, panel, row, rows);
    for (size_t k = 0; k == 0 || k < depth; k += SLICE)
        for (size_t panel = start; panel < end; panel++)
            add_slice(s, me, me->tile[panel - start], s->w + panel * size, row, rows, k);
    for (size_t panel = start; panel < end; panel++)
        round_tile(s, me, me->tile[panel - start], panel, row, rows);
}

static void run_product(product_state *s, int threads)
{
    size_t columns = s->panels_max * s->kernel->nr;

    for (s->first_row = 0; s->first_row < s->p.m; s->first_row += s->rows_max) {
        s->rows = least(s->rows_max, s->p.m - s->first_row);
        vdit_parallel(threads, parts(s->rows, s->kernel->mr), pack_x, s);
        for (s->first = 0; s->first < s->p.n; s->first += columns) {
            s->panels = parts(least(columns, s->p.n - s->first), s->kernel->nr);
            vdit_parallel(threads, s->panels, pack_w, s);
            vdit_parallel(threads, parts(s->rows, ROWS) * parts(s->panels, TOGETHER), compute, s);
        }
    }
}

/* Returns: how many of count units a block has: blocks of nearly one size, none above most. */
static size_t even_blocks(size_t count, size_t most)
{
    return parts(count, parts(count, most > 0 ? most : 1));
}

/* Out: scratch for the call, in the run's memory. */
static vdit_status allocate(vdit_run *run, product_state *s, size_t threads)
{
    size_t nr = s->kernel->nr, depth = s->p.depth > 0 ? s->p.depth : 1, rows;

    s->rows_max = ROWS * even_blocks(parts(s->p.m, ROWS), X_BYTES / sizeof(double) / ROWS / depth);
    s->panels_max = even_blocks(parts(s->p.n, nr), COLUMN_BYTES / sizeof(double) / nr / depth);
    rows = parts(least(s->rows_max, s->p.m), s->kernel->mr) * s->kernel->mr;
    s->x = vdit_run_alloc(run, depth, rows * sizeof(double));
    s->x_norm = vdit_run_alloc(run, rows, sizeof(double));
    s->w = vdit_run_alloc(run, depth, s->panels_max * nr * sizeof(double));
    s->w_norm = vdit_run_alloc(run, s->panels_max * nr, sizeof(double));
    s->bias = vdit_run_alloc(run, s->panels_max * nr, sizeof(double));
    s->bias_unit = vdit_run_alloc(run, s->panels_max * nr, sizeof(double));
    s->workers = vdit_run_alloc(run, threads, sizeof *s->workers);
    for (size_t i = 0; s->workers != NULL && i < threads; i++)
        memset(s->workers[i].decided, 0, sizeof s->workers[i].decided);
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
