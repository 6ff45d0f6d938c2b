/* internal.h - what other folders of the library may use of base, beyond its public headers. */
#ifndef VDIT_BASE_INTERNAL_H
#define VDIT_BASE_INTERNAL_H

#include <vdit/tensor.h>

/*
 * A second owner of memory, with the allocator of the first: for what outlives a scope of the run,
 * such as an open file. The caller frees it, before or after the first.
 * Returns: the new run, or NULL with the first one failed.
 */
vdit_run *vdit_run_new_like(vdit_run *run);

/*
 * Returns: 1 if the rank is in 0..VDIT_MAX_RANK and all sizes and strides of a dense tensor of this
 * shape can be represented; an extent of 0 counts as 1, so that the strides of an empty one fit
 * too.
 */
int vdit_shape_fits(vdit_dtype dtype, int rank, const size_t *shape);

#endif
