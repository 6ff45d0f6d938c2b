/* oracle.c - rounding by MPFR, random numbers by Philox. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vdit/random.h>
#include "oracle.h"

oracle_random oracle_random_start(const char *test)
{
    const char *text = getenv("VDIT_SEED");
    unsigned long seed = text != NULL ? strtoul(text, NULL, 10) : 1;
    oracle_random random = {0};

    random.key[0] = (uint32_t)seed;
    for (const char *c = test; *c != '\0'; c++)
        random.key[1] = random.key[1] * 31 + (unsigned char)*c;
    printf("# %s: rerun with VDIT_SEED=%lu\n", test, seed);
    return random;
}

uint32_t oracle_u32(oracle_random *random)
{
    if (random->left == 0) {
        uint32_t counter[4] = {(uint32_t)random->counter, (uint32_t)(random->counter >> 32), 0, 0};
        vdit_philox4x32_10(random->word, counter, random->key);
        random->counter++;
        random->left = 4;
    }
    return random->word[--random->left];
}

int oracle_int(oracle_random *random, int low, int high)
{
    return low + (int)(oracle_u32(random) % (uint32_t)(high - low + 1));
}

double oracle_number(oracle_random *random, int bits, int low, int high)
{
    uint64_t word = (uint64_t)oracle_u32(random) << 32 | oracle_u32(random);
    uint64_t significand = (word | UINT64_C(1) << 63) >> (64 - bits);
    double value = ldexp((double)significand, oracle_int(random, low, high) - bits + 1);

    return (oracle_u32(random) & 1) != 0 ? -value : value;
}

double oracle_normal(oracle_random *random, vdit_dtype dtype)
{
    double sum = 0;

    for (int i = 0; i < 12; i++) /* twelve uniform numbers have variance 1 together */
        sum += ldexp(oracle_u32(random), -32);
    return vdit_round_f64(dtype, sum - 6);
}

double oracle_round(const mpfr_t x, vdit_dtype dtype)
{
    static const struct {
        int precision, lowest, limit;
    } formats[] = {
        [VDIT_F64] = {53, -1074, 1024},
        [VDIT_F32] = {24, -149, 128},
        [VDIT_BF16] = {8, -133, 128},
        [VDIT_F16] = {11, -24, 16},
    };
    long bits;
    double value;
    mpfr_t rounded;

    if (mpfr_nan_p(x) || mpfr_inf_p(x))
        return mpfr_get_d(x, MPFR_RNDN);
    if (mpfr_zero_p(x))
        return 0.0;
    bits = mpfr_get_exp(x) - formats[dtype].lowest;
    if (bits > formats[dtype].precision)
        bits = formats[dtype].precision;
    if (bits < 1) { /* below the smallest number: that one, or 0 up to and with its half */
        value = ldexp(1.0, formats[dtype].lowest);
        mpfr_init2(rounded, 2);
        mpfr_set_ui_2exp(rounded, 1, formats[dtype].lowest - 1, MPFR_RNDN);
        value = mpfr_cmpabs(x, rounded) > 0 ? value : 0.0;
        mpfr_clear(rounded);
        return mpfr_signbit(x) ? -value : value;
    }
    mpfr_init2(rounded, bits);
    mpfr_set(rounded, x, MPFR_RNDN);
    value = fabs(mpfr_get_d(rounded, MPFR_RNDN));
    if (mpfr_get_exp(rounded) > formats[dtype].limit)
        value = HUGE_VAL;
    mpfr_clear(rounded);
    return mpfr_signbit(x) ? -value : value;
}

int oracle_same(double a, double b)
{
    return (a != a && b != b) || memcmp(&a, &b, sizeof a) == 0;
}
