/* backend/pending.h - operators that have no place in the table of backends yet: the reference computes. */
#ifndef VDIT_BACKEND_PENDING_H
#define VDIT_BACKEND_PENDING_H

#define vdit_backend_conv(run, backend, ...)           vdit_conv(run, __VA_ARGS__)
#define vdit_backend_layer_norm(run, backend, ...)     vdit_layer_norm(run, __VA_ARGS__)
#define vdit_backend_rms_norm(run, backend, ...)       vdit_rms_norm(run, __VA_ARGS__)
#define vdit_backend_activate(run, backend, ...)       vdit_activate(run, __VA_ARGS__)
#define vdit_backend_activate_gated(run, backend, ...) vdit_activate_gated(run, __VA_ARGS__)
#define vdit_backend_add(run, backend, ...)            vdit_add(run, __VA_ARGS__)
#define vdit_backend_modulate(run, backend, ...)       vdit_modulate(run, __VA_ARGS__)
#define vdit_backend_gated_add(run, backend, ...)      vdit_gated_add(run, __VA_ARGS__)
#define vdit_backend_rotary(run, backend, ...)         vdit_rotary(run, __VA_ARGS__)

#endif
