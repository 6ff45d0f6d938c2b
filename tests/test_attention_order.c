/*
 * test_attention_order.c - order statistics of the map against sorted lists of the entries that MPFR gives, in every
 * scope, with ties, masks and blocks; and with bounds so wide that enclosures stay open.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "attention_brute.h"
#include "attention_scene.h"
#include "widening.h"

#define ROWS 100 /* of all heads of a scene */

static const vdit_dtype all_f32[3] = {VDIT_F32, VDIT_F32, VDIT_F32};

/*
 * With such a bound estimates may err by 2^-28, and do: each by a multiple of its own, the same in each pass.
 */
void __real_vdit_walk_tile(vdit_walk *walk, size_t p, size_t t);
void __wrap_vdit_walk_tile(vdit_walk *walk, size_t p, size_t t);

void __wrap_vdit_walk_tile(vdit_walk *walk, size_t p, size_t t)
{
    size_t nr = walk->head->kernel->nr, keys = vdit_tile_keys(walk->head, t);

    __real_vdit_walk_tile(walk, p, t);
    for (size_t e = 0; widening > 0 && e < keys * nr; e++) {
        size_t row = walk->stream.first + p * nr + e % nr;
        uint32_t mixed =
            (uint32_t)(row * 7919 + (t * VDIT_TILE + e / nr) * 104729 + 1) * 2654435761u;

        walk->stream.s[e] *= 1 + ((double)mixed * 0x1p-31 - 1) * 0x1p-28;
    }
}

/* Entries that were asked for in multi-precision. */
static size_t asked;

double __real_vdit_walk_entry(vdit_walk *walk, size_t lane, size_t j);
double __wrap_vdit_walk_entry(vdit_walk *walk, size_t lane, size_t j);

double __wrap_vdit_walk_entry(vdit_walk *walk, size_t lane, size_t j)
{
    asked++; /* by one thread where it is looked at */
    return __real_vdit_walk_entry(walk, lane, j);
}

/* Compares the thresholds, and the values by group, with the sorted list. */
static size_t judge(vdit_run *run, const vdit_order *order, double fraction, const char *what)
{
    size_t Nq = order->facts.call->q->shape[2], rows = order->facts.count * Nq, wrong = 0;
    int counted = order->ties == VDIT_TIES_COUNT;
    size_t mark = vdit_run_mark(run), groups = vdit_order_groups(order);
    uint64_t quota[ROWS] = {0}, *size = vdit_run_alloc(run, groups, sizeof *size);
    double tau[ROWS], fractions[3] = {0, fraction, 1},
                      *value = vdit_run_alloc(run, groups, 3 * sizeof *value);

    assert_true(rows <= ROWS);
    assert_int_equal(vdit_order_thresholds(run, tau, counted ? quota : NULL, order, fraction),
                     VDIT_OK);
    assert_int_equal(vdit_order_values(run, value, size, order, fractions, 3), VDIT_OK);
    for (size_t row = 0; row < rows; row++) {
        size_t at = vdit_order_group(order, row / Nq, row % Nq), M;
        const double *least = brute_least(order, row, &M);
        uint64_t wanted_quota;
        double wanted = brute_threshold(&wanted_quota, order, row, fraction);

        if (at >= groups || size[at] != M || value[3 * at] != (least ? *least : 0) ||
            value[3 * at + 1] != wanted) {
            print_error("%s: row %zu: value %a of %zu, not %a of %zu\n", what, row,
                        value[3 * at + 1], (size_t)size[at], wanted, M);
            wrong++;
        }
        if (fraction == 0)
            wanted = 0;
        if (fraction == 1 && order->ties != VDIT_TIES_LINEAR)
            wanted = INFINITY; /* without entries too */
        if (tau[row] != wanted || quota[row] != wanted_quota) {
            print_error("%s: row %zu: tau %a quota %zu, not %a, %zu\n", what, row, tau[row],
                        (size_t)quota[row], wanted, (size_t)wanted_quota);
            wrong++;
        }
    }
    vdit_run_release(run, mark);
    return wrong;
}

/* One head of a call as a call of its own. */
typedef struct single {
    vdit_attention call;
    vdit_tensor q, k, mask, key_length;
} single;

static void cut_head(single *one, const vdit_attention *call, size_t head)
{
    size_t b = head / call->q->shape[1], index[4] = {b, head % call->q->shape[1], 0, 0};

    one->call = *call;
    one->q = *call->q;
    one->q.data = vdit_tensor_at(call->q, index);
    one->k = *call->k;
    one->k.data = vdit_tensor_at(call->k, index);
    one->q.shape[0] = one->q.shape[1] = one->k.shape[0] = one->k.shape[1] = 1;
    one->call.q = &one->q;
    one->call.k = &one->k;
    if (call->key_length != NULL) {
        one->key_length = *call->key_length;
        one->key_length.data = vdit_tensor_at(call->key_length, &b);
        one->key_length.shape[0] = 1;
        one->call.key_length = &one->key_length;
    }
}

