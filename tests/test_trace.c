/* test_trace.c - trace files: what is in them, that they may be a source run, and where NaN comes from. */
#include "file_support.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toy_model.h"

static const vdit_noise f32_noise = {0x1p-23, 0, 0x1p-21, 0x1p-24, 0x1p-133, 0x1p-24};

/* Writes a trace; patterns end with NULL. */
static vdit_status write_trace(toy *t, const char *path, const char *const *patterns,
                               const vdit_noise *noise)
{
    vdit_trace_request request;

    vdit_trace_request_init(&request, path);
    request.patterns = patterns;
    while (patterns != NULL && patterns[request.pattern_count] != NULL)
        request.pattern_count++;
    request.noise = noise;
    request.contract = "f32";
    return vdit_model_trace(t->run, &t->model, &t->call, &request);
}

static vdit_file *open_file(toy *t, const char *path)
{
    vdit_file *file;

    if (vdit_file_open(t->run, &file, path) != VDIT_OK)
        fail_msg("%s", vdit_run_message(t->run));
    return file;
}

static void a_trace_holds_the_activations_in_the_order_of_execution(void **state)
{
    toy_trace trace;
    vdit_file *file;
    const char *at;
    toy t;

    toy_open(&t, *state, 2, 3);
    toy_run(&t, &trace);
    assert_int_equal(write_trace(&t, "all.safetensors", NULL, NULL), VDIT_OK);
    file = open_file(&t, "all.safetensors");
    assert_int_equal(vdit_file_count(file), trace.count);
    at = vdit_file_meta(file, "order");
    assert_non_null(at);
    for (size_t i = 0; i < trace.count; i++) {
        const vdit_tensor *expected = &trace.list[i].tensor;
        const vdit_tensor *found = vdit_file_find(file, trace.list[i].name);

        assert_non_null(found);
        assert_int_equal(found->rank, expected->rank);
        assert_memory_equal(found->shape, expected->shape, (size_t)found->rank * sizeof(size_t));
        assert_memory_equal(found->data, expected->data, vdit_tensor_count(found) * 4);
        at = strstr(at, trace.list[i].name);
        assert_non_null(at);
    }
    assert_string_equal(vdit_file_meta(file, "format"), "vdit-trace/1");
    assert_string_equal(vdit_file_meta(file, "model"), "toy");
    assert_string_equal(vdit_file_meta(file, "dtype"), "f32");
    assert_string_equal(vdit_file_meta(file, "backend"), "reference");
    assert_null(vdit_file_meta(file, "sigma"));
    vdit_file_close(file);
    vdit_run_free(trace.run);
    toy_close(&t);
}

static void patterns_choose_what_is_written(void **state)
{
    static const char *const some[] = {"blocks.0.attn?/q", "out", NULL};
    static const char *const none[] = {"out", "bloks*", NULL};
    vdit_model_survey survey;
    vdit_trace_request request;
    const vdit_extents size = {1, 2, 2, 3, TOY_TEXT};
    vdit_file *file;
    toy t;

    toy_open(&t, *state, 1, 3);
    assert_int_equal(write_trace(&t, "some.safetensors", some, NULL), VDIT_OK);
    file = open_file(&t, "some.safetensors");
    assert_int_equal(vdit_file_count(file), 3);
    assert_string_equal(vdit_file_meta(file, "order"),
                        "[\"blocks.0.attn1/q\",\"blocks.0.attn2/q\",\"out\"]");
    vdit_file_close(file);
    assert_int_equal(vdit_model_survey_of(*state, &t.model, &size, VDIT_F32, &survey), VDIT_OK);
    vdit_trace_request_init(&request, "x");
    request.patterns = some;
    request.pattern_count = 2;
    assert_true(vdit_trace_bytes(&survey, &request) == 4 * (2 * 12 * 8 + 12 * 4));
    assert_int_equal(write_trace(&t, "none.safetensors", none, NULL), VDIT_ERR_ARGUMENT);
    assert_string_equal(vdit_run_message(*state), "no activation has a name that fits 'bloks*'");
    vdit_run_clear(*state);
    assert_files(2); /* the weights and the first trace */
    toy_close(&t);
}

static void a_trace_that_fails_leaves_no_file(void **state)
{
    toy t;

    toy_open(&t, *state, 1, 3);
    toy_plan(&t, "L1 K=cross: transfer qk");
    assert_int_equal(write_trace(&t, "t.safetensors", NULL, NULL), VDIT_ERR_ARGUMENT);
    vdit_run_clear(*state);
    t.call.plan = NULL;
    assert_int_equal(write_trace(&t, "absent/t.safetensors", NULL, NULL), VDIT_ERR_IO);
    vdit_run_clear(*state);
    assert_int_equal(write_trace(&t, "/dev/null", NULL, NULL), VDIT_ERR_UNSUPPORTED);
    vdit_run_clear(*state);
    t.call.timestep = NULL;
    assert_int_equal(write_trace(&t, "t.safetensors", NULL, NULL), VDIT_ERR_ARGUMENT);
    assert_files(1);
    toy_close(&t);
}

