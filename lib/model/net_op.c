/* net_op.c - operators of a network: an output of the right shape, the backend's operator, a record. */
#include <string.h>
#include <vdit/backend.h>
#include "model/net.h"

/* Returns: 1 if there is something to compute. */
static int runs(const vdit_net *net)
{
    return !net->dry && vdit_run_status(net->run) == VDIT_OK;
}

/* Returns: x's shape with another last extent. */
static vdit_tensor with_last(vdit_net *net, const vdit_tensor *x, size_t last)
{
    size_t shape[VDIT_MAX_RANK];

    memcpy(shape, x->shape, sizeof shape);
    shape[x->rank - 1] = last;
    return vdit_net_new(net, net->dtype, x->rank, shape);
}

static double count_of(const vdit_tensor *x)
{
    double count = 1;

    for (int i = 0; i < x->rank; i++)
        count *= (double)x->shape[i];
    return count;
}

vdit_tensor vdit_net_linear(vdit_net *net, const char *name, vdit_tensor x, size_t outputs,
                            int with_bias)
{
    size_t shape[] = {outputs, x.shape[x.rank - 1]}, at = vdit_net_enter(net, "%s", name);
    vdit_tensor w = vdit_net_weight(net, "weight", 2, shape), b = {0};
    vdit_tensor y = with_last(net, &x, outputs);

    if (with_bias)
        b = vdit_net_weight(net, "bias", 1, shape);
    net->flops += 2 * count_of(&x) * (double)outputs;
    if (runs(net))
        vdit_backend_linear(net->run, net->backend, &y, &x, &w, with_bias ? &b : NULL);
    vdit_net_perturb(net, &y, x.shape[x.rank - 1]);
    vdit_net_record(net, &y);
    vdit_net_leave(net, at);
    return y;
}

vdit_tensor vdit_net_patches(vdit_net *net, const char *name, vdit_tensor x, size_t outputs,
                             const size_t *patch, int axes, int with_bias)
{
    size_t kernel[VDIT_MAX_RANK] = {outputs, x.shape[1]}, shape[VDIT_MAX_RANK] = {x.shape[0]};
    size_t at = vdit_net_enter(net, "%s", name);
    int order[VDIT_MAX_RANK] = {0, axes + 1};
    vdit_conv_walk walk;
    vdit_tensor w, b = {0}, y, channels_second;

    memset(&walk, 0, sizeof walk);
    for (int i = 0; i < axes; i++) {
        kernel[2 + i] = walk.stride[i] = patch[i];
        shape[1 + i] = x.shape[2 + i] / patch[i];
        order[2 + i] = 1 + i;
    }
    shape[1 + axes] = outputs;
    w = vdit_net_weight(net, "weight", 2 + axes, kernel);
    if (with_bias)
        b = vdit_net_weight(net, "bias", 1, kernel);
    y = vdit_net_new(net, net->dtype, 2 + axes, shape);
    net->flops += 2 * count_of(&x) * (double)outputs;
    channels_second = vdit_tensor_permute(&y, order);
    if (runs(net))
        vdit_backend_conv(net->run, net->backend, &channels_second, &x, &w, with_bias ? &b : NULL,
                          &walk);
    vdit_net_perturb(net, &y, outputs > 0 ? vdit_tensor_count(&w) / outputs : 0);
    vdit_net_record(net, &channels_second);
    vdit_net_leave(net, at);
    return y;
}

vdit_tensor vdit_net_layer_norm(vdit_net *net, const char *name, vdit_tensor x, int affine,
                                double eps)
{
    size_t at = name != NULL ? vdit_net_enter(net, "%s", name) : net->name_length;
    vdit_tensor y = vdit_net_like(net, net->dtype, &x), w = {0}, b = {0};

    if (affine) {
        w = vdit_net_weight(net, "weight", 1, &x.shape[x.rank - 1]);
        b = vdit_net_weight(net, "bias", 1, &x.shape[x.rank - 1]);
    }
    if (runs(net))
        vdit_backend_layer_norm(net->run, net->backend, &y, &x, affine ? &w : NULL,
                                affine ? &b : NULL, eps);
    vdit_net_perturb(net, &y, x.shape[x.rank - 1]);
    if (name != NULL)
        vdit_net_record(net, &y);
    vdit_net_leave(net, at);
    return y;
}

vdit_tensor vdit_net_rms_norm(vdit_net *net, const char *name, vdit_tensor x, int affine,
                              double eps)
{
    size_t at = name != NULL ? vdit_net_enter(net, "%s", name) : net->name_length;
    vdit_tensor y = vdit_net_like(net, net->dtype, &x), w = {0};

    if (affine)
        w = vdit_net_weight(net, "weight", 1, &x.shape[x.rank - 1]);
    if (runs(net))
        vdit_backend_rms_norm(net->run, net->backend, &y, &x, affine ? &w : NULL, eps);
    vdit_net_perturb(net, &y, x.shape[x.rank - 1]);
    if (name != NULL)
        vdit_net_record(net, &y);
    vdit_net_leave(net, at);
    return y;
}

