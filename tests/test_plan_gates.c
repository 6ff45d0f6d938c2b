/* test_plan_gates.c - the gates that the map of a call decides: heads with a sink, and the random control. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/plan.h>
#include "attention_scene.h"

enum { HEADS = 6 };

/* A call of one batch in which heads 1 and 4 have a sink, with the edits of a plan. */
typedef struct gated {
    scene s;
    vdit_plan *plan;
    vdit_site site;
    vdit_edit edits[HEADS];
    const vdit_edit *list[HEADS];
} gated;

static int make_run(void **state)
{
    *state = vdit_run_new();
    return *state == NULL;
}

/* Logits are 0 but for a sink key: of 9 keys it takes e^2 / (e^2 + 8) = 0.48 of a row. */
static void start(gated *g, vdit_run *run, const char *text, size_t batches, oracle_random *random)
{
    static const vdit_dtype all_f32[3] = {VDIT_F32, VDIT_F32, VDIT_F32};
    const scene_shape shape = {batches, HEADS, 9, 9, 2, 3};

    scene_start(&g->s, run, &shape, all_f32, random);
    memset(g->s.q.data, 0, vdit_tensor_count(&g->s.q) * sizeof(float));
    memset(g->s.k.data, 0, vdit_tensor_count(&g->s.k) * sizeof(float));
    for (size_t h = 1; h < HEADS; h += 3) {
        for (size_t i = 0; i < 9; i++)
            scene_set(&g->s.q, 0, h, i, 0, 1);
        scene_set(&g->s.k, 0, h, 2 + h, 0, 2);
    }
    g->s.call.scale = 1;
    assert_int_equal(vdit_plan_parse(run, &g->plan, text, strlen(text)), VDIT_OK);
    g->site = (vdit_site){3, 0, 0, VDIT_BRANCH_COND, VDIT_KIND_FULL, {0}, 9};
    for (size_t h = 0; h < HEADS; h++) {
        vdit_site at = g->site;
        at.head = h;
        assert_int_equal(vdit_plan_edit(run, g->plan, &at, &g->edits[h]), VDIT_OK);
        g->list[h] = vdit_edit_is_off(&g->edits[h]) ? NULL : &g->edits[h];
    }
    g->s.call.edits = g->list;
}

static void expect(gated *g, vdit_run *run, const double *expected)
{
    double gates[HEADS];

    assert_int_equal(vdit_plan_gates(run, gates, g->plan, &g->site, &g->s.call), VDIT_OK);
    for (size_t h = 0; h < HEADS; h++)
        assert_true(gates[h] == expected[h]);
}

static void sinks_are_found_in_the_heads_that_have_one(void **state)
{
    static const vdit_tokens none = {0, 0, 0, 0, 0};
    oracle_random random = oracle_random_start("sinks_are_found_in_the_heads_that_have_one");
    unsigned char sinks[HEADS];
    gated g;

    start(&g, *state, "", 1, &random);
    assert_int_equal(vdit_sinks_find(*state, sinks, &g.s.call, &none, 0.3), VDIT_OK);
    assert_memory_equal(sinks, "\0\1\0\0\1\0", HEADS);
    assert_int_equal(vdit_sinks_find(*state, sinks, &g.s.call, &none, 0.5), VDIT_OK);
    assert_memory_equal(sinks, "\0\0\0\0\0\0", HEADS);
}

static void gates_close_where_a_sink_is_and_are_else_those_of_the_plan(void **state)
{
    oracle_random random = oracle_random_start("gates_close_where_a_sink_is");
    gated g;

    start(&g, *state, "H0,1: gate 0.5; H2-5: gate sinks", 1, &random);
    expect(&g, *state, (double[]){0.5, 0.5, 1, 1, 0, 1});
    start(&g, *state, "H0: gate sinks tau=0.01; H1-5: gate sinks tau=0.5", 1, &random);
    expect(&g, *state, (double[]){0, 1, 1, 1, 1, 1});
    start(&g, *state, "gate sinks; L3: temperature 9", 1, &random);
    expect(&g, *state, (double[]){1, 1, 1, 1, 1, 1});
}

static void the_control_draws_from_heads_without_a_sink(void **state)
{
    oracle_random random = oracle_random_start("the_control_draws_from_heads_without_a_sink");
    unsigned char drawn[HEADS] = {1, 0, 1, 1, 0, 1};
    double expected[HEADS], gates[HEADS];
    gated g;

    start(&g, *state, "gate random 2 seed=11", 1, &random);
    assert_int_equal(vdit_gate_draw(*state, drawn, HEADS, 2, 11), VDIT_OK);
    for (size_t h = 0; h < HEADS; h++)
        expected[h] = drawn[h] ? 0 : 1;
    expect(&g, *state, expected);
    start(&g, *state, "H0-2: gate random 2; H3-5: gate sinks", 1, &random);
    expect(&g, *state, (double[]){0, 1, 0, 1, 0, 1});
    start(&g, *state, "gate random 5", 1, &random);
    assert_int_equal(vdit_plan_gates(*state, gates, g.plan, &g.site, &g.s.call), VDIT_ERR_ARGUMENT);
    assert_non_null(strstr(vdit_run_message(*state), "5 heads are to be drawn from 4"));
}

static void the_map_is_looked_at_only_where_a_gate_asks_for_it(void **state)
{
    oracle_random random = oracle_random_start("the_map_is_looked_at_only_where_a_gate_asks");
    double gates[HEADS] = {7};
    gated g;

    start(&g, *state, "H2: gate 0.25; L4: gate sinks", 2, &random);
    expect(&g, *state, (double[]){1, 1, 0.25, 1, 1, 1});
    start(&g, *state, "gate sinks", 2, &random);
    assert_int_equal(vdit_plan_gates(*state, gates, g.plan, &g.site, &g.s.call), VDIT_ERR_ARGUMENT);
    assert_non_null(strstr(vdit_run_message(*state), "one batch, the call has 2"));
    assert_true(gates[0] == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sinks_are_found_in_the_heads_that_have_one, make_run,
                                        scene_close),
        cmocka_unit_test_setup_teardown(gates_close_where_a_sink_is_and_are_else_those_of_the_plan,
                                        make_run, scene_close),
        cmocka_unit_test_setup_teardown(the_control_draws_from_heads_without_a_sink, make_run,
                                        scene_close),
        cmocka_unit_test_setup_teardown(the_map_is_looked_at_only_where_a_gate_asks_for_it,
                                        make_run, scene_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
