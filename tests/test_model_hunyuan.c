/* test_model_hunyuan.c - HunyuanVideo: names, counts, rotary tables, patches, what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "denoiser.h"

/* As vdit-hunyuan(7) and the module tree of diffusers 0.42.1 have them, without dropout; sites add theirs. */
static const char before[] =
    "rope[0] rope[1] time_text_embed.time_proj time_text_embed.timestep_embedder.linear_1 "
    "time_text_embed.timestep_embedder.act time_text_embed.timestep_embedder.linear_2 "
    "time_text_embed.timestep_embedder time_text_embed.text_embedder.linear_1 "
    "time_text_embed.text_embedder.act_1 time_text_embed.text_embedder.linear_2 "
    "time_text_embed.text_embedder";
static const char of_guidance[] =
    "time_text_embed.time_proj#2 time_text_embed.guidance_embedder.linear_1 "
    "time_text_embed.guidance_embedder.act time_text_embed.guidance_embedder.linear_2 "
    "time_text_embed.guidance_embedder";
static const char of_context[] =
    "time_text_embed.time_proj time_text_embed.timestep_embedder.linear_1 "
    "time_text_embed.timestep_embedder.act time_text_embed.timestep_embedder.linear_2 "
    "time_text_embed.timestep_embedder time_text_embed.text_embedder.linear_1 "
    "time_text_embed.text_embedder.act_1 time_text_embed.text_embedder.linear_2 "
    "time_text_embed.text_embedder time_text_embed proj_in";
static const char in_refiner[] =
    "norm1 attn.to_q attn.to_k attn.to_v attn/q attn/k attn/v attn/o attn.to_out.0 attn "
    "norm_out.nonlinearity norm_out.linear norm_out[0] norm_out[1] norm2 ff.net.0.proj "
    "ff.net.0.activation ff.net.0 ff.net.2 ff";
static const char in_double[] =
    "norm1.silu norm1.linear norm1.norm norm1[0] norm1[1] norm1[2] norm1[3] norm1[4] "
    "norm1_context.silu norm1_context.linear norm1_context.norm norm1_context[0] "
    "norm1_context[1] norm1_context[2] norm1_context[3] norm1_context[4] attn.to_q attn.to_k "
    "attn.to_v attn.norm_q attn.norm_k attn.add_q_proj attn.add_k_proj attn.add_v_proj "
    "attn.norm_added_q attn.norm_added_k attn/q attn/k attn/v attn/o attn.to_out.0 "
    "attn.to_add_out attn[0] attn[1] norm2 norm2_context ff.net.0.proj ff.net.0 ff.net.2 ff "
    "ff_context.net.0.proj ff_context.net.0 ff_context.net.2 ff_context";
static const char in_single[] =
    "norm.silu norm.linear norm.norm norm[0] norm[1] proj_mlp act_mlp attn.to_q attn.to_k "
    "attn.to_v attn.norm_q attn.norm_k attn/q attn/k attn/v attn/o attn[0] attn[1] proj_out";

/* Two blocks of each kind, patches, and widths that differ from axis to axis. */
static const char *const larger[] = {
    "num_layers=2",  "num_single_layers=2",   "num_refiner_layers=2",
    "patch_size=2",  "attention_head_dim=16", "rope_axes_dim=[2, 8, 6]",
    "mlp_ratio=3.3", "out_channels=3",        NULL};

#define COUNT(list) (sizeof(list) / sizeof *(list))

static const vdit_extents odd = {1, 3, 6, 10, 5};

