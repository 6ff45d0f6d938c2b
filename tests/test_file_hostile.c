/* test_file_hostile.c - safetensors files that lie, and what is no file at all. */
#include "config.h"
#include "file_support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define X(dtype, shape, offsets)                                                                   \
    "\"x\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define Y "\"y\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":"

/* What is wrong in one place of a header, the rest of which is right, with 8 bytes of data. */
static const struct {
    const char *header;
    vdit_status status;
    const char *text;
} hostile[] = {
    {"[1]", VDIT_ERR_FORMAT, "offset 8: expected a header that starts with '{'"},
    {" {}", VDIT_ERR_FORMAT, "offset 8: expected a header that starts with '{'"},
    {"{", VDIT_ERR_FORMAT, "offset 8"},
    {"{]", VDIT_ERR_FORMAT, "offset 10 (line 1, column 2): not JSON"},
    {"{} x", VDIT_ERR_FORMAT, "not JSON: end of file expected"},
    {"{}", VDIT_ERR_FORMAT, "8 bytes of data, expected 0"},
    {"{\"x\":3}", VDIT_ERR_FORMAT, "tensor \"x\": expected an object"},
    {"{\"x\":{}}", VDIT_ERR_DTYPE, "dtype missing"},
    {"{\"x\":{\"dtype\":\"F32\"}}", VDIT_ERR_FORMAT, "shape missing"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2]}}", VDIT_ERR_FORMAT, "data_offsets: expected two"},
    {"{" X("3", "[2]", "[0,8]") "}", VDIT_ERR_DTYPE, "dtype missing"},
    {"{" X("\"f32\"", "[2]", "[0,8]") "}", VDIT_ERR_DTYPE, "dtype f32"},
    {"{" X("\"U64\"", "[1]", "[0,8]") "}", VDIT_ERR_DTYPE, "dtype U64, expected F64, F32, BF16"},
    {"{" X("\"F32\"", "2", "[0,8]") "}", VDIT_ERR_FORMAT, "shape missing"},
    {"{" X("\"F32\"", "[-2]", "[0,8]") "}", VDIT_ERR_FORMAT, "axis 0 of the shape"},
    {"{" X("\"F32\"", "[1,2.0]", "[0,8]") "}", VDIT_ERR_FORMAT, "axis 1 of the shape"},
    {"{" X("\"F32\"", "[\"2\"]", "[0,8]") "}", VDIT_ERR_FORMAT, "axis 0 of the shape"},
    {"{" X("\"F32\"", "[1,1,1,1,1,1,1,1,2]", "[0,8]") "}", VDIT_ERR_LIMIT, "9 axes"},
    {"{" X("\"F32\"", "[9223372036854775807,2]", "[0,8]") "}", VDIT_ERR_LIMIT,
     "cannot be addressed"},
    {"{" X("\"F32\"", "[4294967296,4294967296]", "[0,8]") "}", VDIT_ERR_LIMIT,
     "cannot be addressed"},
    {"{" X("\"F32\"", "[0,4294967296,4294967296]", "[0,0]") "}", VDIT_ERR_LIMIT, "cannot be addre"},
    {"{" X("\"F32\"", "[4611686018427387906]", "[0,8]") "}", VDIT_ERR_LIMIT, "cannot be addressed"},
    {"{" X("\"F32\"", "[18446744073709551618]", "[0,8]") "}", VDIT_ERR_FORMAT, "too big integer"},
    {"{" X("\"F32\"", "[3]", "[0,8]") "}", VDIT_ERR_FORMAT, "hold 8 bytes, expected 12"},
    {"{" X("\"F32\"", "[]", "[0,8]") "}", VDIT_ERR_FORMAT, "hold 8 bytes, expected 4"},
    {"{" X("\"F32\"", "[2]", "[0,8,8]") "}", VDIT_ERR_FORMAT, "data_offsets: expected two"},
    {"{" X("\"F32\"", "[2]", "[8]") "}", VDIT_ERR_FORMAT, "data_offsets: expected two"},
    {"{" X("\"F32\"", "[2]", "{\"0\":0,\"8\":8}") "}", VDIT_ERR_FORMAT,
     "data_offsets: expected two"},
    {"{" X("\"F32\"", "[2]", "[0,8.0]") "}", VDIT_ERR_FORMAT, "data_offsets: expected two"},
    {"{" X("\"F32\"", "[2]", "[8,0]") "}", VDIT_ERR_FORMAT,
     "[8, 0]: expected 0 <= begin <= end <= 8"},
    {"{" X("\"F32\"", "[2]", "[-8,0]") "}", VDIT_ERR_FORMAT, "data_offsets [-8, 0]"},
    {"{" X("\"F32\"", "[2]", "[1,9]") "}", VDIT_ERR_FORMAT, "data_offsets [1, 9]"},
    {"{" X("\"F32\"", "[2]", "[9223372036854775800,9223372036854775807]") "}", VDIT_ERR_FORMAT,
     "end <= 8"},
    {"{" X("\"F32\"", "[1]", "[0,4]") "}", VDIT_ERR_FORMAT, "8 bytes of data, expected 4"},
    {"{" X("\"F32\"", "[1]", "[4,8]") "}", VDIT_ERR_FORMAT, "data begins at 4, expected 0"},
    {"{" X("\"F32\"", "[2]", "[0,8]") "," Y "[4,8]}}", VDIT_ERR_FORMAT, "(an overlap)"},
    {"{" X("\"F32\"", "[2]", "[0,8]") "," Y "[0,4]}}", VDIT_ERR_FORMAT, "(an overlap)"},
    {"{" X("\"U8\"", "[2]", "[0,2]") "," Y "[4,8]}}", VDIT_ERR_FORMAT, "\"y\": data begins at 4"},
    {"{" X("\"U8\"", "[0]", "[1,1]") "," Y "[0,4]}}", VDIT_ERR_FORMAT, "(an overlap)"},
    {"{" X("\"U8\"", "[8]", "[0,8]") "," X("\"U8\"", "[8]", "[0,8]") "}", VDIT_ERR_FORMAT,
     "duplicate object key"},
    {"{\"x\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}",
     VDIT_ERR_FORMAT, "duplicate object key"},
    {"{\"x\\u0000y\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}", VDIT_ERR_FORMAT,
     "not JSON"},
    {"{\"x\xff\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}", VDIT_ERR_FORMAT,
     "unable to decode byte 0xff"},
    {"{\"__metadata__\":[]," X("\"F32\"", "[2]", "[0,8]") "}", VDIT_ERR_FORMAT,
     "object of strings"},
    {"{\"__metadata__\":{\"n\":1}," X("\"F32\"", "[2]", "[0,8]") "}", VDIT_ERR_FORMAT,
     "__metadata__ \"n\": expected a string"},
};

