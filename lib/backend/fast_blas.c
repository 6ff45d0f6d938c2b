/*
 * fast_blas.c - products of matrices through OpenBLAS, for processors that the library has no kernels for.
 *
 * Columns are taken in blocks, so that no more than some MiB of weights are binary32 at a time.
 */
#include <config.h>
#include <string.h>
#include "backend/fast_product.h"
#ifdef HAVE_OPENBLAS
#include <cblas.h>
#include <limits.h>
#include "exact/single.h"

#define BLOCK_BYTES ((size_t)8 << 20) /* of weights */

/* Dense operands in binary32. */
typedef struct dense {
    float *x, *w, *y, *bias;
} dense;

/* Rows first .. first + rows - 1 of a matrix, moved on by offset elements. */
static void gather(float *out, const vdit_matrix *a, ptrdiff_t offset, size_t first, size_t rows,
                   size_t width)
{
    for (size_t i = 0; i < rows; i++)
        vdit_load_f32(out + i * width, width, vdit_matrix_at(a, offset + a->row[first + i]),
                      a->step, a->dtype);
}

/* Columns first .. first + columns - 1 of y, with the bias. */
static void compute_block(const vdit_product *p, const dense *d, ptrdiff_t offset, size_t first,
                          size_t columns)
{
    memset(d->y, 0, p->m * columns * sizeof(float)); /* without products nothing is written */
    if (p->depth > 0)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)p->m, (int)columns, (int)p->depth,
                    1, d->x, (int)p->depth, d->w, (int)p->depth, 0, d->y, (int)columns);
    for (size_t i = 0; i < p->m; i++) {
        ptrdiff_t to = offset + p->y.row[i] + (ptrdiff_t)first * p->y.step;
        float *row = d->y + i * columns;
        for (size_t o = 0; o < columns; o++)
            row[o] += d->bias[first + o];
        vdit_store_f32(vdit_matrix_at(&p->y, to), p->y.step, p->y.dtype, row, columns);
    }
}

static vdit_status allocate(vdit_run *run, dense *d, const vdit_product *p, size_t columns)
{
    d->x = vdit_run_alloc(run, p->m, p->depth * sizeof(float));
    d->w = vdit_run_alloc(run, columns, p->depth * sizeof(float));
    d->y = vdit_run_alloc(run, p->m, columns * sizeof(float));
    d->bias = vdit_run_alloc(run, p->n, sizeof(float));
    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    memset(d->bias, 0, p->n * sizeof(float));
    if (p->b.data != NULL)
        gather(d->bias, &p->b, 0, 0, 1, p->n);
    return VDIT_OK;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* OpenBLAS's thread count is its own state: it is set for the call and put back. */
vdit_status vdit_blas_product(vdit_run *run, const vdit_product *p, size_t count,
                              const ptrdiff_t *x_offset, const ptrdiff_t *w_offset,
                              const ptrdiff_t *y_offset)
{
    size_t mark = vdit_run_mark(run), depth = p->depth > 0 ? p->depth : 1;
    size_t fitting = BLOCK_BYTES / sizeof(float) / depth;
    size_t block = least(p->n, fitting > 0 ? fitting : 1);
    int threads = openblas_get_num_threads();
    dense d;

    if (p->m > INT_MAX || p->depth > INT_MAX)
        return vdit_run_fail(run, VDIT_ERR_LIMIT, "an extent is beyond what OpenBLAS takes, %d",
                             INT_MAX);
    if (p->m == 0 || p->n == 0 || allocate(run, &d, p, block) != VDIT_OK)
        return vdit_run_status(run);
    openblas_set_num_threads(vdit_run_threads(run));
    for (size_t i = 0; i < count; i++) {
        gather(d.x, &p->x, x_offset[i], 0, p->m, p->depth);
        for (size_t first = 0; first < p->n; first += block) {
            size_t columns = least(block, p->n - first);
            gather(d.w, &p->w, w_offset[i], first, columns, p->depth);
            compute_block(p, &d, y_offset[i], first, columns);
        }
    }
    openblas_set_num_threads(threads);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
#else
vdit_status vdit_blas_product(vdit_run *run, const vdit_product *p, size_t count,
                              const ptrdiff_t *x_offset, const ptrdiff_t *w_offset,
                              const ptrdiff_t *y_offset)
{
    (void)count, (void)x_offset, (void)w_offset, (void)y_offset;
    return vdit_run_fail(run, VDIT_ERR_UNSUPPORTED, "%s: this library has no OpenBLAS", p->op);
}
#endif
