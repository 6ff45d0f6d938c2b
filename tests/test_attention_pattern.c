/*
 * test_attention_pattern.c - designed masks: the code that fills runs of keys against the definitions in pattern.h,
 * entry by entry, on every small shape.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>
#include "attention/pattern.h"

#define MAX_KEYS 256

/* Out: layout. The tokens must fit. */
static void lay(vdit_layout *layout, const vdit_tokens *tokens, size_t queries, size_t keys)
{
    vdit_run *run = vdit_run_new();

    assert_non_null(run);
    assert_int_equal(vdit_layout_set(run, layout, tokens, queries, keys), VDIT_OK);
    vdit_run_free(run);
}

static size_t gap(size_t a, size_t b)
{
    return a > b ? a - b : b - a;
}

/* The definition of one axis of sliding tile attention, tile by tile. */
static int slides(size_t at, size_t key, size_t tile, size_t window, size_t extent)
{
    long n = (long)ceil((double)extent / (double)tile), own = (long)(at / tile);
    long begin = own - (long)(window / 2);

    begin = begin < n - (long)window ? begin : n - (long)window;
    begin = begin > 0 ? begin : 0;
    return (long)(key / tile) >= begin && (long)(key / tile) < begin + (long)window;
}

/* The mask of the paper, section 4.2, in real numbers; S takes the place of its s. */
static int radiates(const size_t q[3], const size_t k[3], const vdit_layout *g, double decay)
{
    double scaled = floor(decay * (double)(g->height * g->width)), dt = (double)gap(q[0], k[0]);
    double m = exp2(floor(log2(fmax(dt, 1))));
    double dl = fabs((double)(q[1] * g->width + q[2]) - (double)(k[1] * g->width + k[2]));

    return (m <= scaled && dl + 1 <= scaled / m) || (dl == 0 && fmod(dt, ceil(m / scaled)) == 0);
}

static int keeps(const vdit_pattern *p, const size_t q[3], const size_t k[3], const vdit_layout *g)
{
    switch (p->kind) {
    case VDIT_PATTERN_SLIDING:
        return slides(q[0], k[0], p->tile[0], p->window[0], g->frames) &&
               slides(q[1], k[1], p->tile[1], p->window[1], g->height) &&
               slides(q[2], k[2], p->tile[2], p->window[2], g->width);
    case VDIT_PATTERN_RADIAL:
        return radiates(q, k, g, p->decay);
    case VDIT_PATTERN_SPATIAL:
        return gap(q[1], k[1]) <= p->window[1] && gap(q[2], k[2]) <= p->window[2];
    case VDIT_PATTERN_TEMPORAL:
        return gap(q[0], k[0]) <= p->window[0];
    default:
        return k[0] == 0;
    }
}

/* Whether an entry is left at a moment, by the words of vdit_edit. */
static int leaves(const vdit_edit *e, const vdit_layout *g, vdit_moment moment, size_t i, size_t j)
{
    unsigned row = vdit_axis_kind(&g->query, i), column = vdit_axis_kind(&g->key, j);
    int kept = e->pattern_count == 0 || e->pattern_moment != moment;
    size_t q[3], k[3];

    if (!(e->queries & row))
        return 1;
    for (size_t n = 0; n < e->pattern_count && !kept; n++) {
        const vdit_pattern *p = &e->patterns[n];
        if (p->kind == VDIT_PATTERN_TILES) {
            kept = ((const unsigned char *)
                        p->tiles->data)[i / p->rows * p->tiles->shape[1] + j / p->columns];
        } else if (row == VDIT_TEXT || column == VDIT_TEXT) {
            kept = !e->text_masked;
        } else {
            vdit_layout_place(q, g, &g->query, i);
            vdit_layout_place(k, g, &g->key, j);
            kept = keeps(p, q, k, g);
        }
    }
    if (e->block_moment == moment && (e->dropped_blocks & vdit_block_of(row, column)))
        return 0;
    if (moment == VDIT_AFTER_SOFTMAX)
        return kept;
    if (column == VDIT_TEXT && e->first_text > 0 && j - g->key.text_at >= e->first_text)
        return 0;
    return kept && (e->keys == NULL || ((const unsigned char *)e->keys->data)[j]);
}

