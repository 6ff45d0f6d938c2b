/*
 * test_captured.c - attention caught inside other people's models (data/captured): the reference gives
 * the bits that torch finds in binary64, and the judge accepts what torch's own kernel returned.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/judge.h>

/* All of data/captured. */
static const char *const fixtures[] = {
    "cogvideox-joint-f16", "cogvideox-joint",  "hunyuan-joint",
    "hunyuan-refiner",     "mochi-joint-bf16", "mochi-joint",
    "mochi-pool",          "wan-cross",        "wan-self",
};

#define FIXTURE_COUNT (sizeof fixtures / sizeof *fixtures)

/* One fixture as a golden that the reference has computed. */
typedef struct capture {
    vdit_run *run;
    vdit_file *file;
    vdit_golden golden;
} capture;

static void open_capture(capture *x, const char *name)
{
    static const char *const inputs[] = {"q", "k", "v", "mask"};
    const char *source = getenv("srcdir"), *scale;
    char path[1024];

    memset(x, 0, sizeof *x);
    x->run = vdit_run_new();
    snprintf(path, sizeof path, "%s/data/captured/%s.safetensors", source ? source : ".", name);
    if (vdit_file_open(x->run, &x->file, path) != VDIT_OK)
        fail_msg("%s", vdit_run_message(x->run));
    scale = vdit_file_meta(x->file, "scale");
    assert_non_null(scale);
    x->golden.name = name;
    x->golden.op = VDIT_OP_ATTENTION;
    x->golden.scale = strtod(scale, NULL);
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        const vdit_tensor *t = vdit_file_find(x->file, inputs[i]);
        if (t != NULL)
            x->golden.inputs[x->golden.input_count++] = (vdit_named){inputs[i], *t};
    }
    x->golden.contract = vdit_contract_default(x->golden.inputs[0].tensor.dtype);
    assert_int_equal(vdit_golden_compute(x->run, &x->golden), VDIT_OK);
}

static void close_capture(capture *x)
{
    vdit_file_close(x->file);
    vdit_run_free(x->run);
}

/* Judges a tensor as if a backend had returned it for o. */
static vdit_case_finding judge(const capture *x, const vdit_tensor *o)
{
    vdit_named actual = {"o", *o};
    vdit_case_finding finding;

    assert_int_equal(vdit_case_judge(x->run, &finding, &x->golden, NULL, &actual, 1), VDIT_OK);
    return finding;
}

static void the_reference_gives_the_bits_of_an_independent_computation(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIXTURE_COUNT; i++) {
        capture x;
        const vdit_tensor *o, *oracle;

        open_capture(&x, fixtures[i]);
        o = vdit_golden_find(&x.golden, "o");
        oracle = vdit_file_find(x.file, "o64");
        assert_int_equal(o->dtype, oracle->dtype);
        assert_int_equal(vdit_tensor_count(o), vdit_tensor_count(oracle));
        if (memcmp(o->data, oracle->data, vdit_tensor_count(o) * vdit_dtype_size(o->dtype)) != 0)
            fail_msg("%s: some bits are not those of o64", fixtures[i]);
        close_capture(&x);
    }
}

static void the_judge_accepts_what_torch_returned(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIXTURE_COUNT; i++) {
        capture x;
        vdit_case_finding finding;

        open_capture(&x, fixtures[i]);
        finding = judge(&x, vdit_file_find(x.file, "o"));
        if (finding.verdict != VDIT_HOLDS)
            fail_msg("%s: %s", fixtures[i], finding.reason);
        close_capture(&x);
    }
}

/* Out: copy, dense, of o in the run's memory with its first channel scaled by factor. */
static void scale_a_channel(vdit_run *run, vdit_tensor *copy, const vdit_tensor *o, double factor)
{
    size_t size = vdit_dtype_size(o->dtype), width = o->shape[o->rank - 1];

    assert_int_equal(vdit_tensor_new(run, copy, o->dtype, o->rank, o->shape), VDIT_OK);
    vdit_tensor_pack(copy->data, o);
    for (size_t i = 0; i < vdit_tensor_count(copy); i += width) {
        double value;
        vdit_load_f64(&value, 1, (char *)copy->data + i * size, 1, copy->dtype);
        vdit_store_f64((char *)copy->data + i * size, copy->dtype, factor * value);
    }
}

static void the_judge_rejects_a_channel_that_is_off_by_five_percent(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIXTURE_COUNT; i++) {
        capture x;
        vdit_tensor broken;

        open_capture(&x, fixtures[i]);
        scale_a_channel(x.run, &broken, vdit_file_find(x.file, "o"), 1.05);
        if (judge(&x, &broken).verdict != VDIT_FAILS)
            fail_msg("%s: a broken channel is accepted", fixtures[i]);
        close_capture(&x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_gives_the_bits_of_an_independent_computation),
        cmocka_unit_test(the_judge_accepts_what_torch_returned),
        cmocka_unit_test(the_judge_rejects_a_channel_that_is_off_by_five_percent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
