/* test_golden_plan.c - cases with a plan or with meters: the tensors that they take, and what they give. */
#include <math.h>
#include <string.h>
#include <vdit/random.h>
#include "file_support.h"
#include "golden/layout.h"
#include "golden/planned.h"

static vdit_case sample_case(const char *plan, uint64_t seed)
{
    vdit_case c = {.name = "sample", .dtype = VDIT_BF16, .seed = seed, .B = 1, .H = 5};

    c.family = vdit_family_find("normal");
    c.contract = vdit_contract_default(VDIT_BF16);
    c.Nq = c.Nk = 44;
    c.d = c.dv = 16;
    c.scale = 0.25;
    c.tokens = (vdit_tokens){.frames = 2, .height = 4, .width = 5, .text = 4};
    c.row_every = 20;
    c.plan = plan;
    return c;
}

static void generate(vdit_run *run, vdit_golden *golden, const char *plan, uint64_t seed)
{
    vdit_case c = sample_case(plan, seed);

    if (vdit_golden_generate(run, golden, &c) != VDIT_OK)
        fail_msg("'%s': %s", plan, vdit_run_message(run));
}

static void compute(vdit_run *run, vdit_golden *golden, const char *plan, uint64_t seed)
{
    generate(run, golden, plan, seed);
    if (vdit_golden_compute(run, golden) != VDIT_OK)
        fail_msg("'%s': %s", plan, vdit_run_message(run));
}

/* The first word of element e of a tensor's stream, as vdit-recipe(5) says. */
static uint32_t word(uint32_t tensor, uint32_t e)
{
    const uint32_t counter[4] = {e, 0, tensor, 0}, key[2] = {9, 0};
    uint32_t words[4];

    vdit_philox4x32_10(words, counter, key);
    return words[0];
}

static void named_tensors_have_their_published_formulas(void **state)
{
    vdit_golden g;
    const vdit_tensor *t;

    generate(*state, &g, "reweight weight", 9);
    t = vdit_golden_find(&g, "weight");
    assert_true(t->rank == 1 && t->shape[0] == 44);
    for (uint32_t e = 0; e < 44; e++)
        assert_true(((float *)t->data)[e] == (float)(0.5 + (word(8, e) >> 8) * 0x1p-24));
    generate(*state, &g, "keys keys", 9);
    t = vdit_golden_find(&g, "keys");
    for (uint32_t e = 0; e < 44; e++)
        assert_int_equal(((unsigned char *)t->data)[e], e == 0 || word(6, e) >= 1u << 30);
    generate(*state, &g, "mask threshold=threshold", 9);
    t = vdit_golden_find(&g, "threshold");
    for (uint32_t e = 0; e < 5; e++)
        assert_true(((float *)t->data)[e] == (float)((1 + e % 4 / 4.0) / 88));
    generate(*state, &g, "mask entries=entries", 9);
    t = vdit_golden_find(&g, "entries"); /* 4 computed rows of 6 bytes, the last of 4 bits */
    assert_true(t->dtype == VDIT_U8 && t->shape[2] == 4 && t->shape[3] == 6);
    for (uint32_t e = 0; e < 5 * 4 * 6; e++)
        assert_int_equal(((unsigned char *)t->data)[e],
                         (word(5, e) | word(5, e) >> 8) & (e % 6 == 5 ? 15 : 255));
    generate(*state, &g, "mix 1 map=map", 9);
    t = vdit_golden_find(&g, "map");
    for (uint32_t e = 0; e < 5 * 4 * 44; e++)
        assert_true(((float *)t->data)[e] == (float)(2 * ((word(9, e) >> 8) * 0x1p-24) / 44));
    generate(*state, &g, "keep tiles tiles rows=16 columns=16", 9);
    t = vdit_golden_find(&g, "tiles");
    for (uint32_t e = 0; e < 9; e++)
        assert_int_equal(((unsigned char *)t->data)[e], e / 3 == e % 3 || word(7, e) >= 1u << 31);
}

static void a_source_call_is_the_case_of_the_next_seed(void **state)
{
    static const char *const own[] = {"q", "k", "v"};
    static const char *const names[] = {"source_q", "source_k", "source_v"};
    vdit_golden g, next;

    generate(*state, &g, "transfer qk", 9);
    generate(*state, &next, NULL, 10);
    for (size_t i = 0; i < 3; i++) {
        const vdit_tensor *t = vdit_golden_find(&g, names[i]);
        assert_non_null(t);
        assert_memory_equal(t->data, vdit_golden_find(&next, own[i])->data,
                            vdit_tensor_count(t) * 2);
    }
    generate(*state, &g, "mix 0.5 map=map", 9);
    assert_null(vdit_golden_find(&g, "source_q"));
}

static void a_meter_that_compares_two_calls_has_a_source_call(void **state)
{
    vdit_case c = sample_case(NULL, 9);
    const vdit_tensor *alike;
    vdit_golden g;

    c.meters = "similarity";
    assert_int_equal(vdit_golden_generate(*state, &g, &c), VDIT_OK);
    assert_non_null(vdit_golden_find(&g, "source_k"));
    assert_int_equal(vdit_golden_compute(*state, &g), VDIT_OK);
    alike = vdit_golden_find(&g, "meter.similarity.cosine");
    assert_non_null(alike);
    for (size_t h = 0; h < 5; h++)
        assert_true(((const float *)alike->data)[h] > 0 && ((const float *)alike->data)[h] < 1);
}

