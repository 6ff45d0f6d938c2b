/* test_file_safetensors.c - safetensors files, written and read. */
#include "config.h"
#include "file_support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "file/dense.h"
#include "file/sha256.h"

static const struct {
    int rank;
    size_t shape[VDIT_MAX_RANK];
} shapes[] = {
    {0, {0}},       {1, {1}},          {1, {0}},
    {1, {7}},       {2, {3, 2}},       {2, {3, 0}},
    {3, {2, 3, 5}}, {4, {2, 1, 3, 2}}, {8, {1, 2, 1, 3, 1, 1, 2, 1}},
};

static vdit_file *open_file(vdit_run *run, const char *path)
{
    vdit_file *file = NULL;

    if (vdit_file_open(run, &file, path) != VDIT_OK)
        fail_msg("%s", vdit_run_message(run));
    return file;
}

/* The tensor, read or written, has the dtype, shape and elements of another. */
static void assert_same_tensor(const vdit_tensor *a, const vdit_tensor *b)
{
    char digest_a[65], digest_b[65];

    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->rank, b->rank);
    for (int i = 0; i < a->rank; i++)
        assert_int_equal(a->shape[i], b->shape[i]);
    vdit_tensor_sha256(digest_a, a);
    vdit_tensor_sha256(digest_b, b);
    assert_string_equal(digest_a, digest_b);
}

static void every_dtype_and_shape_comes_back(void **state)
{
    static vdit_named tensors[VDIT_DTYPE_COUNT * COUNT_OF(shapes)];
    static char names[COUNT_OF(tensors)][16];
    vdit_run *run = *state;
    vdit_file *file;

    for (size_t i = 0; i < COUNT_OF(tensors); i++) {
        size_t shape = i / VDIT_DTYPE_COUNT;

        snprintf(names[i], sizeof names[i], "t.%zu", i);
        tensors[i].name = names[i];
        tensors[i].tensor = make_tensor(run, (vdit_dtype)(i % VDIT_DTYPE_COUNT), shapes[shape].rank,
                                        shapes[shape].shape);
    }
    assert_int_equal(
        vdit_safetensors_write(run, "a.safetensors", tensors, COUNT_OF(tensors), NULL, 0), VDIT_OK);
    file = open_file(run, "a.safetensors");
    assert_int_equal(vdit_file_count(file), COUNT_OF(tensors));
    for (size_t i = 0; i < COUNT_OF(tensors); i++) {
        assert_string_equal(vdit_file_name(file, i), names[i]);
        assert_ptr_equal(vdit_file_find(file, names[i]), vdit_file_tensor(file, i));
        assert_same_tensor(vdit_file_tensor(file, i), &tensors[i].tensor);
        assert_fixture_values(vdit_file_tensor(file, i));
    }
    assert_null(vdit_file_find(file, "t"));
    vdit_file_close(file);
    assert_files(1);
}

/* Permuted, reversed and broadcast tensors are written in row-major order of what they describe. */
static void strides_are_written_out(void **state)
{
    static const int orders[3][3] = {{0, 2, 1}, {2, 1, 0}, {1, 2, 0}};
    static const size_t shape[3] = {2, 3, 5};
    vdit_run *run = *state;
    vdit_named named = {"x", {VDIT_F64, 0, {0}, {0}, NULL}};
    vdit_file *file;

    for (int i = 0; i < VDIT_DTYPE_COUNT * 5; i++) {
        vdit_tensor dense = make_tensor(run, (vdit_dtype)(i % VDIT_DTYPE_COUNT), 3, shape), packed;
        int view = i / VDIT_DTYPE_COUNT;

        named.tensor = view < 3 ? vdit_tensor_permute(&dense, orders[view]) : dense;
        if (view == 3)
            named.tensor.stride[1] = 0;
        if (view == 4) {
            named.tensor.data =
                (char *)dense.data + vdit_dtype_size(dense.dtype) * (vdit_tensor_count(&dense) - 1);
            for (int axis = 0; axis < 3; axis++)
                named.tensor.stride[axis] *= -1;
        }
        vdit_tensor_new(run, &packed, dense.dtype, 3, named.tensor.shape);
        vdit_tensor_pack(packed.data, &named.tensor);
        vdit_safetensors_write(run, "a.safetensors", &named, 1, NULL, 0);
        file = open_file(run, "a.safetensors");
        assert_same_tensor(vdit_file_tensor(file, 0), &packed);
        vdit_file_close(file);
    }
}

