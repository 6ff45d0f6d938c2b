/*
 * exact/simd.h - loops over lanes in plain C, compiled once per instruction set and chosen when they run.
 *
 * A body is VDIT_INLINE, its loops are marked VDIT_SIMD; one function per set calls it, with the suffix
 * _avx512, _avx2 or _portable and the target of that name, and VDIT_CHOOSE(name) is the one to call.
 */
#ifndef VDIT_EXACT_SIMD_H
#define VDIT_EXACT_SIMD_H

#if defined(__GNUC__)
#define VDIT_INLINE static inline __attribute__((always_inline))
#else
#define VDIT_INLINE static inline
#endif

#if defined(__clang__)
/* SIMD is a wish: a sanitizer's loops stay scalar */
#pragma clang diagnostic ignored "-Wpass-failed"
#endif

/* VDIT_SIMD_OR(x): the loop does x |= ... besides. */
#ifdef _OPENMP
#define VDIT_PRAGMA(text) _Pragma(#text)
#define VDIT_SIMD         VDIT_PRAGMA(omp simd)
#define VDIT_SIMD_OR(x)   VDIT_PRAGMA(omp simd reduction(| : x))
#else
#define VDIT_SIMD
#define VDIT_SIMD_OR(x)
#endif

#if defined(__GNUC__) && defined(__x86_64__)
#define VDIT_HAVE_X86      1
#define VDIT_TARGET_AVX512 __attribute__((target("avx512f,avx512dq,fma")))
#define VDIT_TARGET_AVX2   __attribute__((target("avx2,fma")))
#define VDIT_CHOOSE(name)                                                                          \
    (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") ? name##_avx512       \
     : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")       ? name##_avx2         \
                                                                             : name##_portable)
#else
#define VDIT_CHOOSE(name) name##_portable
#endif

#endif
