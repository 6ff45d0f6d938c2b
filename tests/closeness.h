/* closeness.h - for programs that try every f32 number: how close does a value come to a boundary? */
#ifndef TESTS_CLOSENESS_H
#define TESTS_CLOSENESS_H

#include "exact/mp.h"

/*
 * Returns: log2 of the distance of x, which is not 0, to the nearest boundary between two roundings into dtype, relative
 * to x and rounded up; 0 if it is not near one, INT64_MIN if it is one.
 */
int64_t closeness(const vdit_mp *x, vdit_dtype dtype);

#endif
