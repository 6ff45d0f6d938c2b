/* rotary.c - the rotary embedding of interleaved pairs: two exact products, one rounding. */
#include <vdit/op.h>
#include "exact/odd.h"
#include "op/map.h"

VDIT_INLINE void rotate_body(size_t n, double *restrict y, const double *restrict x,
                             const double *restrict cosine, const double *restrict sine)
{
    VDIT_SIMD for (size_t j = 0; j < n; j++)
    {
        double even = x[2 * j], odd = x[2 * j + 1];

        y[2 * j] = vdit_odd_sum(even * cosine[j], -(odd * sine[j]));
        y[2 * j + 1] = vdit_odd_sum(even * sine[j], odd * cosine[j]);
    }
}

#define INSTANCE(set, attribute)                                                                   \
    attribute static void rotate_##set(size_t n, double *y, const double *x, const double *cosine, \
                                       const double *sine)                                         \
    {                                                                                              \
        rotate_body(n, y, x, cosine, sine);                                                        \
    }

#define NO_ATTRIBUTE
INSTANCE(portable, NO_ATTRIBUTE)
#ifdef VDIT_HAVE_X86
INSTANCE(avx512, VDIT_TARGET_AVX512)
INSTANCE(avx2, VDIT_TARGET_AVX2)
#endif

static void rotate(size_t n, double *y, const double *x, const double *cosine, const double *sine)
{
    VDIT_CHOOSE(rotate)(n, y, x, cosine, sine);
}

vdit_status vdit_rotary(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                        const vdit_tensor *cosine, const vdit_tensor *sine)
{
    static const vdit_map map = {
        .op = "rotary", .name = {"x", "cosine", "sine"}, .per = 2, .missing = 0, .fn = rotate};

    return vdit_map_run(run, &map, y, x, cosine, sine);
}
