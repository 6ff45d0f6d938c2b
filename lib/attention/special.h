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

/* Rewrites what special values decide, and closes it, after stage 0. */
vdit_status vdit_special_rows(vdit_run *run, const vdit_head *head, vdit_rows *rows);

#endif
