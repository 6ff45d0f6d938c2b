/* test_judge_case.c - cases, pairs and totals: when a verdict is one, and what could not have told. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "emulator.h"
#include "golden/judge.h"

#define ROWS  40
#define KEYS  96
#define WIDTH 16

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

static vdit_tensor view(void *data, vdit_dtype dtype, size_t rows, size_t width)
{
    size_t shape[2] = {rows, width};

    return vdit_tensor_view(data, dtype, 2, shape);
}

static emulator_bench small_case(vdit_run *run, const char *family)
{
    emulator_case c = {family, VDIT_BF16, ROWS, KEYS, WIDTH, 7};
    emulator_bench bench;

    emulator_make(run, &bench, &c);
    return bench;
}

static vdit_case_finding judge_outputs(vdit_run *run, const emulator_bench *bench,
                                       const vdit_tensor *o, const vdit_tensor *lse)
{
    vdit_named actual[2] = {{"o", {0}}, {"lse", {0}}};
    vdit_case_finding f;

    actual[0].tensor = *o;
    if (lse != NULL)
        actual[1].tensor = *lse;
    assert_int_equal(vdit_case_judge(run, &f, &bench->golden, NULL, actual, lse ? 2 : 1), VDIT_OK);
    return f;
}

static void the_log_sum_exp_is_judged_if_given(void **state)
{
    emulator_bench bench = small_case(*state, "normal");
    const vdit_tensor *o = &bench.golden.outputs[0].tensor;
    vdit_tensor lse = bench.golden.outputs[1].tensor;
    float values[ROWS];

    assert_int_equal(judge_outputs(*state, &bench, o, NULL).verdict, VDIT_HOLDS);
    assert_int_equal(judge_outputs(*state, &bench, o, &lse).verdict, VDIT_HOLDS);
    for (int i = 0; i < ROWS; i++) /* the logarithm to base 2 */
        values[i] = ((float *)lse.data)[i] * 1.442695F;
    lse.data = values;
    assert_int_equal(judge_outputs(*state, &bench, o, &lse).verdict, VDIT_FAILS);
    lse.shape[2] = ROWS - 1;
    assert_string_equal(judge_outputs(*state, &bench, o, &lse).reason,
                        "lse: shape [1, 1, 39, 1] instead of [1, 1, 40, 1]");
}

static void a_case_without_its_output_fails(void **state)
{
    emulator_bench bench = small_case(*state, "normal");
    vdit_case_finding f;

    assert_int_equal(vdit_case_judge(*state, &f, &bench.golden, NULL, NULL, 0), VDIT_OK);
    assert_int_equal(f.verdict, VDIT_FAILS);
    assert_string_equal(f.reason, "o: missing");
}

static void inputs_that_cannot_tell_are_inconclusive(void **state)
{
    emulator_bench bench = small_case(*state, "normal");
    vdit_tensor *o = &bench.golden.outputs[0].tensor, *sigma = &bench.golden.outputs[2].tensor;
    vdit_case_finding f;

    for (size_t i = 0; i < ROWS * WIDTH; i++) /* a tolerance that takes anything */
        vdit_store_f64((char *)sigma->data + 2 * i, VDIT_BF16, 1e6);
    f = judge_outputs(*state, &bench, o, NULL);
    assert_int_equal(f.verdict, VDIT_INCONCLUSIVE);
    assert_string_equal(f.reason, "0 would pass too");
}

static void the_mean_of_v_is_over_valid_keys(void **state)
{
    emulator_bench bench = small_case(*state, "uniform");
    size_t one = 1, shape[4] = {1, 1, ROWS, KEYS};
    int64_t length = KEYS - 10;
    vdit_golden *g = &bench.golden;
    vdit_tensor mean, mask;
    vdit_call call;
    int exact;

    g->inputs[g->input_count].name = "key_length";
    g->inputs[g->input_count++].tensor = vdit_tensor_view(&length, VDIT_I64, 1, &one);
    vdit_tensor_new(*state, &mask, VDIT_BOOL, 4, shape);
    for (size_t i = 0; i < ROWS * KEYS; i++)
        ((unsigned char *)mask.data)[i] = (i / KEYS + i % KEYS) % 3 == 0;
    g->inputs[g->input_count].name = "mask";
    g->inputs[g->input_count++].tensor = mask;
    vdit_store_f64((char *)g->inputs[2].tensor.data + 2 * WIDTH * (KEYS - 1), VDIT_BF16, NAN);
    assert_int_equal(vdit_call_read(*state, &call, g), VDIT_OK);
    vdit_call_mean(*state, &mean, &exact, &call, &g->outputs[0].tensor);
    assert_int_equal(vdit_run_status(*state), VDIT_OK);
    assert_false(exact);
    for (size_t i = 0; i < ROWS; i++) {
        double sum = 0, count = 0, got;
        size_t index[4] = {0, 0, i, 3};
        for (size_t j = 0; j < (size_t)length; j++)
            if ((i + j) % 3 == 0) {
                sum += bench.v[j * WIDTH + 3];
                count++;
            }
        vdit_load_f64(&got, 1, vdit_tensor_at(&mean, index), 0, VDIT_BF16);
        assert_true(got == vdit_round_f64(VDIT_BF16, sum / count));
    }
}

