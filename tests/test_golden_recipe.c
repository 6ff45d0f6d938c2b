/* test_golden_recipe.c - recipes and manifests as files: expansion, rows, every error. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "file_support.h"
#include "golden/case.h"
#include "golden/manifest.h"

#define HEAD "{\"format\": \"vdit-recipe/1\", \"name\": \"r\", \"about\": \"a\", \"cases\": ["
#define TAIL "]}"
#define CASE                                                                                       \
    "\"op\": \"attention\", \"Nq\": 4, \"Nk\": 4, \"d\": 16, \"dtype\": \"f32\", "                 \
    "\"family\": \"normal\", \"seed\": 1"

/* Loads the text as a recipe. */
static vdit_status load(vdit_run *run, vdit_recipe *recipe, const char *text)
{
    put("r.json", text, strlen(text));
    return vdit_recipe_load(run, recipe, "r.json");
}

static void lists_expand_with_dtypes_fastest(void **state)
{
    static const char text[] =
        HEAD "{\"op\": \"attention\", \"Nq\": 4, \"Nk\": 6, \"d\": 16, \"seed\": 5, \"dtype\": "
             "[\"f32\", \"bf16\"], \"family\": [\"normal\", \"peaked\"]}, {\"op\": \"linear\", "
             "\"name\": \"mine\", \"M\": 2, \"K\": 3, \"N\": 4, \"bias\": true, \"dtype\": "
             "\"f16\", \"family\": \"cancel\", \"seed\": 6, \"contract\": \"f16/f16acc\"}" TAIL;
    static const char *const names[] = {"attention-normal-f32-4x6", "attention-normal-bf16-4x6",
                                        "attention-peaked-f32-4x6", "attention-peaked-bf16-4x6",
                                        "mine-cancel-f16-2x3x4"};
    vdit_recipe r;

    assert_int_equal(load(*state, &r, text), VDIT_OK);
    assert_string_equal(r.name, "r");
    assert_int_equal(r.case_count, COUNT_OF(names));
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_string_equal(r.cases[i].name, names[i]);
    assert_string_equal(r.cases[1].contract->name, "bf16/f32acc");
    assert_string_equal(r.cases[4].contract->name, "f16/f16acc");
    assert_true(r.cases[0].B == 1 && r.cases[0].H == 1 && r.cases[0].dv == 16);
    assert_true(r.cases[0].scale == 0.25 && r.cases[0].seed == 5 && r.cases[4].bias == 1);
}

static void scale_is_a_number_or_hexadecimal(void **state)
{
    vdit_recipe r;

    assert_int_equal(load(*state, &r, HEAD "{" CASE ", \"scale\": 0.5}" TAIL), VDIT_OK);
    assert_true(r.cases[0].scale == 0.5);
    assert_int_equal(load(*state, &r, HEAD "{" CASE ", \"scale\": \"0x1.8p-3\"}" TAIL), VDIT_OK);
    assert_true(r.cases[0].scale == 0x1.8p-3);
    assert_int_equal(load(*state, &r, HEAD "{" CASE ", \"scale\": 0}" TAIL), VDIT_OK);
    assert_true(r.cases[0].scale == 0);
}

