/*
 * kernel.c - the kernels of kernel_body.h for each instruction set, and which of them run here.
 *
 * This file alone is compiled with contraction allowed: its bounds hold fused or not.
 */
#include <stdint.h>
#include <string.h>
#include "exact/kernel.h"

#if defined(__GNUC__) && defined(__x86_64__)
#include <immintrin.h>
#define HAVE_X86     1
#define HAVE_VECTORS 1
#elif defined(__GNUC__)
#define HAVE_VECTORS 1
#endif

#if defined(__GNUC__)
#define UNROLL _Pragma("GCC unroll 16")
#else
#define UNROLL
#endif

/*
 * EXP2_COEFFICIENTS: the Taylor polynomial of 2^f at 0, up to degree 20, made shorter one degree after
 * the other by a multiple of the Chebyshev polynomial T_n(2f), which is at most 1 for |f| <= 1/2; what
 * these multiples sum to is left out. The coefficients are rounded to nearest.
 */

/* Binary64: 0.03 units of 2^-53 are left out, 0.03 are the rounding of the first coefficient to 1. */
#define REAL          double
#define WORD          uint64_t
#define FRACTION_BITS 52
#define ROUND_MAGIC   0x1.8p52
#define EXP2_ZERO     (-1010.0)
#define EXP2_COEFFICIENTS                                                                          \
    0x1p+0, 0x1.62e42fefa39efp-1, 0x1.ebfbdff82c5aep-3, 0x1.c6b08d704a0d1p-5,                      \
        0x1.3b2ab6fb9f1a3p-7, 0x1.5d87fe78a2292p-10, 0x1.430913112cb56p-13, 0x1.ffcbfc75f302dp-17, \
        0x1.62bfc2c7ae40ep-20, 0x1.b524db38fd1f9p-24, 0x1.e6228bff026d1p-28, 0x1.ea044321bc0a6p-32

#if HAVE_X86
#define LANES        8
#define MR           8
#define LARGER(x, y) ((V)_mm512_max_pd((__m512d)(x), (__m512d)(y)))
#define NAME(x)      x##_f64_avx512
#define TARGET       __attribute__((target("avx512f,avx512dq,fma")))
#include "exact/kernel_body.h"

#define LANES   4
#define MR      4
#define NAME(x) x##_f64_avx2
#define TARGET  __attribute__((target("avx2,fma")))
#include "exact/kernel_body.h"
#endif

#if HAVE_VECTORS
#define LANES 2
#else
#define LANES 1
#endif
#define MR      4
#define NAME(x) x##_f64_portable
#define TARGET
#include "exact/kernel_body.h"

#undef REAL
#undef WORD
#undef FRACTION_BITS
#undef ROUND_MAGIC
#undef EXP2_ZERO
#undef EXP2_COEFFICIENTS

/* Binary32: 0.04 units of 2^-24 are left out. */
#define REAL          float
#define WORD          uint32_t
#define FRACTION_BITS 23
#define ROUND_MAGIC   0x1.8p23f
#define EXP2_ZERO     (-120.0f)
#define EXP2_COEFFICIENTS                                                                          \
    0x1p+0f, 0x1.62e430p-1f, 0x1.ebfbe0p-3f, 0x1.c6aeccp-5f, 0x1.3b29d8p-7f, 0x1.5f48c8p-10f,      \
        0x1.446c7ep-13f

#if HAVE_X86
#define LANES        16
#define MR           8
#define LARGER(x, y) ((V)_mm512_max_ps((__m512)(x), (__m512)(y)))
#define NAME(x)      x##_f32_avx512
#define TARGET       __attribute__((target("avx512f,avx512dq,fma")))
#include "exact/kernel_body.h"

#define LANES   8
#define MR      4
#define NAME(x) x##_f32_avx2
#define TARGET  __attribute__((target("avx2,fma")))
#include "exact/kernel_body.h"
#endif

#if HAVE_VECTORS
#define LANES 4
#else
#define LANES 1
#endif
#define MR      4
#define NAME(x) x##_f32_portable
#define TARGET
#include "exact/kernel_body.h"

#if HAVE_VECTORS
#define PORTABLE_F64_NR 6
#define PORTABLE_F32_NR 12
#else
#define PORTABLE_F64_NR 3
#define PORTABLE_F32_NR 3
#endif

#define ENTRY(type, set, mr, nr)                                                                   \
    {                                                                                              \
#set, mr, nr, gemm_##type##_##set, add_##type##_##set, scale_max_##type##_##set,           \
            exp2_sum_##type##_##set                                                                \
    }

/* Best first; how many of the first cannot run here is what skipped() says. */
static const vdit_kernel_f64 kernels_f64[] = {
#if HAVE_X86
    ENTRY(f64, avx512, 8, 24),
    ENTRY(f64, avx2, 4, 12),
#endif
    ENTRY(f64, portable, 4, PORTABLE_F64_NR),
};

static const vdit_kernel_f32 kernels_f32[] = {
#if HAVE_X86
    ENTRY(f32, avx512, 8, 48),
    ENTRY(f32, avx2, 4, 24),
#endif
    ENTRY(f32, portable, 4, PORTABLE_F32_NR),
};

static size_t skipped(void)
{
#if HAVE_X86
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
        return 0;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 1 : 2;
#else
    return 0;
#endif
}

const vdit_kernel_f64 *vdit_kernel_f64_at(size_t i)
{
    i += skipped();
    return i < sizeof kernels_f64 / sizeof *kernels_f64 ? &kernels_f64[i] : NULL;
}

const vdit_kernel_f32 *vdit_kernel_f32_at(size_t i)
{
    i += skipped();
    return i < sizeof kernels_f32 / sizeof *kernels_f32 ? &kernels_f32[i] : NULL;
}

size_t vdit_kernel_weight(size_t k, size_t count, size_t chunk)
{
    size_t at = k / chunk, start = at * chunk, chunks = (count + chunk - 1) / chunk;
    size_t steps = count - start < chunk ? count - start : chunk;

    return steps - (k - start) + chunks - (at > 0 ? at : 1);
}
