/*
 * test_attention_special.c - infinities and NaN in q, k and v (attention/special.h), and poison where
 * nothing may look.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "attention_scene.h"

static const vdit_dtype narrow[3] = {VDIT_F32, VDIT_BF16, VDIT_F16};
static const vdit_dtype all_f32[3] = {VDIT_F32, VDIT_F32, VDIT_F32};

/* q = (1, 1), k_j = (1, 0), v_j = (1, j): one row, three keys, before a case spoils one element. */
static void plain_scene(scene *s, vdit_run *run, oracle_random *random)
{
    const scene_shape shape = {1, 1, 1, 3, 2, 2};

    scene_start(s, run, &shape, all_f32, random);
    for (size_t j = 0; j < 3; j++) {
        scene_set(&s->k, 0, 0, j, 0, 1);
        scene_set(&s->k, 0, 0, j, 1, 0);
        scene_set(&s->v, 0, 0, j, 0, 1);
        scene_set(&s->v, 0, 0, j, 1, (double)j);
    }
    scene_set(&s->q, 0, 0, 0, 0, 1);
    scene_set(&s->q, 0, 0, 0, 1, 1);
}

/* One element is spoilt (operand 0 q, 1 k, 2 v; token, channel); what the row then is. */
static const struct {
    const char *what;
    int operand;
    size_t n, c;
    double value, o[2], lse; /* lse: 9 stands for any finite number */
} cases[] = {
    {"NaN in q", 0, 0, 0, NAN, {NAN, NAN}, NAN},
    {"inf in q times k = 0", 0, 0, 1, INFINITY, {NAN, NAN}, NAN},
    {"inf in q: every logit is inf", 0, 0, 0, INFINITY, {NAN, NAN}, INFINITY},
    {"-inf in q: an empty row", 0, 0, 0, -INFINITY, {0, 0}, -INFINITY},
    {"NaN in k", 1, 2, 1, NAN, {NAN, NAN}, NAN},
    {"inf in k", 1, 1, 1, INFINITY, {NAN, NAN}, INFINITY},
    {"-inf in k: the key is gone", 1, 1, 0, -INFINITY, {1, 1}, 9},
    {"-inf in k: the first is gone", 1, 0, 0, -INFINITY, {1, 1.5}, 9},
    {"NaN in v", 2, 0, 0, NAN, {NAN, 1}, 9},
    {"inf in v", 2, 2, 1, INFINITY, {1, INFINITY}, 9},
    {"-inf in v", 2, 1, 0, -INFINITY, {-INFINITY, 1}, 9},
};

static void each_rule_holds(void **state)
{
    oracle_random random = oracle_random_start("each_rule_holds");

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scene s;
        vdit_tensor *operands[3];
        double lse;

        plain_scene(&s, *state, &random);
        operands[0] = &s.q;
        operands[1] = &s.k;
        operands[2] = &s.v;
        scene_set(operands[cases[i].operand], 0, 0, cases[i].n, cases[i].c, cases[i].value);
        scene_outputs(&s, VDIT_F32, SCENE_ALL);
        scene_run(&s);
        lse = scene_get(&s.lse, 0, 0, 0, 0);
        for (size_t c = 0; c < 2; c++)
            if (!oracle_same(scene_get(&s.o, 0, 0, 0, c), cases[i].o[c]))
                fail_msg("%s: o[%zu] is %a", cases[i].what, c, scene_get(&s.o, 0, 0, 0, c));
        if (cases[i].lse == 9 ? lse - lse != 0 : !oracle_same(lse, cases[i].lse))
            fail_msg("%s: lse is %a", cases[i].what, lse);
    }
}

static void nan_is_the_canonical_one(void **state)
{
    static const uint32_t bits[3] = {0x7fc00000, 0x7fc0, 0x7e00};
    oracle_random random = oracle_random_start("nan_is_the_canonical_one");

    for (int i = 0; i < 3; i++) {
        uint32_t wide = 0xffbfffff; /* a negative signalling NaN in v */
        uint16_t half;
        scene s;

        plain_scene(&s, *state, &random);
        memcpy(s.v.data, &wide, sizeof wide);
        scene_outputs(&s, narrow[i], SCENE_O);
        scene_run(&s);
        memcpy(&wide, s.o.data, sizeof wide);
        memcpy(&half, s.o.data, sizeof half);
        assert_int_equal(i == 0 ? wide : half, bits[i]);
    }
}

