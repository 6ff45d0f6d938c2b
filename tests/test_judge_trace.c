/* test_judge_trace.c - traces of broken and of honest backends against that of the reference. */
#include "file_support.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <vdit/judge.h>
#include "toy_model.h"

static vdit_status no_bias(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                           const vdit_tensor *w, const vdit_tensor *b)
{
    (void)b;
    return vdit_linear(run, y, x, w, NULL);
}

/* Wrong by one part in 2^20, 16 roundings of f32: no element alone is far beyond the noise. */
static vdit_status gain(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, const vdit_tensor *w,
                        const vdit_tensor *b)
{
    vdit_status status = vdit_linear(run, y, x, w, b);

    for (size_t i = 0; status == VDIT_OK && i < vdit_tensor_count(y); i++)
        ((float *)y->data)[i] *= 1 + 0x1p-20f;
    return status;
}

static vdit_status one_nan(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                           const vdit_tensor *w, const vdit_tensor *b)
{
    vdit_status status = vdit_linear(run, y, x, w, b);

    ((float *)y->data)[5] = NAN;
    return status;
}

/* One element of many is off, by too little for the mean of all. */
static vdit_status one_element(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                               const vdit_tensor *w, const vdit_tensor *b)
{
    vdit_status status = vdit_linear(run, y, x, w, b);

    ((float *)y->data)[17] += 0x1p-19f;
    return status;
}

static vdit_status wrong_scale(vdit_run *run, const vdit_attention *a)
{
    vdit_attention other = *a;

    other.scale *= 1.01;
    return vdit_attention_reference(run, &other);
}

/* Only where keys are text. */
static vdit_status wrong_cross(vdit_run *run, const vdit_attention *a)
{
    return a->k->shape[2] == TOY_TEXT ? wrong_scale(run, a) : vdit_attention_reference(run, a);
}

static vdit_status f32_linear(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                              const vdit_tensor *w, const vdit_tensor *b)
{
    size_t outputs = w->shape[0], terms = w->shape[1], rows = vdit_tensor_count(x) / terms;

    (void)run;
    for (size_t i = 0; i < rows * outputs; i++) {
        const float *row = (const float *)x->data + i / outputs * terms;
        float sum = b != NULL ? ((const float *)b->data)[i % outputs] : 0;

        for (size_t k = 0; k < terms; k++)
            sum += row[k] * ((const float *)w->data)[i % outputs * terms + k];
        ((float *)y->data)[i] = sum;
    }
    return VDIT_OK;
}

#define SIZE sizeof(vdit_backend)

static const vdit_backend drops_bias = {.size = SIZE, .name = "drops-bias", .linear = no_bias};
static const vdit_backend has_gain = {.size = SIZE, .name = "gain", .linear = gain};
static const vdit_backend makes_nan = {.size = SIZE, .name = "nan", .linear = one_nan};
static const vdit_backend moves_one = {.size = SIZE, .name = "one", .linear = one_element};
static const vdit_backend scales = {.size = SIZE, .name = "scale", .attention = wrong_scale};
static const vdit_backend scales_cross = {.size = SIZE, .name = "cross", .attention = wrong_cross};
static const vdit_backend honest = {
    .size = SIZE, .name = "f32", .linear = f32_linear, .attention = vdit_attention_fast};

/* Writes the trace of a backend; with noise of a contract, of the reference. */
static void write_trace(toy *t, const char *path, const vdit_backend *backend, const char *contract)
{
    vdit_trace_request request;

    vdit_trace_request_init(&request, path);
    if (contract != NULL) {
        request.contract = contract;
        request.noise = &vdit_contract_find(contract)->noise;
    }
    t->call.backend = backend;
    if (vdit_model_trace(t->run, &t->model, &t->call, &request) != VDIT_OK)
        fail_msg("%s", vdit_run_message(t->run));
    t->call.backend = NULL;
}

static void judge(toy *t, vdit_trace_finding *f, const char *a, const char *b, const char *pattern)
{
    vdit_file *expected, *actual;

    assert_int_equal(vdit_file_open(t->run, &expected, a), VDIT_OK);
    assert_int_equal(vdit_file_open(t->run, &actual, b), VDIT_OK);
    assert_true(vdit_file_is_trace(expected));
    if (vdit_trace_judge(t->run, f, expected, actual, pattern, NULL) != VDIT_OK)
        fail_msg("%s", vdit_run_message(t->run));
    vdit_file_close(expected);
    vdit_file_close(actual);
}

