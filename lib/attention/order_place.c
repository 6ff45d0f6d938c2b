/* order_place.c - places in a sorted list, exactly. */
#include "attention/order.h"

uint64_t vdit_order_place(vdit_mp *rest, double fraction, uint64_t M)
{
    uint32_t limb[2] = {(uint32_t)M, (uint32_t)(M >> 32)};
    uint64_t place = 0;
    vdit_mp x, whole;

    vdit_mp_from_limbs(&x, 1, limb, 2, 0);
    vdit_mp_from_f64(&whole, fraction);
    vdit_mp_mul(&x, &x, &whole); /* 53 and 64 bits: exact */
    if (x.exponent > 0)          /* x = 0.limb[5]limb[4]... 2^exponent */
        place = ((uint64_t)x.limb[5] << 32 | x.limb[4]) >> (64 - x.exponent);
    if (rest == NULL)
        return place;
    limb[0] = (uint32_t)place;
    limb[1] = (uint32_t)(place >> 32);
    vdit_mp_from_limbs(&whole, 1, limb, 2, 0);
    vdit_mp_sub(rest, &x, &whole); /* exact: the low bits of x */
    return place;
}

double vdit_order_between(double low, double high, const vdit_mp *rest)
{
    vdit_mp value, other;

    vdit_mp_from_f64(&value, low);
    vdit_mp_from_f64(&other, high);
    vdit_mp_sub(&other, &other, &value);
    vdit_mp_mul(&other, &other, rest);
    vdit_mp_add(&value, &value, &other);
    return vdit_mp_round(&value, VDIT_F32);
}
