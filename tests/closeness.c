/* closeness.c - distances to halfway cases. */
#include "closeness.h"

int64_t closeness(const vdit_mp *x, vdit_dtype dtype)
{
    static const struct {
        int precision, lowest;
    } formats[] = {[VDIT_F32] = {24, -149}, [VDIT_BF16] = {8, -133}, [VDIT_F16] = {11, -24}};
    int64_t unit = x->exponent - formats[dtype].precision;
    vdit_mp half = *x, whole, rest;

    if (unit < formats[dtype].lowest)
        unit = formats[dtype].lowest;
    vdit_mp_snap(&half, unit - 1);
    whole = half;
    vdit_mp_snap(&whole, unit);
    if (vdit_mp_compare(&half, &whole) == 0)
        return 0;
    vdit_mp_sub(&rest, x, &half);
    return rest.sign == 0 ? INT64_MIN : rest.exponent - x->exponent;
}
