/*
 * exact/single.h - rows in binary32: what every float type widens to exactly, and one rounding back.
 *
 * For code that computes in binary32 and promises no bits; vdit_load_f64 and vdit_store_f64 are for the rest.
 */
#ifndef VDIT_EXACT_SINGLE_H
#define VDIT_EXACT_SINGLE_H

#include <vdit/tensor.h>

/* Out: out[n], exact. In: n elements of f32, bf16 or f16 that start at in, step elements apart. */
void vdit_load_f32(float *out, size_t n, const void *in, ptrdiff_t step, vdit_dtype dtype);

/*
 * Out: n elements of f32, bf16 or f16, step elements apart: as they are, or rounded to nearest-even with NaN as the
 * canonical quiet one. In: in[n].
 */
void vdit_store_f32(void *out, ptrdiff_t step, vdit_dtype dtype, const float *in, size_t n);

#endif
