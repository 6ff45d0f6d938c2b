/* test_model_site.c - plans, sources, meters and reports at the attention sites of a network. */
#include "file_support.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "toy_model.h"

static const char *const sites[] = {"blocks.0.attn1", "blocks.0.attn2", "blocks.1.attn1",
                                    "blocks.1.attn2"};

/* Returns: "site/o". */
static const char *result_of(const char *site)
{
    static char name[80];

    snprintf(name, sizeof name, "%s/o", site);
    return name;
}

static void free_trace(toy_trace *trace)
{
    vdit_run_free(trace->run);
}

/* The files that plans name. */
static void bind_files(toy *t)
{
    static float weights[12];
    static unsigned char tiles[] = {1, 0, 0, 1};
    const size_t twelve = 12, two[] = {2, 2};
    vdit_tensor weight = vdit_tensor_view(weights, VDIT_F32, 1, &twelve);
    vdit_tensor mask = vdit_tensor_view(tiles, VDIT_BOOL, 2, two);

    for (int i = 0; i < 12; i++)
        weights[i] = (float)i;
    for (size_t i = 0; i < vdit_plan_file_count(t->plan); i++)
        vdit_plan_bind(t->plan, i, strcmp(vdit_plan_file(t->plan, i), "w.npy") ? &mask : &weight);
}

/* Each action of strength 1, at full attention. */
static const char *const actions[] = {"transfer q",
                                      "transfer kv",
                                      "temperature 0.25",
                                      "temperature 0",
                                      "keys 0-3",
                                      "keep tiles m.npy rows=6 columns=6",
                                      "keep sliding tile=1,1,1 window=1,1,1",
                                      "keep radial decay=0.5",
                                      "keep spatial window=0,0",
                                      "keep temporal window=0",
                                      "keep first-frame after",
                                      "drop vv after",
                                      "mask 50%",
                                      "mask 50% scope=row lost=renormalised",
                                      "reweight w.npy",
                                      "identity",
                                      "uniform",
                                      "blend alpha=0.5",
                                      "mix 0.5",
                                      "gate 0.5",
                                      "gate sinks tau=0.001"};

static void every_action_reaches_the_head_of_a_layer_and_no_other(void **state)
{
    toy_trace plain, edited;
    toy t, other;
    toy_trace source;

    toy_open(&other, *state, 1, 7);
    toy_run(&other, &source);
    toy_close(&other);
    toy_open(&t, *state, 1, 3);
    toy_run(&t, &plain);
    t.call.source = toy_source;
    t.call.source_state = &source;
    for (size_t i = 0; i < COUNT_OF(actions); i++) {
        char text[128];

        snprintf(text, sizeof text, "L1 H1 S2 B=u K=full: %s", actions[i]);
        toy_plan(&t, text);
        bind_files(&t);
        t.call.step = 2;
        t.call.branch = VDIT_BRANCH_UNCOND;
        toy_run(&t, &edited);
        for (size_t s = 0; s < 2; s++)
            assert_true(toy_same(&plain, &edited, result_of(sites[s]), -1));
        assert_true(toy_same(&plain, &edited, "blocks.1.attn1/o", 0));
        if (toy_same(&plain, &edited, "blocks.1.attn1/o", 1))
            fail_msg("%s changes nothing", text);
        assert_false(toy_same(&plain, &edited, "out", -1));
        free_trace(&edited);
    }
    for (int other_step = 0; other_step < 2; other_step++) {
        t.call.step = other_step ? 1 : 2;
        t.call.branch = other_step ? VDIT_BRANCH_UNCOND : VDIT_BRANCH_COND;
        toy_run(&t, &edited);
        assert_true(toy_same(&plain, &edited, "out", -1));
        free_trace(&edited);
    }
    free_trace(&plain);
    free_trace(&source);
    toy_close(&t);
}

static void actions_of_strength_0_give_the_plain_bits(void **state)
{
    static const char *const none[] = {"temperature 1",     "mask 0%",         "identity weight=0",
                                       "uniform weight=0",  "mix 0",           "gate 1",
                                       "L7: gate 0",        "H2: gate 0",      "keys 0-11",
                                       "K=spatial: gate 0", "gate sinks tau=1"};
    toy_trace plain, edited;
    toy t;

    toy_open(&t, *state, 1, 3);
    toy_run(&t, &plain);
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        char text[64];

        snprintf(text, sizeof text, "K=full: %s", none[i]);
        toy_plan(&t, strchr(none[i], ':') ? none[i] : text);
        toy_run(&t, &edited);
        for (size_t n = 0; n < plain.count; n++)
            assert_true(toy_same(&plain, &edited, plain.list[n].name, -1));
        free_trace(&edited);
    }
    free_trace(&plain);
    toy_close(&t);
}

