/*
 * fast_product.c - products of matrices in binary32 by the library's own kernels.
 *
 * Rows of x are packed once, for all threads. A task takes some panels of w, widens a slice of them into
 * its own memory, where they stay in the second cache, and runs the rows against it; then the next slice. So each
 * weight is widened once per block of rows, and never are more of them binary32 than a task holds.
 */
#include <string.h>
#include "backend/fast_product.h"
#include "base/parallel.h"
#include "exact/single.h"
#include "op/pack.h"

#define SLICE   VDIT_FAST_SLICE
#define GROUP   4                  /* panels of w that a task takes at most */
#define X_BYTES ((size_t)24 << 20) /* of packed rows, if that is more than PART */
#define PART    96                 /* the least rows of a task, where tasks are few */
#define TASKS   4                  /* per thread, at least, if there is work for them */
#define COLUMN  (GROUP * VDIT_KERNEL_NR_MAX)

/* What one thread writes. */
typedef struct worker {
    float *w;   /* [panel][SLICE][nr] */
    float *sum; /* [x panel][panel][mr * nr] */
    float part[VDIT_KERNEL_TILE_MAX];
    float bias[COLUMN], row[COLUMN];
} worker;

/* A call: the product at hand, the block of rows at hand, how it is cut into tasks. */
typedef struct product_state {
    vdit_product p;
    const vdit_kernel_f32 *kernel;
    size_t first, rows, rows_max; /* of x */
    size_t group;                 /* panels of w in a task */
    size_t parts;                 /* tasks that share these */
    float *x;                     /* [x panel][depth][mr] */
    worker *workers;
} product_state;

/* What a task computes: panels of x from part_first on against panels of w that begin at column. */
typedef struct piece {
    size_t x_first, x_panels, column, columns, panels;
} piece;

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t cut(size_t whole, size_t part)
{
    return whole / part + (whole % part != 0);
}

static void pack_x(void *context, size_t panel, int thread)
{
    product_state *s = context;
    size_t mr = s->kernel->mr, at = panel * mr;

    (void)thread;
    vdit_pack_panel_f32(s->x + at * s->p.depth, &s->p.x, s->first + at, least(mr, s->rows - at), mr,
                        0, s->p.depth);
}

static piece piece_of(const product_state *s, size_t task)
{
    size_t nr = s->kernel->nr, x_panels = cut(s->rows, s->kernel->mr), part = task % s->parts;
    piece now;

    now.column = task / s->parts * s->group * nr;
    now.columns = least(s->group * nr, s->p.n - now.column);
    now.panels = cut(now.columns, nr);
    now.x_first = x_panels * part / s->parts;
    now.x_panels = x_panels * (part + 1) / s->parts - now.x_first;
    return now;
}

/* Adds the products start .. start + depth - 1 to all sums of the piece, or begins with them. */
static void add_slice(const product_state *s, worker *me, const piece *now, size_t start,
                      size_t depth)
{
    size_t mr = s->kernel->mr, nr = s->kernel->nr, tile = mr * nr;

    for (size_t i = 0; i < now->panels; i++)
        vdit_pack_panel_f32(me->w + i * depth * nr, &s->p.w, now->column + i * nr,
                            least(nr, now->columns - i * nr), nr, start, depth);
    for (size_t j = 0; j < now->x_panels; j++) {
        const float *x = s->x + ((now->x_first + j) * s->p.depth + start) * mr;
        float *sum = me->sum + j * now->panels * tile;
        for (size_t i = 0; i < now->panels; i++, sum += tile) {
            s->kernel->gemm(depth, VDIT_FAST_CHUNK, x, me->w + i * depth * nr,
                            start ? me->part : sum);
            if (start > 0)
                s->kernel->add(me->part, sum);
        }
    }
}

/* Writes the rows of one panel of x, with the bias. */
static void store_rows(const product_state *s, worker *me, const piece *now, size_t j)
{
    size_t mr = s->kernel->mr, nr = s->kernel->nr, at = (now->x_first + j) * mr;
    const float *sum = me->sum + j * now->panels * mr * nr;
    const vdit_matrix *y = &s->p.y;

    for (size_t r = 0; r < least(mr, s->rows - at); r++) {
        ptrdiff_t to = y->row[s->first + at + r] + (ptrdiff_t)now->column * y->step;
        for (size_t i = 0; i < now->panels; i++) {
            const float *from = sum + i * mr * nr + r * nr;
            for (size_t c = 0; c < nr; c++)
                me->row[i * nr + c] = from[c] + me->bias[i * nr + c];
        }
        vdit_store_f32(vdit_matrix_at(y, to), y->step, y->dtype, me->row, now->columns);
    }
}

