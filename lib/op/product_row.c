/* product_row.c - the rounding test, the compensated sum, the exact sum. */
#include <float.h>
#include <math.h>
#include <string.h>
#include "exact/accumulator.h"
#include "exact/kernel.h"
#include "exact/settle.h"
#include "op/product_row.h"

#define UNIT  0x1p-53
#define LANES 4 /* independent compensated sums */

/* A sum with its error terms: the exact sum is sum + (all error terms). */
typedef struct compensated {
    double sum, error, size; /* size: the sum of |error terms| */
} compensated;

/* Knuth's TwoSum: sum + x exactly, as the rounded sum and its error. */
static void add_compensated(compensated *c, double x)
{
    double sum = c->sum + x, part = sum - c->sum;
    double error = (c->sum - (sum - part)) + (x - part);

    c->sum = sum;
    c->error += error;
    c->size += fabs(error);
}

static compensated sum_products(const vdit_product_row *row, size_t o)
{
    compensated lane[LANES] = {{0}}, all = {0};
    const double *x = row->x, *w = row->w + o;
    size_t k = 0;

    for (; k + LANES <= row->depth; k += LANES)
        for (size_t i = 0; i < LANES; i++)
            add_compensated(&lane[i], x[(k + i) * row->x_step] * w[(k + i) * row->w_step]);
    for (; k < row->depth; k++)
        add_compensated(&lane[0], x[k * row->x_step] * w[k * row->w_step]);
    add_compensated(&all, row->bias[o]);
    for (size_t i = 0; i < LANES; i++) {
        add_compensated(&all, lane[i].sum);
        all.error += lane[i].error;
        all.size += lane[i].size;
    }
    return all;
}

/*
 * Stage 1. The real sum is sum + the error terms, whose own sum errs by (n + 8) 2^-53 of their size. If
 * there were none, the sum is exact, and a tie is decided here. Source: Ogita, Rump, Oishi, "Accurate
 * sum and dot product", SIAM J. Sci. Comput. 26, 2005, section 4.
 */
static int round_compensated(double *rounded, const vdit_product_row *row, size_t o,
                             vdit_dtype dtype)
{
    compensated all = sum_products(row, o), pair = {0};

    if (all.size == 0) {
        *rounded = vdit_round_f64(dtype, all.sum);
        return 1;
    }
    pair.sum = all.sum;
    add_compensated(&pair, all.error);
    return vdit_settle(rounded, dtype, pair.sum, pair.error,
                       ((double)row->depth + 8) * UNIT * all.size);
}

/* Stage 2. */
static double round_exactly(const vdit_product_row *row, size_t o, vdit_dtype dtype)
{
    vdit_acc sum;

    vdit_acc_zero(&sum);
    vdit_acc_add(&sum, row->bias[o]);
    for (size_t k = 0; k < row->depth; k++)
        vdit_acc_add(&sum, row->x[k * row->x_step] * row->w[k * row->w_step + o]);
    return vdit_acc_round(&sum, dtype);
}

/*
 * One element, by the first stage that can. A sum that is not finite is IEEE's value of the formula
 * already: an infinity or a NaN among the inputs can give nothing else, and finite ones cannot overflow
 * in binary64. A bound of 0 means that every product and the bias are 0.
 */
static double round_one(const vdit_product_row *row, size_t o, vdit_dtype dtype, uint64_t *decided)
{
    double value = row->sum[o] + row->bias[o], rounded;
    double error = row->x_norm * row->w_norm[o] + row->bias_unit[o];
    int stage = 0;

    if (!isfinite(value)) {
        rounded = value;
    } else if (error == 0) {
        rounded = 0.0;
    } else if (!vdit_settle_simple(&rounded, dtype, value, error)) {
        stage = round_compensated(&rounded, row, o, dtype) ? 1 : 2;
        if (stage == 2)
            rounded = round_exactly(row, o, dtype);
    }
    decided[stage]++;
    return rounded;
}

/*
 * The common case, f32 side by side, by the machine's own conversion. Only normal results and overflows
 * pass: 0 and subnormals go to round_one. Returns: 1 if all passed.
 */
static int round_row_f32(float *y, const vdit_product_row *row)
{
    int all = 1;

    for (size_t o = 0; o < row->count; o++) {
        double value = row->sum[o] + row->bias[o];
        double error = row->x_norm * row->w_norm[o] + row->bias_unit[o];
        float low = (float)(value - error), high = (float)(value + error);
        y[o] = low;
        all &= (low == high) & (fabsf(low) >= FLT_MIN);
    }
    return all;
}

/*
 * A short format, as binary64 with fewer fraction bits: its codes are those of binary64, moved. The
 * smallest normal numbers, 2^-126 and 2^-14, have the exponent fields 897 and 1009 in binary64.
 */
typedef struct short_format {
    int drop;       /* fraction bits that go */
    uint64_t least; /* the shortened code of the smallest normal number */
    uint64_t first; /* its code in the format */
    uint64_t count; /* how many finite normal numbers there are */
} short_format;

static const short_format bf16 = {45, UINT64_C(897) << 7, 1 << 7, 254 << 7};
static const short_format f16 = {42, UINT64_C(1009) << 10, 1 << 10, 30 << 10};

/* The code of value without the last drop bits, rounded to nearest-even: a carry moves the exponent. */
static uint64_t shortened(double value, int drop)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return (bits + ((UINT64_C(1) << (drop - 1)) - 1) + (bits >> drop & 1)) >> drop;
}

/* The same for bf16 and f16, in integers. Only normal results pass. */
static int round_row_short(uint16_t *y, const vdit_product_row *row, short_format f)
{
    uint64_t sign = UINT64_C(1) << (63 - f.drop), bad = 0;

    for (size_t o = 0; o < row->count; o++) {
        double value = row->sum[o] + row->bias[o];
        double error = row->x_norm * row->w_norm[o] + row->bias_unit[o];
        uint64_t low = shortened(value - error, f.drop), high = shortened(value + error, f.drop);
        uint64_t code = (low & (sign - 1)) - f.least; /* wraps below the normal range */
        bad |= (low ^ high) | (code >= f.count);
        y[o] = (uint16_t)((code + f.first) | (low >= sign ? 0x8000 : 0));
    }
    return bad == 0;
}

void vdit_product_row_round(const vdit_product_row *row, void *y, ptrdiff_t step, vdit_dtype dtype,
                            uint64_t *decided)
{
    ptrdiff_t bytes = step * (ptrdiff_t)vdit_dtype_size(dtype);
    float quick[VDIT_KERNEL_NR_MAX];
    uint16_t quick_short[VDIT_KERNEL_NR_MAX];
    int all = 0;

    if (step == 1 && dtype == VDIT_F32 && (all = round_row_f32(quick, row)) != 0)
        memcpy(y, quick, row->count * sizeof *quick);
    if (step == 1 && dtype != VDIT_F32 &&
        (all = round_row_short(quick_short, row, dtype == VDIT_BF16 ? bf16 : f16)) != 0)
        memcpy(y, quick_short, row->count * sizeof *quick_short);
    if (all) {
        decided[0] += row->count;
        return;
    }
    for (size_t o = 0; o < row->count; o++)
        vdit_store_f64((char *)y + (ptrdiff_t)o * bytes, dtype, round_one(row, o, dtype, decided));
}
