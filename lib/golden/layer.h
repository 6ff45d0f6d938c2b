/*
 * golden/layer.h - cases of the operators that networks call beside products and attention: one table of
 * their tensors, the calls, and sigma.
 */
#ifndef VDIT_GOLDEN_LAYER_H
#define VDIT_GOLDEN_LAYER_H

#include <vdit/golden.h>

#define VDIT_LAYER_INPUTS 3
#define VDIT_LAYER_EPS    1e-6 /* of norms */
#define VDIT_LAYER_GROUPS 2    /* of group norms */

/* Returns: 1 for the operators of the table. */
int vdit_layer_has(vdit_operator op);

/*
 * Out: rank, shape[VDIT_MAX_RANK]. In: i, the number of an input, or VDIT_LAYER_INPUTS for the output.
 * Returns: the tensor's name; NULL if there is no such input.
 */
const char *vdit_layer_tensor(const vdit_case *c, int i, int *rank, size_t *shape);

/* Checks that the extents of a case fit each other. In: where (for messages). */
vdit_status vdit_layer_check(vdit_run *run, const vdit_case *c, const char *where);

/* Out: y, new, by the backend; before that all its bits are set. In: golden with its inputs. */
vdit_status vdit_layer_compute(vdit_run *run, vdit_tensor *y, const vdit_golden *golden,
                               const vdit_backend *backend);

/* Returns: 1 if the backend computes the operator itself. */
int vdit_layer_offers(const vdit_backend *known, vdit_operator op);

/*
 * Sigma of y, the golden output. With u the contract's units, J terms t_k of an element and A = sum |t_k|,
 *     sigma^2 = J (sum_unit A)^2 + score_unit^2 sum t_k^2 + 1/3 max(out_unit |y|, out_sub)^2;
 * for a norm over J elements, with a the mean of |x| (0 for the RMS norm), t = (x - m) r w and A = |x| r |w|,
 *     sigma^2 = J (sum_unit (a r |w| + |t|))^2 + (4 sum_unit A)^2 + (sum_unit b)^2 + (score_unit t)^2 + the same.
 * that of activations is in layer_activation.h. Evaluated in binary64 in a fixed order; where y is infinite or NaN, sigma is 0.
 * Out: sigma, bf16, the shape of y. Returns: VDIT_OK, VDIT_ERR_MEMORY.
 */
vdit_status vdit_layer_sigma(vdit_run *run, vdit_tensor *sigma, const vdit_golden *golden,
                             const vdit_tensor *y, const vdit_contract *contract);

#endif