static void activations_have_the_names_of_the_original_in_its_order(void **state)
{
    const vdit_named *next;
    denoiser d;

    (void)state;
    denoiser_open(&d, "hunyuan", NULL, (vdit_extents){1, 1, 2, 3, 4});
    denoiser_run(&d);
    next = denoiser_names(d.trace, "", before);
    next = denoiser_names(next, "", of_guidance);
    next = denoiser_names(next, "", "time_text_embed[0] x_embedder.proj x_embedder");
    next = denoiser_names(next, "context_embedder.", of_context);
    next = denoiser_names(next, "context_embedder.token_refiner.refiner_blocks.0.", in_refiner);
    next =
        denoiser_names(next, "context_embedder", ".token_refiner.refiner_blocks.0 .token_refiner");
    next = denoiser_names(next, "", "context_embedder");
    next = denoiser_names(next, "transformer_blocks.0.", in_double);
    next = denoiser_names(next, "transformer_blocks.0", "[0] [1]");
    next = denoiser_names(next, "single_transformer_blocks.0.", in_single);
    next = denoiser_names(next, "single_transformer_blocks.0", "[0] [1]");
    next = denoiser_names(next, "norm_out", ".silu .linear .norm");
    next = denoiser_names(next, "", "norm_out proj_out");
    assert_int_equal(d.trace_count, next - d.trace);
    denoiser_close(&d);
}

static void without_guidance_its_modules_are_not_there(void **state)
{
    static const char *const settings[] = {"guidance_embeds=false", NULL};
    const vdit_named *next;
    denoiser d;

    (void)state;
    denoiser_open(&d, "hunyuan", settings, (vdit_extents){1, 1, 2, 3, 4});
    assert_int_equal(d.guidance.rank, 0);
    denoiser_run(&d);
    next = denoiser_names(d.trace, "", before);
    denoiser_names(next, "", "time_text_embed[0] x_embedder.proj x_embedder");
    denoiser_close(&d);
}

/* Origin of the numbers: the constructor of diffusers 0.42.1 with these configurations. */
static void sizes_have_the_parameters_of_the_original(void **state)
{
    (void)state;
    denoiser_counts("hunyuan", "tiny", 92, 46584);
    denoiser_counts("hunyuan", "hunyuanvideo", 1264, 12821012544.);
}

