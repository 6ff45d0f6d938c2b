/* golden/layer_activation.h - cases of activations and gated units: which function, the calls, sigma. */
#ifndef VDIT_GOLDEN_LAYER_ACTIVATION_H
#define VDIT_GOLDEN_LAYER_ACTIVATION_H

#include <vdit/golden.h>

/* Returns: 1 for the operators from VDIT_OP_SIGMOID on. */
int vdit_layer_is_activation(vdit_operator op);

/* Out: y, of the shape that the input asks for. */
vdit_status vdit_layer_activate(vdit_run *run, vdit_tensor *y, const vdit_golden *golden,
                                const vdit_backend *backend);

/* Returns: 1 for a gated unit, whose x has twice the row of its y. */
int vdit_layer_is_gated(vdit_operator op);

/* Returns: 1 if the backend computes the operator itself. */
int vdit_layer_offers_activation(const vdit_backend *known, vdit_operator op);

/*
 * Sigma of y = f(z), x = 1, or x f(z), where A = |x z| if f begins with z, and else |x|:
 *     sigma^2 = (sum_unit (A + 2 |y|))^2 + (score_unit y)^2 + 1/3 max(out_unit |y|, out_sub)^2.
 * A is what 1 + tanh or 1 + erf, rounded far out where they cancel, is multiplied by. In binary64 in a fixed order;
 * where y is infinite or NaN, sigma is 0.
 * Out: sigma, bf16, the shape of y. Returns: VDIT_OK, VDIT_ERR_MEMORY.
 */
vdit_status vdit_layer_activation_sigma(vdit_run *run, vdit_tensor *sigma,
                                        const vdit_golden *golden, const vdit_tensor *y,
                                        const vdit_contract *contract);

#endif
