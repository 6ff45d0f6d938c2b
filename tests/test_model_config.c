/* test_model_config.c - the keys of a config.json: defaults, types, ranges, and keys that nobody asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "model/config.h"

typedef struct fixture {
    vdit_run *run;
    vdit_config *keys;
} fixture;

/* Opens a text as "c.json". */
static fixture open_text(const char *text)
{
    fixture f = {vdit_run_new(), NULL};

    f.keys = vdit_config_open(f.run, f.run, "c.json", text, strlen(text));
    return f;
}

static void close_text(fixture *f)
{
    vdit_config_close(f->keys);
    vdit_run_free(f->run);
}

/* Fails unless the run failed with that message; closes. */
static void assert_message(fixture *f, vdit_status status, const char *message)
{
    assert_string_equal(vdit_run_message(f->run), message);
    assert_int_equal(vdit_run_status(f->run), status);
    close_text(f);
}

static void a_missing_or_null_key_takes_its_default(void **state)
{
    static const size_t three[] = {1, 2, 2};
    fixture f = open_text("{\"layers\": null}");
    size_t patch[3] = {0};

    (void)state;
    assert_int_equal(vdit_config_size(f.keys, "width", 1, 128), 128);
    assert_int_equal(vdit_config_layers(f.keys, "layers", 0, 7), 7);
    assert_true(vdit_config_number(f.keys, "eps", 1e-6) == 1e-6);
    assert_int_equal(vdit_config_flag(f.keys, "affine", 1), 1);
    assert_string_equal(vdit_config_text(f.keys, "norm", "rms"), "rms");
    assert_null(vdit_config_text(f.keys, "kind", NULL));
    vdit_config_sizes(f.keys, "patch", patch, 3, three);
    assert_memory_equal(patch, three, sizeof three);
    vdit_config_absent(f.keys, "image_dim", "image conditioning");
    vdit_config_check(f.keys);
    assert_int_equal(vdit_run_status(f.run), VDIT_OK);
    close_text(&f);
}

static void a_given_key_is_read(void **state)
{
    fixture f =
        open_text("{\"width\": 2147483648, \"layers\": 4096, \"ratio\": 4, \"affine\": false,"
                  " \"norm\": \"\xc3\xa9\", \"patch\": [3, 1, 2147483648], \"_class\": 1}");
    size_t patch[3];

    (void)state;
    assert_true(vdit_config_size(f.keys, "width", 1, 5) == (size_t)1 << 31);
    assert_int_equal(vdit_config_layers(f.keys, "layers", 1, 5), 4096);
    assert_true(vdit_config_number(f.keys, "ratio", 1) == 4);
    assert_int_equal(vdit_config_flag(f.keys, "affine", 1), 0);
    assert_string_equal(vdit_config_text(f.keys, "norm", NULL), "\xc3\xa9");
    vdit_config_sizes(f.keys, "patch", patch, 3, NULL);
    assert_true(patch[0] == 3 && patch[1] == 1 && patch[2] == (size_t)1 << 31);
    vdit_config_check(f.keys);
    assert_string_equal(vdit_run_message(f.run), "");
    close_text(&f);
}

static void a_whole_number_out_of_its_range_is_refused(void **state)
{
    static const char *const bad[] = {"0",   "2147483649", "-1",   "1.0",
                                      "1e2", "\"1\"",      "true", "[1]"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[64];
        fixture f;

        snprintf(text, sizeof text, "{\"width\": %s}", bad[i]);
        f = open_text(text);
        assert_int_equal(vdit_config_size(f.keys, "width", 1, 5), 1);
        assert_message(&f, VDIT_ERR_FORMAT,
                       "c.json: key \"width\": expected a whole number from 1 to 2147483648");
    }
}

static void a_number_of_layers_has_a_limit_of_its_own(void **state)
{
    fixture f = open_text("{\"layers\": 4097}");

    (void)state;
    assert_int_equal(vdit_config_layers(f.keys, "layers", 0, 5), 0);
    assert_message(&f, VDIT_ERR_FORMAT,
                   "c.json: key \"layers\": expected a whole number from 0 to 4096");
}

