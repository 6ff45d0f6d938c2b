/*
 * attention_scene.h - for tests: attention calls of any shape, type and layout, filled with random
 * numbers of many kinds, and judged element by element against the oracle.
 */
#ifndef TESTS_ATTENTION_SCENE_H
#define TESTS_ATTENTION_SCENE_H

#include <vdit/attention.h>
#include "oracle.h"

/* A call with the tensors that it points to: it must not move. All memory is the run's. */
typedef struct scene {
    vdit_run *run;
    vdit_attention call;
    vdit_tensor q, k, v, mask, key_length, rows, o, lse, map, sigma;
} scene;

typedef struct scene_shape {
    size_t B, H, Nq, Nk, d, dv;
} scene_shape;

/* How numbers are drawn; each is an element of its dtype. */
typedef enum scene_kind {
    SCENE_NORMAL,
    SCENE_WIDE,      /* every exponent of the dtype, full significands */
    SCENE_SUBNORMAL, /* its lowest exponents */
    SCENE_INTEGER,   /* -4 .. 4 */
    SCENE_LARGE      /* 8 bits of significand, 2^10 .. 2^12 */
} scene_kind;

/* How a tensor lies in memory. */
typedef enum scene_layout {
    SCENE_DENSE,
    SCENE_TOKENS_FIRST, /* [B, N, H, c] in memory */
    SCENE_GAPS          /* every axis backwards, with a gap after each element */
} scene_layout;

/* Outputs to ask for. */
enum { SCENE_O = 1, SCENE_LSE = 2, SCENE_MAP = 4, SCENE_SIGMA = 8, SCENE_ALL = 15 };

/* Returns: a tensor of rank 4 in this layout, every byte 0xa5, gaps too. */
vdit_tensor scene_tensor(vdit_run *run, vdit_dtype dtype, const size_t shape[4],
                         scene_layout layout);

/* Out: s with q, k, v of these dtypes, dense, filled with normal numbers, and the noise of bf16. */
void scene_start(scene *s, vdit_run *run, const scene_shape *shape, const vdit_dtype dtypes[3],
                 oracle_random *random);

/* Fills a tensor of rank 4. */
void scene_fill(vdit_tensor *t, oracle_random *random, scene_kind kind);

/* Sets one element; value is rounded to the dtype. */
void scene_set(vdit_tensor *t, size_t b, size_t h, size_t n, size_t c, double value);

/* Returns: one element. */
double scene_get(const vdit_tensor *t, size_t b, size_t h, size_t n, size_t c);

/* Adds a mask of this dtype (bool: 0 and 1) and shape, all 0; key lengths; rows. */
void scene_mask(scene *s, vdit_dtype dtype, const size_t shape[4]);
void scene_key_length(scene *s, const int64_t *length);
void scene_rows(scene *s, size_t count, const int64_t *rows);

/* Asks for outputs, o in dtype; what was asked for before is forgotten. */
void scene_outputs(scene *s, vdit_dtype dtype, unsigned wanted);

/* Runs the reference; the test fails if it does. */
void scene_run(scene *s);

/* The same, and the test fails with what and where unless every element is the oracle's. */
void scene_judge(scene *s, const char *what);

/* Compares all outputs with the oracle, without running. Returns: the number of wrong elements. */
size_t scene_compare(const scene *s, const char *what);

/* What a test begins with: *state is a run of one thread, or of two; and what it ends with. Return: 0. */
int scene_open(void **state);
int scene_open_two(void **state);
int scene_close(void **state);

/* Returns: 1 if two tensors of one dtype and shape hold the same bits. */
int scene_equal(const vdit_tensor *a, const vdit_tensor *b);

#endif
