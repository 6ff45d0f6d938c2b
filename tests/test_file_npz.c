/* test_file_npz.c - npz archives: NumPy's, ours, and zip bombs. */
#include "config.h"
#include "file_support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "file/internal.h"

static vdit_file *open_file(vdit_run *run, const char *path)
{
    vdit_file *file = NULL;

    if (vdit_file_open(run, &file, path) != VDIT_OK)
        fail_msg("%s", vdit_run_message(run));
    return file;
}

static const struct {
    const char *name;
    vdit_dtype dtype;
    int rank;
    size_t shape[3];
} entries[] = {
    {"f4", VDIT_F32, 3, {2, 3, 4}},   {"big", VDIT_F64, 1, {3}},        {"b1", VDIT_BOOL, 1, {5}},
    {"fortran", VDIT_I32, 2, {3, 4}}, {"rank-0", VDIT_F32, 0, {0}},     {"empty", VDIT_F16, 1, {0}},
    {"a/folder", VDIT_I64, 1, {2}},   {"caf\xc3\xa9", VDIT_U8, 1, {2}},
};

static void assert_entries(const vdit_file *file)
{
    assert_int_equal(vdit_file_count(file), COUNT_OF(entries));
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        const vdit_tensor *t = vdit_file_tensor(file, i);

        assert_string_equal(vdit_file_name(file, i), entries[i].name);
        assert_int_equal(t->dtype, entries[i].dtype);
        assert_int_equal(t->rank, entries[i].rank);
        for (int axis = 0; axis < t->rank; axis++)
            assert_int_equal(t->shape[axis], entries[i].shape[axis]);
        assert_fixture_values(t);
    }
}

static void what_numpy_wrote_is_read(void **state)
{
    static const char *const names[] = {"good-stored.npz", "good-deflated.npz"};
    vdit_file *file;

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        file = open_file(*state, fixture(names[i]));
        assert_entries(file);
        vdit_file_close(file);
    }
    file = open_file(*state, fixture("good-none.npz"));
    assert_int_equal(vdit_file_count(file), 0);
    vdit_file_close(file);
}

static void arrays_come_back_stored_and_deflated(void **state)
{
    vdit_file *file = open_file(*state, fixture("good-stored.npz"));
    vdit_named tensors[COUNT_OF(entries)];

    for (size_t i = 0; i < COUNT_OF(entries); i++)
        tensors[i] = (vdit_named){vdit_file_name(file, i), *vdit_file_tensor(file, i)};
    for (int deflate = 0; deflate < 2; deflate++) {
        unsigned char *bytes;
        vdit_file *again;
        size_t size;

        assert_int_equal(vdit_npz_write(*state, "a.npz", tensors, COUNT_OF(tensors), deflate),
                         VDIT_OK);
        assert_int_equal(vdit_npz_write(*state, "b.npz", tensors, COUNT_OF(tensors), deflate),
                         VDIT_OK);
        assert_same_bytes("a.npz", "b.npz");
        bytes = get("a.npz", &size);
        assert_memory_equal(bytes + 10, "\0\0\x21\0", 4); /* midnight of 1 January 1980 */
        free(bytes);
        again = open_file(*state, "a.npz");
        assert_entries(again);
        vdit_file_close(again);
        assert_files(2);
    }
    vdit_file_close(file);
}

/* Long enough for many reads by libzip, of every element size, in an order that is not the memory's. */
static void long_strided_arrays_come_back(void **state)
{
    static const size_t shape[2] = {331, 101};
    static const int order[2] = {1, 0};

    for (int i = 0; i < VDIT_DTYPE_COUNT; i++) {
        vdit_run *run = *state;
        size_t mark = vdit_run_mark(run);
        vdit_tensor dense = make_tensor(run, (vdit_dtype)i, 2, shape);
        vdit_named named = {"x", vdit_tensor_permute(&dense, order)};
        vdit_tensor back;
        vdit_file *file;

        if (i == VDIT_BF16)
            continue;
        assert_int_equal(vdit_npz_write(run, "a.npz", &named, 1, 1), VDIT_OK);
        file = open_file(run, "a.npz");
        back = vdit_tensor_permute(vdit_file_tensor(file, 0), order);
        assert_fixture_values(&back);
        vdit_file_close(file);
        vdit_run_release(run, mark);
    }
}

