/* denoiser.h - a network of drawn weights with a call of drawn inputs: for tests of what each family computes. */
#ifndef VDIT_TESTS_DENOISER_H
#define VDIT_TESTS_DENOISER_H

#include <vdit/file.h>
#include <vdit/model.h>

enum { DENOISER_TRACE = 400 };

typedef struct denoiser {
    vdit_run *run;
    vdit_model *model;
    vdit_extents extents;
    vdit_forward call; /* points to the tensors below; there is no mask until a test sets one */
    vdit_tensor latents, timestep, text, mask, output;
    vdit_tensor pooled, guidance;     /* of rank 0 where the family takes none */
    vdit_run *kept;                   /* holds the trace */
    vdit_named trace[DENOISER_TRACE]; /* of the last run, in the order of execution */
    size_t trace_count;
} denoiser;

/*
 * Opens family's size "tiny" with settings "KEY=VALUE" (ended by NULL; may itself be NULL), weights of seed 1, and inputs
 * of normal numbers; times lie in 0 .. 1000, whole if the family's usual ones are. All must succeed.
 */
void denoiser_open(denoiser *d, const char *family, const char *const *settings,
                   vdit_extents extents);
void denoiser_close(denoiser *d);

/* Runs it; it must succeed. Out: output and trace. */
void denoiser_run(denoiser *d);

/* Runs it; it must fail. Returns: the message. The output must be as it was. */
const char *denoiser_fail(denoiser *d);

/* Returns: the activation of that name, which must be there. */
const vdit_tensor *denoiser_find(const denoiser *d, const char *name);

/* Checks the names of a trace from next on, in a list with blanks between. Returns: what comes after them. */
const vdit_named *denoiser_names(const vdit_named *next, const char *prefix, const char *names);

/* Returns: an element as a number. */
double denoiser_value(const vdit_tensor *t, size_t index);

/* Returns: 1 if sample i of a has the bytes of sample j of b; the first axis counts samples. */
int denoiser_same(const vdit_tensor *a, size_t i, const vdit_tensor *b, size_t j);

/* Sets sample i of d's inputs to sample j of from's. */
void denoiser_take(denoiser *d, size_t i, const denoiser *from, size_t j);

/* Fails unless a configuration with these settings is refused with that message. */
void denoiser_refused(const char *family, const char *setting, const char *message);

/* Fails unless such extents are refused with that message. */
void denoiser_extents_refused(denoiser *d, vdit_extents extents, const char *message);

/* Fails unless a size of a family has so many weights with so many numbers. */
void denoiser_counts(const char *family, const char *size, size_t tensors, double numbers);

#endif
