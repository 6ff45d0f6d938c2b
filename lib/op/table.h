/* op/table.h - what the rotary tables share: two outputs, sines and cosines, their checks and counters. */
#ifndef VDIT_OP_TABLE_H
#define VDIT_OP_TABLE_H

#include <vdit/tensor.h>
#include "exact/angle.h"

typedef struct vdit_table {
    const vdit_tensor *out[2]; /* by vdit_circular */
    size_t pairs;              /* d / 2 */
    uint64_t (*decided)[3];    /* per thread */
} vdit_table;

/* Fails unless position is [N, A], f64. Returns: the run's status. */
vdit_status vdit_table_check_position(vdit_run *run, const char *op, const vdit_tensor *position);

/* Fails unless both have this shape, and dtypes of outputs. Returns: the run's status. */
vdit_status vdit_table_check(vdit_run *run, const char *op, const vdit_tensor *cosine,
                             const vdit_tensor *sine, int rank, const size_t *shape);

/* Makes the counters, in the run's memory. Returns: the run's status. */
vdit_status vdit_table_start(vdit_run *run, vdit_table *table);

/* Adds the counters to the run's. */
void vdit_table_finish(vdit_run *run, const vdit_table *table);

/* Out: the element at index of a table = value, which its dtype has. */
void vdit_table_put(const vdit_table *table, vdit_circular c, const size_t *index, double value);

#endif
