/* file_support.c - what the tests of lib/file share. */
#include "config.h"
#include "file_support.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "file/internal.h"

void give_up_rights(void)
{
    if (getuid() == 0)
        assert_int_equal(seteuid(65534), 0); /* nobody */
}

void take_back_rights(void)
{
    if (getuid() == 0)
        assert_int_equal(seteuid(0), 0);
}

static char scratch[4096], start[2048];

int file_setup(void **state)
{
    scratch[0] = '\0';
    *state = vdit_run_new();
    if (*state == NULL || getcwd(start, sizeof start) == NULL)
        return -1;
    snprintf(scratch, sizeof scratch, "%s/test-file-XXXXXX", start);
    if (mkdtemp(scratch) == NULL) {
        scratch[0] = '\0';
        return -1;
    }
    return chdir(scratch);
}

/* Removes the scratch folder with the files in it, and nothing else, whatever went wrong before. */
int file_teardown(void **state)
{
    struct dirent *entry;
    char path[8192];
    DIR *folder;

    take_back_rights();
    folder = scratch[0] != '\0' ? opendir(scratch) : NULL;
    vdit_run_free(*state);
    if (folder == NULL)
        return -1;
    while ((entry = readdir(folder)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", scratch, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove(path);
    }
    closedir(folder);
    return chdir(start) == 0 && rmdir(scratch) == 0 ? 0 : -1;
}

const char *fixture(const char *name)
{
    static char path[4096];
    const char *source = getenv("srcdir");

    assert_non_null(source);
    snprintf(path, sizeof path, "%s/tests/files/%s", source, name);
    return path;
}

void put(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

void put_safetensors(const char *path, const char *header, size_t size)
{
    size_t length = strlen(header);
    unsigned char *bytes = calloc(1, 8 + length + size);

    assert_non_null(bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)((uint64_t)length >> 8 * i);
    memcpy(bytes + 8, header, length);
    put(path, bytes, 8 + length + size);
    free(bytes);
}

unsigned char *get(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    unsigned char *bytes;
    long length;

    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    length = ftell(file);
    rewind(file);
    bytes = malloc((size_t)length + 1);
    assert_non_null(bytes);
    *size = fread(bytes, 1, (size_t)length, file);
    assert_int_equal(*size, length);
    fclose(file);
    return bytes;
}

void assert_same_bytes(const char *a, const char *b)
{
    size_t size_a, size_b;
    unsigned char *bytes_a = get(a, &size_a), *bytes_b = get(b, &size_b);

    assert_int_equal(size_a, size_b);
    assert_memory_equal(bytes_a, bytes_b, size_a);
    free(bytes_a);
    free(bytes_b);
}

void assert_files(int count)
{
    DIR *folder = opendir(".");
    int found = 0;

    assert_non_null(folder);
    while (readdir(folder) != NULL)
        found++;
    closedir(folder);
    assert_int_equal(found - 2, count); /* without . and .. */
}

void assert_failure(vdit_run *run, vdit_status status, const char *path, const char *text)
{
    const char *message = vdit_run_message(run);

    if (vdit_run_status(run) != status || strncmp(message, path, strlen(path)) != 0 ||
        strstr(message, text) == NULL || strchr(message, '\n') != NULL)
        fail_msg("%s: status \"%s\", message \"%s\"; expected \"%s\", \"%s\"", path,
                 vdit_status_name(vdit_run_status(run)), message, vdit_status_name(status), text);
    vdit_run_clear(run);
}

void assert_refused(vdit_run *run, const char *path, vdit_status status, const char *text)
{
    vdit_file *untouched = (vdit_file *)&scratch, *file = untouched;

    vdit_file_open(run, &file, path);
    assert_failure(run, status, path, text);
    assert_ptr_equal(file, untouched);
}

void assert_cuts_refused(vdit_run *run, const char *name)
{
    size_t size;
    unsigned char *bytes = get(fixture(name), &size);

    for (size_t cut = 0; cut < size; cut++) {
        unsigned char *copy = malloc(cut ? cut : 1);
        vdit_file *file;

        assert_non_null(copy);
        memcpy(copy, bytes, cut);
        vdit_file_open_bytes(run, &file, name, copy, cut, NULL);
        assert_failure(run, VDIT_ERR_FORMAT, name, "");
        free(copy);
    }
    free(bytes);
}

double fixture_value(vdit_dtype dtype, size_t i)
{
    int value = (int)(i * 7 % 23) - 11;

    return dtype == VDIT_BOOL ? value > 0 : dtype == VDIT_U8 ? value + 11 : value;
}

void assert_fixture_values(const vdit_tensor *tensor)
{
    size_t count = vdit_tensor_count(tensor), index[VDIT_MAX_RANK] = {0};

    for (size_t n = 0; n < count; n++) {
        double value;

        vdit_load_f64(&value, 1, vdit_tensor_at(tensor, index), 1, tensor->dtype);
        assert_true(value == fixture_value(tensor->dtype, n));
        for (int i = tensor->rank - 1; i >= 0 && ++index[i] == tensor->shape[i]; i--)
            index[i] = 0;
    }
}

/* Stores an integer that the dtype holds. */
static void store(void *out, vdit_dtype dtype, double value)
{
    int64_t i64 = (int64_t)value;
    int32_t i32 = (int32_t)value;

    if (vdit_dtype_is_float(dtype))
        vdit_store_f64(out, dtype, value);
    else if (dtype == VDIT_I64)
        memcpy(out, &i64, sizeof i64);
    else if (dtype == VDIT_I32)
        memcpy(out, &i32, sizeof i32);
    else
        *(unsigned char *)out = (unsigned char)i32;
}

vdit_tensor make_tensor(vdit_run *run, vdit_dtype dtype, int rank, const size_t *shape)
{
    vdit_tensor tensor;

    assert_int_equal(vdit_tensor_new(run, &tensor, dtype, rank, shape), VDIT_OK);
    for (size_t i = 0; i < vdit_tensor_count(&tensor); i++)
        store((char *)tensor.data + i * vdit_dtype_size(dtype), dtype, fixture_value(dtype, i));
    return tensor;
}

void *give_some(void *left, size_t size)
{
    size_t *times = left;

    if (*times == 0)
        return NULL;
    --*times;
    return malloc(size);
}
