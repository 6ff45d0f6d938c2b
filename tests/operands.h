/* operands.h - for tests of operators: tensors of numbers that are hard to sum, and single elements. */
#ifndef TESTS_OPERANDS_H
#define TESTS_OPERANDS_H

#include "oracle.h"

/* What the numbers of a tensor look like. */
typedef enum operand_family {
    OPERAND_NORMAL,    /* about normal */
    OPERAND_WIDE,      /* exponents over all of the dtype, subnormals too */
    OPERAND_CANCEL,    /* pairs along the last axis that differ in sign and little else */
    OPERAND_INTEGERS,  /* small integers: sums are exact, ties common */
    OPERAND_SPARSE,    /* mostly zeros of both signs */
    OPERAND_SUBNORMAL, /* products near the smallest subnormals */
    OPERAND_FAMILIES
} operand_family;

/* Out: t, a dense tensor of the run, filled. In: shape[rank]. */
void operand_make(vdit_run *run, vdit_tensor *t, vdit_dtype dtype, int rank, const size_t *shape,
                  operand_family family, oracle_random *random);

/* Returns: element i of t in row-major order. */
double operand_get(const vdit_tensor *t, size_t i);

/* Out: element i of t in row-major order = value, rounded to its dtype. */
void operand_set(vdit_tensor *t, size_t i, double value);

/* Returns: a dense copy's bytes are equal for both; they have one dtype and shape. */
int operand_same(const vdit_tensor *a, const vdit_tensor *b);

#endif
