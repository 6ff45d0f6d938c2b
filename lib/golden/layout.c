/* layout.c - [B,H,N,d] in the library, what the case's layout says in files. */
#include <string.h>
#include "golden/layout.h"

#define PACKED "qkv"

static const char *const names[] = {
    [VDIT_AXES_BHND] = "BHND",
    [VDIT_AXES_BNHD] = "BNHD",
    [VDIT_AXES_BN3HD] = "BN3HD",
};

const char *vdit_axes_name(vdit_axes axes)
{
    return names[axes];
}

int vdit_axes_find(vdit_axes *axes, const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) {
            *axes = (vdit_axes)i;
            return 1;
        }
    return 0;
}

/* [B,H,N,d] and [B,N,H,d] are one another's view. */
static vdit_tensor swapped(const vdit_tensor *t)
{
    static const int order[] = {0, 2, 1, 3};

    return vdit_tensor_permute(t, order);
}

/* Returns: part 0, 1 or 2 of packed [B,N,3,H,d], as [B,H,N,d]. */
static vdit_tensor part_of(const vdit_tensor *packed, int part)
{
    const size_t first[] = {0, 0, (size_t)part, 0, 0};
    vdit_tensor t = *packed;

    t.rank = 4;
    t.data = vdit_tensor_at(packed, first);
    memmove(t.shape + 2, t.shape + 3, 2 * sizeof *t.shape);
    memmove(t.stride + 2, t.stride + 3, 2 * sizeof *t.stride);
    return swapped(&t);
}

/* Returns: q, k and v, which are parts of one tensor, as that tensor. */
static vdit_tensor pack(const vdit_tensor *q, const vdit_tensor *k)
{
    vdit_tensor t = swapped(q);
    ptrdiff_t bytes = (const char *)k->data - (const char *)q->data;

    t.rank = 5;
    memmove(t.shape + 3, t.shape + 2, 2 * sizeof *t.shape);
    memmove(t.stride + 3, t.stride + 2, 2 * sizeof *t.stride);
    t.shape[2] = 3;
    t.stride[2] = bytes / (ptrdiff_t)vdit_dtype_size(q->dtype);
    return t;
}

vdit_status vdit_layout_new(vdit_run *run, vdit_tensor operands[3], const vdit_case *c)
{
    const size_t packed[] = {c->B, c->Nq, 3, c->H, c->d};
    const size_t tokens[] = {c->Nq, c->Nk, c->Nk}, widths[] = {c->d, c->d, c->dv};
    vdit_tensor whole;

    if (c->axes == VDIT_AXES_BN3HD && vdit_tensor_new(run, &whole, c->dtype, 5, packed) != VDIT_OK)
        return vdit_run_status(run);
    for (int i = 0; i < 3; i++) {
        const size_t shape[] = {c->B, c->H, tokens[i], widths[i]};
        if (c->axes == VDIT_AXES_BN3HD)
            operands[i] = part_of(&whole, i);
        else if (vdit_layout_new_output(run, &operands[i], c->dtype, shape, c->axes) != VDIT_OK)
            return vdit_run_status(run);
    }
    return VDIT_OK;
}

vdit_status vdit_layout_new_output(vdit_run *run, vdit_tensor *o, vdit_dtype dtype,
                                   const size_t shape[4], vdit_axes axes)
{
    const size_t tokens_first[] = {shape[0], shape[2], shape[1], shape[3]};
    int is_swapped = axes != VDIT_AXES_BHND;

    if (vdit_tensor_new(run, o, dtype, 4, is_swapped ? tokens_first : shape) == VDIT_OK &&
        is_swapped)
        *o = swapped(o);
    return vdit_run_status(run);
}

/* Tensors whose axes the layout orders; the others (mask, lse, ...) are the same in all. */
static int has_layout(const char *name)
{
    static const char *const ordered[] = {"q", "k", "v", "o", "o.sigma"};

    for (size_t i = 0; i < sizeof ordered / sizeof *ordered; i++)
        if (strcmp(ordered[i], name) == 0)
            return 1;
    return 0;
}

vdit_tensor vdit_golden_logical(const vdit_golden *golden, const char *name,
                                const vdit_tensor *stored)
{
    int is_same = golden->op != VDIT_OP_ATTENTION || golden->axes == VDIT_AXES_BHND ||
                  stored->rank != 4 || !has_layout(name);

    return is_same ? *stored : swapped(stored);
}

size_t vdit_layout_store(vdit_named *stored, const vdit_golden *golden, int is_output)
{
    const vdit_named *list = is_output ? golden->outputs : golden->inputs;
    size_t total = is_output ? golden->output_count : golden->input_count, count = 0, first = 0;

    if (!is_output && golden->op == VDIT_OP_ATTENTION && golden->axes == VDIT_AXES_BN3HD) {
        stored[count++] = (vdit_named){PACKED, pack(&list[0].tensor, &list[1].tensor)};
        first = 3;
    }
    for (size_t i = first; i < total; i++) /* the view of the view is the tensor itself */
        stored[count++] =
            (vdit_named){list[i].name, vdit_golden_logical(golden, list[i].name, &list[i].tensor)};
    return count;
}

int vdit_layout_find(vdit_tensor *t, const vdit_golden *golden, const char *name)
{
    for (int is_output = 0; is_output < 2; is_output++) {
        vdit_named stored[VDIT_GOLDEN_INPUTS + VDIT_GOLDEN_OUTPUTS];
        size_t count = vdit_layout_store(stored, golden, is_output);
        for (size_t i = 0; i < count; i++)
            if (strcmp(stored[i].name, name) == 0) {
                *t = stored[i].tensor;
                return 1;
            }
    }
    return 0;
}

/* The packed tensor, which comes first, becomes three. */
static vdit_status unpack(vdit_run *run, vdit_golden *golden, const char *path)
{
    static const char *const parts[] = {"q", "k", "v"};
    vdit_tensor packed = golden->inputs[0].tensor;
    size_t others = golden->input_count - 1;

    if (strcmp(golden->inputs[0].name, PACKED) != 0 || packed.rank != 5 || packed.shape[2] != 3 ||
        others + 3 > VDIT_GOLDEN_INPUTS)
        return vdit_run_fail(run, VDIT_ERR_SHAPE,
                             "%s: tensor \"" PACKED "\" [B, N, 3, H, d] was expected first", path);
    memmove(&golden->inputs[3], &golden->inputs[1], others * sizeof *golden->inputs);
    for (int i = 0; i < 3; i++)
        golden->inputs[i] = (vdit_named){parts[i], part_of(&packed, i)};
    golden->input_count = others + 3;
    return VDIT_OK;
}

vdit_status vdit_layout_load(vdit_run *run, vdit_golden *golden, const char *path)
{
    int is_packed = golden->op == VDIT_OP_ATTENTION && golden->axes == VDIT_AXES_BN3HD;

    if (is_packed && (golden->input_count == 0 || unpack(run, golden, path) != VDIT_OK))
        return vdit_run_status(run);
    for (size_t i = is_packed ? 3 : 0; i < golden->input_count; i++)
        golden->inputs[i].tensor =
            vdit_golden_logical(golden, golden->inputs[i].name, &golden->inputs[i].tensor);
    for (size_t i = 0; i < golden->output_count; i++)
        golden->outputs[i].tensor =
            vdit_golden_logical(golden, golden->outputs[i].name, &golden->outputs[i].tensor);
    return vdit_run_status(run);
}
