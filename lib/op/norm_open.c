/* norm_open.c - elements that the estimate leaves open: pairs, then multi-precision (doc/numerics.md, 10.5). */
#include <math.h>
#include "exact/limbs.h"
#include "exact/settle.h"
#include "op/norm.h"

#define PIECE VDIT_LINES_PIECE

/* Called with each piece of x of a set. */
typedef void visit_fn(vdit_norm_open *open, const double *x, size_t n, void *sum);

static void visit_set(vdit_norm_open *open, visit_fn *visit, void *sum)
{
    const vdit_norm *norm = open->norm;
    double x[PIECE];

    for (size_t run = 0; run < norm->runs; run++)
        for (size_t at = 0; at < norm->length; at += PIECE) {
            size_t n = norm->length - at < PIECE ? norm->length - at : PIECE;

            vdit_lines_load(x, n, &norm->x, run, at);
            visit(open, x, n, sum);
        }
}

static vdit_pair pair_of(double x)
{
    return (vdit_pair){x, 0};
}

static void add_pairs(vdit_norm_open *open, const double *x, size_t n, void *sum)
{
    vdit_pair *s = sum;

    (void)open;
    for (size_t i = 0; i < n; i++)
        *s = vdit_pair_add(*s, pair_of(x[i]));
}

static vdit_pair from_mean(const vdit_norm_open *open, double x)
{
    return vdit_pair_add(pair_of(x), (vdit_pair){-open->mean.high, -open->mean.low});
}

static void add_squares(vdit_norm_open *open, const double *x, size_t n, void *sum)
{
    vdit_pair *s = sum;

    for (size_t i = 0; i < n; i++) {
        vdit_pair d = from_mean(open, x[i]);
        *s = vdit_pair_add(*s, vdit_pair_mul(d, d));
    }
}

/* 1 / sqrt(q): one step of Newton's, r + r (1 - q r r) / 2, from binary64. */
static vdit_pair inverse_root(vdit_pair q)
{
    double r = 1 / sqrt(q.high);
    vdit_pair one = vdit_pair_mul(q, vdit_two_product(r, r));
    double rest = (1 - one.high) - one.low; /* 1 - one.high is exact */

    return vdit_two_sum(r, r * (rest / 2));
}

/* Stage 1: m and r as pairs, and what the elements err by. */
static void pair_set(vdit_norm_open *open)
{
    const vdit_norm *norm = open->norm;
    vdit_pair count = pair_of((double)vdit_norm_count(norm)), sum = {0, 0}, square = {0, 0};

    open->paired = 1;
    open->t_error = HUGE_VAL;
    if (norm->eps > 0x1p900) /* beyond what products of pairs may hold */
        return;
    if (norm->centred) {
        visit_set(open, add_pairs, &sum);
        open->mean = vdit_pair_div(sum, count);
    }
    visit_set(open, add_squares, &square);
    square = vdit_pair_add(vdit_pair_div(square, count), pair_of(norm->eps));
    if (!(square.high > 0))
        return;
    open->scale = inverse_root(square);
    open->t_error =
        (count.high + 128) * 0x1p-100 + 0x1p-94 * open->estimate->size * open->scale.high;
    open->w_error = 0x1p-95 * open->estimate->size * open->scale.high;
    if (!(open->t_error < 0x1p-20))
        open->t_error = HUGE_VAL;
}

/* Stage 1. The last term is for the sum of t and b and for the snap rule, which moves less than 2^-89 of it. */
static int round_pair(double *rounded, vdit_norm_open *open, double x, double w, double b)
{
    vdit_pair t, value;
    double error;

    if (!open->paired)
        pair_set(open);
    if (!(open->t_error < HUGE_VAL))
        return 0;
    t = vdit_pair_mul(vdit_pair_mul(from_mean(open, x), open->scale), pair_of(w));
    value = vdit_pair_add(t, pair_of(b));
    error =
        open->t_error * fabs(t.high) + open->w_error * fabs(w) + 0x1p-86 * (fabs(t.high) + fabs(b));
    return vdit_settle(rounded, open->norm->y.dtype, value.high, value.low, error);
}

/* Sums of x and of x^2, which is exact in binary64. */
typedef struct exact_sums {
    vdit_acc sum, square;
} exact_sums;

static void add_exactly(vdit_norm_open *open, const double *x, size_t n, void *sums)
{
    exact_sums *s = sums;

    (void)open;
    for (size_t i = 0; i < n; i++) {
        vdit_acc_add(&s->sum, x[i]);
        vdit_acc_add(&s->square, x[i] * x[i]);
    }
}