/* What each text does to CASE, and what the message must say. */
static void every_bad_case_is_named(void **state)
{
    static const struct {
        const char *text, *says;
        vdit_status status;
    } bad[] = {
        {"{" CASE ", \"colour\": 1}", "case 1 (attention): attention has no key \"colour\"",
         VDIT_ERR_FORMAT},
        {"{" CASE "}, {" CASE ", \"M\": 1, \"name\": \"x\"}",
         "case 2 (x): attention has no key \"M\"", VDIT_ERR_FORMAT},
        {"7", "case 1 (no op): expected an object", VDIT_ERR_FORMAT},
        {"{\"op\": \"softmax\"}",
         "\"op\": expected the name of an operator, such as attention or linear", VDIT_ERR_FORMAT},
        {"{\"op\": \"rotary\", \"dtype\": \"f32\", \"family\": \"normal\", \"seed\": 1, \"M\": 1, "
         "\"N\": 3}",
         "rotary needs an even N, not 3", VDIT_ERR_FORMAT},
        {"{\"op\": \"group_norm\", \"dtype\": \"f32\", \"family\": \"normal\", \"seed\": 1, \"M\": "
         "1, \"K\": 3, \"N\": 3}",
         "group_norm needs an even K, not 3", VDIT_ERR_FORMAT},
        {"{\"op\": \"conv\", \"dtype\": \"f32\", \"family\": \"normal\", \"seed\": 1, \"K\": 1, "
         "\"N\": 3}",
         "\"video\" is missing", VDIT_ERR_FORMAT},
        {"{\"op\": \"exp\", \"dtype\": \"f32\", \"family\": \"normal\", \"seed\": 1}",
         "\"N\" is missing", VDIT_ERR_FORMAT},
        {"{\"op\": \"exp\", \"dtype\": \"f64\", \"family\": \"normal\", \"seed\": 1, \"N\": 1}",
         "\"dtype\": expected f32, bf16 or f16", VDIT_ERR_FORMAT},
        {"{\"op\": \"exp\", \"dtype\": [\"f32\", 3], \"family\": \"normal\", \"seed\": 1, \"N\": "
         "1}",
         "\"dtype\": expected", VDIT_ERR_FORMAT},
        {"{\"op\": \"exp\", \"dtype\": \"f32\", \"family\": \"gauss\", \"seed\": 1, \"N\": 1}",
         "\"family\": expected the name of an input family", VDIT_ERR_FORMAT},
        {"{\"op\": \"exp\", \"dtype\": \"f32\", \"family\": \"needle\", \"seed\": 1, \"N\": 1}",
         "family needle is not one of exp", VDIT_ERR_FORMAT},
        {"{\"op\": \"exp\", \"dtype\": \"f32\", \"family\": \"normal\", \"seed\": -1, \"N\": 1}",
         "\"seed\": expected", VDIT_ERR_FORMAT},
        {"{\"op\": \"exp\", \"dtype\": \"f32\", \"family\": \"normal\", \"seed\": "
         "9007199254740992, "
         "\"N\": 1}",
         "\"seed\": expected", VDIT_ERR_FORMAT},
        {"{\"op\": \"exp\", \"dtype\": \"f32\", \"family\": \"normal\", \"seed\": 1, \"N\": 0}",
         "\"N\": expected a positive whole number", VDIT_ERR_FORMAT},
        {"{\"op\": \"exp\", \"dtype\": \"f32\", \"family\": \"normal\", \"seed\": 1, \"N\": "
         "2147483648}",
         "\"N\" is 2147483648, at most 2147483647 allowed", VDIT_ERR_LIMIT},
        {"{" CASE ", \"B\": 2000000000, \"H\": 2000000000}", "bytes, at most 6.87e+10 allowed",
         VDIT_ERR_LIMIT},
        {"{\"op\": \"attention\", \"Nq\": 8000000, \"Nk\": 8000000, \"d\": 16, \"dtype\": \"f32\", "
         "\"family\": \"normal\", \"seed\": 1}",
         "4.1e+15 operations, at most 1e+15 allowed", VDIT_ERR_LIMIT},
        {"{" CASE ", \"contract\": \"f31\"}", "\"contract\": expected the name of a contract",
         VDIT_ERR_FORMAT},
        {"{" CASE ", \"scale\": \"0x1p-3z\"}", "\"scale\": expected a number", VDIT_ERR_FORMAT},
        {"{" CASE ", \"scale\": \"nan\"}", "\"scale\": expected a number", VDIT_ERR_FORMAT},
        {"{" CASE ", \"scale\": 1e-40}", "\"scale\": expected a number", VDIT_ERR_FORMAT},
        {"{" CASE ", \"mask\": \"causal\"}", "\"mask\": expected none, bool-random",
         VDIT_ERR_FORMAT},
        {"{" CASE ", \"mask\": \"window\"}", "\"window\" goes with \"mask\": \"window\"",
         VDIT_ERR_FORMAT},
        {"{" CASE ", \"window\": 3}", "\"window\" goes with \"mask\": \"window\"", VDIT_ERR_FORMAT},
        {"{" CASE ", \"key_length\": 3}", "\"key_length\": expected a list of B whole numbers",
         VDIT_ERR_FORMAT},
        {"{" CASE ", \"key_length\": [3, 4]}", "\"key_length\": expected a list of B",
         VDIT_ERR_FORMAT},
        {"{" CASE ", \"key_length\": [5]}", "key_length 5, expected 0 to Nk = 4", VDIT_ERR_FORMAT},
        {"{" CASE ", \"key_length\": [-1]}", "key_length -1, expected 0 to Nk = 4",
         VDIT_ERR_FORMAT},
        {"{" CASE ", \"rows\": \"some\"}", "\"rows\": expected \"all\"", VDIT_ERR_FORMAT},
        {"{" CASE ", \"rows\": {\"every\": 2, \"count\": 2}}", "\"rows\": expected \"all\"",
         VDIT_ERR_FORMAT},
        {"{" CASE ", \"rows\": {\"every\": 0}}", "\"rows\": expected a positive", VDIT_ERR_FORMAT},
        {"{" CASE ", \"name\": \"../x\"}", "\"name\": expected up to 64 letters", VDIT_ERR_FORMAT},
        {"{" CASE "}, {" CASE "}", "two cases are called attention-normal-f32-4: give one of them",
         VDIT_ERR_FORMAT},
        {"{\"op\": \"attention\", \"Nq\": 4, \"Nk\": 4, \"d\": 16, \"dtype\": \"f32\", \"family\": "
         "\"poison\", \"seed\": 1}",
         "family poison needs a key_length below Nk = 4", VDIT_ERR_FORMAT},
        {"{\"op\": \"attention\", \"Nq\": 4, \"Nk\": 400, \"d\": 16, \"dtype\": \"f32\", "
         "\"family\": \"needle\", \"seed\": 1}",
         "family needle needs d >= 26 for 400 keys, not 16", VDIT_ERR_FORMAT},
        {"{\"op\": \"attention\", \"Nq\": 4, \"Nk\": 4, \"d\": 16, \"dtype\": \"f32\", \"family\": "
         "\"late-sink\", \"seed\": 1, \"scale\": -1}",
         "family late-sink needs a scale from 2^-8 to 16, not -1", VDIT_ERR_FORMAT},
        {"{" CASE ", \"layout\": \"NBHD\"}", "\"layout\": expected BHND, BNHD or BN3HD",
         VDIT_ERR_FORMAT},
        {"{" CASE ", \"layout\": \"BN3HD\", \"dv\": 8}",
         "layout BN3HD needs Nq = Nk and dv = d, not 4, 4 and 8, 16", VDIT_ERR_FORMAT},
        {"{" CASE ", \"plan\": \"mask 300%\"}", "\"plan\": ", VDIT_ERR_FORMAT},
        {"{" CASE ", \"plan\": \"reweight w.npy\"}", "\"plan\": a case has no tensor w.npy",
         VDIT_ERR_FORMAT},
        {"{" CASE ", \"plan\": \"gate 0\\n\"}", "\"plan\": expected up to 400 characters",
         VDIT_ERR_FORMAT},
        {"{" CASE ", \"plan\": 1}", "\"plan\": expected a text", VDIT_ERR_FORMAT},
        {"{" CASE ", \"meters\": \"a\\\"b\"}", "\"meters\": expected a list of meters",
         VDIT_ERR_FORMAT},
        {"{" CASE ", \"meters\": []}", "\"meters\": expected a text", VDIT_ERR_FORMAT},
        {"{" CASE ", \"video\": [2, 2]}", "\"video\": expected a list of frames, height and width",
         VDIT_ERR_FORMAT},
        {"{" CASE ", \"video\": [2, 2, 0]}", "\"video\": expected a positive whole number",
         VDIT_ERR_FORMAT},
        {"{" CASE ", \"video\": [1, 2, 1], \"text\": 1}",
         "Nq = 4 and Nk = 4 must each be all tokens, the 2 of \"video\" or the 1 of \"text\"",
         VDIT_ERR_FORMAT},
        {"{" CASE ", \"text\": 4}", "\"text\" goes with \"video\"", VDIT_ERR_FORMAT},
        {"{" CASE ", \"video\": [1, 2, 2], \"text_first\": 1}",
         "\"text_first\": expected true or false", VDIT_ERR_FORMAT},
        {"{\"op\": \"attention\", \"Nq\": 4, \"Nk\": 4, \"d\": 16, \"dtype\": \"f32\", "
         "\"family\": \"video\", \"seed\": 1}",
         "family video needs d >= 16, and \"video\" and \"text\"", VDIT_ERR_FORMAT},
        {"{\"op\": \"attention\", \"Nq\": 257, \"Nk\": 257, \"d\": 16, \"dtype\": \"f32\", "
         "\"family\": \"video\", \"seed\": 1, \"video\": [1, 257, 1]}",
         "family video needs frames, height and width up to 256", VDIT_ERR_FORMAT},
        {"{\"op\": \"linear\", \"M\": 1, \"K\": 1, \"N\": 1, \"dtype\": \"f32\", \"family\": "
         "\"normal\", \"seed\": 1, \"bias\": 1}",
         "\"bias\": expected true or false", VDIT_ERR_FORMAT},
    };

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        vdit_recipe untouched = {0};
        char text[2000];
        snprintf(text, sizeof text, "%s%s%s", HEAD, bad[i].text, TAIL);
        assert_int_not_equal(load(*state, &untouched, text), VDIT_OK);
        assert_failure(*state, bad[i].status, "r.json: ", bad[i].says);
        assert_null(untouched.cases);
    }
}

