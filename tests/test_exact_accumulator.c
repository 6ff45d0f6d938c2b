/* test_exact_accumulator.c - the accumulator against MPFR with enough bits to be exact. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "exact/accumulator.h"
#include "oracle.h"

#define BITS 1200 /* from 2^-512 to 2^448 and room */

static const vdit_dtype dtypes[] = {VDIT_F64, VDIT_F32, VDIT_BF16, VDIT_F16};

/* Both have the same value: the difference of the accumulator and the real sum is 0 in each dtype.
 */
static void assert_rounds_like(const vdit_acc *a, const mpfr_t real)
{
    assert_int_equal(vdit_acc_sign(a), mpfr_sgn(real));
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        double ours = vdit_acc_round(a, dtypes[i]), theirs = oracle_round(real, dtypes[i]);
        if (!oracle_same(ours, theirs))
            print_error("%s: %a expected %a\n", vdit_dtype_name(dtypes[i]), ours, theirs);
        assert_true(oracle_same(ours, theirs));
    }
}

static void sums_of_numbers_and_products_are_exact(void **state)
{
    oracle_random random = oracle_random_start("sums_of_numbers_and_products_are_exact");
    mpfr_t real, term;

    (void)state;
    mpfr_init2(real, BITS);
    mpfr_init2(term, BITS);
    for (int round = 0; round < 300; round++) {
        int spread = oracle_int(&random, 0, 230);
        vdit_acc a;
        vdit_acc_zero(&a);
        mpfr_set_zero(real, 1);
        for (int i = 0; i < 50; i++) {
            double x = oracle_number(&random, 53, -200 + spread / 2, -200 + spread);
            double y = oracle_number(&random, 53, -200 + spread / 2, -200 + spread);
            vdit_acc_add(&a, x);
            vdit_acc_add_product(&a, x, y);
            mpfr_add_d(real, real, x, MPFR_RNDN);
            mpfr_set_d(term, x, MPFR_RNDN);
            mpfr_mul_d(term, term, y, MPFR_RNDN);
            mpfr_add(real, real, term, MPFR_RNDN);
        }
        assert_rounds_like(&a, real);
    }
    mpfr_clears(real, term, (mpfr_ptr)0);
}

static void what_is_added_and_subtracted_leaves_exactly_zero(void **state)
{
    oracle_random random = oracle_random_start("what_is_added_and_subtracted_leaves_exactly_zero");
    vdit_acc a, b;
    double x[64];

    (void)state;
    for (int round = 0; round < 100; round++) {
        vdit_acc_zero(&a);
        for (int i = 0; i < 64; i++)
            vdit_acc_add(&a, x[i] = oracle_number(&random, 53, -400, 390));
        b = a;
        for (int i = 0; i < 63; i++)
            vdit_acc_add(&a, -x[i]);
        assert_int_equal(vdit_acc_sign(&a), x[63] < 0 ? -1 : 1);
        assert_true(vdit_acc_round(&a, VDIT_F64) == x[63]);
        vdit_acc_add(&a, -x[63]);
        assert_int_equal(vdit_acc_sign(&a), 0);
        assert_true(oracle_same(vdit_acc_round(&a, VDIT_F32), 0.0));
        vdit_acc_sub(&b, &b);
        assert_int_equal(vdit_acc_sign(&b), 0);
    }
}

static void halfway_cases_go_to_even_and_a_hair_decides(void **state)
{
    static const struct {
        vdit_dtype dtype;
        double ulp;
    } cases[] = {
        {VDIT_F32, 0x1p-23}, {VDIT_BF16, 0x1p-7}, {VDIT_F16, 0x1p-10}, {VDIT_F64, 0x1p-52}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double ulp = cases[i].ulp;
        for (int hair = -1; hair <= 1; hair++) {
            vdit_acc a;
            vdit_acc_zero(&a);
            vdit_acc_add(&a, 1.0);
            vdit_acc_add(&a, ulp / 2);
            vdit_acc_add(&a, hair * 0x1p-512);
            assert_true(vdit_acc_round(&a, cases[i].dtype) == (hair > 0 ? 1 + ulp : 1));
            vdit_acc_add(&a, ulp);
            assert_true(vdit_acc_round(&a, cases[i].dtype) == (hair < 0 ? 1 + ulp : 1 + 2 * ulp));
        }
    }
}

