/*
 * test_attention_errors.c - each way to call attention wrongly: its status, the tensor that its message
 * names, and outputs that nobody touched.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "attention_scene.h"

static const vdit_dtype all_f32[3] = {VDIT_F32, VDIT_F32, VDIT_F32};
static const scene_shape plain = {2, 2, 5, 7, 4, 3};

typedef vdit_status attend(vdit_run *run, const vdit_attention *call);

/* A call with everything in it; its spare tensors for cases to put in. */
static void full_scene(scene *s, vdit_run *run)
{
    static const int64_t lengths[2] = {7, 3}, rows[3] = {4, 0, 2};
    const size_t mask[4] = {2, 1, 5, 7};
    oracle_random random = oracle_random_start("full_scene");

    scene_start(s, run, &plain, all_f32, &random);
    scene_key_length(s, lengths);
    scene_rows(s, 3, rows);
    scene_mask(s, VDIT_F32, mask);
    scene_outputs(s, VDIT_F32, SCENE_ALL);
}

static void set_integer(vdit_tensor *t, size_t i, int64_t value)
{
    memcpy((char *)t->data + i * sizeof value, &value, sizeof value);
}

/* What a case does to the call. */
static void q_of_rank_3(scene *s)
{
    s->q.rank = 3;
}
static void k_of_rank_5(scene *s)
{
    s->k.rank = 5;
    s->k.shape[4] = 1;
}
static void v_of_rank_0(scene *s)
{
    s->v.rank = 0;
}
static void q_of_f64(scene *s)
{
    s->q.dtype = VDIT_F64;
}
static void k_of_i32(scene *s)
{
    s->k.dtype = VDIT_I32;
}
static void v_of_bool(scene *s)
{
    s->v.dtype = VDIT_BOOL;
}
static void k_of_other_batch(scene *s)
{
    s->k.shape[0] = 1;
}
static void k_of_other_heads(scene *s)
{
    s->k.shape[1] = 1;
}
static void k_of_other_width(scene *s)
{
    s->k.shape[3] = 3;
}
static void v_of_other_batch(scene *s)
{
    s->v.shape[0] = 1;
}
static void v_of_other_heads(scene *s)
{
    s->v.shape[1] = 3;
}
static void v_of_other_keys(scene *s)
{
    s->v.shape[2] = 6;
}
static void scale_nan(scene *s)
{
    s->call.scale = NAN;
}
static void scale_infinite(scene *s)
{
    s->call.scale = -INFINITY;
}
static void scale_too_small(scene *s)
{
    s->call.scale = 0x1.fffffffffffffp-127;
}
static void scale_too_large(scene *s)
{
    s->call.scale = -0x1p127;
}
static void mask_of_rank_3(scene *s)
{
    s->mask.rank = 3;
}
static void mask_of_f64(scene *s)
{
    s->mask.dtype = VDIT_F64;
}
static void mask_of_u8(scene *s)
{
    s->mask.dtype = VDIT_U8;
}
static void mask_of_other_batch(scene *s)
{
    s->mask.shape[0] = 3;
}
static void mask_of_other_heads(scene *s)
{
    s->mask.shape[1] = 0;
}
static void mask_of_other_rows(scene *s)
{
    s->mask.shape[2] = 3; /* as many as are asked for, but the mask's axis is that of all */
}
static void mask_of_other_keys(scene *s)
{
    s->mask.shape[3] = 6;
}
static void mask_nan(scene *s)
{
    scene_set(&s->mask, 1, 0, 3, 6, NAN);
}
static void mask_infinite(scene *s)
{
    scene_set(&s->mask, 1, 0, 4, 6, INFINITY);
}
static void length_of_i32(scene *s)
{
    s->key_length.dtype = VDIT_I32;
}
static void length_of_rank_2(scene *s)
{
    s->key_length.rank = 2;
    s->key_length.shape[1] = 1;
}
static void length_of_other_batch(scene *s)
{
    s->key_length.shape[0] = 1;
}
static void length_negative(scene *s)
{
    set_integer(&s->key_length, 1, -1);
}
static void length_too_large(scene *s)
{
    set_integer(&s->key_length, 1, 8);
}
static void rows_of_i32(scene *s)
{
    s->rows.dtype = VDIT_I32;
}
static void rows_of_rank_2(scene *s)
{
    s->rows.rank = 2;
    s->rows.shape[1] = 1;
}
static void rows_negative(scene *s)
{
    set_integer(&s->rows, 2, INT64_MIN);
}
static void rows_too_large(scene *s)
{
    set_integer(&s->rows, 2, 5);
}
static void rows_of_no_query(scene *s)
{
    s->q.shape[2] = 0;
}
static void o_of_rank_3(scene *s)
{
    s->o.rank = 3;
}
static void o_of_other_shape(scene *s)
{
    s->o.shape[2] = 5;
}
static void o_of_f64(scene *s)
{
    s->o.dtype = VDIT_F64;
}
static void lse_of_rank_4(scene *s)
{
    s->lse.rank = 4;
}
static void lse_of_bf16(scene *s)
{
    s->lse.dtype = VDIT_BF16;
}
static void map_of_other_shape(scene *s)
{
    s->map.shape[3] = 3;
}
static void map_of_f16(scene *s)
{
    s->map.dtype = VDIT_F16;
}
static void sigma_of_other_shape(scene *s)
{
    s->sigma.shape[3] = 7;
}
static void sigma_of_f32(scene *s)
{
    s->sigma.dtype = VDIT_F32;
}
static void noise_nan(scene *s)
{
    s->call.noise.p_sub = NAN;
}
static void noise_negative(scene *s)
{
    s->call.noise.sum_unit = -0x1p-24;
}
static void noise_infinite(scene *s)
{
    s->call.noise.p_unit = INFINITY;
}

