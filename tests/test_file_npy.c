/* test_file_npy.c - npy files: NumPy's, ours, and hostile ones. */
#include "file_support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static vdit_tensor read_only_tensor(vdit_run *run, vdit_file **file, const char *path)
{
    if (vdit_file_open(run, file, path) != VDIT_OK)
        fail_msg("%s", vdit_run_message(run));
    assert_int_equal(vdit_file_count(*file), 1);
    assert_string_equal(vdit_file_name(*file, 0), "");
    return *vdit_file_tensor(*file, 0);
}

static const struct {
    const char *name;
    vdit_dtype dtype;
    int rank;
    size_t shape[3];
} numpys[] = {
    {"good-little-f8.npy", VDIT_F64, 3, {2, 3, 4}},  {"good-little-f4.npy", VDIT_F32, 3, {2, 3, 4}},
    {"good-little-f2.npy", VDIT_F16, 3, {2, 3, 4}},  {"good-little-i8.npy", VDIT_I64, 3, {2, 3, 4}},
    {"good-little-i4.npy", VDIT_I32, 3, {2, 3, 4}},  {"good-little-u1.npy", VDIT_U8, 3, {2, 3, 4}},
    {"good-little-b1.npy", VDIT_BOOL, 3, {2, 3, 4}}, {"good-rank-0.npy", VDIT_F64, 0, {0}},
    {"good-rank-1.npy", VDIT_F32, 1, {5}},           {"good-empty.npy", VDIT_F32, 2, {0, 3}},
    {"good-big-f8.npy", VDIT_F64, 3, {2, 3, 4}},     {"good-big-f4.npy", VDIT_F32, 3, {2, 3, 4}},
    {"good-big-f2.npy", VDIT_F16, 3, {2, 3, 4}},     {"good-big-i8.npy", VDIT_I64, 3, {2, 3, 4}},
    {"good-big-i4.npy", VDIT_I32, 3, {2, 3, 4}},     {"good-fortran.npy", VDIT_F32, 3, {2, 3, 4}},
    {"good-fortran-big.npy", VDIT_I32, 2, {3, 2}},   {"good-version-2.npy", VDIT_F32, 2, {2, 3}},
    {"good-version-3.npy", VDIT_F32, 2, {2, 3}},
};

static void what_numpy_wrote_is_read(void **state)
{
    for (size_t i = 0; i < COUNT_OF(numpys); i++) {
        vdit_file *file;
        vdit_tensor t = read_only_tensor(*state, &file, fixture(numpys[i].name));

        assert_int_equal(t.dtype, numpys[i].dtype);
        assert_int_equal(t.rank, numpys[i].rank);
        for (int axis = 0; axis < t.rank; axis++)
            assert_int_equal(t.shape[axis], numpys[i].shape[axis]);
        assert_fixture_values(&t);
        vdit_file_close(file);
    }
}

/* The little-endian ones in C order, version 1.0: the first ten above. */
static void what_numpy_wrote_is_matched_byte_for_byte(void **state)
{
    for (size_t i = 0; i < 10; i++) {
        vdit_file *file;
        vdit_tensor t = read_only_tensor(*state, &file, fixture(numpys[i].name));

        assert_int_equal(vdit_npy_write(*state, "a.npy", &t), VDIT_OK);
        vdit_file_close(file);
        assert_same_bytes("a.npy", fixture(numpys[i].name));
    }
}

static void fortran_order_is_a_matter_of_strides(void **state)
{
    static const ptrdiff_t strides[3] = {1, 2, 6};
    vdit_file *file;
    vdit_tensor t = read_only_tensor(*state, &file, fixture("good-fortran.npy"));

    assert_memory_equal(t.stride, strides, sizeof strides);
    assert_int_equal(vdit_npy_write(*state, "a.npy", &t), VDIT_OK);
    vdit_file_close(file);
    assert_same_bytes("a.npy", fixture("good-little-f4.npy"));
}

