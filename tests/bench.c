/*
 * bench.c - what the benches share: a clock, normal inputs, the median.
 */
#include <config.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <vdit/random.h>
#include "bench.h"

double bench_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* One standard normal by Box and Muller, from the i-th block of the generator. */
static double normal(uint32_t seed, size_t i)
{
    const double two_pi = 6.283185307179586, unit = 0x1p-32;
    const uint32_t counter[4] = {(uint32_t)i, (uint32_t)((uint64_t)i >> 32), 0, 0};
    const uint32_t key[2] = {seed, 0};
    uint32_t word[4];

    vdit_philox4x32_10(word, counter, key);
    return sqrt(-2 * log((word[0] + 0.5) * unit)) * cos(two_pi * word[1] * unit);
}

vdit_tensor bench_normal(vdit_run *run, vdit_dtype dtype, int rank, const size_t *shape,
                         uint32_t seed)
{
    vdit_tensor t = {0};
    size_t size = vdit_dtype_size(dtype);

    vdit_tensor_new(run, &t, dtype, rank, shape);
    bench_require(run);
    for (size_t i = 0; i < vdit_tensor_count(&t); i++)
        vdit_store_f64((char *)t.data + i * size, dtype, normal(seed, i));
    return t;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare);
    return n % 2 != 0 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

void bench_require(const vdit_run *run)
{
    if (vdit_run_status(run) == VDIT_OK)
        return;
    fprintf(stderr, "bench: %s\n", vdit_run_message(run));
    exit(2);
}