static void bytes_are_those_of_the_format(void **state)
{
    static const char expected[] = "\x58\0\0\0\0\0\0\0"
                                   "{\"__metadata__\":{\"k\":\"v\\\"\"},"
                                   "\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"
                                   "       "       /* to a multiple of 8 */
                                   "\0\0\x30\xc1"  /* -11 */
                                   "\0\0\x80\xc0"; /* -4 */
    static const size_t shape[1] = {2};
    const vdit_named named = {"x", make_tensor(*state, VDIT_F32, 1, shape)};
    const vdit_meta meta = {"k", "v\""};
    unsigned char *bytes;
    size_t size;

    assert_int_equal(vdit_safetensors_write(*state, "a", &named, 1, &meta, 1), VDIT_OK);
    bytes = get("a", &size);
    assert_int_equal(size, sizeof expected - 1);
    assert_memory_equal(bytes, expected, size);
    free(bytes);
}

/* good-all.safetensors, by the safetensors package, read and written again. */
static void another_writer_is_read_and_matched_byte_for_byte(void **state)
{
    vdit_file *file = open_file(*state, fixture("good-all.safetensors"));
    vdit_meta meta = {"origin", vdit_file_meta(file, "origin")};
    vdit_named tensors[16];
    size_t count = vdit_file_count(file);

    assert_int_equal(count, 11);
    assert_string_equal(meta.value, "safetensors 0.8.0");
    assert_null(vdit_file_meta(file, "Origin"));
    for (size_t i = 0; i < count; i++) {
        vdit_dtype dtype;

        tensors[i] = (vdit_named){vdit_file_name(file, i), *vdit_file_tensor(file, i)};
        if (vdit_dtype_find(&dtype, tensors[i].name))
            assert_int_equal(tensors[i].tensor.dtype, dtype);
        assert_fixture_values(&tensors[i].tensor);
    }
    assert_int_equal(vdit_file_find(file, "rank-0")->rank, 0);
    assert_int_equal(vdit_file_find(file, "rank-8")->shape[3], 3);
    assert_int_equal(vdit_tensor_count(vdit_file_find(file, "empty")), 0);
    assert_int_equal(vdit_safetensors_write(*state, "a", tensors, count, &meta, 1), VDIT_OK);
    vdit_file_close(file);
    assert_same_bytes("a", fixture("good-all.safetensors"));
}

static void an_empty_file_of_tensors_is_one(void **state)
{
    vdit_file *file;

    assert_int_equal(vdit_safetensors_write(*state, "a", NULL, 0, NULL, 0), VDIT_OK);
    file = open_file(*state, "a");
    assert_int_equal(vdit_file_count(file), 0);
    assert_null(vdit_file_find(file, ""));
    assert_null(vdit_file_meta(file, ""));
    vdit_file_close(file);
    vdit_file_close(NULL);
}

/* A header of odd length puts every tensor at an odd address. */
static void unaligned_tensors_are_aligned_copies(void **state)
{
    vdit_named tensors[2];
    static const size_t shape[1] = {3};
    vdit_file *file;

    tensors[0] = (vdit_named){"odd", make_tensor(*state, VDIT_U8, 1, shape)};
    for (int i = 0; i < VDIT_DTYPE_COUNT; i++) {
        const vdit_tensor *read;

        tensors[1] = (vdit_named){"x", make_tensor(*state, (vdit_dtype)i, 1, shape)};
        assert_int_equal(vdit_safetensors_write(*state, "a", tensors, 2, NULL, 0), VDIT_OK);
        file = open_file(*state, "a");
        read = vdit_file_find(file, "x");
        assert_int_equal((uintptr_t)read->data % vdit_dtype_size(read->dtype), 0);
        assert_same_tensor(read, &tensors[1].tensor);
        vdit_file_close(file);
    }
}

/* Whether the page at this address is free: then the system gives it to who asks for it. */
static int is_free(void *page, size_t size)
{
    void *given = mmap(page, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(given != MAP_FAILED);
    munmap(given, size);
    return given == page;
}

static void closing_gives_the_mapping_back(void **state)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    vdit_file *file = open_file(*state, fixture("good-all.safetensors"));
    uintptr_t data = (uintptr_t)vdit_file_find(file, "u8")->data;
    void *page = (void *)(data / size * size);

    assert_false(is_free(page, size));
    vdit_file_close(file);
    assert_true(is_free(page, size));
}

