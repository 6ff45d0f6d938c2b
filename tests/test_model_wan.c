/* test_model_wan.c - Wan: names, counts, what is refused, and what may and may not change a result. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "denoiser.h"

/* As vdit-wan(7) and the module tree of diffusers 0.42.1 have them, without dropout; sites add theirs. */
static const char before[] =
    "rope[0] rope[1] patch_embedding condition_embedder.timesteps_proj "
    "condition_embedder.time_embedder.linear_1 condition_embedder.time_embedder.act "
    "condition_embedder.time_embedder.linear_2 condition_embedder.time_embedder "
    "condition_embedder.act_fn condition_embedder.time_proj "
    "condition_embedder.text_embedder.linear_1 condition_embedder.text_embedder.act_1 "
    "condition_embedder.text_embedder.linear_2 condition_embedder.text_embedder "
    "condition_embedder[0] condition_embedder[1] condition_embedder[2]";
static const char in_block[] =
    "norm1 attn1.to_q attn1.to_k attn1.to_v attn1.norm_q attn1.norm_k attn1/q attn1/k attn1/v "
    "attn1/o attn1.to_out.0 attn1 norm2 attn2.to_q attn2.to_k attn2.to_v attn2.norm_q "
    "attn2.norm_k attn2/q attn2/k attn2/v attn2/o attn2.to_out.0 attn2 norm3 ffn.net.0.proj "
    "ffn.net.0 ffn.net.2 ffn";

#define COUNT(list) (sizeof(list) / sizeof *(list))

static void activations_have_the_names_of_the_original_in_its_order(void **state)
{
    denoiser d;
    const vdit_named *next = d.trace;

    (void)state;
    denoiser_open(&d, "wan", NULL, (vdit_extents){1, 1, 2, 4, 3});
    denoiser_run(&d);
    next = denoiser_names(next, "", before);
    for (int layer = 0; layer < 2; layer++) {
        next = denoiser_names(next, layer == 0 ? "blocks.0." : "blocks.1.", in_block);
        next = denoiser_names(next, "blocks.", layer == 0 ? "0" : "1");
    }
    next = denoiser_names(next, "", "norm_out proj_out");
    assert_int_equal(d.trace_count, next - d.trace);
    denoiser_close(&d);
}

/* Origin of the numbers: the constructor of diffusers 0.42.1 with these configurations. */
static void sizes_have_the_parameters_of_the_original(void **state)
{
    (void)state;
    denoiser_counts("wan", "tiny", 69, 25592);
    denoiser_counts("wan", "1.3B", 825, 1418996800.);
    denoiser_counts("wan", "14B", 1095, 14288491584.);
}

static void a_batch_gives_the_bits_of_its_samples_alone(void **state)
{
    static const size_t order[] = {2, 0, 1};
    const vdit_extents three = {3, 2, 6, 4, 5}, one = {1, 2, 6, 4, 5};
    denoiser all, alone, turned;

    (void)state;
    denoiser_open(&all, "wan", NULL, three);
    denoiser_open(&turned, "wan", NULL, three);
    denoiser_open(&alone, "wan", NULL, one);
    for (size_t i = 0; i < 3; i++)
        denoiser_take(&turned, i, &all, order[i]);
    denoiser_run(&all);
    denoiser_run(&turned);
    for (size_t i = 0; i < 3; i++) {
        denoiser_take(&alone, 0, &all, i);
        denoiser_run(&alone);
        assert_true(denoiser_same(&alone.output, 0, &all.output, i));
        assert_true(denoiser_same(&turned.output, i, &all.output, order[i]));
    }
    assert_false(denoiser_same(&all.output, 0, &all.output, 1));
    denoiser_close(&all);
    denoiser_close(&turned);
    denoiser_close(&alone);
}

static void bits_do_not_depend_on_threads(void **state)
{
    const vdit_extents odd = {1, 3, 10, 6, 7}; /* 3 x 5 x 3 tokens */
    denoiser one, three;

    (void)state;
    denoiser_open(&one, "wan", NULL, odd);
    denoiser_open(&three, "wan", NULL, odd);
    vdit_run_set_threads(one.run, 1);
    vdit_run_set_threads(three.run, 3);
    denoiser_run(&one);
    denoiser_run(&three);
    for (size_t i = 0; i < one.trace_count; i++)
        assert_true(denoiser_same(&one.trace[i].tensor, 0, &three.trace[i].tensor, 0));
    assert_true(denoiser_same(&one.output, 0, &three.output, 0));
    denoiser_close(&one);
    denoiser_close(&three);
}

