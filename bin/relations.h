/* relations.h - what must be true of any attention backend, without a golden. */
#ifndef RELATIONS_H
#define RELATIONS_H

#include "check.h"

/* Two outputs that should be equal, and the scale of what an honest kernel may make of them. */
typedef struct relation_pair {
    vdit_tensor expected, actual; /* of one dtype and shape */
    const vdit_attention *noise;  /* the call whose sigma is that of either */
    size_t first;                 /* the row of its sigma at which they begin */
} relation_pair;

/* What a relation works on. */
typedef struct relation_case {
    vdit_run *run;
    const vdit_backend *backend;
    const char *name;
    vdit_attention call; /* the case: its inputs, no outputs */
    vdit_tensor o, lse;  /* what the backend makes of it */
} relation_case;

/* Out: pair. Returns: 0 if the relation says nothing of this case. The run may have failed. */
typedef int relation_fn(relation_pair *pair, const relation_case *c);

typedef struct relation {
    const char *name, *about;
    relation_fn *make;
    int needs_bits; /* equal within sigma is not enough */
} relation;

/* Returns: the i-th relation, or NULL past the last. */
const relation *relation_at(size_t i);

/* Out: o and lse (may be NULL) of the call by the backend. */
void relation_run(const relation_case *c, const vdit_attention *a, vdit_tensor *o,
                  vdit_tensor *lse);

/* Out: a dense copy of t. */
vdit_tensor relation_packed(vdit_run *run, const vdit_tensor *t);

/* Out: pair, the case's own output and another that should be the same. Returns: 1. */
int relation_same(relation_pair *pair, const relation_case *c, vdit_tensor actual);

relation_fn relation_ones_give_one, relation_negative_values, relation_half_values,
    relation_add_values;

#endif