/* Every query, in runs of several lengths that begin anywhere. */
static void compare(const vdit_edit *e, const vdit_layout *g, vdit_moment moment)
{
    static const size_t lengths[] = {1, 5, 13, MAX_KEYS};
    size_t queries = g->query.video + g->query.text, keys = g->key.video + g->key.text;
    unsigned char keep[MAX_KEYS];

    assert_true(keys <= MAX_KEYS);
    for (size_t i = 0; i < queries; i++)
        for (size_t n = 0; n < 4; n++)
            for (size_t first = 0, count; first < keys; first += count) {
                size_t kept = 0, told;
                count = lengths[n] < keys - first ? lengths[n] : keys - first;
                memset(keep, 0xa5, sizeof keep);
                told = vdit_pattern_row(e, g, moment, i, first, count, keep);
                for (size_t j = 0; j < count; j++) {
                    if (keep[j] != leaves(e, g, moment, i, first + j))
                        fail_msg("%zu x %zu x %zu, query %zu, key %zu of a run from %zu: %d",
                                 g->frames, g->height, g->width, i, first + j, first, keep[j]);
                    kept += keep[j];
                }
                assert_int_equal(told, kept);
                assert_true(count == MAX_KEYS || keep[count] == 0xa5);
            }
}

/* One pattern on self-attention over a video with and without text, dense and masked. */
static void compare_on(const vdit_pattern *p, size_t frames, size_t height, size_t width)
{
    for (size_t text = 0; text < 6; text += 5)
        for (int bits = 0; bits < (text ? 4 : 1); bits++) {
            vdit_tokens tokens = {frames, height, width, text, bits & 1};
            size_t n = frames * height * width + text;
            vdit_layout layout;
            vdit_edit e;

            vdit_edit_init(&e);
            e.patterns = p;
            e.pattern_count = 1;
            e.text_masked = bits >> 1;
            lay(&layout, &tokens, n, n);
            compare(&e, &layout, VDIT_BEFORE_SOFTMAX);
        }
}

static void a_sliding_window_is_its_definition(void **state)
{
    (void)state;
    for (size_t extent = 1; extent <= 9; extent++)
        for (size_t tile = 1; tile <= 4; tile++)
            for (size_t window = 1; window <= 5; window++) {
                vdit_pattern p = {VDIT_PATTERN_SLIDING, {tile, 1, 2}, {window, 1, 1}, 0, 0, 0, 0};
                compare_on(&p, extent, 2, 3);
                p = (vdit_pattern){VDIT_PATTERN_SLIDING, {1, tile, 1}, {1, window, 3}, 0, 0, 0, 0};
                compare_on(&p, 2, extent, 2);
                p = (vdit_pattern){VDIT_PATTERN_SLIDING, {2, 1, tile}, {1, 1, window}, 0, 0, 0, 0};
                compare_on(&p, 3, 1, extent);
            }
}

/* At 4, of 8 frames in tiles of 2, a window of 3 keeps tiles 1 to 3; at the border it moves inwards. */
static void a_window_at_the_border_keeps_its_size(void **state)
{
    vdit_tokens tokens = {8, 1, 1, 0, 0};
    vdit_pattern p = {VDIT_PATTERN_SLIDING, {2, 1, 1}, {3, 1, 1}, 0, 0, 0, 0};
    static const char *const expected[] = {"11111100", "11111100", "11111100", "11111100",
                                           "00111111", "00111111", "00111111", "00111111"};
    vdit_layout layout;
    vdit_edit e;

    (void)state;
    vdit_edit_init(&e);
    e.patterns = &p;
    e.pattern_count = 1;
    lay(&layout, &tokens, 8, 8);
    for (size_t i = 0; i < 8; i++) {
        unsigned char keep[8];
        assert_int_equal(vdit_pattern_row(&e, &layout, VDIT_BEFORE_SOFTMAX, i, 0, 8, keep), 6);
        for (size_t j = 0; j < 8; j++)
            assert_int_equal(keep[j], expected[i][j] - '0');
    }
}

static void radial_attention_is_its_definition(void **state)
{
    static const double decays[] = {0.25, 0.5, 1, 1.7, 3};

    (void)state;
    for (size_t frames = 1; frames <= 20; frames += frames < 5 ? 1 : 5)
        for (size_t height = 1; height <= 3; height++)
            for (size_t width = 1; width <= 4; width++)
                for (size_t i = 0; i < 5; i++) {
                    vdit_pattern p = {VDIT_PATTERN_RADIAL, {0}, {0}, 0, 0, 0, decays[i]};
                    if (decays[i] * (double)(height * width) >= 1)
                        compare_on(&p, frames, height, width);
                }
}

