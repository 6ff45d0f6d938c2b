/*
 * op/lanes.h - rows of a matrix side by side: a chunk of eight rows becomes, element after element, groups of
 * eight binary32 numbers. What packs for the kernels, in binary64 or binary32, begins here.
 */
#ifndef VDIT_OP_LANES_H
#define VDIT_OP_LANES_H

#include "op/product.h"

#define VDIT_LANES 8 /* rows at a time */
#define VDIT_LANES_CHUNK                                                                           \
    128 /* elements of a row at a time: with what they become they stay in the first cache */

/*
 * Elements start .. start + count - 1 of rows first .. first + rows - 1 of a matrix.
 * Out: lane[k * width + r] = a[first + r, start + k] for r < VDIT_LANES, 0 for r >= rows; square[r], unless NULL: the
 * sum of the squares of row r's elements is added; each square takes part in at most count additions.
 * In: width >= VDIT_LANES, rows <= VDIT_LANES, count <= VDIT_LANES_CHUNK.
 */
void vdit_lanes_load(float *lane, size_t width, double *square, const vdit_matrix *a, size_t first,
                     size_t rows, size_t start, size_t count);

#endif
