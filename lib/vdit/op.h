/*
 * vdit/op.h - the operators of the networks, by the reference: one operator, one rounding (doc/numerics.md).
 *
 * Every output element is the real-number result, rounded once to nearest-even into the output's dtype.
 * Inputs are f32, bf16 or f16 in any mix; outputs are f32, bf16 or f16. Outputs must not overlap inputs.
 * A NaN that the formula touches gives the canonical quiet NaN; an exact zero sum is +0.
 */
#ifndef VDIT_OP_H
#define VDIT_OP_H

#include <vdit/tensor.h>

/*
 * Linear layer: y[i,o] = sum_k x[i,k] w[o,k] + b[o], the bias inside the one rounding.
 * Out: y [..., O]. In: x [..., K] with the same leading axes, w [O, K], b [O] or NULL.
 * Returns: VDIT_OK, VDIT_ERR_SHAPE, VDIT_ERR_DTYPE, VDIT_ERR_MEMORY, VDIT_ERR_LIMIT if K > 2^31.
 */
VDIT_API vdit_status vdit_linear(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                 const vdit_tensor *w, const vdit_tensor *b);

/*
 * Matrix product: c[...,i,j] = sum_k a[...,i,k] b[...,k,j]; leading axes equal.
 * Out: c [..., M, N]. In: a [..., M, K], b [..., K, N].
 * Returns: as vdit_linear.
 */
VDIT_API vdit_status vdit_matmul(vdit_run *run, vdit_tensor *c, const vdit_tensor *a,
                                 const vdit_tensor *b);

/* Elementwise: y = e^x. Out: y. In: x, the same shape. exp(-inf) = +0, exp(+inf) = +inf. */
VDIT_API vdit_status vdit_exp(vdit_run *run, vdit_tensor *y, const vdit_tensor *x);

/* Elementwise: y = ln x. Out: y. In: x, the same shape. ln(+-0) = -inf, ln of a negative = NaN. */
VDIT_API vdit_status vdit_log(vdit_run *run, vdit_tensor *y, const vdit_tensor *x);

/* The largest number of axes that a convolution moves along. */
#define VDIT_CONV_AXES 3

/* How a convolution moves. A cleared one, with strides set, has no padding. */
typedef struct vdit_conv_walk {
    size_t stride[VDIT_CONV_AXES];                        /* at least 1 */
    size_t before[VDIT_CONV_AXES], after[VDIT_CONV_AXES]; /* zeros at both ends of an axis */
} vdit_conv_walk;

/*
 * Convolution along one to three axes (n = rank of x - 2; a patch embedding has stride = kernel):
 * y[b,o,i] = sum_c,k x[b,c, i stride + k - before] w[o,c,k] + b[o], what lies outside x being 0.
 * Out: y [B, O, (X + before + after - K) / stride + 1 ...]. In: x [B, C, X...], w [O, C, K...], b [O] or NULL, walk.
 * Returns: as vdit_linear; VDIT_ERR_ARGUMENT for a stride of 0.
 */
VDIT_API vdit_status vdit_conv(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                               const vdit_tensor *w, const vdit_tensor *b,
                               const vdit_conv_walk *walk);

/*
 * Layer norm over the last axis, D elements: y = (x - m) / sqrt(s + eps) w + b with m = sum x / D and
 * s = sum (x - m)^2 / D. Out: y. In: x, the same shape; w [D] or NULL (1); b [D] or NULL (0); eps >= 0,
 * finite, taken as exact. s + eps = 0 gives NaN, as 0 / 0.
 */
VDIT_API vdit_status vdit_layer_norm(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                     const vdit_tensor *w, const vdit_tensor *b, double eps);

/*
 * RMS norm over the last axis: y = x / sqrt(sum x^2 / D + eps) w. As vdit_layer_norm, but a zero has the sign
 * of x w.
 */
VDIT_API vdit_status vdit_rms_norm(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                   const vdit_tensor *w, double eps);

/*
 * Group norm: the layer norm's formula with m and s over the C / groups channels of a group and all that
 * follows them. Out: y [B, C, ...]. In: x, the same shape; groups, a divisor of C; w [C] or NULL; b [C] or NULL.
 */
VDIT_API vdit_status vdit_group_norm(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                     size_t groups, const vdit_tensor *w, const vdit_tensor *b,
                                     double eps);