static void the_first_module_of_a_broken_backend_is_named(void **state)
{
    static const struct {
        const vdit_backend *backend;
        const char *first, *text, *reason;
    } cases[] = {
        {&drops_bias, "in", "in, the first of all, diverges", "root mean square"},
        {&has_gain, "in", "in, the first of all", "root mean square"},
        {&makes_nan, "in", "in, the first of all", "1 of 96 elements are NaN"},
        {&moves_one, "in", "in, the first of all", "an element is off by"},
        {&scales, "blocks.0.attn1/o", "the attention itself, whose q, k and v agree", "root mean"},
        {&scales_cross, "blocks.0.attn2/o", "the attention itself, whose q, k and v agree",
         "root mean"},
    };
    vdit_trace_finding f;
    toy t;

    toy_open(&t, *state, 1, 3);
    write_trace(&t, "a.safetensors", NULL, "f32");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        write_trace(&t, "b.safetensors", cases[i].backend, NULL);
        judge(&t, &f, "a.safetensors", "b.safetensors", NULL);
        assert_int_equal(f.verdict, VDIT_FAILS);
        assert_string_equal(f.lines[f.first].name, cases[i].first);
        assert_non_null(strstr(f.text, cases[i].text));
        if (strstr(f.lines[f.first].reason, cases[i].reason) == NULL)
            fail_msg("%s: %s", cases[i].backend->name, f.lines[f.first].reason);
        assert_int_equal(f.first_unequal, f.first);
        for (size_t n = 0; n < f.first; n++)
            assert_true(f.lines[n].agrees);
        judge(&t, &f, "b.safetensors", "a.safetensors", NULL); /* the sigma of the second */
        assert_string_equal(f.lines[f.first].name, cases[i].first);
    }
    toy_close(&t);
}

static void honest_backends_agree(void **state)
{
    vdit_trace_finding f;
    toy t;

    for (uint32_t seed = 0; seed < 8; seed++) {
        toy_open(&t, *state, 1, seed);
        write_trace(&t, "a.safetensors", NULL, "f32");
        write_trace(&t, "b.safetensors", &honest, NULL);
        judge(&t, &f, "a.safetensors", "b.safetensors", NULL);
        if (f.verdict != VDIT_HOLDS)
            fail_msg("seed %u: %s", (unsigned)seed, f.text);
        assert_string_equal(f.noise, "f32");
        assert_int_equal(f.compared, f.count);
        for (size_t i = 0; i < f.count; i++)
            assert_true(f.lines[i].z < 4 && f.lines[i].z_peak < 4);
        toy_close(&t);
    }
}

static void bf16_of_a_policy_agrees_with_f32_under_its_contract_alone(void **state)
{
    vdit_trace_finding f;
    toy t;

    toy_open(&t, *state, 1, 3);
    write_trace(&t, "coarse.safetensors", NULL, "bf16/f32acc");
    write_trace(&t, "fine.safetensors", NULL, "f32");
    t.call.dtype = VDIT_BF16;
    write_trace(&t, "b.safetensors", NULL, NULL);
    judge(&t, &f, "coarse.safetensors", "b.safetensors", NULL);
    assert_int_equal(f.verdict, VDIT_HOLDS);
    judge(&t, &f, "fine.safetensors", "b.safetensors", NULL);
    assert_int_equal(f.verdict, VDIT_FAILS);
    assert_int_equal(f.first, 0);
    toy_close(&t);
}

static void without_sigma_what_agrees_is_inconclusive(void **state)
{
    vdit_trace_finding f;
    toy t;

    toy_open(&t, *state, 1, 3);
    write_trace(&t, "a.safetensors", NULL, NULL);
    judge(&t, &f, "a.safetensors", "a.safetensors", NULL);
    assert_int_equal(f.verdict, VDIT_HOLDS); /* equal bits need no yardstick */
    write_trace(&t, "b.safetensors", &honest, NULL);
    judge(&t, &f, "a.safetensors", "b.safetensors", NULL);
    assert_int_equal(f.verdict, VDIT_INCONCLUSIVE);
    assert_true(f.guessed);
    write_trace(&t, "b.safetensors", &scales, NULL);
    judge(&t, &f, "a.safetensors", "b.safetensors", NULL);
    assert_int_equal(f.verdict, VDIT_FAILS);
    assert_string_equal(f.lines[f.first].name, "blocks.0.attn1/o");
    toy_close(&t);
}

