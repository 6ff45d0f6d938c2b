/* backend/fast.h - the plain operators of the backend fast: ordinary binary32. */
#ifndef VDIT_BACKEND_FAST_H
#define VDIT_BACKEND_FAST_H

#include <vdit/op.h>

/* As the operators of vdit/op.h that are called alike, in binary32 arithmetic. */
vdit_status vdit_fast_linear(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                             const vdit_tensor *w, const vdit_tensor *b);
vdit_status vdit_fast_matmul(vdit_run *run, vdit_tensor *c, const vdit_tensor *a,
                             const vdit_tensor *b);

#endif
