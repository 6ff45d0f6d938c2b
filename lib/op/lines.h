/* op/lines.h - pieces of rows between tensors and binary64, for operators that compute them in pieces. */
#ifndef VDIT_OP_LINES_H
#define VDIT_OP_LINES_H

#include <vdit/tensor.h>

#define VDIT_LINES_PIECE 256 /* elements: a few buffers of them stay in the first cache */

/* One row after the other of a tensor's last axis; a tensor without axes has one row of one element. */
typedef struct vdit_lines {
    char *data;
    const ptrdiff_t *row; /* where each begins, in elements */
    ptrdiff_t step;
    vdit_dtype dtype;
} vdit_lines;

/* Returns: the rows of t, in the run's memory, which a failed run does not have. Out: count, how many. */
vdit_lines vdit_lines_of(vdit_run *run, const vdit_tensor *t, size_t *count);

/* Out: value[n], the elements from index at on of a row, exactly. */
void vdit_lines_load(double *value, size_t n, const vdit_lines *lines, size_t row, size_t at);

/*
 * Out: the elements from index at on of a row: value[n], each rounded once, NaN to the canonical one.
 * In: n <= VDIT_LINES_PIECE.
 */
void vdit_lines_store(const vdit_lines *lines, size_t row, size_t at, const double *value,
                      size_t n);

/* The same in binary32, for what promises no bits. */
void vdit_lines_load_f32(float *value, size_t n, const vdit_lines *rows, size_t row, size_t at);
void vdit_lines_store_f32(const vdit_lines *rows, size_t row, size_t at, const float *value,
                          size_t n);

#endif
