/* tensor.c - element types and tensor descriptions. */
#include <stdio.h>
#include <string.h>
#include "base/internal.h"

static const struct {
    const char *name;
    size_t size;
} dtypes[VDIT_DTYPE_COUNT] = {
    [VDIT_F64] = {"f64", 8}, [VDIT_F32] = {"f32", 4},   [VDIT_BF16] = {"bf16", 2},
    [VDIT_F16] = {"f16", 2}, [VDIT_I64] = {"i64", 8},   [VDIT_I32] = {"i32", 4},
    [VDIT_U8] = {"u8", 1},   [VDIT_BOOL] = {"bool", 1},
};

size_t vdit_dtype_size(vdit_dtype dtype)
{
    return dtypes[dtype].size;
}

const char *vdit_dtype_name(vdit_dtype dtype)
{
    return dtypes[dtype].name;
}

int vdit_dtype_find(vdit_dtype *dtype, const char *name)
{
    for (int i = 0; i < VDIT_DTYPE_COUNT; i++)
        if (strcmp(dtypes[i].name, name) == 0) {
            *dtype = (vdit_dtype)i;
            return 1;
        }
    return 0;
}

int vdit_dtype_is_float(vdit_dtype dtype)
{
    return dtype == VDIT_F64 || dtype == VDIT_F32 || dtype == VDIT_BF16 || dtype == VDIT_F16;
}

vdit_tensor vdit_tensor_view(void *data, vdit_dtype dtype, int rank, const size_t *shape)
{
    vdit_tensor t = {dtype, rank, {0}, {0}, data};
    size_t step = 1;

    for (int i = rank - 1; i >= 0; i--) {
        t.shape[i] = shape[i];
        t.stride[i] = (ptrdiff_t)step;
        step *= shape[i] ? shape[i] : 1;
    }
    return t;
}

int vdit_shape_fits(vdit_dtype dtype, int rank, const size_t *shape)
{
    size_t product = dtypes[dtype].size;

    if (rank < 0 || rank > VDIT_MAX_RANK)
        return 0;
    for (int i = 0; i < rank; i++) {
        size_t extent = shape[i] ? shape[i] : 1;
        if (product > PTRDIFF_MAX / extent)
            return 0;
        product *= extent;
    }
    return 1;
}

vdit_status vdit_tensor_new(vdit_run *run, vdit_tensor *t, vdit_dtype dtype, int rank,
                            const size_t *shape)
{
    vdit_tensor made;

    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    if (!vdit_shape_fits(dtype, rank, shape))
        return vdit_run_fail(run, VDIT_ERR_LIMIT, "a tensor of rank %d is too large", rank);
    made = vdit_tensor_view(NULL, dtype, rank, shape);
    made.data = vdit_run_alloc(run, vdit_tensor_count(&made), dtypes[dtype].size);
    if (made.data == NULL)
        return vdit_run_status(run);
    *t = made;
    return VDIT_OK;
}

vdit_tensor vdit_tensor_permute(const vdit_tensor *t, const int *order)
{
    vdit_tensor result = *t;

    for (int i = 0; i < t->rank; i++) {
        result.shape[i] = t->shape[order[i]];
        result.stride[i] = t->stride[order[i]];
    }
    return result;
}

size_t vdit_tensor_count(const vdit_tensor *t)
{
    size_t count = 1;

    for (int i = 0; i < t->rank; i++)
        count *= t->shape[i];
    return count;
}

int vdit_tensor_is_dense(const vdit_tensor *t)
{
    ptrdiff_t step = 1;

    for (int i = t->rank - 1; i >= 0; i--) {
        if (t->shape[i] > 1 && t->stride[i] != step)
            return 0;
        step *= (ptrdiff_t)(t->shape[i] ? t->shape[i] : 1);
    }
    return 1;
}

void *vdit_tensor_at(const vdit_tensor *t, const size_t *index)
{
    ptrdiff_t offset = 0;

    for (int i = 0; i < t->rank; i++)
        offset += (ptrdiff_t)index[i] * t->stride[i];
    return (char *)t->data + offset * (ptrdiff_t)dtypes[t->dtype].size;
}

void vdit_tensor_pack(void *out, const vdit_tensor *t)
{
    size_t size = dtypes[t->dtype].size, count = vdit_tensor_count(t);
    size_t index[VDIT_MAX_RANK] = {0};
    char *to = out;

    if (count == 0)
        return;
    if (vdit_tensor_is_dense(t)) {
        memcpy(out, t->data, count * size);
        return;
    }
    for (size_t n = 0; n < count; n++, to += size) {
        memcpy(to, vdit_tensor_at(t, index), size);
        for (int axis = t->rank - 1; axis >= 0 && ++index[axis] == t->shape[axis]; axis--)
            index[axis] = 0;
    }
}

char *vdit_tensor_shape_text(char *text, size_t size, const vdit_tensor *t)
{
    size_t used = (size_t)snprintf(text, size, "[");

    for (int i = 0; i < t->rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, i ? ", %zu" : "%zu", t->shape[i]);
    if (used < size)
        snprintf(text + used, size - used, "]");
    return text;
}