/* The channel runs fastest in a token: with the weights of proj_out all else is where it was. */
static void tokens_become_the_patches_that_they_came_from(void **state)
{
    static const char *const settings[] = {"patch_size=[2, 1, 3]", "out_channels=2", NULL};
    const vdit_extents extents = {1, 4, 2, 6, 2}; /* 2 x 2 x 2 tokens of 2 x 1 x 3 x 2 */
    const vdit_tensor *tokens;
    denoiser d;

    (void)state;
    denoiser_open(&d, "wan", settings, extents);
    denoiser_run(&d);
    tokens = denoiser_find(&d, "proj_out");
    for (size_t c = 0; c < 2; c++)
        for (size_t f = 0; f < 4; f++)
            for (size_t y = 0; y < 2; y++)
                for (size_t x = 0; x < 6; x++) {
                    size_t n = (f / 2 * 2 + y) * 2 + x / 3, i = (f % 2 * 3 + x % 3) * 2 + c;

                    assert_true(denoiser_value(&d.output, ((c * 4 + f) * 2 + y) * 6 + x) ==
                                denoiser_value(tokens, n * 12 + i));
                }
    denoiser_close(&d);
}

/* There is no mask: a row of zeros is attended like the others. */
static void a_padded_row_of_text_changes_the_video(void **state)
{
    denoiser with, without;

    (void)state;
    denoiser_open(&with, "wan", NULL, (vdit_extents){1, 1, 4, 4, 4});
    denoiser_open(&without, "wan", NULL, (vdit_extents){1, 1, 4, 4, 3});
    memcpy(without.latents.data, with.latents.data, 4 * 4 * 4 * 4);
    memcpy(with.text.data, without.text.data, 3 * 16 * 4);
    memset((char *)with.text.data + 3 * 16 * 4, 0, 16 * 4);
    denoiser_run(&with);
    denoiser_run(&without);
    assert_true(denoiser_same(denoiser_find(&with, "blocks.0.attn1"), 0,
                              denoiser_find(&without, "blocks.0.attn1"), 0));
    assert_false(denoiser_same(&with.output, 0, &without.output, 0));
    denoiser_close(&with);
    denoiser_close(&without);
}

static void without_cross_attn_norm_norm2_is_the_identity(void **state)
{
    static const char *const settings[] = {"cross_attn_norm=false", NULL};
    vdit_model_survey survey;
    denoiser d;

    (void)state;
    denoiser_open(&d, "wan", settings, (vdit_extents){1, 1, 2, 2, 1});
    vdit_model_survey_of(d.run, d.model, &d.extents, VDIT_F32, &survey);
    assert_int_equal(survey.weight_count, 69 - 4);
    d.call.dtype = VDIT_BF16;
    denoiser_run(&d);
    assert_int_equal(denoiser_find(&d, "blocks.1.norm2")->dtype, VDIT_BF16);
    denoiser_close(&d);
}

/* What the original keeps in f32, and what it rounds. */
static void a_policy_rounds_what_the_original_rounds(void **state)
{
    static const char *const single[] = {"rope[0]",
                                         "condition_embedder.timesteps_proj",
                                         "condition_embedder.time_embedder.act",
                                         "condition_embedder.time_embedder",
                                         "blocks.0.norm1",
                                         "blocks.1.norm2",
                                         "blocks.1.norm3",
                                         "norm_out"};
    static const char *const half[] = {"patch_embedding",
                                       "condition_embedder[0]",
                                       "condition_embedder[1]",
                                       "condition_embedder[2]",
                                       "blocks.0.attn1.norm_q",
                                       "blocks.0.attn1/q",
                                       "blocks.0.attn1/o",
                                       "blocks.1.ffn.net.0",
                                       "blocks.1",
                                       "proj_out"};
    static const vdit_dtype policies[] = {VDIT_BF16, VDIT_F16};
    denoiser d;

    (void)state;
    denoiser_open(&d, "wan", NULL, (vdit_extents){2, 1, 4, 6, 3});
    for (size_t p = 0; p < COUNT(policies); p++) {
        d.call.dtype = policies[p];
        denoiser_run(&d);
        for (size_t i = 0; i < COUNT(single); i++)
            assert_int_equal(denoiser_find(&d, single[i])->dtype, VDIT_F32);
        for (size_t i = 0; i < COUNT(half); i++)
            assert_int_equal(denoiser_find(&d, half[i])->dtype, policies[p]);
        for (size_t i = 0; i < vdit_tensor_count(&d.output); i++)
            assert_true(denoiser_value(&d.output, i) ==
                        vdit_round_f64(policies[p], denoiser_value(&d.output, i)));
    }
    denoiser_close(&d);
}

