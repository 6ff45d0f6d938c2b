/* test_attention.c - the reference against the definition in MPFR: shapes, types, masks, layouts. */
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

/* Each digit of n in base 4 is an extent. */
static scene_shape small_shape(int n)
{
    scene_shape shape = {(size_t)n & 3,      (size_t)n >> 2 & 3, (size_t)n >> 4 & 3,
                         (size_t)n >> 6 & 3, (size_t)n >> 8 & 3, (size_t)n >> 10 & 3};

    return shape;
}

static void every_shape_up_to_three_is_the_definition(void **state)
{
    oracle_random random = oracle_random_start("every_shape_up_to_three_is_the_definition");
    size_t mark = vdit_run_mark(*state);

    for (int n = 0; n < 4096; n++) {
        scene_shape shape = small_shape(n);
        vdit_dtype types[3] = {narrow[n % 3], narrow[n / 3 % 3], narrow[n / 9 % 3]};
        scene_kind kind = n % 2 ? SCENE_NORMAL : SCENE_INTEGER;
        char what[80];
        scene s;

        snprintf(what, sizeof what, "B %zu H %zu Nq %zu Nk %zu d %zu dv %zu", shape.B, shape.H,
                 shape.Nq, shape.Nk, shape.d, shape.dv);
        scene_start(&s, *state, &shape, types, &random);
        scene_fill(&s.q, &random, kind);
        scene_fill(&s.v, &random, kind);
        scene_outputs(&s, narrow[n / 27 % 3], SCENE_ALL);
        scene_judge(&s, what);
        vdit_run_release(*state, mark);
    }
}

static void every_mix_of_types_is_the_definition(void **state)
{
    oracle_random random = oracle_random_start("every_mix_of_types_is_the_definition");
    const scene_shape shape = {1, 1, 5, 37, 9, 5};
    size_t mark = vdit_run_mark(*state);

    for (int n = 0; n < 81; n++) {
        vdit_dtype types[3] = {narrow[n % 3], narrow[n / 3 % 3], narrow[n / 9 % 3]};
        scene s;

        scene_start(&s, *state, &shape, types, &random);
        scene_outputs(&s, narrow[n / 27], SCENE_ALL);
        scene_judge(&s, "types");
        vdit_run_release(*state, mark);
    }
}

/* Sizes around those of panels and tiles: 4, 8, 6, 12, 24, 32, 192. */
static size_t edge_size(oracle_random *random, const size_t *sizes, int count)
{
    return sizes[oracle_int(random, 0, count - 1)] + (size_t)oracle_int(random, 0, 2) - 1;
}

static void random_shapes_are_the_definition(void **state)
{
    static const size_t keys[] = {6, 12, 24, 48, 150, 192, 300, 384};
    static const size_t rows[] = {1, 6, 12, 24, 48}, widths[] = {2, 8, 24, 32, 40, 64};
    oracle_random random = oracle_random_start("random_shapes_are_the_definition");
    size_t mark = vdit_run_mark(*state);

    for (int round = 0; round < 24; round++) {
        scene_shape shape = {1,
                             1 + (size_t)round % 2,
                             edge_size(&random, rows, 5),
                             edge_size(&random, keys, 8),
                             edge_size(&random, widths, 6),
                             edge_size(&random, widths, 4)};
        vdit_dtype types[3];
        scene s;

        for (int i = 0; i < 3; i++)
            types[i] = narrow[oracle_int(&random, 0, 2)];
        scene_start(&s, *state, &shape, types, &random);
        scene_outputs(&s, narrow[oracle_int(&random, 0, 2)], round % 4 ? SCENE_O : SCENE_ALL);
        scene_judge(&s, "random shape");
        vdit_run_release(*state, mark);
    }
}

static void each_output_can_be_asked_for_alone(void **state)
{
    oracle_random random = oracle_random_start("each_output_can_be_asked_for_alone");
    const scene_shape shape = {2, 1, 3, 20, 4, 3};
    size_t mark = vdit_run_mark(*state);

    for (unsigned wanted = 0; wanted <= SCENE_ALL; wanted++) {
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        scene_outputs(&s, VDIT_F32, wanted);
        scene_judge(&s, "outputs");
        vdit_run_release(*state, mark);
    }
}

