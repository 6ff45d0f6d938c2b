/* op/shape.h - what the operators check of their tensors, and where the rows of a tensor lie. */
#ifndef VDIT_OP_SHAPE_H
#define VDIT_OP_SHAPE_H

#include <vdit/tensor.h>

/*
 * Fails with VDIT_ERR_DTYPE unless the tensor is f32, bf16 or f16.
 * In: op and name, for the message. Returns: the run's status.
 */
vdit_status vdit_check_dtype(vdit_run *run, const char *op, const char *name, const vdit_tensor *t);

/*
 * Fails with VDIT_ERR_SHAPE unless the tensor has this shape.
 * In: op, name and why (such as "to fit x"), for the message. Returns: the run's status.
 */
vdit_status vdit_check_shape(vdit_run *run, const char *op, const char *name, const vdit_tensor *t,
                             int rank, const size_t *shape, const char *why);

/* Fails with VDIT_ERR_SHAPE unless rank is in least .. VDIT_MAX_RANK. Returns: the run's status. */
vdit_status vdit_check_rank(vdit_run *run, const char *op, const char *name, const vdit_tensor *t,
                            int least);

/*
 * Fails with VDIT_ERR_SHAPE unless t can be broadcast to the shape of like: axes are aligned from the last one, and
 * an extent is that of like or 1.
 * Out: view, t with the shape of like: strides are 0 where t has one element for many.
 * In: op and name, for the message. Returns: the run's status.
 */
vdit_status vdit_broadcast(vdit_run *run, const char *op, const char *name, vdit_tensor *view,
                           const vdit_tensor *t, const vdit_tensor *like);

/*
 * Where the first axes of a tensor lead, in row-major order.
 * Out: count, the product of their extents. Returns: offset[count] in elements, in the run's memory; or
 * NULL with the run failed.
 */
ptrdiff_t *vdit_row_offsets(vdit_run *run, size_t *count, const vdit_tensor *t, int axes);

#endif