/* Out: to -= a^2, exactly: a times each of its own limbs. */
static void subtract_square(vdit_acc *to, const vdit_acc *a)
{
    uint32_t limb[VDIT_ACC_LIMBS];
    int sign = vdit_acc_magnitude(limb, a);

    for (int i = 0; i < VDIT_ACC_LIMBS; i++)
        if (limb[i] != 0)
            vdit_acc_add_scaled(to, a, -sign * ldexp((double)limb[i], 32 * i + VDIT_ACC_LOW));
}

/*
 * Stage 2: with n elements, s = (n sum x^2 - (sum x)^2) / n^2 for a centred set; the numerator is exact. So is
 * n (x - m) = n x - sum x, hence root is n sqrt(s + eps).
 */
static void exact_set(vdit_norm_open *open)
{
    const vdit_norm *norm = open->norm;
    double n = (double)vdit_norm_count(norm);
    exact_sums sums;
    vdit_acc numerator;
    vdit_mp count, term;

    open->exact = 1;
    vdit_acc_zero(&sums.sum);
    vdit_acc_zero(&sums.square);
    vdit_acc_zero(&numerator);
    visit_set(open, add_exactly, &sums);
    vdit_acc_add_scaled(&numerator, &sums.square, n);
    if (norm->centred)
        subtract_square(&numerator, &sums.sum);
    open->sum = sums.sum;
    vdit_mp_from_f64(&count, n);
    vdit_mp_from_acc(&open->root, &numerator);
    vdit_mp_div(&open->root, &open->root, &count);
    vdit_mp_div(&open->root, &open->root, &count);
    vdit_mp_from_f64(&term, norm->eps);
    vdit_mp_add(&open->root, &open->root, &term);
    vdit_mp_sqrt(&open->root, &open->root);
    if (norm->centred)
        vdit_mp_mul(&open->root, &open->root, &count);
}

/* Out: distance, x - m, or n times that if centred. */
static void distance_from_mean(vdit_mp *distance, vdit_norm_open *open, double x)
{
    vdit_acc exact;

    if (!open->exact)
        exact_set(open);
    if (!open->norm->centred) {
        vdit_mp_from_f64(distance, x);
        return;
    }
    vdit_acc_zero(&exact);
    vdit_acc_add_product(&exact, (double)vdit_norm_count(open->norm), x);
    vdit_acc_sub(&exact, &open->sum);
    vdit_mp_from_acc(distance, &exact);
}

/* The result where t is 0: b; or for RMS norm, which adds nothing, IEEE's x w. */
static double zero_plus(const vdit_norm_open *open, double x, double w, double b)
{
    return b != 0 ? b : open->norm->centred ? 0.0 : x * w;
}

/* A common 0 that needs no proof, where it is certain that s + eps is not 0, too. */
static int t_is_zero(const vdit_norm_open *open, double x, double w)
{
    return (w == 0 && open->estimate->t_error < HUGE_VAL) || (x == 0 && !open->norm->centred);
}

/* Stage 2. A weight that is not finite asks for the sign of t alone. */
static double round_exactly(vdit_norm_open *open, double x, double w, double b)
{
    vdit_mp t, value, size, term;

    distance_from_mean(&t, open, x);
    if (open->root.sign == 0)
        return NAN;
    if (!isfinite(w) || !isfinite(b))
        return (isfinite(w) ? 0 : t.sign * w) + b;
    if (t.sign == 0 || w == 0)
        return zero_plus(open, x, w, b);
    vdit_mp_from_f64(&term, w);
    vdit_mp_mul(&t, &t, &term);
    vdit_mp_div(&t, &t, &open->root);
    vdit_mp_from_f64(&term, b);
    vdit_mp_add(&value, &t, &term);
    vdit_mp_abs(&size, &t);
    vdit_mp_abs(&term, &term);
    vdit_mp_add(&size, &size, &term);
    vdit_snap_to(&value, &size);
    return vdit_mp_round(&value, open->norm->y.dtype);
}

double vdit_norm_open_round(vdit_norm_open *open, double x, double w, double b, uint64_t *decided)
{
    int plain = isfinite(w) && isfinite(b);
    double rounded;

    if (plain && t_is_zero(open, x, w)) {
        decided[0]++;
        return zero_plus(open, x, w, b);
    }
    if (plain && round_pair(&rounded, open, x, w, b)) {
        decided[1]++;
        return rounded;
    }
    decided[2]++;
    return round_exactly(open, x, w, b);
}