static void a_bad_head_is_refused(void **state)
{
    static const char *const bad[][2] = {
        {"[]", "expected \"format\": \"vdit-recipe/1\""},
        {"{\"format\": \"vdit-recipe/2\"}", "expected \"format\": \"vdit-recipe/1\""},
        {"{\"format\": \"vdit-recipe/1\", \"about\": \"\", \"cases\": [1]}", "\"name\": expected"},
        {"{\"format\": \"vdit-recipe/1\", \"name\": \"a/b\", \"about\": \"\", \"cases\": [1]}",
         "\"name\": expected"},
        {"{\"format\": \"vdit-recipe/1\", \"name\": \"r\", \"cases\": [1]}", "expected the keys"},
        {"{\"format\": \"vdit-recipe/1\", \"name\": \"r\", \"about\": \"\", \"cases\": []}",
         "\"cases\": expected a list"},
        {"{\"format\": \"vdit-recipe/1\", \"name\": \"r\", \"about\": \"\", \"cases\": [1], \"x\": "
         "1}",
         "expected the keys"},
        {"{", "not JSON"},
    };
    vdit_recipe r;

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        load(*state, &r, bad[i][0]);
        assert_failure(*state, VDIT_ERR_FORMAT, "r.json: ", bad[i][1]);
    }
    vdit_recipe_load(*state, &r, "none.json");
    assert_failure(*state, VDIT_ERR_IO, "none.json: ", "cannot open");
}