static void values_of_another_type_are_refused(void **state)
{
    static const char text[] =
        "{\"a\": \"1\", \"b\": 1, \"c\": 2, \"d\": [1, 2], \"e\": [1, 0, 1]}";
    size_t three[3];
    fixture f;

    (void)state;
    f = open_text(text);
    vdit_config_number(f.keys, "a", 1);
    assert_message(&f, VDIT_ERR_FORMAT, "c.json: key \"a\": expected a number");
    f = open_text(text);
    vdit_config_flag(f.keys, "b", 1);
    assert_message(&f, VDIT_ERR_FORMAT, "c.json: key \"b\": expected true or false");
    f = open_text(text);
    vdit_config_text(f.keys, "c", "");
    assert_message(&f, VDIT_ERR_FORMAT, "c.json: key \"c\": expected a text");
    for (const char *key = "c\0d\0e\0"; *key != '\0'; key += 2) {
        char message[128];

        snprintf(message, sizeof message,
                 "c.json: key \"%s\": expected a list of 3 whole numbers from 1 to 2147483648",
                 key);
        f = open_text(text);
        vdit_config_sizes(f.keys, key, three, 3, NULL);
        assert_message(&f, VDIT_ERR_FORMAT, message);
    }
}

static void what_is_not_offered_is_refused_by_its_key(void **state)
{
    fixture f = open_text("{\"image_dim\": 1280, \"norm\": \"layer\"}");

    (void)state;
    vdit_config_absent(f.keys, "image_dim", "image conditioning");
    assert_message(&f, VDIT_ERR_UNSUPPORTED,
                   "c.json: key \"image_dim\": image conditioning is not offered");
    f = open_text("{\"norm\": \"layer\"}");
    vdit_config_only(f.keys, "norm", strcmp(vdit_config_text(f.keys, "norm", ""), "rms") == 0,
                     "\"rms\"");
    assert_message(&f, VDIT_ERR_UNSUPPORTED, "c.json: key \"norm\": only \"rms\" is offered");
}

static void a_key_that_nobody_asked_for_is_refused(void **state)
{
    fixture f = open_text("{\"_file\": 1, \"width\": 1, \"newer\": null, \"widht\": 2}");

    (void)state;
    vdit_config_size(f.keys, "width", 1, 5);
    vdit_config_check(f.keys);
    assert_message(&f, VDIT_ERR_UNSUPPORTED, "c.json: key \"widht\" is not known");
}

static void text_that_is_no_object_is_refused(void **state)
{
    static const char *const bad[] = {"", "[]", "{", "{\"a\": 1, \"a\": 2}", "1", "{\"a\": 1e999}"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fixture f = open_text(bad[i]);

        assert_null(f.keys);
        assert_int_equal(vdit_run_status(f.run), VDIT_ERR_FORMAT);
        assert_int_equal(strncmp(vdit_run_message(f.run), "c.json: ", 8), 0);
        close_text(&f);
    }
}

/* In the order of the questions, with the fewest digits that read back as the same numbers. */
static void the_configuration_in_effect_holds_every_key(void **state)
{
    static const size_t three[] = {1, 2, 2};
    fixture f = open_text("{\"eps\": 0.1, \"width\": 12}");
    size_t patch[3];

    (void)state;
    vdit_config_sizes(f.keys, "patch", patch, 3, three);
    vdit_config_size(f.keys, "width", 1, 5);
    vdit_config_size(f.keys, "width", 1, 5);
    assert_int_equal(vdit_config_size(f.keys, "patch_t", 1, 0), 0);
    vdit_config_number(f.keys, "eps", 1e-6);
    vdit_config_number(f.keys, "scale", 1.875);
    vdit_config_flag(f.keys, "affine", 1);
    vdit_config_text(f.keys, "norm", "rms");
    vdit_config_absent(f.keys, "image_dim", "");
    assert_string_equal(vdit_config_effective(f.run, f.keys, "A"),
                        "{\n"
                        "  \"_class_name\": \"A\",\n"
                        "  \"_diffusers_version\": \"0.40.0\",\n"
                        "  \"patch\": [\n    1,\n    2,\n    2\n  ],\n"
                        "  \"width\": 12,\n"
                        "  \"patch_t\": null,\n"
                        "  \"eps\": 0.1,\n"
                        "  \"scale\": 1.875,\n"
                        "  \"affine\": true,\n"
                        "  \"norm\": \"rms\",\n"
                        "  \"image_dim\": null\n"
                        "}");
    close_text(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_or_null_key_takes_its_default),
        cmocka_unit_test(a_given_key_is_read),
        cmocka_unit_test(a_whole_number_out_of_its_range_is_refused),
        cmocka_unit_test(a_number_of_layers_has_a_limit_of_its_own),
        cmocka_unit_test(values_of_another_type_are_refused),
        cmocka_unit_test(what_is_not_offered_is_refused_by_its_key),
        cmocka_unit_test(a_key_that_nobody_asked_for_is_refused),
        cmocka_unit_test(text_that_is_no_object_is_refused),
        cmocka_unit_test(the_configuration_in_effect_holds_every_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
