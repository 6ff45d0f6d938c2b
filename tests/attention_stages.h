/*
 * attention_stages.h - for tests: which kernel the reference uses, and elements held open so that later
 * stages must decide them.
 *
 * The linker's --wrap puts the functions of attention_stages.c between reference.c and the stages; the
 * library itself knows nothing of it.
 */
#ifndef TESTS_ATTENTION_STAGES_H
#define TESTS_ATTENTION_STAGES_H

#include "attention/refine.h"
#include "attention/sigma.h"

/* What is forced upon every call from here on. */
extern struct forced {
    size_t kernel; /* kernels of vdit_kernel_f64_at and f32_at to leave out, best first */
    int stage;     /* 1, 2: every element is held open until that stage; 2 alone writes all */
} forced;

/* Called with what stage 0 made of a block, before it is judged; NULL: nobody. */
extern void (*stages_block)(const vdit_stream *stream);

/* Called for each element that stage 1 judges: o = high + low within error; NULL: nobody. */
extern void (*stages_refined)(double high, double low, double error);

/* Returns: the number of kernels that run on this machine. */
size_t stages_kernel_count(void);

#endif