/* Their weights are kept in f32, and so is what they compute. */
static void time_is_embedded_in_f32_in_every_policy(void **state)
{
    static const char *const kept[] = {"condition_embedder.timesteps_proj",
                                       "condition_embedder.time_embedder"};
    denoiser single, half;

    (void)state;
    denoiser_open(&single, "wan", NULL, (vdit_extents){1, 1, 2, 2, 1});
    denoiser_open(&half, "wan", NULL, (vdit_extents){1, 1, 2, 2, 1});
    half.call.dtype = VDIT_BF16;
    denoiser_run(&single);
    denoiser_run(&half);
    for (size_t i = 0; i < COUNT(kept); i++)
        assert_true(
            denoiser_same(denoiser_find(&single, kept[i]), 0, denoiser_find(&half, kept[i]), 0));
    denoiser_close(&single);
    denoiser_close(&half);
}

static void extents_that_do_not_fit_are_refused(void **state)
{
    denoiser d;

    (void)state;
    denoiser_open(&d, "wan", NULL, (vdit_extents){1, 1, 2, 2, 1});
    denoiser_extents_refused(&d, (vdit_extents){1, 1, 3, 2, 1},
                             "wan: height 3, expected a positive multiple of the patch's 2");
    denoiser_extents_refused(&d, (vdit_extents){1, 1, 0, 2, 1},
                             "wan: height 0, expected a positive multiple of the patch's 2");
    denoiser_extents_refused(&d, (vdit_extents){1, 1, 4, 7, 1},
                             "wan: width 7, expected a positive multiple of the patch's 2");
    denoiser_extents_refused(&d, (vdit_extents){1, 33, 4, 4, 1},
                             "wan: frames 33, expected at most 32 (rope_max_seq_len)");
    denoiser_extents_refused(&d, (vdit_extents){1, 1, 66, 4, 1},
                             "wan: height 66, expected at most 64 (rope_max_seq_len)");
    denoiser_extents_refused(&d, (vdit_extents){SIZE_MAX / 2, 1, 64, 64, 1},
                             "forward: an input or output is too large to be addressed");
    denoiser_close(&d);
}

static void inputs_that_do_not_fit_are_refused(void **state)
{
    denoiser d;
    vdit_tensor wrong;

    (void)state;
    denoiser_open(&d, "wan", NULL, (vdit_extents){2, 1, 2, 2, 3});
    d.call.timestep = NULL;
    assert_string_equal(denoiser_fail(&d), "forward: timestep is missing, expected shape [2]");
    vdit_run_clear(d.run);
    d.call.timestep = &d.timestep;
    wrong = d.text;
    wrong.shape[2] = 15;
    d.call.text = &wrong;
    assert_string_equal(denoiser_fail(&d),
                        "forward: text has shape [2, 3, 15], expected [2, 3, 16]");
    vdit_run_clear(d.run);
    d.call.text = NULL;
    denoiser_fail(&d);
    denoiser_close(&d);
}

static void keys_of_what_is_not_offered_are_refused(void **state)
{
    (void)state;
    denoiser_refused("wan", "image_dim=1280",
                     "wan tiny: key \"image_dim\": a video from an image is not offered");
    denoiser_refused("wan", "added_kv_proj_dim=5120",
                     "wan tiny: key \"added_kv_proj_dim\": a video from an image is not offered");
    denoiser_refused("wan", "pos_embed_seq_len=514",
                     "wan tiny: key \"pos_embed_seq_len\": a video from an image is not offered");
    denoiser_refused("wan", "qk_norm=layer_norm",
                     "wan tiny: key \"qk_norm\": only rms_norm_across_heads is offered");
    denoiser_refused("wan", "attention_head_dim=13",
                     "wan tiny: key \"attention_head_dim\": only an even width is offered");
    denoiser_refused(
        "wan", "num_attention_heads=2147483648",
        "wan tiny: key \"num_attention_heads\": only a width of at most 2^24 is offered");
    denoiser_refused("wan", "eps=-1", "wan tiny: key \"eps\": only a number >= 0 is offered");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_have_the_names_of_the_original_in_its_order),
        cmocka_unit_test(sizes_have_the_parameters_of_the_original),
        cmocka_unit_test(a_batch_gives_the_bits_of_its_samples_alone),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(tokens_become_the_patches_that_they_came_from),
        cmocka_unit_test(a_padded_row_of_text_changes_the_video),
        cmocka_unit_test(without_cross_attn_norm_norm2_is_the_identity),
        cmocka_unit_test(a_policy_rounds_what_the_original_rounds),
        cmocka_unit_test(time_is_embedded_in_f32_in_every_policy),
        cmocka_unit_test(extents_that_do_not_fit_are_refused),
        cmocka_unit_test(inputs_that_do_not_fit_are_refused),
        cmocka_unit_test(keys_of_what_is_not_offered_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
