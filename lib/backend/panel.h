/* backend/panel.h - rows of a matrix in binary32, in the panels that the kernels read. */
#ifndef VDIT_BACKEND_PANEL_H
#define VDIT_BACKEND_PANEL_H

#include "op/product.h"

/*
 * Columns start .. start + depth - 1 of rows first .. first + count - 1 (count <= width) of a matrix.
 * Out: panel[k * width + r] = a[first + r, start + k], 0 for r >= count. In: width <= VDIT_KERNEL_NR_MAX.
 */
void vdit_panel_pack(float *panel, const vdit_matrix *a, size_t first, size_t count, size_t width,
                     size_t start, size_t depth);

#endif
