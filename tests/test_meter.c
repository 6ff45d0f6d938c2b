/* test_meter.c - the meters of rows against their definitions in MPFR, bit by bit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "meter_oracle.h"

#define METERS "entropy,segments,lse,rows:every=1"

static const vdit_dtype narrow[3] = {VDIT_F32, VDIT_BF16, VDIT_F16};
static const vdit_dtype all_f32[3] = {VDIT_F32, VDIT_F32, VDIT_F32};

static size_t row_count(const scene *s)
{
    return s->call.rows != NULL ? s->rows.shape[0] : s->q.shape[2];
}

/* Every row of one head; its facts go on to the means. Returns: rows with two keys or more. */
static void judge_head(const scene *s, const vdit_meter_results *results, attention_oracle *oracle,
                       size_t b, size_t h, size_t video)
{
    size_t rows = row_count(s), keys = s->k.shape[2], head = b * s->q.shape[1] + h, some = 0,
           wide = 0;
    double nats[64], percent[64];

    assert_true(rows <= 64);
    for (size_t r = 0; r < rows; r++) {
        size_t at = head * rows + r;

        attention_oracle_load(oracle, b, h, r);
        meter_oracle_expect(results, "entropy.keys", at, (double)oracle->count);
        meter_oracle_expect(results, "lse.row", at, attention_oracle_lse(oracle));
        meter_oracle_expect(results, "segments.row_video", at, meter_oracle_mass(oracle, 0, video));
        meter_oracle_expect(results, "segments.row_text", at,
                            meter_oracle_mass(oracle, video, keys));
        for (size_t j = 0; j < keys; j++)
            meter_oracle_expect(results, "rows.entry", at * keys + j,
                                attention_oracle_map(oracle, j));
        nats[some] = oracle->count > 0 ? meter_oracle_entropy(oracle, 0) : 0;
        meter_oracle_expect(results, "entropy.row", at, nats[some]);
        some += oracle->count > 0;
        percent[wide] = oracle->count > 1 ? meter_oracle_entropy(oracle, 1) : NAN;
        meter_oracle_expect(results, "entropy.row_percent", at, percent[wide]);
        wide += oracle->count > 1;
    }
    if (s->call.key_length == NULL) { /* else queries may be padding */
        meter_oracle_expect(results, "entropy.nats", head, meter_oracle_mean(nats, some));
        meter_oracle_expect(results, "entropy.percent", head, meter_oracle_mean(percent, wide));
        meter_oracle_expect(results, "entropy.rows", head, (double)wide);
    }
}

/* Everything that METERS asks for; the first video keys are video, the rest text. */
static void judge(scene *s, size_t video)
{
    vdit_tokens tokens = {1, 1, video, s->k.shape[2] - video, 0};
    vdit_meter_results results;
    attention_oracle oracle;

    meter_oracle_run(s, METERS, &tokens, &results);
    attention_oracle_new(&oracle, &s->call);
    for (size_t b = 0; b < s->q.shape[0]; b++)
        for (size_t h = 0; h < s->q.shape[1]; h++)
            judge_head(s, &results, &oracle, b, h, video);
    attention_oracle_free(&oracle);
}

static void small_shapes_are_the_definition(void **state)
{
    oracle_random random = oracle_random_start("small_shapes_are_the_definition");
    size_t mark = vdit_run_mark(*state);

    for (int n = 0; n < 81; n++) {
        size_t keys = 2 + (size_t)(n % 3), rows = n / 27 ? keys : 1;
        scene_shape shape = {
            1 + (size_t)n / 3 % 2, 1 + (size_t)n / 9 % 2, rows, keys, (size_t)n / 3 % 3, 1};
        vdit_dtype types[3] = {narrow[n % 3], narrow[n / 3 % 3], VDIT_F32};
        scene s;

        scene_start(&s, *state, &shape, types, &random);
        if (n % 2)
            scene_fill(&s.q, &random, SCENE_INTEGER);
        if (rows == 1) { /* one video query */
            vdit_tokens tokens = {1, 1, 1, keys - 1, 0};
            vdit_meter_results results;
            meter_oracle_run(&s, "entropy,segments", &tokens, &results);
        } else {
            judge(&s, 1);
        }
        vdit_run_release(*state, mark);
    }
}

