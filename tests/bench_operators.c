/*
 * bench_operators.c - the operators of a block of Wan2.1-T2V-1.3B: fast, the reference, and OpenBLAS for products.
 *
 *     bench_operators TOKENS
 *
 * f32 activations, bf16 weights, two threads. The sides alternate, so that a machine whose speed drifts treats all
 * alike. Prints a line "NAME FAST-MS REFERENCE-MS OPENBLAS-MS" for each, of medians; "-" where there is none.
 */
#include <config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vdit/backend.h>
#include "bench.h"

#ifdef HAVE_OPENBLAS
#include <cblas.h>
#endif

enum { WIDTH = 1536, INNER = 8960, HEADS = 12, HEAD = 128, TEXT = 512, REPETITIONS = 5 };

/* One operator with its operands: y of x, w and b, or q, k and v. */
typedef struct job {
    const char *name;
    void (*call)(vdit_run *run, const vdit_backend *backend, struct job *job);
    vdit_tensor x, w, b, y;
} job;

static void call_linear(vdit_run *run, const vdit_backend *backend, job *j)
{
    vdit_backend_linear(run, backend, &j->y, &j->x, &j->w, &j->b);
}

static void call_gelu(vdit_run *run, const vdit_backend *backend, job *j)
{
    vdit_backend_activate(run, backend, &j->y, &j->x, VDIT_GELU_TANH);
}

static void call_layer_norm(vdit_run *run, const vdit_backend *backend, job *j)
{
    vdit_backend_layer_norm(run, backend, &j->y, &j->x, NULL, NULL, 1e-6);
}

static void call_rms_norm(vdit_run *run, const vdit_backend *backend, job *j)
{
    vdit_backend_rms_norm(run, backend, &j->y, &j->x, &j->b, 1e-6);
}

static void call_modulate(vdit_run *run, const vdit_backend *backend, job *j)
{
    vdit_backend_modulate(run, backend, &j->y, &j->x, &j->b, &j->b);
}

static void call_rotary(vdit_run *run, const vdit_backend *backend, job *j)
{
    vdit_backend_rotary(run, backend, &j->y, &j->x, &j->w, &j->b);
}

static void call_attention(vdit_run *run, const vdit_backend *backend, job *j)
{
    vdit_attention a;

    vdit_attention_init(&a, &j->x, &j->w, &j->b);
    a.o = &j->y;
    vdit_backend_attention(run, backend, &a);
}

/* Returns: seconds of a call; of sgemm on weights that are f32 already where backend is NULL. */
static double time_call(vdit_run *run, const vdit_backend *backend, job *j, const float *wide)
{
    double start = bench_seconds();

    if (backend != NULL)
        j->call(run, backend, j);
    bench_require(run);
#ifdef HAVE_OPENBLAS
    if (backend == NULL)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)j->x.shape[0], (int)j->w.shape[0],
                    (int)j->x.shape[1], 1, j->x.data, (int)j->x.shape[1], wide, (int)j->x.shape[1],
                    0, j->y.data, (int)j->w.shape[0]);
#else
    (void)wide;
#endif
    return bench_seconds() - start;
}

/* Returns: the weights of a linear layer in binary32, NULL for other operators or without OpenBLAS. */
static float *widen(vdit_run *run, const job *j)
{
    float *wide = NULL;

#ifdef HAVE_OPENBLAS
    size_t count = j->call == call_linear ? vdit_tensor_count(&j->w) : 0;

    if (count > 0)
        wide = vdit_run_alloc(run, count, sizeof *wide);
    for (size_t i = 0; wide != NULL && i < count; i++) {
        double value;
        vdit_load_f64(&value, 1, (const char *)j->w.data + 2 * i, 1, VDIT_BF16);
        wide[i] = (float)value;
    }
#else
    (void)run, (void)j;
#endif
    return wide;
}

