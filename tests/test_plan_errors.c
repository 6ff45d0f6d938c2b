/* test_plan_errors.c - plans that are refused, and the words that say why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/plan.h>

static void refuse(const char *text, size_t size, vdit_status status, const char *why)
{
    vdit_run *run = vdit_run_new();
    vdit_plan *plan = NULL;

    if (vdit_plan_parse(run, &plan, text, size) != status ||
        strstr(vdit_run_message(run), why) == NULL)
        fail_msg("'%.60s': '%s' lacks '%s'", text, vdit_run_message(run), why);
    assert_null(plan);
    vdit_run_free(run);
}

static void errors_name_line_column_and_what_was_expected(void **state)
{
    static const char *const cases[][2] = {
        {"L44 temperature 1", "line 1, column 5: a colon between selector and actions"},
        {"\n\n  L44: temprature 1", "line 3, column 8: 'temprature': an action such as mask"},
        {"L44:", "line 1, column 5: an action was expected"},
        {"gate 0,", "line 1, column 8: an action was expected"},
        {"gate 0, # more", "an action was expected"},
        {"temperature", "column 12: a value after temperature was expected"},
        {"temperature -1", "column 13: '-1': a number of at least 0 was expected"},
        {"temperature nan", "'nan': a number of at least 0"},
        {"temperature 1e999", "'1e999': a number"},
        {"gate inf", "'inf': a finite number"},
        {"gate 0.2,mask 30%", "'0.2,mask': a finite number"},
        {"mask 101%", "'101%': a number from 0 to 1"},
        {"mask 0x1p-2%", "a number from 0 to 1"},
        {"mask", "either a fraction, threshold= or entries="},
        {"mask 10% threshold=a", "either a fraction, threshold= or entries="},
        {"mask 10% 20%", "column 10: '20%': before or after"},
        {"mix 1 2", "column 7: '2': an option of mix"},
        {"drop vt after before", "'before': each option once of drop"},
        {"mask 10% scope=head scope=row", "'scope=row': each option once of mask"},
        {"mask 10% scope=col", "'col': head, row, frame or global"},
        {"mask 10% scope=head,row", "'head,row': one word"},
        {"mask 10% depth=3", "'depth=3': an option of mask"},
        {"mask threshold=", "FILE or FILE:NAME"},
        {"mask threshold=\"abc", "a closing quote"},
        {"keep", "one of tiles, sliding, radial, spatial, temporal, first-frame"},
        {"keep nothing", "'nothing': one of tiles"},
        {"keep sliding tile=1,1,1", "window= after keep sliding"},
        {"keep sliding tile=1,1 window=1,1,1", "'tile=1,1': three numbers t,y,x of at least 1"},
        {"keep sliding tile=1,1,1,1 window=1,1,1", "three numbers"},
        {"keep sliding tile=1,0,1 window=1,1,1", "three numbers t,y,x of at least 1"},
        {"keep spatial window=99999999999,1", "two numbers y,x of at least 0"},
        {"keep radial soon", "'soon': before or after"},
        {"drop vx", "'vx': vv, vt, tv or tt"},
        {"drop after", "a value after drop was expected"},
        {"transfer qq", "'qq': q, k, v or several"},
        {"transfer x", "'x': q, k, v or several"},
        {"identity alpha=1", "'alpha=1': an option of identity"},
        {"gate 0, gate 1", "one action of this sort in a line"},
        {"identity, uniform", "one action of this sort in a line"},
        {"L4-2: gate 0", "column 1: '4-2': a list such as"},
        {"Lx: gate 0", "'x': a list such as"},
        {"L: gate 0", "a list such as"},
        {"L1,: gate 0", "'1,': a list such as"},
        {"L1!2!3: gate 0", "'1!2!3': one '!'"},
        {"L1 L2: gate 0", "column 4: 'L2': each of L, H and S once"},
        {"L9999999999: gate 0", "a list such as"},
        {"B=x: gate 0", "'x': c or u"},
        {"K=self,xx: gate 0", "self, full, spatial, temporal or cross"},
        {"Bc: gate 0", "'Bc': B=, K= or Q="},
        {"first-text 0", "a number of at least 1"},
        {"keys 3-1", "'3-1': a list such as"},
        {"wen2025:fig5", "a layer was expected"},
        {"wen2025:fig5 x:y", "'x:y': a layer was expected"},
        {"wen2025:fig5 4-2", "in wen2025:fig5, '4-2': a list"},
        {"wen2025:fig8 3", "'3': nothing after this preset"},
        {"wen2025:fig8, gate 0", "a preset is a line of its own"},
        {"wen2025:fig8  L3: gate 0", "nothing after this preset"},
        {"gate 0\n gate\t0\v", "line 2, column 8: text, not a control character"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse(cases[i][0], strlen(cases[i][0]), VDIT_ERR_FORMAT, cases[i][1]);
}

static void hostile_input_is_refused(void **state)
{
    size_t size = (size_t)1 << 20;
    char *text = malloc(size + 1);
    vdit_run *run = vdit_run_new();
    vdit_plan *plan;

    (void)state;
    assert_non_null(text);
    refuse("gate 0\0, gate", 13, VDIT_ERR_FORMAT, "column 7: text, not a control character");
    memset(text, 'L', size + 1);
    refuse(text, size, VDIT_ERR_LIMIT, "line 1: 1048576 bytes; at most 4096");
    refuse(text, size + 1, VDIT_ERR_LIMIT, "1048577 bytes; at most 1048576");
    refuse(text, 4096, VDIT_ERR_FORMAT, "a list such as");
    memset(text, '"', 4095);
    refuse(text, 4095, VDIT_ERR_FORMAT, "a closing quote");
    memset(text, ',', 4096);
    refuse(text, 4096, VDIT_ERR_FORMAT, "an action such as");
    text[0] = 'L';
    refuse(text, 4096, VDIT_ERR_FORMAT, "a list such as");
    for (size_t i = 0; i < size; i++)
        text[i] = "keep radial, "[i % 13];
    refuse(text, 4096, VDIT_ERR_FORMAT, "no more than 16 designed masks");
    memset(text, ';', size);
    for (size_t i = 4095; i < size; i += 4096)
        text[i] = '\n';
    assert_int_equal(vdit_plan_parse(run, &plan, text, size), VDIT_OK);
    assert_string_equal(vdit_plan_text(run, plan), "");
    vdit_run_free(run);
    free(text);
}

static void a_site_is_one_place(void **state)
{
    static const char *const bad[] = {"L1-2",   "L!1",     "L1,2",       "B=c,u L1: x",
                                      "K=self", "Q=video", "L1: gate 0", "x"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        vdit_run *run = vdit_run_new();
        vdit_site site = {5, 6, 7, VDIT_BRANCH_UNCOND, VDIT_KIND_CROSS, {0}, 0};
        if (vdit_site_parse(run, &site, bad[i]) != VDIT_ERR_FORMAT)
            fail_msg("'%s' is a site", bad[i]);
        assert_non_null(strstr(vdit_run_message(run), "site, line 1"));
        assert_int_equal(site.layer, 5);
        vdit_run_clear(run);
        assert_int_equal(vdit_site_parse(run, &site, "L44:S3 B=c K=temporal"), VDIT_OK);
        assert_true(site.layer == 44 && site.head == 6 && site.step == 3);
        assert_true(site.branch == VDIT_BRANCH_COND && site.kind == VDIT_KIND_TEMPORAL);
        vdit_run_free(run);
    }
}

/* Gives memory a certain number of times. */
static void *give_some(void *left, size_t size)
{
    size_t *times = left;

    return (*times)-- > 0 ? malloc(size) : NULL;
}

