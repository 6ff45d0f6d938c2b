/*
 * lanes.c - words of eight rows are interleaved in registers.
 *
 * A word is an element of f32, or a pair of bf16, whose halves are taken apart after. All else is widened before.
 */
#include <string.h>
#include "exact/simd.h"
#include "exact/single.h"
#include "op/lanes.h"

#define LANES VDIT_LANES
#define CHUNK VDIT_LANES_CHUNK

/* Out: word[k * LANES + r] = word k of row r, k < n. */
VDIT_INLINE void weave(uint32_t *restrict word, const char *const *restrict row, size_t n)
{
    const char *a = row[0], *b = row[1], *c = row[2], *d = row[3], *e = row[4], *f = row[5],
               *g = row[6], *h = row[7];

    VDIT_SIMD
    for (size_t k = 0; k < n; k++) {
        memcpy(word + LANES * k, a + 4 * k, 4);
        memcpy(word + LANES * k + 1, b + 4 * k, 4);
        memcpy(word + LANES * k + 2, c + 4 * k, 4);
        memcpy(word + LANES * k + 3, d + 4 * k, 4);
        memcpy(word + LANES * k + 4, e + 4 * k, 4);
        memcpy(word + LANES * k + 5, f + 4 * k, 4);
        memcpy(word + LANES * k + 6, g + 4 * k, 4);
        memcpy(word + LANES * k + 7, h + 4 * k, 4);
    }
}

VDIT_INLINE float value_of(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Out: the elements of n groups of pairs, at lane: those that come first in memory, then the second ones. */
VDIT_INLINE void part(float *restrict lane, size_t width, const uint32_t *restrict pair, size_t n)
{
    const uint16_t one = 1;
    unsigned char is_little;

    memcpy(&is_little, &one, 1);
    for (size_t k = 0; k < n; k++, lane += 2 * width, pair += LANES) {
        VDIT_SIMD
        for (int r = 0; r < LANES; r++) {
            uint32_t high = pair[r] & UINT32_C(0xffff0000), low = pair[r] << 16;
            lane[r] = value_of(is_little ? low : high);
            lane[width + (size_t)r] = value_of(is_little ? high : low);
        }
    }
}

/* Out: the elements of n words of each row, at lane. */
VDIT_INLINE void place(float *lane, size_t width, const char *const *row, size_t n, int in_pairs)
{
    uint32_t word[LANES * CHUNK];

    weave(word, row, n);
    if (in_pairs)
        part(lane, width, word, n);
    for (size_t k = 0; k < n && !in_pairs; k++)
        memcpy(lane + k * width, word + k * LANES, LANES * sizeof *lane);
}

/* Returns: the sum of squares of n elements of f32. */
VDIT_INLINE double square_f32(const char *row, size_t n)
{
    double sum = 0;

#ifdef _OPENMP
#pragma omp simd reduction(+ : sum)
#endif
    for (size_t k = 0; k < n; k++) {
        float value;
        memcpy(&value, row + 4 * k, 4);
        sum += (double)value * (double)value;
    }
    return sum;
}

/* The same of n pairs of bf16, in either order. */
VDIT_INLINE double square_pairs(const char *row, size_t n)
{
    double sum = 0;

#ifdef _OPENMP
#pragma omp simd reduction(+ : sum)
#endif
    for (size_t k = 0; k < n; k++) {
        uint32_t pair;
        double high, low;
        memcpy(&pair, row + 4 * k, 4);
        high = value_of(pair & UINT32_C(0xffff0000));
        low = value_of(pair << 16);
        sum += high * high + low * low;
    }
    return sum;
}

#define INSTANCE(set, attribute)                                                                   \
    attribute static void place_##set(float *lane, size_t width, const char *const *row, size_t n, \
                                      int in_pairs)                                                \
    {                                                                                              \
        place(lane, width, row, n, in_pairs);                                                      \
    }                                                                                              \
    attribute static double square_f32_##set(const char *row, size_t n)                            \
    {                                                                                              \
        return square_f32(row, n);                                                                 \
    }                                                                                              \
    attribute static double square_pairs_##set(const char *row, size_t n)                          \
    {                                                                                              \
        return square_pairs(row, n);                                                               \
    }

#define NO_ATTRIBUTE
INSTANCE(portable, NO_ATTRIBUTE)
#ifdef VDIT_HAVE_X86
INSTANCE(avx512, VDIT_TARGET_AVX512)
INSTANCE(avx2, VDIT_TARGET_AVX2)
#endif

/* What the next chunk begins with, asked for while this one is worked on: rows lie far apart. */
static void expect(const char *const *row, size_t rows, size_t bytes)
{
#if defined(__GNUC__)
    for (size_t r = 0; r < rows; r++)
        for (size_t at = 0; at < bytes; at += 64)
            __builtin_prefetch(row[r] + bytes + at);
#else
    (void)row, (void)rows, (void)bytes;
#endif
}

void vdit_lanes_load(float *lane, size_t width, double *square, const vdit_matrix *a, size_t first,
                     size_t rows, size_t start, size_t count)
{
    static const float none[CHUNK];
    int in_pairs = a->dtype == VDIT_BF16 && a->step == 1 && count % 2 == 0;
    int in_place = in_pairs || (a->dtype == VDIT_F32 && a->step == 1);
    size_t n = in_pairs ? count / 2 : count;
    float wide[LANES][CHUNK];
    const char *row[LANES];

    for (size_t r = 0; r < LANES; r++)
        row[r] = (const char *)none;
    for (size_t r = 0; r < rows; r++) {
        ptrdiff_t from = a->row[first + r] + (ptrdiff_t)start * a->step;
        row[r] = in_place ? vdit_matrix_at(a, from) : (const void *)wide[r];
        if (!in_place)
            vdit_load_f32(wide[r], count, vdit_matrix_at(a, from), a->step, a->dtype);
        if (square != NULL)
            square[r] +=
                (in_pairs ? VDIT_CHOOSE(square_pairs) : VDIT_CHOOSE(square_f32))(row[r], n);
    }
    if (in_place)
        expect(row, rows, 4 * n);
    VDIT_CHOOSE(place)(lane, width, row, n, in_pairs);
}
