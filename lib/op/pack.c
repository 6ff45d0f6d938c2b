/* pack.c - conversion of rows into panels, and their norms on the way. */
#include <math.h>
#include <string.h>
#include "op/pack.h"

#define CHUNK 128 /* elements of a row at a time: a chunk of a panel stays in the first cache */
#define GROUP 4   /* rows at a time: neighbours in the panel, written together */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Out: value[CHUNK], a piece of a row and zeros behind it; the sum of its squares is added. */
static void load_piece(double *value, double *square, const vdit_matrix *a, size_t row,
                       size_t start, size_t count)
{
    double sum[4] = {0};

    vdit_load_f64(value, count, vdit_matrix_at(a, a->row[row] + (ptrdiff_t)start * a->step),
                  a->step, a->dtype);
    memset(value + count, 0, (CHUNK - count) * sizeof *value);
    for (size_t k = 0; k < CHUNK; k += 4)
        for (size_t i = 0; i < 4; i++)
            sum[i] += value[k + i] * value[k + i];
    *square += (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* Rows first .. first + rows - 1 of a become lanes 0 .. lanes - 1 of a panel; lanes <= GROUP. */
static void pack_group(double *panel, double *square, const vdit_matrix *a, size_t first,
                       size_t rows, size_t lanes, size_t width, size_t depth)
{
    double value[GROUP][CHUNK] = {{0}};

    for (size_t start = 0; start < depth; start += CHUNK) {
        size_t count = depth - start < CHUNK ? depth - start : CHUNK;
        for (size_t r = 0; r < rows; r++)
            load_piece(value[r], &square[r], a, first + r, start, count);
        for (size_t k = 0; k < count && lanes == GROUP; k++, panel += width)
            for (size_t r = 0; r < GROUP; r++)
                panel[r] = value[r][k];
        for (size_t k = 0; k < count && lanes != GROUP; k++, panel += width)
            for (size_t r = 0; r < lanes; r++)
                panel[r] = value[r][k];
    }
}

/* Rows that lie side by side, element next to element: the panel's own order. */
static void pack_columns(double *panel, double *square, const vdit_matrix *a, size_t first,
                         size_t count, size_t width, size_t depth)
{
    for (size_t k = 0; k < depth; k++, panel += width) {
        vdit_load_f64(panel, count, vdit_matrix_at(a, a->row[first] + (ptrdiff_t)k * a->step), 1,
                      a->dtype);
        for (size_t r = 0; r < count; r++)
            square[r] += panel[r] * panel[r];
        for (size_t r = count; r < width; r++)
            panel[r] = 0;
    }
}

static int lie_side_by_side(const vdit_matrix *a, size_t first, size_t count)
{
    for (size_t r = 1; r < count; r++)
        if (a->row[first + r] != a->row[first] + (ptrdiff_t)r)
            return 0;
    return a->step != 1 && count > 1;
}

/*
 * A sum of n <= 2^31 squares errs by less than n 2^-52 of itself, its root and the products here by less
 * than that: 1 + 2^-20 covers them. Squares of f32 values neither overflow nor underflow.
 */
void vdit_pack_panel(double *panel, double *norm, const vdit_matrix *a, size_t first, size_t count,
                     size_t width, size_t depth, double factor)
{
    double square[VDIT_KERNEL_NR_MAX] = {0};

    if (lie_side_by_side(a, first, count)) {
        pack_columns(panel, square, a, first, count, width, depth);
    } else {
        for (size_t r = 0; r < width; r += GROUP)
            pack_group(panel + r, square + r, a, first + r, least(GROUP, r < count ? count - r : 0),
                       least(GROUP, width - r), width, depth);
    }
    for (size_t r = 0; r < width; r++)
        norm[r] = sqrt(square[r]) * (factor * (1 + 0x1p-20));
}
