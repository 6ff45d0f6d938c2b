/* test_golden_corpus.c - making and verifying corpora: interruption, memory, sigma, backends. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "file_support.h"
#include <vdit/golden.h>

static const char recipe_text[] =
    "{\"format\": \"vdit-recipe/1\", \"name\": \"small\", \"about\": \"for this test\", \"cases\": "
    "["
    "{\"op\": \"attention\", \"Nq\": 3, \"Nk\": 20, \"d\": 16, \"dtype\": [\"f32\", \"bf16\"], "
    "\"family\": \"normal\", \"seed\": 1, \"rows\": {\"count\": 1}},"
    "{\"op\": \"linear\", \"M\": 2, \"K\": 8, \"N\": 3, \"bias\": true, \"dtype\": \"bf16\", "
    "\"family\": \"normal\", \"seed\": 2},"
    "{\"op\": \"exp\", \"N\": 10, \"dtype\": \"f16\", \"family\": \"overflow\", \"seed\": 3}]}";

static vdit_recipe load(vdit_run *run)
{
    vdit_recipe recipe;

    put("small.json", recipe_text, sizeof recipe_text - 1);
    assert_int_equal(vdit_recipe_load(run, &recipe, "small.json"), VDIT_OK);
    return recipe;
}

/* Counts events; from the stop-th case on, it fails the run as an interrupt would. */
typedef struct watch {
    vdit_run *run;
    int counts[VDIT_CASE_EXTRA + 1];
    int stop;
} watch;

static void count_events(void *state, vdit_case_event event, const char *name, const char *text)
{
    watch *w = state;

    (void)name;
    (void)text;
    w->counts[event]++;
    if (event == VDIT_CASE_BEGIN && w->counts[event] == w->stop)
        vdit_run_fail(w->run, VDIT_ERR_CANCELLED, "stopped");
}

static void remove_corpus(void)
{
    if (system("rm -rf corpus") != 0)
        fail_msg("corpus could not be removed");
}

static void an_interrupted_make_continues(void **state)
{
    vdit_recipe recipe = load(*state);
    watch first = {.run = *state, .stop = 3}, second = {.run = *state};
    vdit_corpus_options o = {.report = count_events, .state = &first};
    vdit_manifest manifest;
    size_t failures;

    assert_int_equal(vdit_corpus_make(*state, &recipe, "corpus", &o), VDIT_ERR_CANCELLED);
    vdit_run_clear(*state);
    assert_int_equal(first.counts[VDIT_CASE_MADE], 2);
    assert_int_equal(access("corpus/manifest.json", F_OK), -1);
    assert_int_equal(access("corpus/manifest.part.json", F_OK), 0);

    o.state = &second;
    assert_int_equal(vdit_corpus_make(*state, &recipe, "corpus", &o), VDIT_OK);
    assert_int_equal(second.counts[VDIT_CASE_KEPT], 2);
    assert_int_equal(second.counts[VDIT_CASE_MADE], 2);
    assert_int_equal(access("corpus/manifest.part.json", F_OK), -1);
    assert_int_equal(vdit_manifest_read(*state, &manifest, "corpus/manifest.json"), VDIT_OK);
    assert_int_equal(vdit_corpus_verify(*state, &failures, &recipe, &manifest, "corpus", NULL),
                     VDIT_OK);
    assert_int_equal(failures, 0);
    remove_corpus();
}

/* A corpus made with each allocation failing in turn has no manifest, and is then made in full. */
static void without_memory_make_leaves_no_manifest(void **state)
{
    vdit_recipe recipe = load(*state);
    size_t enough;

    for (enough = 0; enough < 2000; enough++) {
        size_t left = enough;
        vdit_run_set_allocator(*state, give_some, &left);
        if (vdit_corpus_make(*state, &recipe, "corpus", NULL) == VDIT_OK)
            break;
        assert_int_equal(vdit_run_status(*state), VDIT_ERR_MEMORY);
        assert_int_equal(access("corpus/manifest.json", F_OK), -1);
        vdit_run_clear(*state);
    }
    vdit_run_set_allocator(*state, NULL, NULL);
    assert_true(enough > 20 && enough < 2000);
    remove_corpus();
}

/* The case may be changed by the caller: then nothing of it is kept. */
static void a_changed_case_is_not_kept(void **state)
{
    vdit_recipe recipe = load(*state);
    watch w = {.run = *state};
    vdit_corpus_options o = {.report = count_events, .state = &w};

    assert_int_equal(vdit_corpus_make(*state, &recipe, "corpus", NULL), VDIT_OK);
    recipe.cases[0].seed++;
    recipe.cases[1].contract = vdit_contract_find("int8qk");
    assert_int_equal(vdit_corpus_make(*state, &recipe, "corpus", &o), VDIT_OK);
    assert_int_equal(w.counts[VDIT_CASE_MADE], 2);
    assert_int_equal(w.counts[VDIT_CASE_KEPT], 2);
    remove_corpus();
}

static void an_opened_golden_is_what_was_made(void **state)
{
    vdit_recipe recipe = load(*state);
    vdit_manifest manifest;
    vdit_golden made, opened;

    assert_int_equal(vdit_corpus_make(*state, &recipe, "corpus", NULL), VDIT_OK);
    assert_int_equal(vdit_manifest_read(*state, &manifest, "corpus/manifest.json"), VDIT_OK);
    for (size_t n = 0; n < recipe.case_count; n++) {
        vdit_golden_generate(*state, &made, &recipe.cases[n]);
        vdit_golden_compute(*state, &made);
        assert_int_equal(vdit_golden_open(*state, &opened, "corpus", &manifest.cases[n]), VDIT_OK);
        assert_int_equal(opened.input_count, made.input_count);
        assert_int_equal(opened.output_count, made.output_count);
        assert_true(opened.scale == made.scale && opened.contract == made.contract);
        for (size_t i = 0; i < made.output_count; i++) {
            const vdit_tensor *t = vdit_golden_find(&opened, made.outputs[i].name);
            assert_memory_equal(t->data, made.outputs[i].tensor.data,
                                vdit_tensor_count(t) * vdit_dtype_size(t->dtype));
        }
        if (made.op == VDIT_OP_ATTENTION)
            assert_true(strtod(vdit_file_meta(opened.in, "scale"), NULL) == made.scale);
        vdit_golden_close(&opened);
        assert_null(vdit_golden_find(&opened, "o"));
    }
    remove_corpus();
}