/* All scopes and ties of a call. */
static void judge_all(vdit_run *run, scene *s, const vdit_tokens *tokens, unsigned blocks,
                      oracle_random *random, const char *what)
{
    static const double fractions[] = {0, 0.25, 0.5, 0.7, 0.999, 1};
    size_t heads = s->q.shape[0] * s->q.shape[1];
    single one[2];
    const vdit_attention *calls[2] = {&one[0].call, &one[1].call};
    vdit_order order = {{&s->call, {0}, blocks, 0, heads, NULL}, VDIT_SCOPE_HEAD, VDIT_TIES_KEPT};

    assert_int_equal(
        vdit_layout_set(run, &order.facts.layout, tokens, s->q.shape[2], s->k.shape[2]), VDIT_OK);
    assert_true(heads <= 2);
    for (size_t head = 0; head < heads; head++)
        cut_head(&one[head], &s->call, head);
    brute_gather(&order, tokens);
    for (int scope = VDIT_SCOPE_HEAD; scope <= VDIT_SCOPE_GLOBAL; scope++) {
        order.scope = (vdit_scope)scope;
        order.facts.heads = oracle_int(random, 0, 1) ? calls : NULL;
        brute_sort(&order);
        for (int ties = VDIT_TIES_KEPT; ties <= VDIT_TIES_LINEAR; ties++) {
            char text[80];
            double fraction = fractions[oracle_int(random, 0, 5)];

            if (oracle_int(random, 0, 1))
                fraction = oracle_u32(random) * 0x1p-32;
            order.ties = (vdit_ties)ties;
            snprintf(text, sizeof text, "%s, scope %d, ties %d, fraction %a", what, scope, ties,
                     fraction);
            assert_int_equal(judge(run, &order, fraction, text), 0);
        }
    }
}

static int make_run(void **state)
{
    *state = vdit_run_new();
    vdit_run_set_threads(*state, 1);
    widening = 0;
    return *state == NULL;
}

/* 2 frames of 3 x 4 and 5 text tokens; text first or not; joint, or video queries alone. */
static void random_call(scene *s, vdit_run *run, vdit_tokens *tokens, oracle_random *random)
{
    static const scene_kind kinds[] = {SCENE_NORMAL, SCENE_INTEGER, SCENE_INTEGER, SCENE_LARGE,
                                       SCENE_SUBNORMAL};
    vdit_tokens made = {2, 3, 4, 5, oracle_int(random, 0, 1)};
    size_t Nq = oracle_int(random, 0, 2) == 0 ? 24 : 29,
           Nk = oracle_int(random, 0, 2) == 0 ? 5 : 29;
    const scene_shape shape = {(size_t)oracle_int(random, 1, 2), 1, Nq, Nk, 3, 2};
    const size_t mask[4] = {1, 1, oracle_int(random, 0, 1) ? Nq : 1, Nk};
    scene_kind kind = kinds[oracle_int(random, 0, 4)];

    *tokens = made;
    scene_start(s, run, &shape, all_f32, random);
    scene_fill(&s->q, random, kind);
    scene_fill(&s->k, random, kind == SCENE_LARGE ? SCENE_NORMAL : kind);
    s->call.scale = kind == SCENE_INTEGER ? 0.5 : s->call.scale;
    if (kind == SCENE_NORMAL && oracle_int(random, 0, 1))
        s->call.scale = 25; /* entries among the subnormal numbers of f32 */
    if (kind == SCENE_SUBNORMAL && oracle_int(random, 0, 1)) {
        s->call.scale =
            0x1p-30; /* logits so near to each other that entries are neighbours in f32 */
        scene_fill(&s->q, random, SCENE_INTEGER);
        scene_fill(&s->k, random, SCENE_INTEGER);
    }
    if (oracle_int(random, 0, 2) == 0) {
        scene_mask(s, oracle_int(random, 0, 1) ? VDIT_F32 : VDIT_BOOL, mask);
        for (size_t n = 0; n < mask[2]; n++) {
            int empty = oracle_int(random, 0, 5) == 0;

            for (size_t j = 0; j < Nk; j++) {
                int out = empty || oracle_int(random, 0, 2) == 0;
                if (s->mask.dtype == VDIT_BOOL)
                    scene_set(&s->mask, 0, 0, n, j, !out);
                else
                    scene_set(&s->mask, 0, 0, n, j, out ? -INFINITY : oracle_int(random, -2, 2));
            }
        }
    }
    if (oracle_int(random, 0, 2) == 0) {
        int64_t length[2] = {oracle_int(random, 0, (int)Nk), oracle_int(random, 0, (int)Nk)};
        scene_key_length(s, length);
    }
}