static void a_total_needs_a_case_that_could_tell(void **state)
{
    vdit_case_finding f;
    vdit_tally t = {0};

    (void)state;
    assert_int_equal(vdit_tally_verdict(&t), VDIT_INCONCLUSIVE); /* nothing judged */
    vdit_case_refuse(&f, "a", VDIT_OP_ATTENTION, vdit_contract_find("f32"), "why");
    assert_int_equal(f.verdict, VDIT_FAILS);
    f.verdict = VDIT_HOLDS;
    f.trivial = "0";
    vdit_tally_add(&t, &f, 0);
    assert_int_equal(vdit_tally_verdict(&t), VDIT_INCONCLUSIVE);
    f.trivial = NULL;
    vdit_tally_add(&t, &f, 0);
    assert_int_equal(vdit_tally_verdict(&t), VDIT_HOLDS);
    f.trivial = "0"; /* another contract needs a case of its own */
    f.contract = vdit_contract_find("bf16/f32acc");
    vdit_tally_add(&t, &f, 0);
    assert_int_equal(vdit_tally_verdict(&t), VDIT_INCONCLUSIVE);
    f.trivial = NULL;
    vdit_tally_add(&t, &f, 0);
    assert_int_equal(vdit_tally_verdict(&t), VDIT_HOLDS);
    f.verdict = VDIT_FAILS;
    vdit_tally_add(&t, &f, 1);
    assert_int_equal(vdit_tally_verdict(&t), VDIT_HOLDS);
    assert_true(t.hold == 4 && t.waived == 1);
    f.verdict = VDIT_INCONCLUSIVE;
    vdit_tally_add(&t, &f, 0);
    assert_int_equal(vdit_tally_verdict(&t), VDIT_INCONCLUSIVE);
    f.verdict = VDIT_FAILS;
    vdit_tally_add(&t, &f, 0);
    assert_int_equal(vdit_tally_verdict(&t), VDIT_FAILS);
}

static void a_guessed_sigma_accepts_a_step_here_and_there_and_no_5_percent(void **state)
{
    static const vdit_dtype dtypes[] = {VDIT_F64, VDIT_F32, VDIT_BF16, VDIT_F16};
    emulator_bench bench = small_case(*state, "normal");

    for (size_t d = 0; d < 4; d++) {
        double roundoff = vdit_dtype_roundoff(dtypes[d]), unit = 2 * roundoff;
        for (int step = 0; step < 2; step++) {
            vdit_tensor g, a;
            vdit_case_finding f;
            size_t shape[2] = {ROWS, WIDTH}, size = vdit_dtype_size(dtypes[d]);

            vdit_tensor_new(*state, &g, dtypes[d], 2, shape);
            vdit_tensor_new(*state, &a, dtypes[d], 2, shape);
            for (size_t i = 0; i < ROWS * WIDTH; i++) {
                double x = bench.v[i], off = step ? 0.05 : i % 5 ? 0 : i % 2 ? unit : -unit;
                vdit_store_f64((char *)g.data + i * size, dtypes[d], x);
                vdit_store_f64((char *)a.data + i * size, dtypes[d], x * (1 + off));
            }
            assert_int_equal(vdit_pair_judge(*state, &f, "t", &g, &a, NULL, NULL), VDIT_OK);
            assert_int_equal(f.verdict, step ? VDIT_FAILS : VDIT_HOLDS);
        }
    }
}

static void integers_and_zeros_are_judged_as_what_they_are(void **state)
{
    int64_t a[2] = {INT64_MAX, 1}, b[2] = {INT64_MAX - 1, 1}; /* equal as binary64 */
    float zeros[2] = {0, 0};
    vdit_tensor x = view(a, VDIT_I64, 1, 2), y = view(b, VDIT_I64, 1, 2),
                z = view(zeros, VDIT_F32, 1, 2);
    vdit_case_finding f;

    assert_int_equal(vdit_pair_judge(*state, &f, "t", &x, &x, NULL, NULL), VDIT_OK);
    assert_int_equal(f.verdict, VDIT_HOLDS);
    assert_int_equal(vdit_pair_judge(*state, &f, "t", &x, &y, NULL, NULL), VDIT_OK);
    assert_int_equal(f.verdict, VDIT_FAILS);
    assert_int_equal(vdit_pair_judge(*state, &f, "t", &z, &z, NULL, NULL), VDIT_OK);
    assert_string_equal(f.trivial, "0");
}

/* Allows a number of allocations, then none. */
static void *limited(void *left, size_t size)
{
    return (*(int *)left)-- > 0 ? malloc(size) : NULL;
}

static void a_lack_of_memory_is_reported_and_nothing_written(void **state)
{
    emulator_bench bench = small_case(*state, "normal");
    vdit_status status = VDIT_ERR_MEMORY;
    int failures = 0;

    for (int allowed = 0; status != VDIT_OK; allowed++) {
        vdit_run *run = vdit_run_new();
        vdit_case_finding f = {.row = 77};
        int left = allowed;

        vdit_run_set_allocator(run, limited, &left);
        status = vdit_case_judge(run, &f, &bench.golden, NULL, bench.golden.outputs, 2);
        assert_true(status == VDIT_OK || status == VDIT_ERR_MEMORY);
        assert_true(status == VDIT_OK || f.row == 77);
        failures += status != VDIT_OK;
        vdit_run_free(run);
    }
    assert_true(failures > 5);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_log_sum_exp_is_judged_if_given),
        TEST(a_case_without_its_output_fails),
        TEST(inputs_that_cannot_tell_are_inconclusive),
        TEST(the_mean_of_v_is_over_valid_keys),
        TEST(a_total_needs_a_case_that_could_tell),
        TEST(a_guessed_sigma_accepts_a_step_here_and_there_and_no_5_percent),
        TEST(integers_and_zeros_are_judged_as_what_they_are),
        TEST(a_lack_of_memory_is_reported_and_nothing_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
