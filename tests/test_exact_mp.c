/* test_exact_mp.c - multi-precision arithmetic against MPFR with twice the bits. */
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

#define BITS  1024
#define BOUND (-186) /* log2 of the relative error that each operation promises */

static void to_mpfr(mpfr_t out, const vdit_mp *x)
{
    mpfr_set_zero(out, 1);
    for (int i = VDIT_MP_LIMBS - 1; i >= 0; i--) {
        mpfr_mul_2ui(out, out, 32, MPFR_RNDN);
        mpfr_add_ui(out, out, x->limb[i], MPFR_RNDN);
    }
    mpfr_mul_2si(out, out, (long)(x->exponent - VDIT_MP_BITS), MPFR_RNDN);
    if (x->sign < 0)
        mpfr_neg(out, out, MPFR_RNDN);
}

static void random_mp(oracle_random *random, vdit_mp *x, int low, int high)
{
    for (int i = 0; i < VDIT_MP_LIMBS; i++) {
        uint32_t kind = oracle_u32(random) & 7; /* runs of equal bits provoke carries */
        x->limb[i] = kind == 0 ? 0 : kind == 1 ? UINT32_MAX : oracle_u32(random);
    }
    x->limb[VDIT_MP_LIMBS - 1] |= UINT32_C(1) << 31;
    x->exponent = oracle_int(random, low, high);
    x->sign = (oracle_u32(random) & 1) != 0 ? -1 : 1;
}

/* Asserts that ours is well formed and within the promised relative error of real. */
static void assert_close(const vdit_mp *ours, const mpfr_t real)
{
    mpfr_t error;

    if (mpfr_zero_p(real)) {
        assert_int_equal(ours->sign, 0);
        return;
    }
    assert_int_equal(ours->sign, mpfr_sgn(real));
    assert_true(ours->limb[VDIT_MP_LIMBS - 1] >> 31 == 1);
    mpfr_init2(error, BITS);
    to_mpfr(error, ours);
    mpfr_sub(error, error, real, MPFR_RNDN);
    mpfr_div(error, error, real, MPFR_RNDN);
    if (!mpfr_zero_p(error) && mpfr_get_exp(error) > BOUND)
        print_error("relative error 2^%ld\n", (long)mpfr_get_exp(error));
    assert_true(mpfr_zero_p(error) || mpfr_get_exp(error) <= BOUND);
    mpfr_clear(error);
}

static void arithmetic_is_within_its_bound(void **state)
{
    oracle_random random = oracle_random_start("arithmetic_is_within_its_bound");
    mpfr_t x, y, real;
    vdit_mp a, b, c;

    (void)state;
    mpfr_inits2(BITS, x, y, real, (mpfr_ptr)0);
    for (int round = 0; round < 20000; round++) {
        int range = round % 2 ? 3 : 250; /* with 3, additions cancel */
        random_mp(&random, &a, -range, range);
        random_mp(&random, &b, -range, range);
        if (round % 5 == 0) /* equal but for the low limbs, in the sum too */
            memcpy(b.limb + 2, a.limb + 2, sizeof a.limb - 2 * sizeof *a.limb);
        to_mpfr(x, &a);
        to_mpfr(y, &b);
        mpfr_add(real, x, y, MPFR_RNDN);
        vdit_mp_add(&c, &a, &b);
        assert_close(&c, real);
        mpfr_sub(real, x, y, MPFR_RNDN);
        vdit_mp_sub(&c, &a, &b);
        assert_close(&c, real);
        mpfr_mul(real, x, y, MPFR_RNDN);
        vdit_mp_mul(&c, &a, &b);
        assert_close(&c, real);
        mpfr_div(real, x, y, MPFR_RNDN);
        vdit_mp_div(&c, &a, &b);
        assert_close(&c, real);
        assert_int_equal(vdit_mp_compare(&a, &b), mpfr_cmp(x, y) < 0 ? -1 : mpfr_cmp(x, y) > 0);
    }
    mpfr_clears(x, y, real, (mpfr_ptr)0);
}