static void too_many_cases_are_refused_before_they_are_made(void **state)
{
    static char text[400000] = HEAD "{\"family\": [\"\"";
    vdit_recipe r;

    for (int i = 0; i < 10000; i++)
        strcat(text + 10 * i, ", \"normal\"");
    strcat(text, "]}" TAIL);
    load(*state, &r, text);
    assert_failure(*state, VDIT_ERR_LIMIT, "r.json: ", "more than 10000 cases");
}

/* The rules of vdit-recipe(5), by their definition. */
static void computed_rows_follow_the_published_rule(void **state)
{
    (void)state;
    for (size_t nq = 1; nq <= 40; nq++)
        for (size_t n = 1; n <= 45; n++)
            for (int every = 0; every < 2; every++) {
                vdit_case c = {.Nq = nq, .row_every = every ? n : 0, .row_count = every ? 0 : n};
                int wanted[40] = {0};
                int64_t rows[40];
                size_t count = 0;
                wanted[0] = wanted[nq - 1] = 1;
                for (size_t r = 0; !every && r < n; r++)
                    wanted[(2 * r + 1) * nq / (2 * n)] = 1;
                for (size_t i = 0; every && i < nq; i += n)
                    wanted[i] = 1;
                for (size_t i = 0; i < nq; i++)
                    count += (size_t)wanted[i];
                assert_int_equal(vdit_case_rows(&c), count);
                vdit_case_list_rows(rows, &c);
                for (size_t i = 0, r = 0; i < nq; i++)
                    if (wanted[i])
                        assert_int_equal(rows[r++], i);
            }
}