/*
 * Bands of the paper's figure: with s = 8 a frame is whole at distances 0 and 1, 4 of 8 diagonals wide at 2 and 3 on
 * each side (|l - l'| < 4), 2 at 4 to 7, 1 at 8 to 15; from 16 on only every second frame has its diagonal.
 */
static void radial_bands_halve_as_the_distance_doubles(void **state)
{
    static const size_t at[] = {0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 18, 31, 32, 33, 36};
    static const size_t kept[] = {8, 8, 4, 4, 2, 2, 1, 1, 1, 0, 1, 0, 1, 0, 1};
    vdit_tokens tokens = {40, 1, 8, 0, 0};
    vdit_pattern p = {VDIT_PATTERN_RADIAL, {0}, {0}, 0, 0, 0, 1};
    unsigned char keep[8];
    vdit_layout layout;
    vdit_edit e;

    (void)state;
    vdit_edit_init(&e);
    e.patterns = &p;
    e.pattern_count = 1;
    lay(&layout, &tokens, 320, 320);
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        assert_int_equal(vdit_pattern_row(&e, &layout, VDIT_BEFORE_SOFTMAX, 0, 8 * at[i], 8, keep),
                         kept[i]);
}

static void windows_and_the_first_frame_are_their_definitions(void **state)
{
    (void)state;
    for (size_t frames = 1; frames <= 4; frames++)
        for (size_t height = 1; height <= 4; height++)
            for (size_t width = 1; width <= 4; width++)
                for (size_t reach = 0; reach <= 4; reach++) {
                    vdit_pattern p = {VDIT_PATTERN_SPATIAL, {0}, {0, reach, 1}, 0, 0, 0, 0};
                    compare_on(&p, frames, height, width);
                    p = (vdit_pattern){VDIT_PATTERN_SPATIAL, {0}, {0, SIZE_MAX, reach}, 0, 0, 0, 0};
                    compare_on(&p, frames, height, width);
                    p = (vdit_pattern){VDIT_PATTERN_TEMPORAL, {0}, {reach, 0, 0}, 0, 0, 0, 0};
                    compare_on(&p, frames, height, width);
                    p = (vdit_pattern){VDIT_PATTERN_FIRST_FRAME, {0}, {0}, 0, 0, 0, 0};
                    compare_on(&p, frames, height, width);
                }
}

/* All but sliding and the first frame depend on distances alone, so they are symmetric. */
static void masks_by_distance_are_symmetric(void **state)
{
    vdit_tokens tokens = {5, 3, 4, 0, 0};
    vdit_pattern patterns[] = {{VDIT_PATTERN_RADIAL, {0}, {0}, 0, 0, 0, 0.75},
                               {VDIT_PATTERN_SPATIAL, {0}, {0, 1, 2}, 0, 0, 0, 0},
                               {VDIT_PATTERN_TEMPORAL, {0}, {2, 0, 0}, 0, 0, 0, 0}};
    unsigned char keep[60][60];
    vdit_layout layout;
    vdit_edit e;

    (void)state;
    vdit_edit_init(&e);
    e.pattern_count = 1;
    lay(&layout, &tokens, 60, 60);
    for (size_t n = 0; n < 3; n++) {
        e.patterns = &patterns[n];
        for (size_t i = 0; i < 60; i++)
            vdit_pattern_row(&e, &layout, VDIT_BEFORE_SOFTMAX, i, 0, 60, keep[i]);
        for (size_t i = 0; i < 60; i++) {
            assert_int_equal(keep[i][i], 1);
            for (size_t j = 0; j < i; j++)
                assert_int_equal(keep[i][j], keep[j][i]);
        }
    }
}

/* Out: bits[n], seeded. */
static void scatter(unsigned char *bits, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        bits[i] = seed >> 31;
    }
}

