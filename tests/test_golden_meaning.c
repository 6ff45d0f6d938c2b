/* test_golden_meaning.c - each input family is what its name says, seen through the reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>
#include "golden/case.h"

#define TILE 64

static int new_run(void **state)
{
    *state = vdit_run_new();
    return *state == NULL ? -1 : 0;
}

static int free_run(void **state)
{
    vdit_run_free(*state);
    return 0;
}

static vdit_case attention_case(const char *family, vdit_dtype dtype, size_t nq, size_t nk,
                                size_t d)
{
    vdit_case c = {.name = family, .dtype = dtype, .seed = 31, .B = 1, .H = 1, .Nq = nq, .Nk = nk};

    c.family = vdit_family_find(family);
    c.contract = vdit_contract_default(dtype);
    c.d = c.dv = d;
    c.scale = 1 / sqrt((double)d);
    return c;
}

/* Out: golden with its inputs. Returns: the map [B,H,R,Nk] by the reference. */
static vdit_tensor map_of(vdit_run *run, vdit_golden *golden, const vdit_case *c)
{
    size_t shape[4] = {c->B, c->H, vdit_case_rows(c), c->Nk};
    vdit_attention a;
    vdit_tensor map;

    assert_int_equal(vdit_golden_generate(run, golden, c), VDIT_OK);
    vdit_attention_init(&a, vdit_golden_find(golden, "q"), vdit_golden_find(golden, "k"),
                        vdit_golden_find(golden, "v"));
    a.scale = c->scale;
    a.rows = vdit_golden_find(golden, "rows");
    a.key_length = vdit_golden_find(golden, "key_length");
    a.map = &map;
    vdit_tensor_new(run, &map, VDIT_F32, 4, shape);
    if (vdit_attention_reference(run, &a) != VDIT_OK)
        fail_msg("%s", vdit_run_message(run));
    return map;
}

/* Returns: the index of the largest entry of a row of the map. Out: its weight. */
static size_t largest_entry(float *weight, const vdit_tensor *map, size_t row)
{
    const float *entries = (const float *)map->data + row * map->shape[3];
    size_t best = 0;

    for (size_t j = 1; j < map->shape[3]; j++)
        if (entries[j] > entries[best])
            best = j;
    *weight = entries[best];
    return best;
}

static void check_needles(vdit_run *run, const vdit_case *c)
{
    size_t mark = vdit_run_mark(run), tiles = (c->Nk + TILE - 1) / TILE, tiles_hit = 0;
    size_t rows = vdit_case_rows(c);
    unsigned char hit[512] = {0};
    vdit_golden golden;
    vdit_tensor map = map_of(run, &golden, c);

    for (size_t i = 0; i < rows; i++) {
        float weight;
        size_t key = largest_entry(&weight, &map, i);
        if (!(weight >= 0.3f && weight <= 0.7f))
            fail_msg("N = %zu, d = %zu, row %zu: weight %g", c->Nk, c->d, i, (double)weight);
        tiles_hit += !hit[key / TILE];
        hit[key / TILE] = 1;
    }
    assert_int_equal(tiles_hit, rows < tiles ? rows : tiles);
    assert_true(hit[0] && hit[tiles - 1]);
    vdit_run_release(run, mark);
}

static void every_needle_has_half_the_weight_and_every_tile_is_hit(void **state)
{
    static const struct {
        size_t nq, nk, d, rows;
        vdit_dtype dtype;
    } shapes[] = {
        {512, 512, 64, 0, VDIT_BF16},   {513, 513, 64, 0, VDIT_F32},
        {100, 1000, 128, 0, VDIT_F16},  {4096, 4096, 128, 80, VDIT_F32},
        {4096, 4096, 40, 80, VDIT_F16}, {16, 16, 40, 0, VDIT_F16},
        {700, 77, 40, 0, VDIT_BF16},    {5000, 5000, 128, 20, VDIT_BF16},
    };

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        vdit_case c =
            attention_case("needle", shapes[i].dtype, shapes[i].nq, shapes[i].nk, shapes[i].d);
        c.row_count = shapes[i].rows;
        check_needles(*state, &c);
    }
}

static void offset_aims_at_the_end_alone(void **state)
{
    vdit_case c = attention_case("offset", VDIT_F16, 60, 4096, 64);
    size_t hit[2] = {0, 0};
    vdit_golden golden;
    vdit_tensor map = map_of(*state, &golden, &c);

    for (size_t i = 0; i < 60; i++) {
        float weight;
        size_t key = largest_entry(&weight, &map, i);
        assert_true(weight >= 0.3f && weight <= 0.7f);
        assert_true(key >= 4096 - 2 * TILE);
        hit[(key - (4096 - 2 * TILE)) / TILE]++;
    }
    assert_true(hit[0] > 0 && hit[1] > 0);
}

