/* model/module.h - modules that several families share, under the names that they have in all of them. */
#ifndef VDIT_MODEL_MODULE_H
#define VDIT_MODEL_MODULE_H

#include "model/net.h"

/* Returns: an input's shape and usual dtype, without data; fails the run if such a tensor cannot be addressed. */
vdit_tensor vdit_module_input(vdit_run *run, vdit_dtype dtype, int rank, const size_t *shape);

/* A nonlinear function that is a module of its own: recorded under name. */
vdit_tensor vdit_module_activation(vdit_net *net, const char *name, vdit_tensor x,
                                   vdit_activation f);

/* linear_1, f under the name act, linear_2: to width and to width, with biases. Embeds time, guidance and texts. */
vdit_tensor vdit_module_embedder(vdit_net *net, const char *name, vdit_tensor x, size_t width,
                                 const char *act, vdit_activation f);

/* How a feed-forward module widens: net.0.proj to inner, or to 2 inner if it is gated; net.2 goes back. */
typedef struct vdit_feed_forward {
    size_t inner;
    vdit_activation f;
    int gated;     /* [value; gate]: value f(gate) */
    int submodule; /* f is a module, net.0.activation */
    int with_bias;
} vdit_feed_forward;

vdit_tensor vdit_module_feed_forward(vdit_net *net, const char *name, vdit_tensor x,
                                     const vdit_feed_forward *how);

/*
 * The places of video tokens in the order of a sequence: frames outermost, then rows, then columns. Returns: [N, 3] in
 * f64, data NULL in a dry run. In: count[3]; place[a][i], the place of index i on axis a, or NULL: the index.
 */
vdit_tensor vdit_module_places(vdit_net *net, const size_t *count, const double *const *place);

/*
 * Tokens back to a video, [B, N, P] -> [B, C, F, H, W] with N = count[0] count[1] count[2] and P = C patch[0] patch[1]
 * patch[2]: within a token the channel runs fastest, or with channel_first slowest; then frames, rows, columns. A copy.
 */
vdit_tensor vdit_module_unpatch(vdit_net *net, vdit_tensor x, const size_t *count,
                                const size_t *patch, int channel_first);

/* Fails the run unless frames, rows and columns of the latents are multiples of patch[3], and not 0. */
void vdit_module_check_patch(vdit_run *run, const char *family, const vdit_extents *extents,
                             const size_t *patch);

#endif
