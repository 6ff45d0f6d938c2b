/* test_model_cogvideox.c - CogVideoX: names, counts, what is refused, what may and may not change a result. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "denoiser.h"

/* As vdit-cogvideox(7) and the module tree of diffusers 0.42.1 have them, without dropout; sites add theirs. */
static const char before[] = "time_proj time_embedding.linear_1 time_embedding.act "
                             "time_embedding.linear_2 time_embedding patch_embed.text_proj "
                             "patch_embed.proj patch_embed";
static const char in_block[] =
    "norm1.silu norm1.linear norm1.norm norm1.norm#2 norm1[0] norm1[1] norm1[2] norm1[3] "
    "attn1.to_q attn1.to_k attn1.to_v attn1.norm_q attn1.norm_k attn1/q attn1/k attn1/v attn1/o "
    "attn1.to_out.0 attn1[0] attn1[1] norm2.silu norm2.linear norm2.norm norm2.norm#2 norm2[0] "
    "norm2[1] norm2[2] norm2[3] ff.net.0.proj ff.net.0 ff.net.2 ff";
static const char after[] =
    "norm_final norm_out.silu norm_out.linear norm_out.norm norm_out proj_out";

/* The same tiny network as 5B and as 1.5 have it. */
static const char *const of_5b[] = {"attention_head_dim=16",
                                    "use_rotary_positional_embeddings=true", NULL};
static const char *const of_15[] = {
    "attention_head_dim=16", "use_rotary_positional_embeddings=true",
    "patch_size_t=2",        "patch_bias=false",
    "sample_width=20",       NULL};
static const char *const *const kinds[] = {NULL, of_5b, of_15};

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* Two frames, odd numbers of rows and columns of tokens; the table of 2B asks for 8 rows of text. */
static const vdit_extents odd = {1, 2, 6, 10, 8};

static void activations_have_the_names_of_the_original_in_its_order(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < COUNT(kinds); kind++) {
        const vdit_named *next;
        denoiser d;

        denoiser_open(&d, "cogvideox", kinds[kind], odd);
        denoiser_run(&d);
        next = denoiser_names(d.trace, "", before);
        for (int layer = 0; layer < 2; layer++) {
            const char *block = layer == 0 ? "transformer_blocks.0" : "transformer_blocks.1";

            next = denoiser_names(
                next, layer == 0 ? "transformer_blocks.0." : "transformer_blocks.1.", in_block);
            next = denoiser_names(next, block, "[0] [1]");
        }
        next = denoiser_names(next, "", after);
        assert_int_equal(d.trace_count, next - d.trace);
        denoiser_close(&d);
    }
}

/* Origin of the numbers: the constructor of diffusers 0.42.1 with these configurations. */
static void sizes_have_the_parameters_of_the_original(void **state)
{
    (void)state;
    denoiser_counts("cogvideox", "tiny", 64, 8664);
    denoiser_counts("cogvideox", "2b", 736, 1693783872.);
    denoiser_counts("cogvideox", "5b", 1024, 5570283072.);
    denoiser_counts("cogvideox", "1.5-5b", 1024, 5570676352.);
}

static void a_batch_gives_the_bits_of_its_samples_alone(void **state)
{
    vdit_extents two = odd;

    (void)state;
    two.batch = 2;
    for (size_t kind = 0; kind < COUNT(kinds); kind++) {
        denoiser both, alone;

        denoiser_open(&both, "cogvideox", kinds[kind], two);
        denoiser_open(&alone, "cogvideox", kinds[kind], odd);
        denoiser_run(&both);
        for (size_t i = 0; i < 2; i++) {
            denoiser_take(&alone, 0, &both, i);
            denoiser_run(&alone);
            assert_true(denoiser_same(&alone.output, 0, &both.output, i));
        }
        assert_false(denoiser_same(&both.output, 0, &both.output, 1));
        denoiser_close(&both);
        denoiser_close(&alone);
    }
}