/* Copies a trace without some tensors, with one changed in shape; order may be NULL. */
static void write_part(toy *t, const char *from, const char *to, const char *without,
                       const char *reshaped, const char *order)
{
    const vdit_meta meta = {"order", order};
    vdit_named list[64];
    size_t count = 0;
    vdit_file *file;

    assert_int_equal(vdit_file_open(t->run, &file, from), VDIT_OK);
    for (size_t i = 0; i < vdit_file_count(file); i++) {
        const char *name = vdit_file_name(file, i);

        if (without != NULL && vdit_name_matches(without, name))
            continue;
        list[count] = (vdit_named){name, *vdit_file_tensor(file, i)};
        if (reshaped != NULL && strcmp(name, reshaped) == 0)
            list[count].tensor.shape[1]--;
        count++;
    }
    assert_int_equal(vdit_safetensors_write(t->run, to, list, count, &meta, order != NULL),
                     VDIT_OK);
    vdit_file_close(file);
}

static void what_is_missing_or_misshaped_is_told(void **state)
{
    vdit_file *expected, *actual;
    vdit_trace_finding f;
    toy t;

    toy_open(&t, *state, 1, 3);
    write_trace(&t, "a.safetensors", NULL, "f32");
    write_part(&t, "a.safetensors", "b.safetensors", "*attn1.to_k", NULL, "[]");
    judge(&t, &f, "a.safetensors", "b.safetensors", NULL);
    assert_int_equal(f.verdict, VDIT_INCONCLUSIVE);
    assert_int_equal(f.missing, 2);
    assert_int_equal(f.diverging, 0);
    judge(&t, &f, "b.safetensors", "a.safetensors", NULL);
    assert_int_equal(f.more, 2);
    judge(&t, &f, "a.safetensors", "b.safetensors", "*.to_?");
    assert_int_equal(f.count, 12);
    /* the operands of sites are libvdit's: another's dump has none of them */
    write_part(&t, "a.safetensors", "b.safetensors", "*/?", NULL, "[]");
    judge(&t, &f, "a.safetensors", "b.safetensors", NULL);
    assert_int_equal(f.verdict, VDIT_HOLDS);
    write_part(&t, "a.safetensors", "b.safetensors", "*/q", NULL, "[]");
    judge(&t, &f, "a.safetensors", "b.safetensors", NULL);
    assert_int_equal(f.verdict, VDIT_INCONCLUSIVE);
    write_part(&t, "a.safetensors", "b.safetensors", NULL, "blocks.0.attn2.to_q", "[]");
    judge(&t, &f, "a.safetensors", "b.safetensors", NULL);
    assert_int_equal(f.verdict, VDIT_FAILS);
    assert_string_equal(f.lines[f.first].name, "blocks.0.attn2.to_q");
    assert_string_equal(f.lines[f.first].reason, "its shape is [1, 11, 8], expected [1, 12, 8]");
    write_part(&t, "a.safetensors", "b.safetensors", "*", NULL, "[]");
    judge(&t, &f, "a.safetensors", "b.safetensors", NULL);
    assert_int_equal(f.verdict, VDIT_FAILS);
    assert_string_equal(f.text, "no activation is in both traces");
    write_part(&t, "a.safetensors", "b.safetensors", NULL, NULL, "[1]");
    assert_int_equal(vdit_file_open(*state, &expected, "b.safetensors"), VDIT_OK);
    assert_int_equal(vdit_file_open(*state, &actual, "a.safetensors"), VDIT_OK);
    assert_int_equal(vdit_trace_judge(*state, &f, expected, actual, NULL, NULL), VDIT_ERR_FORMAT);
    vdit_file_close(expected);
    vdit_file_close(actual);
    toy_close(&t);
}

static void order_is_that_of_execution_wherever_it_is_known(void **state)
{
    vdit_trace_finding f;
    toy t;

    toy_open(&t, *state, 1, 3);
    write_trace(&t, "a.safetensors", NULL, NULL);
    write_part(&t, "a.safetensors", "b.safetensors", NULL, NULL,
               "[\"out\",\"blocks.1.attn1/q\",\"in\"]");
    judge(&t, &f, "b.safetensors", "a.safetensors", NULL);
    assert_string_equal(f.lines[0].name, "out");
    assert_string_equal(f.lines[1].name, "blocks.1.attn1/q");
    assert_string_equal(f.lines[2].name, "in");
    assert_int_equal(f.count, f.compared); /* and those that the order leaves out */
    judge(&t, &f, "a.safetensors", "b.safetensors", NULL);
    assert_string_equal(f.lines[0].name, "in");
    toy_close(&t);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, file_setup, file_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_first_module_of_a_broken_backend_is_named),
        TEST(honest_backends_agree),
        TEST(bf16_of_a_policy_agrees_with_f32_under_its_contract_alone),
        TEST(without_sigma_what_agrees_is_inconclusive),
        TEST(what_is_missing_or_misshaped_is_told),
        TEST(order_is_that_of_execution_wherever_it_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