static void every_scale_is_taken_as_exact(void **state)
{
    static const double scales[] = {
        0,          -0.0,      1,          -1,     0.1,
        -0.3,       0x1p-126,  -0x1p-126,  0x1p10, 0x1.fffffffffffffp126,
        -0x1.8p126, 0x1.23p40, 0x1.8p-100, 1e5,    0x1.0000000000001p0};
    oracle_random random = oracle_random_start("every_scale_is_taken_as_exact");
    const scene_shape shape = {1, 1, 4, 21, 5, 4};
    size_t mark = vdit_run_mark(*state);

    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++)
        for (int tiny = 0; tiny < 2; tiny++) {
            char what[40];
            scene s;

            scene_start(&s, *state, &shape, all_f32, &random);
            if (tiny) { /* logits of ordinary size again */
                scene_fill(&s.q, &random, SCENE_WIDE);
                scene_fill(&s.k, &random, SCENE_SUBNORMAL);
            }
            s.call.scale = scales[i];
            snprintf(what, sizeof what, "scale %a", scales[i]);
            scene_outputs(&s, narrow[i % 3], SCENE_ALL);
            scene_judge(&s, what);
            vdit_run_release(*state, mark);
        }
}

static void key_lengths_cut_each_batch_on_its_own(void **state)
{
    oracle_random random = oracle_random_start("key_lengths_cut_each_batch_on_its_own");
    const scene_shape shape = {9, 1, 3, 200, 6, 5};
    const int64_t lengths[9] = {0, 1, 2, 7, 8, 191, 192, 193, 200};
    size_t mark = vdit_run_mark(*state);
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    scene_key_length(&s, lengths);
    scene_outputs(&s, VDIT_BF16, SCENE_ALL);
    scene_judge(&s, "key lengths");
    vdit_run_release(*state, mark);
}

static void rows_may_repeat_in_any_order(void **state)
{
    oracle_random random = oracle_random_start("rows_may_repeat_in_any_order");
    const scene_shape shape = {1, 2, 31, 50, 6, 5};
    const int64_t rows[] = {30, 0, 0, 17, 5, 30, 29, 5};
    const size_t mask[4] = {1, 1, 31, 50};
    size_t mark = vdit_run_mark(*state);
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    scene_rows(&s, sizeof rows / sizeof *rows, rows);
    scene_mask(&s, VDIT_F32, mask);
    scene_fill(&s.mask, &random, SCENE_NORMAL);
    scene_outputs(&s, VDIT_F32, SCENE_ALL);
    scene_judge(&s, "rows");
    scene_rows(&s, 0, rows);
    scene_outputs(&s, VDIT_F32, SCENE_ALL);
    scene_judge(&s, "no rows");
    vdit_run_release(*state, mark);
}

/* A mask whose axis i is full where bit i of axes is set; its values by kind. */
static void random_mask(scene *s, vdit_dtype dtype, int axes, oracle_random *random)
{
    static const double values[] = {-INFINITY, 0, -1e4, -1.5, 3, -30};
    const size_t full[4] = {s->q.shape[0], s->q.shape[1], s->q.shape[2], s->k.shape[2]};
    size_t shape[4];

    for (int i = 0; i < 4; i++)
        shape[i] = axes >> i & 1 ? full[i] : 1;
    scene_mask(s, dtype, shape);
    for (size_t b = 0; b < shape[0]; b++)
        for (size_t h = 0; h < shape[1]; h++)
            for (size_t i = 0; i < shape[2]; i++)
                for (size_t j = 0; j < shape[3]; j++)
                    scene_set(&s->mask, b, h, i, j,
                              dtype == VDIT_BOOL ? oracle_int(random, 0, 1)
                                                 : values[oracle_int(random, 0, 5)]);
}

static void masks_broadcast_on_every_axis(void **state)
{
    static const vdit_dtype types[4] = {VDIT_BOOL, VDIT_F32, VDIT_BF16, VDIT_F16};
    oracle_random random = oracle_random_start("masks_broadcast_on_every_axis");
    const scene_shape shape = {2, 2, 3, 26, 4, 3};
    size_t mark = vdit_run_mark(*state);

    for (int n = 0; n < 64; n++) {
        char what[60];
        scene s;

        snprintf(what, sizeof what, "%s mask, axes %d", vdit_dtype_name(types[n / 16]), n % 16);
        scene_start(&s, *state, &shape, all_f32, &random);
        random_mask(&s, types[n / 16], n % 16, &random);
        scene_outputs(&s, VDIT_F32, SCENE_ALL);
        scene_judge(&s, what);
        vdit_run_release(*state, mark);
    }
}

