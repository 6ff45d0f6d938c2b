/* backend.c - the backends that this library knows. */
#include <string.h>
#include <vdit/backend.h>
#include "backend/fast.h"

static const vdit_backend backends[] = {
    {
        .size = sizeof(vdit_backend),
        .name = "reference",
        .about = "every element is the real result rounded once",
        .linear = vdit_linear,
        .matmul = vdit_matmul,
        .exp = vdit_exp,
        .log = vdit_log,
        .attention = vdit_attention_reference,
        .edited = vdit_attention_reference,
        .conv = vdit_conv,
        .layer_norm = vdit_layer_norm,
        .rms_norm = vdit_rms_norm,
        .group_norm = vdit_group_norm,
        .activate = vdit_activate,
        .activate_gated = vdit_activate_gated,
        .add = vdit_add,
        .modulate = vdit_modulate,
        .gated_add = vdit_gated_add,
        .rotary = vdit_rotary,
    },
    {
        .size = sizeof(vdit_backend),
        .name = "fast",
        .about = "binary32 arithmetic, no promise on bits",
        .linear = vdit_fast_linear,
        .matmul = vdit_fast_matmul,
        .exp = vdit_exp,
        .log = vdit_log,
        .attention = vdit_attention_fast,
        .conv = vdit_fast_conv,
        .layer_norm = vdit_fast_layer_norm,
        .rms_norm = vdit_fast_rms_norm,
        .group_norm = vdit_fast_group_norm,
        .activate = vdit_fast_activate,
        .activate_gated = vdit_fast_activate_gated,
        .add = vdit_fast_add,
        .modulate = vdit_fast_modulate,
        .gated_add = vdit_fast_gated_add,
        .rotary = vdit_fast_rotary,
    },
};

const vdit_backend *vdit_backend_at(size_t i)
{
    return i < sizeof backends / sizeof *backends ? &backends[i] : NULL;
}

const vdit_backend *vdit_backend_find(const char *name)
{
    for (size_t i = 0; vdit_backend_at(i) != NULL; i++)
        if (strcmp(backends[i].name, name) == 0)
            return &backends[i];
    return NULL;
}