static void a_file_outlives_its_run_and_its_scopes(void **state)
{
    vdit_run *run = vdit_run_new();
    size_t mark = vdit_run_mark(run);
    vdit_file *file = open_file(run, fixture("good-all.safetensors"));

    (void)state;
    vdit_run_release(run, mark);
    vdit_run_free(run);
    assert_fixture_values(vdit_file_find(file, "f32"));
    vdit_file_close(file);
}

static void names_that_cannot_be_written_are_refused(void **state)
{
    static const size_t shape[1] = {1};
    vdit_tensor x = make_tensor(*state, VDIT_F32, 1, shape);
    const struct {
        vdit_named tensors[2];
        vdit_meta meta[2];
        const char *text;
    } cases[] = {
        {{{"a", x}, {"a", x}}, {{"k", "v"}, {"l", "v"}}, "tensor \"a\": given twice"},
        {{{"a", x}, {"b\xff", x}}, {{"k", "v"}, {"l", "v"}}, "tensor \"b\xff\": expected UTF-8"},
        {{{"a", x}, {"__metadata__", x}}, {{"k", "v"}, {"l", "v"}}, "__metadata__"},
        {{{"a", x}, {"b", x}}, {{"k", "v"}, {"k", "v"}}, "metadata \"k\": given twice"},
        {{{"a", x}, {"b", x}}, {{"k", "v"}, {"l", "\xc3"}}, "metadata \"l\": expected UTF-8"},
        {{{"a", x}, {"b", x}}, {{"k", "v"}, {"\x80", "v"}}, "expected UTF-8"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        vdit_safetensors_write(*state, "a", cases[i].tensors, 2, cases[i].meta, 2);
        assert_failure(*state, VDIT_ERR_ARGUMENT, "a", cases[i].text);
        assert_files(0);
    }
}

/* However it is cut into reads, within elements too, the stream of a tensor's bytes is the same. */
static void streams_may_be_read_in_any_pieces(void **state)
{
    static const size_t shape[2] = {3, 2};
    static const int order[2] = {1, 0};

    for (int i = 0; i < VDIT_DTYPE_COUNT; i++)
        for (size_t piece = 1; piece < 50; piece++) {
            vdit_tensor x = make_tensor(*state, (vdit_dtype)i, 2, shape);
            vdit_tensor t = piece % 2 ? x : vdit_tensor_permute(&x, order);
            vdit_dense whole = vdit_dense_start(&t), cut = vdit_dense_start(&t);
            unsigned char expected[64], bytes[128];
            size_t size = vdit_dense_read(&whole, expected, sizeof expected), done = 0, got;

            assert_int_equal(size, 6 * vdit_dtype_size(t.dtype));
            assert_int_equal(vdit_dense_read(&whole, bytes, 1), 0);
            while ((got = vdit_dense_read(&cut, bytes + done, piece)) > 0)
                done += got;
            assert_int_equal(done, size);
            assert_memory_equal(bytes, expected, size);
        }
}

/* FIPS 180-4's examples, and the dense bytes of a tensor as those of its view. */
static void digests_are_those_of_the_standard(void **state)
{
    static const size_t shape[2] = {3, 2};
    static const int order[2] = {1, 0};
    vdit_tensor x = make_tensor(*state, VDIT_BF16, 2, shape), y = vdit_tensor_permute(&x, order), z;
    char text[65], other[65];

    vdit_sha256_hex(text, "abc", 3);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    vdit_sha256_hex(text, "", 0);
    assert_string_equal(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    vdit_tensor_new(*state, &z, VDIT_BF16, 2, y.shape);
    vdit_tensor_pack(z.data, &y);
    vdit_tensor_sha256(text, &y);
    vdit_tensor_sha256(other, &z);
    assert_string_equal(text, other);
    vdit_tensor_sha256(other, &x);
    assert_string_not_equal(text, other);
    vdit_sha256_hex(other, "\x30\xc1\x40\x40\xc0\xc0\x80\xc0\x20\x41\x80\x3f",
                    12); /* little-endian */
    vdit_tensor_sha256(text, &y);
    assert_string_equal(text, other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, file_setup, file_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_dtype_and_shape_comes_back),
        TEST(strides_are_written_out),
        TEST(bytes_are_those_of_the_format),
        TEST(another_writer_is_read_and_matched_byte_for_byte),
        TEST(an_empty_file_of_tensors_is_one),
        TEST(unaligned_tensors_are_aligned_copies),
        TEST(closing_gives_the_mapping_back),
        TEST(a_file_outlives_its_run_and_its_scopes),
        TEST(names_that_cannot_be_written_are_refused),
        TEST(streams_may_be_read_in_any_pieces),
        TEST(digests_are_those_of_the_standard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