static void bits_do_not_depend_on_threads(void **state)
{
    denoiser one, three;

    (void)state;
    denoiser_open(&one, "hunyuan", larger, odd);
    denoiser_open(&three, "hunyuan", larger, odd);
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

/* Pair j of an axis turns by place theta^(-2 j / width); the text's rows, after the video's, are not turned. */
static void rotary_tables_are_those_of_the_axes(void **state)
{
    static const size_t first[] = {0, 2, 10, 16};
    static const char *const sites[] = {"transformer_blocks.0", "single_transformer_blocks.1"};
    const vdit_tensor *cosine, *sine;
    denoiser d;

    (void)state;
    denoiser_open(&d, "hunyuan", larger, odd);
    denoiser_run(&d);
    cosine = denoiser_find(&d, "rope[0]");
    sine = denoiser_find(&d, "rope[1]");
    for (size_t n = 0; n < 45; n++)
        for (size_t axis = 0; axis < 3; axis++)
            for (size_t i = first[axis]; i < first[axis + 1]; i++) {
                double place[] = {(double)(n / 15), (double)(n / 5 % 3), (double)(n % 5)};
                double j = (double)((i - first[axis]) / 2);
                double angle =
                    place[axis] * pow(256, -2 * j / (double)(first[axis + 1] - first[axis]));

                assert_true(fabs(denoiser_value(cosine, n * 16 + i) - cos(angle)) < 0x1p-24);
                assert_true(fabs(denoiser_value(sine, n * 16 + i) - sin(angle)) < 0x1p-24);
            }
    for (size_t s = 0; s < COUNT(sites); s++) {
        char name[100] = "";
        const vdit_tensor *q;
        size_t text = s == 0 ? 0 : 45;
        const vdit_tensor *still;

        strcat(strcpy(name, sites[s]), s == 0 ? ".attn.norm_added_q" : ".attn.norm_q");
        still = denoiser_find(&d, name); /* [1,n,2,16] */
        strcat(strcpy(name, sites[s]), ".attn/q");
        q = denoiser_find(&d, name); /* [1,2,50,16] */
        for (size_t n = 0; n < 5; n++)
            for (size_t i = 0; i < 32; i++)
                assert_true(denoiser_value(still, (text + n) * 32 + i) ==
                            denoiser_value(q, (i / 16 * 50 + 45 + n) * 16 + i % 16));
    }
    denoiser_close(&d);
}

/* The channel runs slowest in a token, then frame, row and column. */
static void tokens_become_the_patches_that_they_came_from(void **state)
{
    static const char *const settings[] = {"patch_size=2", "patch_size_t=2", "out_channels=3",
                                           NULL};
    const vdit_extents extents = {1, 4, 6, 4, 2}; /* 2 x 3 x 2 tokens of 3 x 2 x 2 x 2 */
    const vdit_tensor *tokens;
    denoiser d;

    (void)state;
    denoiser_open(&d, "hunyuan", settings, extents);
    denoiser_run(&d);
    tokens = denoiser_find(&d, "proj_out");
    for (size_t c = 0; c < 3; c++)
        for (size_t f = 0; f < 4; f++)
            for (size_t y = 0; y < 6; y++)
                for (size_t x = 0; x < 4; x++) {
                    size_t n = (f / 2 * 3 + y / 2) * 2 + x / 2;
                    size_t i = ((c * 2 + f % 2) * 2 + y % 2) * 2 + x % 2;

                    assert_true(denoiser_value(&d.output, ((c * 4 + f) * 6 + y) * 4 + x) ==
                                denoiser_value(tokens, n * 24 + i));
                }
    denoiser_close(&d);
}

static void a_policy_rounds_all_but_sinusoids_and_tables(void **state)
{
    static const vdit_dtype policies[] = {VDIT_BF16, VDIT_F16};
    denoiser d;

    (void)state;
    denoiser_open(&d, "hunyuan", NULL, odd);
    memset(d.mask.data, 0, vdit_tensor_count(&d.mask) * sizeof(int64_t));
    ((int64_t *)d.mask.data)[0] = 1;
    d.call.text_mask = &d.mask;
    for (size_t p = 0; p < COUNT(policies); p++) {
        d.call.dtype = policies[p];
        denoiser_run(&d);
        for (size_t i = 0; i < d.trace_count; i++) {
            const char *name = d.trace[i].name;
            int single = strncmp(name, "rope", 4) == 0 || strstr(name, "time_proj") != NULL;

            assert_int_equal(d.trace[i].tensor.dtype, single ? VDIT_F32 : policies[p]);
        }
        for (size_t i = 0; i < vdit_tensor_count(&d.output); i++)
            assert_true(denoiser_value(&d.output, i) ==
                        vdit_round_f64(policies[p], denoiser_value(&d.output, i)));
    }
    denoiser_close(&d);
}

static void sites_are_numbered_through_both_kinds_of_blocks(void **state)
{
    static const char *const names[] = {
        "context_embedder.token_refiner.refiner_blocks.0.attn",
        "context_embedder.token_refiner.refiner_blocks.1.attn",
        "transformer_blocks.0.attn",
        "transformer_blocks.1.attn",
        "single_transformer_blocks.0.attn",
        "single_transformer_blocks.1.attn",
    };
    vdit_model_survey survey;
    denoiser d;

    (void)state;
    denoiser_open(&d, "hunyuan", larger, odd);
    vdit_model_survey_of(d.run, d.model, &d.extents, VDIT_F32, &survey);
    assert_int_equal(survey.site_count, COUNT(names));
    for (size_t i = 0; i < COUNT(names); i++) {
        const vdit_site_info *site = &survey.sites[i];

        assert_string_equal(site->name, names[i]);
        assert_int_equal(site->kind, i < 2 ? 0 : VDIT_KIND_FULL);
        assert_int_equal(site->queries, i < 2 ? 5 : 50);
        if (i < 2)
            continue;
        assert_int_equal(site->layer, i - 2);
        assert_int_equal(site->tokens.text, 5);
        assert_int_equal(site->tokens.text_first, 0);
        assert_int_equal(site->tokens.frames * site->tokens.height * site->tokens.width, 45);
    }
    denoiser_close(&d);
}

static void extents_that_do_not_fit_are_refused(void **state)
{
    denoiser d;

    (void)state;
    denoiser_open(&d, "hunyuan", larger, odd);
    denoiser_extents_refused(&d, (vdit_extents){1, 1, 3, 2, 8},
                             "hunyuan: height 3, expected a multiple of the patch's 2");
    denoiser_extents_refused(&d, (vdit_extents){1, 0, 2, 2, 8},
                             "hunyuan: frames 0, expected a multiple of the patch's 1");
    denoiser_extents_refused(&d, (vdit_extents){1, 1, 2, 2, 0},
                             "hunyuan: 0 rows of text, expected at least 1");
    denoiser_close(&d);
}

static void inputs_that_are_missing_are_named(void **state)
{
    denoiser d;

    (void)state;
    denoiser_open(&d, "hunyuan", NULL, odd);
    d.call.pooled = NULL;
    assert_string_equal(denoiser_fail(&d), "forward: pooled is missing, expected shape [1, 8]");
    vdit_run_clear(d.run);
    d.call.pooled = &d.pooled;
    d.call.guidance = NULL;
    assert_string_equal(denoiser_fail(&d), "forward: guidance is missing, expected shape [1]");
    denoiser_close(&d);
}

static void keys_of_what_is_not_offered_are_refused(void **state)
{
    (void)state;
    denoiser_refused("hunyuan", "image_condition_type=token_replace",
                     "hunyuan tiny: key \"image_condition_type\": conditioning on an image is not "
                     "offered");
    denoiser_refused("hunyuan", "qk_norm=layer_norm",
                     "hunyuan tiny: key \"qk_norm\": only \"rms_norm\" is offered");
    denoiser_refused("hunyuan", "rope_axes_dim=[2, 4, 6]",
                     "hunyuan tiny: key \"rope_axes_dim\": only even widths whose sum is "
                     "attention_head_dim is offered");
    denoiser_refused("hunyuan", "rope_axes_dim=[4, 3, 3]",
                     "hunyuan tiny: key \"rope_axes_dim\": only even widths whose sum is "
                     "attention_head_dim is offered");
    denoiser_refused("hunyuan", "rope_theta=0",
                     "hunyuan tiny: key \"rope_theta\": only a number above 0 is offered");
    denoiser_refused("hunyuan", "mlp_ratio=0",
                     "hunyuan tiny: key \"mlp_ratio\": only a ratio that gives a width is offered");
    denoiser_refused("hunyuan", "num_attention_heads=2147483648",
                     "hunyuan tiny: key \"attention_head_dim\": only a model width up to 2^24 is "
                     "offered");
    denoiser_refused("hunyuan", "patch_size=2147483648",
                     "hunyuan tiny: key \"patch_size\": only a patch of up to 2^24 values is "
                     "offered");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_have_the_names_of_the_original_in_its_order),
        cmocka_unit_test(without_guidance_its_modules_are_not_there),
        cmocka_unit_test(sizes_have_the_parameters_of_the_original),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(rotary_tables_are_those_of_the_axes),
        cmocka_unit_test(tokens_become_the_patches_that_they_came_from),
        cmocka_unit_test(a_policy_rounds_all_but_sinusoids_and_tables),
        cmocka_unit_test(sites_are_numbered_through_both_kinds_of_blocks),
        cmocka_unit_test(extents_that_do_not_fit_are_refused),
        cmocka_unit_test(inputs_that_are_missing_are_named),
        cmocka_unit_test(keys_of_what_is_not_offered_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