static void compute(void *context, size_t task, int thread)
{
    product_state *s = context;
    worker *me = &s->workers[thread];
    piece now = piece_of(s, task);

    memset(me->bias, 0, sizeof me->bias);
    if (s->p.b.data != NULL) {
        ptrdiff_t from = s->p.b.row[0] + (ptrdiff_t)now.column * s->p.b.step;
        vdit_load_f32(me->bias, now.columns, vdit_matrix_at(&s->p.b, from), s->p.b.step,
                      s->p.b.dtype);
    }
    for (size_t k = 0; k == 0 || k < s->p.depth; k += SLICE)
        add_slice(s, me, &now, k, least(SLICE, s->p.depth - k));
    for (size_t j = 0; j < now.x_panels; j++)
        store_rows(s, me, &now, j);
}

/* As many tasks as keep the threads busy: fewer panels in each first, then fewer rows. */
static void plan(product_state *s, size_t threads)
{
    size_t panels = cut(s->p.n, s->kernel->nr), wanted = TASKS * threads;

    s->group = least(GROUP, panels / wanted > 0 ? panels / wanted : 1);
    s->parts = least(cut(wanted, cut(panels, s->group)), cut(s->rows, PART));
}

static void run_product(product_state *s, int threads)
{
    for (s->first = 0; s->first < s->p.m; s->first += s->rows_max) {
        s->rows = least(s->rows_max, s->p.m - s->first);
        plan(s, (size_t)threads);
        vdit_parallel(threads, cut(s->rows, s->kernel->mr), pack_x, s);
        vdit_parallel(threads, cut(cut(s->p.n, s->kernel->nr), s->group) * s->parts, compute, s);
    }
}

/* Out: scratch for the call, in the run's memory. */
static vdit_status allocate(vdit_run *run, product_state *s, size_t threads)
{
    size_t mr = s->kernel->mr, nr = s->kernel->nr, depth = s->p.depth > 0 ? s->p.depth : 1;
    size_t panels = least(GROUP, cut(s->p.n, nr)), most = X_BYTES / sizeof(float) / depth, rows;

    /* blocks of nearly one size */
    s->rows_max = cut(s->p.m, cut(s->p.m, most > PART ? most : PART));
    rows = s->rows_max = cut(s->rows_max, mr) * mr;
    s->x = vdit_run_alloc(run, depth, rows * sizeof(float));
    s->workers = vdit_run_alloc(run, threads, sizeof *s->workers);
    for (size_t i = 0; s->workers != NULL && i < threads; i++) {
        s->workers[i].w = vdit_run_alloc(run, least(SLICE, depth), panels * nr * sizeof(float));
        s->workers[i].sum = vdit_run_alloc(run, rows, panels * nr * sizeof(float));
    }
    return vdit_run_status(run);
}

static vdit_matrix moved(const vdit_matrix *a, ptrdiff_t offset)
{
    vdit_matrix result = *a;

    result.data = vdit_matrix_at(a, offset);
    return result;
}

vdit_status vdit_fast_product_run(vdit_run *run, const vdit_kernel_f32 *kernel,
                                  const vdit_product *p, size_t count, const ptrdiff_t *x_offset,
                                  const ptrdiff_t *w_offset, const ptrdiff_t *y_offset)
{
    product_state s = {.p = *p, .kernel = kernel};
    int threads = vdit_run_threads(run);
    size_t mark = vdit_run_mark(run);

    if (p->m == 0 || p->n == 0 || count == 0)
        return VDIT_OK;
    if (allocate(run, &s, (size_t)threads) == VDIT_OK)
        for (size_t i = 0; i < count; i++) {
            s.p.x = moved(&p->x, x_offset[i]);
            s.p.w = moved(&p->w, w_offset[i]);
            s.p.y = moved(&p->y, y_offset[i]);
            run_product(&s, threads);
        }
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