static void the_last_key_is_the_sink(void **state)
{
    static const int64_t length[] = {301};
    vdit_case c = attention_case("late-sink", VDIT_BF16, 50, 400, 64);
    vdit_golden golden;
    vdit_tensor map;

    c.key_length = length;
    map = map_of(*state, &golden, &c);
    for (size_t i = 0; i < 50; i++) {
        float weight;
        assert_int_equal(largest_entry(&weight, &map, i), 300);
        assert_true(weight > 0.8f && weight < 0.98f);
    }
}

static void a_peaked_map_is_nearly_one_hot(void **state)
{
    vdit_case c = attention_case("peaked", VDIT_F16, 100, 512, 64);
    vdit_golden golden;
    vdit_tensor map = map_of(*state, &golden, &c);
    double sum = 0;

    for (size_t i = 0; i < 100; i++) {
        float weight;
        largest_entry(&weight, &map, i);
        sum += (double)weight;
    }
    assert_true(sum / 100 > 0.7);
}

/* Out: golden with inputs and outputs. Returns: o[0,0,i,c] and the like by the name of a tensor. */
static double element(const vdit_golden *golden, const char *name, size_t i, size_t c)
{
    const vdit_tensor *t = vdit_golden_find(golden, name);
    const size_t index[] = {0, 0, i, c};
    double value;

    vdit_load_f64(&value, 1, vdit_tensor_at(t, index), 1, t->dtype);
    return value;
}

static void make(vdit_run *run, vdit_golden *golden, const vdit_case *c)
{
    assert_int_equal(vdit_golden_generate(run, golden, c), VDIT_OK);
    if (vdit_golden_compute(run, golden) != VDIT_OK)
        fail_msg("%s", vdit_run_message(run));
}

/* 64 values of bf16 sum up exactly in binary64, and the mean of 64 is exact too. */
static void uniform_logits_give_the_exact_mean(void **state)
{
    vdit_case c = attention_case("uniform-logits", VDIT_BF16, 6, 64, 16);
    vdit_golden golden;

    make(*state, &golden, &c);
    for (size_t channel = 0; channel < 16; channel++) {
        double sum = 0;
        for (size_t j = 0; j < 64; j++)
            sum += element(&golden, "v", j, channel);
        for (size_t i = 0; i < 6; i++)
            assert_true(element(&golden, "o", i, channel) == vdit_round_f64(VDIT_BF16, sum / 64));
    }
}

/* The keys with a 32 where the query has its one number. */
static void integers_give_the_mean_of_a_class(void **state)
{
    vdit_case c = attention_case("integers", VDIT_F32, 10, 128, 16);
    vdit_golden golden;

    make(*state, &golden, &c);
    for (size_t i = 0; i < 10; i++)
        for (size_t channel = 0; channel < 16; channel++) {
            double sum = 0, count = 0;
            for (size_t j = 0; j < 128; j++)
                for (size_t x = 0; x < 16; x++)
                    if (element(&golden, "q", i, x) != 0 && element(&golden, "k", j, x) != 0) {
                        sum += element(&golden, "v", j, channel);
                        count++;
                    }
            assert_true(count == 16);
            assert_true(element(&golden, "o", i, channel) == sum / count);
        }
}

static void poison_beyond_the_length_changes_nothing(void **state)
{
    static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};
    static const int64_t length[] = {37};

    for (int n = 0; n < 3; n++) {
        vdit_case c = attention_case("poison", dtypes[n], 9, 80, 16);
        vdit_golden poisoned, clean;
        c.key_length = length;
        make(*state, &poisoned, &c);
        assert_true(isnan(element(&poisoned, "k", 38, 0)) && isnan(element(&poisoned, "v", 78, 3)));
        assert_true(fabs(element(&poisoned, "v", 37, 0)) > 6e4);
        c.family = vdit_family_find("normal");
        make(*state, &clean, &c);
        assert_int_equal(poisoned.output_count, 3);
        for (size_t i = 0; i < 3; i++)
            assert_memory_equal(poisoned.outputs[i].tensor.data, clean.outputs[i].tensor.data,
                                vdit_tensor_count(&clean.outputs[i].tensor) *
                                    vdit_dtype_size(clean.outputs[i].tensor.dtype));
    }
}

