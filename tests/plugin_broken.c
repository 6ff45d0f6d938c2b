/* plugin_broken.c - backends that are each wrong in one operator: for the first divergence inside a network. */
#include <vdit/backend.h>

static vdit_status no_bias(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                           const vdit_tensor *w, const vdit_tensor *b)
{
    (void)b;
    return vdit_linear(run, y, x, w, NULL);
}

static vdit_status no_patch_bias(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                 const vdit_tensor *w, const vdit_tensor *b,
                                 const vdit_conv_walk *walk)
{
    (void)b;
    return vdit_conv(run, y, x, w, NULL, walk);
}

/* 1e-5 in place of 1e-6. */
static vdit_status wrong_eps(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                             const vdit_tensor *w, const vdit_tensor *b, double eps)
{
    return vdit_layer_norm(run, y, x, w, b, 10 * eps);
}

static vdit_status wrong_rms(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                             const vdit_tensor *w, double eps)
{
    return vdit_rms_norm(run, y, x, w, 10 * eps);
}

static vdit_status other_gelu(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                              vdit_activation f)
{
    return vdit_activate(run, y, x, f == VDIT_GELU_TANH ? VDIT_GELU : f);
}

static vdit_status swapped(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                           const vdit_tensor *scale, const vdit_tensor *shift)
{
    return vdit_modulate(run, y, x, shift != NULL ? shift : scale, shift != NULL ? scale : NULL);
}

static vdit_status no_gate(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                           const vdit_tensor *gate, const vdit_tensor *z)
{
    (void)gate;
    return vdit_add(run, y, x, z);
}

static vdit_status backwards(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                             const vdit_tensor *cosine, const vdit_tensor *sine)
{
    return vdit_rotary(run, y, x, sine, cosine);
}

static vdit_status no_root(vdit_run *run, const vdit_attention *a)
{
    vdit_attention other = *a;

    other.scale = a->scale * a->scale;
    return vdit_attention_reference(run, &other);
}

#define SIZE sizeof(vdit_backend)

static const vdit_backend bias = {.size = SIZE, .name = "bias", .linear = no_bias};
static const vdit_backend patch = {.size = SIZE, .name = "patch", .conv = no_patch_bias};
static const vdit_backend eps = {.size = SIZE, .name = "eps", .layer_norm = wrong_eps};
static const vdit_backend rms = {.size = SIZE, .name = "rms", .rms_norm = wrong_rms};
static const vdit_backend gelu = {.size = SIZE, .name = "gelu", .activate = other_gelu};
static const vdit_backend swap = {.size = SIZE, .name = "swap", .modulate = swapped};
static const vdit_backend gate = {.size = SIZE, .name = "gate", .gated_add = no_gate};
static const vdit_backend turn = {.size = SIZE, .name = "turn", .rotary = backwards};
static const vdit_backend root = {.size = SIZE, .name = "root", .attention = no_root};

static const vdit_backend *const backends[] = {&bias, &patch, &eps,  &rms, &gelu,
                                               &swap, &gate,  &turn, &root};

static const vdit_plugin plugin = {sizeof plugin, VDIT_PLUGIN_ABI, backends,
                                   sizeof backends / sizeof *backends};

const vdit_plugin *vdit_plugin_entry(void)
{
    return &plugin;
}