static void transfer_of_a_models_own_operands_is_the_identity(void **state)
{
    static const char *const plans[] = {"transfer qk", "transfer qkv", "K=cross: transfer qk",
                                        "mix 1", "mix 0.25"};
    toy_trace plain, edited;
    toy t;

    toy_open(&t, *state, 2, 5);
    toy_run(&t, &plain);
    t.call.source = toy_source;
    t.call.source_state = &plain;
    for (size_t i = 0; i < COUNT_OF(plans); i++) {
        toy_plan(&t, plans[i]);
        toy_run(&t, &edited);
        for (size_t n = 0; n < plain.count; n++)
            assert_true(toy_same(&plain, &edited, plain.list[n].name, -1));
        free_trace(&edited);
    }
    free_trace(&plain);
    toy_close(&t);
}

static void a_plan_without_the_source_that_it_takes_is_refused(void **state)
{
    toy t;

    toy_open(&t, *state, 1, 5);
    toy_plan(&t, "L1 K=cross: transfer v");
    assert_int_equal(vdit_model_forward(*state, &t.model, &t.call), VDIT_ERR_ARGUMENT);
    assert_string_equal(
        vdit_run_message(*state),
        "blocks.1.attn2: the plan takes operands of a source run, and none is given");
    vdit_run_clear(*state);
    toy_plan(&t, "L1 K=cross: identity");
    assert_int_equal(vdit_model_forward(*state, &t.model, &t.call), VDIT_ERR_ARGUMENT);
    assert_non_null(strstr(vdit_run_message(*state), "blocks.1.attn2: edit of head 0: I is not"));
    vdit_run_clear(*state);
    toy_close(&t);
}

/* Returns: how many heads of all sites have an output of 0. */
static size_t count_closed(const toy_trace *trace)
{
    size_t closed = 0;

    for (size_t s = 0; s < COUNT_OF(sites); s++) {
        const vdit_tensor *o = toy_find(trace, result_of(sites[s]));
        size_t n = vdit_tensor_count(o) / TOY_HEADS;

        for (size_t h = 0; h < TOY_HEADS; h++) {
            size_t zeros = 0;
            for (size_t i = 0; i < n; i++)
                zeros += ((float *)o->data)[h * n + i] == 0;
            closed += zeros == n;
        }
    }
    return closed;
}

static void the_random_control_draws_from_the_heads_of_all_layers(void **state)
{
    toy_trace first, second, other;
    size_t spread = 0;
    toy t;

    toy_open(&t, *state, 1, 3);
    for (unsigned seed = 0; seed < 4; seed++) {
        char text[64];

        snprintf(text, sizeof text, "gate random 2 seed=%u", seed);
        toy_plan(&t, text);
        toy_run(&t, &first);
        toy_run(&t, &second);
        assert_int_equal(count_closed(&first), 2);
        assert_true(toy_same(&first, &second, "out", -1));
        toy_plan(&t, "gate random 2 seed=99");
        toy_run(&t, &other);
        spread += !toy_same(&first, &other, "out", -1);
        free_trace(&first);
        free_trace(&second);
        free_trace(&other);
    }
    assert_true(spread > 0);
    toy_plan(&t, "gate random 4"); /* five of the eight heads have a sink */
    assert_int_equal(vdit_model_forward(*state, &t.model, &t.call), VDIT_ERR_ARGUMENT);
    assert_non_null(strstr(vdit_run_message(*state), "4 heads are to be drawn from 3"));
    vdit_run_clear(*state);
    toy_close(&t);
}

/* What site callbacks heard. */
typedef struct heard {
    char names[256];
    size_t edited;
    double masked, kept, least, dense, entropy;
    vdit_status answer;
} heard;

