/*
 * fuzz_replay.c - feeds a fuzz target its seeds, each in full and cut at every byte, in a block of memory
 * that ends where the input ends. Survival is what is tested; the sanitizers make it a sharp test.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fuzz.h"

static void feed(const unsigned char *bytes, size_t size)
{
    unsigned char *copy = malloc(size ? size : 1);

    if (copy == NULL)
        abort();
    if (size > 0)
        memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static int replay(const char *path)
{
    static unsigned char bytes[1 << 16];
    FILE *file = fopen(path, "rb");
    size_t size;

    if (file == NULL)
        return 0;
    size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    for (size_t cut = 0; cut <= size; cut++)
        feed(bytes, cut);
    return 1;
}

int main(void)
{
    char folder[2048], path[4096];
    const char *source = getenv("srcdir");
    struct dirent *entry;
    int count = 0;
    DIR *seeds;

    snprintf(folder, sizeof folder, "%s/tests/fuzz-seeds/%s", source ? source : ".", fuzz_name);
    seeds = opendir(folder);
    while (seeds != NULL && (entry = readdir(seeds)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        printf("%s %d - %s\n", replay(path) ? "ok" : "not ok", ++count, entry->d_name);
    }
    if (seeds != NULL)
        closedir(seeds);
    if (count == 0)
        printf("not ok %d - no seeds in %s\n", ++count, folder);
    printf("1..%d\n", count);
    return 0;
}
