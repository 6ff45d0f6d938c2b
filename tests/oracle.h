/*
 * oracle.h - for tests: MPFR as the judge of numbers, and random numbers that can be made again.
 *
 * The seed is 1 unless VDIT_SEED says otherwise; a failing random test prints it.
 */
#ifndef TESTS_ORACLE_H
#define TESTS_ORACLE_H

#include <stdint.h>
#include <mpfr.h>
#include <vdit/tensor.h>

/* A stream of random words: Philox4x32-10 with the seed as its key. */
typedef struct oracle_random {
    uint64_t counter;
    uint32_t key[2];
    uint32_t word[4];
    int left;
} oracle_random;

/* Returns: a stream that depends on the seed and on the name of the test, which it prints as TAP.
 */
oracle_random oracle_random_start(const char *test);

uint32_t oracle_u32(oracle_random *random);

/* Returns: an integer in low .. high. */
int oracle_int(oracle_random *random, int low, int high);

/* Returns: a number of the given bits of significand, random sign, exponent in low .. high. */
double oracle_number(oracle_random *random, int bits, int low, int high);

/* Returns: about normal with deviation 1, rounded to dtype. */
double oracle_normal(oracle_random *random, vdit_dtype dtype);

/* Returns: x rounded once to nearest-even in dtype. Zero gives +0. */
double oracle_round(const mpfr_t x, vdit_dtype dtype);

/* Returns: 1 if both have the same bits, or both are NaN. */
int oracle_same(double a, double b);

#endif
