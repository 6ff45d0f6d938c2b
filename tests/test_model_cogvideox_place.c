/* test_model_cogvideox_place.c - where CogVideoX's tokens are: its table, its rotary tables, its patches. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "denoiser.h"

/* The same tiny network as 5B and as 1.5 have it. */
static const char *const of_5b[] = {"attention_head_dim=16",
                                    "use_rotary_positional_embeddings=true", NULL};
static const char *const of_15[] = {
    "attention_head_dim=16", "use_rotary_positional_embeddings=true",
    "patch_size_t=2",        "patch_bias=false",
    "sample_width=20",       NULL};

/* Two frames, odd numbers of rows and columns of tokens; the table of 2B asks for 8 rows of text. */
static const vdit_extents odd = {1, 2, 6, 10, 8};

/* Checks that a found value is near what the formula gives, with the rounding of f32 between them. */
static void assert_near(double found, double expected)
{
    if (!(fabs(found - expected) <= 0x1p-20 * (1 + fabs(expected))))
        fail_msg("found %.9g, expected %.9g", found, expected);
}

/* Returns: row token of a table, element i: frames, then columns, then rows, each [sin | cos]. */
static double table_entry(const size_t *place, size_t i)
{
    static const size_t first[] = {0, 4, 10, 16}, axis[] = {0, 2, 1};
    static const double scale[] = {0.5, 1.875, 1.875};
    size_t part = (i >= first[1]) + (i >= first[2]);
    size_t half = (first[part + 1] - first[part]) / 2;
    size_t j = (i - first[part]) % half;
    double angle =
        (double)place[axis[part]] / scale[axis[part]] * pow(10000, -(double)j / (double)half);

    return i - first[part] < half ? sin(angle) : cos(angle);
}

static void the_table_of_2b_has_frames_then_columns_then_rows(void **state)
{
    static const char *const settings[] = {"temporal_interpolation_scale=0.5", NULL};
    const vdit_tensor *made, *embedded;
    denoiser d;

    (void)state;
    denoiser_open(&d, "cogvideox", settings, odd);
    denoiser_run(&d);
    made = denoiser_find(&d, "patch_embed.proj"); /* [2,16,3,5] */
    embedded = denoiser_find(&d, "patch_embed");  /* [1,8 + 2 3 5,16] */
    assert_memory_equal(embedded->data, denoiser_find(&d, "patch_embed.text_proj")->data,
                        8 * 16 * sizeof(float));
    for (size_t n = 0; n < 30; n++)
        for (size_t i = 0; i < 16; i++) {
            size_t place[] = {n / 15, n / 5 % 3, n % 5};
            double patch = denoiser_value(made, (place[0] * 16 + i) * 15 + n % 15);

            assert_near(denoiser_value(embedded, (8 + n) * 16 + i), patch + table_entry(place, i));
        }
    denoiser_close(&d);
}

/* Checks a head's query of a video token: pair j of an axis turned by place theta^(-2 j / width). */
static void assert_turned(const denoiser *d, size_t row, const double *place)
{
    static const size_t first[] = {0, 4, 10, 16}; /* d/4, 3d/8 and 3d/8 of 16 */
    const vdit_tensor *q = denoiser_find(d, "transformer_blocks.0.attn1.norm_q");
    const vdit_tensor *turned = denoiser_find(d, "transformer_blocks.0.attn1/q");

    for (size_t axis = 0; axis < 3; axis++)
        for (size_t i = first[axis]; i < first[axis + 1]; i += 2) {
            size_t at = row * 16 + i;
            double exponent = (double)(i - first[axis]) / (double)(first[axis + 1] - first[axis]);
            double angle = place[axis] * pow(10000, -exponent);
            double x = denoiser_value(q, at), y = denoiser_value(q, at + 1);

            assert_near(denoiser_value(turned, at), x * cos(angle) - y * sin(angle));
            assert_near(denoiser_value(turned, at + 1), x * sin(angle) + y * cos(angle));
        }
}