/* Rows without a key; rows that attend only to the far end; a finite mask that hides everything. */
static void masked_rows_are_the_definition(void **state)
{
    oracle_random random = oracle_random_start("masked_rows_are_the_definition");
    const scene_shape shape = {1, 1, 8, 400, 5, 4};
    const size_t mask[4] = {1, 1, 8, 400};
    size_t mark = vdit_run_mark(*state);
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    scene_mask(&s, VDIT_F32, mask);
    for (size_t j = 0; j < 400; j++) {
        scene_set(&s.mask, 0, 0, 0, j, -INFINITY);
        scene_set(&s.mask, 0, 0, 1, j, j == 399 ? 0 : -INFINITY);
        scene_set(&s.mask, 0, 0, 2, j, j == 0 ? -5 : -INFINITY);
        scene_set(&s.mask, 0, 0, 3, j, -0x1.fffffep127);
        scene_set(&s.mask, 0, 0, 4, j, j == 250 ? 0 : -0x1.fffffep127);
        scene_set(&s.mask, 0, 0, 5, j, -1e4);
        scene_set(&s.mask, 0, 0, 6, j, -(double)j);
        scene_set(&s.mask, 0, 0, 7, j, j < 200 ? -1e30 : 1e-30);
    }
    scene_outputs(&s, VDIT_F32, SCENE_ALL);
    scene_judge(&s, "masked rows");
    assert_true(scene_get(&s.lse, 0, 0, 0, 0) == -INFINITY);
    vdit_run_release(*state, mark);
}

static void layouts_do_not_matter(void **state)
{
    oracle_random random = oracle_random_start("layouts_do_not_matter");
    const scene_shape shape = {2, 3, 7, 30, 5, 4};
    size_t mark = vdit_run_mark(*state);
    scene s;

    for (int layout = SCENE_TOKENS_FIRST; layout <= SCENE_GAPS; layout++) {
        scene_start(&s, *state, &shape, all_f32, &random);
        s.q = scene_tensor(*state, VDIT_F16, s.q.shape, (scene_layout)layout);
        s.k = scene_tensor(*state, VDIT_F32, s.k.shape, (scene_layout)layout);
        s.v = scene_tensor(*state, VDIT_BF16, s.v.shape, (scene_layout)layout);
        scene_fill(&s.q, &random, SCENE_NORMAL);
        scene_fill(&s.k, &random, SCENE_NORMAL);
        scene_fill(&s.v, &random, SCENE_NORMAL);
        s.k.stride[1] = 0; /* heads share keys and values */
        s.v.stride[1] = 0;
        random_mask(&s, VDIT_BOOL, 15, &random);
        scene_outputs(&s, VDIT_F32, SCENE_ALL);
        s.o = scene_tensor(*state, VDIT_F32, s.o.shape, (scene_layout)layout);
        s.map = scene_tensor(*state, VDIT_F32, s.map.shape, (scene_layout)layout);
        s.sigma = scene_tensor(*state, VDIT_BF16, s.sigma.shape, (scene_layout)layout);
        scene_judge(&s, layout == SCENE_GAPS ? "gaps" : "tokens first");
        for (size_t i = 1; layout == SCENE_GAPS && i < 8; i += 2) /* next to the first elements */
            assert_int_equal(((unsigned char *)s.o.data)[4 + i % 4], 0xa5);
    }
    vdit_run_release(*state, mark);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_shape_up_to_three_is_the_definition, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(every_mix_of_types_is_the_definition, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(random_shapes_are_the_definition, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(each_output_can_be_asked_for_alone, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(every_scale_is_taken_as_exact, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(key_lengths_cut_each_batch_on_its_own, scene_open,
                                        scene_close),
        cmocka_unit_test_setup_teardown(rows_may_repeat_in_any_order, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(masks_broadcast_on_every_axis, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(masked_rows_are_the_definition, scene_open, scene_close),
        cmocka_unit_test_setup_teardown(layouts_do_not_matter, scene_open, scene_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