static void ragged_tiles_are_the_definition(void **state)
{
    static const size_t keys[] = {5, 24, 191, 192, 193, 300};
    oracle_random random = oracle_random_start("ragged_tiles_are_the_definition");
    size_t mark = vdit_run_mark(*state);

    for (int n = 0; n < 6; n++) {
        static const int64_t some[] = {4, 0, 3, 3, 1};
        scene_shape shape = {1, 2, keys[n], keys[n], 8, 3};
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        scene_rows(&s, 5, some);
        s.call.scale = n % 2 ? 0.25 : 3;
        judge(&s, keys[n] / 3);
        vdit_run_release(*state, mark);
    }
}

static void masks_and_key_lengths_are_the_definition(void **state)
{
    static const int64_t length[2] = {0, 17}, some[3] = {2, 20, 1};
    oracle_random random = oracle_random_start("masks_and_key_lengths_are_the_definition");
    const scene_shape shape = {2, 2, 21, 21, 6, 3};
    const size_t masks[3][4] = {{2, 2, 21, 21}, {1, 1, 21, 1}, {1, 2, 1, 21}};
    size_t mark = vdit_run_mark(*state);

    for (int n = 0; n < 6; n++) {
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        scene_mask(&s, n % 2 ? VDIT_BOOL : VDIT_F32, masks[n / 2]);
        for (size_t i = 0; i < vdit_tensor_count(&s.mask); i++) {
            double value = oracle_int(&random, -3, 1);
            if (n % 2)
                ((unsigned char *)s.mask.data)[i] = value > -1;
            else
                ((float *)s.mask.data)[i] = value < -1 ? -INFINITY : (float)value;
        }
        if (n >= 2)
            scene_key_length(&s, length);
        scene_rows(&s, 3, some);
        judge(&s, 10);
        vdit_run_release(*state, mark);
    }
}

/* Logits far apart: entropies down to the subnormal f32, weights that vanish. */
static void peaked_rows_keep_their_digits(void **state)
{
    oracle_random random = oracle_random_start("peaked_rows_keep_their_digits");
    const scene_shape shape = {1, 1, 40, 40, 4, 2};
    size_t mark = vdit_run_mark(*state);

    for (int n = 0; n < 8; n++) {
        scene s;

        scene_start(&s, *state, &shape, all_f32, &random);
        s.call.scale = ldexp(1, 2 * n - 3);
        judge(&s, 20);
        vdit_run_release(*state, mark);
    }
}

static void uniform_maps_have_all_of_the_entropy(void **state)
{
    oracle_random random = oracle_random_start("uniform_maps_have_all_of_the_entropy");
    const scene_shape shape = {1, 1, 33, 33, 4, 2};
    vdit_meter_results results;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    memset(s.q.data, 0, vdit_tensor_count(&s.q) * sizeof(float));
    judge(&s, 20);
    meter_oracle_run(&s, "entropy", NULL, &results);
    meter_oracle_expect(&results, "entropy.percent", 0, 100);
}

static void identity_maps_have_no_entropy(void **state)
{
    oracle_random random = oracle_random_start("identity_maps_have_no_entropy");
    const scene_shape shape = {1, 1, 16, 16, 16, 2};
    vdit_meter_results results;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    for (size_t i = 0; i < 16; i++)
        for (size_t c = 0; c < 16; c++) {
            scene_set(&s.q, 0, 0, i, c, i == c ? 1000 : 0);
            scene_set(&s.k, 0, 0, i, c, i == c ? 1000 : 0);
        }
    judge(&s, 10);
    meter_oracle_run(&s, "entropy", NULL, &results);
    meter_oracle_expect(&results, "entropy.nats", 0, 0);
    meter_oracle_expect(&results, "entropy.percent", 0, 0);
}

