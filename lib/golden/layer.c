/* layer.c - the tensors of each operator of the networks, and the calls. */
#include <string.h>
#include "golden/layer.h"
#include "golden/layer_activation.h"

/*
 * Names and shapes. A letter is an extent: M, K, N of the case; h is N / 2, g is 2 N; f, y, x the frames, rows and columns of
 * patches, Y and X those of pixels, two of each to a patch; a digit is itself.
 */
static const struct {
    const char *input[VDIT_LAYER_INPUTS];
    const char *shape[VDIT_LAYER_INPUTS], *output;
} table[VDIT_OPERATOR_COUNT] = {
    [VDIT_OP_CONV] = {{"x", "w", "b"}, {"1KfYX", "NK122", "N"}, "1Nfyx"},
    [VDIT_OP_ADD] = {{"x", "z"}, {"MN", "MN"}, "MN"},
    [VDIT_OP_MODULATE] = {{"x", "scale", "shift"}, {"MN", "N", "N"}, "MN"},
    [VDIT_OP_GATED_ADD] = {{"x", "gate", "z"}, {"MN", "N", "MN"}, "MN"},
    [VDIT_OP_LAYER_NORM] = {{"x", "w", "b"}, {"MN", "N", "N"}, "MN"},
    [VDIT_OP_RMS_NORM] = {{"x", "w"}, {"MN", "N"}, "MN"},
    [VDIT_OP_GROUP_NORM] = {{"x", "w", "b"}, {"MKN", "K", "K"}, "MKN"},
    [VDIT_OP_ROTARY] = {{"x", "cosine", "sine"}, {"MN", "Mh", "Mh"}, "MN"},
    [VDIT_OP_SIGMOID] = {{"x"}, {"MN"}, "MN"},
    [VDIT_OP_TANH] = {{"x"}, {"MN"}, "MN"},
    [VDIT_OP_SILU] = {{"x"}, {"MN"}, "MN"},
    [VDIT_OP_GELU] = {{"x"}, {"MN"}, "MN"},
    [VDIT_OP_GELU_TANH] = {{"x"}, {"MN"}, "MN"},
    [VDIT_OP_QUICK_GELU] = {{"x"}, {"MN"}, "MN"},
    [VDIT_OP_SOFTPLUS] = {{"x"}, {"MN"}, "MN"},
    [VDIT_OP_SWIGLU] = {{"x"}, {"Mg"}, "MN"},
    [VDIT_OP_GEGLU] = {{"x"}, {"Mg"}, "MN"},
};

int vdit_layer_has(vdit_operator op)
{
    return op < VDIT_OPERATOR_COUNT && table[op].output != NULL;
}

static size_t extent(const vdit_case *c, char letter)
{
    switch (letter) {
    case 'M':
        return c->M;
    case 'K':
        return c->K;
    case 'N':
        return c->N;
    case 'h':
        return c->N / 2;
    case 'g':
        return 2 * c->N;
    case 'f':
        return c->tokens.frames;
    case 'y':
        return c->tokens.height;
    case 'x':
        return c->tokens.width;
    case 'Y':
        return 2 * c->tokens.height;
    case 'X':
        return 2 * c->tokens.width;
    default:
        return (size_t)(letter - '0');
    }
}

const char *vdit_layer_tensor(const vdit_case *c, int i, int *rank, size_t *shape)
{
    int is_output = i == VDIT_LAYER_INPUTS;
    const char *letters = is_output ? table[c->op].output : table[c->op].shape[i];

    *rank = letters != NULL ? (int)strlen(letters) : 0;
    for (int axis = 0; axis < *rank; axis++)
        shape[axis] = extent(c, letters[axis]);
    return is_output ? "y" : table[c->op].input[i];
}

vdit_status vdit_layer_check(vdit_run *run, const vdit_case *c, const char *where)
{
    if (c->op == VDIT_OP_ROTARY && c->N % 2 != 0)
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: rotary needs an even N, not %zu", where,
                             c->N);
    if (c->op == VDIT_OP_GROUP_NORM && c->K % VDIT_LAYER_GROUPS != 0)
        return vdit_run_fail(run, VDIT_ERR_FORMAT, "%s: group_norm needs an even K, not %zu", where,
                             c->K);
    return VDIT_OK;
}

