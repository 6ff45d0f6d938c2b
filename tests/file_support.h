/* file_support.h - what the tests of lib/file share: a scratch folder, fixtures, failing memory. */
#ifndef VDIT_TESTS_FILE_SUPPORT_H
#define VDIT_TESTS_FILE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <vdit/file.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* cmocka fixtures: a new run and an empty scratch folder, the working folder of each test. */
int file_setup(void **state);
int file_teardown(void **state);

/*
 * Gives up root's rights until they are taken back, by the teardown at the latest: root may everything,
 * and a broken writer that renames where it should write would replace the machine's devices.
 */
void give_up_rights(void);
void take_back_rights(void);

/* Returns: the path of a file of tests/files, valid until the next call. */
const char *fixture(const char *name);

/* Writes bytes[size] to a file, plainly. */
void put(const char *path, const void *bytes, size_t size);

/* Writes a safetensors file: the header's length, the header, and size zero bytes of data. */
void put_safetensors(const char *path, const char *header, size_t size);

/* Returns: the bytes of a file, to be freed. Out: size. */
unsigned char *get(const char *path, size_t *size);

/* The two files hold the same bytes. */
void assert_same_bytes(const char *a, const char *b);

/* The working folder holds that many files, hidden ones included. */
void assert_files(int count);

/* The run failed with that status and one line that starts with path and holds text. Clears it. */
void assert_failure(vdit_run *run, vdit_status status, const char *path, const char *text);

/* Opening the file is refused so. */
void assert_refused(vdit_run *run, const char *path, vdit_status status, const char *text);

/*
 * A fixture cut anywhere is refused as a format error. Each cut is read from a block of memory that ends
 * where it ends, so that the sanitizers see a read too far.
 */
void assert_cuts_refused(vdit_run *run, const char *name);

/* The integer that element i of every tensor of the fixtures stands for (tests/files/make_files.py). */
double fixture_value(vdit_dtype dtype, size_t i);

/* Every element is as fixture_value says. */
void assert_fixture_values(const vdit_tensor *tensor);

/* A dense tensor in the run's memory with those elements. */
vdit_tensor make_tensor(vdit_run *run, vdit_dtype dtype, int rank, const size_t *shape);

/* An allocator that gives *left times, then no more. */
void *give_some(void *left, size_t size);

#endif