static void bits_do_not_depend_on_threads(void **state)
{
    denoiser one, three;

    (void)state;
    denoiser_open(&one, "cogvideox", of_5b, odd);
    denoiser_open(&three, "cogvideox", of_5b, odd);
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

/* There is no mask: a row of zeros is attended like the others. */
static void a_padded_row_of_text_changes_the_video(void **state)
{
    denoiser with, without;
    vdit_extents extents = odd;

    (void)state;
    denoiser_open(&with, "cogvideox", of_5b, extents);
    extents.text--;
    denoiser_open(&without, "cogvideox", of_5b, extents);
    memset((char *)with.text.data + 7 * 8 * sizeof(float), 0, 8 * sizeof(float));
    denoiser_run(&with);
    denoiser_run(&without);
    assert_true(denoiser_same(denoiser_find(&with, "patch_embed.proj"), 0,
                              denoiser_find(&without, "patch_embed.proj"), 0));
    assert_false(denoiser_same(&with.output, 0, &without.output, 0));
    denoiser_close(&with);
    denoiser_close(&without);
}

static void a_policy_rounds_all_but_the_sinusoids(void **state)
{
    static const vdit_dtype policies[] = {VDIT_BF16, VDIT_F16};
    denoiser d;

    (void)state;
    for (size_t kind = 0; kind < COUNT(kinds); kind++) {
        denoiser_open(&d, "cogvideox", kinds[kind], odd);
        for (size_t p = 0; p < COUNT(policies); p++) {
            d.call.dtype = policies[p];
            denoiser_run(&d);
            assert_int_equal(d.trace[0].tensor.dtype, VDIT_F32); /* time_proj */
            for (size_t i = 1; i < d.trace_count; i++)
                assert_int_equal(d.trace[i].tensor.dtype, policies[p]);
            for (size_t i = 0; i < vdit_tensor_count(&d.output); i++)
                assert_true(denoiser_value(&d.output, i) ==
                            vdit_round_f64(policies[p], denoiser_value(&d.output, i)));
        }
        denoiser_close(&d);
    }
}

static void without_biases_and_affine_norms_there_are_fewer_tensors(void **state)
{
    static const char *const settings[] = {"attention_bias=false", "norm_elementwise_affine=false",
                                           "patch_bias=false", NULL};
    vdit_model_survey survey;
    denoiser d;

    (void)state;
    denoiser_open(&d, "cogvideox", settings, odd);
    denoiser_run(&d);
    vdit_model_survey_of(d.run, d.model, &d.extents, VDIT_F32, &survey);
    /* of each block the biases of q, k and v, and norm1.norm, norm2.norm; norm_final, norm_out.norm; a bias */
    assert_int_equal(survey.weight_count, 64 - 2 * (3 + 4) - 4 - 1);
    denoiser_close(&d);
}

static void sites_are_joint_with_the_text_first(void **state)
{
    vdit_model_survey survey;
    denoiser d;

    (void)state;
    denoiser_open(&d, "cogvideox", NULL, odd);
    vdit_model_survey_of(d.run, d.model, &d.extents, VDIT_F32, &survey);
    assert_int_equal(survey.site_count, 2);
    for (size_t i = 0; i < 2; i++) {
        const vdit_site_info *site = &survey.sites[i];

        assert_string_equal(site->name,
                            i == 0 ? "transformer_blocks.0.attn1" : "transformer_blocks.1.attn1");
        assert_int_equal(site->layer, i);
        assert_int_equal(site->kind, VDIT_KIND_FULL);
        assert_int_equal(site->queries, 8 + 30);
        assert_int_equal(site->tokens.text, 8);
        assert_int_equal(site->tokens.text_first, 1);
        assert_int_equal(site->tokens.frames * site->tokens.height * site->tokens.width, 30);
    }
    denoiser_close(&d);
}

static void extents_that_do_not_fit_are_refused(void **state)
{
    denoiser d;

    (void)state;
    denoiser_open(&d, "cogvideox", NULL, odd);
    denoiser_extents_refused(&d, (vdit_extents){1, 1, 3, 2, 8},
                             "cogvideox: height 3, expected a multiple of the patch's 2");
    denoiser_extents_refused(&d, (vdit_extents){1, 1, 2, 0, 8},
                             "cogvideox: width 0, expected a multiple of the patch's 2");
    denoiser_extents_refused(&d, (vdit_extents){1, 1, 2, 2, 7},
                             "cogvideox: 7 rows of text, expected the 8 of the positional table");
    denoiser_close(&d);
    denoiser_open(&d, "cogvideox", of_15, odd);
    denoiser_extents_refused(&d, (vdit_extents){1, 3, 2, 2, 7},
                             "cogvideox: frames 3, expected a multiple of the patch's 2");
    denoiser_close(&d);
}

static void keys_of_what_is_not_offered_are_refused(void **state)
{
    (void)state;
    denoiser_refused("cogvideox", "use_learned_positional_embeddings=true",
                     "cogvideox tiny: key \"use_learned_positional_embeddings\": only false is "
                     "offered");
    denoiser_refused("cogvideox", "ofs_embed_dim=512",
                     "cogvideox tiny: key \"ofs_embed_dim\": conditioning on an offset is not "
                     "offered");
    denoiser_refused("cogvideox", "activation_fn=geglu",
                     "cogvideox tiny: key \"activation_fn\": only \"gelu-approximate\" is offered");
    denoiser_refused("cogvideox", "timestep_activation_fn=mish",
                     "cogvideox tiny: key \"timestep_activation_fn\": only \"silu\" is offered");
    denoiser_refused("cogvideox", "flip_sin_to_cos=false",
                     "cogvideox tiny: key \"flip_sin_to_cos\": only true is offered");
    denoiser_refused("cogvideox", "freq_shift=1",
                     "cogvideox tiny: key \"freq_shift\": only 0 is offered");
    denoiser_refused("cogvideox", "attention_head_dim=2147483648",
                     "cogvideox tiny: key \"attention_head_dim\": only a model width up to 2^24 is "
                     "offered");
    denoiser_refused("cogvideox", "patch_size=2147483648",
                     "cogvideox tiny: key \"patch_size\": only a patch of up to 2^24 values is "
                     "offered");
    denoiser_refused("cogvideox", "spatial_interpolation_scale=0",
                     "cogvideox tiny: key \"spatial_interpolation_scale\": only a scale above 0 is "
                     "offered");
    denoiser_refused("cogvideox", "norm_eps=-1",
                     "cogvideox tiny: key \"norm_eps\": only a number from 0 on is offered");
    denoiser_refused("cogvideox", "attention_head_dim=12",
                     "cogvideox tiny: key \"use_rotary_positional_embeddings\": only true with a "
                     "model width that is not a multiple of 16 is offered");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_have_the_names_of_the_original_in_its_order),
        cmocka_unit_test(sizes_have_the_parameters_of_the_original),
        cmocka_unit_test(a_batch_gives_the_bits_of_its_samples_alone),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(a_padded_row_of_text_changes_the_video),
        cmocka_unit_test(a_policy_rounds_all_but_the_sinusoids),
        cmocka_unit_test(without_biases_and_affine_norms_there_are_fewer_tensors),
        cmocka_unit_test(sites_are_joint_with_the_text_first),
        cmocka_unit_test(extents_that_do_not_fit_are_refused),
        cmocka_unit_test(keys_of_what_is_not_offered_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
