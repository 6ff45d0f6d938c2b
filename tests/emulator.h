/*
 * emulator.h - attention kernels to judge: honest ones and broken ones, in plain loops.
 *
 * The goldens are the formulas of vdit/attention.h in binary64, rounded once: their error is far
 * below every sigma, and they owe nothing to the library's own kernels.
 */
#ifndef EMULATOR_H
#define EMULATOR_H

#include <vdit/judge.h>

/* One head of attention. */
typedef struct emulator_case {
    const char *family; /* "normal", "needle" or "uniform" (all logits 0) */
    vdit_dtype dtype;
    size_t rows, keys, width;
    uint64_t seed;
} emulator_case;

/* What a kernel does. Cleared: blocks of 64 keys, online softmax, the map rounded to the dtype. */
typedef struct emulator_kernel {
    const char *name;
    size_t block;       /* keys a block; 0: 64; 1: one by one */
    int is_backwards;   /* last block first */
    int uses_exp2;      /* logits scaled by log2 e */
    int keeps_map;      /* the map stays in f32 */
    int is_two_pass;    /* softmax first, normalised map rounded */
    int sums_rounded;   /* the sum takes the rounded map */
    int rounds_scores;  /* logits rounded to bf16: another contract */
    double scale, gain; /* factors on the scale and on V; 0: 1 */
    size_t drops;       /* keys dropped at the end */
    int counts_twice;   /* key 5 */
    int swaps_tile;     /* the V of keys 64..127 is that of 128..191 */
} emulator_kernel;

/* Everything in memory: the golden with o, lse and o.sigma, and the f32 dot products q k. */
typedef struct emulator_bench {
    vdit_golden golden;
    size_t rows, keys, width;
    double *q, *k, *v; /* exact values */
    float *dots;       /* [rows][keys] */
} emulator_bench;

/* Out: bench, in the run's memory. */
void emulator_make(vdit_run *run, emulator_bench *bench, const emulator_case *c);

/* Out: o [1,1,R,dv] in the golden's dtype, lse [1,1,R]. */
void emulator_run(vdit_run *run, vdit_tensor *o, vdit_tensor *lse, const emulator_bench *bench,
                  const emulator_kernel *kernel);

#endif
