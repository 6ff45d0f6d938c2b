/*
 * test_meter_edits.c - meters of an edited call read the map that the edit leaves before anything after the
 * softmax: each is compared, bit by bit, with a plain call that has the same map.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "meter_oracle.h"

#define METERS                                                                                     \
    "column,energy,entropy,first-frame,ladder,lse,max,rows:every=1,segments,text0,text-tokens,"    \
    "topk:k=3:every=1"

static const vdit_dtype all_f32[3] = {VDIT_F32, VDIT_F32, VDIT_F32};
static const scene_shape shape = {2, 2, 14, 14, 4, 3};
static const vdit_tokens tokens = {2, 2, 3, 2, 0};

/* An edit for both heads of a scene. */
typedef struct both {
    vdit_edit edit;
    const vdit_edit *edits[2];
} both;

static void edit_both(scene *s, both *heads)
{
    vdit_edit_init(&heads->edit);
    heads->edit.tokens = tokens;
    heads->edits[0] = heads->edits[1] = &heads->edit;
    s->call.edits = heads->edits;
}

/* The test fails unless the meters of both calls have the same bits; or, if that is so, unless they have not. */
static void expect_equal(scene *a, scene *b, const char *meters, int equal)
{
    vdit_meter_results first, second;
    int same = 1;

    meter_oracle_run(a, meters, &tokens, &first);
    meter_oracle_run(b, meters, &tokens, &second);
    for (size_t i = 0; i < first.count; i++) {
        const vdit_tensor *t = &first.list[i].tensor;
        size_t bytes = vdit_tensor_count(t) * vdit_dtype_size(t->dtype);

        if (memcmp(t->data, second.list[i].tensor.data, bytes) == 0)
            continue;
        if (equal)
            fail_msg("%s differs", first.list[i].name);
        same = 0;
    }
    assert_int_equal(same, equal);
}

static void temperature_and_transfer_are_other_operands(void **state)
{
    oracle_random random = oracle_random_start("temperature_and_transfer_are_other_operands");
    both heads;
    scene s, plain;

    scene_start(&s, *state, &shape, all_f32, &random);
    scene_start(&plain, *state, &shape, all_f32, &random);
    edit_both(&s, &heads);
    heads.edit.temperature = 0.2;
    heads.edit.transfer = VDIT_FROM_Q | VDIT_FROM_K | VDIT_FROM_V;
    heads.edit.source_q = &plain.q;
    heads.edit.source_k = &plain.k;
    heads.edit.source_v = &plain.v;
    expect_equal(&s, &plain, METERS, 0);
    plain.call.scale = s.call.scale / 0.2;
    expect_equal(&s, &plain, METERS, 1);
}

static void sets_of_keys_and_masks_are_a_mask(void **state)
{
    oracle_random random = oracle_random_start("sets_of_keys_and_masks_are_a_mask");
    const size_t masked[4] = {1, 1, 14, 14}, set[1] = {14};
    unsigned char keys[14];
    vdit_pattern spatial = {.kind = VDIT_PATTERN_TEMPORAL, .window = {0, 0, 0}};
    both heads;
    scene s, plain;

    for (int n = 0; n < 3; n++) {
        vdit_tensor list = vdit_tensor_view(keys, VDIT_BOOL, 1, set);

        scene_start(&s, *state, &shape, all_f32, &random);
        plain = s;
        edit_both(&s, &heads);
        scene_mask(&plain, VDIT_BOOL, masked);
        memset(keys, 1, sizeof keys);
        keys[3] = keys[13] = 0;
        if (n == 0)
            heads.edit.keys = &list;
        if (n == 1)
            heads.edit.dropped_blocks = VDIT_BLOCK_VT;
        if (n == 2) {
            heads.edit.patterns = &spatial;
            heads.edit.pattern_count = 1;
        }
        for (size_t i = 0; i < 14; i++)
            for (size_t j = 0; j < 14; j++)
                ((unsigned char *)plain.mask.data)[i * 14 + j] =
                    n == 0   ? keys[j]
                    : n == 1 ? i >= 12 || j < 12
                             : i >= 12 || j >= 12 || i / 6 == j / 6;
        expect_equal(&s, &plain, METERS, 1);
    }
}

