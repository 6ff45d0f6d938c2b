/*
 * test_model_survey.c - what the published models do at their published sizes, found from shapes alone.
 *
 * Tokens: a latent frame for the first and each 4 (Mochi 6) further ones, 8 x 8 pixels, patches of 2 x 2. Operations of
 * attention: 4 Nq Nk d of each head.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/model.h>

typedef struct known_sites {
    const char *family, *size;
    vdit_extents extents;
    const char *name; /* of the layer's site, %zu for the layer */
    unsigned kind;
    size_t sites, heads, queries, keys, width;
} known_sites;

#define LATENTS(frames, height, width, text)                                                       \
    {                                                                                              \
        1, frames, height, width, text                                                             \
    }

static const known_sites known[] = {
    {"wan", "1.3B", LATENTS(21, 60, 104, 512), "blocks.%zu.attn1", VDIT_KIND_FULL, 30, 12, 32760,
     32760, 128},
    {"wan", "1.3B", LATENTS(21, 60, 104, 512), "blocks.%zu.attn2", VDIT_KIND_CROSS, 30, 12, 32760,
     512, 128},
    {"wan", "14B", LATENTS(21, 60, 104, 512), "blocks.%zu.attn1", VDIT_KIND_FULL, 40, 40, 32760,
     32760, 128},
    {"wan", "14B", LATENTS(21, 90, 160, 512), "blocks.%zu.attn1", VDIT_KIND_FULL, 40, 40, 75600,
     75600, 128},
    {"wan", "14B", LATENTS(21, 90, 160, 512), "blocks.%zu.attn2", VDIT_KIND_CROSS, 40, 40, 75600,
     512, 128},
    {"mochi", "mochi-1", LATENTS(28, 60, 106, 256), "transformer_blocks.%zu.attn1", VDIT_KIND_FULL,
     48, 24, 44776, 44776, 128},
    {"mochi", "mochi-1", LATENTS(4, 60, 106, 256), "transformer_blocks.%zu.attn1", VDIT_KIND_FULL,
     48, 24, 6616, 6616, 128},
    {"mochi", "mochi-1", LATENTS(4, 60, 106, 256), "time_embed.pooler", 0, 1, 8, 1, 257, 512},
    {"hunyuan", "hunyuanvideo", LATENTS(33, 90, 160, 256), "transformer_blocks.%zu.attn",
     VDIT_KIND_FULL, 20, 24, 119056, 119056, 128},
    {"hunyuan", "hunyuanvideo", LATENTS(33, 90, 160, 256), "single_transformer_blocks.%zu.attn",
     VDIT_KIND_FULL, 40, 24, 119056, 119056, 128},
    {"hunyuan", "hunyuanvideo", LATENTS(33, 68, 120, 256), "transformer_blocks.%zu.attn",
     VDIT_KIND_FULL, 20, 24, 67576, 67576, 128},
    {"hunyuan", "hunyuanvideo", LATENTS(33, 68, 120, 256),
     "context_embedder.token_refiner.refiner_blocks.%zu.attn", 0, 2, 24, 256, 256, 128},
    {"cogvideox", "2b", LATENTS(13, 60, 90, 226), "transformer_blocks.%zu.attn1", VDIT_KIND_FULL,
     30, 30, 17776, 17776, 64},
    {"cogvideox", "5b", LATENTS(13, 60, 90, 226), "transformer_blocks.%zu.attn1", VDIT_KIND_FULL,
     42, 48, 17776, 17776, 64},
};

static vdit_model_survey survey_of(vdit_run *run, const char *family, const char *size,
                                   const vdit_extents *extents, vdit_dtype dtype)
{
    vdit_model_survey survey = {0};
    vdit_model *model = NULL;

    vdit_model_preset(run, &model, family, size, NULL, 0);
    vdit_model_survey_of(run, model, extents, dtype, &survey);
    assert_string_equal(vdit_run_message(run), "");
    vdit_model_close(model);
    return survey;
}

/* Returns: 1 if the site is that of a layer. */
static int is_site(const vdit_site_info *site, const known_sites *k, size_t layer)
{
    const char *place = strstr(k->name, "%zu");
    char name[128];

    if (place == NULL)
        return strcmp(site->name, k->name) == 0;
    snprintf(name, sizeof name, "%.*s%zu%s", (int)(place - k->name), k->name, layer, place + 3);
    return strcmp(site->name, name) == 0;
}

static void sites_have_the_sizes_of_the_published_models(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const known_sites *k = &known[i];
        vdit_run *run = vdit_run_new();
        vdit_model_survey survey = survey_of(run, k->family, k->size, &k->extents, VDIT_F32);
        size_t found = 0;

        for (size_t j = 0; j < survey.site_count; j++) {
            const vdit_site_info *s = &survey.sites[j];

            if (!is_site(s, k, found))
                continue;
            found++;
            if (s->kind != k->kind || s->heads != k->heads || s->queries != k->queries ||
                s->keys != k->keys || s->width != k->width)
                fail_msg("%s %s: %s has %zu heads, %zu x %zu, width %zu, kind %u", k->family,
                         k->size, s->name, s->heads, s->queries, s->keys, s->width, s->kind);
        }
        if (found != k->sites)
            fail_msg("%s %s: %zu sites %s", k->family, k->size, found, k->name);
        vdit_run_free(run);
    }
}

