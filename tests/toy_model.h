/*
 * toy_model.h - a network of two layers that needs no operator but linear layers and attention: for tests of what
 * happens around a network.
 *
 *     x = in(video)                                    [B,N,8], 2 heads of width 4
 *     each layer: x = to_out(attn1(q(x), k(x), v(x))), then x = to_out(attn2(q(x), k(text), v(text)))
 *     output = out(x)
 */
#ifndef VDIT_TESTS_TOY_MODEL_H
#define VDIT_TESTS_TOY_MODEL_H

#include "model/family.h"

enum { TOY_LAYERS = 2, TOY_HEADS = 2, TOY_WIDTH = 8, TOY_CHANNELS = 4, TOY_TEXT = 3 };

/* One trace in memory. */
typedef struct toy_trace {
    vdit_run *run;
    vdit_named *list; /* in the order of execution */
    size_t count;
} toy_trace;

/* A model with a call. */
typedef struct toy {
    vdit_run *run;
    vdit_model model;
    vdit_forward call;
    vdit_tensor latents, timestep, text, output;
    vdit_plan *plan;
} toy;

/* Writes toy.safetensors into the working folder and opens it. In: batch, seed of weights and inputs. */
void toy_open(toy *t, vdit_run *run, size_t batch, uint32_t seed);
void toy_close(toy *t);

/* Sets the plan of the call. */
void toy_plan(toy *t, const char *text);

/* Runs it; it must succeed. Out: trace, all activations, in the run's memory. */
void toy_run(toy *t, toy_trace *trace);

/* Returns: the activation of that name, which must be there. */
const vdit_tensor *toy_find(const toy_trace *trace, const char *name);

/* Returns: 1 if the activations have equal bits. head >= 0: of that head alone, of "site/o" and the like. */
int toy_same(const toy_trace *a, const toy_trace *b, const char *name, int head);

/* A source run: a vdit_source_fn whose state is a toy_trace. */
vdit_source_fn toy_source;

#endif
