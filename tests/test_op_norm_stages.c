/*
 * test_op_norm_stages.c - norms with stages put out of action: the later ones give the same bits, and the bounds
 * of the first two hold against MPFR.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/op.h>
#include "norm_oracle.h"
#include "op/norm.h"

static int first_stage; /* those before it are out of action */

void __real_vdit_norm_estimate_set(vdit_norm_estimate *estimate, const vdit_norm *norm);
void __wrap_vdit_norm_estimate_set(vdit_norm_estimate *estimate, const vdit_norm *norm);
int __real_vdit_settle(double *rounded, vdit_dtype dtype, double high, double low, double error);
int __wrap_vdit_settle(double *rounded, vdit_dtype dtype, double high, double low, double error);

void __wrap_vdit_norm_estimate_set(vdit_norm_estimate *estimate, const vdit_norm *norm)
{
    __real_vdit_norm_estimate_set(estimate, norm);
    if (first_stage > 0)
        estimate->t_error = HUGE_VAL;
}

int __wrap_vdit_settle(double *rounded, vdit_dtype dtype, double high, double low, double error)
{
    return first_stage < 2 && __real_vdit_settle(rounded, dtype, high, low, error);
}

static void each_stage_alone_gives_the_same_bits(void **state)
{
    oracle_random random = oracle_random_start("each_stage_alone_gives_the_same_bits");
    static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};
    const size_t shape[] = {2, 4, 30};

    (void)state;
    for (int which = 0; which < 3; which++)
        for (int family = 0; family < OPERAND_FAMILIES; family++)
            for (int d = 0; d < 3; d++)
                for (first_stage = 1; first_stage <= 2; first_stage++) {
                    const vdit_dtype dtype[] = {VDIT_F32, VDIT_F32, VDIT_F32, dtypes[d]};
                    norm_scene s = {.centred = which != 1, .eps = d ? 1e-6 : 0, .with_w = 1};
                    vdit_run *run = vdit_run_new();
                    uint64_t *decided = vdit_run_counters(run)->norm;

                    s.groups = which == 2 ? 2 : 0;
                    s.with_b = which != 1;
                    norm_make(run, &s, &random, 3, shape, which == 2 ? 4 : 30, dtype,
                              (operand_family)family);
                    assert_int_equal(norm_call(run, &s), VDIT_OK);
                    assert_int_equal(norm_count_wrong(&s), 0);
                    assert_int_equal(decided[0] + decided[1] + decided[2], 240);
                    if (family == OPERAND_NORMAL)
                        assert_int_equal(decided[first_stage], 240);
                    vdit_run_free(run);
                }
    first_stage = 0;
}

/* The estimate must be of use: with ordinary numbers, all but few elements end there. */
static void ordinary_elements_end_at_the_first_stage(void **state)
{
    oracle_random random = oracle_random_start("ordinary_elements_end_at_the_first_stage");
    static const vdit_dtype dtype[] = {VDIT_F32, VDIT_F32, VDIT_F32, VDIT_F32};
    const size_t shape[] = {20, 1000};

    (void)state;
    for (int which = 0; which < 2; which++) {
        norm_scene s = {.centred = !which, .eps = 1e-6, .with_w = 1, .with_b = !which};
        vdit_run *run = vdit_run_new();

        norm_make(run, &s, &random, 2, shape, 1000, dtype, OPERAND_NORMAL);
        assert_int_equal(norm_call(run, &s), VDIT_OK);
        assert_true(vdit_run_counters(run)->norm[0] >= 20000 - 5);
        vdit_run_free(run);
    }
}

/* Returns: |real - (high + low)| as a part of the bound, for element x of the set, w = 1. */
static double part_of_bound(const norm_scene *s, const mpfr_t mean, const mpfr_t root, double x,
                            vdit_pair t, double bound)
{
    mpfr_t real;
    double part;

    (void)s;
    mpfr_init2(real, 1600);
    mpfr_d_sub(real, x, mean, MPFR_RNDN);
    mpfr_div(real, real, root, MPFR_RNDN);
    mpfr_sub_d(real, real, t.high, MPFR_RNDN);
    mpfr_sub_d(real, real, t.low, MPFR_RNDN);
    mpfr_div_d(real, real, bound, MPFR_RNDN);
    part = fabs(mpfr_get_d(real, MPFR_RNDA));
    mpfr_clear(real);
    return part;
}

/* Rows from well to badly conditioned: the mean is 2^power times the deviation. */
static void the_bound_of_the_estimate_holds(void **state)
{
    oracle_random random = oracle_random_start("the_bound_of_the_estimate_holds");
    enum { N = 600 };
    const size_t shape[] = {1, N};
    const ptrdiff_t origin = 0;
    double worst = 0;

    (void)state;
    for (int power = -3; power < 21; power++)
        for (int centred = 0; centred < 2; centred++) {
            norm_scene s = {.centred = centred, .eps = power % 2 ? 0 : 1e-6};
            vdit_run *run = vdit_run_new();
            vdit_norm norm = {.centred = centred, .eps = s.eps, .sets = 1, .runs = 1, .length = N};
            vdit_norm_estimate estimate;
            mpfr_t mean, root;

            operand_make(run, &s.x, VDIT_F32, 2, shape, OPERAND_NORMAL, &random);
            for (size_t i = 0; i < N; i++)
                operand_set(&s.x, i, operand_get(&s.x, i) + ldexp(1.1, power));
            norm.x = (vdit_lines){s.x.data, &origin, 1, VDIT_F32};
            vdit_norm_estimate_set(&estimate, &norm);
            mpfr_inits2(NORM_BITS, mean, root, (mpfr_ptr)0);
            norm_define(mean, root, &s, 0, N);
            for (size_t i = 0; i < N && estimate.t_error < HUGE_VAL; i++) {
                double x = operand_get(&s.x, i);
                vdit_pair t = {(x - estimate.mean) * estimate.scale, 0};
                double part = part_of_bound(&s, mean, root, x, t,
                                            estimate.t_error * fabs(t.high) + estimate.w_error);
                worst = part > worst ? part : worst;
            }
            mpfr_clears(mean, root, (mpfr_ptr)0);
            vdit_run_free(run);
        }
    print_message("# the estimate used %.3f of its bound\n", worst);
    assert_true(worst < 1);
    assert_true(worst > 0.01);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_stage_alone_gives_the_same_bits),
        cmocka_unit_test(ordinary_elements_end_at_the_first_stage),
        cmocka_unit_test(the_bound_of_the_estimate_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