static vdit_status hear_edits(void *state, const vdit_site_edits *did)
{
    heard *h = state;

    snprintf(h->names + strlen(h->names), sizeof h->names - strlen(h->names), "%s:%s ", did->site,
             did->backend);
    h->edited += did->edited;
    h->masked = did->masked_fraction;
    h->kept = did->kept_mass;
    h->least = did->least_kept_mass;
    h->dense = did->dense_mass;
    return h->answer;
}

static void a_report_tells_what_the_edits_left(void **state)
{
    heard h = {.answer = VDIT_OK};
    toy t;

    toy_open(&t, *state, 1, 3);
    t.call.site_edits = hear_edits;
    t.call.site_edits_state = &h;
    t.call.backend = vdit_backend_find("fast");
    toy_plan(&t, "L0 H1 K=full: mask 25%; L1 K=cross: gate 2; H3: gate 0");
    assert_int_equal(vdit_model_forward(*state, &t.model, &t.call), VDIT_OK);
    assert_string_equal(h.names, "blocks.0.attn1:reference blocks.1.attn2:reference ");
    assert_int_equal(h.edited, 3);
    assert_true(isnan(h.masked) && isnan(h.kept) && isnan(h.dense));
    h = (heard){.answer = VDIT_OK};
    toy_plan(&t, "L0 H1 K=full: mask 25%");
    assert_int_equal(vdit_model_forward(*state, &t.model, &t.call), VDIT_OK);
    assert_true(h.masked == 0.25 && h.kept > 0.5 && h.kept < 1 && h.least < h.kept);
    h = (heard){.answer = VDIT_OK};
    toy_plan(&t, "L0 K=full: keep first-frame");
    assert_int_equal(vdit_model_forward(*state, &t.model, &t.call), VDIT_OK);
    assert_true(isnan(h.masked) && h.dense > 0.1 && h.dense < 0.9);
    h.answer = VDIT_ERR_IO;
    assert_int_equal(vdit_model_forward(*state, &t.model, &t.call), VDIT_ERR_IO);
    assert_non_null(strstr(vdit_run_message(*state), "blocks.0.attn1: the caller refused it"));
    vdit_run_clear(*state);
    toy_close(&t);
}

static vdit_status hear_meters(void *state, const char *site, const vdit_meter_results *results)
{
    heard *h = state;
    const vdit_tensor *entropy = vdit_meter_find(results, "entropy.nats");

    snprintf(h->names + strlen(h->names), sizeof h->names - strlen(h->names), "%s ", site);
    assert_non_null(entropy);
    h->entropy = *(const float *)entropy->data;
    return h->answer;
}

static void meters_are_read_at_the_sites_that_a_pattern_names(void **state)
{
    heard h = {.answer = VDIT_OK};
    double plain;
    toy t;

    toy_open(&t, *state, 1, 3);
    t.call.meters = "entropy";
    t.call.site_meters = hear_meters;
    t.call.site_meters_state = &h;
    assert_int_equal(vdit_model_forward(*state, &t.model, &t.call), VDIT_OK);
    assert_string_equal(h.names, "blocks.0.attn1 blocks.0.attn2 blocks.1.attn1 blocks.1.attn2 ");
    h.names[0] = '\0';
    t.call.meter_sites = "*.0.attn?";
    assert_int_equal(vdit_model_forward(*state, &t.model, &t.call), VDIT_OK);
    assert_string_equal(h.names, "blocks.0.attn1 blocks.0.attn2 ");
    h.names[0] = '\0';
    t.call.meter_sites = "blocks.0.attn1";
    assert_int_equal(vdit_model_forward(*state, &t.model, &t.call), VDIT_OK);
    plain = h.entropy;
    toy_plan(&t, "temperature 0.1");
    assert_int_equal(vdit_model_forward(*state, &t.model, &t.call), VDIT_OK);
    assert_true(h.entropy < plain);
    t.call.meters = "band";
    assert_int_equal(vdit_model_forward(*state, &t.model, &t.call), VDIT_ERR_ARGUMENT);
    assert_non_null(strstr(vdit_run_message(*state), "blocks.0.attn1: "));
    vdit_run_clear(*state);
    toy_close(&t);
}

