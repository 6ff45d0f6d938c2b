/* test_model_mochi.c - Mochi: names, counts, what is refused, and what may and may not change a result. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "denoiser.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* As vdit-mochi(7) and the module tree of diffusers 0.42.1 have them, without dropout; sites add theirs. */
static const char before[] =
    "time_embed.time_proj time_embed.timestep_embedder.linear_1 "
    "time_embed.timestep_embedder.act time_embed.timestep_embedder.linear_2 "
    "time_embed.timestep_embedder time_embed.pooler.to_kv time_embed.pooler.to_q "
    "time_embed.pooler/q time_embed.pooler/k time_embed.pooler/v time_embed.pooler/o "
    "time_embed.pooler.to_out time_embed.pooler time_embed.caption_proj time_embed[0] "
    "time_embed[1] patch_embed.proj patch_embed rope[0] rope[1]";
static const char in_block[] =
    "norm1.silu norm1.linear norm1.norm norm1[0] norm1[1] norm1[2] norm1[3] "
    "norm1_context.silu norm1_context.linear norm1_context.norm norm1_context[0] "
    "norm1_context[1] norm1_context[2] norm1_context[3] attn1.to_q attn1.to_k attn1.to_v "
    "attn1.norm_q attn1.norm_k attn1.add_q_proj attn1.add_k_proj attn1.add_v_proj "
    "attn1.norm_added_q attn1.norm_added_k attn1/q attn1/k attn1/v attn1/o attn1.to_out.0 "
    "attn1.to_add_out attn1[0] attn1[1] norm2.norm norm2 norm3.norm norm3 ff.net.0.proj "
    "ff.net.0.activation ff.net.0 ff.net.2 ff norm4.norm norm4 norm2_context.norm "
    "norm2_context norm3_context.norm norm3_context ff_context.net.0.proj "
    "ff_context.net.0.activation ff_context.net.0 ff_context.net.2 ff_context "
    "norm4_context.norm norm4_context";
static const char in_last_block[] =
    "norm1.silu norm1.linear norm1.norm norm1[0] norm1[1] norm1[2] norm1[3] "
    "norm1_context.silu norm1_context.linear_1 norm1_context.norm.norm norm1_context.norm "
    "norm1_context attn1.to_q attn1.to_k attn1.to_v attn1.norm_q attn1.norm_k "
    "attn1.add_q_proj attn1.add_k_proj attn1.add_v_proj attn1.norm_added_q attn1.norm_added_k "
    "attn1/q attn1/k attn1/v attn1/o attn1.to_out.0 attn1[0] attn1[1] norm2.norm norm2 "
    "norm3.norm norm3 ff.net.0.proj ff.net.0.activation ff.net.0 ff.net.2 ff norm4.norm norm4";
static const char after[] = "norm_out.silu norm_out.linear norm_out.norm norm_out proj_out";

static void activations_have_the_names_of_the_original_in_its_order(void **state)
{
    denoiser d;
    const vdit_named *next = d.trace;

    (void)state;
    denoiser_open(&d, "mochi", NULL, (vdit_extents){1, 2, 2, 4, 3});
    denoiser_run(&d);
    next = denoiser_names(next, "", before);
    next = denoiser_names(next, "transformer_blocks.0.", in_block);
    next = denoiser_names(next, "transformer_blocks.", "0[0] 0[1]");
    next = denoiser_names(next, "transformer_blocks.1.", in_last_block);
    next = denoiser_names(next, "transformer_blocks.", "1[0] 1[1]");
    next = denoiser_names(next, "", after);
    assert_int_equal(d.trace_count, next - d.trace);
    denoiser_close(&d);
}

/* Origin of the numbers: the constructor of diffusers 0.42.1 with these configurations. */
static void sizes_have_the_parameters_of_the_original(void **state)
{
    (void)state;
    denoiser_counts("mochi", "tiny", 59, 16360);
    denoiser_counts("mochi", "mochi-1", 1071, 10027677744.);
}

