/*
 * vdit/backend.h - who computes: tables of operators, the library's own and those of plugins.
 *
 * A plugin is a shared object that exports vdit_plugin_entry. It calls the public functions of this
 * library as any program does; vdit-backend(3) says what it must promise.
 *
 *     vdit_plugin_load(run, &loaded, "kernel.so");
 *     backend = vdit_plugin_find(run, &loaded, "flash");
 *     vdit_backend_attention(run, backend, &call);
 */
#ifndef VDIT_BACKEND_H
#define VDIT_BACKEND_H

#include <vdit/attention.h>
#include <vdit/op.h>

/*
 * An operator that is NULL falls back on the reference, and so does one beyond size: a table that was
 * compiled with an older header is shorter. New operators are only ever appended.
 */
typedef struct vdit_backend {
    size_t size;       /* of this struct, as its author's compiler knew it */
    const char *name;  /* letters, digits and "._+-", at most 63 */
    const char *about; /* one line: what it promises; NULL: nothing said */
    vdit_status (*linear)(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, const vdit_tensor *w,
                          const vdit_tensor *b);
    vdit_status (*matmul)(vdit_run *run, vdit_tensor *c, const vdit_tensor *a,
                          const vdit_tensor *b);
    vdit_status (*exp)(vdit_run *run, vdit_tensor *y, const vdit_tensor *x);
    vdit_status (*log)(vdit_run *run, vdit_tensor *y, const vdit_tensor *x);
    vdit_status (*attention)(vdit_run *run, const vdit_attention *a); /* without edits */
    vdit_status (*edited)(vdit_run *run, const vdit_attention *a);    /* with edits (vdit/edit.h) */
    vdit_status (*conv)(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, const vdit_tensor *w,
                        const vdit_tensor *b, const vdit_conv_walk *walk);
    vdit_status (*layer_norm)(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                              const vdit_tensor *w, const vdit_tensor *b, double eps);
    vdit_status (*rms_norm)(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                            const vdit_tensor *w, double eps);
    vdit_status (*group_norm)(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, size_t groups,
                              const vdit_tensor *w, const vdit_tensor *b, double eps);
    vdit_status (*activate)(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, vdit_activation f);
    vdit_status (*activate_gated)(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                  vdit_activation f);
    vdit_status (*add)(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, const vdit_tensor *z);
    vdit_status (*modulate)(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                            const vdit_tensor *scale, const vdit_tensor *shift);
    vdit_status (*gated_add)(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                             const vdit_tensor *gate, const vdit_tensor *z);
    vdit_status (*rotary)(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                          const vdit_tensor *cosine, const vdit_tensor *sine);
} vdit_backend;

/* Returns: the backend of that name ("reference", "fast"), or NULL. */
VDIT_API const vdit_backend *vdit_backend_find(const char *name);

/* Returns: the i-th backend, or NULL past the last. */
VDIT_API const vdit_backend *vdit_backend_at(size_t i);

/*
 * Calls an operator of any backend, or the reference's where the backend lacks it. A failure without
 * a message gets one, so that no failure is taken for a result. Attention is checked first
 * (vdit_attention_check), and sigma is asked of the reference alone (VDIT_ERR_UNSUPPORTED).
 * Out, In: as in vdit/op.h and vdit/attention.h. Returns: VDIT_OK or the failure.
 */
VDIT_API vdit_status vdit_backend_linear(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                                         const vdit_tensor *x, const vdit_tensor *w,
                                         const vdit_tensor *b);
VDIT_API vdit_status vdit_backend_matmul(vdit_run *run, const vdit_backend *backend, vdit_tensor *c,
                                         const vdit_tensor *a, const vdit_tensor *b);
VDIT_API vdit_status vdit_backend_exp(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                                      const vdit_tensor *x);
VDIT_API vdit_status vdit_backend_log(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                                      const vdit_tensor *x);
VDIT_API vdit_status vdit_backend_attention(vdit_run *run, const vdit_backend *backend,
                                            const vdit_attention *a);
