/*
 * exact/kernel.h - the inner loops: a register-blocked matrix product and 2^x, in binary64 and
 * binary32.
 *
 * Each kernel exists for AVX-512, for AVX2 with FMA, and in portable C; all have one interface and
 * the same error bounds, whether multiply and add are fused or not. Nothing here promises bits:
 * callers prove their results from the bounds (doc/numerics.md, section 5).
 */
#ifndef VDIT_EXACT_KERNEL_H
#define VDIT_EXACT_KERNEL_H

#include <stddef.h>

/*
 * Products are summed in chunks, first to last; then the chunk sums, first to last. This many in a chunk
 * cost little and keep the bound small.
 */
#define VDIT_KERNEL_CHUNK 32

/* The largest panels of any kernel: rows of a, columns of b, and their product. */
#define VDIT_KERNEL_MR_MAX   8
#define VDIT_KERNEL_NR_MAX   48
#define VDIT_KERNEL_TILE_MAX (VDIT_KERNEL_MR_MAX * VDIT_KERNEL_NR_MAX)

/* |error| of 2^x relative to it, in units of 2^-53 (binary64) and 2^-24 (binary32). */
#define VDIT_KERNEL_EXP2_UNITS 4

typedef struct vdit_kernel_f64 {
    const char *name;
    size_t mr, nr; /* rows of a panel of a, columns of a panel of b */
    /*
     * c[r * nr + s] = sum_k a[k * mr + r] b[k * nr + s] for r < mr, s < nr.
     * Out: c[mr * nr]. In: count products in chunks of chunk > 0, a[count * mr], b[count * nr]. Product k
     * takes part in vdit_kernel_weight(k, count, chunk) additions, and is rounded itself unless it is
     * exact or fused.
     */
    void (*gemm)(size_t count, size_t chunk, const double *a, const double *b, double *c);
    /* sum += x, elementwise over one tile of mr * nr. */
    void (*add)(const double *x, double *sum);
    /*
     * In place over a panel of keys * nr: x = x * scale + (mask ? mask : 0); and the maximum of
     * each lane, top[s] = max(top[s], x[., s]).
     */
    void (*scale_max)(size_t keys, double scale, const double *mask, double *x, double *top);
    /*
     * In place, x = 2^(x - top[lane]), an exact 0 below 2^-1010 (2^-120 in binary32); sum += x and
     * square += x^2 per lane, where the panel's own sum is formed first, key after key.
     */
    void (*exp2_sum)(size_t keys, const double *top, double *x, double *sum, double *square);
} vdit_kernel_f64;

typedef struct vdit_kernel_f32 {
    const char *name;
    size_t mr, nr;
    void (*gemm)(size_t count, size_t chunk, const float *a, const float *b, float *c);
    void (*add)(const float *x, float *sum);
    void (*scale_max)(size_t keys, float scale, const float *mask, float *x, float *top);
    void (*exp2_sum)(size_t keys, const float *top, float *x, float *sum, float *square);
} vdit_kernel_f32;

/* Returns: the i-th kernel that runs on this machine, best first; NULL past the last, portable C.
 */
const vdit_kernel_f64 *vdit_kernel_f64_at(size_t i);
const vdit_kernel_f32 *vdit_kernel_f32_at(size_t i);

/* Returns: the number of additions that product k of count takes part in, summed in chunks. */
size_t vdit_kernel_weight(size_t k, size_t count, size_t chunk);

#endif