/* The tokens of a site are what a plan selects its text and its frames by. */
static void sites_know_their_tokens(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const known_sites *k = &known[i];
        vdit_run *run = vdit_run_new();
        vdit_model_survey survey = survey_of(run, k->family, k->size, &k->extents, VDIT_F32);

        for (size_t j = 0; j < survey.site_count; j++) {
            const vdit_site_info *s = &survey.sites[j];
            size_t video = s->tokens.frames * s->tokens.height * s->tokens.width;

            if (s->kind == VDIT_KIND_FULL)
                assert_int_equal(video + s->tokens.text, s->queries);
            if (s->kind == VDIT_KIND_CROSS)
                assert_true(video == s->queries && s->tokens.text == s->keys);
            if (s->kind != 0)
                assert_true(s->tokens.frames == k->extents.frames &&
                            s->tokens.height == k->extents.height / 2);
        }
        vdit_run_free(run);
    }
}

/* Formulas of all sites together, to the digits of the literature's table. */
static void operations_are_those_of_the_sites(void **state)
{
    static const struct {
        const char *family, *size;
        vdit_extents extents;
        double attention;
    } totals[] = {
        {"wan", "1.3B", LATENTS(21, 60, 104, 512), 1.978e14 + 3.09e12},
        {"wan", "14B", LATENTS(21, 90, 160, 512), 4.682e15 + 3.17e13},
        {"mochi", "mochi-1", LATENTS(4, 60, 106, 256), 2.582e13},
        {"hunyuan", "hunyuanvideo", LATENTS(33, 90, 160, 256), 1.045e16},
        {"cogvideox", "2b", LATENTS(13, 60, 90, 226), 7.280e13},
        {"cogvideox", "5b", LATENTS(13, 60, 90, 226), 1.631e14},
    };

    (void)state;
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
        vdit_run *run = vdit_run_new();
        vdit_model_survey survey =
            survey_of(run, totals[i].family, totals[i].size, &totals[i].extents, VDIT_F32);
        double sum = 0, ratio = survey.attention_flops / totals[i].attention;

        for (size_t j = 0; j < survey.site_count; j++) {
            const vdit_site_info *s = &survey.sites[j];

            sum += 4.0 * (double)s->queries * (double)s->keys * (double)(s->heads * s->width);
        }
        assert_true(survey.attention_flops == sum);
        if (ratio < 0.9993 || ratio > 1.0007) /* four digits */
            fail_msg("%s %s: %g operations of attention", totals[i].family, totals[i].size,
                     survey.attention_flops);
        assert_true(survey.flops > survey.attention_flops);
        vdit_run_free(run);
    }
}

/* Every weight of a linear layer meets every token twice: once multiplied, once added. */
static void operations_grow_with_the_batch(void **state)
{
    static const char *const families[] = {"wan", "mochi", "hunyuan", "cogvideox"};

    (void)state;
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        vdit_run *run = vdit_run_new();
        vdit_extents one = LATENTS(2, 8, 8, 8), three = one;
        vdit_model_survey a, b;

        three.batch = 3;
        a = survey_of(run, families[f], "tiny", &one, VDIT_F32);
        b = survey_of(run, families[f], "tiny", &three, VDIT_F32);
        assert_true(b.flops > 2.9 * a.flops && b.flops <= 3 * a.flops);
        assert_true(b.attention_flops == 3 * a.attention_flops);
        assert_true(b.bytes > a.bytes);
        assert_int_equal(a.activation_count, b.activation_count);
        vdit_run_free(run);
    }
}

static void half_precision_takes_less_memory(void **state)
{
    static const char *const families[] = {"wan", "mochi", "hunyuan", "cogvideox"};

    (void)state;
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        vdit_run *run = vdit_run_new();
        vdit_extents extents = LATENTS(4, 16, 16, 8);
        vdit_model_survey single = survey_of(run, families[f], "tiny", &extents, VDIT_F32);
        vdit_model_survey half = survey_of(run, families[f], "tiny", &extents, VDIT_BF16);

        if (!(half.bytes < single.bytes))
            fail_msg("%s: %g bytes in bf16, %g in f32", families[f], half.bytes, single.bytes);
        vdit_run_free(run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sites_have_the_sizes_of_the_published_models),
        cmocka_unit_test(sites_know_their_tokens),
        cmocka_unit_test(operations_are_those_of_the_sites),
        cmocka_unit_test(operations_grow_with_the_batch),
        cmocka_unit_test(half_precision_takes_less_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
