/*
 * single.c - conversions between binary32 and the other float types, without branches in the loops.
 *
 * The formulas are selections over integers and one binary32 operation that is exact or the rounding itself, so
 * that compilers make vectors of them. No subnormal operand is multiplied: some machines are slow at it.
 */
#include <string.h>
#include "exact/simd.h"
#include "exact/single.h"

#define PIECE 256 /* elements between their type and binary32 at a time */

static inline float value_of(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t bits_of(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* A selection that stays one: of two values, none of which is computed under a condition. */
static inline uint32_t select(int condition, uint32_t yes, uint32_t no)
{
    uint32_t mask = 0 - (uint32_t)condition;

    return (yes & mask) | (no & ~mask);
}

/*
 * A normal f16 differs from its binary32 in the bias, by 112. A subnormal one, m 2^-24, is 2^-14 (1 + m 2^-10)
 * less 2^-14, both of which binary32 has.
 */
static inline float from_f16(uint16_t code)
{
    uint32_t magnitude = (uint32_t)(code & 0x7fff) << 13, sign = (uint32_t)(code & 0x8000) << 16;
    uint32_t normal = magnitude + (UINT32_C(112) << 23);
    uint32_t infinite = magnitude | UINT32_C(0x7f800000);
    uint32_t least = bits_of(value_of(magnitude | UINT32_C(113) << 23) - 0x1p-14f);
    uint32_t finite = select(magnitude < UINT32_C(1) << 23, least, normal);

    return value_of(select(magnitude < UINT32_C(0x1f) << 23, finite, infinite) | sign);
}

/* Rounded in place to a multiple of 2^16: a carry moves the exponent, up to infinity. */
static inline uint16_t to_bf16(float value)
{
    uint32_t bits = bits_of(value), rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;

    return (uint16_t)select(value == value, rounded, 0x7fc0);
}

/*
 * From 2^-14 on, rounded in place to a multiple of 2^13 with the bias taken off. Below, adding 2^-1 rounds to a
 * multiple of 2^-24, and the sum's fraction is the code.
 */
static inline uint16_t to_f16(float value)
{
    uint32_t bits = bits_of(value), magnitude = bits & UINT32_C(0x7fffffff);
    uint32_t normal = (magnitude - (UINT32_C(112) << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
    uint32_t least = bits_of(value_of(magnitude) + 0.5f) - bits_of(0.5f);
    uint32_t finite = select(magnitude < UINT32_C(113) << 23, least, normal);
    uint32_t code = select(magnitude < bits_of(65520.0f), finite, 0x7c00);

    return (uint16_t)select(value == value, code | (bits >> 16 & 0x8000), 0x7e00);
}

/* Dense pieces, by type. */
static void widen_bf16(float *restrict out, const uint16_t *restrict in, size_t n)
{
    VDIT_SIMD
    for (size_t i = 0; i < n; i++)
        out[i] = value_of((uint32_t)in[i] << 16);
}

static void widen_f16(float *restrict out, const uint16_t *restrict in, size_t n)
{
    VDIT_SIMD
    for (size_t i = 0; i < n; i++)
        out[i] = from_f16(in[i]);
}

static void narrow_bf16(uint16_t *restrict out, const float *restrict in, size_t n)
{
    VDIT_SIMD
    for (size_t i = 0; i < n; i++)
        out[i] = to_bf16(in[i]);
}

static void narrow_f16(uint16_t *restrict out, const float *restrict in, size_t n)
{
    VDIT_SIMD
    for (size_t i = 0; i < n; i++)
        out[i] = to_f16(in[i]);
}

/* Out: n elements of size bytes, next to each other. In: n of them, step elements apart. */
static void gather(char *out, size_t n, const char *in, ptrdiff_t step, size_t size)
{
    for (size_t i = 0; i < n; i++)
        memcpy(out + i * size, in + (ptrdiff_t)i * step * (ptrdiff_t)size, size);
}

static void scatter(char *out, ptrdiff_t step, const char *in, size_t n, size_t size)
{
    for (size_t i = 0; i < n; i++)
        memcpy(out + (ptrdiff_t)i * step * (ptrdiff_t)size, in + i * size, size);
}

void vdit_load_f32(float *out, size_t n, const void *in, ptrdiff_t step, vdit_dtype dtype)
{
    ptrdiff_t size = (ptrdiff_t)vdit_dtype_size(dtype);
    const char *from = in;
    uint16_t code[PIECE];

    if (dtype == VDIT_F32 && step == 1) {
        memcpy(out, in, n * sizeof *out);
    } else if (dtype == VDIT_F32) {
        gather((char *)out, n, in, step, sizeof *out);
    } else {
        for (size_t at = 0; at < n; at += PIECE) {
            size_t count = n - at < PIECE ? n - at : PIECE;
            if (step == 1)
                memcpy(code, from + (ptrdiff_t)at * size, count * sizeof *code);
            else
                gather((char *)code, count, from + (ptrdiff_t)at * step * size, step, sizeof *code);
            (dtype == VDIT_BF16 ? widen_bf16 : widen_f16)(out + at, code, count);
        }
    }
}

void vdit_store_f32(void *out, ptrdiff_t step, vdit_dtype dtype, const float *in, size_t n)
{
    uint16_t code[PIECE];

    if (dtype == VDIT_F32 && step == 1) {
        memcpy(out, in, n * sizeof *in);
        return;
    }
    if (dtype == VDIT_F32) {
        scatter(out, step, (const char *)in, n, sizeof *in);
        return;
    }
    for (size_t at = 0; at < n; at += PIECE) {
        size_t count = n - at < PIECE ? n - at : PIECE;
        char *to = (char *)out + (ptrdiff_t)at * step * 2;
        (dtype == VDIT_BF16 ? narrow_bf16 : narrow_f16)(code, in + at, count);
        if (step == 1)
            memcpy(to, code, count * sizeof *code);
        else
            scatter(to, step, (const char *)code, count, sizeof *code);
    }
}
