/* test_golden_family.c - the input families: their bits, their statistics, their independence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "file/sha256.h"
#include "golden/case.h"

/* The shapes of tests/files/family_check.py. */
static vdit_case sample_case(vdit_operator op, const char *family, vdit_dtype dtype)
{
    static const int64_t lengths[] = {130, 101};
    vdit_case c = {.name = "sample", .op = op, .dtype = dtype, .seed = 7};

    c.family = vdit_family_find(family);
    assert_non_null(c.family);
    c.contract = vdit_contract_default(dtype);
    if (op == VDIT_OP_ATTENTION) {
        c.B = c.H = 2;
        c.Nq = 70;
        c.Nk = 130;
        c.d = 32;
        c.dv = 24;
        c.scale = 1 / sqrt(32.0);
        if (strcmp(family, "video") == 0) {
            c.tokens = (vdit_tokens){.frames = 3, .height = 5, .width = 8, .text = 10};
            c.tokens.text_first = 1;
            c.Nq = c.Nk;
        }
        if (strcmp(family, "needle") == 0 || strcmp(family, "offset") == 0 ||
            strcmp(family, "late-sink") == 0 || strcmp(family, "poison") == 0)
            c.key_length = lengths;
    } else if (op == VDIT_OP_LINEAR || op == VDIT_OP_MATMUL) {
        c.M = 9;
        c.K = 37;
        c.N = 21;
        c.bias = op == VDIT_OP_LINEAR;
    } else if (op == VDIT_OP_EXP || op == VDIT_OP_LOG) {
        c.N = 500;
    } else {
        c.M = 6;
        c.K = 4;
        c.N = 22;
        c.tokens = (vdit_tokens){.frames = 2, .height = 3, .width = 4};
    }
    return c;
}

/* Out: sum, over the bytes of q, k and v, or of the other operators' inputs, one after the other. */
static void sum_inputs(char sum[65], vdit_run *run, const vdit_case *c)
{
    size_t mark = vdit_run_mark(run), size = 0, used = 0;
    vdit_tensor flat;
    vdit_golden golden;

    assert_int_equal(vdit_golden_generate(run, &golden, c), VDIT_OK);
    for (size_t i = 0; i < golden.input_count; i++)
        if (golden.inputs[i].tensor.dtype == c->dtype)
            size += vdit_tensor_count(&golden.inputs[i].tensor);
    vdit_tensor_new(run, &flat, c->dtype, 1, &size);
    for (size_t i = 0; i < golden.input_count; i++)
        if (golden.inputs[i].tensor.dtype == c->dtype) {
            vdit_tensor_pack((char *)flat.data + used, &golden.inputs[i].tensor);
            used += vdit_tensor_count(&golden.inputs[i].tensor) * vdit_dtype_size(c->dtype);
        }
    vdit_tensor_sha256(sum, &flat);
    vdit_run_release(run, mark);
}

/* The sums were printed by tests/files/family_check.py, which shares no code with the library. */
static void every_family_has_the_bits_of_an_independent_implementation(void **state)
{
    char path[4096], op_name[16], family[32], dtype_name[8], expected[65], sum[65];
    const char *srcdir = getenv("srcdir");
    vdit_run *run = vdit_run_new();
    size_t lines = 0, bad = 0;
    FILE *file;

    (void)state;
    snprintf(path, sizeof path, "%s/tests/files/family_sums.txt", srcdir ? srcdir : ".");
    file = fopen(path, "r");
    assert_non_null(file);
    while (fscanf(file, "%15s %31s %7s %64s", op_name, family, dtype_name, expected) == 4) {
        vdit_operator op = VDIT_OP_ATTENTION;
        vdit_dtype dtype = VDIT_F32;
        vdit_case c;
        assert_true(vdit_operator_find(&op, op_name) && vdit_dtype_find(&dtype, dtype_name));
        c = sample_case(op, family, dtype);
        sum_inputs(sum, run, &c);
        if (strcmp(sum, expected) != 0) {
            print_error("%s %s %s: %s\n", op_name, family, dtype_name, sum);
            bad++;
        }
        lines++;
    }
    fclose(file);
    assert_int_equal(lines, 195);
    assert_int_equal(bad, 0);
    vdit_run_free(run);
}

static void every_family_of_the_table_is_in_the_sums(void **state)
{
    size_t pairs = 0;

    (void)state;
    for (size_t i = 0; vdit_family_at(i) != NULL; i++) {
        assert_ptr_equal(vdit_family_find(vdit_family_at(i)->name), vdit_family_at(i));
        for (int op = 0; op < VDIT_OPERATOR_COUNT; op++)
            pairs += vdit_family_at(i)->ops >> op & 1;
    }
    assert_int_equal(3 * pairs, 195);
    assert_null(vdit_family_find("gaussian"));
}

static void bits_do_not_depend_on_threads(void **state)
{
    static const int threads[] = {2, 7};
    vdit_case c = sample_case(VDIT_OP_ATTENTION, "needle", VDIT_BF16);
    vdit_run *run = vdit_run_new();
    char one[65], many[65];

    (void)state;
    vdit_run_set_threads(run, 1);
    sum_inputs(one, run, &c);
    for (size_t i = 0; i < 2; i++) {
        vdit_run_set_threads(run, threads[i]);
        sum_inputs(many, run, &c);
        assert_string_equal(one, many);
    }
    vdit_run_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_has_the_bits_of_an_independent_implementation),
        cmocka_unit_test(every_family_of_the_table_is_in_the_sums),
        cmocka_unit_test(bits_do_not_depend_on_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
