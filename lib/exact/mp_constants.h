/*
 * exact/mp_constants.h - the constants of the multi-precision functions, as limbs below the point.
 */
#ifndef VDIT_EXACT_MP_CONSTANTS_H
#define VDIT_EXACT_MP_CONSTANTS_H

#include <stdint.h>

#define VDIT_FIXED_LIMBS 7  /* fixed-point fractions: 224 bits */
#define VDIT_EXP_DEGREE  16 /* of the Taylor polynomial of e^x */
#define VDIT_WIDE_LIMBS  14 /* 448 bits, for the reduction of angles */

/* floor(2^256 ln 2) */
extern const uint32_t vdit_fixed_ln2[VDIT_FIXED_LIMBS + 1];

/* [n - 2] is floor(2^224 / n!), n = 2 .. 16 */
extern const uint32_t vdit_fixed_inverse_factorial[VDIT_EXP_DEGREE - 1][VDIT_FIXED_LIMBS];

/* floor(2^448 pi/2), with a limb above the point */
extern const uint32_t vdit_wide_half_pi[VDIT_WIDE_LIMBS + 1];

/* floor(2^192 sqrt(1/2)) and floor(2^192 sqrt(2/pi)) */
extern const uint32_t vdit_root_half[6];
extern const uint32_t vdit_root_two_over_pi[6];

#endif
