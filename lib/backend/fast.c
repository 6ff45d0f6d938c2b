/* fast.c - linear and matmul in binary32: operands gathered densely, one sgemm, the bias added. */
#include <config.h>
#ifdef HAVE_OPENBLAS
#include <cblas.h>
#include <limits.h>
#endif
#include "backend/fast.h"
#include "op/product.h"

#ifdef HAVE_OPENBLAS
/* Rows of a matrix, moved on by offset elements, as dense binary32. */
static void gather(float *out, const vdit_matrix *a, ptrdiff_t offset, size_t rows, size_t width,
                   double *scratch)
{
    for (size_t i = 0; i < rows; i++) {
        vdit_load_f64(scratch, width, vdit_matrix_at(a, offset + a->row[i]), a->step, a->dtype);
        for (size_t k = 0; k < width; k++)
            out[i * width + k] = (float)scratch[k];
    }
}

/* Dense binary32 into the rows of y, with the bias. */
static void scatter(const vdit_product *p, ptrdiff_t offset, const float *y, const float *b)
{
    for (size_t i = 0; i < p->m; i++)
        for (size_t o = 0; o < p->n; o++) {
            void *to = vdit_matrix_at(&p->y, offset + p->y.row[i] + (ptrdiff_t)o * p->y.step);
            vdit_store_f64(to, p->y.dtype, y[i * p->n + o] + b[o]);
        }
}

/* The engine. OpenBLAS's thread count is its own state: it is set for the call and put back. */
static vdit_status product_blas(vdit_run *run, const vdit_product *p, size_t count,
                                const ptrdiff_t *x_offset, const ptrdiff_t *w_offset,
                                const ptrdiff_t *y_offset)
{
    size_t widest = p->depth > p->n ? p->depth : p->n, mark = vdit_run_mark(run);
    float *x = vdit_run_alloc(run, p->m, p->depth * sizeof *x);
    float *w = vdit_run_alloc(run, p->n, p->depth * sizeof *w);
    float *y = vdit_run_alloc(run, p->m, p->n * sizeof *y);
    float *b = vdit_run_alloc(run, p->n, sizeof *b);
    double *scratch = vdit_run_alloc(run, widest, sizeof *scratch);
    int threads = openblas_get_num_threads();

    if (p->m > INT_MAX || p->n > INT_MAX || p->depth > INT_MAX)
        vdit_run_fail(run, VDIT_ERR_LIMIT, "an extent is beyond what OpenBLAS takes, %d", INT_MAX);
    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    for (size_t o = 0; o < p->n; o++)
        b[o] = 0;
    if (p->b.data != NULL)
        gather(b, &p->b, 0, 1, p->n, scratch);
    openblas_set_num_threads(vdit_run_threads(run));
    for (size_t i = 0; i < count; i++) {
        gather(x, &p->x, x_offset[i], p->m, p->depth, scratch);
        gather(w, &p->w, w_offset[i], p->n, p->depth, scratch);
        for (size_t at = 0; at < p->m * p->n; at++)
            y[at] = 0;
        if (p->m > 0 && p->n > 0 && p->depth > 0)
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)p->m, (int)p->n,
                        (int)p->depth, 1, x, (int)p->depth, w, (int)p->depth, 0, y, (int)p->n);
        scatter(p, y_offset[i], y, b);
    }
    openblas_set_num_threads(threads);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
#define ENGINE product_blas
#else
#define ENGINE vdit_product_exact
#endif

vdit_status vdit_fast_linear(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                             const vdit_tensor *w, const vdit_tensor *b)
{
    return vdit_linear_by(run, ENGINE, y, x, w, b);
}

vdit_status vdit_fast_matmul(vdit_run *run, vdit_tensor *c, const vdit_tensor *a,
                             const vdit_tensor *b)
{
    return vdit_matmul_by(run, ENGINE, c, a, b);
}
