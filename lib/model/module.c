/* module.c - modules that several families share. */
#include "model/module.h"
#include "base/internal.h"

vdit_tensor vdit_module_input(vdit_run *run, vdit_dtype dtype, int rank, const size_t *shape)
{
    vdit_tensor none = {0};

    if (vdit_shape_fits(dtype, rank, shape))
        return vdit_tensor_view(NULL, dtype, rank, shape);
    vdit_run_fail(run, VDIT_ERR_LIMIT, "forward: an input or output is too large to be addressed");
    return none;
}

vdit_tensor vdit_module_activation(vdit_net *net, const char *name, vdit_tensor x,
                                   vdit_activation f)
{
    vdit_tensor y = vdit_net_activate(net, x, f);

    vdit_net_record_as(net, name, -1, &y);
    return y;
}

vdit_tensor vdit_module_embedder(vdit_net *net, const char *name, vdit_tensor x, size_t width,
                                 const char *act, vdit_activation f)
{
    size_t at = vdit_net_enter(net, "%s", name);

    x = vdit_net_linear(net, "linear_1", x, width, 1);
    x = vdit_module_activation(net, act, x, f);
    x = vdit_net_linear(net, "linear_2", x, width, 1);
    vdit_net_record(net, &x);
    vdit_net_leave(net, at);
    return x;
}

/* Records f(gate), which the gated unit does not round on its way. */
static void record_gate(vdit_net *net, const vdit_tensor *x, vdit_activation f)
{
    size_t mark = vdit_net_mark(net);
    vdit_tensor half[2];

    if (net->watch.activation == NULL)
        return;
    vdit_net_chunk(half, 2, x);
    vdit_module_activation(net, "net.0.activation", half[1], f);
    vdit_net_release(net, mark, NULL, 0);
}

vdit_tensor vdit_module_feed_forward(vdit_net *net, const char *name, vdit_tensor x,
                                     const vdit_feed_forward *how)
{
    size_t at = vdit_net_enter(net, "%s", name), width = x.shape[x.rank - 1];

    x = vdit_net_linear(net, "net.0.proj", x, how->gated ? 2 * how->inner : how->inner,
                        how->with_bias);
    if (how->gated) {
        if (how->submodule)
            record_gate(net, &x, how->f);
        x = vdit_net_activate_gated(net, x, how->f);
    } else {
        x = vdit_net_activate(net, x, how->f);
        if (how->submodule)
            vdit_net_record_as(net, "net.0.activation", -1, &x);
    }
    vdit_net_record_as(net, "net.0", -1, &x);
    x = vdit_net_linear(net, "net.2", x, width, how->with_bias);
    vdit_net_record(net, &x);
    vdit_net_leave(net, at);
    return x;
}

vdit_tensor vdit_module_places(vdit_net *net, const size_t *count, const double *const *place)
{
    size_t shape[] = {count[0] * count[1] * count[2], 3};
    vdit_tensor places = vdit_net_new(net, VDIT_F64, 2, shape);
    double *at = places.data;

    for (size_t n = 0; at != NULL && n < shape[0]; n++) {
        size_t index[] = {n / count[2] / count[1], n / count[2] % count[1], n % count[2]};

        for (int axis = 0; axis < 3; axis++)
            *at++ = place[axis] != NULL ? place[axis][index[axis]] : (double)index[axis];
    }
    return places;
}

vdit_tensor vdit_module_unpatch(vdit_net *net, vdit_tensor x, const size_t *count,
                                const size_t *patch, int channel_first)
{
    static const int orders[2][8] = {{0, 7, 1, 4, 2, 5, 3, 6}, {0, 4, 1, 5, 2, 6, 3, 7}};
    size_t channels = x.shape[2] / (patch[0] * patch[1] * patch[2]);
    size_t shape[] = {x.shape[0], channels, count[0] * patch[0], count[1] * patch[1],
                      count[2] * patch[2]};
    const size_t parts[2][3] = {{patch[0], patch[1], patch[2]}, {channels, patch[0], patch[1]}};
    vdit_tensor video = vdit_net_new(net, net->dtype, 5, shape), into = video;

    /* [B, F', H', W', ...] and [B, C, F', p, H', p, W', p]: each axis of the video stands beside that of its patch. */
    x = vdit_net_split(&x, 1, count[0]);
    x = vdit_net_split(&x, 2, count[1]);
    for (int axis = 0; axis < 3; axis++) {
        x = vdit_net_split(&x, 4 + axis, parts[!!channel_first][axis]);
        into = vdit_net_split(&into, 2 + 2 * axis, count[axis]);
    }
    x = vdit_tensor_permute(&x, orders[!!channel_first]);
    vdit_net_copy(net, into, &x);
    return video;
}

void vdit_module_check_patch(vdit_run *run, const char *family, const vdit_extents *extents,
                             const size_t *patch)
{
    static const char *const axes[] = {"frames", "height", "width"};
    const size_t given[] = {extents->frames, extents->height, extents->width};

    for (int i = 0; i < 3; i++)
        if (given[i] == 0 || given[i] % patch[i] != 0)
            vdit_run_fail(run, VDIT_ERR_SHAPE, "%s: %s %zu, expected a multiple of the patch's %zu",
                          family, axes[i], given[i], patch[i]);
}