vdit_tensor vdit_net_activate(vdit_net *net, vdit_tensor x, vdit_activation f)
{
    vdit_tensor y = vdit_net_like(net, net->dtype, &x);

    if (runs(net))
        vdit_backend_activate(net->run, net->backend, &y, &x, f);
    vdit_net_perturb(net, &y, 1);
    return y;
}

vdit_tensor vdit_net_activate_gated(vdit_net *net, vdit_tensor x, vdit_activation f)
{
    vdit_tensor y = with_last(net, &x, x.shape[x.rank - 1] / 2);

    if (runs(net))
        vdit_backend_activate_gated(net->run, net->backend, &y, &x, f);
    vdit_net_perturb(net, &y, 1);
    return y;
}

vdit_tensor vdit_net_add(vdit_net *net, vdit_tensor x, vdit_tensor z)
{
    vdit_tensor y = vdit_net_like(net, net->dtype, &x);

    if (runs(net))
        vdit_backend_add(net->run, net->backend, &y, &x, &z);
    vdit_net_perturb(net, &y, 1);
    return y;
}

vdit_tensor vdit_net_modulate(vdit_net *net, vdit_tensor x, vdit_tensor scale,
                              const vdit_tensor *shift)
{
    vdit_tensor y = vdit_net_like(net, net->dtype, &x);

    if (runs(net))
        vdit_backend_modulate(net->run, net->backend, &y, &x, &scale, shift);
    vdit_net_perturb(net, &y, 1);
    return y;
}

vdit_tensor vdit_net_gated_add(vdit_net *net, vdit_tensor x, vdit_tensor gate, vdit_tensor z)
{
    vdit_tensor y = vdit_net_like(net, net->dtype, &x);

    if (runs(net))
        vdit_backend_gated_add(net->run, net->backend, &y, &x, &gate, &z);
    vdit_net_perturb(net, &y, 1);
    return y;
}

vdit_tensor vdit_net_rotary(vdit_net *net, vdit_tensor x, vdit_tensor cosine, vdit_tensor sine)
{
    vdit_tensor y = vdit_net_like(net, net->dtype, &x);

    if (runs(net))
        vdit_backend_rotary(net->run, net->backend, &y, &x, &cosine, &sine);
    vdit_net_perturb(net, &y, 1);
    return y;
}

vdit_tensor vdit_net_masked_mean(vdit_net *net, vdit_tensor x, const vdit_tensor *mask,
                                 size_t least)
{
    size_t shape[] = {x.shape[0], x.shape[2]};
    vdit_tensor y = vdit_net_new(net, net->dtype, 2, shape);

    if (runs(net))
        vdit_masked_mean(net->run, &y, &x, mask, least);
    vdit_net_perturb(net, &y, x.shape[1]);
    return y;
}

vdit_tensor vdit_net_sinusoid(vdit_net *net, vdit_tensor t, size_t width)
{
    size_t shape[] = {t.shape[0], width};
    vdit_tensor y = vdit_net_new(net, VDIT_F32, 2, shape);

    vdit_net_jitter(net, &t, 1); /* of the frequency and of the product */
    if (runs(net))
        vdit_sinusoid(net->run, &y, &t, 10000, 0, 1);
    vdit_net_perturb(net, &y, 1);
    return y;
}

void vdit_net_rotary_table(vdit_net *net, vdit_tensor *cosine, vdit_tensor *sine,
                           const vdit_tensor *position, const size_t *widths, double theta)
{
    size_t shape[] = {position->shape[0], 0};
    vdit_tensor moved = *position;

    for (size_t axis = 0; axis < position->shape[1]; axis++)
        shape[1] += widths[axis] / 2;
    *cosine = vdit_net_new(net, VDIT_F32, 2, shape);
    *sine = vdit_net_new(net, VDIT_F32, 2, shape);
    vdit_net_jitter(net, &moved, 0.5); /* of the product */
    if (runs(net))
        vdit_rotary_table(net->run, cosine, sine, &moved, widths, theta);
    vdit_net_perturb(net, cosine, 1);
    vdit_net_perturb(net, sine, 1);
}

void vdit_net_rotary_learned(vdit_net *net, vdit_tensor *cosine, vdit_tensor *sine,
                             const vdit_tensor *position, const vdit_tensor *frequency)
{
    size_t shape[] = {frequency->shape[1], position->shape[0], frequency->shape[2]};
    vdit_tensor moved = *position;

    *cosine = vdit_net_new(net, VDIT_F32, 3, shape);
    *sine = vdit_net_new(net, VDIT_F32, 3, shape);
    vdit_net_jitter(net, &moved, 0.5);
    if (runs(net))
        vdit_rotary_learned(net->run, cosine, sine, &moved, frequency);
    vdit_net_perturb(net, cosine, 1);
    vdit_net_perturb(net, sine, 1);
}
