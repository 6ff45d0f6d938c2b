/* net_view.c - views and copies of tensors of a network. */
#include <string.h>
#include "model/net.h"

vdit_tensor vdit_net_slice(const vdit_tensor *x, int axis, size_t first, size_t count)
{
    vdit_tensor view = *x;

    view.shape[axis] = count;
    if (x->data != NULL)
        view.data = (char *)x->data +
                    (ptrdiff_t)first * x->stride[axis] * (ptrdiff_t)vdit_dtype_size(x->dtype);
    return view;
}

vdit_tensor vdit_net_split(const vdit_tensor *x, int axis, size_t parts)
{
    vdit_tensor view = *x;
    size_t n = parts > 0 ? x->shape[axis] / parts : 0;

    for (int i = x->rank; i > axis + 1; i--) {
        view.shape[i] = x->shape[i - 1];
        view.stride[i] = x->stride[i - 1];
    }
    view.rank++;
    view.shape[axis] = parts;
    view.stride[axis] = x->stride[axis] * (ptrdiff_t)n;
    view.shape[axis + 1] = n;
    view.stride[axis + 1] = x->stride[axis];
    return view;
}

vdit_tensor vdit_net_merge(const vdit_tensor *x, int axis)
{
    vdit_tensor view = *x;

    view.shape[axis] *= x->shape[axis + 1];
    view.stride[axis] = x->stride[axis + 1];
    for (int i = axis + 1; i + 1 < x->rank; i++) {
        view.shape[i] = x->shape[i + 1];
        view.stride[i] = x->stride[i + 1];
    }
    view.rank--;
    return view;
}

vdit_tensor vdit_net_heads(const vdit_tensor *x, size_t heads)
{
    static const int order[] = {0, 2, 1, 3};
    vdit_tensor split = vdit_net_split(x, 2, heads);

    return vdit_tensor_permute(&split, order);
}

void vdit_net_chunk(vdit_tensor *chunk, size_t count, const vdit_tensor *x)
{
    int last = x->rank - 1;
    size_t n = x->shape[last] / count;

    for (size_t i = 0; i < count; i++)
        chunk[i] = vdit_net_slice(x, last, i * n, n);
}

/* Rows along the last axis: bytes where nothing is rounded, else element by element. */
static void copy_row(const vdit_tensor *into, const vdit_tensor *x, ptrdiff_t to, ptrdiff_t from,
                     size_t n, ptrdiff_t to_step, ptrdiff_t from_step)
{
    size_t wide = vdit_dtype_size(into->dtype), narrow = vdit_dtype_size(x->dtype);
    char *y = (char *)into->data + to * (ptrdiff_t)wide;
    const char *a = (const char *)x->data + from * (ptrdiff_t)narrow;

    if (into->dtype == x->dtype && to_step == 1 && from_step == 1) {
        memcpy(y, a, n * wide);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        double value;

        vdit_load_f64(&value, 1, a + (ptrdiff_t)i * from_step * (ptrdiff_t)narrow, 1, x->dtype);
        vdit_store_f64(y + (ptrdiff_t)i * to_step * (ptrdiff_t)wide, into->dtype, value);
    }
}

void vdit_net_copy(vdit_net *net, vdit_tensor into, const vdit_tensor *x)
{
    size_t index[VDIT_MAX_RANK] = {0}, rows = 1;
    ptrdiff_t to = 0, from = 0;
    int last = x->rank - 1;

    if (net->dry || vdit_run_status(net->run) != VDIT_OK || vdit_tensor_count(x) == 0)
        return;
    if (x->rank == 0) {
        copy_row(&into, x, 0, 0, 1, 1, 1);
        return;
    }
    for (int i = 0; i < last; i++)
        rows *= x->shape[i];
    for (size_t row = 0; row < rows; row++) {
        copy_row(&into, x, to, from, x->shape[last], into.stride[last], x->stride[last]);
        for (int axis = last - 1; axis >= 0; axis--) { /* the next row, like an odometer */
            to += into.stride[axis];
            from += x->stride[axis];
            if (++index[axis] < x->shape[axis])
                break;
            to -= (ptrdiff_t)x->shape[axis] * into.stride[axis];
            from -= (ptrdiff_t)x->shape[axis] * x->stride[axis];
            index[axis] = 0;
        }
    }
}

void vdit_net_clear(vdit_net *net, const vdit_tensor *x, int axis, size_t first)
{
    vdit_tensor rest = vdit_net_slice(x, axis, first, x->shape[axis] - first), zeros = rest;
    float zero = 0;

    zeros.dtype = VDIT_F32;
    zeros.data = &zero;
    memset(zeros.stride, 0, sizeof zeros.stride);
    vdit_net_copy(net, rest, &zeros);
}

vdit_tensor vdit_net_cast(vdit_net *net, vdit_dtype dtype, vdit_tensor x)
{
    vdit_tensor made;

    if (x.dtype == dtype)
        return x;
    made = vdit_net_like(net, dtype, &x);
    vdit_net_copy(net, made, &x);
    return made;
}

vdit_tensor vdit_net_join(vdit_net *net, const vdit_tensor *x, const vdit_tensor *y, int axis)
{
    size_t shape[VDIT_MAX_RANK];
    vdit_tensor made;

    memcpy(shape, x->shape, sizeof shape);
    shape[axis] += y->shape[axis];
    made = vdit_net_new(net, net->dtype, x->rank, shape);
    vdit_net_copy(net, vdit_net_slice(&made, axis, 0, x->shape[axis]), x);
    vdit_net_copy(net, vdit_net_slice(&made, axis, x->shape[axis], y->shape[axis]), y);
    return made;
}
