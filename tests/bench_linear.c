/*
 * bench_linear.c - vdit_linear, each element rounded once, against OpenBLAS's sgemm.
 *
 * y [1024, 1536] = x [1024, 1536] w [1536, 1536]', f32, normal. The two alternate, so that a machine
 * whose speed drifts treats both alike. Prints one line:
 *     CORE-TYPE SGEMM-MS LINEAR-MS RATIO STAGE-0 STAGE-1 STAGE-2
 * with medians, and how many elements each stage decided. Without OpenBLAS, sgemm is "-".
 */
#include <config.h>
#include <inttypes.h>
#include <stdio.h>
#include <vdit/op.h>
#include "bench.h"

#ifdef HAVE_OPENBLAS
#include <cblas.h>
#endif

enum { M = 1024, K = 1536, N = 1536, REPETITIONS = 15 };

/* Out: y. Returns: seconds. */
static double time_sgemm(vdit_tensor *y, const vdit_tensor *x, const vdit_tensor *w)
{
    double start = bench_seconds();

#ifdef HAVE_OPENBLAS
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, M, N, K, 1, x->data, K, w->data, K, 0,
                y->data, N);
#else
    (void)y, (void)x, (void)w;
#endif
    return bench_seconds() - start;
}

/* Out: y. Returns: seconds. */
static double time_linear(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, const vdit_tensor *w)
{
    double start = bench_seconds();

    vdit_linear(run, y, x, w, NULL);
    bench_require(run);
    return bench_seconds() - start;
}

static void report(vdit_run *run, double *sgemm, double *linear)
{
    const uint64_t *stage = vdit_run_counters(run)->linear;
    double exact_ms = 1e3 * bench_median(linear, REPETITIONS);

#ifdef HAVE_OPENBLAS
    double sgemm_ms = 1e3 * bench_median(sgemm, REPETITIONS);
    printf("%s %.2f %.2f %.2f", openblas_get_corename(), sgemm_ms, exact_ms, exact_ms / sgemm_ms);
#else
    (void)sgemm;
    printf("none - %.2f -", exact_ms);
#endif
    printf(" %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", stage[0], stage[1], stage[2]);
}

int main(void)
{
    vdit_run *run = vdit_run_new();
    vdit_tensor x = bench_normal(run, VDIT_F32, 2, (const size_t[]){M, K}, 1);
    vdit_tensor w = bench_normal(run, VDIT_F32, 2, (const size_t[]){N, K}, 2);
    vdit_tensor y = bench_normal(run, VDIT_F32, 2, (const size_t[]){M, N}, 3);
    double sgemm[REPETITIONS], linear[REPETITIONS];

    vdit_run_set_threads(run, BENCH_THREADS);
#ifdef HAVE_OPENBLAS
    openblas_set_num_threads(BENCH_THREADS);
#endif
    time_sgemm(&y, &x, &w);
    time_linear(run, &y, &x, &w);
    for (int i = 0; i < REPETITIONS; i++) {
        *vdit_run_counters(run) = (vdit_counters){{0}, {0}, {0}, {0}};
        sgemm[i] = time_sgemm(&y, &x, &w);
        linear[i] = time_linear(run, &y, &x, &w);
    }
    report(run, sgemm, linear);
    vdit_run_free(run);
    return 0;
}
