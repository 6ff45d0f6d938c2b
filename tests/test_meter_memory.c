/* test_meter_memory.c - meters when memory runs out anywhere, when they are cancelled, and what they are said to take. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/meter.h>
#include "attention_scene.h"

static const vdit_dtype all_f32[3] = {VDIT_F32, VDIT_F32, VDIT_F32};

/* Asks for every meter there is; names are put into text. */
static vdit_meter_request ask_for_all(char *text, size_t size)
{
    const vdit_meter_info *info;
    vdit_meter_request request;

    *text = '\0';
    for (size_t i = 0; (info = vdit_meter_at(i)) != NULL; i++) {
        assert_true(strlen(text) + strlen(info->name) + 8 < size);
        if (i > 0)
            strcat(text, ",");
        strcat(text, info->name);
        if (strcmp(info->name, "kcurve") == 0) /* a plain call for each */
            strcat(text, ":k=0.5");
    }
    vdit_meter_request_init(&request, text);
    request.tokens = (vdit_tokens){2, 2, 2, 3, 0};
    return request;
}

/* An allocator that counts, and fails at allocation `at`. */
typedef struct memory {
    size_t count, at;
    double bytes;
} memory;

static void *allocate(void *state, size_t size)
{
    memory *m = state;

    m->bytes += (double)size;
    return m->count++ == m->at ? NULL : malloc(size);
}

static void memory_that_runs_out_is_an_error(void **state)
{
    const scene_shape shape = {1, 1, 11, 11, 4, 3};
    oracle_random random = oracle_random_start("memory_that_runs_out_is_an_error");
    vdit_status status = VDIT_ERR_MEMORY;
    vdit_meter_results results = {77, NULL};
    char text[1024];
    vdit_meter_request request = ask_for_all(text, sizeof text);
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    request.other_q = &s.k; /* any other map */
    request.other_k = &s.q;
    for (size_t at = 0; status != VDIT_OK; at++) {
        memory m = {0, at, 0};

        vdit_run_set_allocator(*state, allocate, &m);
        status = vdit_meter_run(*state, &s.call, &request, &results);
        if (status != VDIT_OK) {
            assert_int_equal(status, VDIT_ERR_MEMORY);
            assert_int_equal(results.count, 77);
            vdit_run_clear(*state);
        }
    }
    vdit_run_set_allocator(*state, NULL, NULL);
    assert_true(results.count > 30);
}

/* What one head allocates in all is more than it holds at any time. */
static void the_estimate_covers_the_memory(void **state)
{
    static const char *const requests[] = {"entropy",     "column",       "topk:every=1",
                                           "ladder,sink", "rows:every=1", "segments,max,lse",
                                           "energy"};
    const scene_shape shape = {1, 1, 300, 300, 16, 8};
    oracle_random random = oracle_random_start("the_estimate_covers_the_memory");
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        memory m = {0, SIZE_MAX, 0};
        vdit_meter_request request;
        vdit_meter_results results;
        vdit_attention_cost cost;

        vdit_meter_request_init(&request, requests[i]);
        assert_int_equal(vdit_meter_estimate(&cost, *state, &s.call, &request), VDIT_OK);
        vdit_run_set_allocator(*state, allocate, &m);
        assert_int_equal(vdit_meter_run(*state, &s.call, &request, &results), VDIT_OK);
        vdit_run_set_allocator(*state, NULL, NULL);
        if (!(m.bytes <= cost.bytes))
            fail_msg("%s: %g bytes were allocated, %g estimated", requests[i], m.bytes, cost.bytes);
        assert_true(cost.flops > 0 && cost.entries > 0);
    }
}

static int stop(void *state, const char *what, double done, double total)
{
    (void)what;
    (void)done;
    (void)total;
    return --*(int *)state <= 0;
}

static void a_cancelled_run_leaves_no_results(void **state)
{
    const scene_shape shape = {1, 2, 300, 40, 4, 3};
    oracle_random random = oracle_random_start("a_cancelled_run_leaves_no_results");
    vdit_meter_results results = {77, NULL};
    vdit_meter_request request;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    vdit_meter_request_init(&request, "entropy,energy,column");
    for (int calls = 1; calls < 4; calls++) {
        int left = calls;

        vdit_run_set_progress(*state, stop, &left);
        assert_int_equal(vdit_meter_run(*state, &s.call, &request, &results), VDIT_ERR_CANCELLED);
        assert_int_equal(results.count, 77);
        vdit_run_clear(*state);
    }
    vdit_run_set_progress(*state, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(memory_that_runs_out_is_an_error, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(the_estimate_covers_the_memory, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(a_cancelled_run_leaves_no_results, scene_open,
                                        scene_close)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
