/* compute.c - the outputs of a case, by any backend, and their sigma. */
#include <string.h>
#include "backend/known.h"
#include "golden/bound.h"
#include "golden/layout.h"
#include "golden/layer.h"
#include "golden/observed.h"
#include "golden/planned.h"

/* The names of the main output and of its sigma; those of the others are y and y.sigma. */
static const struct {
    const char *output, *sigma;
} names[VDIT_OPERATOR_COUNT] = {
    [VDIT_OP_ATTENTION] = {"o", "o.sigma"}, [VDIT_OP_LINEAR] = {"y", "y.sigma"},
    [VDIT_OP_MATMUL] = {"c", "c.sigma"},    [VDIT_OP_EXP] = {"y", "y.sigma"},
    [VDIT_OP_LOG] = {"y", "y.sigma"},
};

/* Out: shape [B,H,R,dv] of the attention's output. */
static void output_shape(size_t shape[4], const vdit_attention *a)
{
    memcpy(shape, a->q->shape, 2 * sizeof *shape);
    shape[2] = a->rows ? a->rows->shape[0] : a->q->shape[2];
    shape[3] = a->v->shape[3];
}

/*
 * Sets all bits of a new output, whose memory is dense in some order of axes: a NaN in each float type.
 * What a backend leaves out must not be judged by what happened to lie there.
 */
static void blank(vdit_tensor *t)
{
    memset(t->data, 0xff, vdit_tensor_count(t) * vdit_dtype_size(t->dtype));
}

static vdit_status apply_attention(vdit_run *run, vdit_named *outputs, size_t *count,
                                   const vdit_golden *golden, const vdit_backend *backend,
                                   const vdit_contract *contract)
{
    vdit_tensor o, lse, sigma;
    vdit_observed observed;
    vdit_attention a;
    size_t shape[4];

    if (vdit_planned_call(run, &a, golden) != VDIT_OK)
        return vdit_run_status(run);
    output_shape(shape, &a);
    if (vdit_observed_prepare(run, &observed, &a) != VDIT_OK ||
        vdit_layout_new_output(run, &o, a.q->dtype, shape, golden->axes) != VDIT_OK ||
        vdit_tensor_new(run, &lse, VDIT_F32, 3, shape) != VDIT_OK ||
        (contract && vdit_tensor_new(run, &sigma, VDIT_BF16, 4, shape) != VDIT_OK))
        return vdit_run_status(run);
    blank(&o);
    blank(&lse);
    a.o = &o;
    a.lse = &lse;
    if (contract != NULL) {
        a.sigma = &sigma;
        a.noise = vdit_contract_noise(contract, a.k->shape[2]);
    }
    if (vdit_backend_attention(run, backend, &a) != VDIT_OK)
        return vdit_run_status(run);
    outputs[0] = (vdit_named){"o", o};
    outputs[1] = (vdit_named){"lse", lse};
    *count = 2;
    if (contract != NULL)
        outputs[(*count)++] = (vdit_named){"o.sigma", sigma};
    vdit_observed_add(outputs, count, &observed);
    if (golden->meters != NULL)
        vdit_observed_meter(run, outputs, count, golden, &a);
    return vdit_run_status(run);
}

/* Out: y, the main output of a plain operator. */
static vdit_status compute_plain(vdit_run *run, vdit_tensor *y, const vdit_golden *golden,
                                 const vdit_backend *b)
{
    const vdit_tensor *x = &golden->inputs[0].tensor, *second = &golden->inputs[1].tensor;
    size_t shape[2] = {x->shape[0], golden->op == VDIT_OP_LINEAR ? second->shape[0] : 0};

    if (vdit_layer_has(golden->op))
        return vdit_layer_compute(run, y, golden, b);
    if (golden->op == VDIT_OP_MATMUL)
        shape[1] = second->shape[1];
    if (vdit_tensor_new(run, y, x->dtype, x->rank, shape) != VDIT_OK)
        return vdit_run_status(run);
    blank(y);
    switch (golden->op) {
    case VDIT_OP_LINEAR:
        return vdit_backend_linear(run, b, y, x, second, vdit_golden_find(golden, "b"));
    case VDIT_OP_MATMUL:
        return vdit_backend_matmul(run, b, y, x, second);
    case VDIT_OP_EXP:
        return vdit_backend_exp(run, b, y, x);
    default:
        return vdit_backend_log(run, b, y, x);
    }
}

