/*
 * panel.c - packing in binary32: words of eight rows are interleaved in registers, then written side by side.
 *
 * A word is an element of f32, or a pair of bf16, which are widened after. All else is widened before.
 */
#include <string.h>
#include "backend/panel.h"
#include "exact/simd.h"
#include "exact/single.h"

#define CHUNK 128 /* elements of a row at a time: a chunk of a panel stays in the first cache */
#define GROUP 8   /* rows at a time */

typedef void interleave_fn(uint32_t *restrict words, const char *const *restrict row, size_t n);

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Out: words[k * GROUP + r] = word k of row r, k < n. */
VDIT_INLINE void interleave(uint32_t *restrict words, const char *const *restrict row, size_t n)
{
    const char *a = row[0], *b = row[1], *c = row[2], *d = row[3], *e = row[4], *f = row[5],
               *g = row[6], *h = row[7];

    VDIT_SIMD
    for (size_t k = 0; k < n; k++) {
        memcpy(words + GROUP * k, a + 4 * k, 4);
        memcpy(words + GROUP * k + 1, b + 4 * k, 4);
        memcpy(words + GROUP * k + 2, c + 4 * k, 4);
        memcpy(words + GROUP * k + 3, d + 4 * k, 4);
        memcpy(words + GROUP * k + 4, e + 4 * k, 4);
        memcpy(words + GROUP * k + 5, f + 4 * k, 4);
        memcpy(words + GROUP * k + 6, g + 4 * k, 4);
        memcpy(words + GROUP * k + 7, h + 4 * k, 4);
    }
}

#if VDIT_HAVE_X86
VDIT_TARGET_AVX512 static void interleave_avx512(uint32_t *restrict words,
                                                 const char *const *restrict row, size_t n)
{
    interleave(words, row, n);
}

VDIT_TARGET_AVX2 static void interleave_avx2(uint32_t *restrict words,
                                             const char *const *restrict row, size_t n)
{
    interleave(words, row, n);
}
#endif

static void interleave_portable(uint32_t *restrict words, const char *const *restrict row, size_t n)
{
    interleave(words, row, n);
}

/* Out: the elements of pairs, as binary32: those that come first in memory, and second. */
static inline void widen(uint32_t *restrict first, uint32_t *restrict second,
                         const uint32_t *restrict pair)
{
    const uint16_t one = 1;
    unsigned char is_little;

    memcpy(&is_little, &one, 1);
    VDIT_SIMD
    for (int r = 0; r < GROUP; r++) {
        uint32_t high = pair[r] & UINT32_C(0xffff0000), low = pair[r] << 16;
        first[r] = is_little ? low : high;
        second[r] = is_little ? high : low;
    }
}

/* Lanes of one step, side by side; all of them, a length that compilers know, are one store. */
static inline void put(float *panel, const uint32_t *lane, size_t lanes)
{
    if (lanes == GROUP)
        memcpy(panel, lane, GROUP * sizeof *panel);
    else
        memcpy(panel, lane, lanes * sizeof *panel);
}

/* A chunk of bf16, count even. Returns: the panel after it. */
static float *put_pairs(float *panel, const uint32_t *words, size_t count, size_t lanes,
                        size_t width)
{
    uint32_t first[GROUP], second[GROUP];

    for (size_t k = 0; k < count / 2; k++, panel += 2 * width) {
        widen(first, second, words + k * GROUP);
        put(panel, first, lanes);
        put(panel + width, second, lanes);
    }
    return panel;
}

static float *put_words(float *panel, const uint32_t *words, size_t count, size_t lanes,
                        size_t width)
{
    for (size_t k = 0; k < count; k++, panel += width)
        put(panel, words + k * GROUP, lanes);
    return panel;
}

/* Rows first .. first + rows - 1 of a become lanes 0 .. lanes - 1 of a panel; lanes <= GROUP. */
static void pack_group(float *panel, const vdit_matrix *a, size_t first, size_t rows, size_t lanes,
                       size_t width, size_t start, size_t depth)
{
    static const float none[CHUNK];
    interleave_fn *fn = VDIT_CHOOSE(interleave);
    float wide[GROUP][CHUNK];
    uint32_t words[GROUP * CHUNK];
    const char *row[GROUP];

    for (size_t at = 0; at < depth; at += CHUNK) {
        size_t count = least(CHUNK, depth - at);
        int in_pairs = a->dtype == VDIT_BF16 && a->step == 1 && count % 2 == 0;
        int in_place = in_pairs || (a->dtype == VDIT_F32 && a->step == 1);

        for (size_t r = 0; r < GROUP; r++) {
            const void *from = none;
            if (r < rows)
                from = vdit_matrix_at(a, a->row[first + r] + (ptrdiff_t)(start + at) * a->step);
            row[r] = r < rows && !in_place ? (const char *)wide[r] : from;
            if (r < rows && !in_place)
                vdit_load_f32(wide[r], count, from, a->step, a->dtype);
        }
        fn(words, row, in_pairs ? count / 2 : count);
        panel = (in_pairs ? put_pairs : put_words)(panel, words, count, lanes, width);
    }
}

/* Rows that lie side by side, element next to element: the panel's own order. */
static void pack_columns(float *panel, const vdit_matrix *a, size_t first, size_t count,
                         size_t width, size_t start, size_t depth)
{
    for (size_t k = 0; k < depth; k++, panel += width) {
        ptrdiff_t from = a->row[first] + (ptrdiff_t)(start + k) * a->step;
        vdit_load_f32(panel, count, vdit_matrix_at(a, from), 1, a->dtype);
        memset(panel + count, 0, (width - count) * sizeof *panel);
    }
}

static int lie_side_by_side(const vdit_matrix *a, size_t first, size_t count)
{
    for (size_t r = 1; r < count; r++)
        if (a->row[first + r] != a->row[first] + (ptrdiff_t)r)
            return 0;
    return a->step != 1 && count > 1;
}

void vdit_panel_pack(float *panel, const vdit_matrix *a, size_t first, size_t count, size_t width,
                     size_t start, size_t depth)
{
    if (lie_side_by_side(a, first, count)) {
        pack_columns(panel, a, first, count, width, start, depth);
        return;
    }
    for (size_t r = 0; r < width; r += GROUP)
        pack_group(panel + r, a, first + r, least(GROUP, r < count ? count - r : 0),
                   least(GROUP, width - r), width, start, depth);
}
