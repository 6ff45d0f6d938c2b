/* test_edit.c - edited attention, by bit equality with the formula in MPFR. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "edit_scene.h"

static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};

/* Calls fill for each dtype and judges. */
static void each(void **state, const char *name, void (*fill)(edit_scene *t))
{
    for (size_t i = 0; i < 3; i++) {
        edit_scene t;
        size_t mark = vdit_run_mark(*state);

        edit_scene_start(&t, *state, dtypes[i], name);
        fill(&t);
        edit_scene_judge(&t, name);
        vdit_run_release(*state, mark);
    }
}

static void set_temperature(edit_scene *t)
{
    t->edit.temperature = 0.2;
}

static void temperature_divides_the_logits(void **state)
{
    each(state, "temperature", set_temperature);
}

/* Keys 3 and 9 are equal, and the largest for the even queries. */
static void temperature_0_shares_the_row_among_its_largest_logits(void **state)
{
    for (size_t i = 0; i < 3; i++) {
        vdit_tensor o;
        edit_scene t;

        edit_scene_start(&t, *state, dtypes[i], "argmax");
        for (size_t n = 0; n < EDIT_N; n++)
            for (size_t c = 0; c < EDIT_D; c++) {
                scene_set(&t.s.q, 0, 0, n, c, n % 2 ? (c == n % EDIT_D) : 1);
                scene_set(&t.s.k, 0, 0, n, c,
                          n == 3 || n == 9 ? 2 : 1.0 / (double)(1 + c + n) + (c == 0 ? 0x1p-9 : 0));
            }
        t.edit.temperature = 0;
        o = edit_scene_run_as(&t, &t.edit);
        for (size_t r = 0; r < EDIT_N; r++)
            for (size_t c = 0; c < EDIT_DV; c++) {
                double mean = (scene_get(&t.s.v, 0, 0, 3, c) + scene_get(&t.s.v, 0, 0, 9, c)) / 2;
                assert_true(scene_get(&o, 0, 0, r, c) == vdit_round_f64(VDIT_F32, mean));
            }
        scene_set(&t.s.k, 0, 0, 9, 1, 2.0625); /* the tie is broken where channel 1 counts */
        o = edit_scene_run_as(&t, &t.edit);
        assert_true(scene_get(&o, 0, 0, 0, 0) == scene_get(&t.s.v, 0, 0, 9, 0));
        assert_false(scene_get(&o, 0, 0, 3, 0) == scene_get(&t.s.v, 0, 0, 9, 0));
    }
}

static void set_transfer(edit_scene *t)
{
    t->edit.transfer = VDIT_FROM_Q | VDIT_FROM_K;
}

static void a_map_is_transferred_by_its_queries_and_keys(void **state)
{
    each(state, "transfer", set_transfer);
}

static void set_values(edit_scene *t)
{
    t->edit.transfer = VDIT_FROM_V;
}

static void values_are_replaced(void **state)
{
    each(state, "values", set_values);
}

static void set_first_text(edit_scene *t)
{
    t->edit.first_text = 1;
    t->edit.keys = &t->keys;
}

static void keys_take_part_as_the_sets_say(void **state)
{
    each(state, "keys", set_first_text);
}

static void set_blocks_before(edit_scene *t)
{
    t->edit.dropped_blocks = VDIT_BLOCK_VT | VDIT_BLOCK_TT;
}

static void blocks_dropped_before_the_softmax_renormalise(void **state)
{
    each(state, "blocks before", set_blocks_before);
}

static void set_blocks_after(edit_scene *t)
{
    t->edit.dropped_blocks = VDIT_BLOCK_VT | VDIT_BLOCK_TV;
    t->edit.block_moment = VDIT_AFTER_SOFTMAX;
}

static void blocks_dropped_after_the_softmax_lose_their_mass(void **state)
{
    each(state, "blocks after", set_blocks_after);
}

static void set_threshold(edit_scene *t)
{
    edit_scene_thresholds(t);
}

static void entries_below_the_threshold_are_dropped_and_equal_ones_kept(void **state)
{
    each(state, "threshold", set_threshold);
}

/* Sorts the map's entries with quicksort and takes the threshold where the register says. */
static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

