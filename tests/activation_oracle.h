/* activation_oracle.h - for tests: the functions of vdit_activation by their formulas, in MPFR. */
#ifndef TESTS_ACTIVATION_ORACLE_H
#define TESTS_ACTIVATION_ORACLE_H

#include <vdit/op.h>
#include "oracle.h"

/* Returns: the function's name. */
const char *activation_oracle_name(vdit_activation f);

/* Out: real = f(z), within 2^20 units of its precision. In: z finite. */
void activation_oracle_real(mpfr_t real, vdit_activation f, const mpfr_t z);

/*
 * Out: rounded[d] = x f(z) rounded once into dtypes[d], as IEEE has it where x, z or f(z) is 0 or not finite.
 * In: dtypes[count]; x and z f32 numbers.
 */
void activation_oracle(double *rounded, vdit_activation f, const vdit_dtype *dtypes, int count,
                       double x, double z);

#endif
