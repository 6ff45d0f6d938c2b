/*
 * exact/limbs.h - unsigned integers as little-endian arrays of 32-bit limbs.
 *
 * limb[i] has the weight 2^(32 i). Everything is unsigned integer arithmetic, so the results are
 * the same on every machine. These are inline because their lengths are constants where they are
 * called.
 */
#ifndef VDIT_EXACT_LIMBS_H
#define VDIT_EXACT_LIMBS_H

#include <stdint.h>

/* Returns: how many of the top bits of x, which is not 0, are 0. */
static inline int vdit_limb_leading_zeros(uint32_t x)
{
    int count = 0;

    for (int step = 16; step > 0; step /= 2)
        if (x >> (32 - step) == 0) {
            count += step;
            x <<= step;
        }
    return count;
}

/* Returns: the number of bits up to the highest one that is set; 0 if limb[n] is zero. */
static inline int vdit_limbs_length(const uint32_t *limb, int n)
{
    for (int i = n - 1; i >= 0; i--)
        if (limb[i] != 0)
            return 32 * (i + 1) - vdit_limb_leading_zeros(limb[i]);
    return 0;
}

/*
 * Moves bits: out[i], i < count, are the 32 bits from position bit + 32 i upwards; what lies outside
 * limb[n] is 0. out is not limb. In: |bit| < 2^20.
 */
static inline void vdit_limbs_window(uint32_t *out, int count, const uint32_t *limb, int n, int bit)
{
    int index = (bit + (1 << 20)) / 32 - (1 << 15), shift = (bit + (1 << 20)) % 32;
    uint64_t low = index >= 0 && index < n ? limb[index] : 0;

    for (int i = 0; i < count; i++) {
        uint64_t high = ++index >= 0 && index < n ? limb[index] : 0;
        out[i] = (uint32_t)((high << 32 | low) >> shift);
        low = high;
    }
}

/* Returns: 1 if a bit below position bit is set. */
static inline int vdit_limbs_sticky(const uint32_t *limb, int n, int bit)
{
    for (int i = 0; i < n && 32 * i < bit; i++) {
        uint32_t part = bit - 32 * i >= 32 ? limb[i] : limb[i] << (32 - (bit - 32 * i));
        if (part != 0)
            return 1;
    }
    return 0;
}

/* Returns: -1, 0 or 1 as a is below, equal to or above b. */
static inline int vdit_limbs_compare(const uint32_t *a, const uint32_t *b, int n)
{
    for (int i = n - 1; i >= 0; i--)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

/* Out: a[n] += b[n]. Returns: the carry. */
static inline uint32_t vdit_limbs_add(uint32_t *a, const uint32_t *b, int n)
{
    uint64_t sum = 0;

    for (int i = 0; i < n; i++) {
        sum += (uint64_t)a[i] + b[i];
        a[i] = (uint32_t)sum;
        sum >>= 32;
    }
    return (uint32_t)sum;
}

/* Out: a[n] -= b[n]. Returns: the borrow. */
static inline uint32_t vdit_limbs_sub(uint32_t *a, const uint32_t *b, int n)
{
    uint32_t borrow = 0;

    for (int i = 0; i < n; i++) {
        uint64_t difference = (uint64_t)a[i] - b[i] - borrow;
        a[i] = (uint32_t)difference;
        borrow = (uint32_t)(difference >> 32) & 1;
    }
    return borrow;
}

/*
 * The upper limbs of a product. Column c collects the a[i] b[j] with i + j = c; columns below first
 * are left out, those from first to keep - 1 give only their carries. The result is low by less
 * than (first + 1) 2^(32 (first + 1)) in units of limb 0 for what is left out, which is at most
 * sum_(c < first) (c + 1) (2^32 - 1)^2 2^(32 c), and by less than 2^(32 keep) for what is cut off.
 * Out: out[2n - keep]; it may be a or b if keep >= n, because column c reads only the limbs from
 * c - n + 1 on and writes a limb below them.
 */
static inline void vdit_limbs_mul_high(uint32_t *out, const uint32_t *a, const uint32_t *b, int n,
                                       int first, int keep)
{
    uint64_t carry = 0;

    for (int c = first; c < 2 * n; c++) {
        uint64_t low = carry, high = 0;
        for (int i = c < n ? 0 : c - n + 1; i < n && i <= c; i++) {
            uint64_t product = (uint64_t)a[i] * b[c - i];
            low += (uint32_t)product;
            high += product >> 32;
        }
        if (c >= keep)
            out[c - keep] = (uint32_t)low;
        carry = high + (low >> 32);
    }
}

#endif
