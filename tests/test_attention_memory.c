/* test_attention_memory.c - memory that runs out anywhere in a call, and calls that are cancelled. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "attention_scene.h"
#include "attention_stages.h"

typedef vdit_status attend(vdit_run *run, const vdit_attention *call);

static int make_run(void **state)
{
    *state = vdit_run_new();
    vdit_run_set_threads(*state, 1);
    memset(&forced, 0, sizeof forced);
    return *state == NULL;
}

/* A call with a mask, every output, and a NaN or an infinity in each operand. */
static void full_scene(scene *s, vdit_run *run)
{
    static const vdit_dtype all_f32[3] = {VDIT_F32, VDIT_F32, VDIT_F32};
    const scene_shape shape = {2, 2, 5, 7, 4, 3};
    const size_t mask[4] = {2, 1, 5, 7};
    oracle_random random = oracle_random_start("full_scene");

    scene_start(s, run, &shape, all_f32, &random);
    scene_set(&s->q, 1, 0, 4, 2, NAN);
    scene_set(&s->k, 0, 1, 2, 3, INFINITY);
    scene_set(&s->v, 0, 0, 1, 1, -INFINITY);
    scene_mask(s, VDIT_F32, mask);
    scene_outputs(s, VDIT_F32, SCENE_ALL);
}

/* An allocator that fails at allocation `at`, and after it if lasting is set. */
typedef struct shortage {
    size_t count, at;
    int lasting;
} shortage;

static void *allocate(void *state, size_t size)
{
    shortage *s = state;
    size_t number = s->count++;

    if (number == s->at || (s->lasting && number > s->at))
        return NULL;
    return malloc(size);
}

/* Fails at each allocation in turn. Infinities and NaN must not reach what counts on finite numbers. */
static void memory_that_runs_out_is_an_error(void **state)
{
    static attend *const functions[2] = {vdit_attention_reference, vdit_attention_fast};

    for (int variant = 0; variant < 8; variant++) {
        int is_fast = variant & 1;
        vdit_status status = VDIT_ERR_MEMORY;
        scene s;

        full_scene(&s, *state);
        s.call.sigma = is_fast ? NULL : s.call.sigma;
        vdit_run_set_threads(*state, variant & 4 ? 2 : 1);
        for (size_t at = 0; status != VDIT_OK; at++) {
            shortage short_of = {0, at, variant & 2};
            size_t mark = vdit_run_mark(*state);

            vdit_run_set_allocator(*state, allocate, &short_of);
            status = functions[is_fast](*state, &s.call);
            assert_int_equal(vdit_run_mark(*state), mark);
            assert_int_equal(status, short_of.count > at ? VDIT_ERR_MEMORY : VDIT_OK);
            vdit_run_clear(*state);
        }
        vdit_run_set_allocator(*state, NULL, NULL);
    }
}

static int stop_at(void *state, const char *what, double done, double total)
{
    int *left = state;

    assert_string_equal(what, "attention");
    assert_true(done >= 0 && done <= total);
    return --*left < 0;
}

static void a_call_can_be_cancelled(void **state)
{
    static attend *const functions[2] = {vdit_attention_reference, vdit_attention_fast};

    for (int f = 0; f < 2; f++) {
        int left;
        vdit_status status = VDIT_ERR_CANCELLED;

        for (int calls = 0; status != VDIT_OK; calls++) {
            size_t mark;
            scene s;

            full_scene(&s, *state);
            s.call.sigma = f ? NULL : s.call.sigma;
            mark = vdit_run_mark(*state);
            left = calls;
            vdit_run_set_progress(*state, stop_at, &left);
            status = functions[f](*state, &s.call);
            assert_int_equal(status, left < 0 ? VDIT_ERR_CANCELLED : VDIT_OK);
            assert_int_equal(vdit_run_mark(*state), mark);
            vdit_run_clear(*state);
            assert_true(calls > 0 || status == VDIT_ERR_CANCELLED);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_run, scene_close)
    const struct CMUnitTest tests[] = {
        TEST(memory_that_runs_out_is_an_error),
        TEST(a_call_can_be_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