static void run_job(vdit_run *run, job *j)
{
    const vdit_backend *sides[] = {vdit_backend_at(1), vdit_backend_at(0), NULL};
    double seconds[3][REPETITIONS];
    float *wide = widen(run, j);
    int count = wide != NULL ? 3 : 2;

    for (int side = 0; side < count; side++)
        time_call(run, sides[side], j, wide);
    for (int i = 0; i < REPETITIONS; i++)
        for (int side = 0; side < count; side++)
            seconds[side][i] = time_call(run, sides[side], j, wide);
    printf("%s", j->name);
    for (int side = 0; side < 3; side++)
        if (side < count)
            printf(" %.3f", 1e3 * bench_median(seconds[side], REPETITIONS));
        else
            printf(" -");
    printf("\n");
    fflush(stdout);
}

static vdit_tensor made(vdit_run *run, vdit_dtype dtype, size_t rows, size_t columns)
{
    return bench_normal(run, dtype, 2, (const size_t[]){rows, columns}, 1);
}

static void run_linear(vdit_run *run, const char *name, size_t tokens, size_t depth, size_t outputs)
{
    size_t mark = vdit_run_mark(run);
    job j = {.name = name, .call = call_linear};

    j.x = made(run, VDIT_F32, tokens, depth);
    j.w = made(run, VDIT_BF16, outputs, depth);
    j.b = bench_normal(run, VDIT_BF16, 1, &outputs, 3);
    j.y = made(run, VDIT_F32, tokens, outputs);
    run_job(run, &j);
    vdit_run_release(run, mark);
}

/* Operators whose output has the shape of x; b is one row. */
static void run_rows(vdit_run *run, const char *name, size_t tokens, size_t width,
                     void (*call)(vdit_run *, const vdit_backend *, job *))
{
    size_t mark = vdit_run_mark(run);
    job j = {.name = name, .call = call};

    j.x = made(run, VDIT_F32, tokens, width);
    j.b = bench_normal(run, VDIT_F32, 1, &width, 2);
    j.y = made(run, VDIT_F32, tokens, width);
    run_job(run, &j);
    vdit_run_release(run, mark);
}

/* [tokens, heads, width of a head] as [1, heads, tokens, width]. */
static vdit_tensor heads_of(vdit_run *run, size_t tokens)
{
    static const int order[] = {0, 2, 1, 3};
    const size_t shape[] = {1, tokens, HEADS, HEAD};
    vdit_tensor t = bench_normal(run, VDIT_F32, 4, shape, 4);

    return vdit_tensor_permute(&t, order);
}

static void run_heads(vdit_run *run, const char *name, size_t tokens, size_t keys,
                      void (*call)(vdit_run *, const vdit_backend *, job *))
{
    size_t mark = vdit_run_mark(run);
    job j = {.name = name, .call = call};

    j.x = heads_of(run, tokens);
    j.w = keys > 0 ? heads_of(run, keys) : made(run, VDIT_F32, tokens, HEAD / 2);
    j.b = keys > 0 ? heads_of(run, keys) : made(run, VDIT_F32, tokens, HEAD / 2);
    j.y = heads_of(run, tokens);
    run_job(run, &j);
    vdit_run_release(run, mark);
}

int main(int argc, char **argv)
{
    vdit_run *run = vdit_run_new();
    size_t tokens = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;

    if (tokens == 0)
        return 2;
    vdit_run_set_threads(run, BENCH_THREADS);
#ifdef HAVE_OPENBLAS
    openblas_set_num_threads(BENCH_THREADS);
#endif
    run_linear(run, "linear-1536-1536", tokens, WIDTH, WIDTH);
    run_linear(run, "linear-1536-8960", tokens, WIDTH, INNER);
    run_linear(run, "linear-8960-1536", tokens, INNER, WIDTH);
    run_rows(run, "gelu_tanh", tokens, INNER, call_gelu);
    run_rows(run, "layer_norm", tokens, WIDTH, call_layer_norm);
    run_rows(run, "rms_norm", tokens, WIDTH, call_rms_norm);
    run_rows(run, "modulate", tokens, WIDTH, call_modulate);
    run_heads(run, "rotary", tokens, 0, call_rotary);
    run_heads(run, "attention", tokens, tokens, call_attention);
    run_heads(run, "attention-to-text", tokens, TEXT, call_attention);
    vdit_run_free(run);
    return 0;
}
