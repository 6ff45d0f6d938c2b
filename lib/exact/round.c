/* round.c - the one rounding, in integers (doc/numerics.md, section 1). */
#include <math.h>
#include "exact/round.h"

/* A format: bits of the significand, weight of the smallest subnormal, 2^limit is past the largest.
 */
static const struct {
    int precision, lowest, limit;
} formats[VDIT_DTYPE_COUNT] = {
    [VDIT_F64] = {53, -1074, 1024},
    [VDIT_F32] = {24, -149, 128},
    [VDIT_BF16] = {8, -133, 128},
    [VDIT_F16] = {11, -24, 16},
};

double vdit_round_parts(int negative, uint64_t top, int sticky, int64_t exponent, vdit_dtype dtype)
{
    int64_t unit = exponent - formats[dtype].precision; /* weight of the last bit that is kept */
    int64_t drop;
    uint64_t kept, half;
    double value;

    if (unit < formats[dtype].lowest)
        unit = formats[dtype].lowest;
    drop = unit - (exponent - 64);
    if (exponent > formats[dtype].limit)
        return negative ? -HUGE_VAL : HUGE_VAL;
    if (drop > 64) /* below half of the smallest subnormal */
        return negative ? -0.0 : 0.0;
    kept = drop == 64 ? 0 : top >> drop;
    half = UINT64_C(1) << (drop - 1);
    if ((top & half) != 0 && (sticky || (top & (half - 1)) != 0 || (kept & 1) != 0))
        kept++;
    value =
        ldexp((double)kept, (int)unit); /* exact: at most precision bits, a multiple of lowest */
    if (value >= ldexp(1.0, formats[dtype].limit - 1) * 2)
        value = HUGE_VAL;
    return negative ? -value : value;
}