/* Out: y, blank, of the shape that the inputs ask for: that of x, but for a convolution and a gated unit. */
static vdit_status new_output(vdit_run *run, vdit_tensor *y, const vdit_golden *golden)
{
    const vdit_tensor *x = &golden->inputs[0].tensor, *w = &golden->inputs[1].tensor;
    size_t shape[VDIT_MAX_RANK];

    memcpy(shape, x->shape, sizeof shape);
    if (golden->op == VDIT_OP_CONV) {
        shape[1] = w->shape[0];
        for (int i = 2; i < x->rank; i++)
            shape[i] /= w->shape[i];
    }
    if (vdit_layer_is_gated(golden->op))
        shape[x->rank - 1] /= 2;
    if (vdit_tensor_new(run, y, x->dtype, x->rank, shape) == VDIT_OK)
        memset(y->data, 0xff, vdit_tensor_count(y) * vdit_dtype_size(y->dtype));
    return vdit_run_status(run);
}

static vdit_status conv(vdit_run *run, vdit_tensor *y, const vdit_golden *golden,
                        const vdit_backend *b)
{
    const vdit_tensor *w = &golden->inputs[1].tensor;
    vdit_conv_walk walk;

    memset(&walk, 0, sizeof walk);
    for (int i = 2; i < w->rank; i++)
        walk.stride[i - 2] = w->shape[i];
    return vdit_backend_conv(run, b, y, &golden->inputs[0].tensor, w, &golden->inputs[2].tensor,
                             &walk);
}

vdit_status vdit_layer_compute(vdit_run *run, vdit_tensor *y, const vdit_golden *golden,
                               const vdit_backend *b)
{
    const vdit_tensor *x = &golden->inputs[0].tensor, *second = &golden->inputs[1].tensor;
    const vdit_tensor *third = &golden->inputs[2].tensor;

    if (new_output(run, y, golden) != VDIT_OK)
        return vdit_run_status(run);
    if (vdit_layer_is_activation(golden->op))
        return vdit_layer_activate(run, y, golden, b);
    switch (golden->op) {
    case VDIT_OP_CONV:
        return conv(run, y, golden, b);
    case VDIT_OP_ADD:
        return vdit_backend_add(run, b, y, x, second);
    case VDIT_OP_MODULATE:
        return vdit_backend_modulate(run, b, y, x, second, third);
    case VDIT_OP_GATED_ADD:
        return vdit_backend_gated_add(run, b, y, x, second, third);
    case VDIT_OP_LAYER_NORM:
        return vdit_backend_layer_norm(run, b, y, x, second, third, VDIT_LAYER_EPS);
    case VDIT_OP_RMS_NORM:
        return vdit_backend_rms_norm(run, b, y, x, second, VDIT_LAYER_EPS);
    case VDIT_OP_GROUP_NORM:
        return vdit_backend_group_norm(run, b, y, x, VDIT_LAYER_GROUPS, second, third,
                                       VDIT_LAYER_EPS);
    default:
        return vdit_backend_rotary(run, b, y, x, second, third);
    }
}

int vdit_layer_offers(const vdit_backend *known, vdit_operator op)
{
    if (vdit_layer_is_activation(op))
        return vdit_layer_offers_activation(known, op);
    switch (op) {
    case VDIT_OP_CONV:
        return known->conv != NULL;
    case VDIT_OP_ADD:
        return known->add != NULL;
    case VDIT_OP_MODULATE:
        return known->modulate != NULL;
    case VDIT_OP_GATED_ADD:
        return known->gated_add != NULL;
    case VDIT_OP_LAYER_NORM:
        return known->layer_norm != NULL;
    case VDIT_OP_RMS_NORM:
        return known->rms_norm != NULL;
    case VDIT_OP_GROUP_NORM:
        return known->group_norm != NULL;
    default:
        return known->rotary != NULL;
    }
}
