/*
 * contract.c - what backends promise: the units of the noise model, one table with a reason each.
 *
 * Rounding to a format of unit roundoff u errs evenly by up to half a unit in the last place; over an
 * octave of significands the root mean square is 0.7355 u / sqrt 3 (doc/conformance.md). So a format
 * that P is rounded to gives p_unit = 3/4 u. The output is rounded twice, by the kernel and in the
 * golden: out_unit = u, close to sqrt 2 times that. The subnormal floors out_sub are
 *   f16         the spacing of subnormals, 2^-24, the same two roundings;
 *   f32, tf32   2^-133, the least sigma that bf16 can hold;
 *   bf16        2^-126: hardware dot products of bf16 (AVX512-BF16, AMX) flush subnormals by design.
 */
#include <string.h>
#include <vdit/golden.h>

#define FOR_F32    (1U << VDIT_F32)
#define FOR_F16    (1U << VDIT_F16)
#define FOR_BF16   (1U << VDIT_BF16)
#define FOR_HALVES (FOR_F16 | FOR_BF16)

static const vdit_contract contracts[] = {
    {"exact",
     "every element is the real-number result, rounded once",
     {0, 0, 0, 0, 0, 0},
     FOR_F32 | FOR_HALVES},
    /*
     * In f32 exp errs by about 2 units of 2^-24; a logit by some 8 of |q||k||scale|: q and k are often
     * scaled by the rounded root of the scale first, then come the sum, the scale, the difference from
     * the largest, the argument of exp2; a sum by one of its magnitude, and more with its length below
     */
    {"f32",
     "f32 throughout",
     {.p_unit = 0x1p-23,
      .score_unit = 0x1p-21,
      .out_unit = 0x1p-24,
      .out_sub = 0x1p-133,
      .sum_unit = 0x1p-24},
     FOR_F32},
    /*
     * Operands keep 11 bits: P and v both round, 3/4 2^-11 sqrt 2 together; the roundings of q and k
     * are independent over the channels, so a logit sees less than 3/4 2^-11 sqrt(2/3) |q| |k|.
     */
    {"tf32",
     "f32 tensors, operands rounded to 11 bits, f32 accumulation",
     {.p_unit = 0x1.1p-11,
      .score_unit = 0x1.4p-12,
      .out_unit = 0x1p-24,
      .out_sub = 0x1p-133,
      .sum_unit = 0x1p-24},
     FOR_F32},
    /* f16 has 11 bits, P is stored with them; its subnormals are spaced 2^-24 */
    {"f16/f32acc",
     "f16 tensors, P rounded to f16, f32 scores and accumulation",
     {.p_unit = 0x1.8p-12,
      .p_sub = 0x1p-25,
      .score_unit = 0x1p-21,
      .out_unit = 0x1p-11,
      .out_sub = 0x1p-24,
      .sum_unit = 0x1p-24},
     FOR_F16},
    {"bf16/f32acc",
     "bf16 tensors, P rounded to bf16, f32 scores and accumulation",
     {.p_unit = 0x1.8p-9,
      .score_unit = 0x1p-21,
      .out_unit = 0x1p-8,
      .out_sub = 0x1p-126,
      .sum_unit = 0x1p-24},
     FOR_BF16},
    /* logits, map and output are tensors of the dtype, as in the plain computation */
    {"bf16/bf16acc",
     "bf16 tensors, logits, map and output each rounded to bf16",
     {.p_unit = 0x1.8p-9,
      .score_unit = 0x1.8p-9,
      .out_unit = 0x1p-8,
      .out_sub = 0x1p-126,
      .sum_unit = 0x1p-24},
     FOR_BF16},
    /* dot products and running sums of 11 bits: a logit loses some 2 units of 2^-11 */
    {"f16/f16acc",
     "f16 throughout, f16 accumulation",
     {.p_unit = 0x1.8p-12,
      .p_sub = 0x1p-25,
      .score_unit = 0x1p-10,
      .out_unit = 0x1p-11,
      .out_sub = 0x1p-24,
      .sum_unit = 0x1p-11},
     FOR_F16},
    /*
     * q and k in blocks of int8: a step is max/127, about 4/127 of the rms, so an element errs by
     * 0.9% and a logit by sqrt(2) 0.9% |q||k| / sqrt(d): 2^-9 at d = 64, twice that with outliers.
     */
    {"int8qk",
     "q and k quantised to int8 by blocks, the rest as bf16/f32acc",
     {.p_unit = 0x1.8p-9,
      .score_unit = 0x1p-8,
      .out_unit = 0x1p-8,
      .out_sub = 0x1p-126,
      .sum_unit = 0x1p-24},
     FOR_HALVES},
    /* e4m3 keeps 4 bits: P and v round, 2^-5 sqrt 2; a logit sees 2^-5 sqrt(2/d), 2^-7 at d = 32 */
    {"fp8",
     "q, k, v and P in fp8 e4m3, f32 accumulation, bf16 output",
     {.p_unit = 0x1.6ap-5,
      .p_sub = 0x1p-10,
      .score_unit = 0x1p-7,
      .out_unit = 0x1p-8,
      .out_sub = 0x1p-126,
      .sum_unit = 0x1p-24},
     FOR_HALVES},
};

const vdit_contract *vdit_contract_at(size_t i)
{
    return i < sizeof contracts / sizeof *contracts ? &contracts[i] : NULL;
}

const vdit_contract *vdit_contract_find(const char *name)
{
    const vdit_contract *c;

    for (size_t i = 0; (c = vdit_contract_at(i)) != NULL; i++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

int vdit_contract_fits(const vdit_contract *contract, vdit_dtype dtype)
{
    return (contract->dtypes & (1U << dtype)) != 0;
}

const vdit_contract *vdit_contract_default(vdit_dtype dtype)
{
    if (dtype == VDIT_BF16)
        return vdit_contract_find("bf16/f32acc");
    return vdit_contract_find(dtype == VDIT_F16 ? "f16/f32acc" : "f32");
}

vdit_noise vdit_contract_noise(const vdit_contract *contract, size_t keys)
{
    return vdit_noise_over(&contract->noise, keys);
}
