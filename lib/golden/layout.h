/*
 * golden/layout.h - how the tensors of an attention golden lie in files.
 *
 * Inside the library q, k, v, o and o.sigma are [B,H,N,width] in whatever strides; a file holds dense
 * tensors whose axes the case's layout orders, and BN3HD has q, k and v in one. What the two forms
 * share is the memory: to store is to look at it along other axes.
 */
#ifndef VDIT_GOLDEN_LAYOUT_H
#define VDIT_GOLDEN_LAYOUT_H

#include <vdit/golden.h>

/* Returns: "BHND", "BNHD" or "BN3HD". */
const char *vdit_axes_name(vdit_axes axes);

/* Out: axes. In: a name as above. Returns: 1 if known, else 0 with axes untouched. */
int vdit_axes_find(vdit_axes *axes, const char *name);

/*
 * Out: operands q, k and v, [B,H,N,width], whose memory the case's layout orders; not cleared.
 * In: c, an attention case. Returns: VDIT_OK, VDIT_ERR_MEMORY, VDIT_ERR_LIMIT.
 */
vdit_status vdit_layout_new(vdit_run *run, vdit_tensor operands[3], const vdit_case *c);

/*
 * Out: o [B,H,R,dv] as a kernel of that layout would write it. In: shape[4] of o.
 * Returns: VDIT_OK, VDIT_ERR_MEMORY, VDIT_ERR_LIMIT.
 */
vdit_status vdit_layout_new_output(vdit_run *run, vdit_tensor *o, vdit_dtype dtype,
                                   const size_t shape[4], vdit_axes axes);

/*
 * Out: stored, room for VDIT_GOLDEN_INPUTS + VDIT_GOLDEN_OUTPUTS: the inputs, or the outputs, as a file holds them.
 * In: golden, is_output. Returns: their number.
 */
size_t vdit_layout_store(vdit_named *stored, const vdit_golden *golden, int is_output);

/*
 * Out: t, the tensor of that name as a file holds it. In: golden, name (of a file's tensor).
 * Returns: 1, or 0 if there is none.
 */
int vdit_layout_find(vdit_tensor *t, const vdit_golden *golden, const char *name);

/*
 * Turns inputs and outputs from the form of files, in which they were read, into that of the library.
 * In: golden, path of its input file for messages. Returns: VDIT_OK, or VDIT_ERR_SHAPE.
 */
vdit_status vdit_layout_load(vdit_run *run, vdit_golden *golden, const char *path);

#endif