static void tiles_count_for_text_too_and_end_ragged(void **state)
{
    vdit_tokens tokens = {2, 2, 6, 4, 1};
    vdit_layout layout;

    (void)state;
    lay(&layout, &tokens, 28, 24);
    for (size_t rows = 1; rows <= 29; rows += 3)
        for (size_t columns = 1; columns <= 25; columns += 2) {
            size_t shape[] = {(28 + rows - 1) / rows, (24 + columns - 1) / columns};
            unsigned char mask[28 * 24];
            vdit_tensor tiles = vdit_tensor_view(mask, VDIT_BOOL, 2, shape);
            vdit_pattern p = {VDIT_PATTERN_TILES, {0}, {0}, &tiles, rows, columns, 0};
            vdit_edit e;

            scatter(mask, shape[0] * shape[1], (uint32_t)(rows * 100 + columns));
            vdit_edit_init(&e);
            e.patterns = &p;
            e.pattern_count = 1;
            compare(&e, &layout, VDIT_BEFORE_SOFTMAX);
        }
}

static void parts_combine_at_their_moments(void **state)
{
    unsigned char bits[17], mask[4];
    vdit_tensor keys = vdit_tensor_view(bits, VDIT_BOOL, 1, (size_t[]){17});
    vdit_tensor tiles = vdit_tensor_view(mask, VDIT_BOOL, 2, (size_t[]){2, 2});
    vdit_pattern patterns[] = {{VDIT_PATTERN_SLIDING, {1, 2, 1}, {1, 1, 1}, 0, 0, 0, 0},
                               {VDIT_PATTERN_TILES, {0}, {0}, &tiles, 9, 10, 0},
                               {VDIT_PATTERN_FIRST_FRAME, {0}, {0}, 0, 0, 0, 0}};

    (void)state;
    scatter(bits, 17, 3);
    for (unsigned n = 0; n < 4096; n++) {
        vdit_tokens tokens = {2, 3, 2, 5, (int)(n & 1)};
        vdit_layout layout;
        vdit_edit e;

        scatter(mask, 4, n);
        vdit_edit_init(&e);
        e.patterns = patterns + (n >> 10) % 2;
        e.pattern_count = (n >> 1) % 4 % 3;
        e.text_masked = (n >> 3) & 1;
        e.dropped_blocks = (n >> 4) & 15;
        e.block_moment = (n >> 8) & 1 ? VDIT_AFTER_SOFTMAX : VDIT_BEFORE_SOFTMAX;
        e.pattern_moment = (n >> 9) & 1 ? VDIT_AFTER_SOFTMAX : VDIT_BEFORE_SOFTMAX;
        e.keys = (n >> 10) & 1 ? &keys : NULL;
        e.first_text = (n >> 11) & 1 ? 2 : 0;
        e.queries = n % 3 + 1;
        lay(&layout, &tokens, 17, 17);
        compare(&e, &layout, VDIT_BEFORE_SOFTMAX);
        compare(&e, &layout, VDIT_AFTER_SOFTMAX);
    }
}

static void cross_attention_has_video_queries_and_text_keys(void **state)
{
    vdit_tokens tokens = {2, 2, 3, 7, 0};
    unsigned char in[7];
    vdit_layout layout;
    vdit_edit e;

    (void)state;
    lay(&layout, &tokens, 12, 7);
    assert_int_equal(layout.query.video, 12);
    assert_int_equal(layout.query.text, 0);
    assert_int_equal(layout.key.video, 0);
    assert_int_equal(layout.key.text, 7);
    vdit_edit_init(&e);
    e.first_text = 1;
    compare(&e, &layout, VDIT_BEFORE_SOFTMAX);
    vdit_blocks_row(VDIT_BLOCK_VT, &layout, 3, 0, 7, in);
    assert_memory_equal(in, "\1\1\1\1\1\1\1", 7);
    vdit_blocks_row(VDIT_BLOCK_VV | VDIT_BLOCK_TT, &layout, 3, 0, 7, in);
    assert_memory_equal(in, "\0\0\0\0\0\0\0", 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sliding_window_is_its_definition),
        cmocka_unit_test(a_window_at_the_border_keeps_its_size),
        cmocka_unit_test(radial_attention_is_its_definition),
        cmocka_unit_test(radial_bands_halve_as_the_distance_doubles),
        cmocka_unit_test(windows_and_the_first_frame_are_their_definitions),
        cmocka_unit_test(masks_by_distance_are_symmetric),
        cmocka_unit_test(tiles_count_for_text_too_and_end_ragged),
        cmocka_unit_test(parts_combine_at_their_moments),
        cmocka_unit_test(cross_attention_has_video_queries_and_text_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
