/* golden/sides.h - the inputs of an attention case beside q, k and v: mask, key_length, rows. */
#ifndef VDIT_GOLDEN_SIDES_H
#define VDIT_GOLDEN_SIDES_H

#include <vdit/golden.h>

/* Out: t, [1,1,Nq,Nk], bool or the case's dtype. In: c with a mask. Returns: VDIT_OK or the failure. */
vdit_status vdit_sides_mask(vdit_run *run, vdit_tensor *t, const vdit_case *c);

/* Out: t, i64 [B]. In: c with a key_length. */
vdit_status vdit_sides_key_length(vdit_run *run, vdit_tensor *t, const vdit_case *c);

/* Out: t, i64 [R]. Returns: VDIT_OK or the failure. */
vdit_status vdit_sides_rows(vdit_run *run, vdit_tensor *t, const vdit_case *c);

#endif