static const struct {
    void (*spoil)(scene *s);
    vdit_status status;
    const char *names; /* what the message starts with */
} cases[] = {
    {q_of_rank_3, VDIT_ERR_SHAPE, "q "},
    {k_of_rank_5, VDIT_ERR_SHAPE, "k "},
    {v_of_rank_0, VDIT_ERR_SHAPE, "v "},
    {q_of_f64, VDIT_ERR_DTYPE, "q "},
    {k_of_i32, VDIT_ERR_DTYPE, "k "},
    {v_of_bool, VDIT_ERR_DTYPE, "v "},
    {k_of_other_batch, VDIT_ERR_SHAPE, "k "},
    {k_of_other_heads, VDIT_ERR_SHAPE, "k "},
    {k_of_other_width, VDIT_ERR_SHAPE, "k "},
    {v_of_other_batch, VDIT_ERR_SHAPE, "v "},
    {v_of_other_heads, VDIT_ERR_SHAPE, "v "},
    {v_of_other_keys, VDIT_ERR_SHAPE, "v "},
    {scale_nan, VDIT_ERR_ARGUMENT, "scale "},
    {scale_infinite, VDIT_ERR_ARGUMENT, "scale "},
    {scale_too_small, VDIT_ERR_ARGUMENT, "scale "},
    {scale_too_large, VDIT_ERR_ARGUMENT, "scale "},
    {mask_of_rank_3, VDIT_ERR_SHAPE, "mask "},
    {mask_of_f64, VDIT_ERR_DTYPE, "mask "},
    {mask_of_u8, VDIT_ERR_DTYPE, "mask "},
    {mask_of_other_batch, VDIT_ERR_SHAPE, "mask "},
    {mask_of_other_heads, VDIT_ERR_SHAPE, "mask "},
    {mask_of_other_rows, VDIT_ERR_SHAPE, "mask "},
    {mask_of_other_keys, VDIT_ERR_SHAPE, "mask "},
    {mask_nan, VDIT_ERR_ARGUMENT, "mask[1, 0, 3, 6] "},
    {mask_infinite, VDIT_ERR_ARGUMENT, "mask[1, 0, 4, 6] "},
    {length_of_i32, VDIT_ERR_DTYPE, "key_length "},
    {length_of_rank_2, VDIT_ERR_SHAPE, "key_length "},
    {length_of_other_batch, VDIT_ERR_SHAPE, "key_length "},
    {length_negative, VDIT_ERR_ARGUMENT, "key_length[1] "},
    {length_too_large, VDIT_ERR_ARGUMENT, "key_length[1] "},
    {rows_of_i32, VDIT_ERR_DTYPE, "rows "},
    {rows_of_rank_2, VDIT_ERR_SHAPE, "rows "},
    {rows_negative, VDIT_ERR_ARGUMENT, "rows[2] "},
    {rows_too_large, VDIT_ERR_ARGUMENT, "rows[2] "},
    {rows_of_no_query, VDIT_ERR_ARGUMENT, "rows "},
    {o_of_rank_3, VDIT_ERR_SHAPE, "o "},
    {o_of_other_shape, VDIT_ERR_SHAPE, "o "},
    {o_of_f64, VDIT_ERR_DTYPE, "o "},
    {lse_of_rank_4, VDIT_ERR_SHAPE, "lse "},
    {lse_of_bf16, VDIT_ERR_DTYPE, "lse "},
    {map_of_other_shape, VDIT_ERR_SHAPE, "map "},
    {map_of_f16, VDIT_ERR_DTYPE, "map "},
    {sigma_of_other_shape, VDIT_ERR_SHAPE, "sigma "},
    {sigma_of_f32, VDIT_ERR_DTYPE, "sigma "},
    {noise_nan, VDIT_ERR_ARGUMENT, "noise.p_sub "},
    {noise_negative, VDIT_ERR_ARGUMENT, "noise.sum_unit "},
    {noise_infinite, VDIT_ERR_ARGUMENT, "noise.p_unit "},
};