static void without_memory_it_fails_cleanly(void **state)
{
    const char *text = "L1,2 K=self: keys 0-3, mask threshold=a; L3: keep tiles b rows=1 columns=1";
    vdit_site site = {1, 0, 0, VDIT_BRANCH_COND, VDIT_KIND_FULL, {0}, 16};
    int done = 0;

    (void)state;
    for (size_t times = 0; !done; times++) {
        size_t left = times;
        vdit_run *run = vdit_run_new();
        vdit_plan *plan = NULL;
        vdit_tensor named = {0};
        vdit_edit e;

        vdit_run_set_allocator(run, give_some, &left);
        if (vdit_plan_parse(run, &plan, text, strlen(text)) == VDIT_OK) {
            vdit_plan_bind(plan, 0, &named);
            done = vdit_plan_edit(run, plan, &site, &e) == VDIT_OK && vdit_plan_text(run, plan) &&
                   vdit_edit_order(run, &e);
        }
        assert_true(done || vdit_run_status(run) == VDIT_ERR_MEMORY);
        assert_true(times < 100);
        vdit_run_free(run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_name_line_column_and_what_was_expected),
        cmocka_unit_test(hostile_input_is_refused),
        cmocka_unit_test(a_site_is_one_place),
        cmocka_unit_test(without_memory_it_fails_cleanly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
