/* test_plan.c - what plans mean: sites, edits, the order of lines, files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/plan.h>

static vdit_plan *parse(vdit_run *run, const char *text)
{
    vdit_plan *plan = NULL;

    if (vdit_plan_parse(run, &plan, text, strlen(text)) != VDIT_OK)
        fail_msg("'%s': %s", text, vdit_run_message(run));
    return plan;
}

static vdit_site site_at(const char *text)
{
    vdit_run *run = vdit_run_new();
    vdit_site site = {0, 0, 0, VDIT_BRANCH_COND, VDIT_KIND_FULL, {0}, 16};

    if (vdit_site_parse(run, &site, text) != VDIT_OK)
        fail_msg("'%s': %s", text, vdit_run_message(run));
    vdit_run_free(run);
    return site;
}

/* Returns: what a plan gives at a site, with its files unbound. */
static vdit_edit edit_of(vdit_run *run, const char *text, const char *at)
{
    vdit_site site = site_at(at);
    vdit_plan *plan = parse(run, text);
    vdit_edit edit;

    if (vdit_plan_edit(run, plan, &site, &edit) != VDIT_OK)
        fail_msg("'%s': %s", text, vdit_run_message(run));
    return edit;
}

static void the_first_example_is_read(void **state)
{
    vdit_run *run = vdit_run_new();
    const char *text = "# two heads of the last layers\n"
                       "L44-47 K=self: mask 30% scope=row, temperature 0.2\n"
                       "\n"
                       "L46 H3: gate 0  # one more\n";
    vdit_edit edit = edit_of(run, text, "L44");

    (void)state;
    assert_int_equal(edit.prune, VDIT_PRUNE_FRACTION);
    assert_true(edit.fraction == 0.3 && edit.temperature == 0.2 && edit.gate == 1);
    assert_int_equal(edit.scope, VDIT_SCOPE_ROW);
    edit = edit_of(run, text, "L46 H3 K=cross");
    assert_true(edit.prune == VDIT_PRUNE_NONE && edit.temperature == 1 && edit.gate == 0);
    edit = edit_of(run, text, "L46 H3 K=spatial");
    assert_true(edit.prune == VDIT_PRUNE_FRACTION && edit.gate == 0);
    edit = edit_of(run, text, "L43 H3");
    assert_true(vdit_edit_is_off(&edit));
    vdit_run_free(run);
}