/* What vdit_manifest_write writes, vdit_manifest_read reads. */
static void a_manifest_survives_writing_and_reading(void **state)
{
    static const int64_t lengths[] = {3, 4};
    vdit_manifest_case written[2] = {{.in = "a.in.safetensors", .out = "a.out.safetensors"},
                                     {.in = "b.in.safetensors", .out = "b.out.safetensors"}};
    vdit_manifest m = {"r", "0.1.0", 2, written}, read;
    vdit_manifest_tensor t = {.name = "q", .dtype = VDIT_BF16, .rank = 2, .shape = {3, 4}};

    memset(t.sha256, 'a', 64);
    written[0].params = (vdit_case){.name = "a", .B = 2, .H = 3, .Nq = 9, .Nk = 4, .d = 5, .dv = 6};
    written[0].params.key_length = lengths;
    written[0].params.row_count = 3;
    written[0].params.mask = VDIT_MASK_WINDOW;
    written[0].params.window = 2;
    written[0].params.scale = 0x1.23456789abcdep-5;
    written[1].params = (vdit_case){.name = "b", .op = VDIT_OP_LINEAR, .M = 1, .K = 2, .N = 3};
    written[1].params.bias = 1;
    for (int i = 0; i < 2; i++) {
        written[i].params.dtype = VDIT_F16;
        written[i].params.seed = UINT64_C(1) << 52;
        written[i].params.family = vdit_family_find("normal");
        written[i].params.contract = vdit_contract_find("fp8");
        written[i].tensors[0] = t;
        written[i].tensor_count = 1;
    }
    assert_int_equal(vdit_manifest_write(*state, &m, "m.json"), VDIT_OK);
    assert_int_equal(vdit_manifest_read(*state, &read, "m.json"), VDIT_OK);
    assert_int_equal(read.case_count, 2);
    for (int i = 0; i < 2; i++) {
        vdit_case *a = &written[i].params, *b = &read.cases[i].params;
        assert_string_equal(a->name, b->name);
        assert_string_equal(written[i].in, read.cases[i].in);
        assert_string_equal(written[i].out, read.cases[i].out);
        assert_true(vdit_manifest_tensor_equal(&t, &read.cases[i].tensors[0]));
        assert_memory_equal(&a->op, &b->op, sizeof a->op);
        assert_true(a->family == b->family && a->contract == b->contract);
        assert_true(a->dtype == b->dtype && a->seed == b->seed && a->scale == b->scale);
        assert_true(a->Nq == b->Nq && a->Nk == b->Nk && a->d == b->d && a->dv == b->dv);
        assert_true(a->M == b->M && a->K == b->K && a->N == b->N && a->bias == b->bias);
        assert_true(a->mask == b->mask && a->window == b->window);
        assert_true(a->row_every == b->row_every && a->row_count == b->row_count);
    }
    assert_memory_equal(read.cases[0].params.key_length, lengths, sizeof lengths);
    assert_null(read.cases[1].params.key_length);
}

/* Replaces the first from by to in the shipped manifest of cross, and reads that. */
static vdit_status read_changed(vdit_run *run, const char *from, const char *to)
{
    char path[4096], *at;
    vdit_manifest m;
    size_t size;
    unsigned char *bytes;

    snprintf(path, sizeof path, "%s/data/manifests/cross.json", getenv("srcdir"));
    bytes = get(path, &size);
    bytes[size] = '\0';
    at = strstr((char *)bytes, from);
    assert_non_null(at);
    *at = '\0';
    {
        FILE *file = fopen("m.json", "wb");
        assert_non_null(file);
        fprintf(file, "%s%s%s", (char *)bytes, to, at + strlen(from));
        fclose(file);
    }
    free(bytes);
    return vdit_manifest_read(run, &m, "m.json");
}