/* Returns: the root mean square of the first rows of a tensor. */
static double size_of(const vdit_golden *golden, const char *name, size_t rows, size_t width)
{
    double sum = 0;

    for (size_t i = 0; i < rows; i++)
        for (size_t c = 0; c < width; c++)
            sum += element(golden, name, i, c) * element(golden, name, i, c);
    return sqrt(sum / (double)(rows * width));
}

static void cancelling_outputs_are_far_smaller_than_their_terms(void **state)
{
    vdit_case c = attention_case("cancel", VDIT_F32, 20, 64, 32), plain = c;
    vdit_golden golden, normal;

    plain.family = vdit_family_find("normal");
    make(*state, &golden, &c);
    make(*state, &normal, &plain);
    assert_true(size_of(&golden, "v", 20, 32) > 0.7);
    assert_true(size_of(&golden, "o", 20, 32) < size_of(&normal, "o", 20, 32) / 100);
    assert_true(size_of(&golden, "o", 20, 32) > 0);
}

static void overflowing_logits_exceed_ten_thousand(void **state)
{
    vdit_case c = attention_case("overflow", VDIT_F16, 20, 512, 64);
    vdit_golden golden;
    const vdit_tensor *lse;
    double most = 0;

    make(*state, &golden, &c);
    lse = vdit_golden_find(&golden, "lse");
    for (size_t i = 0; i < 20; i++) {
        double value = ((const float *)lse->data)[i];
        assert_true(isfinite(value));
        most = fmax(most, value);
    }
    assert_true(most > 1e4);
    assert_true(size_of(&golden, "o", 20, 64) > 0.5);
}

static void many_values_are_subnormal_and_outputs_are_not_zero(void **state)
{
    static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_F16};
    static const double least[] = {0x1p-126, 0x1p-14};

    for (int n = 0; n < 2; n++) {
        vdit_case c = attention_case("subnormal", dtypes[n], 20, 100, 32);
        vdit_golden golden;
        int subnormal = 0, zero = 0;
        make(*state, &golden, &c);
        for (size_t j = 0; j < 100; j++)
            for (size_t x = 0; x < 32; x++)
                subnormal += fabs(element(&golden, "v", j, x)) < least[n];
        for (size_t i = 0; i < 20; i++)
            for (size_t x = 0; x < 32; x++)
                zero += element(&golden, "o", i, x) == 0;
        assert_true(subnormal > 1600 && subnormal < 2700); /* 68% of 3200 */
        assert_true(zero < 7);
    }
}

static void one_channel_stands_out(void **state)
{
    vdit_case c = attention_case("outlier-channel", VDIT_BF16, 30, 200, 64);
    vdit_golden golden;
    int k_high = 0, v_high = 0;

    make(*state, &golden, &c);
    for (size_t x = 0; x < 64; x++) {
        double k_sum = 0, v_sum = 0;
        for (size_t j = 0; j < 200; j++) {
            k_sum += element(&golden, "k", j, x);
            v_sum += element(&golden, "v", j, x);
        }
        k_high += fabs(k_sum / 200 - 32) < 1;
        v_high += fabs(v_sum / 200 - 32) < 1;
    }
    assert_int_equal(k_high, 1);
    assert_int_equal(v_high, 1);
}

/* A row with no allowed key would show as lse = -inf. */
/* A video case of 9 frames, 12 by 16 tokens, and 20 text tokens before or after them. */
static vdit_case video_case(vdit_dtype dtype, int text_first)
{
    vdit_case c = attention_case("video", dtype, 1748, 1748, 64);

    c.H = 2;
    c.row_count = 60;
    c.tokens = (vdit_tokens){.frames = 9, .height = 12, .width = 16, .text = 20};
    c.tokens.text_first = text_first;
    return c;
}

/* Returns: the weight that video row r of head h gives to its own place in all frames. */
static double stripe_of(const vdit_tensor *map, size_t h, size_t r, size_t token, size_t first)
{
    double sum = 0;

    for (size_t t = 0; t < 9; t++) {
        const size_t index[] = {0, h, r, first + t * 192 + (token - first) % 192};
        sum += (double)*(const float *)vdit_tensor_at(map, index);
    }
    return sum;
}

