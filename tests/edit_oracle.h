/*
 * edit_oracle.h - for tests: an edited output by the formula of vdit/edit.h, in MPFR, entry by entry.
 *
 * Joint tokens only as far as kinds go: which entries designed masks keep is asked of a table that the test
 * fills in.
 */
#ifndef TESTS_EDIT_ORACLE_H
#define TESTS_EDIT_ORACLE_H

#include "attention_oracle.h"

/* One head of a call under an edit. */
typedef struct edit_oracle {
    const vdit_attention *call; /* operands and outputs as the caller has them, B = H = 1 */
    const vdit_edit *edit;
    const unsigned char *before, *after; /* [Nq][Nk] 1 keeps: what designed masks say; NULL: all */
    const double *tau;                   /* [Nq] thresholds; NULL: none */
    const uint64_t *quota;               /* [Nq] or NULL */
} edit_oracle;

/* What the oracle says of a row. */
typedef struct edit_row {
    double o[64];            /* [dv] rounded into dtype */
    double kept_mass;        /* f32 */
    size_t masked;           /* valid entries dropped after the softmax */
    unsigned char kept[256]; /* [Nk] */
} edit_row;

/* Out: row r of the edited head. In: dtype of o. */
void edit_oracle_row(edit_row *row, const edit_oracle *oracle, size_t r, vdit_dtype dtype);

#endif
