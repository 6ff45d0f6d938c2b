/*
 * exact/angle.h - sines and cosines of angles that are real numbers, rounded once (doc/numerics.md, 9.6).
 */
#ifndef VDIT_EXACT_ANGLE_H
#define VDIT_EXACT_ANGLE_H

#include "exact/mp.h"
#include "exact/pair.h"

/* Angles are below this. */
#define VDIT_ANGLE_LIMIT 0x1p30

/* Which of the two. */
typedef enum vdit_circular { VDIT_SINE, VDIT_COSINE } vdit_circular;

/*
 * Decides whether the sine or cosine of every real angle within error of a rounds to the same element of dtype.
 * Out: rounded, if so. In: |a| <= 2^30. Returns: 1 if settled, else 0.
 */
int vdit_angle_settle(double *rounded, vdit_dtype dtype, vdit_circular c, vdit_pair a,
                      double error);

/* Returns: the sine or cosine of a, rounded once into dtype; sin 0 is +0. In: |a| <= 2^30. */
double vdit_angle_round(vdit_dtype dtype, vdit_circular c, const vdit_mp *a);

/* A real number w that positions are multiplied by. */
typedef struct vdit_frequency {
    vdit_pair pair;  /* within 2^-104 of w, or 2^-1074 */
    vdit_mp precise; /* within 2^-170 of w; w itself if it has at most 64 bits */
} vdit_frequency;

/*
 * Out: w = base^(-j / (half - shift)). In: base > 0, shift < half, all finite. Beyond e^+-2048 it is taken as 2^+-4000,
 * what any product shows as well.
 */
void vdit_frequency_make(vdit_frequency *w, double base, size_t j, double half, double shift);

/*
 * Returns: the sine or cosine of t w, rounded once into dtype, as binary64: NaN for a t that is not finite, and for
 * t = 0 t itself or 1. In: |t w| < 2^30. Out: decided, the counters of the stages.
 */
double vdit_frequency_round(const vdit_frequency *w, double t, vdit_dtype dtype, vdit_circular c,
                            uint64_t decided[3]);

#endif
