/*
 * contract.c - what backends promise: the units of the noise model, one table with a reason each.
 *
 * A unit is half the unit roundoff of the format, because errors spread evenly over the last place
 * and the significand over an octave (doc/conformance.md). The subnormal floors out_sub are
 *   f16         half the spacing of subnormals, 2^-25;
 *   f32, tf32   2^-133, the least sigma that bf16 can hold;
 *   bf16        2^-126: hardware dot products of bf16 (AVX512-BF16, AMX) flush subnormals by design.
 */
#include <string.h>
#include <vdit/golden.h>

static const vdit_contract contracts[] = {
    {"exact", "every element is the real-number result, rounded once", {0, 0, 0, 0, 0, 0}},
    /* exp and the logits err by about 2 units of 2^-24 in f32; a sum by one of its magnitude */
    {"f32",
     "f32 throughout",
     {.p_unit = 0x1p-23,
      .score_unit = 0x1p-23,
      .out_unit = 0x1p-25,
      .out_sub = 0x1p-133,
      .sum_unit = 0x1p-24}},
    /*
     * Operands keep 11 bits: P and v both round, 2^-12 sqrt 2 together; the roundings of q and k are
     * independent over the channels, so a logit sees far less than 2^-11 |q| |k|.
     */
    {"tf32",
     "f32 tensors, operands rounded to 11 bits, f32 accumulation",
     {.p_unit = 0x1.6ap-12,
      .score_unit = 0x1p-12,
      .out_unit = 0x1p-25,
      .out_sub = 0x1p-133,
      .sum_unit = 0x1p-24}},
    /* f16 has 11 bits, P is stored with them; its subnormals are spaced 2^-24 */
    {"f16/f32acc",
     "f16 tensors, P rounded to f16, f32 scores and accumulation",
     {.p_unit = 0x1p-12,
      .p_sub = 0x1p-25,
      .score_unit = 0x1p-23,
      .out_unit = 0x1p-12,
      .out_sub = 0x1p-25,
      .sum_unit = 0x1p-24}},
    {"bf16/f32acc",
     "bf16 tensors, P rounded to bf16, f32 scores and accumulation",
     {.p_unit = 0x1p-9,
      .score_unit = 0x1p-23,
      .out_unit = 0x1p-9,
      .out_sub = 0x1p-126,
      .sum_unit = 0x1p-24}},
    /* accumulators of 11 bits: a handful of roundings of the running sum survives, 8 units of 2^-11 */
    {"f16/f16acc",
     "f16 throughout, f16 accumulation",
     {.p_unit = 0x1p-12,
      .p_sub = 0x1p-25,
      .score_unit = 0x1p-10,
      .out_unit = 0x1p-12,
      .out_sub = 0x1p-25,
      .sum_unit = 0x1p-8}},
    /*
     * q and k in blocks of int8: a step is max/127, about 4/127 of the rms, so an element errs by
     * 0.9% and a logit by sqrt(2) 0.9% |q||k| / sqrt(d): 2^-9 at d = 64, twice that with outliers.
     */
    {"int8qk",
     "q and k quantised to int8 by blocks, the rest as bf16/f32acc",
     {.p_unit = 0x1p-9,
      .score_unit = 0x1p-8,
      .out_unit = 0x1p-9,
      .out_sub = 0x1p-126,
      .sum_unit = 0x1p-24}},
    /* e4m3 keeps 4 bits: P and v round, 2^-5 sqrt 2; a logit sees 2^-5 sqrt(2/d), 2^-7 at d = 32 */
    {"fp8",
     "q, k, v and P in fp8 e4m3, f32 accumulation, bf16 output",
     {.p_unit = 0x1.6ap-5,
      .p_sub = 0x1p-10,
      .score_unit = 0x1p-7,
      .out_unit = 0x1p-9,
      .out_sub = 0x1p-126,
      .sum_unit = 0x1p-24}},
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

const vdit_contract *vdit_contract_default(vdit_dtype dtype)
{
    if (dtype == VDIT_BF16)
        return vdit_contract_find("bf16/f32acc");
    return vdit_contract_find(dtype == VDIT_F16 ? "f16/f32acc" : "f32");
}