/*
 * 6 x 4 tokens in a sample's grid of 4 x 4: 6/4 > 4/4, so rh = 4, rw = round(4/6 4) = 3, top 0, left = round(1/2) = 0.
 * Rows end at 4 5/6, so that the i-th is at 2/3 i; columns end at 3 3/4: the i-th is at 3/4 i.
 */
static void positions_of_5b_are_scaled_into_the_grid_of_the_sample(void **state)
{
    const vdit_extents tall = {1, 2, 12, 8, 3};
    denoiser d;

    (void)state;
    denoiser_open(&d, "cogvideox", of_5b, tall);
    denoiser_run(&d);
    for (size_t n = 0; n < 48; n++) {
        double place[] = {(double)(n / 24), (double)(n / 4 % 6) * 2 / 3, (double)(n % 4) * 3 / 4};

        assert_turned(&d, 3 + n, place);
    }
    for (size_t i = 0; i < 3; i++)
        assert_turned(&d, i, (const double[]){0, 0, 0}); /* the text is not turned */
    denoiser_close(&d);
}

/* 2 x 8 tokens: 2/8 < 1, so rw = 4, rh = round(4/8 2) = 1, top = round(3/2) = 2: rows end at 3 1/2, columns at 4 7/8. */
static void positions_of_5b_are_centred_and_halves_go_to_even(void **state)
{
    const vdit_extents wide = {1, 1, 4, 16, 1};
    denoiser d;

    (void)state;
    denoiser_open(&d, "cogvideox", of_5b, wide);
    denoiser_run(&d);
    for (size_t n = 0; n < 16; n++) {
        double place[] = {0, n / 8 == 0 ? 2 : 1.5, (double)(n % 8) / 2};

        assert_turned(&d, 1 + n, place);
    }
    denoiser_close(&d);
}

static void positions_of_15_are_whole(void **state)
{
    const vdit_extents extents = {1, 4, 8, 4, 2};
    denoiser d;

    (void)state;
    denoiser_open(&d, "cogvideox", of_15, extents);
    denoiser_run(&d);
    for (size_t n = 0; n < 16; n++) {
        double place[] = {(double)(n / 8), (double)(n / 2 % 4), (double)(n % 2)};

        assert_turned(&d, 2 + n, place);
    }
    denoiser_close(&d);
}

static void without_rotary_tables_the_result_is_another(void **state)
{
    denoiser with, without;

    (void)state;
    denoiser_open(&with, "cogvideox", of_5b, odd);
    denoiser_open(&without, "cogvideox", of_5b, odd);
    without.call.without_rotary = 1;
    denoiser_run(&with);
    denoiser_run(&without);
    assert_true(denoiser_same(denoiser_find(&with, "transformer_blocks.0.attn1.norm_q"), 0,
                              denoiser_find(&without, "transformer_blocks.0.attn1.norm_q"), 0));
    assert_true(denoiser_same(denoiser_find(&without, "transformer_blocks.0.attn1.norm_q"), 0,
                              denoiser_find(&without, "transformer_blocks.0.attn1/q"), 0));
    assert_false(denoiser_same(&with.output, 0, &without.output, 0));
    denoiser_close(&with);
    denoiser_close(&without);
}

static void calls_that_the_rotary_tables_do_not_fit_are_refused(void **state)
{
    static const char *const narrow[] = {"use_rotary_positional_embeddings=true", NULL};
    const vdit_extents large = {1, 2, 8, 22, 1};
    denoiser d;

    (void)state;
    denoiser_open(&d, "cogvideox", narrow, odd);
    assert_string_equal(denoiser_fail(&d),
                        "cogvideox: heads of width 8 have no rotary tables, expected a multiple of "
                        "16, or a call without them");
    vdit_run_clear(d.run);
    d.call.without_rotary = 1;
    denoiser_run(&d);
    denoiser_close(&d);
    denoiser_open(&d, "cogvideox", of_15, large);
    assert_string_equal(
        denoiser_fail(&d),
        "cogvideox: 4x11 tokens in a frame, expected at most the 4x10 of the sample size");
    denoiser_close(&d);
}