/* Sigma under another contract is what the case would have had under it. */
static void sigma_follows_the_contract(void **state)
{
    vdit_recipe recipe = load(*state);

    for (size_t n = 0; n < recipe.case_count; n++)
        for (size_t k = 0; vdit_contract_at(k) != NULL; k++) {
            vdit_golden golden;
            vdit_tensor sigma;
            const vdit_tensor *expected;
            vdit_golden_generate(*state, &golden, &recipe.cases[n]);
            assert_int_equal(vdit_golden_sigma(*state, &sigma, &golden, vdit_contract_at(k)),
                             VDIT_OK);
            golden.contract = vdit_contract_at(k);
            assert_int_equal(vdit_golden_compute(*state, &golden), VDIT_OK);
            expected = &golden.outputs[golden.output_count - 1].tensor;
            assert_int_equal(vdit_tensor_count(&sigma), vdit_tensor_count(expected));
            assert_memory_equal(sigma.data, expected->data, 2 * vdit_tensor_count(&sigma));
            for (size_t i = 0; k == 0 && i < vdit_tensor_count(&sigma); i++)
                assert_int_equal(((const uint16_t *)sigma.data)[i], 0); /* exact: no error */
        }
}

/* The formula of vdit-corpus(5), CONTRACTS, for one element, by hand. */
static void sigma_of_a_product_is_the_published_formula(void **state)
{
    vdit_recipe recipe = load(*state);
    const vdit_contract *contract = vdit_contract_find("f32"); /* where every term counts */
    const vdit_noise *noise = &contract->noise;
    double x[8], w[8], b, y, sums = 0, squares = 0, got, variance;
    vdit_golden golden;

    vdit_golden_generate(*state, &golden, &recipe.cases[2]);
    golden.contract = contract;
    vdit_golden_compute(*state, &golden);
    vdit_load_f64(x, 8, vdit_golden_find(&golden, "x")->data, 1, VDIT_BF16);
    vdit_load_f64(w, 8, vdit_golden_find(&golden, "w")->data, 1, VDIT_BF16);
    vdit_load_f64(&b, 1, vdit_golden_find(&golden, "b")->data, 1, VDIT_BF16);
    vdit_load_f64(&y, 1, vdit_golden_find(&golden, "y")->data, 1, VDIT_BF16);
    vdit_load_f64(&got, 1, vdit_golden_find(&golden, "y.sigma")->data, 1, VDIT_BF16);
    for (int k = 0; k < 8; k++) {
        sums += fabs(x[k] * w[k]);
        squares += x[k] * w[k] * x[k] * w[k];
    }
    sums += fabs(b);
    variance = 8 * pow(noise->sum_unit * sums, 2) + pow(noise->score_unit, 2) * squares +
               pow(noise->out_unit * y, 2) / 3;
    assert_true(got == vdit_round_f64(VDIT_BF16, sqrt(variance)));
}

static void the_fast_backend_computes_from_the_same_inputs(void **state)
{
    vdit_recipe recipe = load(*state);

    for (size_t n = 0; n < recipe.case_count; n++) {
        vdit_named outputs[VDIT_GOLDEN_OUTPUTS];
        vdit_golden golden;
        size_t count;
        vdit_golden_generate(*state, &golden, &recipe.cases[n]);
        vdit_golden_compute(*state, &golden);
        assert_int_equal(
            vdit_golden_apply(*state, outputs, &count, &golden, vdit_backend_find("fast"), NULL),
            VDIT_OK);
        assert_int_equal(count, golden.output_count - 1); /* all but sigma */
        for (size_t i = 0; i < count; i++) {
            const vdit_tensor *t = &outputs[i].tensor, *g = &golden.outputs[i].tensor;
            double fast, exact;
            assert_string_equal(outputs[i].name, golden.outputs[i].name);
            assert_int_equal(t->dtype, g->dtype);
            assert_memory_equal(t->shape, g->shape, sizeof t->shape);
            vdit_load_f64(&fast, 1, t->data, 1, t->dtype);
            vdit_load_f64(&exact, 1, g->data, 1, g->dtype);
            assert_true(fast == exact || fabs(fast - exact) <= 0.02 * fabs(exact) + 1e-3);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_interrupted_make_continues, file_setup, file_teardown),
        cmocka_unit_test_setup_teardown(without_memory_make_leaves_no_manifest, file_setup,
                                        file_teardown),
        cmocka_unit_test_setup_teardown(a_changed_case_is_not_kept, file_setup, file_teardown),
        cmocka_unit_test_setup_teardown(an_opened_golden_is_what_was_made, file_setup,
                                        file_teardown),
        cmocka_unit_test_setup_teardown(sigma_follows_the_contract, file_setup, file_teardown),
        cmocka_unit_test_setup_teardown(sigma_of_a_product_is_the_published_formula, file_setup,
                                        file_teardown),
        cmocka_unit_test_setup_teardown(the_fast_backend_computes_from_the_same_inputs, file_setup,
                                        file_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
