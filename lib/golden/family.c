/* family.c - the table of input families: name, what it detects, and who makes its rows. */
#include <string.h>
#include "golden/maker.h"

#define ATTENTION 1u << VDIT_OP_ATTENTION
#define PRODUCTS  (1u << VDIT_OP_LINEAR | 1u << VDIT_OP_MATMUL)
#define ELEMENTS  (1u << VDIT_OP_EXP | 1u << VDIT_OP_LOG)
#define LAYERS    ((1u << VDIT_OPERATOR_COUNT) - (1u << VDIT_OP_CONV))

static const struct {
    vdit_family face;
    vdit_maker_row *rows[VDIT_OP_CONV + 1]; /* attention, linear, matmul, exp, log; all others */
} families[] = {
    {{"normal", "gross errors: wrong scale, wrong rows, wrong layout",
      ATTENTION | PRODUCTS | ELEMENTS | LAYERS},
     {vdit_make_normal, vdit_make_normal, vdit_make_normal, vdit_make_exp_normal,
      vdit_make_log_normal, vdit_make_normal}},
    {{"needle", "a key, row or tile that is missing, doubled, moved or stale", ATTENTION},
     {vdit_make_needle}},
    {{"offset", "indices of 32 bits: every row aims at the end of the keys", ATTENTION},
     {vdit_make_offset}},
    {{"late-sink", "rescaling when the row maximum comes last; the last key dropped", ATTENTION},
     {vdit_make_late_sink}},
    {{"peaked", "a maximum that is not subtracted, or of the wrong row", ATTENTION},
     {vdit_make_peaked}},
    {{"uniform-logits", "exact ties: the mean, masks and lengths off by one", ATTENTION},
     {vdit_make_uniform_logits}},
    {{"integers", "any key or term too many or too few: sums are exact in any order",
      ATTENTION | PRODUCTS | ELEMENTS | LAYERS},
     {vdit_make_integers, vdit_maker_integers, vdit_maker_integers, vdit_maker_integers,
      vdit_make_log_integers, vdit_maker_integers}},
    {{"outlier-channel", "quantisation and low-precision products that one channel spoils",
      ATTENTION | PRODUCTS},
     {vdit_make_outlier_channel, vdit_make_product_outlier, vdit_make_product_outlier}},
    {{"video",
      "masks, patterns and statistics that read the grid of tokens; local maps with a sink",
      ATTENTION},
     {vdit_make_video}},
    {{"poison", "reads beyond key_length, where k and v hold NaN and huge numbers", ATTENTION},
     {vdit_make_poison}},
    {{"cancel", "accumulators that are too narrow: results far smaller than their terms",
      ATTENTION | PRODUCTS},
     {vdit_make_cancel, vdit_make_product_cancel, vdit_make_product_cancel}},
    {{"overflow", "logits of 1e4 and more; exp beyond the largest and least number",
      ATTENTION | ELEMENTS},
     {vdit_make_overflow, NULL, NULL, vdit_make_exp_overflow, vdit_make_log_overflow}},
    {{"subnormal", "flushing of subnormal inputs, products or outputs",
      ATTENTION | PRODUCTS | ELEMENTS},
     {vdit_make_subnormal, vdit_make_product_subnormal, vdit_make_product_subnormal,
      vdit_make_exp_subnormal, vdit_make_log_subnormal}},
};

const vdit_family *vdit_family_at(size_t i)
{
    return i < sizeof families / sizeof *families ? &families[i].face : NULL;
}

const vdit_family *vdit_family_find(const char *name)
{
    const vdit_family *family;

    for (size_t i = 0; (family = vdit_family_at(i)) != NULL; i++)
        if (strcmp(family->name, name) == 0)
            return family;
    return NULL;
}

vdit_maker_row *vdit_family_rows(const vdit_family *family, vdit_operator op)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (family == &families[i].face)
            return families[i].rows[op < VDIT_OP_CONV ? op : VDIT_OP_CONV];
    return NULL;
}