VDIT_API vdit_status vdit_backend_conv(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                                       const vdit_tensor *x, const vdit_tensor *w,
                                       const vdit_tensor *b, const vdit_conv_walk *walk);
VDIT_API vdit_status vdit_backend_layer_norm(vdit_run *run, const vdit_backend *backend,
                                             vdit_tensor *y, const vdit_tensor *x,
                                             const vdit_tensor *w, const vdit_tensor *b,
                                             double eps);
VDIT_API vdit_status vdit_backend_rms_norm(vdit_run *run, const vdit_backend *backend,
                                           vdit_tensor *y, const vdit_tensor *x,
                                           const vdit_tensor *w, double eps);
VDIT_API vdit_status vdit_backend_group_norm(vdit_run *run, const vdit_backend *backend,
                                             vdit_tensor *y, const vdit_tensor *x, size_t groups,
                                             const vdit_tensor *w, const vdit_tensor *b,
                                             double eps);
VDIT_API vdit_status vdit_backend_activate(vdit_run *run, const vdit_backend *backend,
                                           vdit_tensor *y, const vdit_tensor *x, vdit_activation f);
VDIT_API vdit_status vdit_backend_activate_gated(vdit_run *run, const vdit_backend *backend,
                                                 vdit_tensor *y, const vdit_tensor *x,
                                                 vdit_activation f);
VDIT_API vdit_status vdit_backend_add(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                                      const vdit_tensor *x, const vdit_tensor *z);
VDIT_API vdit_status vdit_backend_modulate(vdit_run *run, const vdit_backend *backend,
                                           vdit_tensor *y, const vdit_tensor *x,
                                           const vdit_tensor *scale, const vdit_tensor *shift);
VDIT_API vdit_status vdit_backend_gated_add(vdit_run *run, const vdit_backend *backend,
                                            vdit_tensor *y, const vdit_tensor *x,
                                            const vdit_tensor *gate, const vdit_tensor *z);
VDIT_API vdit_status vdit_backend_rotary(vdit_run *run, const vdit_backend *backend, vdit_tensor *y,
                                         const vdit_tensor *x, const vdit_tensor *cosine,
                                         const vdit_tensor *sine);

/* Counts up when a plugin compiled before could no longer be called. Fields that are appended leave
   it alone: their structs say how large they are. */
#define VDIT_PLUGIN_ABI 1

/* What a plugin brings. It lives as long as the plugin is loaded. */
typedef struct vdit_plugin {
    size_t size;  /* of this struct */
    unsigned abi; /* VDIT_PLUGIN_ABI */
    const vdit_backend *const *backends;
    size_t count; /* of backends, at least 1 */
} vdit_plugin;

/* The one symbol that a plugin exports; this library has none of that name. */
VDIT_API const vdit_plugin *vdit_plugin_entry(void);

/* A plugin that is loaded. Cleared by vdit_plugin_close. */
typedef struct vdit_loaded {
    void *handle;
    const vdit_plugin *plugin;
} vdit_loaded;

/*
 * Loads a plugin and checks its tables. Loading runs code of the plugin: load what you trust. A path
 * without a slash is a file of the working folder.
 * Out: loaded. Returns: VDIT_OK, VDIT_ERR_IO if it cannot be loaded, VDIT_ERR_FORMAT if it is not
 * what this header says, VDIT_ERR_UNSUPPORTED if this build has no dlopen.
 */
VDIT_API vdit_status vdit_plugin_load(vdit_run *run, vdit_loaded *loaded, const char *path);

/*
 * In: name, or NULL for the only backend of the plugin.
 * Returns: the backend, or NULL with the run failed and the names told.
 */
VDIT_API const vdit_backend *vdit_plugin_find(vdit_run *run, const vdit_loaded *loaded,
                                              const char *name);

/* Unloads a plugin. None of its backends may be in use. */
VDIT_API void vdit_plugin_close(vdit_loaded *loaded);

#endif
