/* backend/fast_product.h - products of matrices in binary32: the engines of the backend fast. */
#ifndef VDIT_BACKEND_FAST_PRODUCT_H
#define VDIT_BACKEND_FAST_PRODUCT_H

#include "op/product.h"

/*
 * As vdit_product_run, in binary32: sums of chunks of products, added up; what a product enters is at most
 * VDIT_FAST_WEIGHT(depth) roundings, the bias and the output's included.
 */
vdit_status vdit_fast_product_run(vdit_run *run, const vdit_kernel_f32 *kernel,
                                  const vdit_product *p, size_t count, const ptrdiff_t *x_offset,
                                  const ptrdiff_t *w_offset, const ptrdiff_t *y_offset);

#define VDIT_FAST_CHUNK 128  /* products of a sum in the kernels */
#define VDIT_FAST_SLICE 1024 /* products at a time */
#define VDIT_FAST_WEIGHT(depth)                                                                    \
    (VDIT_FAST_CHUNK + VDIT_FAST_SLICE / VDIT_FAST_CHUNK + (depth) / VDIT_FAST_SLICE + 4)

/* The same through OpenBLAS, some columns at a time; VDIT_ERR_UNSUPPORTED in a library without it. */
vdit_product_engine vdit_blas_product;

/* The one to take: the library's kernels, or OpenBLAS where they are portable C alone. */
vdit_product_engine vdit_fast_product;

#endif
