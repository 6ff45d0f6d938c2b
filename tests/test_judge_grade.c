/* test_judge_grade.c - the strictest contract that a kernel keeps, and whether the inputs could tell. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "emulator.h"

#define ROWS  40
#define KEYS  256
#define WIDTH 32

static int set_up(void **state)
{
    *state = vdit_run_new();
    return *state == NULL;
}

static int tear_down(void **state)
{
    vdit_run_free(*state);
    return 0;
}

static size_t level_of(const char *name)
{
    size_t i = 0;

    while (strcmp(vdit_contract_at(i)->name, name) != 0)
        i++;
    return i;
}

/* A case of the family; the kernel's output, and no log-sum-exp. */
static vdit_grade grade(vdit_run *run, const char *family, vdit_dtype dtype,
                        const emulator_kernel *kernel)
{
    emulator_case c = {family, dtype, ROWS, KEYS, WIDTH, 11};
    vdit_named actual[2] = {{"o", {0}}, {"lse", {0}}};
    emulator_bench bench;
    vdit_grade g;

    emulator_make(run, &bench, &c);
    emulator_run(run, &actual[0].tensor, &actual[1].tensor, &bench, kernel);
    assert_int_equal(vdit_case_grade(run, &g, &bench.golden, actual, 1), VDIT_OK);
    return g;
}

static void each_kernel_keeps_the_contract_that_it_was_made_for(void **state)
{
    const struct {
        vdit_dtype dtype;
        emulator_kernel kernel;
        const char *contract;
    } kernels[] = {
        {VDIT_F32, {0}, "f32"},
        {VDIT_BF16, {0}, "bf16/f32acc"},
        {VDIT_F16, {0}, "f16/f32acc"},
        {VDIT_BF16, {.rounds_scores = 1, .is_two_pass = 1}, "bf16/bf16acc"},
    };

    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        vdit_grade g = grade(*state, "needle", kernels[i].dtype, &kernels[i].kernel);
        assert_int_equal(g.level, level_of(kernels[i].contract));
        assert_int_equal(g.finding.verdict, VDIT_HOLDS);
        assert_true(g.told >> g.level & 1);
    }
}

static void a_broken_kernel_keeps_none(void **state)
{
    emulator_kernel half = {.gain = 0.5};
    vdit_grade g = grade(*state, "normal", VDIT_BF16, &half);

    assert_true(g.level == VDIT_GRADE_NONE);
    assert_int_equal(g.finding.verdict, VDIT_FAILS);
    assert_string_equal(g.finding.contract->name, "fp8"); /* the weakest */
}

/* Without a query there is no logit to round: what differs in that alone looks the same. */
static void zero_queries_do_not_tell_how_logits_are_rounded(void **state)
{
    emulator_kernel plain = {0};
    vdit_grade uniform = grade(*state, "uniform", VDIT_BF16, &plain);
    vdit_grade needle = grade(*state, "needle", VDIT_BF16, &plain);
    uint32_t bit = UINT32_C(1) << level_of("bf16/f32acc");

    assert_int_equal(uniform.told & bit, 0);
    assert_int_equal(needle.told & bit, bit);
    assert_int_equal(uniform.told & 1, 0); /* the mean of V is right: exactness tells nothing */
}

static void a_contract_fits_the_dtypes_that_it_rounds_to(void **state)
{
    const vdit_contract *f32 = vdit_contract_find("f32"), *exact = vdit_contract_find("exact");

    (void)state;
    assert_true(vdit_contract_fits(f32, VDIT_F32) && !vdit_contract_fits(f32, VDIT_BF16));
    assert_true(vdit_contract_fits(exact, VDIT_F32) && vdit_contract_fits(exact, VDIT_F16));
    for (int d = VDIT_F32; d <= VDIT_F16; d++)
        assert_true(vdit_contract_fits(vdit_contract_default((vdit_dtype)d), (vdit_dtype)d));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_kernel_keeps_the_contract_that_it_was_made_for, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_broken_kernel_keeps_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(zero_queries_do_not_tell_how_logits_are_rounded, set_up,
                                        tear_down),
        cmocka_unit_test(a_contract_fits_the_dtypes_that_it_rounds_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
