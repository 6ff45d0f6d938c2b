/*
 * test_file_memory.c - every allocation of every call fails once: the status says so, nothing leaks
 * (the sanitizers look), and no file is left.
 */
#include "file_support.h"
#include <stdio.h>
#include <stdlib.h>
#include "file/json.h"

/* A call that needs memory. It leaves at most the file "a". */
typedef void call(vdit_run *run);

static void open_and_close(vdit_run *run, const char *name)
{
    vdit_file *file = NULL;

    if (vdit_file_open(run, &file, fixture(name)) == VDIT_OK)
        vdit_file_close(file);
    else
        assert_null(file);
}

static void open_safetensors(vdit_run *run)
{
    open_and_close(run, "good-all.safetensors");
}

static void open_index(vdit_run *run)
{
    open_and_close(run, "good-shard.safetensors.index.json");
}

static void open_npy(vdit_run *run)
{
    open_and_close(run, "good-big-f4.npy");
}

static void open_npz(vdit_run *run)
{
    open_and_close(run, "good-deflated.npz");
}

static void pick(vdit_run *run)
{
    vdit_tensor tensor;
    vdit_file *file;
    char spec[4200];

    snprintf(spec, sizeof spec, "%s:bf16", fixture("good-all.safetensors"));
    if (vdit_file_pick(run, &file, &tensor, spec) == VDIT_OK)
        vdit_file_close(file);
}

static const unsigned char zeros[64];

static vdit_tensor of_zeros(void)
{
    static const size_t shape[2] = {2, 4};

    return vdit_tensor_view((void *)(uintptr_t)zeros, VDIT_F32, 2, shape);
}

static void write_safetensors(vdit_run *run)
{
    const vdit_named tensors[2] = {{"x", of_zeros()}, {"y", of_zeros()}};
    const vdit_meta meta = {"key", "value"};

    vdit_safetensors_write(run, "a", tensors, 2, &meta, 1);
}

static void write_npy(vdit_run *run)
{
    const vdit_tensor x = of_zeros();

    vdit_npy_write(run, "a", &x);
}

static void write_npz(vdit_run *run)
{
    const vdit_named tensors[2] = {{"x", of_zeros()}, {"y", of_zeros()}};

    vdit_npz_write(run, "a", tensors, 2, 1);
}

static void write_bytes(vdit_run *run)
{
    vdit_bytes_write(run, "a", zeros, sizeof zeros);
}

static call *const calls[] = {open_safetensors,  open_index, open_npy,  open_npz,   pick,
                              write_safetensors, write_npy,  write_npz, write_bytes};

/* One call, some of whose allocations may fail. Returns: its status. */
static vdit_status attempt(call *function, vdit_run *run)
{
    vdit_status status;

    function(run);
    status = vdit_run_status(run);
    if (status != VDIT_OK)
        assert_files(0);
    assert_int_equal(vdit_run_mark(run), 0); /* nothing stays in the run */
    remove("a");
    return status;
}

static void every_allocation_of_the_run_may_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        vdit_status status = VDIT_ERR_MEMORY;
        size_t granted;

        for (granted = 0; status != VDIT_OK; granted++) {
            vdit_run *run = vdit_run_new();
            size_t left = granted;

            vdit_run_set_allocator(run, give_some, &left);
            status = attempt(calls[i], run);
            if (status != VDIT_OK && status != VDIT_ERR_MEMORY)
                fail_msg("%s: %s", vdit_status_name(status), vdit_run_message(run));
            vdit_run_free(run);
        }
        assert_true(granted > 1); /* it does allocate through the run */
    }
}

/* jansson's allocations: how many are granted yet, and how many were not. */
static size_t json_left, json_refused;

static void *give_json(size_t size)
{
    json_refused += json_left == 0;
    return give_some(&json_left, size);
}

/* What jansson cannot scan for lack of memory it may call a syntax error; it must not succeed. */
static void every_allocation_of_jansson_may_fail(void **state)
{
    static call *const json_calls[] = {open_safetensors, open_index, pick, write_safetensors};

    (void)state;
    json_set_alloc_funcs(give_json, free);
    for (size_t i = 0; i < COUNT_OF(json_calls); i++) {
        vdit_status status = VDIT_ERR_MEMORY;

        for (size_t granted = 0; status != VDIT_OK; granted++) {
            vdit_run *run = vdit_run_new();

            json_left = granted;
            json_refused = 0;
            status = attempt(json_calls[i], run);
            assert_int_equal(status == VDIT_OK, json_refused == 0);
            vdit_run_free(run);
        }
    }
    json_set_alloc_funcs(malloc, free);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, file_setup, file_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_allocation_of_the_run_may_fail),
        TEST(every_allocation_of_jansson_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
