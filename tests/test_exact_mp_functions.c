/* test_exact_mp_functions.c - multi-precision sin, cos, tanh, e^x - 1, 1 - erf x and ln(1 + d) against MPFR. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "exact/mp.h"
#include "exact/mp_constants.h"
#include "oracle.h"

#define BITS  1400
#define BOUND (-186) /* log2 of the relative error that most functions promise */

/* The integer limb[n], times 2^exponent. */
static void limbs_to_mpfr(mpfr_t out, const uint32_t *limb, int n, long exponent)
{
    mpfr_set_zero(out, 1);
    for (int i = n - 1; i >= 0; i--) {
        mpfr_mul_2ui(out, out, 32, MPFR_RNDN);
        mpfr_add_ui(out, out, limb[i], MPFR_RNDN);
    }
    mpfr_mul_2si(out, out, exponent, MPFR_RNDN);
}

static void to_mpfr(mpfr_t out, const vdit_mp *x)
{
    limbs_to_mpfr(out, x->limb, VDIT_MP_LIMBS, (long)(x->exponent - VDIT_MP_BITS));
    if (x->sign < 0)
        mpfr_neg(out, out, MPFR_RNDN);
}

static void random_mp(oracle_random *random, vdit_mp *x, int low, int high)
{
    for (int i = 0; i < VDIT_MP_LIMBS; i++) {
        uint32_t kind = oracle_u32(random) & 7;
        x->limb[i] = kind == 0 ? 0 : kind == 1 ? UINT32_MAX : oracle_u32(random);
    }
    x->limb[VDIT_MP_LIMBS - 1] |= UINT32_C(1) << 31;
    x->exponent = oracle_int(random, low, high);
    x->sign = (oracle_u32(random) & 1) != 0 ? -1 : 1;
}

/* Returns: log2 of the relative error of ours, rounded up; -1000 if there is none. */
static long error_of(const vdit_mp *ours, const mpfr_t real)
{
    mpfr_t error;
    long log;

    if (mpfr_zero_p(real))
        return ours->sign == 0 ? -1000 : 1000;
    mpfr_init2(error, BITS);
    to_mpfr(error, ours);
    mpfr_sub(error, error, real, MPFR_RNDN);
    mpfr_div(error, error, real, MPFR_RNDN);
    log = mpfr_zero_p(error) ? -1000 : (long)mpfr_get_exp(error);
    mpfr_clear(error);
    return log;
}

static int mpfr_erfc_exactly(mpfr_t out, const mpfr_t x, mpfr_rnd_t round)
{
    return mpfr_erfc(out, x, round);
}

static const struct {
    const char *name;
    void (*ours)(vdit_mp *, const vdit_mp *);
    int (*theirs)(mpfr_t, const mpfr_t, mpfr_rnd_t);
    int low, high; /* exponents of arguments */
    int rounds, positive;
    long bound;
} functions[] = {
    {"sin", vdit_mp_sin, mpfr_sin, -300, 30, 3000, 0, BOUND},
    {"sin", vdit_mp_sin, mpfr_sin, -3, 3, 3000, 0, BOUND},
    {"cos", vdit_mp_cos, mpfr_cos, -300, 30, 3000, 0, BOUND},
    {"cos", vdit_mp_cos, mpfr_cos, -3, 3, 3000, 0, BOUND},
    {"tanh", vdit_mp_tanh, mpfr_tanh, -300, 29, 1000, 0, BOUND},
    {"tanh", vdit_mp_tanh, mpfr_tanh, -5, 8, 3000, 0, BOUND},
    {"expm1", vdit_mp_expm1, mpfr_expm1, -300, 20, 1000, 0, BOUND},
    {"expm1", vdit_mp_expm1, mpfr_expm1, -3, 3, 3000, 0, BOUND},
    {"erfc", vdit_mp_erfc, mpfr_erfc_exactly, -300, 0, 1000, 0, BOUND},
    {"erfc", vdit_mp_erfc, mpfr_erfc_exactly, -3, 1, 1000, 0, BOUND + 1},
    {"erfc", vdit_mp_erfc, mpfr_erfc_exactly, 2, 2, 300, 0, BOUND + 4},
    {"erfc", vdit_mp_erfc, mpfr_erfc_exactly, 3, 3, 300, 0, BOUND + 6},
    {"log1p", vdit_mp_log1p, mpfr_log1p, -300, 2, 2000, 1, -170},
};

static void functions_are_within_their_bounds(void **state)
{
    oracle_random random = oracle_random_start("functions_are_within_their_bounds");
    mpfr_t x, real;
    vdit_mp a, b;

    (void)state;
    mpfr_inits2(BITS, x, real, (mpfr_ptr)0);
    for (size_t f = 0; f < sizeof functions / sizeof *functions; f++) {
        long most = -1000;
        for (int round = 0; round < functions[f].rounds; round++) {
            long error;
            random_mp(&random, &a, functions[f].low, functions[f].high);
            if (functions[f].positive)
                vdit_mp_abs(&a, &a);
            to_mpfr(x, &a);
            functions[f].theirs(real, x, MPFR_RNDN);
            functions[f].ours(&b, &a);
            error = error_of(&b, real);
            most = error > most ? error : most;
        }
        print_message("# %s: 2^%ld\n", functions[f].name, most);
        assert_true(most <= functions[f].bound);
    }
    mpfr_clears(x, real, (mpfr_ptr)0);
}