static void random_calls(void **state, const char *name, double wide, int times)
{
    oracle_random random = oracle_random_start(name);

    widening = wide;
    for (int i = 0; i < times; i++) {
        size_t mark = vdit_run_mark(*state);
        vdit_tokens tokens;
        scene s;
        char text[80];

        random_call(&s, *state, &tokens, &random);
        snprintf(text, sizeof text, "call %d", i);
        vdit_run_set_threads(*state, i % 4 == 3 ? 3 : 1);
        judge_all(*state, &s, &tokens, (unsigned)oracle_int(&random, 0, 15), &random, text);
        vdit_run_release(*state, mark);
    }
}

static void values_are_those_of_the_sorted_entries(void **state)
{
    random_calls(state, "values_are_those_of_the_sorted_entries", 0, 30);
}

/* A quarter of the entries is open, none by more than to the next f32. */
static void open_enclosures_are_settled_by_facts(void **state)
{
    random_calls(state, "open_enclosures_are_settled_by_facts", 0x1p-28, 20);
}

/*
 * One key has all the weight, and the others have entries from 2^-127.5 to 2^-126, the upper octaves of the subnormal
 * numbers. There an estimate errs by up to 2^-6 of the last bit, so that of some hundred entries one lies on the other
 * side of a half: the enclosure must reach below the estimate as well as above.
 */
static void subnormal_entries_are_enclosed_on_both_sides(void **state)
{
    oracle_random random = oracle_random_start("subnormal_entries_are_enclosed_on_both_sides");
    const scene_shape shape = {1, 1, 29, 29, 1, 1};
    const vdit_tokens tokens = {2, 3, 4, 5, 0};

    widening = 0x1p-28;
    for (int i = 0; i < 25; i++) {
        size_t mark = vdit_run_mark(*state);
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        s.call.scale = 1;
        for (size_t j = 0; j < 29; j++) {
            scene_set(&s.q, 0, 0, j, 0, 1 + (double)j * 0x1p-20);
            scene_set(&s.k, 0, 0, j, 0,
                      j == 0 ? 0 : -87.35 - 0x1p-32 * (double)oracle_u32(&random));
        }
        judge_all(*state, &s, &tokens, 0, &random, "subnormal");
        vdit_run_release(*state, mark);
    }
}

/* Rows whose bound says too little are read in multi-precision from the start. */
static void rows_without_a_bound_are_read_exactly(void **state)
{
    random_calls(state, "rows_without_a_bound_are_read_exactly", 0x1p-20, 5);
}

/* Equal logits: every entry is 1 / (valid keys), and only places tell them apart. */
static void equal_entries_are_dropped_in_the_order_of_their_places(void **state)
{
    oracle_random random =
        oracle_random_start("equal_entries_are_dropped_in_the_order_of_their_places");
    const vdit_tokens tokens = {2, 3, 4, 5, 0};
    const scene_shape shape = {1, 2, 29, 29, 3, 2};
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    memset(s.k.data, 0, vdit_tensor_count(&s.k) * sizeof(float));
    for (int i = 0; i < 2; i++)
        judge_all(*state, &s, &tokens, i % 2 ? VDIT_BLOCK_VV : 0, &random, "equal");
}

/*
 * A logit t for which 1 / (1 + e^t) lies within 2^-45 of a midpoint between two f32 numbers, relative to it; the oracle, which
 * has 600 bits, knows on which side.
 */
static double near_midpoint(void)
{
    double best = 1, found = 0;

    for (int i = 1; i < 8000000 && best > 0x1p-46; i++) {
        double t = 1 + i * 0x1p-22, a = 1 / (1 + exp(t)), scaled, off;
        int exponent;

        scaled = frexp(a, &exponent) * 0x1p24; /* 24 bits before the point */
        off = fabs(scaled - floor(scaled) - 0.5) / scaled;
        if (off < best) {
            best = off;
            found = t;
        }
    }
    return found;
}

/*
 * Rows of two keys, logits q_r and 0, whose entries at key `near` lie beside halves between facts: the order statistics at
 * `place`s must be asked for, whoever estimates.
 */
