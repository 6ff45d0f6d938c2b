/* test_file_index.c - shard indexes, and the JSON reader below them. */
#include "file_support.h"
#include <stdio.h>
#include <string.h>
#include "file/json.h"

#define HEADER(name) "{\"" name "\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}"

static void write_shards(void)
{
    put_safetensors("one", HEADER("a"), 4);
    put_safetensors("two", HEADER("b"), 4);
    put_safetensors("again", HEADER("a"), 4);
    put("no", "PK\5\6", 4);
}

static void shards_are_read_as_one_file(void **state)
{
    vdit_file *file;

    assert_int_equal(vdit_file_open(*state, &file, fixture("good-shard.safetensors.index.json")),
                     VDIT_OK);
    assert_int_equal(vdit_file_count(file), 3);
    assert_int_equal(vdit_file_find(file, "blocks.0.q")->dtype, VDIT_F32);
    assert_int_equal(vdit_file_find(file, "blocks.0.k")->dtype, VDIT_BF16);
    assert_int_equal(vdit_file_find(file, "blocks.1.q")->dtype, VDIT_F16);
    for (size_t i = 0; i < 3; i++)
        assert_fixture_values(vdit_file_tensor(file, i));
    assert_string_equal(vdit_file_meta(file, "made"), "by hand"); /* of the index */
    assert_string_equal(vdit_file_meta(file, "format"), "pt");    /* of the shards */
    assert_null(vdit_file_meta(file, "total_size"));              /* no string */
    vdit_file_close(file);
}

static void white_space_before_the_index_is_no_matter(void **state)
{
    static const char index[] = "\n {\"weight_map\": {\"a\": \"one\", \"b\": \"two\"}}";
    vdit_file *file;

    write_shards();
    put("i", index, sizeof index - 1);
    assert_int_equal(vdit_file_open(*state, &file, "i"), VDIT_OK);
    assert_int_equal(vdit_file_count(file), 2);
    vdit_file_close(file);
}

#define MAP(pairs) "{\"weight_map\": {" pairs "}}"

static void hostile_indexes_are_refused(void **state)
{
    static const struct {
        const char *index, *path;
        vdit_status status;
        const char *text;
    } cases[] = {
        {"{}", "i", VDIT_ERR_FORMAT, "expected an object \"weight_map\""},
        {"{\"weight_map\": []}", "i", VDIT_ERR_FORMAT, "expected an object \"weight_map\""},
        {"{\"weight_map\": {}", "i", VDIT_ERR_FORMAT, "(line 1, column 17): not JSON"},
        {"{\n\"weight_map\":\n3 4}", "i", VDIT_ERR_FORMAT,
         "offset 19 (line 3, column 3): not JSON"},
        {MAP("\"a\": 1"), "i", VDIT_ERR_FORMAT, "tensor \"a\": shard \"\""},
        {MAP("\"a\": \"\""), "i", VDIT_ERR_FORMAT, "tensor \"a\": shard \"\""},
        {MAP("\"a\": \"/etc/passwd\""), "i", VDIT_ERR_FORMAT, "expected the name of a file beside"},
        {MAP("\"a\": \"../one\""), "i", VDIT_ERR_FORMAT, "expected the name of a file beside"},
        {MAP("\"a\": \"..\\\\one\""), "i", VDIT_ERR_FORMAT, "expected the name of a file beside"},
        {MAP("\"a\": \"./one\""), "i", VDIT_ERR_FORMAT, "expected the name of a file beside"},
        {MAP("\"a\": \"..\""), "i", VDIT_ERR_FORMAT, "expected the name of a file beside"},
        {MAP("\"a\": \".\""), "i", VDIT_ERR_FORMAT, "expected the name of a file beside"},
        {MAP("\"a\": \"none\""), "none", VDIT_ERR_IO, "cannot open"},
        {MAP("\"a\": \"i\""), "i", VDIT_ERR_FORMAT, "not a safetensors file?"},
        {MAP("\"a\": \"no\""), "no", VDIT_ERR_FORMAT, "4 bytes, expected a safetensors"},
        {MAP("\"a\": \"two\""), "i", VDIT_ERR_FORMAT, "tensor \"a\": not in the shard \"two\""},
        {MAP("\"a\": \"one\", \"c\": \"one\""), "i", VDIT_ERR_FORMAT, "\"c\": not in the shard"},
        {MAP("\"a\": \"two\", \"b\": \"one\""), "i", VDIT_ERR_FORMAT, "\"a\": not in the shard"},
        {MAP("\"a\": \"one\", \"b\": \"again\""), "i", VDIT_ERR_FORMAT, "\"a\": there twice"},
        {MAP("\"a\": \"one\", \"a\": \"again\""), "i", VDIT_ERR_FORMAT, "duplicate object key"},
    };

    write_shards();
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        vdit_file *file;

        put("i", cases[i].index, strlen(cases[i].index));
        vdit_file_open(*state, &file, "i");
        assert_failure(*state, cases[i].status, cases[i].path, cases[i].text);
    }
}

static void a_tensor_that_the_index_leaves_out_is_refused(void **state)
{
    static const char index[] = MAP("\"b\": \"both\"");

    put_safetensors("both",
                    "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                    "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}",
                    8);
    put("i", index, sizeof index - 1);
    assert_refused(*state, "i", VDIT_ERR_FORMAT, "tensor \"a\": in a shard, expected in the index");
}

static void shards_lie_beside_the_index_wherever_it_is(void **state)
{
    char path[4200];
    vdit_file *file;

    snprintf(path, sizeof path, "%s", fixture("good-shard.safetensors.index.json"));
    assert_int_equal(vdit_file_open(*state, &file, path), VDIT_OK); /* not the working folder */
    vdit_file_close(file);
}

static void json_files_are_loaded_or_say_where_not(void **state)
{
    json_t *value;

    put("j", "[1, {\"a\": null}]\n", 17);
    value = vdit_json_load(*state, "j");
    assert_int_equal(json_array_size(value), 2);
    json_decref(value);
    put("j", "[1,\n oops]", 10);
    assert_null(vdit_json_load(*state, "j"));
    assert_failure(*state, VDIT_ERR_FORMAT, "j", "offset 9 (line 2, column 5): not JSON");
    assert_null(vdit_json_load(*state, "none"));
    assert_failure(*state, VDIT_ERR_IO, "none", "cannot open");
    put("j", "", 0);
    assert_null(vdit_json_load(*state, "j"));
    assert_failure(*state, VDIT_ERR_FORMAT, "j", "not JSON");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, file_setup, file_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(shards_are_read_as_one_file),
        TEST(white_space_before_the_index_is_no_matter),
        TEST(hostile_indexes_are_refused),
        TEST(a_tensor_that_the_index_leaves_out_is_refused),
        TEST(shards_lie_beside_the_index_wherever_it_is),
        TEST(json_files_are_loaded_or_say_where_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
