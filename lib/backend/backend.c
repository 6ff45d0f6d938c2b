/* backend.c - the backends that this library knows. */
#include <string.h>
#include <vdit/backend.h>
#include "backend/fast.h"

static const vdit_backend backends[] = {
    {sizeof(vdit_backend), "reference", "every element is the real result rounded once",
     vdit_linear, vdit_matmul, vdit_exp, vdit_log, vdit_attention_reference,
     vdit_attention_reference},
    {sizeof(vdit_backend), "fast", "binary32 arithmetic, no promise on bits", vdit_fast_linear,
     vdit_fast_matmul, vdit_exp, vdit_log, vdit_attention_fast, NULL},
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
