/* test_file_write.c - writers put a whole file in place or nothing, and leave nothing beside it. */
#include "config.h"
#include "file_support.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Every writer, with something larger than the limits below. */
typedef vdit_status write_function(vdit_run *run, const char *path, const vdit_named *tensors);

static vdit_status write_safetensors(vdit_run *run, const char *path, const vdit_named *tensors)
{
    return vdit_safetensors_write(run, path, tensors, 1, NULL, 0);
}

static vdit_status write_npy(vdit_run *run, const char *path, const vdit_named *tensors)
{
    return vdit_npy_write(run, path, &tensors->tensor);
}

static vdit_status write_stored(vdit_run *run, const char *path, const vdit_named *tensors)
{
    return vdit_npz_write(run, path, tensors, 1, 0);
}

static vdit_status write_deflated(vdit_run *run, const char *path, const vdit_named *tensors)
{
    return vdit_npz_write(run, path, tensors, 1, 1);
}

static vdit_status write_bytes(vdit_run *run, const char *path, const vdit_named *tensors)
{
    return vdit_bytes_write(run, path, tensors->tensor.data, vdit_tensor_count(&tensors->tensor));
}

static write_function *const writers[] = {write_safetensors, write_npy, write_bytes, write_stored,
                                          write_deflated};

/* The first writers write bytes in order, the others need a file that they can go back in. */
#define SEQUENTIAL 3

/* A tensor that deflate cannot make small. */
static vdit_named make_noise(vdit_run *run)
{
    static const size_t shape[1] = {300000};
    vdit_named named = {"x", {VDIT_U8, 0, {0}, {0}, NULL}};
    uint32_t word = 1;

    assert_int_equal(vdit_tensor_new(run, &named.tensor, VDIT_U8, 1, shape), VDIT_OK);
    for (size_t i = 0; i < shape[0]; i++) {
        word = word * 1664525 + 1013904223; /* a linear congruential generator's high byte */
        ((unsigned char *)named.tensor.data)[i] = (unsigned char)(word >> 24);
    }
    return named;
}

static void assert_old(const char *path)
{
    size_t size;
    unsigned char *bytes = get(path, &size);

    assert_int_equal(size, 3);
    assert_memory_equal(bytes, "old", 3);
    free(bytes);
}

static void an_existing_file_is_replaced(void **state)
{
    vdit_named noise = make_noise(*state);

    for (size_t i = 0; i < COUNT_OF(writers); i++) {
        size_t size;

        put("a", "old", 3);
        assert_int_equal(writers[i](*state, "a", &noise), VDIT_OK);
        free(get("a", &size));
        assert_in_range(size, 300000, 302000);
        assert_files(1);
    }
}

/* A disk that is full after 100,000 bytes, as far as this process can tell. */
static void a_full_disk_leaves_the_old_file_and_no_other(void **state)
{
    struct rlimit limit, small;
    vdit_named noise = make_noise(*state);

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 100000;
    signal(SIGXFSZ, SIG_IGN);
    for (size_t i = 0; i < COUNT_OF(writers); i++)
        for (int existing = 0; existing < 2; existing++) {
            if (existing)
                put("a", "old", 3);
            assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
            writers[i](*state, "a", &noise);
            assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
            assert_failure(*state, VDIT_ERR_IO, "a", "cannot write");
            assert_files(existing);
            if (existing) {
                assert_old("a");
                remove("a");
            }
        }
    signal(SIGXFSZ, SIG_DFL);
}

static void a_full_device_is_an_error(void **state)
{
    vdit_named noise = make_noise(*state);

    if (access("/dev/full", W_OK) != 0)
        return; /* not every system has one */
    give_up_rights();
    for (size_t i = 0; i < SEQUENTIAL; i++) {
        writers[i](*state, "/dev/full", &noise);
        assert_failure(*state, VDIT_ERR_IO, "/dev/full", "cannot write");
    }
    for (size_t i = SEQUENTIAL; i < COUNT_OF(writers); i++) {
        writers[i](*state, "/dev/full", &noise);
        assert_failure(*state, VDIT_ERR_UNSUPPORTED, "/dev/full", "expected a regular file");
    }
    take_back_rights();
}

static void a_device_is_written_to_and_stays(void **state)
{
    vdit_named noise = make_noise(*state);
    struct stat facts;

    give_up_rights();
    for (size_t i = 0; i < SEQUENTIAL; i++)
        assert_int_equal(writers[i](*state, "/dev/null", &noise), VDIT_OK);
    take_back_rights();
    assert_int_equal(stat("/dev/null", &facts), 0);
    assert_true(S_ISCHR(facts.st_mode));
}