static void a_selector_names_sites(void **state)
{
    static const struct {
        const char *selector, *site;
        int selects;
    } cases[] = {
        {"", "L7 H1 S2", 1},
        {"all", "L7 H1 S2", 1},
        {"L7", "L7", 1},
        {"L7", "L8", 0},
        {"L0,3,19", "L3", 1},
        {"L0,3,19", "L4", 0},
        {"L44-47", "L47", 1},
        {"L44-47", "L48", 0},
        {"L!44,45", "L43", 1},
        {"L!44,45", "L45", 0},
        {"L40-47!44,45", "L46", 1},
        {"L40-47!44,45", "L44", 0},
        {"L40-47!44,45", "L48", 0},
        {"L1 H2 S3", "L1 H2 S3", 1},
        {"L1:H2:S3", "L1 H2 S3", 1},
        {"L1:H2:S3", "L1 H2 S4", 0},
        {"H0-23", "H24", 0},
        {"S!0", "S0", 0},
        {"B=c", "B=c", 1},
        {"B=c", "B=u", 0},
        {"B=c,u", "B=u", 1},
        {"K=self", "K=full", 1},
        {"K=self", "K=temporal", 1},
        {"K=self", "K=cross", 0},
        {"K=cross,spatial", "K=spatial", 1},
        {"K=cross,spatial", "K=full", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vdit_run *run = vdit_run_new();
        char text[64];
        strcpy(text, cases[i].selector);
        strcat(text, ": gate 0");
        if ((edit_of(run, text, cases[i].site).gate == 0) != cases[i].selects)
            fail_msg("'%s' at %s", cases[i].selector, cases[i].site);
        vdit_run_free(run);
    }
}

static void each_action_fills_its_fields(void **state)
{
    vdit_run *run = vdit_run_new();
    vdit_edit e;

    (void)state;
    assert_int_equal(edit_of(run, "transfer kv", "").transfer, VDIT_FROM_K | VDIT_FROM_V);
    assert_int_equal(edit_of(run, "first-text 1", "").first_text, 1);
    e = edit_of(run, "drop vt,tv after", "");
    assert_int_equal(e.dropped_blocks, VDIT_BLOCK_VT | VDIT_BLOCK_TV);
    assert_int_equal(e.block_moment, VDIT_AFTER_SOFTMAX);
    e = edit_of(
        run, "mask 12.5% scope=frame ties=count lost=renormalised prunable=vv empty=maximum", "");
    assert_true(e.fraction == 0.125);
    assert_int_equal(e.scope, VDIT_SCOPE_FRAME);
    assert_int_equal(e.ties, VDIT_TIES_COUNT);
    assert_int_equal(e.lost, VDIT_LOST_RENORMALISED);
    assert_int_equal(e.prunable, VDIT_BLOCK_VV);
    assert_int_equal(e.keep_maximum, 1);
    e = edit_of(run, "identity joint=video-move", "");
    assert_true(e.replace == 1 && e.alpha == 1 && e.identity == VDIT_IDENTITY_VIDEO_MOVE);
    e = edit_of(run, "uniform over=segments weight=0.5", "");
    assert_true(e.replace == 0.5 && e.alpha == 0 && e.uniform == VDIT_UNIFORM_SEGMENTS);
    e = edit_of(run, "blend alpha=0.25", "");
    assert_true(e.replace == 1 && e.alpha == 0.25);
    e = edit_of(run, "Q=video: mix 0.5, gate -0x1p-1, temperature 0", "");
    assert_true(e.mix == 0.5 && e.gate == -0.5 && e.temperature == 0);
    assert_true(e.queries == VDIT_VIDEO && e.mix_adds == 0);
    assert_int_equal(edit_of(run, "mix 1 own=kept", "").mix_adds, 1);
    vdit_run_free(run);
}

static void keeps_of_a_line_are_one_mask(void **state)
{
    vdit_run *run = vdit_run_new();
    vdit_edit e = edit_of(
        run,
        "keep sliding tile=4,8,8 window=3,3,5, keep radial, keep radial decay=0.5, "
        "keep spatial window=1,2, keep temporal window=3, keep first-frame after text=masked",
        "");

    (void)state;
    assert_int_equal(e.pattern_count, 6);
    assert_int_equal(e.pattern_moment, VDIT_AFTER_SOFTMAX);
    assert_int_equal(e.text_masked, 1);
    assert_int_equal(e.patterns[0].kind, VDIT_PATTERN_SLIDING);
    assert_memory_equal(e.patterns[0].tile, ((size_t[]){4, 8, 8}), 3 * sizeof(size_t));
    assert_memory_equal(e.patterns[0].window, ((size_t[]){3, 3, 5}), 3 * sizeof(size_t));
    assert_true(e.patterns[1].decay == 1 && e.patterns[2].decay == 0.5);
    assert_memory_equal(e.patterns[3].window, ((size_t[]){0, 1, 2}), 3 * sizeof(size_t));
    assert_int_equal(e.patterns[4].window[0], 3);
    assert_int_equal(e.patterns[5].kind, VDIT_PATTERN_FIRST_FRAME);
    e = edit_of(run, "keep radial; keep first-frame", "");
    assert_int_equal(e.pattern_count, 1);
    assert_int_equal(e.patterns[0].kind, VDIT_PATTERN_FIRST_FRAME);
    vdit_run_free(run);
}

static void of_two_actions_of_a_name_the_later_wins_whole(void **state)
{
    vdit_run *run = vdit_run_new();
    const char *text = "mask 30% scope=row; L44: mask 20%; L44: temperature 2; L45: identity";
    vdit_edit e = edit_of(run, text, "L44");

    (void)state;
    assert_true(e.fraction == 0.2 && e.temperature == 2 && e.replace == 0);
    assert_int_equal(e.scope, VDIT_SCOPE_HEAD);
    e = edit_of(run, text, "L45");
    assert_true(e.fraction == 0.3 && e.temperature == 1 && e.replace == 1);
    e = edit_of(run, "identity; uniform; blend alpha=1; gate 0; gate 1", "");
    assert_true(e.alpha == 1 && e.gate == 1);
    vdit_run_free(run);
}

static void gates_that_need_meters_are_told_apart(void **state)
{
    vdit_run *run = vdit_run_new();
    vdit_plan *plan =
        parse(run, "L1: gate sinks; L2: gate sinks tau=0.5; L3: gate random 46 seed=7; L4: gate 0");
    vdit_site site = site_at("L1");
    vdit_gate gate = vdit_plan_gate(plan, &site);

    (void)state;
    assert_true(gate.kind == VDIT_GATE_SINKS && gate.tau == 0.3);
    site.layer = 2;
    assert_true(vdit_plan_gate(plan, &site).tau == 0.5);
    site.layer = 3;
    gate = vdit_plan_gate(plan, &site);
    assert_true(gate.kind == VDIT_GATE_RANDOM && gate.count == 46 && gate.seed == 7);
    site.layer = 4;
    assert_int_equal(vdit_plan_gate(plan, &site).kind, VDIT_GATE_NUMBER);
    site.layer = 5;
    assert_int_equal(vdit_plan_gate(plan, &site).kind, VDIT_GATE_NUMBER);
    vdit_run_free(run);
}

static void lists_of_keys_become_a_mask(void **state)
{
    vdit_run *run = vdit_run_new();
    vdit_edit e = edit_of(run, "keys 0,3-5", "");

    (void)state;
    assert_non_null(e.keys);
    assert_int_equal(e.keys->shape[0], 16);
    assert_memory_equal(e.keys->data, "\1\0\0\1\1\1\0\0\0\0\0\0\0\0\0\0", 16);
    assert_non_null(edit_of(run, "keys 0-3; gate 0", "").keys);
    e = edit_of(run, "keys !1-14", "");
    assert_memory_equal(e.keys->data, "\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
    vdit_run_free(run);
}

static void files_are_named_once_and_bound(void **state)
{
    vdit_run *run = vdit_run_new();
    vdit_plan *plan = parse(
        run, "keep tiles \"my mask.npy\" rows=2 columns=3, reweight w.safetensors:y; L1: mix "
             "1 map=a.npz:m "
             "align=w.safetensors:y; L2: mask threshold=t, keys k.npy; L3: mask entries=e before");
    static const char *const names[] = {"my mask.npy", "w.safetensors:y", "a.npz:m",
                                        "t",           "k.npy",           "e"};
    vdit_tensor tensors[6];
    vdit_site site = site_at("L1");
    vdit_edit e;

    (void)state;
    assert_int_equal(vdit_plan_file_count(plan), 6);
    assert_int_equal(vdit_plan_edit(run, plan, &site, &e), VDIT_ERR_ARGUMENT);
    assert_non_null(strstr(vdit_run_message(run), "is not loaded"));
    vdit_run_clear(run);
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(vdit_plan_file(plan, i), names[i]);
        tensors[i] = vdit_tensor_view(&tensors[i], VDIT_F32, 1, &(size_t){i});
        vdit_plan_bind(plan, i, &tensors[i]);
    }
    assert_int_equal(vdit_plan_edit(run, plan, &site, &e), VDIT_OK);
    assert_ptr_equal(e.patterns[0].tiles->data, &tensors[0]);
    assert_int_equal(e.patterns[0].rows * 10 + e.patterns[0].columns, 23);
    assert_ptr_equal(e.key_weight->data, &tensors[1]);
    assert_ptr_equal(e.source_map->data, &tensors[2]);
    assert_ptr_equal(e.align->data, &tensors[1]);
    site.layer = 2;
    assert_int_equal(vdit_plan_edit(run, plan, &site, &e), VDIT_OK);
    assert_ptr_equal(e.threshold->data, &tensors[3]);
    assert_ptr_equal(e.keys->data, &tensors[4]);
    assert_int_equal(e.prune, VDIT_PRUNE_THRESHOLD);
    site.layer = 3;
    assert_int_equal(vdit_plan_edit(run, plan, &site, &e), VDIT_OK);
    assert_ptr_equal(e.keep->data, &tensors[5]);
    assert_int_equal(e.prune, VDIT_PRUNE_MASK);
    assert_int_equal(e.keep_moment, VDIT_BEFORE_SOFTMAX);
    vdit_run_free(run);
}

static void refuse_edit(const char *text, const char *why)
{
    vdit_run *run = vdit_run_new();
    vdit_plan *plan = parse(run, text);
    vdit_site site = site_at("");
    vdit_edit e, before;

    memset(&e, 0x5a, sizeof e);
    before = e;
    assert_int_equal(vdit_plan_edit(run, plan, &site, &e), VDIT_ERR_ARGUMENT);
    if (strstr(vdit_run_message(run), why) == NULL)
        fail_msg("'%s' lacks '%s'", vdit_run_message(run), why);
    assert_memory_equal(&e, &before, sizeof e);
    vdit_run_free(run);
}

static void edits_that_cannot_be_made_are_refused(void **state)
{
    (void)state;
    refuse_edit("temperature 2\nQ=video: gate 0", "line 2: other queries (Q=) than in line 1");
    refuse_edit("gate 0\nkeys 16", "line 2: key 16 is not below");
    refuse_edit("reweight w.npy", "w.npy is not loaded");
}

static void a_plan_that_selects_nothing_is_off_with_tokens(void **state)
{
    vdit_run *run = vdit_run_new();
    vdit_plan *plan = parse(run, " \n;; # nothing\n\r\n");
    vdit_site site = {1, 2, 3, VDIT_BRANCH_UNCOND, VDIT_KIND_CROSS, {1, 2, 3, 4, 1}, 6};
    vdit_edit e;

    (void)state;
    assert_int_equal(vdit_plan_edit(run, plan, &site, &e), VDIT_OK);
    assert_true(vdit_edit_is_off(&e));
    assert_int_equal(e.tokens.height * 10 + e.tokens.text, 24);
    assert_int_equal(e.size, sizeof e);
    assert_string_equal(vdit_plan_text(run, plan), "");
    vdit_run_free(run);
}

static void the_order_of_application_is_told(void **state)
{
    vdit_run *run = vdit_run_new();
    vdit_edit e =
        edit_of(run,
                "Q=video: transfer qk, temperature 0.2, first-text 1, keep radial, drop tt after, "
                "mask 30% lost=diagonal, blend alpha=0.25 weight=0.5, mix 0.75, gate 0",
                "");

    (void)state;
    assert_string_equal(vdit_edit_order(run, &e),
                        "video queries: qk of the source -> logits / 0.2 -> the first 1 text keys "
                        "-> keep radial, text dense -> "
                        "softmax -> drop tt -> mask the lowest 30% per head -> what is lost goes "
                        "to the diagonal -> "
                        "0.5 of it replaced by 0.25 I + 0.75 U -> 0.75 of the source's map mixed "
                        "in -> times v -> gate 0");
    vdit_edit_init(&e);
    assert_string_equal(vdit_edit_order(run, &e), "logits -> softmax -> times v");
    vdit_run_free(run);
}

static void passes_are_counted(void **state)
{
    static const struct {
        const char *text;
        int passes;
    } cases[] = {{"", 1},
                 {"temperature 2, keep radial, drop tt", 1},
                 {"drop tt after", 2},
                 {"keep radial after", 2},
                 {"mask 0.3", 5},
                 {"mask 0.3 scope=row", 4},
                 {"identity", 0},
                 {"identity joint=video-cut", 1},
                 {"blend alpha=0.5", 0},
                 {"blend alpha=0.5 weight=0.5", 1},
                 {"uniform over=segments", 1},
                 {"mix 1", 1},
                 {"mix 0.5", 2},
                 {"mix 1 own=kept", 2},
                 {"mask 0.3, mix 0.5", 6},
                 {"mask 0.3, gate 0", 0}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vdit_run *run = vdit_run_new();
        vdit_edit e = edit_of(run, cases[i].text, "");
        if (vdit_edit_passes(&e) != cases[i].passes)
            fail_msg("'%s' takes %d", cases[i].text, vdit_edit_passes(&e));
        vdit_run_free(run);
    }
}

static void a_draw_takes_as_many_as_asked_from_those_marked(void **state)
{
    vdit_run *run = vdit_run_new();
    unsigned char heads[48], again[48];
    size_t hits[48] = {0};

    (void)state;
    for (size_t seed = 0; seed < 2000; seed++) {
        size_t count = 0;
        for (size_t h = 0; h < 48; h++)
            heads[h] = again[h] = h % 4 == 1;
        assert_int_equal(vdit_gate_draw(run, heads, 48, 3, seed), VDIT_OK);
        assert_int_equal(vdit_gate_draw(run, again, 48, 3, seed), VDIT_OK);
        assert_memory_equal(heads, again, sizeof heads);
        for (size_t h = 0; h < 48; h++) {
            count += heads[h];
            hits[h] += heads[h];
        }
        assert_int_equal(count, 3);
    }
    for (size_t h = 0; h < 48;
         h++) /* 12 heads, a quarter of 2000 each, 6 standard deviations of 19 */
        assert_true(h % 4 == 1 ? hits[h] > 384 && hits[h] < 616 : hits[h] == 0);
    assert_int_equal(vdit_gate_draw(run, heads, 48, 4, 1), VDIT_ERR_ARGUMENT);
    assert_non_null(strstr(vdit_run_message(run), "4 heads are to be drawn from 3"));
    vdit_run_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_example_is_read),
        cmocka_unit_test(a_selector_names_sites),
        cmocka_unit_test(each_action_fills_its_fields),
        cmocka_unit_test(keeps_of_a_line_are_one_mask),
        cmocka_unit_test(of_two_actions_of_a_name_the_later_wins_whole),
        cmocka_unit_test(gates_that_need_meters_are_told_apart),
        cmocka_unit_test(lists_of_keys_become_a_mask),
        cmocka_unit_test(files_are_named_once_and_bound),
        cmocka_unit_test(edits_that_cannot_be_made_are_refused),
        cmocka_unit_test(a_plan_that_selects_nothing_is_off_with_tokens),
        cmocka_unit_test(the_order_of_application_is_told),
        cmocka_unit_test(passes_are_counted),
        cmocka_unit_test(a_draw_takes_as_many_as_asked_from_those_marked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
