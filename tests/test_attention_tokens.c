/* test_attention_tokens.c - what tokens are, and which declarations and designed masks are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>
#include "attention/pattern.h"

/* Out: layout. The tokens must fit. */
static void lay(vdit_layout *layout, const vdit_tokens *tokens, size_t queries, size_t keys)
{
    vdit_run *run = vdit_run_new();

    assert_non_null(run);
    assert_int_equal(vdit_layout_set(run, layout, tokens, queries, keys), VDIT_OK);
    vdit_run_free(run);
}

static void blocks_and_frames_follow_the_order_of_the_text(void **state)
{
    unsigned char in[11];
    vdit_layout layout;

    (void)state;
    lay(&layout, &(vdit_tokens){2, 2, 2, 3, 1}, 11, 11);
    assert_int_equal(vdit_layout_frame(&layout, 2), 2);
    assert_int_equal(vdit_layout_frame(&layout, 3), 0);
    assert_int_equal(vdit_layout_frame(&layout, 7), 1);
    vdit_blocks_row(VDIT_BLOCK_VT, &layout, 5, 1, 10, in);
    assert_memory_equal(in, "\1\1\0\0\0\0\0\0\0\0", 10);
    vdit_blocks_row(VDIT_BLOCK_TV, &layout, 2, 0, 11, in);
    assert_memory_equal(in, "\0\0\0\1\1\1\1\1\1\1\1", 11);
    vdit_blocks_row(0, &layout, 2, 0, 11, in);
    assert_memory_equal(in, "\1\1\1\1\1\1\1\1\1\1\1", 11);
    lay(&layout, &(vdit_tokens){2, 2, 2, 3, 0}, 11, 8);
    assert_int_equal(vdit_layout_frame(&layout, 7), 1);
    assert_int_equal(vdit_layout_frame(&layout, 8), 2);
    assert_int_equal(layout.key.text, 0);
    lay(&layout, &(vdit_tokens){0}, 11, 8);
    assert_int_equal(vdit_layout_frame(&layout, 7), 0);
    assert_int_equal(vdit_axis_kind(&layout.query, 10), VDIT_VIDEO);
}

static void refuse_layout(vdit_tokens tokens, size_t queries, size_t keys, const char *why)
{
    vdit_run *run = vdit_run_new();
    vdit_layout layout;

    assert_non_null(run);
    assert_int_equal(vdit_layout_set(run, &layout, &tokens, queries, keys), VDIT_ERR_SHAPE);
    if (strstr(vdit_run_message(run), why) == NULL)
        fail_msg("'%s' lacks '%s'", vdit_run_message(run), why);
    vdit_run_free(run);
}

static void tokens_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    refuse_layout((vdit_tokens){2, 2, 3, 4, 0}, 15, 16, "15 queries");
    refuse_layout((vdit_tokens){2, 2, 3, 4, 0}, 16, 8, "8 keys");
    refuse_layout((vdit_tokens){2, 0, 3, 4, 0}, 4, 4, "2 x 0 x 3");
    refuse_layout((vdit_tokens){SIZE_MAX / 2, 2, 3, 0, 0}, 4, 4, "frames, height and width");
    refuse_layout((vdit_tokens){2, 2, 3, SIZE_MAX, 0}, 11, 12, "11 queries");
}

/* On a joint map of 12 video and 4 text tokens. */
static void refuse_edit(const vdit_edit *e, const vdit_tokens *tokens, size_t keys,
                        vdit_status status, const char *why)
{
    vdit_run *run = vdit_run_new();
    vdit_layout layout;

    assert_non_null(run);
    lay(&layout, tokens, 16, keys);
    assert_int_equal(vdit_pattern_check(run, e, &layout), status);
    if (strstr(vdit_run_message(run), why) == NULL)
        fail_msg("'%s' lacks '%s'", vdit_run_message(run), why);
    vdit_run_free(run);
}

static void refuse_pattern(vdit_pattern p, size_t keys, vdit_status status, const char *why)
{
    vdit_tokens tokens = {2, 2, 3, 4, 0};
    vdit_edit e;

    vdit_edit_init(&e);
    e.patterns = &p;
    e.pattern_count = 1;
    refuse_edit(&e, &tokens, keys, status, why);
}

