/*
 * exact/draw.h - random numbers that are facts: functions of (seed, tensor, element) alone.
 *
 * Words come from Philox4x32-10 with the counter (element low, element high, tensor, attempt) and the
 * key (seed low, seed high). Everything after it is exact or rounded once by IEEE-754, so the same
 * numbers come out of any implementation that follows vdit-recipe(5).
 */
#ifndef VDIT_EXACT_DRAW_H
#define VDIT_EXACT_DRAW_H

#include <vdit/tensor.h>

/* The stream of one tensor of one case. */
typedef struct vdit_draw {
    uint64_t seed;
    uint32_t tensor;
} vdit_draw;

/* Returns: the first word of the element's first attempt. */
uint32_t vdit_draw_word(vdit_draw draw, uint64_t element);

/* Returns: a uniform number in [0,1), a multiple of 2^-24. */
double vdit_draw_uniform(vdit_draw draw, uint64_t element);

/* Returns: a normal number of mean 0 and variance 1, in binary64. */
double vdit_draw_normal(vdit_draw draw, uint64_t element);

/* Out: out[count], the numbers of the elements first, first + 1, ..., many at a time. */
void vdit_draw_normals(double *out, size_t count, vdit_draw draw, uint64_t first);

/* Returns: ln x rounded to f32. In: x positive, finite, an f32 value. */
double vdit_draw_log(double x);

#endif
