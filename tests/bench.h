/*
 * bench.h - what the benches share: a clock, normal inputs, the median.
 */
#ifndef VDIT_TESTS_BENCH_H
#define VDIT_TESTS_BENCH_H

#include <vdit/tensor.h>

#define BENCH_THREADS 2

/* Returns: seconds on a clock that only goes forward. */
double bench_seconds(void);

/* Returns: a dense tensor of standard normal elements, a function of shape and seed. */
vdit_tensor bench_normal(vdit_run *run, vdit_dtype dtype, int rank, const size_t *shape,
                         uint32_t seed);

/* Returns: the median of n > 0 values, which it sorts. */
double bench_median(double *values, size_t n);

/* Ends the program with the run's message if the run has failed. */
void bench_require(const vdit_run *run);

#endif