static void extents_of_every_width_fit_the_header(void **state)
{
    static const size_t wide[8] = {0, PTRDIFF_MAX / 16, 1, 1, 1, 1, 1, 1};
    size_t shape[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    vdit_tensor t = vdit_tensor_view(shape, VDIT_U8, 8, wide);
    vdit_file *file;

    assert_int_equal(vdit_npy_write(*state, "a.npy", &t), VDIT_OK);
    t = read_only_tensor(*state, &file, "a.npy");
    assert_memory_equal(t.shape, wide, sizeof wide);
    vdit_file_close(file);
    for (shape[0] = 1; shape[0] < 1000000; shape[0] *= 10) { /* 64 bytes at each place of padding */
        for (int rank = 1; rank <= 8; rank++) {
            unsigned char *bytes = calloc(shape[0], 1);

            assert_non_null(bytes);
            t = vdit_tensor_view(bytes, VDIT_U8, rank, shape);
            assert_int_equal(vdit_npy_write(*state, "a.npy", &t), VDIT_OK);
            t = read_only_tensor(*state, &file, "a.npy");
            assert_int_equal((uintptr_t)t.data % 64, 0);
            vdit_file_close(file);
            free(bytes);
        }
    }
}

static void bf16_has_no_npy(void **state)
{
    static const size_t shape[1] = {2};
    vdit_tensor t = make_tensor(*state, VDIT_BF16, 1, shape);

    vdit_npy_write(*state, "a.npy", &t);
    assert_failure(*state, VDIT_ERR_DTYPE, "a.npy", "npy has no bf16, expected another type");
    assert_files(0);
}

/* Writes an npy file of that version and dictionary, and data of size zero bytes. */
static void put_npy(const char *path, int version, const char *text, size_t size)
{
    size_t length = strlen(text), start = version == 1 ? 10 : 12;
    unsigned char *bytes = calloc(1, start + length + size);

    assert_non_null(bytes);
    memcpy(bytes, "\x93NUMPY", 6);
    bytes[6] = (unsigned char)version;
    for (size_t i = 8; i < start; i++)
        bytes[i] = (unsigned char)(length >> 8 * (i - 8));
    memcpy(bytes + start, text, length);
    put(path, bytes, start + length + size);
    free(bytes);
}

#define D "'descr': '<f4', "
#define F "'fortran_order': False, "
#define S "'shape': (2,), "

static void dictionaries_of_any_form_are_read(void **state)
{
    static const char *const good[] = {
        "{" D F S "}\n",
        "{" S D F "}",
        "{" F S D "}   \n",
        "{\"descr\":\"<f4\",\"fortran_order\":False,\"shape\":(2,)}",
        " { 'descr' : '<f4' , 'fortran_order' : True , 'shape' : ( 2 , ) } \n",
        "{" D F "'shape': (2L,), }", /* Python 2 */
        "{" D F "'shape': (1, 2), }",
        "{" D F "'shape': (1, 2,), }",
        "{'descr': '>f4', " F S "}",
    };

    for (size_t i = 0; i < COUNT_OF(good); i++)
        for (int version = 1; version <= 3; version++) {
            vdit_file *file;

            put_npy("a", version, good[i], 8);
            assert_int_equal(read_only_tensor(*state, &file, "a").dtype, VDIT_F32);
            assert_int_equal(vdit_tensor_count(vdit_file_tensor(file, 0)), 2);
            vdit_file_close(file);
        }
}

static void hostile_headers_are_refused(void **state)
{
    static const struct {
        const char *text;
        vdit_status status;
        const char *expected;
    } cases[] = {
        {"", VDIT_ERR_FORMAT, "offset 10: expected a dictionary"},
        {"\n", VDIT_ERR_FORMAT, "offset 11: expected a dictionary"},
        {"{}", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{" D F "}", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{" D S "}", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{" F S "}", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{" D F S, VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{" D F S "} x", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{" D F S S "}", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{" D D F S "}", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{" D F F S "}", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{" D F S "'more': 3}", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{'a key longer than any': 3," D F S "}", VDIT_ERR_FORMAT,
         "offset 27: expected a dictionary"},
        {"{'descr': '<f4' 'fortran_order': False, " S "}", VDIT_ERR_FORMAT,
         "expected a dictionary"},
        {"{'descr', " F S "}", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{'descr': \"<f4', " F S "}", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{'descr': '<f\\x34', " F S "}", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{'descr': [('a', '<f4')], " F S "}", VDIT_ERR_FORMAT, "'descr' (a plain type)"},
        {"{'descr': '', " F S "}", VDIT_ERR_DTYPE, "npy type '', expected f8"},
        {"{'descr': '<f3', " F S "}", VDIT_ERR_DTYPE, "npy type '<f3'"},
        {"{'descr': '|f4', " F S "}", VDIT_ERR_DTYPE, "npy type '|f4'"},
        {"{'descr': '=f4', " F S "}", VDIT_ERR_DTYPE, "npy type '=f4'"},
        {"{'descr': '<V2', " F S "}", VDIT_ERR_DTYPE, "npy type '<V2'"},
        {"{" D "'fortran_order': 1, " S "}", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{" D "'fortran_order': Falsehood, " S "}", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{" D F "'shape': 2}", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{" D F "'shape': (2)}", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{" D F "'shape': (-2,)}", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{" D F "'shape': (2.0,)}", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{" D F "'shape': (1 2)}", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{" D F "'shape': (,)}", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{" D F "'shape': (2,", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{" D F "'shape': (1, 1, 1, 1, 1, 1, 1, 1, 2)}", VDIT_ERR_FORMAT, "at most 8 axes"},
        {"{" D F "'shape': (99999999999999999999, 2)}", VDIT_ERR_FORMAT, "expected a dictionary"},
        {"{" D F "'shape': (9223372036854775807, 2)}", VDIT_ERR_LIMIT, "cannot be addressed"},
        {"{" D F "'shape': (4294967296, 4294967296)}", VDIT_ERR_LIMIT, "cannot be addressed"},
        {"{" D F "'shape': (0, 4294967296, 4294967296)}", VDIT_ERR_LIMIT, "cannot be addressed"},
        {"{" D F "'shape': (3,)}", VDIT_ERR_FORMAT, "8 bytes of data at offset 65, expected 12"},
        {"{" D F "'shape': ()}", VDIT_ERR_FORMAT, "8 bytes of data at offset 63, expected 4"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (sizeof(size_t) < 8 && cases[i].status == VDIT_ERR_LIMIT)
            continue; /* the first extent alone is too large there, and the parser says so */
        put_npy("a", 1, cases[i].text, 8);
        assert_refused(*state, "a", cases[i].status, cases[i].expected);
    }
}

static void lengths_and_versions_are_checked(void **state)
{
    static const struct {
        const char *bytes;
        vdit_status status;
        const char *text;
    } cases[] = {
        {"\x93NUMPY\1\0\x76\0    ", VDIT_ERR_FORMAT,
         "14 bytes, expected a header up to offset 128"},
        {"\x93NUMPY\2\0\2\0\0\1    ", VDIT_ERR_LIMIT, "header of 16777218 bytes, expected at most"},
        {"\x93NUMPY\2\0\3\0\0\0{}", VDIT_ERR_FORMAT, "14 bytes, expected a header up to offset 15"},
        {"\x93NUMPY\0\0\2\0\0\0{}", VDIT_ERR_FORMAT, "offset 6: npy version 0.0"},
        {"\x93NUMPY\4\0\2\0\0\0{}", VDIT_ERR_FORMAT, "offset 6: npy version 4.0"},
        {"\x93NUMPY\1\1\2\0\0\0{}", VDIT_ERR_FORMAT, "offset 6: npy version 1.1"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        put("a", cases[i].bytes, 14);
        assert_refused(*state, "a", cases[i].status, cases[i].text);
    }
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    assert_cuts_refused(*state, "good-little-f4.npy");
    assert_cuts_refused(*state, "good-version-2.npy");
    assert_cuts_refused(*state, "good-fortran-big.npy");
}

static void others_arrays_that_we_cannot_hold_are_refused(void **state)
{
    assert_refused(*state, fixture("bad-structured.npy"), VDIT_ERR_FORMAT,
                   "'descr' (a plain type)");
    assert_refused(*state, fixture("bad-text.npy"), VDIT_ERR_DTYPE, "npy type '<U1'");
    assert_refused(*state, fixture("bad-object.npy"), VDIT_ERR_DTYPE, "npy type '|O'");
    assert_refused(*state, fixture("bad-complex.npy"), VDIT_ERR_DTYPE, "npy type '<c16'");
    assert_refused(*state, fixture("bad-int16.npy"), VDIT_ERR_DTYPE, "npy type '<i2'");
    assert_refused(*state, fixture("bad-rank-9.npy"), VDIT_ERR_FORMAT, "at most 8 axes");
}

static void bools_are_0_or_1(void **state)
{
    static const char text[] = "{'descr': '|b1', " F "'shape': (2,), }";
    unsigned char *bytes;
    size_t size;

    put_npy("a", 1, text, 2);
    bytes = get("a", &size);
    bytes[size - 2] = 255;
    put("a", bytes, size);
    free(bytes);
    assert_refused(*state, "a", VDIT_ERR_FORMAT, "byte 0 is 255, expected a bool of 0 or 1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, file_setup, file_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_numpy_wrote_is_read),
        TEST(what_numpy_wrote_is_matched_byte_for_byte),
        TEST(fortran_order_is_a_matter_of_strides),
        TEST(extents_of_every_width_fit_the_header),
        TEST(bf16_has_no_npy),
        TEST(dictionaries_of_any_form_are_read),
        TEST(hostile_headers_are_refused),
        TEST(lengths_and_versions_are_checked),
        TEST(a_file_cut_anywhere_is_refused),
        TEST(others_arrays_that_we_cannot_hold_are_refused),
        TEST(bools_are_0_or_1),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