static void a_fraction_takes_its_threshold_from_the_map(void **state)
{
    static const double fractions[] = {0, 0.3, 0.5, 0.99};

    for (size_t i = 0; i < 8; i++) {
        edit_scene t, given;
        vdit_attention call;
        attention_oracle oracle;
        float entries[EDIT_N * EDIT_N];
        size_t rows = i < 4 ? EDIT_N : 1; /* sorted together: the head, or a row */

        edit_scene_start(&t, *state, dtypes[i % 3], "fraction");
        call = t.s.call;
        call.edits = NULL;
        attention_oracle_new(&oracle, &call);
        for (size_t r = 0; r < EDIT_N; r++) {
            attention_oracle_load(&oracle, 0, 0, r);
            for (size_t j = 0; j < EDIT_N; j++)
                entries[r * EDIT_N + j] = (float)attention_oracle_map(&oracle, j);
        }
        attention_oracle_free(&oracle);
        for (size_t r = 0; r < EDIT_N; r += rows)
            qsort(entries + r * EDIT_N, rows * EDIT_N, sizeof *entries, compare);
        for (size_t r = 0; r < EDIT_N; r++)
            ((float *)t.threshold.data)[r] =
                entries[(rows > 1 ? 0 : r * EDIT_N) +
                        (size_t)(fractions[i % 4] * (double)(rows * EDIT_N))];
        given = t;
        given.edit.prune = VDIT_PRUNE_THRESHOLD;
        given.edit.threshold = &t.threshold;
        t.edit.prune = VDIT_PRUNE_FRACTION;
        t.edit.fraction = fractions[i % 4];
        t.edit.scope = rows > 1 ? VDIT_SCOPE_HEAD : VDIT_SCOPE_ROW;
        if (i % 4 == 0) /* nothing is below the least entry either */
            memset(t.threshold.data, 0, EDIT_N * sizeof(float));
        edit_scene_run_as(&t, &t.edit);
        edit_scene_run_as(&given, &given.edit);
        assert_true(scene_equal(&t.s.o, &given.s.o));
    }
}

static void lost_mass_goes_where_the_edit_says(void **state)
{
    static const vdit_lost lost[] = {VDIT_LOST_RENORMALISED, VDIT_LOST_DIAGONAL, VDIT_LOST_UNIFORM};

    for (size_t i = 0; i < 9; i++) {
        edit_scene t;

        edit_scene_start(&t, *state, dtypes[i % 3], "lost");
        edit_scene_thresholds(&t);
        t.edit.lost = lost[i / 3];
        t.edit.prunable = i % 2 ? VDIT_BLOCK_VV | VDIT_BLOCK_TT : 0;
        edit_scene_judge(&t, "lost");
    }
}

static void an_empty_row_is_0_or_keeps_its_maximum(void **state)
{
    for (size_t i = 0; i < 6; i++) {
        edit_scene t;

        edit_scene_start(&t, *state, dtypes[i % 3], "empty");
        for (size_t r = 0; r < EDIT_N; r++)
            ((float *)t.threshold.data)[r] = r % 2 ? 2 : 0;
        t.edit.threshold = &t.threshold;
        t.edit.prune = VDIT_PRUNE_THRESHOLD;
        t.edit.keep_maximum = i > 2;
        edit_scene_judge(&t, "empty");
    }
}

static void set_frozen(edit_scene *t)
{
    t->edit.prune = VDIT_PRUNE_MASK;
    t->edit.keep = &t->keep;
}

static void a_frozen_mask_is_taken_as_it_is(void **state)
{
    each(state, "frozen", set_frozen);
}

static void the_map_is_replaced_by_identity_and_uniform(void **state)
{
    static const double weights[] = {1, 0.75, 0x1.999999999999ap-4};
    static const double alphas[] = {1, 0, 0.25};

    for (int identity = 0; identity < 3; identity++)
        for (int uniform = 0; uniform < 3; uniform++)
            for (size_t i = 0; i < 3; i++) {
                edit_scene t;
                size_t mark = vdit_run_mark(*state);

                edit_scene_start(&t, *state, dtypes[i % 3], "replace");
                t.edit.replace = weights[(i + (size_t)identity) % 3];
                t.edit.alpha = alphas[(i + (size_t)uniform) % 3];
                t.edit.identity = (vdit_identity)identity;
                t.edit.uniform = (vdit_uniform)uniform;
                edit_scene_judge(&t, "replace");
                vdit_run_release(*state, mark);
            }
}

