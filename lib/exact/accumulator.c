/* accumulator.c - the exact fixed-point accumulator (doc/numerics.md, section 4). */
#include <string.h>
#include "exact/accumulator.h"
#include "exact/limbs.h"
#include "exact/round.h"

#define PENDING_LIMIT (UINT32_C(1) << 30)

/* A binary64 number taken apart: (-1)^negative * significand * 2^exponent. */
typedef struct parts {
    uint64_t significand;
    int exponent;
    int negative;
} parts;

static parts take_apart(double x)
{
    uint64_t bits;
    int field;
    parts p;

    memcpy(&bits, &x, sizeof bits);
    field = (int)(bits >> 52) & 0x7ff;
    p.negative = (int)(bits >> 63);
    p.significand = bits & ((UINT64_C(1) << 52) - 1);
    if (field != 0)
        p.significand |= UINT64_C(1) << 52;
    p.exponent = (field != 0 ? field : 1) - 1075;
    return p;
}

/* Brings every limb but the last into 0 .. 2^32 - 1, moving carries upwards. */
static void normalise(vdit_acc *a)
{
    int64_t carry = 0;

    for (int i = 0; i < VDIT_ACC_LIMBS - 1; i++) {
        int64_t limb = a->limb[i] + carry, low = (int64_t)((uint64_t)limb & 0xffffffff);
        a->limb[i] = low;
        carry = (limb - low) / (INT64_C(1) << 32); /* exact: a floor, whatever the sign */
    }
    a->limb[VDIT_ACC_LIMBS - 1] += carry;
    a->pending = 0;
}

/*
 * Adds (-1)^negative * m * 2^bit in units of limb 0. The bits of m below position 0 are 0 by the
 * callers' contract. Three limbs change, each by less than 2^32.
 */
static void add_at(vdit_acc *a, uint64_t m, int bit, int negative)
{
    int64_t flip = -(int64_t)negative; /* (x ^ flip) - flip is x or -x, without a branch */
    int64_t *limb;
    int shift;

    if (bit < 0) {
        m = bit > -64 ? m >> -bit : 0;
        bit = 0;
    }
    limb = a->limb + bit / 32;
    shift = bit % 32;
    limb[0] += ((int64_t)(m << shift & 0xffffffff) ^ flip) - flip;
    limb[1] += ((int64_t)(m >> (32 - shift) & 0xffffffff) ^ flip) - flip;
    limb[2] += ((int64_t)(m >> 32 >> (32 - shift)) ^ flip) - flip;
    if (++a->pending >= PENDING_LIMIT)
        normalise(a);
}

void vdit_acc_zero(vdit_acc *a)
{
    memset(a, 0, sizeof *a);
}

void vdit_acc_add(vdit_acc *a, double x)
{
    parts p = take_apart(x);

    if (p.significand != 0)
        add_at(a, p.significand, p.exponent - VDIT_ACC_LOW, p.negative);
}

void vdit_acc_add_product(vdit_acc *a, double x, double y)
{
    parts p = take_apart(x), q = take_apart(y);
    uint64_t p_low = p.significand & 0xffffffff, p_high = p.significand >> 32;
    uint64_t q_low = q.significand & 0xffffffff, q_high = q.significand >> 32;
    int bit = p.exponent + q.exponent - VDIT_ACC_LOW, negative = p.negative ^ q.negative;

    if (p.significand == 0 || q.significand == 0)
        return;
    /* Halves of 32 and 21 bits: the middle sum has at most 54 bits. */
    add_at(a, p_low * q_low, bit, negative);
    add_at(a, p_low * q_high + p_high * q_low, bit + 32, negative);
    add_at(a, p_high * q_high, bit + 64, negative);
}

void vdit_acc_add_scaled(vdit_acc *out, const vdit_acc *in, double scale)
{
    uint32_t limb[VDIT_ACC_LIMBS];
    int sign = vdit_acc_magnitude(limb, in);
    parts p = take_apart(scale);
    int negative = p.negative ^ (sign < 0);

    if (sign == 0 || p.significand == 0)
        return;
    for (int i = 0; i < VDIT_ACC_LIMBS; i++) {
        int bit = 32 * i + p.exponent; /* in units of limb 0: in's offset is out's */
        if (limb[i] == 0)
            continue;
        add_at(out, limb[i] * (p.significand & 0xffffffff), bit, negative);
        add_at(out, limb[i] * (p.significand >> 32), bit + 32, negative);
    }
}

void vdit_acc_sub(vdit_acc *a, const vdit_acc *b)
{
    vdit_acc other = *b;

    normalise(&other);
    for (int i = 0; i < VDIT_ACC_LIMBS; i++)
        a->limb[i] -= other.limb[i];
    if (++a->pending >= PENDING_LIMIT)
        normalise(a);
}

int vdit_acc_magnitude(uint32_t limb[VDIT_ACC_LIMBS], const vdit_acc *a)
{
    vdit_acc copy = *a;
    int sign;

    normalise(&copy);
    sign = copy.limb[VDIT_ACC_LIMBS - 1] < 0 ? -1 : 1;
    if (sign < 0) {
        for (int i = 0; i < VDIT_ACC_LIMBS; i++)
            copy.limb[i] = -copy.limb[i];
        normalise(&copy);
    }
    for (int i = 0; i < VDIT_ACC_LIMBS; i++)
        limb[i] = (uint32_t)copy.limb[i];
    return vdit_limbs_length(limb, VDIT_ACC_LIMBS) == 0 ? 0 : sign;
}

int vdit_acc_sign(const vdit_acc *a)
{
    uint32_t limb[VDIT_ACC_LIMBS];

    return vdit_acc_magnitude(limb, a);
}

double vdit_acc_round(const vdit_acc *a, vdit_dtype dtype)
{
    uint32_t limb[VDIT_ACC_LIMBS], top[2];
    int sign = vdit_acc_magnitude(limb, a);
    int length = vdit_limbs_length(limb, VDIT_ACC_LIMBS);

    if (sign == 0)
        return 0.0;
    vdit_limbs_window(top, 2, limb, VDIT_ACC_LIMBS, length - 64);
    return vdit_round_parts(sign < 0, (uint64_t)top[1] << 32 | top[0],
                            vdit_limbs_sticky(limb, VDIT_ACC_LIMBS, length - 64),
                            length + VDIT_ACC_LOW, dtype);
}

/* Long division, bit by bit: 64 bits of the quotient from its first one on, and whether anything follows. */
double vdit_acc_round_quotient(const vdit_acc *a, uint64_t divisor, vdit_dtype dtype)
{
    uint32_t limb[VDIT_ACC_LIMBS];
    int sign = vdit_acc_magnitude(limb, a), bit = vdit_limbs_length(limb, VDIT_ACC_LIMBS);
    uint64_t top = 0, rest = 0;

    if (sign == 0)
        return 0.0;
    while (top >> 63 == 0) {
        uint64_t carry = rest >> 63;

        bit--; /* of a; below its lowest one are zeros */
        rest = rest << 1 | (bit >= 0 ? limb[bit / 32] >> bit % 32 & 1 : 0);
        top <<= 1;
        if (carry != 0 || rest >= divisor) {
            rest -= divisor; /* below the divisor again, whether a bit was carried out or not */
            top |= 1;
        }
    }
    return vdit_round_parts(sign < 0, top,
                            rest != 0 || vdit_limbs_sticky(limb, VDIT_ACC_LIMBS, bit),
                            bit + VDIT_ACC_LOW + 64, dtype);
}
