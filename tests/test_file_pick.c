/* test_file_pick.c - FILE and FILE:NAME. */
#include "file_support.h"
#include <stdio.h>
#include <string.h>

static void write_names(vdit_run *run, const char *path, const char *const *names, size_t count)
{
    static const size_t shape[2] = {2, 3};
    vdit_named tensors[20];

    for (size_t i = 0; i < count; i++)
        tensors[i] = (vdit_named){names[i], make_tensor(run, VDIT_F32, 2, shape)};
    tensors[0].tensor = make_tensor(run, VDIT_I32, 1, shape);
    assert_int_equal(vdit_safetensors_write(run, path, tensors, count, NULL, 0), VDIT_OK);
}

static void assert_picked(vdit_run *run, const char *spec, vdit_dtype dtype)
{
    vdit_file *file;
    vdit_tensor tensor;

    if (vdit_file_pick(run, &file, &tensor, spec) != VDIT_OK)
        fail_msg("%s", vdit_run_message(run));
    assert_int_equal(tensor.dtype, dtype);
    assert_fixture_values(&tensor);
    vdit_file_close(file);
}

static void assert_not_picked(vdit_run *run, const char *spec, vdit_status status, const char *path,
                              const char *text)
{
    vdit_file *untouched = (vdit_file *)run, *file = untouched;
    vdit_tensor tensor = {VDIT_U8, 7, {0}, {0}, NULL};

    vdit_file_pick(run, &file, &tensor, spec);
    assert_failure(run, status, path, text);
    assert_ptr_equal(file, untouched);
    assert_int_equal(tensor.rank, 7);
}

static void a_tensor_is_picked_by_name_or_for_being_the_only_one(void **state)
{
    static const char *const names[] = {"q", "k:0", ""};

    write_names(*state, "one", names, 1);
    write_names(*state, "three", names, 3);
    assert_picked(*state, "one", VDIT_I32);
    assert_picked(*state, "one:q", VDIT_I32);
    assert_picked(*state, "three:q", VDIT_I32);
    assert_picked(*state, "three:", VDIT_F32); /* the empty name */
    assert_picked(*state, fixture("good-little-f2.npy"), VDIT_F16);
}

/* The last colon is the one that counts, unless the whole is a path. */
static void a_path_that_exists_wins_over_a_name(void **state)
{
    static const char *const names[] = {"q", "k"};

    write_names(*state, "a:q", names + 1, 1);
    assert_picked(*state, "a:q", VDIT_I32);
    write_names(*state, "a", names, 2);
    assert_picked(*state, "a:q", VDIT_I32);
    assert_not_picked(*state, "a:q:q", VDIT_ERR_ARGUMENT, "a:q",
                      "no tensor \"q\", expected one of \"k\"");
    assert_picked(*state, "a:k", VDIT_F32);
}

static void a_wrong_choice_is_told_what_there_is(void **state)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g",
                                        "h", "i", "j", "k", "l", "m"};

    write_names(*state, "two", names, 2);
    write_names(*state, "many", names, 13);
    put_safetensors("none", "{}", 0);
    assert_not_picked(
        *state, "two", VDIT_ERR_ARGUMENT, "two",
        "holds 2 tensors, expected FILE:NAME with one of \"a\" i32 [2], \"b\" f32 [2, 3]");
    assert_not_picked(*state, "two:c", VDIT_ERR_ARGUMENT, "two",
                      "no tensor \"c\", expected one of \"a\" i32 [2], \"b\" f32 [2, 3]");
    assert_not_picked(*state, "many", VDIT_ERR_ARGUMENT, "many", "\"l\" f32 [2, 3], ...");
    assert_not_picked(*state, "none", VDIT_ERR_ARGUMENT, "none", "holds no tensor");
    assert_not_picked(*state, "none:a", VDIT_ERR_ARGUMENT, "none", "holds no tensor");
    assert_not_picked(*state, "absent:a", VDIT_ERR_IO, "absent: cannot open", "No such file");
    assert_not_picked(*state, "absent", VDIT_ERR_IO, "absent: cannot open", "No such file");
    assert_not_picked(*state, "", VDIT_ERR_IO, "", "cannot open");
}

static void long_names_are_cut_and_control_characters_hidden(void **state)
{
    static char longest[12][900];
    const char *names[12];

    for (int i = 0; i < 12; i++) {
        memset(longest[i], 'a' + i, sizeof longest[i] - 1);
        longest[i][3] = '\n';
        names[i] = longest[i];
    }
    write_names(*state, "a", names, 12);
    assert_not_picked(*state, "a", VDIT_ERR_ARGUMENT, "a", "\"aaa?aaa");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, file_setup, file_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_tensor_is_picked_by_name_or_for_being_the_only_one),
        TEST(a_path_that_exists_wins_over_a_name),
        TEST(a_wrong_choice_is_told_what_there_is),
        TEST(long_names_are_cut_and_control_characters_hidden),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