static void a_trace_may_be_the_source_of_another_run(void **state)
{
    static const char *const operands[] = {"*/q", "*/k", NULL};
    vdit_trace_source_state source = {*state, NULL, "t.safetensors"};
    toy_trace plain, edited;
    vdit_file *file;
    toy t;

    toy_open(&t, *state, 2, 3);
    toy_run(&t, &plain);
    assert_int_equal(write_trace(&t, "t.safetensors", operands, NULL), VDIT_OK);
    source.file = file = open_file(&t, "t.safetensors");
    t.call.source = vdit_trace_source;
    t.call.source_state = &source;
    toy_plan(&t, "transfer qk");
    toy_run(&t, &edited);
    assert_true(toy_same(&plain, &edited, "out", -1));
    toy_plan(&t, "L1: transfer v");
    assert_int_equal(vdit_model_forward(*state, &t.model, &t.call), VDIT_ERR_FORMAT);
    assert_string_equal(vdit_run_message(*state),
                        "blocks.1.attn1: t.safetensors: tensor \"blocks.1.attn1/v\" is missing, "
                        "which the plan takes");
    vdit_run_clear(*state);
    vdit_file_close(file);
    vdit_run_free(plain.run);
    vdit_run_free(edited.run);
    toy_close(&t);
}

/* Returns: the n-th number of a name in the metadata "sigma". */
static double number_of(const char *sigma, const char *name, int n)
{
    char key[80];
    const char *at;

    snprintf(key, sizeof key, "\"%s\":[", name);
    at = strstr(sigma, key);
    assert_non_null(at);
    at += strlen(key);
    return strtod(n == 0 ? at : strchr(at, ',') + 1, NULL);
}

static void sigma_is_the_distance_of_shadow_runs(void **state)
{
    toy_trace plain, shadow;
    double squares = 0, peak = 0;
    vdit_file *file;
    const char *sigma;
    toy t;

    toy_open(&t, *state, 1, 3);
    toy_run(&t, &plain);
    t.call.noise = &f32_noise;
    for (uint32_t seed = 0; seed < 3; seed++) {
        const float *x = toy_find(&plain, "out")->data, *y;

        t.call.noise_seed = seed;
        toy_run(&t, &shadow);
        y = toy_find(&shadow, "out")->data;
        for (size_t i = 0; i < 48; i++) {
            double d = fabs((double)x[i] - (double)y[i]);
            squares += d * d;
            peak = fmax(peak, d);
        }
        vdit_run_free(shadow.run);
    }
    t.call.noise = NULL;
    assert_int_equal(write_trace(&t, "t.safetensors", NULL, &f32_noise), VDIT_OK);
    file = open_file(&t, "t.safetensors");
    sigma = vdit_file_meta(file, "sigma");
    assert_non_null(sigma);
    assert_true(fabs(number_of(sigma, "out", 0) - sqrt(squares / 144)) < 1e-8 * peak);
    assert_true(fabs(number_of(sigma, "out", 1) - peak) < 1e-8 * peak);
    assert_true(number_of(sigma, "in", 0) > 0);
    assert_string_equal(vdit_file_meta(file, "noise"), "f32");
    assert_string_equal(vdit_file_meta(file, "shadows"), "3");
    vdit_file_close(file);
    vdit_run_free(plain.run);
    toy_close(&t);
}

static void a_nan_is_traced_to_its_weight(void **state)
{
    static const struct {
        const char *weight, *activation;
    } cases[] = {{"blocks.1.attn2.to_k.weight", "blocks.1.attn2.to_k"},
                 {"in.bias", "in"},
                 {"out.weight", "out"}};
    const char *activation, *weight;
    toy t;

    toy_open(&t, *state, 1, 3);
    assert_int_equal(vdit_nan_find(*state, &t.model, &t.call, &activation, &weight), VDIT_OK);
    assert_null(activation);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        vdit_file *clean = t.model.weights;
        size_t count = vdit_file_count(clean);
        vdit_named list[64];

        for (size_t n = 0; n < count; n++) {
            list[n] = (vdit_named){vdit_file_name(clean, n), *vdit_file_tensor(clean, n)};
            if (strcmp(list[n].name, cases[i].weight) == 0) {
                float *copy = vdit_run_alloc(*state, vdit_tensor_count(&list[n].tensor), 4);
                vdit_tensor_pack(copy, &list[n].tensor);
                copy[3] = NAN;
                list[n].tensor.data = copy;
            }
        }
        assert_int_equal(vdit_safetensors_write(*state, "nan.safetensors", list, count, NULL, 0),
                         VDIT_OK);
        t.model.weights = open_file(&t, "nan.safetensors");
        assert_int_equal(vdit_nan_find(*state, &t.model, &t.call, &activation, &weight), VDIT_OK);
        assert_string_equal(activation, cases[i].activation);
        assert_string_equal(weight, cases[i].weight);
        vdit_file_close(t.model.weights);
        t.model.weights = clean;
    }
    ((float *)t.text.data)[0] = NAN;
    assert_int_equal(vdit_nan_find(*state, &t.model, &t.call, &activation, &weight), VDIT_OK);
    assert_string_equal(activation, "blocks.0.attn2.to_k");
    assert_null(weight);
    toy_close(&t);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, file_setup, file_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_trace_holds_the_activations_in_the_order_of_execution),
        TEST(patterns_choose_what_is_written),
        TEST(a_trace_that_fails_leaves_no_file),
        TEST(a_trace_may_be_the_source_of_another_run),
        TEST(sigma_is_the_distance_of_shadow_runs),
        TEST(a_nan_is_traced_to_its_weight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