static void a_plan_tells_how_many_heads_it_reaches(void **state)
{
    static const struct {
        const char *plan;
        size_t heads;
    } plans[] = {{"all: gate 0", 8},   {"L0 H1: gate 0", 2}, {"K=cross: uniform", 4},
                 {"L5: gate 0", 0},    {"S3: gate 0", 0},    {"B=u: gate 0", 0},
                 {"temperature 1", 0}, {"gate sinks", 8},    {"K=spatial: identity", 0}};
    const vdit_extents size = {1, 2, 2, 3, TOY_TEXT};
    vdit_model_survey survey;
    size_t heads;
    toy t;

    toy_open(&t, *state, 1, 3);
    assert_int_equal(vdit_model_survey_of(*state, &t.model, &size, VDIT_F32, &survey), VDIT_OK);
    for (size_t i = 0; i < COUNT_OF(plans); i++) {
        toy_plan(&t, plans[i].plan);
        assert_int_equal(vdit_plan_reach(*state, &heads, t.plan, &survey, 0, VDIT_BRANCH_COND),
                         VDIT_OK);
        assert_int_equal(heads, plans[i].heads);
    }
    toy_close(&t);
}

/* The largest distance of two activations in units of the largest element of the first. */
static double distance(const toy_trace *a, const toy_trace *b, const char *name)
{
    const vdit_tensor *x = toy_find(a, name), *y = toy_find(b, name);
    double most = 0, size = 0;

    for (size_t i = 0; i < vdit_tensor_count(x); i++) {
        most = fmax(most, fabs((double)((float *)x->data)[i] - ((float *)y->data)[i]));
        size = fmax(size, fabs((double)((float *)x->data)[i]));
    }
    return most / size;
}

static void a_shadow_run_is_off_by_the_noise_of_its_units(void **state)
{
    const vdit_noise small = {0x1p-23, 0, 0x1p-21, 0x1p-24, 0x1p-133, 0x1p-24};
    const vdit_noise large = {0x1.8p-9, 0, 0x1p-21, 0x1p-8, 0x1p-126, 0x1p-24};
    toy_trace plain, one, again, two, coarse;
    toy t;

    toy_open(&t, *state, 1, 3);
    toy_run(&t, &plain);
    t.call.noise = &small;
    toy_run(&t, &one);
    toy_run(&t, &again);
    t.call.noise_seed = 1;
    toy_run(&t, &two);
    t.call.noise = &large;
    toy_run(&t, &coarse);
    assert_true(toy_same(&one, &again, "out", -1));
    assert_false(toy_same(&one, &two, "in", -1));
    for (size_t i = 0; i < plain.count; i++) {
        const char *name = plain.list[i].name;
        double fine = distance(&plain, &one, name), rough = distance(&plain, &coarse, name);

        assert_true(fine > 0x1p-26 && fine < 0x1p-17);
        assert_true(rough > 0x1p-10 && rough < 0x1p-3);
    }
    free_trace(&plain);
    free_trace(&one);
    free_trace(&again);
    free_trace(&two);
    free_trace(&coarse);
    toy_close(&t);
}

static void names_fit_patterns_of_stars_and_question_marks(void **state)
{
    static const struct {
        const char *pattern, *name;
        int fits;
    } cases[] = {{"*", "", 1},        {"", "", 1},         {"", "a", 0},
                 {"a", "", 0},        {"?", "", 0},        {"?", "a", 1},
                 {"a*c", "abbc", 1},  {"a*c", "abbcd", 0}, {"*b*", "abc", 1},
                 {"*ab", "aab", 1},   {"**", "x", 1},      {"*.attn1/?", "blocks.3.attn1/q", 1},
                 {"x[0]", "x[0]", 1}, {"x[0]", "x0", 0},   {"*a*b*c", "aXbXbc", 1},
                 {"*a*b*c", "acb", 0}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(vdit_name_matches(cases[i].pattern, cases[i].name), cases[i].fits);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, file_setup, file_teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_action_reaches_the_head_of_a_layer_and_no_other),
        TEST(actions_of_strength_0_give_the_plain_bits),
        TEST(transfer_of_a_models_own_operands_is_the_identity),
        TEST(a_plan_without_the_source_that_it_takes_is_refused),
        TEST(the_random_control_draws_from_the_heads_of_all_layers),
        TEST(a_report_tells_what_the_edits_left),
        TEST(meters_are_read_at_the_sites_that_a_pattern_names),
        TEST(a_plan_tells_how_many_heads_it_reaches),
        TEST(a_shadow_run_is_off_by_the_noise_of_its_units),
        TEST(names_fit_patterns_of_stars_and_question_marks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
