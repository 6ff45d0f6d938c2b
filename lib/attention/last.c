/*
 * last.c - one row of attention in multi-precision.
 *
 * Logits are exact: the accumulator holds scale * q.k + mask as an integer, and so the differences to the
 * largest one. From there on every operation errs by at most 2^-186 relative; with N <= 2^31 terms the
 * value is known to 2^-150 of the sum of its terms' magnitudes, far better than the 2^-98 that the snap
 * rule needs (doc/numerics.md, 5.5).
 */
#include <math.h>
#include <string.h>
#include "attention/last.h"

vdit_status vdit_last_new(vdit_run *run, vdit_last *last, const vdit_head *head)
{
    memset(last, 0, sizeof *last);
    last->head = head;
    last->p = vdit_run_alloc(run, head->call->k->shape[2], sizeof(vdit_mp));
    last->q = vdit_run_alloc(run, head->d, sizeof(double));
    last->k = vdit_run_alloc(run, head->d, sizeof(double));
    return vdit_run_status(run);
}

double vdit_last_bytes(const vdit_attention *a)
{
    return (double)a->k->shape[2] * sizeof(vdit_mp) + 16 * (double)a->q->shape[3];
}

int vdit_last_logit(vdit_acc *logit, vdit_last *last, size_t j)
{
    const vdit_head *head = last->head;
    size_t at = head->key_at[j], mr = head->kernel->mr;
    const double *k = head->k + j / mr * mr * head->d + j % mr;
    double mask = vdit_head_mask(head, last->r, at);
    vdit_acc dot;

    if (mask == -INFINITY)
        return 0;
    vdit_acc_zero(&dot);
    for (size_t c = 0; c < head->d; c++)
        vdit_acc_add(&dot, last->q[c] * k[c * mr]); /* the product of two f32 is exact */
    vdit_acc_zero(logit);
    if (head->call->scale != 0)
        vdit_acc_add_scaled(logit, &dot, head->call->scale);
    vdit_acc_add(logit, mask);
    return 1;
}

/* Out: top, the largest logit. Returns: 0 if every key is masked out. */
static int exact_top(vdit_acc *top, vdit_last *last)
{
    vdit_acc logit, difference;
    int any = 0;

    for (size_t j = 0; j < last->head->keys; j++) {
        if (!vdit_last_logit(&logit, last, j))
            continue;
        difference = logit;
        if (any)
            vdit_acc_sub(&difference, top);
        if (!any || vdit_acc_sign(&difference) > 0)
            *top = logit;
        any = 1;
    }
    return any;
}

void vdit_last_aim(vdit_last *last, size_t r)
{
    last->r = r;
    vdit_head_query(last->head, last->q, r);
}

void vdit_last_load(vdit_last *last, size_t r)
{
    static const vdit_mp zero = {0, 0, {0}};
    vdit_acc top, logit;
    int any;

    vdit_last_aim(last, r);
    last->sum = last->top = zero;
    any = exact_top(&top, last);
    if (any)
        vdit_mp_from_acc(&last->top, &top);
    for (size_t j = 0; j < last->head->keys; j++) {
        last->p[j] = zero;
        if (!any || !vdit_last_logit(&logit, last, j))
            continue;
        vdit_acc_sub(&logit, &top);
        vdit_mp_from_acc(&last->p[j], &logit);
        vdit_mp_exp(&last->p[j], &last->p[j]);
        vdit_mp_add(&last->sum, &last->sum, &last->p[j]);
    }
}

double vdit_last_output(const vdit_last *last, size_t c, vdit_dtype dtype)
{
    vdit_mp value, magnitude, term, size;

    vdit_mp_from_f64(&value, 0);
    vdit_mp_from_f64(&size, 0);
    for (size_t j = 0; j < last->head->keys; j++) {
        double v = vdit_head_packed_value(last->head, j, c);
        if (v == 0 || last->p[j].sign == 0)
            continue;
        vdit_mp_from_f64(&term, v);
        vdit_mp_mul(&term, &term, &last->p[j]);
        vdit_mp_abs(&magnitude, &term);
        vdit_mp_add(&value, &value, &term);
        vdit_mp_add(&size, &size, &magnitude);
    }
    if (size.sign == 0)
        return 0;
    vdit_mp_div(&value, &value, &last->sum);
    vdit_mp_div(&size, &size, &last->sum);
    vdit_snap_to(&value, &size);
    return vdit_mp_round(&value, dtype);
}

double vdit_last_lse(const vdit_last *last)
{
    vdit_mp value, size, top;

    if (last->sum.sign == 0)
        return -INFINITY;
    vdit_mp_log(&value, &last->sum);
    vdit_mp_abs(&size, &value);
    vdit_mp_abs(&top, &last->top);
    vdit_mp_add(&size, &size, &top);
    vdit_mp_add(&value, &value, &last->top);
    vdit_snap_to(&value, &size);
    return vdit_mp_round(&value, VDIT_F32);
}

double vdit_last_entry(const vdit_last *last, size_t j)
{
    vdit_mp value;

    if (last->p[j].sign == 0)
        return 0;
    vdit_mp_div(&value, &last->p[j], &last->sum);
    vdit_snap_to(&value, &value);
    return vdit_mp_round(&value, VDIT_F32);
}