static void zero_is_an_operand_like_any_other(void **state)
{
    vdit_mp zero, three, out;

    (void)state;
    vdit_mp_from_f64(&zero, -0.0);
    vdit_mp_from_f64(&three, 3.0);
    vdit_mp_add(&out, &zero, &three);
    assert_int_equal(vdit_mp_compare(&out, &three), 0);
    vdit_mp_sub(&out, &zero, &three);
    assert_true(vdit_mp_round(&out, VDIT_F64) == -3);
    vdit_mp_sub(&out, &three, &three);
    assert_int_equal(out.sign, 0);
    vdit_mp_add(&out, &zero, &zero);
    assert_int_equal(out.sign, 0);
    vdit_mp_mul(&out, &zero, &three);
    assert_int_equal(out.sign, 0);
    vdit_mp_div(&out, &zero, &three);
    assert_int_equal(out.sign, 0);
    assert_true(oracle_same(vdit_mp_round(&zero, VDIT_F32), 0.0));
    vdit_mp_exp(&out, &zero);
    assert_true(vdit_mp_round(&out, VDIT_F64) == 1);
    assert_int_equal(vdit_mp_compare(&zero, &three), -1);
    vdit_mp_neg(&out, &three);
    assert_int_equal(vdit_mp_compare(&out, &zero), -1);
    vdit_mp_abs(&out, &out);
    assert_int_equal(vdit_mp_compare(&out, &three), 0);
}

static void conversions_are_exact(void **state)
{
    oracle_random random = oracle_random_start("conversions_are_exact");

    (void)state;
    for (int round = 0; round < 2000; round++) {
        double value = oracle_number(&random, 53, -1022, 1023);
        vdit_mp x, y;
        vdit_acc a;
        if (round % 4 == 0)
            value = ldexp(1.0 + oracle_int(&random, 0, 1000), -1074); /* subnormal */
        vdit_mp_from_f64(&x, value);
        assert_true(vdit_mp_round(&x, VDIT_F64) == value);
        value = oracle_number(&random, 53, -459, 390);
        vdit_acc_zero(&a);
        vdit_acc_add(&a, value);
        vdit_mp_from_f64(&x, value);
        vdit_mp_from_acc(&y, &a);
        assert_int_equal(vdit_mp_compare(&x, &y), 0);
    }
}

/* Of all sizes, even and odd exponents; and squares. */
static void sqrt_is_within_its_bound(void **state)
{
    oracle_random random = oracle_random_start("sqrt_is_within_its_bound");
    mpfr_t x, real;
    vdit_mp a, b;

    (void)state;
    mpfr_inits2(BITS, x, real, (mpfr_ptr)0);
    for (int round = 0; round < 3000; round++) {
        random_mp(&random, &a, round % 2 ? -2000 : -2, round % 2 ? 2000 : 2);
        vdit_mp_abs(&a, &a);
        if (round % 3 == 0)
            vdit_mp_mul(&a, &a, &a);
        to_mpfr(x, &a);
        mpfr_sqrt(real, x, MPFR_RNDN);
        vdit_mp_sqrt(&b, &a);
        assert_close(&b, real);
    }
    vdit_mp_from_f64(&a, 0);
    vdit_mp_sqrt(&b, &a);
    assert_int_equal(b.sign, 0);
    mpfr_clears(x, real, (mpfr_ptr)0);
}

