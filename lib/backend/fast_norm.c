/*
 * fast_norm.c - norms in binary32: mean and scale of a set in binary64, as the reference estimates them, then one
 * pass that is ordinary arithmetic.
 */
#include <math.h>
#include "backend/fast.h"
#include "exact/simd.h"
#include "op/norm.h"

#define PIECE VDIT_LINES_PIECE

VDIT_INLINE void normalise(size_t n, float *restrict y, const float *restrict x,
                           const float *restrict w, const float *restrict b, float mean,
                           float scale)
{
    VDIT_SIMD
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) * scale * w[i] + b[i];
}

#define INSTANCE(set, attribute)                                                                   \
    attribute static void normalise_##set(size_t n, float *y, const float *x, const float *w,      \
                                          const float *b, float mean, float scale)                 \
    {                                                                                              \
        normalise(n, y, x, w, b, mean, scale);                                                     \
    }

#define NO_ATTRIBUTE
INSTANCE(portable, NO_ATTRIBUTE)
#ifdef VDIT_HAVE_X86
INSTANCE(avx512, VDIT_TARGET_AVX512)
INSTANCE(avx2, VDIT_TARGET_AVX2)
#endif

static void load_operand(float *out, const vdit_lines *rows, float missing, size_t n, size_t run,
                         size_t at)
{
    if (rows->data != NULL) {
        vdit_lines_load_f32(out, n, rows, run, at);
        return;
    }
    for (size_t i = 0; i < n; i++)
        out[i] = missing;
}

/* Where some x is not finite, the scale is 0 or a NaN, and a mean that is subtracted a NaN. */
static void normalise_set(const vdit_norm *all, size_t set, uint64_t *decided)
{
    const vdit_norm norm = vdit_norm_at(all, set);
    vdit_norm_estimate estimate;
    float x[PIECE], w[PIECE], b[PIECE], y[PIECE], mean, scale;

    vdit_norm_estimate_set(&estimate, &norm);
    scale = (float)(1 / sqrt(estimate.square / (double)vdit_norm_count(&norm) + norm.eps));
    mean = (float)(norm.centred && !isfinite(estimate.size) ? (double)NAN : estimate.mean);
    decided[0] += vdit_norm_count(&norm);
    for (size_t run = 0; run < norm.runs; run++)
        for (size_t at = 0; at < norm.length; at += PIECE) {
            size_t n = norm.length - at < PIECE ? norm.length - at : PIECE;

            vdit_lines_load_f32(x, n, &norm.x, run, at);
            load_operand(w, &norm.w, 1, n, run, at);
            load_operand(b, &norm.b, 0, n, run, at);
            VDIT_CHOOSE(normalise)(n, y, x, w, b, mean, scale);
            vdit_lines_store_f32(&norm.y, run, at, y, n);
        }
}

vdit_status vdit_fast_layer_norm(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                 const vdit_tensor *w, const vdit_tensor *b, double eps)
{
    return vdit_layer_norm_by(run, normalise_set, y, x, w, b, eps);
}

vdit_status vdit_fast_rms_norm(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                               const vdit_tensor *w, double eps)
{
    return vdit_rms_norm_by(run, normalise_set, y, x, w, eps);
}

vdit_status vdit_fast_group_norm(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, size_t groups,
                                 const vdit_tensor *w, const vdit_tensor *b, double eps)
{
    return vdit_group_norm_by(run, normalise_set, y, x, groups, w, b, eps);
}