/* Eight equal logits are 3 bits. */
static void the_unit_may_be_bits(void **state)
{
    oracle_random random = oracle_random_start("the_unit_may_be_bits");
    const scene_shape shape = {1, 1, 40, 33, 4, 2}, even = {1, 1, 2, 8, 4, 2};
    vdit_meter_results results;
    attention_oracle oracle;
    mpfr_t exact, ln2;
    scene s;

    mpfr_inits2(ATTENTION_ORACLE_BITS, exact, ln2, (mpfr_ptr)0);
    mpfr_const_log2(ln2, MPFR_RNDN);
    for (int n = 0; n < 6; n++) {
        scene_start(&s, *state, &shape, all_f32, &random);
        s.call.scale = ldexp(1, 2 * n - 4);
        meter_oracle_run(&s, "entropy:unit=bits", NULL, &results);
        attention_oracle_new(&oracle, &s.call);
        for (size_t r = 0; r < 40; r++) {
            attention_oracle_load(&oracle, 0, 0, r);
            meter_oracle_exact_entropy(exact, &oracle, 0);
            mpfr_div(exact, exact, ln2, MPFR_RNDN);
            meter_oracle_expect(&results, "entropy.row", r,
                                attention_oracle_round(exact, exact, VDIT_F32));
            meter_oracle_expect(&results, "entropy.row_percent", r,
                                meter_oracle_entropy(&oracle, 1));
        }
        attention_oracle_free(&oracle);
    }
    mpfr_clears(exact, ln2, (mpfr_ptr)0);
    scene_start(&s, *state, &even, all_f32, &random);
    s.call.scale = 0;
    meter_oracle_run(&s, "entropy:unit=bits", NULL, &results);
    meter_oracle_expect(&results, "entropy.row", 1, 3);
    meter_oracle_expect(&results, "entropy.nats", 0, 3);
}

static void a_nan_makes_its_rows_nan(void **state)
{
    oracle_random random = oracle_random_start("a_nan_makes_its_rows_nan");
    const scene_shape shape = {1, 1, 6, 6, 4, 2};
    vdit_meter_results results;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    scene_set(&s.q, 0, 0, 2, 1, NAN);
    meter_oracle_run(&s, METERS, NULL, &results);
    for (size_t r = 0; r < 6; r++) {
        assert_int_equal(isnan(meter_oracle_result(&results, "entropy.row", r)) != 0, r == 2);
        assert_int_equal(isnan(meter_oracle_result(&results, "segments.row_video", r)) != 0,
                         r == 2);
        assert_int_equal(isnan(meter_oracle_result(&results, "lse.row", r)) != 0, r == 2);
        assert_int_equal(isnan(meter_oracle_result(&results, "rows.entry", 6 * r)) != 0, r == 2);
    }
    assert_true(isnan(meter_oracle_result(&results, "entropy.nats", 0)));
    scene_set(&s.q, 0, 0, 2, 1, 1);
    scene_set(&s.k, 0, 0, 3, 1, INFINITY); /* logits of +inf and -inf by the sign of q */
    meter_oracle_run(&s, METERS, NULL, &results);
    for (size_t r = 0; r < 6; r++) {
        int plus = scene_get(&s.q, 0, 0, r, 1) > 0;
        assert_int_equal(isnan(meter_oracle_result(&results, "entropy.row", r)) != 0, plus);
        assert_int_equal(isinf(meter_oracle_result(&results, "lse.row", r)) != 0, plus);
    }
}

static void padding_queries_are_left_out_of_means(void **state)
{
    static const int64_t length[1] = {7};
    oracle_random random = oracle_random_start("padding_queries_are_left_out_of_means");
    const scene_shape shape = {1, 1, 9, 9, 4, 2};
    vdit_meter_results results;
    double rows[7];
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    scene_key_length(&s, length);
    meter_oracle_run(&s, METERS, NULL, &results);
    for (size_t r = 0; r < 7; r++)
        rows[r] = meter_oracle_result(&results, "entropy.row", r);
    meter_oracle_expect(&results, "entropy.nats", 0, meter_oracle_mean(rows, 7));
    meter_oracle_expect(&results, "entropy.rows", 0, 7);
}

