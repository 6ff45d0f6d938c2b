/* test_edit_report.c - what edits say of themselves beside the output. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "attention/walk.h"
#include "edit_scene.h"

/* The rows that are not edited keep all; those that are, what the edit of the whole head keeps. */
static void rows_of_the_other_kind_report_that_all_is_kept(void **state)
{
    edit_scene t, whole;

    edit_scene_start(&whole, *state, VDIT_F32, "queries");
    edit_scene_thresholds(&whole);
    scene_run(&whole.s);
    edit_scene_start(&t, *state, VDIT_F32, "queries");
    edit_scene_thresholds(&t);
    t.edit.queries = VDIT_VIDEO;
    scene_run(&t.s);
    for (size_t r = 0; r < EDIT_N; r++) {
        const size_t index[4] = {0, 0, r, 0};
        int edited = r < EDIT_VIDEO;
        float mass = edited ? ((const float *)whole.kept_mass.data)[r] : 1;

        assert_true(((const float *)t.kept_mass.data)[r] == mass);
        assert_int_equal(((const int64_t *)t.masked.data)[r],
                         edited ? ((const int64_t *)whole.masked.data)[r] : 0);
        assert_memory_equal(vdit_tensor_at(&t.bits, index),
                            edited ? vdit_tensor_at(&whole.bits, index) : "\377\377\1", 3);
    }
}

static void the_renormalised_output_stands_beside_the_other(void **state)
{
    vdit_tensor beside, lost;
    edit_scene t;

    edit_scene_start(&t, *state, VDIT_F32, "renormalised");
    edit_scene_thresholds(&t);
    beside = scene_tensor(t.s.run, VDIT_F32, t.s.o.shape, SCENE_DENSE);
    t.report.renormalised = &beside;
    lost = edit_scene_run_as(&t, &t.edit);
    t.report.renormalised = NULL;
    t.edit.lost = VDIT_LOST_RENORMALISED;
    assert_false(scene_equal(&lost, &beside));
    lost = edit_scene_run_as(&t, &t.edit);
    assert_true(scene_equal(&lost, &beside));
}

static void a_mask_before_the_softmax_is_scored_on_the_dense_map(void **state)
{
    const size_t rows[3] = {1, 1, EDIT_N};
    vdit_tensor dense;
    edit_scene t;

    edit_scene_start(&t, *state, VDIT_F32, "dense mass");
    dense = edit_scene_tensor(&t, VDIT_F32, 3, rows);
    t.report.dense_mass = &dense;
    t.edit.dropped_blocks = VDIT_BLOCK_VT | VDIT_BLOCK_TV;
    scene_run(&t.s);
    t.report.dense_mass = NULL;
    t.edit.block_moment = VDIT_AFTER_SOFTMAX;
    scene_run(&t.s);
    assert_true(scene_equal(&dense, &t.kept_mass));
    for (size_t r = 0; r < EDIT_N; r++)
        assert_true(((const float *)dense.data)[r] > 0 && ((const float *)dense.data)[r] < 1);
}

/* Off, and masks before the softmax: nothing of the report depends on what the operands hold. */
static void a_report_without_a_mask_after_the_softmax_takes_what_is_not_finite(void **state)
{
    const int64_t length[1] = {EDIT_N - 2};

    for (int masked = 0; masked < 2; masked++) {
        edit_scene t;
        const size_t rows[3] = {1, 1, EDIT_N};
        vdit_tensor with, without, dense;

        edit_scene_start(&t, *state, VDIT_F32, "not finite");
        dense = edit_scene_tensor(&t, VDIT_F32, 3, rows);
        t.report.dense_mass = masked ? NULL : &dense;
        scene_key_length(&t.s, length);
        scene_set(&t.s.q, 0, 0, 2, 0, NAN);
        scene_set(&t.s.k, 0, 0, 3, 1, -INFINITY);
        scene_set(&t.s.v, 0, 0, 4, 2, INFINITY);
        t.edit.dropped_blocks = masked ? VDIT_BLOCK_TV | VDIT_BLOCK_TT : 0;
        with = edit_scene_run_as(&t, &t.edit);
        for (size_t r = 0; r < EDIT_N; r++) {
            const size_t index[4] = {0, 0, r, 0};
            int is_empty = masked && r >= EDIT_VIDEO;

            assert_true(((const float *)t.kept_mass.data)[r] == !is_empty);
            assert_true(((const int64_t *)t.masked.data)[r] == 0);
            assert_true(masked || ((const float *)dense.data)[r] == 1);
            assert_memory_equal(vdit_tensor_at(&t.bits, index), is_empty ? "\0\0" : "\377\177", 2);
        }
        t.s.call.report = NULL;
        without = edit_scene_run_as(&t, &t.edit);
        assert_true(scene_equal(&with, &without));
        assert_true(isnan(scene_get(&with, 0, 0, 2, 0)));
    }
}

/* The e of doc/numerics.md, 6.2, of normal f32 numbers: the largest of a block of rows. */
static double entry_error(vdit_run *run, size_t keys, size_t width)
{
    const scene_shape shape = {1, 1, 64, keys, width, 1};
    const vdit_dtype f32[3] = {VDIT_F32, VDIT_F32, VDIT_F32};
    oracle_random random = oracle_random_start("entry_error");
    size_t mark = vdit_run_mark(run);
    double most = 0;
    vdit_head head;
    vdit_walk walk;
    scene s;

    scene_start(&s, run, &shape, f32, &random);
    assert_int_equal(vdit_head_new(run, &head, &s.call), VDIT_OK);
    vdit_head_load(run, &head, 0, 0);
    assert_int_equal(vdit_walk_new(run, &walk, &head), VDIT_OK);
    vdit_walk_load(&walk, 0, head.kernel->nr, 0);
    for (size_t lane = 0; lane < head.kernel->nr; lane++)
        most = fmax(most, walk.error[lane]);
    vdit_run_release(run, mark);
    return most;
}

static void entries_are_known_well_enough_to_be_compared(void **state)
{
    const size_t shapes[][2] = {{512, 64}, {4096, 128}, {32760, 128}};

    for (size_t i = 0; i < 3; i++) {
        double e = entry_error(*state, shapes[i][0], shapes[i][1]);

        print_message("# an entry of %zu keys of width %zu is known to 2^%.1f of itself\n",
                      shapes[i][0], shapes[i][1], log2(e));
        assert_true(e > 0 && e < 0x1p-38);
    }
}

static int open_run(void **state)
{
    *state = vdit_run_new();
    vdit_run_set_threads(*state, 2);
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
        TEST(rows_of_the_other_kind_report_that_all_is_kept),
        TEST(the_renormalised_output_stands_beside_the_other),
        TEST(a_mask_before_the_softmax_is_scored_on_the_dense_map),
        TEST(a_report_without_a_mask_after_the_softmax_takes_what_is_not_finite),
        TEST(entries_are_known_well_enough_to_be_compared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
