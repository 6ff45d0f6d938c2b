/* vdit/api.h - which symbols the shared library shows. */
#ifndef VDIT_API_H
#define VDIT_API_H

#if defined(__GNUC__)
#define VDIT_API          __attribute__((visibility("default")))
#define VDIT_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define VDIT_API
#define VDIT_PRINTF(f, a)
#endif

#endif