/* The channel runs slowest in a token, then frame, row and column; latents are [B,F,C,H,W]. */
static void tokens_become_the_patches_that_they_came_from(void **state)
{
    const vdit_extents extents = {1, 4, 6, 4, 2}; /* 2 x 3 x 2 tokens of 3 x 2 x 2 x 2 */
    const char *settings[7] = {"out_channels=3"};
    const vdit_tensor *tokens;
    denoiser d;

    (void)state;
    for (size_t i = 0; i < 6; i++)
        settings[1 + i] = of_15[i];
    denoiser_open(&d, "cogvideox", settings, extents);
    denoiser_run(&d);
    tokens = denoiser_find(&d, "proj_out");
    for (size_t f = 0; f < 4; f++)
        for (size_t c = 0; c < 3; c++)
            for (size_t y = 0; y < 6; y++)
                for (size_t x = 0; x < 4; x++) {
                    size_t n = (f / 2 * 3 + y / 2) * 2 + x / 2;
                    size_t i = ((c * 2 + f % 2) * 2 + y % 2) * 2 + x % 2;

                    assert_true(denoiser_value(&d.output, ((f * 3 + c) * 6 + y) * 4 + x) ==
                                denoiser_value(tokens, n * 24 + i));
                }
    denoiser_close(&d);
}

/* Returns: an element of a patch of [1,4,4,H,W] latents, with the channel slowest. */
static double patch_value(const denoiser *d, const size_t *place, size_t i)
{
    size_t c = i / 8, f = place[0] * 2 + i / 4 % 2, y = place[1] * 2 + i / 2 % 2,
           x = place[2] * 2 + i % 2;

    return denoiser_value(&d->latents,
                          ((f * 4 + c) * d->extents.height + y) * d->extents.width + x);
}

static void a_patch_of_15_is_a_row_of_a_linear_layer(void **state)
{
    const vdit_extents extents = {1, 4, 6, 4, 2};
    const vdit_tensor *w, *b, *made;
    denoiser d;

    (void)state;
    denoiser_open(&d, "cogvideox", of_15, extents);
    denoiser_run(&d);
    w = vdit_file_find(vdit_model_weights(d.model), "patch_embed.proj.weight"); /* [32,32] */
    b = vdit_file_find(vdit_model_weights(d.model), "patch_embed.proj.bias");
    assert_non_null(b); /* whatever patch_bias says */
    made = denoiser_find(&d, "patch_embed.proj");
    for (size_t n = 0; n < 12; n++)
        for (size_t o = 0; o < 32; o++) {
            size_t place[] = {n / 6, n / 2 % 3, n % 2};
            double sum = denoiser_value(b, o);

            for (size_t i = 0; i < 32; i++)
                sum += patch_value(&d, place, i) * denoiser_value(w, o * 32 + i);
            assert_near(denoiser_value(made, n * 32 + o), sum);
        }
    denoiser_close(&d);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_2b_has_frames_then_columns_then_rows),
        cmocka_unit_test(positions_of_5b_are_scaled_into_the_grid_of_the_sample),
        cmocka_unit_test(positions_of_5b_are_centred_and_halves_go_to_even),
        cmocka_unit_test(positions_of_15_are_whole),
        cmocka_unit_test(without_rotary_tables_the_result_is_another),
        cmocka_unit_test(calls_that_the_rotary_tables_do_not_fit_are_refused),
        cmocka_unit_test(tokens_become_the_patches_that_they_came_from),
        cmocka_unit_test(a_patch_of_15_is_a_row_of_a_linear_layer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
