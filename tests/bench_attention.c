/*
 * bench_attention.c - times attention on request, so that a script can alternate it with another.
 *
 *     bench_attention N D HEADS
 *
 * Reads lines "BACKEND DTYPE" from stdin; computes one self-attention [1, HEADS, N, D] of normal
 * inputs, all rows, and prints its line "SECONDS STAGE-0 STAGE-1 STAGE-2".
 */
#include <config.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <vdit/backend.h>
#include "bench.h"

/* Everything of one request lives in a scope of the run and is freed at its end. */
static void answer(vdit_run *run, const vdit_backend *backend, vdit_dtype dtype,
                   const size_t *shape)
{
    size_t mark = vdit_run_mark(run);
    vdit_tensor q = bench_normal(run, dtype, 4, shape, 1);
    vdit_tensor k = bench_normal(run, dtype, 4, shape, 2);
    vdit_tensor v = bench_normal(run, dtype, 4, shape, 3);
    vdit_tensor o = {0};
    vdit_attention attention;
    const uint64_t *stage = vdit_run_counters(run)->attention;
    double start;

    *vdit_run_counters(run) = (vdit_counters){{0}, {0}, {0}, {0}};
    vdit_tensor_new(run, &o, dtype, 4, shape);
    vdit_attention_init(&attention, &q, &k, &v);
    attention.o = &o;
    start = bench_seconds();
    backend->attention(run, &attention);
    bench_require(run);
    printf("%.4f %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", bench_seconds() - start, stage[0],
           stage[1], stage[2]);
    fflush(stdout);
    vdit_run_release(run, mark);
}

int main(int argc, char **argv)
{
    vdit_run *run = vdit_run_new();
    char line[64], backend_name[32], dtype_name[16];
    const vdit_backend *backend;
    vdit_dtype dtype;
    size_t shape[4] = {1, 0, 0, 0};

    if (argc != 4)
        return 2;
    shape[2] = strtoul(argv[1], NULL, 10);
    shape[3] = strtoul(argv[2], NULL, 10);
    shape[1] = strtoul(argv[3], NULL, 10);
    vdit_run_set_threads(run, BENCH_THREADS);
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (sscanf(line, "%31s %15s", backend_name, dtype_name) != 2 ||
            (backend = vdit_backend_find(backend_name)) == NULL ||
            !vdit_dtype_find(&dtype, dtype_name))
            return 2;
        answer(run, backend, dtype, shape);
    }
    vdit_run_free(run);
    return 0;
}