static void ends_of_the_formats_round_as_ieee_says(void **state)
{
    static const struct {
        vdit_dtype dtype;
        double smallest, past; /* the smallest subnormal, the power of two past the largest */
        double half_ulp;       /* of the largest */
    } cases[] = {{VDIT_F32, 0x1p-149, 0x1p128, 0x1p103},
                 {VDIT_BF16, 0x1p-133, 0x1p128, 0x1p119},
                 {VDIT_F16, 0x1p-24, 0x1p16, 0x1p4}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vdit_acc a;
        vdit_acc_zero(&a);
        vdit_acc_add(&a, -cases[i].smallest / 2);
        assert_true(oracle_same(vdit_acc_round(&a, cases[i].dtype), -0.0));
        vdit_acc_add(&a, -0x1p-512);
        assert_true(vdit_acc_round(&a, cases[i].dtype) == -cases[i].smallest);
        vdit_acc_zero(&a);
        vdit_acc_add(&a, cases[i].past);
        vdit_acc_add(&a, -cases[i].half_ulp);
        assert_true(vdit_acc_round(&a, cases[i].dtype) == HUGE_VAL);
        vdit_acc_add(&a, -0x1p-512);
        assert_true(vdit_acc_round(&a, cases[i].dtype) == cases[i].past - 2 * cases[i].half_ulp);
    }
}

static void scaling_is_exact(void **state)
{
    oracle_random random = oracle_random_start("scaling_is_exact");
    mpfr_t real, sum;

    (void)state;
    mpfr_init2(real, BITS);
    mpfr_init2(sum, BITS);
    for (int round = 0; round < 300; round++) {
        double scale = oracle_number(&random, 53, -126, 126);
        vdit_acc in, out;
        vdit_acc_zero(&in);
        vdit_acc_zero(&out);
        mpfr_set_zero(sum, 1);
        for (int i = 0; i < 20; i++) {
            double x = oracle_number(&random, 48, -250, 255);
            vdit_acc_add(&in, x);
            mpfr_add_d(sum, sum, x, MPFR_RNDN);
        }
        mpfr_mul_d(real, sum, scale, MPFR_RNDN);
        mpfr_add_d(real, real, 1.5, MPFR_RNDN);
        vdit_acc_add(&out, 1.5);
        vdit_acc_add_scaled(&out, &in, scale);
        assert_rounds_like(&out, real);
        vdit_acc_add_scaled(&out, &in, -scale);
        assert_true(vdit_acc_round(&out, VDIT_F64) == 1.5);
    }
    mpfr_clears(real, sum, (mpfr_ptr)0);
}

/* More additions than a limb could take without a normalisation on the way would take too long to
 * run: the counter is set forward instead, to just before it. */
static void deferred_carries_are_taken_in_time(void **state)
{
    vdit_acc a;

    (void)state;
    vdit_acc_zero(&a);
    a.pending = (UINT32_C(1) << 30) - 2;
    for (int i = 0; i < VDIT_ACC_LIMBS - 2; i++)
        a.limb[i] = (int64_t)a.pending << 32;
    vdit_acc_add(&a, 0x1p-512);
    assert_int_equal(a.pending, (UINT32_C(1) << 30) - 1);
    vdit_acc_add(&a, 0x1p-512);
    assert_int_equal(a.pending, 0);
    for (int i = 0; i < VDIT_ACC_LIMBS - 1; i++)
        assert_in_range(a.limb[i], 0, UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_numbers_and_products_are_exact),
        cmocka_unit_test(what_is_added_and_subtracted_leaves_exactly_zero),
        cmocka_unit_test(halfway_cases_go_to_even_and_a_hair_decides),
        cmocka_unit_test(ends_of_the_formats_round_as_ieee_says),
        cmocka_unit_test(scaling_is_exact),
        cmocka_unit_test(deferred_carries_are_taken_in_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