static void what_comes_after_the_softmax_is_not_seen(void **state)
{
    oracle_random random = oracle_random_start("what_comes_after_the_softmax_is_not_seen");
    both heads;
    scene s, plain;

    scene_start(&s, *state, &shape, all_f32, &random);
    plain = s;
    for (int n = 0; n < 4; n++) {
        edit_both(&s, &heads);
        if (n == 0)
            heads.edit.gate = 0;
        if (n == 1) {
            heads.edit.replace = 0.5;
            heads.edit.alpha = 1;
        }
        if (n == 2) {
            heads.edit.prune = VDIT_PRUNE_FRACTION;
            heads.edit.fraction = 0.5;
        }
        if (n == 3) {
            heads.edit.dropped_blocks = VDIT_BLOCK_VV;
            heads.edit.block_moment = VDIT_AFTER_SOFTMAX;
        }
        expect_equal(&s, &plain, METERS, 1);
    }
}

static void one_head_may_be_edited_alone(void **state)
{
    oracle_random random = oracle_random_start("one_head_may_be_edited_alone");
    vdit_meter_results edited, plain, hot;
    double scale;
    both heads;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    scale = s.call.scale;
    meter_oracle_run(&s, "entropy", &tokens, &plain);
    s.call.scale = scale / 3;
    meter_oracle_run(&s, "entropy", &tokens, &hot);
    s.call.scale = scale;
    edit_both(&s, &heads);
    heads.edits[0] = NULL;
    heads.edit.temperature = 3;
    meter_oracle_run(&s, "entropy", &tokens, &edited);
    for (size_t b = 0; b < 2; b++) {
        meter_oracle_expect(&edited, "entropy.nats", 2 * b,
                            meter_oracle_result(&plain, "entropy.nats", 2 * b));
        meter_oracle_expect(&edited, "entropy.nats", 2 * b + 1,
                            meter_oracle_result(&hot, "entropy.nats", 2 * b + 1));
    }
}

static void an_edit_of_some_queries_is_refused(void **state)
{
    oracle_random random = oracle_random_start("an_edit_of_some_queries_is_refused");
    vdit_meter_request request;
    vdit_meter_results results;
    both heads;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    edit_both(&s, &heads);
    heads.edit.temperature = 2;
    heads.edit.queries = VDIT_VIDEO;
    vdit_meter_request_init(&request, "entropy");
    assert_int_equal(vdit_meter_run(*state, &s.call, &request, &results), VDIT_ERR_UNSUPPORTED);
    assert_non_null(strstr(vdit_run_message(*state), "the edit of head 0"));
    vdit_run_clear(*state);
    heads.edit.queries = VDIT_ANY;
    heads.edit.temperature = 0;
    assert_int_equal(vdit_meter_run(*state, &s.call, &request, &results), VDIT_ERR_UNSUPPORTED);
    assert_non_null(strstr(vdit_run_message(*state), "temperature 0"));
}

/* Some queries' gate, or mask after the softmax, leaves all rows of the map as they are. */
static void an_edit_of_some_queries_may_come_after_the_softmax(void **state)
{
    oracle_random random = oracle_random_start("an_edit_of_some_queries_may_come_after");
    vdit_meter_results edited, plain;
    both heads;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    meter_oracle_run(&s, "entropy", NULL, &plain);
    edit_both(&s, &heads);
    heads.edit.queries = VDIT_VIDEO;
    heads.edit.gate = 0.5;
    heads.edit.dropped_blocks = VDIT_BLOCK_VT;
    heads.edit.block_moment = VDIT_AFTER_SOFTMAX;
    meter_oracle_run(&s, "entropy", NULL, &edited);
    for (size_t bh = 0; bh < 4; bh++)
        meter_oracle_expect(&edited, "entropy.nats", bh,
                            meter_oracle_result(&plain, "entropy.nats", bh));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(temperature_and_transfer_are_other_operands, scene_open_two,
                                        scene_close),
        cmocka_unit_test_setup_teardown(sets_of_keys_and_masks_are_a_mask, scene_open_two,
                                        scene_close),
        cmocka_unit_test_setup_teardown(what_comes_after_the_softmax_is_not_seen, scene_open_two,
                                        scene_close),
        cmocka_unit_test_setup_teardown(one_head_may_be_edited_alone, scene_open_two, scene_close),
        cmocka_unit_test_setup_teardown(an_edit_of_some_queries_is_refused, scene_open_two,
                                        scene_close),
        cmocka_unit_test_setup_teardown(an_edit_of_some_queries_may_come_after_the_softmax,
                                        scene_open_two, scene_close)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
