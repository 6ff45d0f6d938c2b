/*
 * op/product_row.h - from estimated sums of products to their rounded values: the rounding test and
 * what follows where it fails (doc/numerics.md, section 2).
 */
#ifndef VDIT_OP_PRODUCT_ROW_H
#define VDIT_OP_PRODUCT_ROW_H

#include <vdit/tensor.h>

/* A row of estimates of y[i, first .. first + count - 1], and what the stages need to know of it. */
typedef struct vdit_product_row {
    const double *sum;       /* [count]: estimates of the sums of products */
    const double *bias;      /* [count] */
    double x_norm;           /* bound of |x_i| */
    const double *w_norm;    /* [count]: bounds of |w_o|, times the weight of the sum and 2^-53 */
    const double *bias_unit; /* [count]: 3 |b_o| 2^-53 */
    const double *x, *w;     /* x_i[k] at x[k * x_step], w_o[k] at w[k * w_step + o - first] */
    size_t x_step, w_step, depth, count;
} vdit_product_row;

/*
 * Out: count elements at y, step elements apart, each the real sum rounded once; decided[3], how many
 * each stage decided, is added to.
 */
void vdit_product_row_round(const vdit_product_row *row, void *y, ptrdiff_t step, vdit_dtype dtype,
                            uint64_t *decided);

#endif