static void every_bad_manifest_is_refused(void **state)
{
    static const char *const bad[][3] = {
        {"vdit-corpus/1", "vdit-corpus/9", "expected \"format\": \"vdit-corpus/1\""},
        {"\"library\"", "\"librarian\"", "\"recipe\" or \"library\" is missing"},
        {"\"case_count\": ", "\"case_count\": 9", "is not the number of cases, "},
        {"\"name\": \"attention-normal-f32-5x70\"", "\"name\": \"../../x\"", "\"name\": expected"},
        {"\"name\": \"attention-normal-bf16-5x70\"", "\"name\": \"attention-normal-f32-5x70\"",
         "two cases are called attention-normal-f32-5x70"},
        {"\"q\": {", "\"q/\": {", "tensor \"q/\": expected a name of up to 63 letters"},
        {"\"in\": \"attention", "\"in\": \"/attention", "\"in\": expected letters"},
        {"\"out\": \"attention", "\"out\": \"a/b", "\"out\": expected letters"},
        {"\"file\": \"in\"", "\"file\": \"inn\"", "tensor \"q\": \"file\": expected in or out"},
        {"\"dtype\": \"f32\", \"shape\"", "\"dtype\": \"f31\", \"shape\"", "\"dtype\": unknown"},
        {"\"shape\": [1, 2, 5, 24]", "\"shape\": [1, 2, 5, -24]", "\"shape\": expected extents"},
        {"\"shape\": [1, 2, 5, 24]", "\"shape\": [1, 2, 3, 4, 5, 6, 7, 8, 9]",
         "\"shape\": expected a list of up to 8 extents"},
        {"\"sha256\": \"", "\"sha256\": \"G", "\"sha256\": expected 64 hexadecimal digits"},
        {"\"seed\": 101", "\"seed\": 101, \"hat\": 1", "attention has no key \"hat\""},
    };

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_not_equal(read_changed(*state, bad[i][0], bad[i][1]), VDIT_OK);
        assert_failure(*state, VDIT_ERR_FORMAT, "m.json: ", bad[i][2]);
    }
}

/* A text cut at any byte, or with any byte changed, gives a recipe or a message. */
static void a_damaged_recipe_is_read_or_refused(void **state)
{
    static const char whole[] =
        HEAD "{" CASE ", \"rows\": {\"every\": 2}, \"key_length\": [3], "
             "\"scale\": \"0x1p-2\", \"mask\": \"window\", \"window\": 1}" TAIL;
    char text[sizeof whole];
    vdit_recipe r;

    for (size_t i = 0; i < sizeof whole - 1; i++)
        for (int change = 0; change < 3; change++) {
            strcpy(text, whole);
            text[i] = (char)(change == 0 ? '\0' : change == 1 ? text[i] ^ 1 : '9');
            if (load(*state, &r, text) != VDIT_OK) {
                assert_true(vdit_run_message(*state)[0] != '\0');
                vdit_run_clear(*state);
            }
        }
}

static void without_memory_a_recipe_fails_cleanly(void **state)
{
    vdit_recipe r;
    size_t enough;

    put("r.json", HEAD "{" CASE "}" TAIL, strlen(HEAD "{" CASE "}" TAIL));
    for (enough = 0; enough < 50; enough++) {
        size_t left = enough;
        vdit_run_set_allocator(*state, give_some, &left);
        if (vdit_recipe_load(*state, &r, "r.json") == VDIT_OK)
            break;
        assert_int_equal(vdit_run_status(*state), VDIT_ERR_MEMORY);
        vdit_run_clear(*state);
    }
    vdit_run_set_allocator(*state, NULL, NULL);
    assert_true(enough > 3 && enough < 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lists_expand_with_dtypes_fastest, file_setup,
                                        file_teardown),
        cmocka_unit_test_setup_teardown(scale_is_a_number_or_hexadecimal, file_setup,
                                        file_teardown),
        cmocka_unit_test_setup_teardown(every_bad_case_is_named, file_setup, file_teardown),
        cmocka_unit_test_setup_teardown(a_bad_head_is_refused, file_setup, file_teardown),
        cmocka_unit_test_setup_teardown(too_many_cases_are_refused_before_they_are_made, file_setup,
                                        file_teardown),
        cmocka_unit_test(computed_rows_follow_the_published_rule),
        cmocka_unit_test_setup_teardown(a_manifest_survives_writing_and_reading, file_setup,
                                        file_teardown),
        cmocka_unit_test_setup_teardown(every_bad_manifest_is_refused, file_setup, file_teardown),
        cmocka_unit_test_setup_teardown(a_damaged_recipe_is_read_or_refused, file_setup,
                                        file_teardown),
        cmocka_unit_test_setup_teardown(without_memory_a_recipe_fails_cleanly, file_setup,
                                        file_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