static void hostile_headers_are_refused(void **state)
{
    vdit_file *file;

    put_safetensors("a", "{" X("\"F32\"", "[2]", "[0,8]") "}  ", 8); /* the right one is taken */
    assert_int_equal(vdit_file_open(*state, &file, "a"), VDIT_OK);
    vdit_file_close(file);
    for (size_t i = 0; i < COUNT_OF(hostile); i++) {
        put_safetensors("a", hostile[i].header, 8);
        assert_refused(*state, "a", hostile[i].status, hostile[i].text);
    }
}

static void deep_json_is_refused(void **state)
{
    enum { DEPTH = 100000 };
    char *header = malloc(DEPTH + 7);

    assert_non_null(header);
    memcpy(header, "{\"x\":", 5);
    memset(header + 5, '[', DEPTH);
    header[5 + DEPTH] = '\0';
    put_safetensors("a", header, 0);
    free(header);
    assert_refused(*state, "a", VDIT_ERR_FORMAT, "not JSON: maximum parsing depth reached");
}

static void header_lengths_are_checked_against_the_file(void **state)
{
    static const struct {
        unsigned char length[8];
        vdit_status status;
        const char *text;
    } cases[] = {
        {{9, 0, 0, 0, 0, 0, 0, 0}, VDIT_ERR_FORMAT, "9 bytes at offset 8, expected at most 8"},
        {{255, 255, 255, 255, 255, 255, 255, 255},
         VDIT_ERR_FORMAT,
         "header of 18446744073709551615"},
        {{0, 0, 0, 0, 0, 0, 0, 128}, VDIT_ERR_FORMAT, "header of 9223372036854775808"},
        {{8, 0, 0, 0, 1, 0, 0, 0}, VDIT_ERR_FORMAT, "header of 4294967304"},
        {{0, 0, 0, 0, 0, 0, 0, 0}, VDIT_ERR_FORMAT, "offset 8: expected a header"},
        {{1, 0, 0, 0, 0, 0, 0, 0}, VDIT_ERR_FORMAT, "offset 8: expected a header"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        unsigned char bytes[16] = "01234567{}      ";

        memcpy(bytes, cases[i].length, 8);
        put("a", bytes, sizeof bytes);
        assert_refused(*state, "a", cases[i].status, cases[i].text);
    }
}

/* 100,000,001 bytes of header, in a file that is a hole from end to end. */
static void headers_beyond_the_format_s_limit_are_refused(void **state)
{
    static const unsigned char length[9] = {0x01, 0xe1, 0xf5, 0x05, 0, 0, 0, 0, '{'};
    FILE *file = fopen("a", "wb");

    assert_non_null(file);
    fwrite(length, 1, sizeof length, file);
    fseek(file, 100000100, SEEK_SET);
    fputc(' ', file);
    fclose(file);
    assert_refused(*state, "a", VDIT_ERR_LIMIT,
                   "100000001 bytes at offset 8, expected at most 100000000");
}

static void bools_are_0_or_1(void **state)
{
    static const char header[] =
        "{\"x\":{\"dtype\":\"BOOL\",\"shape\":[2],\"data_offsets\":[0,2]}}";
    unsigned char *bytes;
    size_t size;

    put_safetensors("a", header, 2);
    bytes = get("a", &size);
    bytes[size - 1] = 2;
    put("a", bytes, size);
    free(bytes);
    assert_refused(*state, "a", VDIT_ERR_FORMAT,
                   "tensor \"x\": byte 1 is 2, expected a bool of 0 or 1");
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    assert_cuts_refused(*state, "good-all.safetensors");
}

static void others_files_that_we_cannot_hold_are_refused(void **state)
{
    assert_refused(*state, fixture("bad-float8.safetensors"), VDIT_ERR_DTYPE,
                   "tensor \"x\": dtype F8_E4M3, expected");
    assert_refused(*state, fixture("bad-rank-9.safetensors"), VDIT_ERR_LIMIT,
                   "9 axes, expected at most 8");
}

static void what_is_no_file_is_refused(void **state)
{
    assert_refused(*state, "none", VDIT_ERR_IO, "cannot open");
    assert_refused(*state, ".", VDIT_ERR_IO, "a folder, expected a regular file");
    assert_refused(*state, "/dev/null", VDIT_ERR_IO, "expected a regular file");
    assert_int_equal(mkfifo("fifo", 0600), 0); /* and without waiting for a writer */
    assert_refused(*state, "fifo", VDIT_ERR_IO,
                   "a device, pipe or socket, expected a regular file");
    put("a", "", 0);
    assert_refused(*state, "a", VDIT_ERR_FORMAT, "0 bytes, expected a safetensors");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, file_setup, file_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hostile_headers_are_refused),
        TEST(deep_json_is_refused),
        TEST(header_lengths_are_checked_against_the_file),
        TEST(headers_beyond_the_format_s_limit_are_refused),
        TEST(bools_are_0_or_1),
        TEST(a_file_cut_anywhere_is_refused),
        TEST(others_files_that_we_cannot_hold_are_refused),
        TEST(what_is_no_file_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
