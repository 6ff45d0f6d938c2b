/* blend.c - sums, modulation, gated residuals: two or three exact terms, one rounding. */
#include <math.h>
#include <vdit/op.h>
#include "exact/odd.h"
#include "op/map.h"

/* Products of two f32 are exact in binary64, so that each result is a sum of two or three doubles. */

VDIT_INLINE void add_body(size_t n, double *restrict y, const double *restrict a,
                          const double *restrict b)
{
    VDIT_SIMD for (size_t i = 0; i < n; i++) y[i] = vdit_odd_sum(a[i], b[i]);
}

VDIT_INLINE void gated_add_body(size_t n, double *restrict y, const double *restrict a,
                                const double *restrict b, const double *restrict c)
{
    VDIT_SIMD for (size_t i = 0; i < n; i++) y[i] = vdit_odd_sum(a[i], b[i] * c[i]);
}

/*
 * x (1 + scale) + shift as IEEE has it, for where that is not finite or exactly 0: neither 1 + scale nor the
 * product loses a sign, a zero or an infinity by being rounded, and a sum that is 0 without both terms being 0 is
 * +0.
 */
static double modulate_special(double x, double scale, double shift)
{
    double product = x * (1 + scale), sum = product + shift;

    return isfinite(sum) && product != 0 ? 0.0 : sum;
}

/* x + x scale + shift. Returns: 1 if some element is not finite or 0. */
VDIT_INLINE int modulate_body(size_t n, double *restrict y, const double *restrict a,
                              const double *restrict b, const double *restrict c)
{
    uint64_t special = 0;

    VDIT_SIMD_OR(special) for (size_t i = 0; i < n; i++)
    {
        y[i] = vdit_odd_sum3(a[i], a[i] * b[i], c[i]);
        special |= ((fabs(y[i]) > 0) & (fabs(y[i]) < HUGE_VAL)) ? 0 : 1;
    }
    return special != 0;
}

#define INSTANCE(set, attribute)                                                                   \
    attribute static void add_##set(size_t n, double *y, const double *a, const double *b)         \
    {                                                                                              \
        add_body(n, y, a, b);                                                                      \
    }                                                                                              \
    attribute static void gated_add_##set(size_t n, double *y, const double *a, const double *b,   \
                                          const double *c)                                         \
    {                                                                                              \
        gated_add_body(n, y, a, b, c);                                                             \
    }                                                                                              \
    attribute static int modulate_##set(size_t n, double *y, const double *a, const double *b,     \
                                        const double *c)                                           \
    {                                                                                              \
        return modulate_body(n, y, a, b, c);                                                       \
    }

#define NO_ATTRIBUTE
INSTANCE(portable, NO_ATTRIBUTE)
#ifdef VDIT_HAVE_X86
INSTANCE(avx512, VDIT_TARGET_AVX512)
INSTANCE(avx2, VDIT_TARGET_AVX2)
#endif

static void add(size_t n, double *y, const double *a, const double *b, const double *c)
{
    (void)c;
    VDIT_CHOOSE(add)(n, y, a, b);
}

static void gated_add(size_t n, double *y, const double *a, const double *b, const double *c)
{
    VDIT_CHOOSE(gated_add)(n, y, a, b, c);
}

static void modulate(size_t n, double *y, const double *a, const double *b, const double *c)
{
    if (VDIT_CHOOSE(modulate)(n, y, a, b, c) == 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (!(fabs(y[i]) > 0 && fabs(y[i]) < HUGE_VAL))
            y[i] = modulate_special(a[i], b[i], c[i]);
}

vdit_status vdit_add(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, const vdit_tensor *z)
{
    static const vdit_map map = {
        .op = "add", .name = {"x", "z", NULL}, .per = 1, .missing = 0, .fn = add};

    return vdit_map_run(run, &map, y, x, z, NULL);
}

/* Without a shift, -0 is added: it changes nothing, not even a -0. */
vdit_status vdit_modulate(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                          const vdit_tensor *scale, const vdit_tensor *shift)
{
    static const vdit_map map = {.op = "modulate",
                                 .name = {"x", "scale", "shift"},
                                 .per = 1,
                                 .missing = -0.0,
                                 .fn = modulate};

    return vdit_map_run(run, &map, y, x, scale, shift);
}

vdit_status vdit_gated_add(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                           const vdit_tensor *gate, const vdit_tensor *z)
{
    static const vdit_map map = {
        .op = "gated_add", .name = {"x", "gate", "z"}, .per = 1, .missing = 0, .fn = gated_add};

    return vdit_map_run(run, &map, y, x, gate, z);
}