static void patterns_that_cannot_be_meant_are_refused(void **state)
{
    unsigned char bits[4] = {0};
    vdit_tensor tiles = vdit_tensor_view(bits, VDIT_BOOL, 2, (size_t[]){2, 2});
    vdit_tensor bytes = vdit_tensor_view(bits, VDIT_U8, 2, (size_t[]){2, 2});
    const vdit_status argument = VDIT_ERR_ARGUMENT;

    (void)state;
    refuse_pattern((vdit_pattern){(vdit_pattern_kind)6, {0}, {0}, 0, 0, 0, 0}, 16, argument,
                   "6 is none");
    refuse_pattern((vdit_pattern){VDIT_PATTERN_SLIDING, {1, 0, 1}, {1, 1, 1}, 0, 0, 0, 0}, 16,
                   argument, "sliding: an extent of 0");
    refuse_pattern((vdit_pattern){VDIT_PATTERN_SLIDING, {1, 1, 1}, {1, 1, 0}, 0, 0, 0, 0}, 16,
                   argument, "sliding: an extent of 0");
    refuse_pattern((vdit_pattern){VDIT_PATTERN_RADIAL, {0}, {0}, 0, 0, 0, 0.1}, 16, argument,
                   "1 / (height");
    refuse_pattern((vdit_pattern){VDIT_PATTERN_RADIAL, {0}, {0}, 0, 0, 0, NAN}, 16, argument,
                   "1 / (height");
    refuse_pattern((vdit_pattern){VDIT_PATTERN_TEMPORAL, {0}, {0}, 0, 0, 0, 0}, 4, argument,
                   "temporal: text alone");
    refuse_pattern((vdit_pattern){VDIT_PATTERN_TILES, {0}, {0}, &tiles, 0, 8, 0}, 16, argument,
                   "no tiles");
    refuse_pattern((vdit_pattern){VDIT_PATTERN_TILES, {0}, {0}, NULL, 8, 8, 0}, 16, argument,
                   "no tiles");
    refuse_pattern((vdit_pattern){VDIT_PATTERN_TILES, {0}, {0}, &tiles, 8, 7, 0}, 16,
                   VDIT_ERR_SHAPE, "tiles is [2, 2]; [2, 3] was expected");
    refuse_pattern((vdit_pattern){VDIT_PATTERN_TILES, {0}, {0}, &bytes, 8, 8, 0}, 16,
                   VDIT_ERR_DTYPE, "tiles is u8");
}

static void sets_that_cannot_be_meant_are_refused(void **state)
{
    unsigned char bits[20] = {0};
    vdit_tensor keys = vdit_tensor_view(bits, VDIT_BOOL, 1, (size_t[]){15});
    vdit_tensor bytes = vdit_tensor_view(bits, VDIT_U8, 1, (size_t[]){16});
    vdit_tokens tokens = {2, 2, 3, 4, 0}, none = {0};
    vdit_edit plain, e;

    (void)state;
    vdit_edit_init(&plain);
    refuse_edit(&plain, &none, 7, VDIT_OK, "");
    e = plain, e.queries = 0;
    refuse_edit(&e, &tokens, 16, VDIT_ERR_ARGUMENT, "queries is 0");
    e = plain, e.queries = VDIT_TEXT;
    refuse_edit(&e, &none, 16, VDIT_ERR_ARGUMENT, "declared");
    e = plain, e.dropped_blocks = VDIT_BLOCK_TV;
    refuse_edit(&e, &none, 16, VDIT_ERR_ARGUMENT, "declared");
    e = plain, e.prunable = 16;
    refuse_edit(&e, &tokens, 16, VDIT_ERR_ARGUMENT, "no set of the blocks");
    e = plain, e.first_text = 1;
    refuse_edit(&e, &none, 16, VDIT_ERR_ARGUMENT, "declared");
    refuse_edit(&e, &tokens, 12, VDIT_OK, "");
    e = plain, e.block_moment = (vdit_moment)2;
    refuse_edit(&e, &tokens, 16, VDIT_ERR_ARGUMENT, "moment");
    e = plain, e.pattern_count = 1;
    refuse_edit(&e, &tokens, 16, VDIT_ERR_ARGUMENT, "patterns is NULL");
    e = plain, e.keys = &keys;
    refuse_edit(&e, &tokens, 16, VDIT_ERR_SHAPE, "keys is [15]; [16]");
    e = plain, e.keys = &bytes;
    refuse_edit(&e, &tokens, 16, VDIT_ERR_DTYPE, "keys is u8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_and_frames_follow_the_order_of_the_text),
        cmocka_unit_test(tokens_that_do_not_fit_are_refused),
        cmocka_unit_test(patterns_that_cannot_be_meant_are_refused),
        cmocka_unit_test(sets_that_cannot_be_meant_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
