/* product_row.c - the rounding test, the compensated sum, the exact sum. */
#include <math.h>
#include <string.h>
#include "exact/accumulator.h"
#include "exact/settle.h"
#include "op/product_row.h"

#define UNIT  0x1p-53
#define LANES 4 /* independent compensated sums */
#define PIECE 4 /* elements rounded together */

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

/* The ends of the intervals of elements first .. first + PIECE - 1. */
static void bound_piece(double *low, double *high, const vdit_product_row *row, size_t first)
{
    for (size_t i = 0; i < PIECE; i++) {
        double value = row->sum[first + i] + row->bias[first + i];
        double error = row->x_norm * row->w_norm[first + i] + row->bias_unit[first + i];
        low[i] = value - error;
        high[i] = value + error;
    }
}

/*
 * The common case, f32, by the machine's own conversion. Only normal results and overflows pass: 0 and
 * subnormals go to round_one. Out: y[PIECE]. Returns: 1 if all passed.
 */
static int round_piece_f32(void *y, const double *low, const double *high)
{
    float from[PIECE], to[PIECE];
    uint32_t from_code[PIECE], to_code[PIECE], bad = 0;

    for (size_t i = 0; i < PIECE; i++) {
        from[i] = (float)low[i];
        to[i] = (float)high[i];
    }
    memcpy(from_code, from, sizeof from);
    memcpy(to_code, to, sizeof to);
    for (size_t i = 0; i < PIECE; i++) {
        uint32_t magnitude = (from_code[i] & 0x7fffffff) - 0x00800000; /* wraps below 2^-126 */
        bad |= (from_code[i] ^ to_code[i]) | (magnitude > 0x7f000000); /* beyond infinity: NaN */
    }
    memcpy(y, from, sizeof from);
    return bad == 0;
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
static int round_piece_short(void *y, const double *low, const double *high, short_format f)
{
    uint64_t sign = UINT64_C(1) << (63 - f.drop), bad = 0;
    uint16_t code[PIECE];

    for (size_t i = 0; i < PIECE; i++) {
        uint64_t from = shortened(low[i], f.drop), to = shortened(high[i], f.drop);
        uint64_t magnitude = (from & (sign - 1)) - f.least; /* wraps below the normal range */
        bad |= (from ^ to) | (magnitude >= f.count);
        code[i] = (uint16_t)((magnitude + f.first) | (from >= sign ? 0x8000 : 0));
    }
    memcpy(y, code, sizeof code);
    return bad == 0;
}

static int round_piece(void *y, const vdit_product_row *row, size_t first, vdit_dtype dtype)
{
    double low[PIECE], high[PIECE];

    bound_piece(low, high, row, first);
    if (dtype == VDIT_F32)
        return round_piece_f32(y, low, high);
    return round_piece_short(y, low, high, dtype == VDIT_BF16 ? bf16 : f16);
}

/* A piece that does not pass is written anyway, then again, element by element. */
void vdit_product_row_round(const vdit_product_row *row, void *y, ptrdiff_t step, vdit_dtype dtype,
                            uint64_t *decided)
{
    ptrdiff_t bytes = step * (ptrdiff_t)vdit_dtype_size(dtype);

    for (size_t first = 0; first < row->count; first += PIECE) {
        char *to = (char *)y + (ptrdiff_t)first * bytes;
        size_t count = row->count - first < PIECE ? row->count - first : PIECE;
        if (step == 1 && count == PIECE && round_piece(to, row, first, dtype)) {
            decided[0] += PIECE;
            continue;
        }
        for (size_t o = first; o < first + count; o++, to += bytes)
            vdit_store_f64(to, dtype, round_one(row, o, dtype, decided));
    }
}