/* Arguments from 2^-300 to 2^30, both signs, and integers and their neighbours. */
static void exp_is_within_its_bound(void **state)
{
    oracle_random random = oracle_random_start("exp_is_within_its_bound");
    mpfr_t x, real;
    vdit_mp a, b;

    (void)state;
    mpfr_inits2(BITS, x, real, (mpfr_ptr)0);
    for (int round = 0; round < 3000; round++) {
        random_mp(&random, &a, round % 2 ? -300 : -12, round % 3 ? 12 : 30);
        if (round % 7 == 0)
            memset(a.limb, 0, (VDIT_MP_LIMBS - 1) * sizeof *a.limb);
        to_mpfr(x, &a);
        mpfr_exp(real, x, MPFR_RNDN);
        vdit_mp_exp(&b, &a);
        assert_close(&b, real);
    }
    mpfr_clears(x, real, (mpfr_ptr)0);
}

/* Multiples of ln 2 cut to 192 bits: the reduced argument is next to 0 or to ln 2. */
static void exp_is_within_its_bound_at_multiples_of_ln2(void **state)
{
    mpfr_t x, real;
    vdit_mp ln2, a, b;

    (void)state;
    mpfr_inits2(BITS, x, real, (mpfr_ptr)0);
    vdit_mp_from_limbs(&ln2, 1, vdit_fixed_ln2, VDIT_FIXED_LIMBS + 1, -256);
    for (int k = -3000; k <= 3000; k++) {
        vdit_mp_from_f64(&a, k * (k % 3 ? 1.0 : 238000.0));
        vdit_mp_mul(&a, &a, &ln2);
        if (k % 2 && k)
            a.limb[0] += (uint32_t)k;
        to_mpfr(x, &a);
        mpfr_exp(real, x, MPFR_RNDN);
        vdit_mp_exp(&b, &a);
        assert_close(&b, real);
    }
    mpfr_clears(x, real, (mpfr_ptr)0);
}

static void exp_is_zero_from_minus_2_to_the_30_down(void **state)
{
    vdit_mp x, y;

    (void)state;
    vdit_mp_from_f64(&x, -0x1p30);
    vdit_mp_exp(&y, &x);
    assert_int_equal(y.sign, 0);
    vdit_mp_from_f64(&x, -0x1.fffffffffffffp29);
    vdit_mp_exp(&y, &x);
    assert_int_equal(y.sign, 1);
}

/* Arguments of all sizes, next to 1 from 2^-1 to 2^-191, and next to powers of two. */
static void log_is_within_its_bound(void **state)
{
    oracle_random random = oracle_random_start("log_is_within_its_bound");
    mpfr_t x, real;
    vdit_mp a, b, one;

    (void)state;
    mpfr_inits2(BITS, x, real, (mpfr_ptr)0);
    vdit_mp_from_f64(&one, 1.0);
    for (int round = 0; round < 3000; round++) {
        random_mp(&random, &a, round % 2 ? -2000 : -3, round % 2 ? 2000 : 3);
        if (round % 3 == 0) {
            random_mp(&random, &a, -191, -1);
            vdit_mp_add(&a, &a, &one);
        }
        if (round % 9 == 0)
            a.exponent = oracle_int(&random, -100000000, 100000000);
        vdit_mp_abs(&a, &a);
        to_mpfr(x, &a);
        mpfr_log(real, x, MPFR_RNDN);
        vdit_mp_log(&b, &a);
        assert_close(&b, real);
    }
    mpfr_clears(x, real, (mpfr_ptr)0);
}

static void rounding_agrees_with_mpfr(void **state)
{
    static const vdit_dtype dtypes[] = {VDIT_F64, VDIT_F32, VDIT_BF16, VDIT_F16};
    static const int lowest[] = {-1080, -152, -136, -27}, highest[] = {1025, 129, 129, 17};
    oracle_random random = oracle_random_start("rounding_agrees_with_mpfr");
    mpfr_t real;
    vdit_mp x;

    (void)state;
    mpfr_init2(real, BITS);
    for (int round = 0; round < 20000; round++) {
        int i = round % 4, cut = oracle_int(&random, 0, 5);
        random_mp(&random, &x, lowest[i], highest[i]);
        if (round % 5 == 0) /* few bits: ties are common */
            memset(x.limb, 0, (size_t)cut * sizeof *x.limb);
        if (round % 15 == 0 && cut == 5)
            x.limb[5] &= UINT32_MAX << (31 - oracle_int(&random, 0, 12));
        to_mpfr(real, &x);
        assert_true(oracle_same(vdit_mp_round(&x, dtypes[i]), oracle_round(real, dtypes[i])));
    }
    mpfr_clear(real);
}

