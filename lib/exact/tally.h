/*
 * exact/tally.h - an exact sum of f32 numbers that are not negative: small enough to keep by the hundred thousand.
 */
#ifndef VDIT_EXACT_TALLY_H
#define VDIT_EXACT_TALLY_H

#include "exact/accumulator.h"

/* The value is sum_i word[i] 2^(64 i - 149); room for sums below 2^43. */
typedef struct vdit_tally {
    uint64_t word[3];
} vdit_tally;

/* Out: sum += x, exactly. In: 0 <= x < 2^42, a number of f32. */
static inline void vdit_tally_add(vdit_tally *sum, double x)
{
    float single = (float)x;
    uint32_t bits, shift;
    uint64_t fraction, part;

    memcpy(&bits, &single, sizeof bits);
    shift =
        bits >> 23; /* a subnormal number counts its lowest bit as the smallest normal ones do */
    fraction = (bits & 0x7fffff) | (shift > 0 ? 0x800000 : 0);
    shift -= shift > 0;
    part = fraction << shift % 64;
    for (uint32_t i = shift / 64, more = 1; i < 3 && more; i++) {
        uint64_t next = i == shift / 64 && shift % 64 > 40 ? fraction >> (64 - shift % 64) : 0;

        sum->word[i] += part;
        part = next + (sum->word[i] < part);
        more = part != 0;
    }
}

/* Out: acc += sum, exactly. */
static inline void vdit_tally_to_acc(vdit_acc *acc, const vdit_tally *sum)
{
    static const double unit[6] = {0x1p-149, 0x1p-117, 0x1p-85, 0x1p-53, 0x1p-21, 0x1p+11};

    for (int i = 0; i < 6; i++)
        vdit_acc_add(acc, (double)(uint32_t)(sum->word[i / 2] >> 32 * (i % 2)) * unit[i]);
}

#endif
