/*
 * attention/special.h - infinities and NaN: rows and channels that the formula touches with them.
 *
 * A valid key whose logit is -inf has weight 0 and touches nothing. A NaN logit makes the row NaN; a
 * logit of +inf makes o and the map NaN, as inf - inf, and the log-sum-exp +inf. A value that is not
 * finite, at a key of finite logit, gives its channel the IEEE-754 sum.
 */
#ifndef VDIT_ATTENTION_SPECIAL_H
#define VDIT_ATTENTION_SPECIAL_H

#include "attention/rows.h"

/* What kind of row of the map this is. */
typedef enum vdit_row_kind {
    VDIT_ROW_PLAIN,
    VDIT_ROW_EMPTY,   /* no key with a logit above -inf: the map is 0, the log-sum-exp -inf */
    VDIT_ROW_NAN,     /* a NaN logit: map and log-sum-exp are NaN */
    VDIT_ROW_INFINITE /* a logit of +inf: the map is NaN, the log-sum-exp +inf */
} vdit_row_kind;

/*
 * Returns: what the infinities and NaN of q and of the keys that are not packed make of row r; VDIT_ROW_PLAIN where
 * they decide nothing. Out: q[d], k[d], scratch.
 */
vdit_row_kind vdit_special_kind(const vdit_head *head, size_t r, double *q, double *k);

/* Rewrites what special values decide, and closes it, after stage 0. */
vdit_status vdit_special_rows(vdit_run *run, const vdit_head *head, vdit_rows *rows);

#endif