/* Returns: 1 if count bytes are all as scene_tensor left them. */
static int is_untouched(const void *data, size_t count)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < count; i++)
        if (bytes[i] != 0xa5)
            return 0;
    return 1;
}

static void assert_untouched(const scene *s, size_t case_number)
{
    int untouched = is_untouched(s->o.data, 2 * 2 * 3 * 3 * sizeof(float)) &&
                    is_untouched(s->lse.data, 2 * 2 * 3 * sizeof(float)) &&
                    is_untouched(s->map.data, 2 * 2 * 3 * 7 * sizeof(float)) &&
                    is_untouched(s->sigma.data, 2 * 2 * 3 * 3 * sizeof(uint16_t));

    if (!untouched)
        fail_msg("case %zu touched an output", case_number);
}

static void each_error_names_its_tensor_and_touches_nothing(void **state)
{
    static attend *const functions[3] = {vdit_attention_check, vdit_attention_reference,
                                         vdit_attention_fast};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int f = 0; f < 3; f++) {
            size_t mark = vdit_run_mark(*state), before;
            scene s;

            full_scene(&s, *state);
            before = vdit_run_mark(*state);
            cases[i].spoil(&s);
            if (functions[f](*state, &s.call) != cases[i].status ||
                strncmp(vdit_run_message(*state), cases[i].names, strlen(cases[i].names)) != 0)
                fail_msg("case %zu: %s: %s", i, vdit_status_name(vdit_run_status(*state)),
                         vdit_run_message(*state));
            assert_int_equal(vdit_run_mark(*state), before);
            assert_untouched(&s, i);
            vdit_run_clear(*state);
            vdit_run_release(*state, mark);
        }
}

static void the_call_without_an_error_is_fine(void **state)
{
    scene s;

    full_scene(&s, *state);
    assert_int_equal(vdit_attention_check(*state, &s.call), VDIT_OK);
    scene_judge(&s, "no error");
}

static void sizes_beyond_the_limits_are_refused(void **state)
{
    scene s;

    full_scene(&s, *state);
    s.call.key_length = s.call.rows = s.call.mask = NULL;
    s.q.shape[3] = s.k.shape[3] = ((size_t)1 << 20) + 1;
    assert_int_equal(vdit_attention_check(*state, &s.call), VDIT_ERR_LIMIT);
    vdit_run_clear(*state);
    full_scene(&s, *state);
    s.call.key_length = s.call.rows = s.call.mask = NULL;
    s.k.shape[2] = s.v.shape[2] = (size_t)UINT32_MAX / 2 + 1;
    assert_int_equal(vdit_attention_check(*state, &s.call), VDIT_ERR_LIMIT);
}

static void a_run_that_failed_touches_nothing(void **state)
{
    scene s;

    full_scene(&s, *state);
    vdit_run_fail(*state, VDIT_ERR_IO, "before");
    assert_int_equal(vdit_attention_reference(*state, &s.call), VDIT_ERR_IO);
    s.call.sigma = NULL;
    assert_int_equal(vdit_attention_fast(*state, &s.call), VDIT_ERR_IO);
    assert_string_equal(vdit_run_message(*state), "before");
    assert_untouched(&s, 0);
}

static void fast_has_no_sigma(void **state)
{
    scene s;

    full_scene(&s, *state);
    assert_int_equal(vdit_attention_fast(*state, &s.call), VDIT_ERR_UNSUPPORTED);
    assert_untouched(&s, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_close)
    const struct CMUnitTest tests[] = {
        TEST(each_error_names_its_tensor_and_touches_nothing),
        TEST(the_call_without_an_error_is_fine),
        TEST(sizes_beyond_the_limits_are_refused),
        TEST(a_run_that_failed_touches_nothing),
        TEST(fast_has_no_sigma),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