static void what_cannot_be_created_is_an_error(void **state)
{
    vdit_named noise = make_noise(*state);
    char longest[300];

    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    put("file", "old", 3);
    for (size_t i = 0; i < COUNT_OF(writers); i++) {
        writers[i](*state, "none/a", &noise);
        assert_failure(*state, VDIT_ERR_IO, "none/a", "cannot create: No such file");
        writers[i](*state, "file/a", &noise);
        assert_failure(*state, VDIT_ERR_IO, "file/a", "cannot create: Not a directory");
        writers[i](*state, longest, &noise);
        assert_failure(*state, VDIT_ERR_IO, longest, "cannot put in place: File name too long");
        if (i < SEQUENTIAL) {
            writers[i](*state, ".", &noise);
            assert_failure(*state, VDIT_ERR_IO, ".", "cannot create: Is a directory");
        }
        assert_files(1);
    }
    assert_old("file");
}

static void a_folder_without_permission_is_an_error(void **state)
{
    vdit_named noise = make_noise(*state);

    assert_int_equal(chmod(".", 0500), 0);
    give_up_rights();
    for (size_t i = 0; i < COUNT_OF(writers); i++) {
        writers[i](*state, "a", &noise);
        assert_failure(*state, VDIT_ERR_IO, "a", "cannot create: Permission denied");
    }
    take_back_rights();
    assert_int_equal(chmod(".", 0700), 0);
    assert_files(0);
}

static void permissions_are_those_of_any_new_file(void **state)
{
    mode_t mask = umask(0027);
    vdit_named noise = make_noise(*state);

    for (size_t i = 0; i < COUNT_OF(writers); i++) {
        struct stat facts;

        assert_int_equal(writers[i](*state, "a", &noise), VDIT_OK);
        assert_int_equal(stat("a", &facts), 0);
        assert_int_equal(facts.st_mode & 0777, 0640);
        remove("a");
    }
    umask(mask);
}

static void a_link_stays_and_its_target_is_replaced(void **state)
{
    vdit_named noise = make_noise(*state);

    assert_int_equal(symlink("target", "a"), 0);
    for (size_t i = 0; i < COUNT_OF(writers); i++) {
        struct stat facts;

        put("target", "old", 3);
        assert_int_equal(writers[i](*state, "a", &noise), VDIT_OK);
        assert_int_equal(lstat("a", &facts), 0);
        assert_true(S_ISLNK(facts.st_mode));
        assert_int_equal(stat("target", &facts), 0);
        assert_in_range(facts.st_size, 300000, 302000);
        assert_files(2);
    }
}

/* A temporary that a crash left behind is in nobody's way. */
static void names_of_temporaries_that_are_taken_are_passed_over(void **state)
{
    vdit_named noise = make_noise(*state);
    char name[64];

    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, ".vdit-%ld-%d.tmp", (long)getpid(), i);
        put(name, "old", 3);
    }
    for (size_t i = 0; i < COUNT_OF(writers); i++)
        assert_int_equal(writers[i](*state, "a", &noise), VDIT_OK);
    assert_files(4);
    assert_old(name);
}

static void a_failed_run_writes_nothing(void **state)
{
    vdit_named noise = make_noise(*state);

    vdit_run_fail(*state, VDIT_ERR_SHAPE, "before");
    for (size_t i = 0; i < COUNT_OF(writers); i++)
        assert_int_equal(writers[i](*state, "a", &noise), VDIT_ERR_SHAPE);
    assert_int_equal(vdit_file_write(*state, "a.npy", &noise, 1), VDIT_ERR_SHAPE);
    assert_files(0);
}

static void the_suffix_chooses_the_format(void **state)
{
    static const struct {
        const char *path, *magic;
        size_t size;
    } cases[] = {{"a.safetensors", "\x40\0\0\0\0\0\0\0{", 9},
                 {"a.npy", "\x93NUMPY", 6},
                 {"a.npz", "PK\3\4", 4}};
    vdit_named noise = make_noise(*state);

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        unsigned char *bytes;
        size_t size;

        assert_int_equal(vdit_file_write(*state, cases[i].path, &noise, 1), VDIT_OK);
        bytes = get(cases[i].path, &size);
        assert_memory_equal(bytes, cases[i].magic, cases[i].size);
        free(bytes);
    }
    vdit_file_write(*state, "-", &noise, 1);
    assert_failure(*state, VDIT_ERR_ARGUMENT, "-",
                   "expected a name that ends in .safetensors, .npy");
    vdit_file_write(*state, "a.bin", &noise, 1);
    assert_failure(*state, VDIT_ERR_ARGUMENT, "a.bin", "expected a name that ends in");
    vdit_file_write(*state, "b.npy", &noise, 0);
    assert_failure(*state, VDIT_ERR_ARGUMENT, "b.npy", "0 tensors, expected one for npy");
    assert_files(3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, file_setup, file_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_existing_file_is_replaced),
        TEST(a_full_disk_leaves_the_old_file_and_no_other),
        TEST(a_full_device_is_an_error),
        TEST(a_device_is_written_to_and_stays),
        TEST(what_cannot_be_created_is_an_error),
        TEST(a_folder_without_permission_is_an_error),
        TEST(permissions_are_those_of_any_new_file),
        TEST(a_link_stays_and_its_target_is_replaced),
        TEST(names_of_temporaries_that_are_taken_are_passed_over),
        TEST(a_failed_run_writes_nothing),
        TEST(the_suffix_chooses_the_format),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
