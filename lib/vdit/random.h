/*
 * vdit/random.h - the counter-based generator Philox4x32-10.
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 */
#ifndef VDIT_RANDOM_H
#define VDIT_RANDOM_H

#include <stdint.h>
#include <vdit/api.h>

/* Out: out[4], uniform 32-bit words. In: the counter and the key. Equal on every machine. */
VDIT_API void vdit_philox4x32_10(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

#endif
