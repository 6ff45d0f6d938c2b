/* test_model_hunyuan_text.c - HunyuanVideo's masks: prompts of different lengths, and what padding may not change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "denoiser.h"

/* Two blocks of each kind, patches, and widths that differ from axis to axis. */
static const char *const larger[] = {
    "num_layers=2",  "num_single_layers=2",   "num_refiner_layers=2",
    "patch_size=2",  "attention_head_dim=16", "rope_axes_dim=[2, 8, 6]",
    "mlp_ratio=3.3", "out_channels=3",        NULL};

#define COUNT(list) (sizeof(list) / sizeof *(list))

static const vdit_extents odd = {1, 3, 6, 10, 5};

/* Makes the rows of a sample's text from the given one on padding. */
static void set_mask(denoiser *d, size_t sample, size_t valid)
{
    int64_t *mask = (int64_t *)d->mask.data + sample * d->extents.text;

    for (size_t i = 0; i < d->extents.text; i++)
        mask[i] = i < valid;
    d->call.text_mask = &d->mask;
}

/* The samples have prompts of different lengths. */
static void a_batch_gives_the_bits_of_its_samples_alone(void **state)
{
    static const size_t lengths[] = {5, 1, 3};
    vdit_extents three = odd;
    denoiser all, alone;

    (void)state;
    three.batch = 3;
    denoiser_open(&all, "hunyuan", larger, three);
    denoiser_open(&alone, "hunyuan", larger, odd);
    for (size_t i = 0; i < 3; i++)
        set_mask(&all, i, lengths[i]);
    denoiser_run(&all);
    for (size_t i = 0; i < 3; i++) {
        denoiser_take(&alone, 0, &all, i);
        set_mask(&alone, 0, lengths[i]);
        denoiser_run(&alone);
        assert_true(denoiser_same(&alone.output, 0, &all.output, i));
    }
    denoiser_close(&all);
    denoiser_close(&alone);
}

/* Padded rows are carried along, but nothing of them reaches the video or a valid row. */
static void what_padding_holds_does_not_change_the_video(void **state)
{
    static const char *const streams[] = {"transformer_blocks.0[0]",
                                          "single_transformer_blocks.1[0]"};
    denoiser with, without;

    (void)state;
    denoiser_open(&with, "hunyuan", larger, odd);
    denoiser_open(&without, "hunyuan", larger, odd);
    set_mask(&with, 0, 3);
    set_mask(&without, 0, 3);
    for (size_t i = 3 * 16; i < 5 * 16; i++)
        ((float *)with.text.data)[i] = 1 + (float)i;
    denoiser_run(&with);
    denoiser_run(&without);
    assert_false(denoiser_same(denoiser_find(&with, "context_embedder"), 0,
                               denoiser_find(&without, "context_embedder"), 0));
    assert_memory_equal(denoiser_find(&with, "context_embedder")->data,
                        denoiser_find(&without, "context_embedder")->data, 3 * 32 * sizeof(float));
    for (size_t i = 0; i < COUNT(streams); i++)
        assert_true(denoiser_same(denoiser_find(&with, streams[i]), 0,
                                  denoiser_find(&without, streams[i]), 0));
    assert_true(denoiser_same(&with.output, 0, &without.output, 0));
    denoiser_close(&with);
    denoiser_close(&without);
}

static void a_shorter_text_is_a_padded_one(void **state)
{
    vdit_extents shorter = odd;
    denoiser padded, cut;

    (void)state;
    shorter.text = 2;
    denoiser_open(&padded, "hunyuan", larger, odd);
    denoiser_open(&cut, "hunyuan", larger, shorter);
    set_mask(&padded, 0, 2);
    denoiser_run(&padded);
    denoiser_run(&cut); /* without a mask all rows are valid */
    assert_true(denoiser_same(&padded.output, 0, &cut.output, 0));
    set_mask(&cut, 0, 2);
    denoiser_run(&cut);
    assert_true(denoiser_same(&padded.output, 0, &cut.output, 0));
    denoiser_close(&padded);
    denoiser_close(&cut);
}

/* In the refiner row 1 of the mask 1 0 1 attends to row 0 alone; in the blocks the first two rows of the text count. */
static void the_refiner_takes_the_mask_as_it_is_and_the_blocks_its_sum(void **state)
{
    const vdit_tensor *v, *o;
    vdit_extents extents = odd;
    denoiser d, changed;

    (void)state;
    extents.text = 3;
    denoiser_open(&d, "hunyuan", larger, extents);
    denoiser_open(&changed, "hunyuan", larger, extents);
    set_mask(&d, 0, 3);
    set_mask(&changed, 0, 3);
    ((int64_t *)d.mask.data)[1] = ((int64_t *)changed.mask.data)[1] = 0;
    for (size_t i = 16; i < 32; i++)
        ((float *)changed.text.data)[i] =
            2; /* row 1, which is not valid and yet a key of the blocks */
    denoiser_run(&d);
    denoiser_run(&changed);
    v = denoiser_find(&d, "context_embedder.token_refiner.refiner_blocks.0.attn/v");
    o = denoiser_find(&d, "context_embedder.token_refiner.refiner_blocks.0.attn/o");
    for (size_t i = 0; i < 16; i++) {
        assert_true(denoiser_value(o, 16 + i) == denoiser_value(v, i));
        assert_false(denoiser_value(o, i) == denoiser_value(v, i));
    }
    assert_false(denoiser_same(&d.output, 0, &changed.output, 0));
    denoiser_close(&d);
    denoiser_close(&changed);
}

static void masks_of_any_integer_type_are_the_same(void **state)
{
    static const vdit_dtype types[] = {VDIT_BOOL, VDIT_U8, VDIT_I32};
    int32_t memory[5];
    denoiser d, other;

    (void)state;
    denoiser_open(&d, "hunyuan", NULL, odd);
    denoiser_open(&other, "hunyuan", NULL, odd);
    set_mask(&d, 0, 2);
    denoiser_run(&d);
    for (size_t t = 0; t < COUNT(types); t++) {
        vdit_tensor mask = vdit_tensor_view(memory, types[t], 2, (const size_t[]){1, 5});

        for (size_t i = 0; i < 5; i++)
            if (types[t] == VDIT_I32)
                memory[i] = i < 2 ? 7 : 0;
            else
                ((unsigned char *)memory)[i] = i < 2;
        other.call.text_mask = &mask;
        denoiser_run(&other);
        assert_true(denoiser_same(&d.output, 0, &other.output, 0));
    }
    denoiser_close(&d);
    denoiser_close(&other);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_gives_the_bits_of_its_samples_alone),
        cmocka_unit_test(what_padding_holds_does_not_change_the_video),
        cmocka_unit_test(a_shorter_text_is_a_padded_one),
        cmocka_unit_test(the_refiner_takes_the_mask_as_it_is_and_the_blocks_its_sum),
        cmocka_unit_test(masks_of_any_integer_type_are_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
