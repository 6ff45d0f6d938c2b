/* vdit/api.h - which symbols the shared library shows. */
#ifndef VDIT_API_H
#define VDIT_API_H

/* C++ programs and plugins (CUDA is C++) call by C's names. */
#if defined(__cplusplus)
#define VDIT_C extern "C"
#else
#define VDIT_C
#endif

#if defined(__GNUC__)
#define VDIT_API          VDIT_C __attribute__((visibility("default")))
#define VDIT_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define VDIT_API VDIT_C
#define VDIT_PRINTF(f, a)
#endif

#endif
