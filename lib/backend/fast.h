/* backend/fast.h - the plain operators of the backend fast: ordinary binary32. */
#ifndef VDIT_BACKEND_FAST_H
#define VDIT_BACKEND_FAST_H

#include <vdit/op.h>

/* As the operators of vdit/op.h that are called alike, in binary32 arithmetic. */
vdit_status vdit_fast_linear(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                             const vdit_tensor *w, const vdit_tensor *b);
vdit_status vdit_fast_matmul(vdit_run *run, vdit_tensor *c, const vdit_tensor *a,
                             const vdit_tensor *b);

vdit_status vdit_fast_conv(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                           const vdit_tensor *w, const vdit_tensor *b, const vdit_conv_walk *walk);
vdit_status vdit_fast_layer_norm(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                 const vdit_tensor *w, const vdit_tensor *b, double eps);
vdit_status vdit_fast_rms_norm(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                               const vdit_tensor *w, double eps);
vdit_status vdit_fast_group_norm(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, size_t groups,
                                 const vdit_tensor *w, const vdit_tensor *b, double eps);
vdit_status vdit_fast_activate(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                               vdit_activation f);
vdit_status vdit_fast_activate_gated(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                     vdit_activation f);
vdit_status vdit_fast_add(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                          const vdit_tensor *z);
vdit_status vdit_fast_modulate(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                               const vdit_tensor *scale, const vdit_tensor *shift);
vdit_status vdit_fast_gated_add(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                const vdit_tensor *gate, const vdit_tensor *z);
vdit_status vdit_fast_rotary(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                             const vdit_tensor *cosine, const vdit_tensor *sine);

#endif
