/* op/pack.h - rows of a matrix in the panels that the kernels read. */
#ifndef VDIT_OP_PACK_H
#define VDIT_OP_PACK_H

#include "op/product.h"

/*
 * Packs rows first .. first + count - 1 (count <= width) of a into a panel.
 * Out: panel[k * width + r] = a[first + r, k], 0 for r >= count; norm[width], an upper bound of
 * factor * (2-norm of the row), not finite if and only if the row is not.
 * In: width <= VDIT_KERNEL_NR_MAX.
 */
void vdit_pack_panel(double *panel, double *norm, const vdit_matrix *a, size_t first, size_t count,
                     size_t width, size_t depth, double factor);

/*
 * The same in binary32, without norms, of columns start .. start + depth - 1.
 * Out: panel[k * width + r] = a[first + r, start + k].
 */
void vdit_pack_panel_f32(float *panel, const vdit_matrix *a, size_t first, size_t count,
                         size_t width, size_t start, size_t depth);

#endif
