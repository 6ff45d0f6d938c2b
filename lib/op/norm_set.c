/* norm_set.c - one set: special values, the estimate of each element, the rounding test. */
#include <math.h>
#include "exact/settle.h"
#include "op/norm.h"

#define UNIT  0x1p-53
#define PIECE VDIT_LINES_PIECE

size_t vdit_norm_count(const vdit_norm *norm)
{
    return norm->runs * norm->length;
}

static vdit_lines moved(const vdit_lines *rows, const ptrdiff_t *offset, size_t set)
{
    vdit_lines result = *rows;

    if (rows->data != NULL)
        result.data += offset[set] * (ptrdiff_t)vdit_dtype_size(rows->dtype);
    return result;
}

vdit_norm vdit_norm_at(const vdit_norm *norm, size_t set)
{
    vdit_norm result = *norm;

    result.x = moved(&norm->x, norm->x_set, set);
    result.y = moved(&norm->y, norm->y_set, set);
    result.w = moved(&norm->w, norm->w_set, set);
    result.b = moved(&norm->b, norm->b_set, set);
    return result;
}

/* The elements of a piece, and what becomes of them. */
typedef struct norm_piece {
    double x[PIECE], w[PIECE], b[PIECE];
    double value[PIECE], error[PIECE], y[PIECE];
} norm_piece;

static void load_operand(double *out, const vdit_lines *rows, double missing, size_t n, size_t run,
                         size_t at)
{
    if (rows->data != NULL) {
        vdit_lines_load(out, n, rows, run, at);
        return;
    }
    for (size_t i = 0; i < n; i++)
        out[i] = missing;
}

/*
 * value = (x - mean) scale w + b, and its error: the constants are those of doc/numerics.md, 10.4. An element that
 * does not settle becomes NaN.
 */
VDIT_INLINE void settle_body(norm_piece *p, size_t n, const vdit_norm_estimate *estimate,
                             vdit_dtype dtype)
{
    const double mean = estimate->mean, scale = estimate->scale;
    const double t_error = estimate->t_error, w_error = estimate->w_error;

    VDIT_SIMD for (size_t i = 0; i < n; i++)
    {
        double t = (p->x[i] - mean) * (scale * p->w[i]), value = t + p->b[i];

        p->value[i] = value;
        p->error[i] = t_error * fabs(t) + w_error * fabs(p->w[i]) + 4 * UNIT * fabs(value) +
                      UNIT * fabs(p->b[i]);
    }
    if (dtype == VDIT_F32)
        vdit_settle_many(n, p->y, VDIT_F32, p->value, p->error);
    else if (dtype == VDIT_BF16)
        vdit_settle_many(n, p->y, VDIT_BF16, p->value, p->error);
    else
        vdit_settle_many(n, p->y, VDIT_F16, p->value, p->error);
}

#define INSTANCE(set, attribute)                                                                   \
    attribute static void settle_##set(norm_piece *p, size_t n,                                    \
                                       const vdit_norm_estimate *estimate, vdit_dtype dtype)       \
    {                                                                                              \
        settle_body(p, n, estimate, dtype);                                                        \
    }

#define NO_ATTRIBUTE
INSTANCE(portable, NO_ATTRIBUTE)
#ifdef VDIT_HAVE_X86
INSTANCE(avx512, VDIT_TARGET_AVX512)
INSTANCE(avx2, VDIT_TARGET_AVX2)
#endif

/*
 * A set with an infinity or a NaN, or whose square root is 0: the formula's IEEE value, in which no finite term
 * overflows. A mean of such a set makes x - m or s a NaN.
 */
static double special(const vdit_norm *norm, const vdit_norm_estimate *estimate, double x, double w)
{
    double q = estimate->square / (double)vdit_norm_count(norm) + norm->eps;

    return norm->centred || q == 0 ? (double)NAN : x / sqrt(q) * w;
}

/* Elements of a set of equal ones are at their mean. */
static double constant(double w, double b)
{
    double value = 0 * w + b;

    return value == 0 ? 0.0 : value;
}

/* Rounds a piece; elements at n and beyond are not touched. */
static void round_piece(vdit_norm_open *open, norm_piece *p, size_t n, uint64_t *decided)
{
    const vdit_norm *norm = open->norm;
    const vdit_norm_estimate *estimate = open->estimate;
    double q = estimate->square + norm->eps;
    int infinite = !isfinite(estimate->size) || q == 0;
    int equal = norm->centred && estimate->square == 0;

    decided[0] += n;
    if (infinite || equal) {
        for (size_t i = 0; i < n; i++)
            p->y[i] =
                infinite ? special(norm, estimate, p->x[i], p->w[i]) : constant(p->w[i], p->b[i]);
        return;
    }
    VDIT_CHOOSE(settle)(p, n, estimate, norm->y.dtype);
    for (size_t i = 0; i < n; i++) {
        if (p->y[i] == p->y[i])
            continue;
        decided[0]--;
        if (vdit_settle_simple(&p->y[i], norm->y.dtype, p->value[i], p->error[i]))
            decided[0]++;
        else
            p->y[i] = vdit_norm_open_round(open, p->x[i], p->w[i], p->b[i], decided);
    }
}

void vdit_norm_set(const vdit_norm *all, size_t set, uint64_t *decided)
{
    const vdit_norm norm = vdit_norm_at(all, set);
    vdit_norm_estimate estimate;
    vdit_norm_open open = {.norm = &norm, .estimate = &estimate};
    norm_piece piece;

    vdit_norm_estimate_set(&estimate, &norm);
    for (size_t run = 0; run < norm.runs; run++)
        for (size_t at = 0; at < norm.length; at += PIECE) {
            size_t n = norm.length - at < PIECE ? norm.length - at : PIECE;

            vdit_lines_load(piece.x, n, &norm.x, run, at);
            load_operand(piece.w, &norm.w, 1, n, run, at);
            load_operand(piece.b, &norm.b, 0, n, run, at);
            round_piece(&open, &piece, n, decided);
            vdit_lines_store(&norm.y, run, at, piece.y, n);
        }
}
