/* shape.c - checks with one message each, and row offsets. */
#include "op/shape.h"

vdit_status vdit_check_dtype(vdit_run *run, const char *op, const char *name, const vdit_tensor *t)
{
    if (t->dtype != VDIT_F32 && t->dtype != VDIT_BF16 && t->dtype != VDIT_F16)
        return vdit_run_fail(run, VDIT_ERR_DTYPE, "%s: %s is %s, expected f32, bf16 or f16", op,
                             name, vdit_dtype_name(t->dtype));
    return vdit_run_status(run);
}

vdit_status vdit_check_rank(vdit_run *run, const char *op, const char *name, const vdit_tensor *t,
                            int least)
{
    if (t->rank < least || t->rank > VDIT_MAX_RANK)
        return vdit_run_fail(run, VDIT_ERR_SHAPE, "%s: %s has %d axes, expected %d to %d", op, name,
                             t->rank, least, VDIT_MAX_RANK);
    return vdit_run_status(run);
}

vdit_status vdit_check_shape(vdit_run *run, const char *op, const char *name, const vdit_tensor *t,
                             int rank, const size_t *shape, const char *why)
{
    vdit_tensor expected = {.rank = rank};
    char found[256], wanted[256];
    int same = t->rank == rank;

    for (int i = 0; i < rank; i++) {
        expected.shape[i] = shape[i];
        same = same && t->shape[i] == shape[i];
    }
    if (!same)
        return vdit_run_fail(run, VDIT_ERR_SHAPE, "%s: %s has shape %s, expected %s %s", op, name,
                             vdit_tensor_shape_text(found, sizeof found, t),
                             vdit_tensor_shape_text(wanted, sizeof wanted, &expected), why);
    return vdit_run_status(run);
}

vdit_status vdit_broadcast(vdit_run *run, const char *op, const char *name, vdit_tensor *view,
                           const vdit_tensor *t, const vdit_tensor *like)
{
    char found[256], wanted[256];
    int extra = like->rank - t->rank, fits = extra >= 0 && t->rank >= 0;

    *view = *like;
    view->dtype = t->dtype;
    view->data = t->data;
    for (int i = 0; fits && i < like->rank; i++) {
        size_t extent = i < extra ? 1 : t->shape[i - extra];

        view->stride[i] = extent == 1 ? 0 : t->stride[i - extra];
        fits = extent == 1 || extent == like->shape[i];
    }
    if (!fits)
        return vdit_run_fail(run, VDIT_ERR_SHAPE, "%s: %s has shape %s, which does not fit %s", op,
                             name, vdit_tensor_shape_text(found, sizeof found, t),
                             vdit_tensor_shape_text(wanted, sizeof wanted, like));
    return vdit_run_status(run);
}

ptrdiff_t *vdit_row_offsets(vdit_run *run, size_t *count, const vdit_tensor *t, int axes)
{
    size_t index[VDIT_MAX_RANK] = {0};
    ptrdiff_t *offset, at = 0;

    *count = 1;
    for (int i = 0; i < axes; i++)
        *count *= t->shape[i];
    offset = vdit_run_alloc(run, *count, sizeof *offset);
    for (size_t i = 0; offset != NULL && i < *count; i++) {
        offset[i] = at;
        for (int axis = axes - 1; axis >= 0; axis--) { /* the next index, like an odometer */
            at += t->stride[axis];
            if (++index[axis] < t->shape[axis])
                break;
            at -= (ptrdiff_t)t->shape[axis] * t->stride[axis];
            index[axis] = 0;
        }
    }
    return offset;
}
