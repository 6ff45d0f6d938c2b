/* layer_activation.c - activations and gated units as operators of recipes. */
#include <math.h>
#include "golden/layer_activation.h"

int vdit_layer_is_activation(vdit_operator op)
{
    return op >= VDIT_OP_SIGMOID;
}

int vdit_layer_is_gated(vdit_operator op)
{
    return op == VDIT_OP_SWIGLU || op == VDIT_OP_GEGLU;
}

static vdit_activation function_of(vdit_operator op)
{
    static const vdit_activation functions[] = {VDIT_SIGMOID,  VDIT_TANH,      VDIT_SILU,
                                                VDIT_GELU,     VDIT_GELU_TANH, VDIT_QUICK_GELU,
                                                VDIT_SOFTPLUS, VDIT_SILU,      VDIT_GELU};

    return functions[op - VDIT_OP_SIGMOID];
}

vdit_status vdit_layer_activate(vdit_run *run, vdit_tensor *y, const vdit_golden *golden,
                                const vdit_backend *backend)
{
    const vdit_tensor *x = &golden->inputs[0].tensor;
    vdit_activation f = function_of(golden->op);

    return vdit_layer_is_gated(golden->op) ? vdit_backend_activate_gated(run, backend, y, x, f)
                                           : vdit_backend_activate(run, backend, y, x, f);
}

int vdit_layer_offers_activation(const vdit_backend *known, vdit_operator op)
{
    return vdit_layer_is_gated(op) ? known->activate_gated != NULL : known->activate != NULL;
}

/* Returns: the element at index of a row of a matrix, in binary64. */
static double element(const vdit_tensor *t, size_t row, size_t column)
{
    const size_t index[] = {row, column};
    double value;

    vdit_load_f64(&value, 1, vdit_tensor_at(t, index), 1, t->dtype);
    return value;
}

/* Returns: |x z|, or |x| for a function that does not begin with z. */
static double size_of(const vdit_golden *golden, size_t row, size_t column, size_t width)
{
    const vdit_tensor *x = &golden->inputs[0].tensor;
    vdit_activation f = function_of(golden->op);
    int gated = vdit_layer_is_gated(golden->op);
    double factor = gated ? element(x, row, column) : 1;

    if (f == VDIT_SIGMOID || f == VDIT_TANH || f == VDIT_SOFTPLUS)
        return fabs(factor);
    return fabs(factor * element(x, row, column + (gated ? width : 0)));
}

vdit_status vdit_layer_activation_sigma(vdit_run *run, vdit_tensor *sigma,
                                        const vdit_golden *golden, const vdit_tensor *y,
                                        const vdit_contract *contract)
{
    const vdit_noise *noise = &contract->noise;
    size_t width = y->shape[1], count = y->shape[0] * width;

    if (vdit_tensor_new(run, sigma, VDIT_BF16, 2, y->shape) != VDIT_OK)
        return vdit_run_status(run);
    for (size_t i = 0; i < count; i++) {
        double value = element(y, i / width, i % width);
        double size = size_of(golden, i / width, i % width, width);
        double steps = noise->sum_unit * (size + 2 * fabs(value));
        double score = noise->score_unit * value, out = noise->out_unit * fabs(value), variance;

        if (out < noise->out_sub)
            out = noise->out_sub;
        variance = steps * steps + score * score + out * out / 3;
        vdit_store_f64((char *)sigma->data + 2 * i, VDIT_BF16,
                       isfinite(value) ? sqrt(variance) : 0);
    }
    return VDIT_OK;
}
