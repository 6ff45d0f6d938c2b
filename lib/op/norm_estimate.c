/* norm_estimate.c - mean and scale of a set in binary64, with their bounds (doc/numerics.md, 10.4). */
#include <math.h>
#include "exact/simd.h"
#include "op/norm.h"

#define UNIT  0x1p-53
#define LANES 8 /* sums side by side */

/* The most additions that an element of a piece takes part in, and one for the pieces. */
#define SUM_UNITS (VDIT_LINES_PIECE / LANES + 3 + 1)

/* Sums over a piece. */
typedef struct piece_sums {
    double sum, size, square;
} piece_sums;

VDIT_INLINE double add_lanes(const double *lane)
{
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) +
           ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

/* Out: the sums of x - mean, |x| and (x - mean)^2 over n elements; x[n] has room for whole lanes. */
VDIT_INLINE void sums_body(piece_sums *out, double *x, size_t n, double mean)
{
    double sum[LANES] = {0}, size[LANES] = {0}, square[LANES] = {0};

    for (size_t i = n; i % LANES != 0; i++)
        x[i] = 0; /* counted in sum and size, which 0 does not change */
    for (size_t i = 0; i < n; i += LANES)
        VDIT_SIMD for (size_t j = 0; j < LANES; j++)
        {
            sum[j] += x[i + j];
            size[j] += fabs(x[i + j]);
        }
    for (size_t i = n; i % LANES != 0; i++)
        x[i] = mean; /* and in square, which these do not change */
    for (size_t i = 0; i < n; i += LANES)
        VDIT_SIMD for (size_t j = 0; j < LANES; j++)
        {
            double d = x[i + j] - mean;
            square[j] += d * d;
        }
    *out = (piece_sums){add_lanes(sum), add_lanes(size), add_lanes(square)};
}

#define INSTANCE(set, attribute)                                                                   \
    attribute static void sums_##set(piece_sums *out, double *x, size_t n, double mean)            \
    {                                                                                              \
        sums_body(out, x, n, mean);                                                                \
    }

#define NO_ATTRIBUTE
INSTANCE(portable, NO_ATTRIBUTE)
#ifdef VDIT_HAVE_X86
INSTANCE(avx512, VDIT_TARGET_AVX512)
INSTANCE(avx2, VDIT_TARGET_AVX2)
#endif

/* Adds without loss but for an error in low that is below u^2 of all that was added, per piece. */
static void add_to(vdit_pair *sum, double x)
{
    vdit_pair now = vdit_two_sum(sum->high, x);

    sum->high = now.high;
    sum->low += now.low;
}

/* The errors of a sum that is not finite are no numbers. */
static double total(vdit_pair sum)
{
    return isfinite(sum.high) ? sum.high + sum.low : sum.high;
}

/* Sums over the set, the pieces' ones compensated. */
static piece_sums sum_set(const vdit_norm *norm, double mean)
{
    vdit_pair sum = {0, 0}, square = {0, 0};
    double x[VDIT_LINES_PIECE], size = 0;

    for (size_t run = 0; run < norm->runs; run++)
        for (size_t at = 0; at < norm->length; at += VDIT_LINES_PIECE) {
            size_t left = norm->length - at, n = left < VDIT_LINES_PIECE ? left : VDIT_LINES_PIECE;
            piece_sums piece;

            vdit_lines_load(x, n, &norm->x, run, at);
            VDIT_CHOOSE(sums)(&piece, x, n, mean);
            add_to(&sum, piece.sum);
            add_to(&square, piece.square);
            size += piece.size;
        }
    return (piece_sums){total(sum), size, total(square)};
}

void vdit_norm_estimate_set(vdit_norm_estimate *estimate, const vdit_norm *norm)
{
    double count = (double)vdit_norm_count(norm), mean_error = 0, q, q_error;
    piece_sums sums = sum_set(norm, 0);

    estimate->mean = 0;
    estimate->size = 1.01 * sums.size;
    if (norm->centred && isfinite(sums.size)) {
        estimate->mean = sums.sum / count;
        mean_error = (SUM_UNITS + 4) * UNIT * estimate->size / count;
        sums = sum_set(norm, estimate->mean);
    }
    estimate->square = sums.square;
    q = sums.square / count + norm->eps;
    q_error = (SUM_UNITS + 8) * UNIT + 1.01 * mean_error * mean_error / q;
    estimate->scale = 1 / sqrt(q);
    /* half of q's error, but for a second order; 2 u of the root and the quotient; 5 u for the rest */
    estimate->t_error = q_error < 0x1p-10 ? 0.52 * q_error + 8 * UNIT : HUGE_VAL;
    estimate->w_error = 1.02 * mean_error * estimate->scale;
}