/* Sets the mask of sample b from a text of 0 and 1. */
static void set_mask(denoiser *d, size_t b, const char *bits)
{
    for (size_t i = 0; i < d->extents.text; i++)
        ((unsigned char *)d->mask.data)[b * d->extents.text + i] = bits[i] == '1';
    d->call.text_mask = &d->mask;
}

static void a_batch_of_texts_of_any_length_gives_the_bits_of_its_samples_alone(void **state)
{
    static const size_t order[] = {2, 0, 1};
    static const char *const masks[] = {"11000", "11111", "01101"};
    const vdit_extents three = {3, 3, 6, 10, 5}, one = {1, 3, 6, 10, 5};
    denoiser all, alone, turned;

    (void)state;
    denoiser_open(&all, "mochi", NULL, three);
    denoiser_open(&turned, "mochi", NULL, three);
    denoiser_open(&alone, "mochi", NULL, one);
    for (size_t i = 0; i < 3; i++)
        set_mask(&all, i, masks[i]);
    for (size_t i = 0; i < 3; i++)
        denoiser_take(&turned, i, &all, order[i]);
    turned.call.text_mask = &turned.mask;
    alone.call.text_mask = &alone.mask;
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
    denoiser_open(&one, "mochi", NULL, odd);
    denoiser_open(&three, "mochi", NULL, odd);
    set_mask(&one, 0, "1110000");
    set_mask(&three, 0, "1110000");
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

static void a_mask_of_ones_is_no_mask(void **state)
{
    denoiser with, without;

    (void)state;
    denoiser_open(&with, "mochi", NULL, (vdit_extents){1, 1, 4, 4, 3});
    denoiser_open(&without, "mochi", NULL, (vdit_extents){1, 1, 4, 4, 3});
    set_mask(&with, 0, "111");
    denoiser_run(&with);
    denoiser_run(&without);
    assert_true(denoiser_same(&with.output, 0, &without.output, 0));
    denoiser_close(&with);
    denoiser_close(&without);
}

/* Bit for bit, whatever stands in those rows; and they are not there at all for who leaves them out. */
static void rows_that_do_not_count_cannot_change_the_video(void **state)
{
    denoiser padded, other, shorter;

    (void)state;
    denoiser_open(&padded, "mochi", NULL, (vdit_extents){1, 2, 4, 6, 6});
    denoiser_open(&other, "mochi", NULL, (vdit_extents){1, 2, 4, 6, 6});
    denoiser_open(&shorter, "mochi", NULL, (vdit_extents){1, 2, 4, 6, 4});
    memset((char *)other.text.data + 4 * 16 * 4, 0x7e, 2 * 16 * 4); /* numbers of about 1e38 */
    memcpy(shorter.text.data, padded.text.data, 4 * 16 * 4);
    set_mask(&padded, 0, "111100");
    set_mask(&other, 0, "111100");
    denoiser_run(&padded);
    denoiser_run(&other);
    denoiser_run(&shorter);
    assert_true(denoiser_same(&padded.output, 0, &other.output, 0));
    assert_true(denoiser_same(&padded.output, 0, &shorter.output, 0));
    assert_false(denoiser_same(denoiser_find(&padded, "transformer_blocks.0[1]"), 0,
                               denoiser_find(&other, "transformer_blocks.0[1]"), 0));
    denoiser_close(&padded);
    denoiser_close(&other);
    denoiser_close(&shorter);
}

/* Row 1 counts and row 0 does not: its result stands at row 0, and rows 1 and 2 get to_add_out's bias alone. */
static void results_of_the_text_stand_before_zeros(void **state)
{
    const vdit_tensor *added, *bias, *o;
    denoiser d, shorter;

    (void)state;
    denoiser_open(&d, "mochi", NULL, (vdit_extents){1, 1, 2, 4, 3});
    denoiser_open(&shorter, "mochi", NULL, (vdit_extents){1, 1, 2, 4, 1});
    memcpy(shorter.text.data, (char *)d.text.data + 16 * 4, 16 * 4);
    set_mask(&d, 0, "010");
    denoiser_run(&d);
    denoiser_run(&shorter);
    added = denoiser_find(&d, "transformer_blocks.0.attn1[1]");
    bias =
        vdit_file_find(vdit_model_weights(d.model), "transformer_blocks.0.attn1.to_add_out.bias");
    assert_non_null(bias);
    assert_memory_equal(added->data, denoiser_find(&shorter, "transformer_blocks.0.attn1[1]")->data,
                        16 * 4);
    for (size_t i = 0; i < 16; i++)
        for (size_t row = 1; row < 3; row++)
            assert_true(denoiser_value(added, row * 16 + i) == denoiser_value(bias, i));
    o = denoiser_find(&d, "transformer_blocks.0.attn1/o"); /* [1,2,2 + 3,8] */
    for (size_t i = 0; i < 2 * 5 * 8; i++)
        assert_true((denoiser_value(o, i) == 0) == (i / 8 % 5 > 2));
    denoiser_close(&d);
    denoiser_close(&shorter);
}

static void a_text_of_which_no_row_counts_is_taken(void **state)
{
    denoiser d;

    (void)state;
    denoiser_open(&d, "mochi", NULL, (vdit_extents){1, 1, 2, 2, 2});
    set_mask(&d, 0, "00");
    denoiser_run(&d);
    for (size_t i = 0; i < vdit_tensor_count(&d.output); i++)
        assert_true(denoiser_value(&d.output, i) == denoiser_value(&d.output, i));
    denoiser_close(&d);
}

/* Rows and columns lie around the middle: at 1 frame of 3 x 3 tokens the fifth turns by nothing. */
static void places_are_centred(void **state)
{
    const vdit_tensor *cosine, *sine;
    denoiser d;

    (void)state;
    denoiser_open(&d, "mochi", NULL, (vdit_extents){1, 1, 6, 6, 1});
    denoiser_run(&d);
    cosine = denoiser_find(&d, "rope[0]");
    sine = denoiser_find(&d, "rope[1]");
    for (size_t i = 0; i < 8; i++) { /* 2 heads of 4 pairs */
        assert_true(denoiser_value(cosine, 4 * 8 + i) == 1);
        assert_true(denoiser_value(sine, 4 * 8 + i) == 0);
        assert_true(denoiser_value(cosine, i) == denoiser_value(cosine, 8 * 8 + i));
        assert_true(denoiser_value(sine, i) == -denoiser_value(sine, 8 * 8 + i));
        assert_true(denoiser_value(sine, i) != 0);
    }
    denoiser_close(&d);
}

/* The channel runs fastest in a token. */
static void tokens_become_the_patches_that_they_came_from(void **state)
{
    static const char *const settings[] = {"patch_size=3", "out_channels=2", NULL};
    const vdit_tensor *tokens;
    denoiser d;

    (void)state;
    denoiser_open(&d, "mochi", settings, (vdit_extents){1, 2, 3, 6, 2}); /* 2 x 1 x 2 tokens */
    denoiser_run(&d);
    tokens = denoiser_find(&d, "proj_out");
    for (size_t c = 0; c < 2; c++)
        for (size_t f = 0; f < 2; f++)
            for (size_t y = 0; y < 3; y++)
                for (size_t x = 0; x < 6; x++)
                    assert_true(
                        denoiser_value(&d.output, ((c * 2 + f) * 3 + y) * 6 + x) ==
                        denoiser_value(tokens, (f * 2 + x / 3) * 18 + (y * 3 + x % 3) * 2 + c));
    denoiser_close(&d);
}

/* What the original keeps in f32, and what it rounds. */
static void a_policy_rounds_what_the_original_rounds(void **state)
{
    static const char *const single[] = {"time_embed.time_proj",
                                         "rope[0]",
                                         "transformer_blocks.0.norm1.norm",
                                         "transformer_blocks.0.norm2.norm",
                                         "transformer_blocks.0.norm4_context.norm",
                                         "transformer_blocks.1.norm1_context.norm.norm"};
    static const char *const half[] = {"time_embed.timestep_embedder.linear_1",
                                       "time_embed[0]",
                                       "transformer_blocks.0.norm1[0]",
                                       "transformer_blocks.0.norm1[1]",
                                       "transformer_blocks.0.norm2",
                                       "transformer_blocks.0.attn1.norm_q",
                                       "transformer_blocks.0.attn1/q",
                                       "transformer_blocks.0.ff.net.0.activation",
                                       "transformer_blocks.1.norm1_context.norm",
                                       "norm_out.norm",
                                       "proj_out"};
    static const vdit_dtype policies[] = {VDIT_BF16, VDIT_F16};
    denoiser d;

    (void)state;
    denoiser_open(&d, "mochi", NULL, (vdit_extents){2, 1, 4, 6, 3});
    set_mask(&d, 0, "100");
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

static void what_does_not_fit_is_refused(void **state)
{
    denoiser d;
    vdit_tensor wrong;

    (void)state;
    denoiser_open(&d, "mochi", NULL, (vdit_extents){2, 1, 2, 2, 3});
    denoiser_extents_refused(&d, (vdit_extents){1, 1, 3, 2, 1},
                             "mochi: height 3, expected a positive multiple of the patch's 2");
    denoiser_extents_refused(&d, (vdit_extents){1, 1, 0, 2, 1},
                             "mochi: height 0, expected a positive multiple of the patch's 2");
    denoiser_extents_refused(&d, (vdit_extents){1, 1, 4, 7, 1},
                             "mochi: width 7, expected a positive multiple of the patch's 2");
    denoiser_extents_refused(&d, (vdit_extents){SIZE_MAX / 2, 1, 64, 64, 1},
                             "forward: an input or output is too large to be addressed");
    d.call.timestep = NULL;
    assert_string_equal(denoiser_fail(&d), "forward: timestep is missing, expected shape [2]");
    vdit_run_clear(d.run);
    d.call.timestep = &d.timestep;
    wrong = d.mask;
    wrong.shape[1] = 2;
    d.call.text_mask = &wrong;
    assert_string_equal(denoiser_fail(&d), "forward: text_mask has shape [2, 2], expected [2, 3]");
    denoiser_close(&d);
}

static void keys_of_what_is_not_offered_are_refused(void **state)
{
    (void)state;
    denoiser_refused("mochi", "qk_norm=layer_norm",
                     "mochi tiny: key \"qk_norm\": only rms_norm is offered");
    denoiser_refused("mochi", "activation_fn=geglu",
                     "mochi tiny: key \"activation_fn\": only swiglu is offered");
    denoiser_refused("mochi", "attention_head_dim=7",
                     "mochi tiny: key \"attention_head_dim\": only an even width is offered");
    denoiser_refused("mochi", "text_embed_dim=20",
                     "mochi tiny: key \"text_embed_dim\": only a multiple of 8 is offered");
    denoiser_refused(
        "mochi", "num_attention_heads=2147483648",
        "mochi tiny: key \"num_attention_heads\": only a width of at most 2^24 is offered");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_have_the_names_of_the_original_in_its_order),
        cmocka_unit_test(sizes_have_the_parameters_of_the_original),
        cmocka_unit_test(a_batch_of_texts_of_any_length_gives_the_bits_of_its_samples_alone),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(a_mask_of_ones_is_no_mask),
        cmocka_unit_test(rows_that_do_not_count_cannot_change_the_video),
        cmocka_unit_test(results_of_the_text_stand_before_zeros),
        cmocka_unit_test(a_text_of_which_no_row_counts_is_taken),
        cmocka_unit_test(places_are_centred),
        cmocka_unit_test(tokens_become_the_patches_that_they_came_from),
        cmocka_unit_test(a_policy_rounds_what_the_original_rounds),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(keys_of_what_is_not_offered_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
