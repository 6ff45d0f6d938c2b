/* fuzz.c - what all fuzz targets do with their input. */
#include "fuzz.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "file/sha256.h"

/* Memory that one input may have: a file of some kilobytes needs no more, whatever it claims. */
#define MEMORY ((size_t)64 << 20)

static void *give_within_limit(void *left, size_t size)
{
    size_t *bytes = left;

    if (size > *bytes)
        return NULL;
    *bytes -= size;
    return malloc(size);
}

/* What holds of every file that opens. Reading the tensors lets the sanitizers see their memory. */
static void use(const vdit_file *file)
{
    for (size_t i = 0; i < vdit_file_count(file); i++) {
        const vdit_tensor *t = vdit_file_tensor(file, i);
        char digest[65];

        if (vdit_file_find(file, vdit_file_name(file, i)) != t || t->rank > VDIT_MAX_RANK ||
            (uintptr_t)t->data % vdit_dtype_size(t->dtype) != 0)
            abort();
        vdit_tensor_sha256(digest, t);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    vdit_run *run = vdit_run_new();
    const char *source = getenv("srcdir");
    size_t left = MEMORY;
    vdit_file *file = NULL;
    char path[4096];

    /* Shards that an index names are looked for among the fixtures. */
    snprintf(path, sizeof path, "%s/tests/files/fuzzed", source != NULL ? source : ".");
    vdit_run_set_allocator(run, give_within_limit, &left);
    if (vdit_file_open_bytes(run, &file, path, bytes, size, fuzz_reader) == VDIT_OK) {
        use(file);
        vdit_file_close(file);
    } else if (file != NULL || vdit_run_message(run)[0] == '\0') {
        abort();
    }
    vdit_run_free(run);
    return 0;
}
