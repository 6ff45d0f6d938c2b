/*
 * vdit/backend.h - who computes: a table of operators.
 */
#ifndef VDIT_BACKEND_H
#define VDIT_BACKEND_H

#include <vdit/attention.h>
#include <vdit/op.h>

/* An operator that is NULL falls back on the reference. */
typedef struct vdit_backend {
    size_t size; /* of this struct */
    const char *name;
    const char *about; /* one line: what it promises */
    vdit_status (*linear)(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, const vdit_tensor *w,
                          const vdit_tensor *b);
    vdit_status (*matmul)(vdit_run *run, vdit_tensor *c, const vdit_tensor *a,
                          const vdit_tensor *b);
    vdit_status (*exp)(vdit_run *run, vdit_tensor *y, const vdit_tensor *x);
    vdit_status (*log)(vdit_run *run, vdit_tensor *y, const vdit_tensor *x);
    vdit_status (*attention)(vdit_run *run, const vdit_attention *a);
} vdit_backend;

/* Returns: the backend of that name ("reference", "fast"), or NULL. */
VDIT_API const vdit_backend *vdit_backend_find(const char *name);

/* Returns: the i-th backend, or NULL past the last. */
VDIT_API const vdit_backend *vdit_backend_at(size_t i);

#endif