static void video_has_stripes_in_even_heads_and_a_sink_in_odd_ones(void **state)
{
    static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};

    for (int n = 0; n < 6; n++) {
        vdit_case c = video_case(dtypes[n / 2], n % 2);
        size_t first = c.tokens.text_first ? 20 : 0, video_rows = 0, sunk = 0, sink;
        double stripes[2] = {0, 0};
        vdit_golden golden;
        vdit_tensor map = map_of(*state, &golden, &c);
        const int64_t *rows = vdit_golden_find(&golden, "rows")->data;
        float weight;

        sink = largest_entry(&weight, &map, map.shape[2] + 30);
        for (size_t r = 0; r < map.shape[2]; r++) {
            const size_t index[] = {0, 1, r, sink};
            if ((size_t)rows[r] < first || (size_t)rows[r] >= first + 1728)
                continue;
            video_rows++;
            sunk += *(const float *)vdit_tensor_at(&map, index) >= 0.3f;
            for (size_t h = 0; h < 2; h++)
                stripes[h] += stripe_of(&map, h, r, (size_t)rows[r], first);
        }
        assert_true(video_rows > 55 && sunk * 2 > video_rows); /* a sink, as C27 defines it */
        assert_true(stripes[0] / (double)video_rows > 0.3 && stripes[0] / (double)video_rows < 0.8);
        assert_true(stripes[1] / (double)video_rows < 0.1);
    }
}

/* Head 1, whose channels beyond the grid are independent: the weight of what is within two steps. */
static void video_maps_are_local(void **state)
{
    vdit_case c = video_case(VDIT_F32, 0);
    vdit_golden golden;
    vdit_tensor map = map_of(*state, &golden, &c);
    const size_t rows = map.shape[2];
    double near = 0, all = 0;

    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < 1728; j++) {
            const size_t index[] = {0, 1, r, j};
            size_t i = (size_t)((const int64_t *)vdit_golden_find(&golden, "rows")->data)[r];
            double weight = (double)*(const float *)vdit_tensor_at(&map, index);
            double dy = (double)(i / 16 % 12) - (double)(j / 16 % 12);
            double dx = (double)(i % 16) - (double)(j % 16);
            all += weight > 0.2 ? 0 : weight; /* without the sink */
            near += weight > 0.2 || fabs(dy) > 4 || fabs(dx) > 6 ? 0 : weight;
        }
    assert_true(near > 0.9 * all && all > 0.2 * (double)rows);
}

static void masks_leave_every_row_a_key(void **state)
{
    static const vdit_mask_kind kinds[] = {VDIT_MASK_BOOL_RANDOM, VDIT_MASK_FLOAT_RANDOM};
    static const int64_t length[] = {3};

    for (int n = 0; n < 2; n++) {
        vdit_case c = attention_case("normal", VDIT_BF16, 2000, 9, 8);
        vdit_golden golden;
        const vdit_tensor *mask;
        double hidden = 0;
        c.key_length = length;
        c.mask = kinds[n];
        make(*state, &golden, &c);
        mask = vdit_golden_find(&golden, "mask");
        assert_int_equal(mask->dtype, n == 0 ? VDIT_BOOL : VDIT_BF16);
        for (size_t i = 0; i < 2000; i++) {
            assert_true(isfinite(((const float *)vdit_golden_find(&golden, "lse")->data)[i]));
            for (size_t j = 0; j < 9; j++)
                hidden += element(&golden, "mask", i, j) == (n == 0 ? 0 : -(double)INFINITY);
        }
        /* a quarter and an eighth of the 16,000 that may be hidden, 5 standard deviations */
        assert_true(fabs(hidden - (n == 0 ? 4000 : 2000)) < 5 * sqrt(n == 0 ? 3000 : 1750));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_needle_has_half_the_weight_and_every_tile_is_hit),
        cmocka_unit_test(offset_aims_at_the_end_alone),
        cmocka_unit_test(the_last_key_is_the_sink),
        cmocka_unit_test(a_peaked_map_is_nearly_one_hot),
        cmocka_unit_test(uniform_logits_give_the_exact_mean),
        cmocka_unit_test(integers_give_the_mean_of_a_class),
        cmocka_unit_test(poison_beyond_the_length_changes_nothing),
        cmocka_unit_test(cancelling_outputs_are_far_smaller_than_their_terms),
        cmocka_unit_test(overflowing_logits_exceed_ten_thousand),
        cmocka_unit_test(many_values_are_subnormal_and_outputs_are_not_zero),
        cmocka_unit_test(one_channel_stands_out),
        cmocka_unit_test(video_has_stripes_in_even_heads_and_a_sink_in_odd_ones),
        cmocka_unit_test(video_maps_are_local),
        cmocka_unit_test(masks_leave_every_row_a_key),
    };

    return cmocka_run_group_tests(tests, new_run, free_run);
}
