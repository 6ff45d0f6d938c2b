/*
 * draw_many.c - vdit_draw_normal for many elements at once: the same operations in the same order, over lanes.
 *
 * An attempt of the polar method succeeds with probability pi/4; the elements that fail are gathered and tried again,
 * so that lanes stay full.
 */
#include <math.h>
#include <string.h>
#include "exact/draw.h"
#include "exact/elementary.h"
#include "exact/simd.h"

#define LANES 256

typedef struct lanes {
    uint32_t c[4][LANES]; /* counters, then words */
    double x[LANES], s[LANES], low[LANES], high[LANES], ratio[LANES];
} lanes;

VDIT_INLINE uint64_t bits_of(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

VDIT_INLINE double value_of(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* One round of Philox4x32 on n counters. */
VDIT_INLINE void philox_round(uint32_t c[4][LANES], size_t n, uint32_t k0, uint32_t k1)
{
    VDIT_SIMD
    for (size_t i = 0; i < n; i++) {
        uint32_t a = c[0][i], b = c[2][i];
        uint32_t a_high = (uint32_t)((uint64_t)a * UINT32_C(0xD2511F53) >> 32);
        uint32_t b_high = (uint32_t)((uint64_t)b * UINT32_C(0xCD9E8D57) >> 32);

        c[0][i] = b_high ^ c[1][i] ^ k0;
        c[1][i] = b * UINT32_C(0xCD9E8D57);
        c[2][i] = a_high ^ c[3][i] ^ k1;
        c[3][i] = a * UINT32_C(0xD2511F53);
    }
}

/* Out: the point (x, y) of a try, and s = x^2 + y^2 rounded to f32. */
VDIT_INLINE void points(lanes *l, size_t n)
{
    VDIT_SIMD
    for (size_t i = 0; i < n; i++) {
        double x = (double)(int32_t)(l->c[0][i] >> 8) * 0x1p-23 - 1;
        double y = (double)(int32_t)(l->c[1][i] >> 8) * 0x1p-23 - 1;

        l->x[i] = x;
        l->s[i] = (double)(float)(x * x + y * y);
    }
}

/*
 * vdit_log_estimate of s > 0, rounded to f32 after a step of its error down and up: where both are equal they are ln s.
 * The exponent comes from the bits, which is what frexp returns for a number that is not subnormal.
 */
VDIT_INLINE void logarithms(lanes *l, size_t n)
{
    VDIT_SIMD
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = bits_of(l->s[i]);
        double k = value_of(bits >> 52 | UINT64_C(0x433) << 52) - (0x1p52 + 1022);
        double f = value_of((bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(0x3fe) << 52);
        int small = f < 0x1.6a09e667f3bcdp-1;
        double t, square, sum = 1.0 / 21, estimate;

        f = small ? f * 2 : f;
        k = small ? k - 1 : k;
        t = (f - 1) / (f + 1);
        square = t * t;
        sum = sum * square + 1.0 / 19;
        sum = sum * square + 1.0 / 17;
        sum = sum * square + 1.0 / 15;
        sum = sum * square + 1.0 / 13;
        sum = sum * square + 1.0 / 11;
        sum = sum * square + 1.0 / 9;
        sum = sum * square + 1.0 / 7;
        sum = sum * square + 1.0 / 5;
        sum = sum * square + 1.0 / 3;
        sum = 2 * t + 2 * t * (sum * square);
        estimate = k * VDIT_LN2_HIGH + (sum + k * VDIT_LN2_LOW);
        l->low[i] = (double)(float)(estimate * (1 - 2 * VDIT_ESTIMATE_ERROR));
        l->high[i] = (double)(float)(estimate * (1 + 2 * VDIT_ESTIMATE_ERROR));
        l->ratio[i] = -2 * l->low[i] / l->s[i];
    }
}

VDIT_INLINE void attempt(lanes *l, size_t n, uint64_t seed)
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);

    for (int round = 0; round < 10; round++) {
        philox_round(l->c, n, k0, k1);
        k0 += UINT32_C(0x9E3779B9);
        k1 += UINT32_C(0xBB67AE85);
    }
    points(l, n);
    logarithms(l, n);
}

#ifdef VDIT_HAVE_X86
VDIT_TARGET_AVX512 static void attempt_avx512(lanes *l, size_t n, uint64_t seed)
{
    attempt(l, n, seed);
}

VDIT_TARGET_AVX2 static void attempt_avx2(lanes *l, size_t n, uint64_t seed)
{
    attempt(l, n, seed);
}
#endif

static void attempt_portable(lanes *l, size_t n, uint64_t seed)
{
    attempt(l, n, seed);
}

/* Out: numbers of those of the n tries that succeeded. Returns: the places of the others, in the first of place. */
static size_t gather(const lanes *l, size_t n, double *out, size_t *place)
{
    size_t left = 0;

    for (size_t i = 0; i < n; i++) {
        double s = l->s[i], ratio = l->ratio[i];

        if (!(s > 0 && s < 1)) {
            place[left++] = place[i];
            continue;
        }
        if (l->low[i] != l->high[i])
            ratio = -2 * vdit_draw_log(s) / s;
        out[place[i]] = l->x[i] * sqrt(ratio);
    }
    return left;
}

/* At most LANES numbers. */
static void draw_block(double *out, size_t count, vdit_draw draw, uint64_t first)
{
    size_t place[LANES], n = count;
    lanes l;

    for (size_t i = 0; i < n; i++)
        place[i] = i;
    for (uint32_t tries = 0; n > 0; tries++) {
        for (size_t i = 0; i < n; i++) {
            l.c[0][i] = (uint32_t)(first + place[i]);
            l.c[1][i] = (uint32_t)((first + place[i]) >> 32);
            l.c[2][i] = draw.tensor;
            l.c[3][i] = tries;
        }
        VDIT_CHOOSE(attempt)(&l, n, draw.seed);
        n = gather(&l, n, out, place);
    }
}

void vdit_draw_normals(double *out, size_t count, vdit_draw draw, uint64_t first)
{
    for (size_t i = 0; i < count; i += LANES)
        draw_block(out + i, count - i < LANES ? count - i : LANES, draw, first + i);
}
