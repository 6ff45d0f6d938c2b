/* pack.c - panels of lanes, in binary64 with the norms of the rows, and in binary32. */
#include <math.h>
#include <string.h>
#include "exact/simd.h"
#include "exact/single.h"
#include "op/lanes.h"
#include "op/pack.h"

#define LANES VDIT_LANES
#define CHUNK VDIT_LANES_CHUNK

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Lanes of count steps into a panel, in binary64; all of them, a number that compilers know, side by side. */
VDIT_INLINE void put_f64(double *restrict panel, const float *restrict lane, size_t count,
                         size_t lanes, size_t width)
{
    for (size_t k = 0; k < count && lanes == LANES; k++) {
        VDIT_SIMD
        for (size_t r = 0; r < LANES; r++)
            panel[k * width + r] = lane[k * LANES + r];
    }
    for (size_t k = 0; k < count && lanes != LANES; k++)
        for (size_t r = 0; r < lanes; r++)
            panel[k * width + r] = lane[k * LANES + r];
}

#define INSTANCE(set, attribute)                                                                   \
    attribute static void put_f64_##set(double *panel, const float *lane, size_t count,            \
                                        size_t lanes, size_t width)                                \
    {                                                                                              \
        put_f64(panel, lane, count, lanes, width);                                                 \
    }

#define NO_ATTRIBUTE
INSTANCE(portable, NO_ATTRIBUTE)
#ifdef VDIT_HAVE_X86
INSTANCE(avx512, VDIT_TARGET_AVX512)
INSTANCE(avx2, VDIT_TARGET_AVX2)
#endif

/* Rows that lie side by side, element next to element, are in the panel's own order. */
static int lie_side_by_side(const vdit_matrix *a, size_t first, size_t count)
{
    for (size_t r = 1; r < count; r++)
        if (a->row[first + r] != a->row[first] + (ptrdiff_t)r)
            return 0;
    return a->step != 1 && count > 1;
}

static const void *column_at(const vdit_matrix *a, size_t first, size_t k)
{
    return vdit_matrix_at(a, a->row[first] + (ptrdiff_t)k * a->step);
}

static void pack_columns(double *panel, double *square, const vdit_matrix *a, size_t first,
                         size_t count, size_t width, size_t depth)
{
    for (size_t k = 0; k < depth; k++, panel += width) {
        vdit_load_f64(panel, count, column_at(a, first, k), 1, a->dtype);
        for (size_t r = 0; r < count; r++)
            square[r] += panel[r] * panel[r];
        for (size_t r = count; r < width; r++)
            panel[r] = 0;
    }
}

/*
 * A sum of n <= 2^31 squares errs by less than n 2^-52 of itself, its root and the products here by less
 * than that: 1 + 2^-20 covers them. Squares of f32 values neither overflow nor underflow.
 */
void vdit_pack_panel(double *panel, double *norm, const vdit_matrix *a, size_t first, size_t count,
                     size_t width, size_t depth, double factor)
{
    double square[VDIT_KERNEL_NR_MAX + LANES] = {0};
    float lane[LANES * CHUNK];

    if (lie_side_by_side(a, first, count)) {
        pack_columns(panel, square, a, first, count, width, depth);
    } else {
        for (size_t r = 0; r < width; r += LANES)
            for (size_t k = 0; k < depth; k += CHUNK) {
                size_t steps = least(CHUNK, depth - k);
                vdit_lanes_load(lane, LANES, square + r, a, first + r,
                                least(LANES, r < count ? count - r : 0), k, steps);
                VDIT_CHOOSE(put_f64)
                (panel + k * width + r, lane, steps, least(LANES, width - r), width);
            }
    }
    for (size_t r = 0; r < width; r++)
        norm[r] = sqrt(square[r]) * (factor * (1 + 0x1p-20));
}

void vdit_pack_panel_f32(float *panel, const vdit_matrix *a, size_t first, size_t count,
                         size_t width, size_t start, size_t depth)
{
    float lane[LANES * CHUNK];

    if (lie_side_by_side(a, first, count)) {
        for (size_t k = 0; k < depth; k++, panel += width) {
            vdit_load_f32(panel, count, column_at(a, first, start + k), 1, a->dtype);
            memset(panel + count, 0, (width - count) * sizeof *panel);
        }
        return;
    }
    for (size_t r = 0; r < width; r += LANES)
        for (size_t k = 0; k < depth; k += CHUNK) {
            size_t steps = least(CHUNK, depth - k), lanes = least(LANES, width - r);
            size_t rows = least(LANES, r < count ? count - r : 0);
            float *to = panel + k * width + r;

            if (lanes == LANES) {
                vdit_lanes_load(to, width, NULL, a, first + r, rows, start + k, steps);
                continue;
            }
            vdit_lanes_load(lane, LANES, NULL, a, first + r, rows, start + k, steps);
            for (size_t i = 0; i < steps; i++)
                memcpy(to + i * width, lane + i * LANES, lanes * sizeof *to);
        }
}