static void set_mix(edit_scene *t)
{
    t->edit.mix = 0.3;
}

static void maps_are_mixed(void **state)
{
    each(state, "mix", set_mix);
}

static void set_align(edit_scene *t)
{
    t->edit.mix = 1;
    t->edit.mix_adds = 1;
    t->edit.align = &t->align;
    t->edit.key_weight = &t->weight;
}

static void a_source_map_is_aligned_and_added_to_a_weighted_one(void **state)
{
    each(state, "align", set_align);
}

static void set_explicit(edit_scene *t)
{
    t->edit.mix = 0.5;
    t->edit.source_map = &t->source_map;
    t->edit.gate = -0.75;
}

static void an_explicit_map_is_mixed_and_gated(void **state)
{
    each(state, "explicit", set_explicit);
}

static void set_all(edit_scene *t)
{
    edit_scene_thresholds(t);
    t->edit.temperature = 1.3;
    t->edit.first_text = 3;
    t->edit.lost = VDIT_LOST_UNIFORM;
    t->edit.key_weight = &t->weight;
    t->edit.replace = 0.4;
    t->edit.alpha = 0.6;
    t->edit.identity = VDIT_IDENTITY_VIDEO_MOVE;
    t->edit.uniform = VDIT_UNIFORM_SEGMENTS;
    t->edit.mix = 0.2;
    t->edit.gate = 0.9;
    t->edit.dropped_blocks = VDIT_BLOCK_TV;
    t->edit.block_moment = VDIT_AFTER_SOFTMAX;
}

static void edits_combine_in_the_documented_order(void **state)
{
    each(state, "all", set_all);
}

/* An edit that is not off, but changes nothing. */
static void strength_0_gives_the_bits_of_the_plain_call(void **state)
{
    for (size_t i = 0; i < 3; i++) {
        edit_scene t;
        vdit_tensor edited;

        edit_scene_start(&t, *state, dtypes[i], "strength 0");
        t.edit.threshold = &t.threshold; /* all 0 */
        t.edit.prune = VDIT_PRUNE_THRESHOLD;
        scene_run(&t.s);
        edited = t.s.o;
        scene_outputs(&t.s, dtypes[i], SCENE_O);
        t.s.call.edits = NULL;
        scene_run(&t.s);
        assert_true(scene_equal(&edited, &t.s.o));
        for (size_t r = 0; r < EDIT_N; r++)
            assert_true(((const float *)t.kept_mass.data)[r] == 1);
    }
}

static void rows_of_the_other_kind_stay_plain(void **state)
{
    vdit_tensor edited, all, none;
    vdit_edit whole;
    edit_scene t;

    edit_scene_start(&t, *state, VDIT_F32, "queries");
    edit_scene_thresholds(&t);
    t.edit.temperature = 0.5;
    whole = t.edit;
    t.edit.queries = VDIT_VIDEO;
    edited = edit_scene_run_as(&t, &t.edit);
    all = edit_scene_run_as(&t, &whole);
    none = edit_scene_run_as(&t, NULL);
    for (size_t r = 0; r < EDIT_N; r++)
        for (size_t c = 0; c < EDIT_DV; c++) {
            double o = scene_get(r < EDIT_VIDEO ? &all : &none, 0, 0, r, c);
            assert_true(scene_get(&edited, 0, 0, r, c) == o);
        }
    assert_false(scene_equal(&all, &none));
}