/* Puts an infinity or a NaN into about one of rarity elements. */
static void spoil(vdit_tensor *t, oracle_random *random, int rarity)
{
    static const double odd[3] = {NAN, INFINITY, -INFINITY};

    for (size_t h = 0; h < t->shape[1]; h++)
        for (size_t n = 0; n < t->shape[2]; n++)
            for (size_t c = 0; c < t->shape[3]; c++)
                if (oracle_int(random, 1, rarity) == 1)
                    scene_set(t, 0, h, n, c, odd[oracle_int(random, 0, 2)]);
}

/* The copy of t with 0 for what is not finite. */
static vdit_tensor cleaned(vdit_run *run, const vdit_tensor *t)
{
    vdit_tensor clean = scene_tensor(run, t->dtype, t->shape, SCENE_DENSE);

    for (size_t h = 0; h < t->shape[1]; h++)
        for (size_t n = 0; n < t->shape[2]; n++)
            for (size_t c = 0; c < t->shape[3]; c++) {
                double value = scene_get(t, 0, h, n, c);
                scene_set(&clean, 0, h, n, c, value - value == 0 ? value : 0);
            }
    return clean;
}

/* The logit as IEEE-754 has it; only its class is looked at. */
static double plain_logit(const scene *s, size_t h, size_t r, size_t j)
{
    double sum = 0;

    for (size_t c = 0; c < s->q.shape[3]; c++)
        sum += scene_get(&s->q, 0, h, r, c) * scene_get(&s->k, 0, h, j, c);
    return sum * s->call.scale;
}

/* What is not finite in one row, and NULL outputs aside. */
typedef struct verdict {
    int nan, plus; /* logits */
    double o[4];   /* NaN, an infinity, or 0 where finite */
} verdict;

/* Hides the keys of -inf logit in clean's mask. Returns: the verdict on row r. */
static verdict judge_row(const scene *s, scene *clean, size_t h, size_t r)
{
    verdict found = {0, 0, {0, 0, 0, 0}};

    for (size_t j = 0; j < s->k.shape[2]; j++) {
        double logit = plain_logit(s, h, r, j);

        if (scene_get(&s->mask, 0, h, r, j) == -INFINITY)
            continue;
        found.nan |= logit != logit;
        found.plus |= logit == INFINITY;
        if (logit == -INFINITY)
            scene_set(&clean->mask, 0, h, r, j, -INFINITY);
        else
            for (size_t c = 0; c < s->v.shape[3]; c++) {
                double v = scene_get(&s->v, 0, h, j, c);
                found.o[c] += v - v == 0 ? 0 : v;
            }
    }
    return found;
}

static void compare_rows(const scene *s, const scene *clean, const verdict *found, size_t h,
                         size_t r)
{
    int odd = found->nan || found->plus;

    for (size_t c = 0; c < s->v.shape[3]; c++) {
        double o = scene_get(&s->o, 0, h, r, c), expected = scene_get(&clean->o, 0, h, r, c);
        double sigma = scene_get(&clean->sigma, 0, h, r, c);

        if (odd || found->o[c] != 0) { /* NaN is not 0 either */
            expected = odd ? NAN : found->o[c];
            sigma = 0;
        }
        assert_true(oracle_same(o, expected));
        assert_true(oracle_same(scene_get(&s->sigma, 0, h, r, c), sigma));
    }
    assert_true(oracle_same(scene_get(&s->lse, 0, h, r, 0),
                            found->nan    ? NAN
                            : found->plus ? INFINITY
                                          : scene_get(&clean->lse, 0, h, r, 0)));
    for (size_t j = 0; j < s->k.shape[2]; j++) {
        double expected = scene_get(&clean->map, 0, h, r, j);
        int masked = scene_get(&s->mask, 0, h, r, j) == -INFINITY;

        assert_true(oracle_same(scene_get(&s->map, 0, h, r, j), !odd     ? expected
                                                                : masked ? 0
                                                                         : NAN));
    }
}

/*
 * Infinities and NaN anywhere: classes by plain IEEE-754 arithmetic; all that is finite must have the
 * bits of the call in which keys of logit -inf are masked and odd values are 0, and those are MPFR's.
 */