/* Plans of strength 0 give the bits of the plain case, and others do not. */
static void a_plan_changes_the_output_unless_its_strength_is_0(void **state)
{
    static const char *const idle[] = {"gate 1", "temperature 1", "mask 0%", "mix 0", "L1: gate 0"};
    static const char *const busy[] = {"gate 0.5",   "temperature 2", "mask 50%",    "mix 0.5",
                                       "transfer v", "H4: identity",  "first-text 1"};
    vdit_golden plain, g;

    compute(*state, &plain, NULL, 9);
    for (size_t i = 0; i < COUNT_OF(idle); i++) {
        compute(*state, &g, idle[i], 9);
        assert_memory_equal(vdit_golden_find(&g, "o")->data, vdit_golden_find(&plain, "o")->data,
                            5 * 4 * 16 * 2);
    }
    for (size_t i = 0; i < COUNT_OF(busy); i++) {
        compute(*state, &g, busy[i], 9);
        assert_memory_not_equal(vdit_golden_find(&g, "o")->data,
                                vdit_golden_find(&plain, "o")->data, 5 * 4 * 16 * 2);
    }
}

static void masks_report_what_they_did(void **state)
{
    vdit_golden g;
    const vdit_tensor *masked, *mass;

    compute(*state, &g, "mask 50%", 9);
    masked = vdit_golden_find(&g, "masked");
    mass = vdit_golden_find(&g, "kept_mass");
    assert_non_null(vdit_golden_find(&g, "used_threshold"));
    assert_non_null(vdit_golden_find(&g, "keep"));
    for (size_t n = 0; n < 20; n++) {
        assert_true(((int64_t *)masked->data)[n] >= 0 && ((int64_t *)masked->data)[n] < 44);
        assert_true(((float *)mass->data)[n] > 0.5f && ((float *)mass->data)[n] <= 1);
    }
    compute(*state, &g, "keep temporal window=0", 9);
    assert_non_null(vdit_golden_find(&g, "dense_mass"));
    assert_null(vdit_golden_find(&g, "keep"));
    compute(*state, &g, "temperature 2", 9);
    assert_int_equal(g.output_count, 3);
}

static void a_file_says_what_its_case_is(void **state)
{
    vdit_case c = sample_case("mask 50% scope=row", 9);
    vdit_golden g;
    vdit_file *file;

    c.meters = "lse";
    assert_int_equal(vdit_golden_generate(*state, &g, &c), VDIT_OK);
    assert_int_equal(vdit_golden_compute(*state, &g), VDIT_OK);
    assert_non_null(vdit_golden_find(&g, "meter.lse.row"));
    assert_int_equal(vdit_golden_write(*state, &g, "s.in.safetensors", NULL), VDIT_OK);
    assert_int_equal(vdit_file_open(*state, &file, "s.in.safetensors"), VDIT_OK);
    assert_string_equal(vdit_file_meta(file, "plan"), "mask 50% scope=row");
    assert_string_equal(vdit_file_meta(file, "meters"), "lse");
    assert_string_equal(vdit_file_meta(file, "video"), "2,4,5");
    assert_string_equal(vdit_file_meta(file, "text"), "4");
    assert_null(vdit_file_meta(file, "text_first"));
    vdit_file_close(file);
}

/* A weight of 0.01 for one of 44 keys is nothing, and 0.9 is too much to ask of normal numbers. */
static void gates_that_the_map_decides_are_found(void **state)
{
    static const float zeros[5 * 4 * 16 / 2];
    vdit_golden plain, g;

    compute(*state, &plain, NULL, 9);
    compute(*state, &g, "gate sinks tau=0.01", 9);
    assert_memory_equal(vdit_golden_find(&g, "o")->data, zeros, sizeof zeros);
    compute(*state, &g, "gate sinks tau=0.9", 9);
    assert_memory_equal(vdit_golden_find(&g, "o")->data, vdit_golden_find(&plain, "o")->data,
                        sizeof zeros);
    compute(*state, &g, "gate random 5 seed=3", 9);
    assert_memory_equal(vdit_golden_find(&g, "o")->data, zeros, sizeof zeros);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(named_tensors_have_their_published_formulas, file_setup,
                                        file_teardown),
        cmocka_unit_test_setup_teardown(a_source_call_is_the_case_of_the_next_seed, file_setup,
                                        file_teardown),
        cmocka_unit_test_setup_teardown(a_meter_that_compares_two_calls_has_a_source_call,
                                        file_setup, file_teardown),
        cmocka_unit_test_setup_teardown(a_plan_changes_the_output_unless_its_strength_is_0,
                                        file_setup, file_teardown),
        cmocka_unit_test_setup_teardown(masks_report_what_they_did, file_setup, file_teardown),
        cmocka_unit_test_setup_teardown(a_file_says_what_its_case_is, file_setup, file_teardown),
        cmocka_unit_test_setup_teardown(gates_that_the_map_decides_are_found, file_setup,
                                        file_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
