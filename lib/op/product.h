/*
 * op/product.h - y = x w' + b on matrices, each element rounded once: what linear and matmul share.
 *
 * Stages and bounds: doc/numerics.md, section 2.
 */
#ifndef VDIT_OP_PRODUCT_H
#define VDIT_OP_PRODUCT_H

#include <vdit/op.h>
#include "exact/kernel.h"

/* Element (i, k) of a matrix is data[row[i] + k * step], in elements of dtype. */
typedef struct vdit_matrix {
    void *data;
    vdit_dtype dtype;
    const ptrdiff_t *row;
    ptrdiff_t step;
} vdit_matrix;

/* y[i,o] = sum_k x[i,k] w[o,k] + b[o], i < m, o < n, k < depth; b (1 row) may have data NULL. */
typedef struct vdit_product {
    const char *op; /* for messages */
    size_t m, n, depth;
    vdit_matrix x, w, b, y;
} vdit_product;

/* The longest sum: beyond it the bounds of section 2 are not proved. */
#define VDIT_PRODUCT_DEPTH_MAX (UINT64_C(1) << 31)

/*
 * Computes count products of the same extents; the data of the i-th are those of p moved on by
 * x_offset[i], w_offset[i] and y_offset[i] elements.
 * Out: the elements of y; linear counters. Returns: VDIT_OK, VDIT_ERR_LIMIT, VDIT_ERR_MEMORY.
 */
vdit_status vdit_product_run(vdit_run *run, const vdit_kernel_f64 *kernel, const vdit_product *p,
                             size_t count, const ptrdiff_t *x_offset, const ptrdiff_t *w_offset,
                             const ptrdiff_t *y_offset);

/* What computes such products: the exact engine, and whatever another backend brings. */
typedef vdit_status vdit_product_engine(vdit_run *run, const vdit_product *p, size_t count,
                                        const ptrdiff_t *x_offset, const ptrdiff_t *w_offset,
                                        const ptrdiff_t *y_offset);

/* vdit_product_run with the best kernel. */
vdit_product_engine vdit_product_exact;

/* vdit_linear, vdit_matmul and vdit_conv, checks included, by an engine. */
vdit_status vdit_linear_by(vdit_run *run, vdit_product_engine *engine, vdit_tensor *y,
                           const vdit_tensor *x, const vdit_tensor *w, const vdit_tensor *b);
vdit_status vdit_matmul_by(vdit_run *run, vdit_product_engine *engine, vdit_tensor *c,
                           const vdit_tensor *a, const vdit_tensor *b);
vdit_status vdit_conv_by(vdit_run *run, vdit_product_engine *engine, vdit_tensor *y,
                         const vdit_tensor *x, const vdit_tensor *w, const vdit_tensor *b,
                         const vdit_conv_walk *walk);

/* Returns: the address of element i of a matrix's data, counted from its start. */
void *vdit_matrix_at(const vdit_matrix *a, ptrdiff_t i);

#endif