/* Numbers of 192 bits next to k pi/2: what is left is as small as 2^-192, and its sine is still right. */
static void angles_next_to_multiples_of_half_pi_keep_their_accuracy(void **state)
{
    oracle_random random =
        oracle_random_start("angles_next_to_multiples_of_half_pi_keep_their_accuracy");
    mpfr_t x, real, near;
    vdit_mp a, b;

    (void)state;
    mpfr_inits2(BITS, x, real, (mpfr_ptr)0);
    mpfr_init2(near, VDIT_MP_BITS);
    for (int round = 0; round < 2000; round++) {
        unsigned long k = oracle_u32(&random) >> (3 + round % 28);
        uint32_t limb[VDIT_MP_LIMBS];
        mpfr_const_pi(x, MPFR_RNDN);
        mpfr_mul_ui(x, x, k + 1, MPFR_RNDN);
        mpfr_div_2ui(x, x, 1, MPFR_RNDN);
        mpfr_set(near, x, MPFR_RNDN);
        if (mpfr_get_exp(near) > 30)
            continue;
        a.sign = 1;
        a.exponent = mpfr_get_exp(near);
        mpfr_mul_2si(x, near, VDIT_MP_BITS - (long)a.exponent, MPFR_RNDN);
        for (int i = 0; i < VDIT_MP_LIMBS; i++) { /* peel limbs off the integer */
            mpfr_div_2ui(real, x, 32, MPFR_RNDN);
            mpfr_floor(real, real);
            mpfr_mul_2ui(near, real, 32, MPFR_RNDN);
            mpfr_sub(near, x, near, MPFR_RNDN);
            limb[i] = (uint32_t)mpfr_get_ui(near, MPFR_RNDN);
            mpfr_set(x, real, MPFR_RNDN);
        }
        memcpy(a.limb, limb, sizeof limb);
        to_mpfr(x, &a);
        mpfr_sin(real, x, MPFR_RNDN);
        vdit_mp_sin(&b, &a);
        assert_true(error_of(&b, real) <= BOUND);
        mpfr_cos(real, x, MPFR_RNDN);
        vdit_mp_cos(&b, &a);
        assert_true(error_of(&b, real) <= BOUND);
    }
    mpfr_clears(x, real, near, (mpfr_ptr)0);
}

static void the_sine_of_a_small_angle_is_below_it(void **state)
{
    oracle_random random = oracle_random_start("the_sine_of_a_small_angle_is_below_it");
    vdit_mp a, b;

    (void)state;
    for (int round = 0; round < 2000; round++) {
        random_mp(&random, &a, -400, -1);
        if (round % 2 == 0)
            memset(a.limb, 0, 5 * sizeof *a.limb);
        vdit_mp_sin(&b, &a);
        vdit_mp_abs(&a, &a);
        vdit_mp_abs(&b, &b);
        assert_int_equal(vdit_mp_compare(&b, &a), -1);
    }
}

static void functions_of_zero_are_exact(void **state)
{
    vdit_mp zero, out;

    (void)state;
    vdit_mp_from_f64(&zero, 0.0);
    vdit_mp_sin(&out, &zero);
    assert_int_equal(out.sign, 0);
    vdit_mp_cos(&out, &zero);
    assert_true(vdit_mp_round(&out, VDIT_F64) == 1);
    vdit_mp_tanh(&out, &zero);
    assert_int_equal(out.sign, 0);
    vdit_mp_expm1(&out, &zero);
    assert_int_equal(out.sign, 0);
    vdit_mp_erfc(&out, &zero);
    assert_true(vdit_mp_round(&out, VDIT_F64) == 1);
    vdit_mp_log1p(&out, &zero);
    assert_int_equal(out.sign, 0);
}

static void constants_are_what_they_say(void **state)
{
    mpfr_t pi, real, ours;

    (void)state;
    mpfr_inits2(BITS, pi, real, ours, (mpfr_ptr)0);
    mpfr_const_pi(pi, MPFR_RNDN);
    limbs_to_mpfr(ours, vdit_wide_half_pi, VDIT_WIDE_LIMBS + 1, 0);
    mpfr_mul_2si(real, pi, 32 * VDIT_WIDE_LIMBS - 1, MPFR_RNDN);
    mpfr_floor(real, real);
    assert_true(mpfr_equal_p(real, ours));
    limbs_to_mpfr(ours, vdit_root_half, 6, 0);
    mpfr_set_d(real, 0.5, MPFR_RNDN);
    mpfr_sqrt(real, real, MPFR_RNDN);
    mpfr_mul_2ui(real, real, 192, MPFR_RNDN);
    mpfr_floor(real, real);
    assert_true(mpfr_equal_p(real, ours));
    limbs_to_mpfr(ours, vdit_root_two_over_pi, 6, 0);
    mpfr_ui_div(real, 2, pi, MPFR_RNDN);
    mpfr_sqrt(real, real, MPFR_RNDN);
    mpfr_mul_2ui(real, real, 192, MPFR_RNDN);
    mpfr_floor(real, real);
    assert_true(mpfr_equal_p(real, ours));
    mpfr_clears(pi, real, ours, (mpfr_ptr)0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_are_within_their_bounds),
        cmocka_unit_test(angles_next_to_multiples_of_half_pi_keep_their_accuracy),
        cmocka_unit_test(the_sine_of_a_small_angle_is_below_it),
        cmocka_unit_test(functions_of_zero_are_exact),
        cmocka_unit_test(constants_are_what_they_say),
    };

    mpfr_set_emin(mpfr_get_emin_min()); /* e^(2^20) is beyond the default */
    mpfr_set_emax(mpfr_get_emax_max());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