static void deflating_makes_zeros_small(void **state)
{
    static const size_t shape[1] = {1000000};
    vdit_named named = {"x", {VDIT_U8, 0, {0}, {0}, NULL}};
    vdit_file *file;
    size_t size;

    vdit_tensor_new(*state, &named.tensor, VDIT_U8, 1, shape);
    memset(named.tensor.data, 0, shape[0]);
    assert_int_equal(vdit_npz_write(*state, "a.npz", &named, 1, 1), VDIT_OK);
    free(get("a.npz", &size));
    assert_in_range(size, 1, 2000); /* within the ratio that the reader takes */
    file = open_file(*state, "a.npz");
    assert_int_equal(vdit_tensor_count(vdit_file_tensor(file, 0)), shape[0]);
    vdit_file_close(file);
    assert_int_equal(vdit_npz_write(*state, "a.npz", &named, 1, 0), VDIT_OK);
    free(get("a.npz", &size));
    assert_in_range(size, shape[0], shape[0] + 1000);
}

static void an_archive_of_nothing_is_one(void **state)
{
    assert_int_equal(vdit_npz_write(*state, "a.npz", NULL, 0, 0), VDIT_OK);
    assert_same_bytes("a.npz", fixture("good-none.npz"));
}

static void bombs_and_liars_are_refused(void **state)
{
    static const struct {
        const char *name;
        vdit_status status;
        const char *text;
    } cases[] = {
        {"bad-bomb.npz", VDIT_ERR_FORMAT,
         "\"x\": 10000024 bytes of data at offset 128, expected 24"},
        {"bad-goes-on.npz", VDIT_ERR_FORMAT,
         "tensor \"x\": data goes on at offset 152, expected its end"},
        {"bad-ends-early.npz", VDIT_ERR_FORMAT, "tensor \"x\": offset 152: data ends early"},
        {"bad-claims-gigabytes.npz", VDIT_ERR_FORMAT,
         "\"f4\": 4026531840 bytes declared, expected at most"},
        {"bad-claims-more.npz", VDIT_ERR_FORMAT, "97 bytes of data at offset 128, expected 96"},
        {"bad-claims-less.npz", VDIT_ERR_FORMAT, "92 bytes of data at offset 128, expected 96"},
        {"bad-crc.npz", VDIT_ERR_FORMAT, "tensor \"f4\": offset 224: CRC error"},
        {"bad-bzip2.npz", VDIT_ERR_UNSUPPORTED,
         "zip method 12, expected 0 (stored) or 8 (deflated)"},
        {"bad-entry.npz", VDIT_ERR_FORMAT,
         "zip entry \"README\", expected a name that ends in .npy"},
        {"bad-twice.npz", VDIT_ERR_FORMAT, "tensor \"x\": there twice"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_refused(*state, fixture(cases[i].name), cases[i].status, cases[i].text);
}

/* Appends numbers, each of that many bytes, little-endian. */
static void put_numbers(FILE *file, const uint64_t (*numbers)[2], size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (uint64_t byte = 0; byte < numbers[i][1]; byte++)
            fputc((int)(numbers[i][0] >> 8 * byte & 255), file);
}

/*
 * More than the machine's memory, from as many bytes as deflate needs for that at its best: a sparse
 * file, whose one entry has its sizes in a zip64 field (APPNOTE 4.5.3).
 */
static void more_than_the_memory_is_refused_before_it_is_asked_for(void **state)
{
    uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t size = memory + 1, packed = size / 1032 + 1, directory = 34 + packed;
    const uint64_t body[][2] = {{0x04034b50, 4}, {20, 2}, {0, 2}, {8, 2}, {0, 8},
                                {packed, 4},     {0, 4},  {4, 2}, {0, 2}};
    const uint64_t rest[][2] = {{0x02014b50, 4}, {45, 2},         {45, 2},         {0, 2}, {8, 2},
                                {0, 8},          {UINT32_MAX, 4}, {UINT32_MAX, 4}, {4, 2}, {20, 2},
                                {0, 8},          {0, 4},          {0, 2}};
    FILE *file = fopen("a.npz", "wb");
    const uint64_t field[][2] = {{1, 2}, {16, 2}, {size, 8}, {packed, 8}};
    const uint64_t end[][2] = {{0x06054b50, 4}, {0, 4},         {1, 2}, {1, 2},
                               {70, 4},         {directory, 4}, {0, 2}};

    assert_non_null(file);
    put_numbers(file, body, COUNT_OF(body));
    fputs(".npy", file);
    assert_int_equal(fseek(file, (long)directory, SEEK_SET), 0);
    put_numbers(file, rest, COUNT_OF(rest));
    fputs(".npy", file);
    put_numbers(file, field, COUNT_OF(field));
    put_numbers(file, end, COUNT_OF(end));
    fclose(file);
    assert_refused(*state, "a.npz", VDIT_ERR_LIMIT, "expected at most the machine's memory of");
}

/* Two entries of the directory that share one body: together they take more than the file has. */
static void entries_that_overlap_are_refused(void **state)
{
    static const size_t shape[1] = {4096};
    vdit_named named[2] = {{"x", make_tensor(*state, VDIT_U8, 1, shape)},
                           {"y", vdit_tensor_view(NULL, VDIT_U8, 0, NULL)}};
    unsigned char *bytes, one = 1, *first, *second;
    size_t size;

    named[1].tensor.data = &one;
    assert_int_equal(vdit_npz_write(*state, "a.npz", named, 2, 0), VDIT_OK);
    bytes = get("a.npz", &size);
    for (first = bytes; memcmp(first, "PK\1\2", 4) != 0; first++)
        continue;
    for (second = first + 4; memcmp(second, "PK\1\2", 4) != 0; second++)
        continue;
    memcpy(second + 16, first + 16, 12); /* CRC and both sizes */
    memcpy(second + 42, first + 42, 4);  /* place of the body */
    put("a.npz", bytes, size);
    free(bytes);
    assert_refused(*state, "a.npz", VDIT_ERR_FORMAT,
                   "tensor \"y\": 4224 compressed bytes, expected at most 323");
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    put("a", "PK\3\4 and more of no matter", 26);
    assert_refused(*state, "a", VDIT_ERR_FORMAT, "not an npz archive");
    assert_cuts_refused(*state, "good-stored.npz");
    assert_cuts_refused(*state, "good-deflated.npz");
}

/* Flips every bit of a small archive: whatever opens has tensors whose every byte can be read. */
static void a_flipped_bit_does_no_harm(void **state)
{
    static const size_t shape[1] = {3};
    vdit_named named = {"x", make_tensor(*state, VDIT_F32, 1, shape)};
    unsigned char *bytes;
    size_t size;

    assert_int_equal(vdit_npz_write(*state, "a.npz", &named, 1, 1), VDIT_OK);
    bytes = get("a.npz", &size);
    for (size_t i = 0; i < 8 * size; i++) {
        vdit_file *file = NULL;

        bytes[i / 8] ^= (unsigned char)(1 << i % 8);
        if (vdit_file_open_bytes(*state, &file, "a.npz", bytes, size, NULL) == VDIT_OK)
            for (size_t n = 0; n < vdit_file_count(file); n++)
                assert_fixture_values(vdit_file_tensor(file, n)); /* the CRC holds */
        vdit_file_close(file);
        vdit_run_clear(*state);
        bytes[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    free(bytes);
}

static void names_and_types_that_cannot_be_written_are_refused(void **state)
{
    static const size_t shape[1] = {1};
    vdit_tensor x = make_tensor(*state, VDIT_F32, 1, shape),
                b = make_tensor(*state, VDIT_BF16, 1, shape);
    const struct {
        vdit_named tensors[2];
        vdit_status status;
        const char *text;
    } cases[] = {
        {{{"a", x}, {"b", b}}, VDIT_ERR_DTYPE, "tensor \"b\": npy has no bf16"},
        {{{"a", x}, {"a", x}}, VDIT_ERR_ARGUMENT, "tensor \"a\": cannot be put into a zip"},
        {{{"a", x}, {"\xff", x}}, VDIT_ERR_ARGUMENT, "cannot be put into a zip"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        vdit_npz_write(*state, "a.npz", cases[i].tensors, 2, 0);
        assert_failure(*state, cases[i].status, "a.npz", cases[i].text);
        assert_files(0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, file_setup, file_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_numpy_wrote_is_read),
        TEST(arrays_come_back_stored_and_deflated),
        TEST(long_strided_arrays_come_back),
        TEST(deflating_makes_zeros_small),
        TEST(an_archive_of_nothing_is_one),
        TEST(bombs_and_liars_are_refused),
        TEST(more_than_the_memory_is_refused_before_it_is_asked_for),
        TEST(entries_that_overlap_are_refused),
        TEST(a_file_cut_anywhere_is_refused),
        TEST(a_flipped_bit_does_no_harm),
        TEST(names_and_types_that_cannot_be_written_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