/* Out: norm = sum_c x_c^2 of a query or key (stride apart), in multi-precision from an exact sum. */
static void square_norm(vdit_mp *norm, const double *x, size_t n, size_t stride)
{
    vdit_acc sum;

    vdit_acc_zero(&sum);
    for (size_t c = 0; c < n; c++)
        vdit_acc_add(&sum, x[c * stride] * x[c * stride]);
    vdit_mp_from_acc(norm, &sum);
}

static void square(vdit_mp *x)
{
    vdit_mp_mul(x, x, x);
}

/* Out: x = max(unit |x|, least), the noise of rounding x. */
static void rounding_noise(vdit_mp *x, double unit, double least)
{
    vdit_mp factor, floor;

    vdit_mp_from_f64(&factor, unit);
    vdit_mp_from_f64(&floor, least);
    vdit_mp_abs(x, x);
    vdit_mp_mul(x, x, &factor);
    if (vdit_mp_compare(x, &floor) < 0)
        *x = floor;
}

/* Adds the terms of key j: the rounding of p, times v^2, and the logit's noise, times (v - o)^2. */
static void add_key_noise(vdit_mp *sum, vdit_mp *absolute, const vdit_last *last, size_t j,
                          double v, const vdit_mp *o, const vdit_mp *score)
{
    const vdit_head *head = last->head;
    const vdit_noise *noise = &head->call->noise;
    size_t mr = head->kernel->mr;
    vdit_mp value, term, norm;

    vdit_mp_from_f64(&value, v);
    term = last->p[j];
    rounding_noise(&term, noise->p_unit, noise->p_sub);
    if (vdit_mp_compare(&term, &last->p[j]) > 0)
        term = last->p[j];
    vdit_mp_mul(&term, &term, &value);
    square(&term);
    vdit_mp_from_f64(&norm, 3);
    vdit_mp_div(&term, &term, &norm);
    vdit_mp_add(sum, sum, &term); /* still to be divided by l^2 */

    square_norm(&norm, head->k + j / mr * mr * head->d + j % mr, head->d, mr);
    vdit_mp_sub(&term, &value, o);
    vdit_mp_mul(&term, &term, &last->p[j]);
    square(&term);
    vdit_mp_mul(&term, &term, &norm);
    vdit_mp_mul(&term, &term, score);
    vdit_mp_add(sum, sum, &term);

    vdit_mp_abs(&term, &value);
    vdit_mp_mul(&term, &term, &last->p[j]);
    vdit_mp_add(absolute, absolute, &term);
}

/* Out: o of channel c, not rounded. */
static void plain_output(vdit_mp *o, const vdit_last *last, size_t c)
{
    vdit_mp term;

    vdit_mp_from_f64(o, 0);
    for (size_t j = 0; j < last->head->keys; j++) {
        vdit_mp_from_f64(&term, vdit_head_packed_value(last->head, j, c));
        vdit_mp_mul(&term, &term, &last->p[j]);
        vdit_mp_add(o, o, &term);
    }
    vdit_mp_div(o, o, &last->sum);
}

/* Returns: the square root of x, rounded once to bf16. */
static double root_bf16(const vdit_mp *x)
{
    double root = sqrt(vdit_mp_round(x, VDIT_F64));
    double low = vdit_round_f64(VDIT_BF16, root * (1 - 0x1p-40));
    double high = vdit_round_f64(VDIT_BF16, root * (1 + 0x1p-40));
    double middle = low / 2 + fmin(high, 0x1p128) / 2; /* nine bits, its square eighteen: exact */
    vdit_mp edge;
    int order;

    if (low == high)
        return low;
    vdit_mp_from_f64(&edge, middle * middle);
    order = vdit_mp_compare(x, &edge);
    return order < 0 ? low : order > 0 ? high : vdit_round_f64(VDIT_BF16, middle);
}

double vdit_last_sigma(const vdit_last *last, size_t c)
{
    const vdit_noise *noise = &last->head->call->noise;
    vdit_mp sum, absolute, o, score, term;

    if (last->sum.sign == 0)
        return 0;
    plain_output(&o, last, c);
    square_norm(&score, last->q, last->head->d, 1); /* score = (score_unit scale |q|)^2 */
    vdit_mp_from_f64(&term, noise->score_unit);
    square(&term);
    vdit_mp_mul(&score, &score, &term);
    vdit_mp_from_f64(&term, last->head->call->scale);
    square(&term);
    vdit_mp_mul(&score, &score, &term);

    vdit_mp_from_f64(&sum, 0);
    vdit_mp_from_f64(&absolute, 0);
    for (size_t j = 0; j < last->head->keys; j++)
        add_key_noise(&sum, &absolute, last, j, vdit_head_packed_value(last->head, j, c), &o,
                      &score);
    term = last->sum;
    square(&term);
    vdit_mp_div(&sum, &sum, &term);

    rounding_noise(&o, noise->out_unit, noise->out_sub);
    square(&o);
    vdit_mp_from_f64(&term, 3);
    vdit_mp_div(&o, &o, &term);
    vdit_mp_add(&sum, &sum, &o);
    vdit_mp_div(&absolute, &absolute, &last->sum);
    vdit_mp_from_f64(&term, noise->sum_unit);
    vdit_mp_mul(&absolute, &absolute, &term);
    square(&absolute);
    vdit_mp_add(&sum, &sum, &absolute);
    vdit_snap_to(&sum, &sum);
    return root_bf16(&sum);
}