static void snapping_takes_the_nearest_multiple(void **state)
{
    oracle_random random = oracle_random_start("snapping_takes_the_nearest_multiple");
    mpfr_t real;
    vdit_mp x, y;

    (void)state;
    mpfr_init2(real, BITS);
    for (int round = 0; round < 20000; round++) {
        int exponent = oracle_int(&random, -220, 20);
        random_mp(&random, &x, -10, 10);
        if (round % 3 == 0)
            memset(x.limb, 0, 5 * sizeof *x.limb);
        if (round % 3 == 1)
            x.limb[5] = UINT32_C(1) << 31;
        y = x;
        to_mpfr(real, &x);
        mpfr_mul_2si(real, real, -exponent, MPFR_RNDN);
        mpfr_rint(real, real, MPFR_RNDN); /* to nearest, ties to even */
        mpfr_mul_2si(real, real, exponent, MPFR_RNDN);
        vdit_mp_snap(&y, exponent);
        if (mpfr_zero_p(real)) {
            assert_int_equal(y.sign, 0);
            continue;
        }
        mpfr_t ours;
        mpfr_init2(ours, BITS);
        to_mpfr(ours, &y);
        assert_true(mpfr_equal_p(ours, real));
        mpfr_clear(ours);
    }
    mpfr_clear(real);
}

static void constants_are_what_they_say(void **state)
{
    mpfr_t real, ours;

    (void)state;
    mpfr_inits2(BITS, real, ours, (mpfr_ptr)0);
    for (int n = 1; n <= VDIT_EXP_DEGREE; n++) {
        const uint32_t *limb = n == 1 ? vdit_fixed_ln2 : vdit_fixed_inverse_factorial[n - 2];
        int limbs = n == 1 ? VDIT_FIXED_LIMBS + 1 : VDIT_FIXED_LIMBS;
        mpfr_set_zero(ours, 1);
        for (int i = limbs - 1; i >= 0; i--) {
            mpfr_mul_2ui(ours, ours, 32, MPFR_RNDN);
            mpfr_add_ui(ours, ours, limb[i], MPFR_RNDN);
        }
        if (n == 1) {
            mpfr_const_log2(real, MPFR_RNDN);
        } else {
            mpfr_fac_ui(real, (unsigned long)n, MPFR_RNDN);
            mpfr_ui_div(real, 1, real, MPFR_RNDN);
        }
        mpfr_mul_2ui(real, real, 32 * (unsigned long)limbs, MPFR_RNDN);
        mpfr_floor(real, real);
        assert_true(mpfr_equal_p(real, ours));
    }
    mpfr_clears(real, ours, (mpfr_ptr)0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic_is_within_its_bound),
        cmocka_unit_test(zero_is_an_operand_like_any_other),
        cmocka_unit_test(conversions_are_exact),
        cmocka_unit_test(sqrt_is_within_its_bound),
        cmocka_unit_test(exp_is_within_its_bound),
        cmocka_unit_test(exp_is_within_its_bound_at_multiples_of_ln2),
        cmocka_unit_test(exp_is_zero_from_minus_2_to_the_30_down),
        cmocka_unit_test(log_is_within_its_bound),
        cmocka_unit_test(rounding_agrees_with_mpfr),
        cmocka_unit_test(snapping_takes_the_nearest_multiple),
        cmocka_unit_test(constants_are_what_they_say),
    };

    mpfr_set_emin(mpfr_get_emin_min()); /* e^(2^30) is beyond the default */
    mpfr_set_emax(mpfr_get_emax_max());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