static void finite_rows_and_channels_keep_their_bits(void **state)
{
    oracle_random random = oracle_random_start("finite_rows_and_channels_keep_their_bits");
    const scene_shape shape = {1, 2, 13, 30, 3, 4};
    const size_t mask[4] = {1, 2, 13, 30};
    size_t mark = vdit_run_mark(*state);

    for (int round = 0; round < 30; round++) {
        verdict found[2][13];
        scene s, clean;

        scene_start(&s, *state, &shape, all_f32, &random);
        s.call.scale = round % 5 == 0 ? 0 : round % 2 ? -1.5 : 0.7;
        spoil(&s.q, &random, round % 3 ? 30 : 10000);
        spoil(&s.k, &random, round % 4 ? 60 : 10000);
        spoil(&s.v, &random, 40);
        scene_mask(&s, VDIT_F32, mask);
        for (size_t n = 0; n < 2 * 13 * 30; n++)
            scene_set(&s.mask, 0, n / 390, n / 30 % 13, n % 30,
                      oracle_int(&random, 0, 3) ? oracle_normal(&random, VDIT_F32) : -INFINITY);
        clean = s;
        clean.q = cleaned(*state, &s.q);
        clean.k = cleaned(*state, &s.k);
        clean.v = cleaned(*state, &s.v);
        clean.call.q = &clean.q;
        clean.call.k = &clean.k;
        clean.call.v = &clean.v;
        scene_mask(&clean, VDIT_F32, mask);
        memcpy(clean.mask.data, s.mask.data, 2 * 13 * 30 * sizeof(float));
        for (size_t n = 0; n < 26; n++)
            found[n / 13][n % 13] = judge_row(&s, &clean, n / 13, n % 13);
        scene_outputs(&s, narrow[round % 3], SCENE_ALL);
        scene_outputs(&clean, narrow[round % 3], SCENE_ALL);
        scene_run(&s);
        scene_judge(&clean, "without what is odd");
        for (size_t n = 0; n < 26; n++)
            compare_rows(&s, &clean, &found[n / 13][n % 13], n / 13, n % 13);
        vdit_run_release(*state, mark);
    }
}

/* Poison beyond the key length, under the mask, in rows that are not asked for: the same bits. */
static void poison_where_nothing_may_look_changes_no_bit(void **state)
{
    static const double poison[4] = {NAN, INFINITY, -INFINITY, 0x1.fffffep127};
    oracle_random random = oracle_random_start("poison_where_nothing_may_look_changes_no_bit");
    const scene_shape shape = {1, 1, 9, 420, 5, 4};
    const size_t mask[4] = {1, 1, 1, 420};
    const int64_t length = 390, rows[3] = {7, 2, 2};
    vdit_tensor before[4];
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    scene_key_length(&s, &length);
    scene_rows(&s, 3, rows);
    scene_mask(&s, VDIT_BOOL, mask);
    for (size_t j = 0; j < 420; j++)
        scene_set(&s.mask, 0, 0, 0, j, j % 5 > 0);
    scene_outputs(&s, VDIT_F32, SCENE_ALL);
    scene_judge(&s, "clean");
    before[0] = s.o;
    before[1] = s.lse;
    before[2] = s.map;
    before[3] = s.sigma;
    for (int i = 0; i < 4; i++) {
        for (size_t j = 0; j < 420; j++)
            if (j % 5 == 0 || j >= 390) {
                scene_set(&s.k, 0, 0, j, (size_t)i, poison[i]);
                scene_set(&s.v, 0, 0, j, (size_t)i, poison[(i + 1) % 4]);
            }
        for (size_t r = 0; r < 9; r++)
            if (r != 2 && r != 7)
                scene_set(&s.q, 0, 0, r, (size_t)i, poison[i]);
        scene_outputs(&s, VDIT_F32, SCENE_ALL);
        scene_run(&s);
        assert_true(scene_equal(&s.o, &before[0]));
        assert_true(scene_equal(&s.lse, &before[1]));
        assert_true(scene_equal(&s.map, &before[2]));
        assert_true(scene_equal(&s.sigma, &before[3]));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_close)
    const struct CMUnitTest tests[] = {
        TEST(each_rule_holds),
        TEST(nan_is_the_canonical_one),
        TEST(finite_rows_and_channels_keep_their_bits),
        TEST(poison_where_nothing_may_look_changes_no_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