/* The nonlinear functions of the networks. */
typedef enum vdit_activation {
    VDIT_SIGMOID,    /* 1 / (1 + e^-x) */
    VDIT_TANH,       /* tanh x */
    VDIT_SILU,       /* x / (1 + e^-x) */
    VDIT_GELU,       /* x (1 + erf(x / sqrt 2)) / 2 */
    VDIT_GELU_TANH,  /* x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, 0.044715 in decimal */
    VDIT_QUICK_GELU, /* x / (1 + e^(-1.702 x)), 1.702 in decimal */
    VDIT_SOFTPLUS    /* ln(1 + e^x) */
} vdit_activation;

#define VDIT_ACTIVATION_COUNT 7

/* Elementwise: y = f(x). Out: y. In: x, the same shape; f. */
VDIT_API vdit_status vdit_activate(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                   vdit_activation f);

/*
 * A gated unit, one rounding: y[..., i] = x[..., i] f(x[..., D + i]) (SwiGLU with VDIT_SILU, GEGLU with VDIT_GELU).
 * Out: y [..., D]. In: x [..., 2 D]; f.
 */
VDIT_API vdit_status vdit_activate_gated(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                         vdit_activation f);

/*
 * In the three that follow, operands beside the first may be broadcast: their axes are aligned from the last
 * one, and an extent is the output's or 1. A zero is -0 where IEEE gives -0 for the formula without rounding.
 */

/* y = x + z. Out: y. In: x, the same shape; z. */
VDIT_API vdit_status vdit_add(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                              const vdit_tensor *z);

/* Modulation: y = x (1 + scale) + shift. Out: y. In: x, the same shape; scale; shift or NULL (none). */
VDIT_API vdit_status vdit_modulate(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                   const vdit_tensor *scale, const vdit_tensor *shift);

/* Gated residual: y = x + gate z. Out: y. In: x, the same shape; gate; z. */
VDIT_API vdit_status vdit_gated_add(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                    const vdit_tensor *gate, const vdit_tensor *z);

/*
 * Mean of the rows that a mask keeps: y[b,i] = sum_n m[b,n] x[b,n,i] / max(least, sum_n m[b,n]), m = 1 where mask is
 * not 0. Out: y [B, D]. In: x [B, N, D]; mask [B, N] of an integer type or bool, or NULL (1); least, an integer >= 0.
 * No row and least = 0 give NaN.
 */
VDIT_API vdit_status vdit_masked_mean(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                      const vdit_tensor *mask, size_t least);

/*
 * Sinusoids: with half = D / 2, a_j = t period^(-j / (half - shift)), j < half: y = [sin a | cos a], or with
 * cos_first [cos a | sin a]; an odd D ends with a 0.
 * Out: y [..., D]. In: t [...], f64, f32, bf16, f16, i64 or i32, |t| < 2^30; period > 0 and shift < half, taken as exact.
 * A t that is not finite gives NaN.
 */
VDIT_API vdit_status vdit_sinusoid(vdit_run *run, vdit_tensor *y, const vdit_tensor *t,
                                   double period, double shift, int cos_first);

/*
 * Rotary tables of tokens with a position on each of A axes: the width d of a head is divided among the axes,
 * d_0 + d_1 + ..., and pair j of axis a turns by position[n,a] theta^(-2 j / d_a).
 * Out: cosine and sine [N, d / 2]. In: position [N, A], f64, |position| < 2^30; widths[A], even; theta > 0, exact.
 */
VDIT_API vdit_status vdit_rotary_table(vdit_run *run, vdit_tensor *cosine, vdit_tensor *sine,
                                       const vdit_tensor *position, const size_t *widths,
                                       double theta);

/*
 * Rotary tables with learned frequencies: pair j of head h turns by sum_a position[n,a] frequency[a,h,j].
 * Out: cosine and sine [H, N, d / 2]. In: position [N, A], f64, |position| < 2^30; frequency [A, H, d / 2];
 * sum_a |position frequency| < 2^30.
 */
VDIT_API vdit_status vdit_rotary_learned(vdit_run *run, vdit_tensor *cosine, vdit_tensor *sine,
                                         const vdit_tensor *position, const vdit_tensor *frequency);

/*
 * Rotary embedding of interleaved pairs: (y_2j, y_2j+1) = (x_2j c_j - x_2j+1 s_j, x_2j s_j + x_2j+1 c_j).
 * Out: y [..., d]. In: x, the same shape, d even; cosine and sine [..., d / 2], broadcast.
 */
VDIT_API vdit_status vdit_rotary(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                 const vdit_tensor *cosine, const vdit_tensor *sine);

#endif