/* Out: sigma of the main output y of a plain operator. */
static vdit_status plain_sigma(vdit_run *run, vdit_tensor *sigma, const vdit_golden *golden,
                               const vdit_tensor *y, const vdit_contract *contract)
{
    const vdit_tensor *bias = golden->op == VDIT_OP_LINEAR ? vdit_golden_find(golden, "b") : NULL;

    if (vdit_layer_has(golden->op))
        return vdit_layer_sigma(run, sigma, golden, y, contract);
    if (golden->op == VDIT_OP_EXP || golden->op == VDIT_OP_LOG)
        return vdit_bound_elementary(run, sigma, y, contract);
    return vdit_bound_product(run, sigma, golden->op, &golden->inputs[0].tensor,
                              &golden->inputs[1].tensor, bias, y, contract);
}

vdit_status vdit_golden_apply(vdit_run *run, vdit_named outputs[VDIT_GOLDEN_OUTPUTS], size_t *count,
                              const vdit_golden *golden, const vdit_backend *backend,
                              const vdit_contract *contract)
{
    int layer = vdit_layer_has(golden->op);
    vdit_tensor y, sigma;

    if (golden->op == VDIT_OP_ATTENTION)
        return apply_attention(run, outputs, count, golden, backend, contract);
    if (compute_plain(run, &y, golden, backend) != VDIT_OK ||
        (contract && plain_sigma(run, &sigma, golden, &y, contract) != VDIT_OK))
        return vdit_run_status(run);
    outputs[0] = (vdit_named){layer ? "y" : names[golden->op].output, y};
    *count = 1;
    if (contract != NULL)
        outputs[(*count)++] = (vdit_named){layer ? "y.sigma" : names[golden->op].sigma, sigma};
    return VDIT_OK;
}

int vdit_golden_offers(const vdit_backend *backend, vdit_operator op, int is_edited)
{
    vdit_backend known = vdit_backend_known(backend);

    if (vdit_layer_has(op))
        return vdit_layer_offers(&known, op);
    switch (op) {
    case VDIT_OP_ATTENTION:
        return (is_edited ? known.edited : known.attention) != NULL;
    case VDIT_OP_LINEAR:
        return known.linear != NULL;
    case VDIT_OP_MATMUL:
        return known.matmul != NULL;
    case VDIT_OP_EXP:
        return known.exp != NULL;
    default:
        return known.log != NULL;
    }
}

vdit_status vdit_golden_compute(vdit_run *run, vdit_golden *golden)
{
    static const vdit_backend reference = {.size = sizeof reference, .name = "reference"};

    return vdit_golden_apply(run, golden->outputs, &golden->output_count, golden, &reference,
                             golden->contract);
}

vdit_status vdit_golden_sigma(vdit_run *run, vdit_tensor *sigma, const vdit_golden *golden,
                              const vdit_contract *contract)
{
    static const vdit_backend reference = {.size = sizeof reference, .name = "reference"};
    vdit_attention a;
    vdit_tensor y;
    size_t shape[4];

    if (golden->op != VDIT_OP_ATTENTION) {
        if (compute_plain(run, &y, golden, &reference) != VDIT_OK)
            return vdit_run_status(run);
        return plain_sigma(run, sigma, golden, &y, contract);
    }
    if (vdit_planned_call(run, &a, golden) != VDIT_OK)
        return vdit_run_status(run);
    output_shape(shape, &a);
    if (vdit_tensor_new(run, sigma, VDIT_BF16, 4, shape) != VDIT_OK)
        return vdit_run_status(run);
    a.sigma = sigma;
    a.noise = vdit_contract_noise(contract, a.k->shape[2]);
    return vdit_attention_reference(run, &a);
}
