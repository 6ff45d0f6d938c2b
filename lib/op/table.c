/* table.c - what the rotary tables share. */
#include <string.h>
#include "op/shape.h"
#include "op/table.h"

vdit_status vdit_table_check_position(vdit_run *run, const char *op, const vdit_tensor *position)
{
    if (position->dtype != VDIT_F64)
        return vdit_run_fail(run, VDIT_ERR_DTYPE, "%s: position is %s, expected f64", op,
                             vdit_dtype_name(position->dtype));
    if (position->rank != 2)
        return vdit_run_fail(run, VDIT_ERR_SHAPE, "%s: position has %d axes, expected 2", op,
                             position->rank);
    return vdit_run_status(run);
}

vdit_status vdit_table_check(vdit_run *run, const char *op, const vdit_tensor *cosine,
                             const vdit_tensor *sine, int rank, const size_t *shape)
{
    if (vdit_check_dtype(run, op, "cosine", cosine) != VDIT_OK ||
        vdit_check_dtype(run, op, "sine", sine) != VDIT_OK ||
        vdit_check_shape(run, op, "cosine", cosine, rank, shape, "to fit the positions") != VDIT_OK)
        return vdit_run_status(run);
    return vdit_check_shape(run, op, "sine", sine, rank, shape, "to fit the positions");
}

vdit_status vdit_table_start(vdit_run *run, vdit_table *table)
{
    size_t threads = (size_t)vdit_run_threads(run);

    table->decided = vdit_run_alloc(run, threads, sizeof *table->decided);
    if (vdit_run_status(run) == VDIT_OK)
        memset(table->decided, 0, threads * sizeof *table->decided);
    return vdit_run_status(run);
}

void vdit_table_finish(vdit_run *run, const vdit_table *table)
{
    for (int i = 0; i < vdit_run_threads(run); i++)
        for (int stage = 0; stage < 3; stage++)
            vdit_run_counters(run)->elementary[stage] += table->decided[i][stage];
}

void vdit_table_put(const vdit_table *table, vdit_circular c, const size_t *index, double value)
{
    vdit_store_f64(vdit_tensor_at(table->out[c], index), table->out[c]->dtype, value);
}