/* Two batches of three heads, the middle one edited, three rows of each. */
static void each_head_has_its_own_edit(void **state)
{
    const scene_shape shape = {2, 3, EDIT_N, EDIT_N, EDIT_D, EDIT_DV};
    const vdit_dtype f32[3] = {VDIT_F32, VDIT_F32, VDIT_F32};
    const int64_t rows[3] = {16, 2, 2}, length[2] = {EDIT_N, 9};
    const vdit_edit *edits[3] = {NULL, NULL, NULL};
    oracle_random random = oracle_random_start("heads");
    vdit_tensor edited;
    vdit_edit edit;
    scene s;

    scene_start(&s, *state, &shape, f32, &random);
    scene_key_length(&s, length);
    scene_rows(&s, 3, rows);
    scene_outputs(&s, VDIT_F32, SCENE_O | SCENE_LSE | SCENE_MAP);
    vdit_edit_init(&edit);
    edit.replace = 1; /* U over the valid keys */
    edits[1] = &edit;
    s.call.edits = edits;
    scene_run(&s);
    for (size_t b = 0; b < 2; b++)
        for (size_t c = 0; c < EDIT_DV; c++) {
            double o = scene_get(&s.o, b, 1, 0, c);
            assert_true(o == scene_get(&s.o, b, 1, 1, c) && o == scene_get(&s.o, b, 1, 2, c));
            assert_false(scene_get(&s.o, b, 0, 0, c) == scene_get(&s.o, b, 0, 1, c));
        }
    edited = s.o;
    scene_outputs(&s, VDIT_F32, SCENE_O | SCENE_LSE | SCENE_MAP);
    s.call.edits = NULL;
    scene_judge(&s, "without edits");
    for (size_t b = 0; b < 2; b++)
        for (size_t h = 0; h < 3; h += 2)
            for (size_t r = 0; r < 3; r++)
                for (size_t c = 0; c < EDIT_DV; c++)
                    assert_true(scene_get(&edited, b, h, r, c) == scene_get(&s.o, b, h, r, c));
}

static void what_cannot_be_edited_is_refused(void **state)
{
    static const struct {
        size_t row, tensor; /* where a NaN stands: q, k, v */
        double replace;
    } cases[] = {{2, 0, 0}, {3, 1, 0}, {4, 2, 0}, {EDIT_N - 1, 2, 1}};

    for (size_t i = 0; i < 4; i++) {
        const int64_t length[1] = {EDIT_N - 2};
        edit_scene t;
        vdit_tensor *operands[3];

        edit_scene_start(&t, *state, VDIT_F32, "refused");
        operands[0] = &t.s.q;
        operands[1] = &t.s.k;
        operands[2] = &t.s.v;
        scene_key_length(&t.s, length);
        scene_set(operands[cases[i].tensor], 0, 0, cases[i].row, 0, NAN);
        t.edit.gate = 0.5;
        t.edit.replace = cases[i].replace;
        assert_int_equal(vdit_attention_reference(*state, &t.s.call), VDIT_ERR_UNSUPPORTED);
        assert_non_null(strstr(vdit_run_message(*state), "finite"));
        vdit_run_clear(*state);
    }
}

static void what_an_edit_takes_is_estimated(void **state)
{
    vdit_attention_cost plain, edited;
    edit_scene t;

    edit_scene_start(&t, *state, VDIT_F32, "cost");
    vdit_attention_estimate(&plain, *state, &t.s.call); /* an edit that is off */
    t.edit.prune = VDIT_PRUNE_FRACTION;
    t.edit.fraction = 0.5;
    vdit_attention_estimate(&edited, *state, &t.s.call);
    assert_true(edited.entries == 5 * plain.entries);
    assert_true(edited.flops > plain.flops && edited.bytes > plain.bytes);
}

static int open_run(void **state)
{
    *state = vdit_run_new();
    return *state == NULL;
}

static int close_run(void **state)
{
    vdit_run_free(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_run, close_run)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(temperature_divides_the_logits),
        TEST(temperature_0_shares_the_row_among_its_largest_logits),
        TEST(a_map_is_transferred_by_its_queries_and_keys),
        TEST(values_are_replaced),
        TEST(keys_take_part_as_the_sets_say),
        TEST(blocks_dropped_before_the_softmax_renormalise),
        TEST(blocks_dropped_after_the_softmax_lose_their_mass),
        TEST(entries_below_the_threshold_are_dropped_and_equal_ones_kept),
        TEST(a_fraction_takes_its_threshold_from_the_map),
        TEST(lost_mass_goes_where_the_edit_says),
        TEST(an_empty_row_is_0_or_keeps_its_maximum),
        TEST(a_frozen_mask_is_taken_as_it_is),
        TEST(the_map_is_replaced_by_identity_and_uniform),
        TEST(maps_are_mixed),
        TEST(a_source_map_is_aligned_and_added_to_a_weighted_one),
        TEST(an_explicit_map_is_mixed_and_gated),
        TEST(edits_combine_in_the_documented_order),
        TEST(rows_of_the_other_kind_stay_plain),
        TEST(each_head_has_its_own_edit),
        TEST(what_cannot_be_edited_is_refused),
        TEST(what_an_edit_takes_is_estimated),
        TEST(strength_0_gives_the_bits_of_the_plain_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
