/* fast_blend.c - sums, modulation, gated residuals and the rotary embedding in binary32. */
#include "backend/fast.h"
#include "exact/simd.h"
#include "op/map.h"

/* What a piece is computed by; the rotary embedding has two elements of y and a for each of b and c. */
typedef enum blend { ADD, MODULATE, GATED_ADD, ROTATE } blend;

VDIT_INLINE void add(size_t n, float *restrict y, const float *restrict a, const float *restrict b)
{
    VDIT_SIMD
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

VDIT_INLINE void modulate(size_t n, float *restrict y, const float *restrict a,
                          const float *restrict b, const float *restrict c)
{
    VDIT_SIMD
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] * (1 + b[i]) + c[i];
}

VDIT_INLINE void gated_add(size_t n, float *restrict y, const float *restrict a,
                           const float *restrict b, const float *restrict c)
{
    VDIT_SIMD
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i] * c[i];
}

VDIT_INLINE void rotate(size_t n, float *restrict y, const float *restrict x,
                        const float *restrict cosine, const float *restrict sine)
{
    VDIT_SIMD
    for (size_t j = 0; j < n; j++) {
        float even = x[2 * j], odd = x[2 * j + 1];

        y[2 * j] = even * cosine[j] - odd * sine[j];
        y[2 * j + 1] = even * sine[j] + odd * cosine[j];
    }
}

VDIT_INLINE void blend_piece(int kind, size_t n, float *y, const float *a, const float *b,
                             const float *c)
{
    switch ((blend)kind) {
    case ADD:
        add(n, y, a, b);
        break;
    case MODULATE:
        modulate(n, y, a, b, c);
        break;
    case GATED_ADD:
        gated_add(n, y, a, b, c);
        break;
    case ROTATE:
        rotate(n, y, a, b, c);
        break;
    }
}

#define INSTANCE(set, attribute)                                                                   \
    attribute static void blend_##set(int kind, size_t n, float *y, const float *a,                \
                                      const float *b, const float *c)                              \
    {                                                                                              \
        blend_piece(kind, n, y, a, b, c);                                                          \
    }

#define NO_ATTRIBUTE
INSTANCE(portable, NO_ATTRIBUTE)
#ifdef VDIT_HAVE_X86
INSTANCE(avx512, VDIT_TARGET_AVX512)
INSTANCE(avx2, VDIT_TARGET_AVX2)
#endif

static void run_piece(int kind, size_t n, float *y, const float *a, const float *b, const float *c)
{
    VDIT_CHOOSE(blend)(kind, n, y, a, b, c);
}

vdit_status vdit_fast_add(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, const vdit_tensor *z)
{
    static const vdit_map map = {
        .op = "add", .name = {"x", "z", NULL}, .per = 1, .single = run_piece, .kind = ADD};

    return vdit_map_run(run, &map, y, x, z, NULL);
}

vdit_status vdit_fast_modulate(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                               const vdit_tensor *scale, const vdit_tensor *shift)
{
    static const vdit_map map = {.op = "modulate",
                                 .name = {"x", "scale", "shift"},
                                 .per = 1,
                                 .single = run_piece,
                                 .kind = MODULATE};

    return vdit_map_run(run, &map, y, x, scale, shift);
}

vdit_status vdit_fast_gated_add(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                const vdit_tensor *gate, const vdit_tensor *z)
{
    static const vdit_map map = {.op = "gated_add",
                                 .name = {"x", "gate", "z"},
                                 .per = 1,
                                 .single = run_piece,
                                 .kind = GATED_ADD};

    return vdit_map_run(run, &map, y, x, gate, z);
}

vdit_status vdit_fast_rotary(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                             const vdit_tensor *cosine, const vdit_tensor *sine)
{
    static const vdit_map map = {.op = "rotary",
                                 .name = {"x", "cosine", "sine"},
                                 .per = 2,
                                 .single = run_piece,
                                 .kind = ROTATE};

    return vdit_map_run(run, &map, y, x, cosine, sine);
}