static void bad_requests_are_refused_by_name(void **state)
{
    static const char *const bad[][2] = {
        {"entropy,nothing", "there is no meter 'nothing'"},
        {"entropy,entropy", "meter entropy is asked for twice"},
        {"rows:each=3", "meter rows: it has no option 'each'"},
        {"rows:every", "meter rows: option every has no value"},
        {"rows:every=0", "meter rows: option every is '0', expected 1.."},
        {"sink:tau=2", "meter sink: option tau is '2', expected a number"},
        {"sink:tau=3/m", "meter sink: option tau is '3/m', expected a number"},
        {"text0", "meter text0: the keys have no text tokens"},
        {"rectangle:row=9", "meter rectangle: option row is '9', expected 0..4"},
        {"first-frame", "meter first-frame: it needs to know the video's frames"},
        {"", "there is no meter ''"}};
    oracle_random random = oracle_random_start("bad_requests_are_refused_by_name");
    const scene_shape shape = {1, 1, 5, 5, 4, 2};
    vdit_meter_results results = {77, NULL};
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        vdit_meter_request request;

        vdit_meter_request_init(&request, bad[i][0]);
        assert_int_equal(vdit_meter_run(*state, &s.call, &request, &results), VDIT_ERR_ARGUMENT);
        assert_non_null(strstr(vdit_run_message(*state), bad[i][1]));
        assert_int_equal(results.count, 77);
        vdit_run_clear(*state);
    }
}

static void a_rectangle_is_a_part_of_the_map(void **state)
{
    oracle_random random = oracle_random_start("a_rectangle_is_a_part_of_the_map");
    const scene_shape shape = {1, 1, 9, 230, 4, 2};
    vdit_meter_results results;
    attention_oracle oracle;
    scene s;

    scene_start(&s, *state, &shape, all_f32, &random);
    meter_oracle_run(&s, "rectangle:row=3:rows=2:key=190:keys=5", NULL, &results);
    attention_oracle_new(&oracle, &s.call);
    for (size_t r = 0; r < 2; r++) {
        attention_oracle_load(&oracle, 0, 0, 3 + r);
        meter_oracle_expect(&results, "rectangle.which", r, 3 + (double)r);
        for (size_t j = 0; j < 5; j++)
            meter_oracle_expect(&results, "rectangle.entry", 5 * r + j,
                                attention_oracle_map(&oracle, 190 + j));
    }
    attention_oracle_free(&oracle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(small_shapes_are_the_definition, scene_open_two,
                                        scene_close),
        cmocka_unit_test_setup_teardown(ragged_tiles_are_the_definition, scene_open_two,
                                        scene_close),
        cmocka_unit_test_setup_teardown(masks_and_key_lengths_are_the_definition, scene_open_two,
                                        scene_close),
        cmocka_unit_test_setup_teardown(peaked_rows_keep_their_digits, scene_open_two, scene_close),
        cmocka_unit_test_setup_teardown(uniform_maps_have_all_of_the_entropy, scene_open_two,
                                        scene_close),
        cmocka_unit_test_setup_teardown(identity_maps_have_no_entropy, scene_open_two, scene_close),
        cmocka_unit_test_setup_teardown(the_unit_may_be_bits, scene_open_two, scene_close),
        cmocka_unit_test_setup_teardown(a_nan_makes_its_rows_nan, scene_open_two, scene_close),
        cmocka_unit_test_setup_teardown(padding_queries_are_left_out_of_means, scene_open_two,
                                        scene_close),
        cmocka_unit_test_setup_teardown(bad_requests_are_refused_by_name, scene_open_two,
                                        scene_close),
        cmocka_unit_test_setup_teardown(a_rectangle_is_a_part_of_the_map, scene_open_two,
                                        scene_close)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