static void judge_halves(vdit_run *run, oracle_random *random, double q0, double q1,
                         const double near[2])
{
    const vdit_tokens tokens = {2, 1, 1, 0, 0};
    const scene_shape shape = {1, 1, 2, 2, 1, 1};
    double value[2];
    scene s;
    vdit_order order = {{&s.call, {0}, 0, 0, 1, NULL}, VDIT_SCOPE_HEAD, VDIT_TIES_KEPT};

    scene_start(&s, run, &shape, all_f32, random);
    assert_int_equal(vdit_layout_set(run, &order.facts.layout, &tokens, 2, 2), VDIT_OK);
    s.call.scale = 1;
    scene_set(&s.q, 0, 0, 0, 0, q0);
    scene_set(&s.q, 0, 0, 1, 0, q1);
    scene_set(&s.k, 0, 0, 0, 0, 1);
    scene_set(&s.k, 0, 0, 1, 0, 0);
    asked = 0;
    assert_int_equal(vdit_order_values(run, value, NULL, &order, near, 2), VDIT_OK);
    assert_true(asked > 0);
    for (int i = 0; i < 4; i++)
        judge_all(run, &s, &tokens, 0, random, "half");
}

static void entries_near_halves_are_asked_for(void **state)
{
    oracle_random random = oracle_random_start("entries_near_halves_are_asked_for");
    static const double first[2] = {0, 0.25}, last[2] = {0.5, 0.75};
    double t = near_midpoint();
    /* 25 ln 2, rounded to f32 and its neighbour: 1 / (1 + e^-t) is 1 - 2^-25 within 2^-45 */
    float one = 0x1.154244p+4f, other = nextafterf(one, 18);

    judge_halves(*state, &random, t, t, first);
    judge_halves(*state, &random, one, other, last);
}

/* floor(fraction M) is exact where the binary64 product is not. */
static void places_are_exact(void **state)
{
    oracle_random random = oracle_random_start("places_are_exact");

    (void)state;
    assert_int_equal(vdit_order_place(NULL, 0.7, 10), 6); /* 0.7 in binary64 is below 7/10 */
    assert_int_equal(vdit_order_place(NULL, 1, UINT64_MAX), UINT64_MAX);
    assert_int_equal(vdit_order_place(NULL, DBL_MIN / 4, UINT64_MAX), 0);
    for (int i = 0; i < 2000; i++) {
        double fraction = oracle_u32(&random) * 0x1p-32 + oracle_u32(&random) * 0x1p-60;
        uint64_t M = (uint64_t)oracle_u32(&random) << oracle_int(&random, 0, 30);

        assert_int_equal(vdit_order_place(NULL, fraction, M), brute_place(fraction, M));
    }
}

static void frames_that_are_not_declared_are_refused(void **state)
{
    oracle_random random = oracle_random_start("frames_that_are_not_declared_are_refused");
    const vdit_tokens none = {0, 0, 0, 0, 0};
    const scene_shape shape = {1, 1, 7, 7, 2, 2};
    double tau[7] = {-1};
    scene s;
    vdit_order order = {{&s.call, {0}, 0, 0, 1, NULL}, VDIT_SCOPE_FRAME, VDIT_TIES_KEPT};

    scene_start(&s, *state, &shape, all_f32, &random);
    assert_int_equal(vdit_layout_set(*state, &order.facts.layout, &none, 7, 7), VDIT_OK);
    assert_int_equal(vdit_order_thresholds(*state, tau, NULL, &order, 0.5), VDIT_ERR_ARGUMENT);
    assert_true(tau[0] == -1);
    assert_string_equal(vdit_run_message(*state), "scope frame: no frames are declared");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(values_are_those_of_the_sorted_entries, make_run,
                                        scene_close),
        cmocka_unit_test_setup_teardown(open_enclosures_are_settled_by_facts, make_run,
                                        scene_close),
        cmocka_unit_test_setup_teardown(subnormal_entries_are_enclosed_on_both_sides, make_run,
                                        scene_close),
        cmocka_unit_test_setup_teardown(rows_without_a_bound_are_read_exactly, make_run,
                                        scene_close),
        cmocka_unit_test_setup_teardown(equal_entries_are_dropped_in_the_order_of_their_places,
                                        make_run, scene_close),
        cmocka_unit_test_setup_teardown(entries_near_halves_are_asked_for, make_run, scene_close),
        cmocka_unit_test_setup_teardown(places_are_exact, make_run, scene_close),
        cmocka_unit_test_setup_teardown(frames_that_are_not_declared_are_refused, make_run,
                                        scene_close),
    };

    return cmocka_run_group_tests_name("attention_order", tests, NULL, NULL);
}
