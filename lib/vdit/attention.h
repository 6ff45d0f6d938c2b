/*
 * vdit/attention.h - softmax attention: the call, its outputs, and the noise of an honest kernel.
 *
 *     s_ij = scale * sum_c q_ic k_jc + mask_ij        logits, j over the valid keys
 *     a_ij = exp(s_ij) / sum_j' exp(s_ij')            the map
 *     o_ic = sum_j a_ij v_jc                          the output
 *     lse_i = ln sum_j exp(s_ij)
 *
 * No N x N map is ever stored: memory is O(N d). The reference rounds each output element once
 * (doc/numerics.md); what a row without any valid key gives: map 0, output +0, lse -inf.
 */
#ifndef VDIT_ATTENTION_H
#define VDIT_ATTENTION_H

#include <vdit/edit.h>

/*
 * The noise model: sigma of the error that an honest kernel commits (doc/conformance.md). With
 * p~_j = exp(s_j - max s), l = sum p~_j, P_j = p~_j / l,
 *     sigma^2 = 1/3 sum_j (min(p~_j, max(p_unit p~_j, p_sub)) / l)^2 v_j^2
 *             + sum_j (P_j score_unit |scale| |q| |k_j|)^2 (v_j - o)^2      |.| the 2-norm
 *             + 1/3 max(out_unit |o|, out_sub)^2
 *             + (sum_unit sum_j P_j |v_j|)^2
 */
typedef struct vdit_noise {
    double p_unit, p_sub;     /* rounding of p~ */
    double score_unit;        /* logits */
    double out_unit, out_sub; /* rounding of the output */
    double sum_unit;          /* accumulation */
} vdit_noise;

/*
 * Returns: noise with what the running sums over so many keys add: a walk of n additions, each off by up to sum_unit of
 * what the sum has reached, ends off by about sum_unit sqrt(n / 3) of its size, in P and in the output.
 */
VDIT_API vdit_noise vdit_noise_over(const vdit_noise *noise, size_t keys);

/*
 * One attention call. Set it up with vdit_attention_init, then fill what is wanted.
 * q, k, v, o are f32, bf16 or f16 in any mix, in any strides.
 */
typedef struct vdit_attention {
    size_t size;                  /* of this struct, set by init */
    const vdit_tensor *q, *k, *v; /* [B,H,Nq,d], [B,H,Nk,d], [B,H,Nk,dv] */
    /* NULL; or additive f32, bf16 or f16; or bool (1 attends). Each axis of [B,H,Nq,Nk] in full or of
       extent 1. -inf masks a key; NaN and +inf are errors */
    const vdit_tensor *mask;
    /* NULL, or i64 [B]: only the first key_length[b] keys are valid */
    const vdit_tensor *key_length;
    const vdit_tensor *rows; /* NULL: all. Or i64 [R]: the query rows to compute */
    double scale;            /* taken as exact; finite, 2^-126 <= |scale| < 2^127, or 0 */
    vdit_noise noise;        /* used where sigma is asked for; each term finite, >= 0 */
    vdit_tensor *o;          /* NULL or [B,H,R,dv], R = Nq without rows */
    vdit_tensor *lse;        /* NULL or [B,H,R], f32 */
    vdit_tensor *map;        /* NULL or [B,H,R,Nk], f32 */
    vdit_tensor *sigma;      /* NULL or [B,H,R,dv], bf16: sigma rounded once. Reference only */
    /* NULL, or [H]: the edit of each head, NULL where it has none. Then lse and map are those of the map before
       the mask after the softmax, and sigma is that of vdit_edit's page */
    const vdit_edit *const *edits;
    vdit_edit_report *report; /* NULL, or what the edits did */
} vdit_attention;

/* What a call will take, known from its shapes alone. */
typedef struct vdit_attention_cost {
    double flops;   /* multiplications and additions of QK' and PV */
    double entries; /* map entries: exponentials */
    double bytes;   /* peak memory beyond inputs and outputs */
} vdit_attention_cost;

/*
 * Out: a, cleared, with q, k, v and scale = 1/sqrt(d), the root and the quotient each rounded to
 * binary64 (as PyTorch has it). In: q, k, v.
 */
VDIT_API void vdit_attention_init(vdit_attention *a, const vdit_tensor *q, const vdit_tensor *k,
                                  const vdit_tensor *v);

/*
 * Checks shapes, dtypes, mask values, key lengths, rows and noise, naming what is at fault.
 * Returns: VDIT_OK, VDIT_ERR_SHAPE, VDIT_ERR_DTYPE, VDIT_ERR_ARGUMENT.
 */
VDIT_API vdit_status vdit_attention_check(vdit_run *run, const vdit_attention *a);

/* Out: cost. In: run (for its threads), a. */
VDIT_API void vdit_attention_estimate(vdit_attention_cost *cost, const vdit_run *run,
                                      const vdit_attention *a);

/*
 * The reference: each element rounded once. Checks a first; outputs are untouched if the check fails.
 * Out: what a names. Returns: VDIT_OK or the failure.
 */
VDIT_API vdit_status vdit_attention_reference(vdit_run *run, const vdit_attention *a);

/*
 * The fast one: f32 arithmetic, tiled, no promise on bits, no sigma (VDIT_ERR_UNSUPPORTED). A call with an
 * infinity or a NaN in an operand, or with logits beyond f32, is computed by the reference.
 * Out: what a names. Returns: VDIT_OK or the failure.
 */
VDIT_API vdit_status vdit_attention_fast(vdit_run *run, const vdit_attention *a);

#endif
