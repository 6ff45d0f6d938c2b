/* attention_oracle.c - one row of attention at a time, in MPFR, written from the definition. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "attention_oracle.h"

#define BITS       ATTENTION_ORACLE_BITS
#define EXACT_BITS 1200 /* a logit: a multiple of 2^-476 below 2^404 */
#define SNAP_BITS  90
#define NEAREST    MPFR_RNDN

static double element(const vdit_tensor *t, size_t b, size_t h, size_t n, size_t c)
{
    size_t index[4] = {b, h, n, c};
    double value;

    vdit_load_f64(&value, 1, vdit_tensor_at(t, index), 1, t->dtype);
    return value;
}

static int64_t integer(const vdit_tensor *t, size_t i)
{
    int64_t value;

    memcpy(&value, vdit_tensor_at(t, &i), sizeof value);
    return value;
}

/* The mask of key j for this row, each of its axes in full or of extent 1. */
static double mask_at(const attention_oracle *oracle, size_t j)
{
    const vdit_tensor *mask = oracle->call->mask;
    double value;

    if (mask == NULL)
        return 0;
    value = element(mask, mask->shape[0] == 1 ? 0 : oracle->b, mask->shape[1] == 1 ? 0 : oracle->h,
                    mask->shape[2] == 1 ? 0 : oracle->query, mask->shape[3] == 1 ? 0 : j);
    if (mask->dtype == VDIT_BOOL)
        return value != 0 ? 0 : -INFINITY;
    return value;
}

void attention_oracle_new(attention_oracle *oracle, const vdit_attention *call)
{
    size_t keys = call->k->shape[2];

    memset(oracle, 0, sizeof *oracle);
    mpfr_set_emin(mpfr_get_emin_min()); /* e^(-2^30) is beyond the default */
    oracle->call = call;
    oracle->key = malloc((keys + 1) * sizeof *oracle->key);
    oracle->p = malloc((keys + 1) * sizeof *oracle->p);
    oracle->logit = malloc((keys + 1) * sizeof *oracle->logit);
    oracle->norm = malloc((keys + 1) * sizeof *oracle->norm);
    if (oracle->key == NULL || oracle->p == NULL || oracle->logit == NULL || oracle->norm == NULL)
        abort();
    for (size_t j = 0; j < keys; j++) {
        mpfr_init2(oracle->p[j], BITS);
        mpfr_init2(oracle->logit[j], EXACT_BITS);
        mpfr_init2(oracle->norm[j], BITS);
    }
    mpfr_init2(oracle->top, EXACT_BITS);
    mpfr_inits2(BITS, oracle->sum, oracle->query_norm, (mpfr_ptr)0);
}

void attention_oracle_free(attention_oracle *oracle)
{
    for (size_t j = 0; j < oracle->call->k->shape[2]; j++)
        mpfr_clears(oracle->p[j], oracle->logit[j], oracle->norm[j], (mpfr_ptr)0);
    mpfr_clears(oracle->top, oracle->sum, oracle->query_norm, (mpfr_ptr)0);
    free(oracle->key);
    free(oracle->p);
    free(oracle->logit);
    free(oracle->norm);
}

/* Out: s = scale * q.k_j + mask, exactly; MPFR says so itself. */
static void exact_logit(mpfr_t s, const attention_oracle *oracle, size_t j, double mask)
{
    const vdit_attention *call = oracle->call;

    mpfr_clear_flags();
    mpfr_set_zero(s, 1);
    for (size_t c = 0; c < call->q->shape[3]; c++) /* the product of two f32 is exact */
        mpfr_add_d(s, s,
                   element(call->q, oracle->b, oracle->h, oracle->query, c) *
                       element(call->k, oracle->b, oracle->h, j, c),
                   NEAREST);
    mpfr_mul_d(s, s, call->scale, NEAREST);
    mpfr_add_d(s, s, mask, NEAREST);
    if (mpfr_inexflag_p() || !mpfr_number_p(s))
        abort();
}

/* Out: square = sum_c x_c^2 of row n. */
static void norm_square(mpfr_t square, const vdit_tensor *x, size_t b, size_t h, size_t n)
{
    mpfr_set_zero(square, 1);
    for (size_t c = 0; c < x->shape[3]; c++) {
        double value = element(x, b, h, n, c);
        mpfr_add_d(square, square, value * value, NEAREST);
    }
}

void attention_oracle_load(attention_oracle *oracle, size_t b, size_t h, size_t r)
{
    const vdit_attention *call = oracle->call;
    size_t keys =
        call->key_length != NULL ? (size_t)integer(call->key_length, b) : call->k->shape[2];
    mpfr_t difference;

    oracle->b = b;
    oracle->h = h;
    oracle->query = call->rows != NULL ? (size_t)integer(call->rows, r) : r;
    oracle->count = 0;
    for (size_t j = 0; j < keys; j++) {
        double mask = mask_at(oracle, j);
        size_t at = oracle->count;

        if (mask == -INFINITY)
            continue;
        exact_logit(oracle->logit[at], oracle, j, mask);
        if (at == 0 || mpfr_greater_p(oracle->logit[at], oracle->top))
            mpfr_set(oracle->top, oracle->logit[at], NEAREST);
        if (call->sigma != NULL)
            norm_square(oracle->norm[at], call->k, b, h, j);
        oracle->key[oracle->count++] = j;
    }
    norm_square(oracle->query_norm, call->q, b, h, oracle->query);
    mpfr_init2(difference, EXACT_BITS);
    mpfr_set_zero(oracle->sum, 1);
    for (size_t i = 0; i < oracle->count; i++) {
        mpfr_sub(difference, oracle->logit[i], oracle->top, NEAREST);
        if (mpfr_cmp_si_2exp(difference, -1, 30) <= 0) /* the rule of exact/mp.h */
            mpfr_set_zero(oracle->p[i], 1);
        else
            mpfr_exp(oracle->p[i], difference, NEAREST);
        mpfr_add(oracle->sum, oracle->sum, oracle->p[i], NEAREST);
    }
    mpfr_clear(difference);
}

void attention_oracle_snap(mpfr_t value, const mpfr_t size)
{
    mpfr_t above;
    long exponent;

    if (mpfr_zero_p(size))
        return;
    mpfr_init2(above, BITS + 64);
    mpfr_mul_2si(above, size, -64, NEAREST);
    mpfr_add(above, above, size, NEAREST);
    exponent = (long)mpfr_get_exp(above); /* above = 0.1... 2^exponent */
    mpfr_mul_2si(value, value, SNAP_BITS - exponent, NEAREST);
    mpfr_rint(value, value, NEAREST); /* a tie to the even multiple */
    mpfr_mul_2si(value, value, exponent - SNAP_BITS, NEAREST);
    mpfr_clear(above);
}

double attention_oracle_round(mpfr_t value, const mpfr_t size, vdit_dtype dtype)
{
    attention_oracle_snap(value, size);
    return oracle_round(value, dtype);
}

void attention_oracle_sums(mpfr_t value, mpfr_t size, const attention_oracle *oracle, size_t c)
{
    mpfr_t term;

    mpfr_init2(term, BITS);
    mpfr_set_zero(value, 1);
    mpfr_set_zero(size, 1);
    for (size_t i = 0; i < oracle->count; i++) {
        double v = element(oracle->call->v, oracle->b, oracle->h, oracle->key[i], c);

        mpfr_mul_d(term, oracle->p[i], v, NEAREST);
        mpfr_add(value, value, term, NEAREST);
        mpfr_abs(term, term, NEAREST);
        mpfr_add(size, size, term, NEAREST);
    }
    if (oracle->count > 0) {
        mpfr_div(value, value, oracle->sum, NEAREST);
        mpfr_div(size, size, oracle->sum, NEAREST);
    }
    mpfr_clear(term);
}

double attention_oracle_output(const attention_oracle *oracle, size_t c, vdit_dtype dtype)
{
    double rounded;
    mpfr_t value, size;

    mpfr_inits2(BITS, value, size, (mpfr_ptr)0);
    attention_oracle_sums(value, size, oracle, c);
    attention_oracle_snap(value, size);
    rounded = oracle_round(value, dtype);
    mpfr_clears(value, size, (mpfr_ptr)0);
    return rounded;
}

double attention_oracle_lse(const attention_oracle *oracle)
{
    double rounded;
    mpfr_t value, size, top;

    if (oracle->count == 0)
        return -INFINITY;
    mpfr_inits2(EXACT_BITS, value, size, top, (mpfr_ptr)0);
    mpfr_log(value, oracle->sum, NEAREST);
    mpfr_abs(size, value, NEAREST);
    mpfr_abs(top, oracle->top, NEAREST);
    mpfr_add(size, size, top, NEAREST);
    mpfr_add(value, value, oracle->top, NEAREST);
    attention_oracle_snap(value, size);
    rounded = oracle_round(value, VDIT_F32);
    mpfr_clears(value, size, top, (mpfr_ptr)0);
    return rounded;
}

double attention_oracle_map(const attention_oracle *oracle, size_t j)
{
    double rounded = 0;
    mpfr_t value;

    mpfr_init2(value, BITS);
    for (size_t i = 0; i < oracle->count; i++)
        if (oracle->key[i] == j) {
            mpfr_div(value, oracle->p[i], oracle->sum, NEAREST);
            attention_oracle_snap(value, value);
            rounded = oracle_round(value, VDIT_F32);
        }
    mpfr_clear(value);
    return rounded;
}

/* sum += 1/3 max(unit |x|, least)^2, at most limit^2 inside if limit is not NULL. */
static void add_rounding(mpfr_t sum, const mpfr_t x, double unit, double least, const mpfr_t limit,
                         double factor)
{
    mpfr_t term;

    mpfr_init2(term, BITS);
    mpfr_abs(term, x, NEAREST);
    mpfr_mul_d(term, term, unit, NEAREST);
    if (mpfr_cmp_d(term, least) < 0)
        mpfr_set_d(term, least, NEAREST);
    if (limit != NULL && mpfr_greater_p(term, limit))
        mpfr_set(term, limit, NEAREST);
    mpfr_mul_d(term, term, factor, NEAREST);
    mpfr_sqr(term, term, NEAREST);
    mpfr_div_ui(term, term, 3, NEAREST);
    mpfr_add(sum, sum, term, NEAREST);
    mpfr_clear(term);
}

/* The two sums of the noise model over the keys, both still to be divided by l^2. */
static void add_key_noise(mpfr_t sum, const attention_oracle *oracle, size_t c, const mpfr_t o)
{
    const vdit_attention *call = oracle->call;
    const vdit_noise *noise = &call->noise;
    mpfr_t term, difference;

    mpfr_inits2(BITS, term, difference, (mpfr_ptr)0);
    for (size_t i = 0; i < oracle->count; i++) {
        double v = element(call->v, oracle->b, oracle->h, oracle->key[i], c);

        add_rounding(sum, oracle->p[i], noise->p_unit, noise->p_sub, oracle->p[i], v);
        mpfr_mul_d(term, oracle->p[i], noise->score_unit, NEAREST);
        mpfr_mul_d(term, term, call->scale, NEAREST);
        mpfr_d_sub(difference, v, o, NEAREST);
        mpfr_mul(term, term, difference, NEAREST);
        mpfr_sqr(term, term, NEAREST);
        mpfr_mul(term, term, oracle->query_norm, NEAREST);
        mpfr_mul(term, term, oracle->norm[i], NEAREST);
        mpfr_add(sum, sum, term, NEAREST);
    }
    mpfr_clears(term, difference, (mpfr_ptr)0);
}

double attention_oracle_sigma(const attention_oracle *oracle, size_t c)
{
    const vdit_noise *noise = &oracle->call->noise;
    double rounded;
    mpfr_t sum, o, size;

    if (oracle->count == 0)
        return 0;
    mpfr_inits2(BITS, sum, o, size, (mpfr_ptr)0);
    mpfr_set_zero(sum, 1);
    attention_oracle_sums(o, size, oracle, c);
    add_key_noise(sum, oracle, c, o);
    mpfr_div(sum, sum, oracle->sum, NEAREST);
    mpfr_div(sum, sum, oracle->sum, NEAREST);
    add_rounding(sum, o, noise->out_unit, noise->out_sub, NULL, 1);
    mpfr_mul_d(size, size, noise->sum_unit, NEAREST);
    mpfr_sqr(size, size, NEAREST);
    mpfr_add(sum, sum, size, NEAREST);
    attention_oracle_snap(sum, sum);
    mpfr_sqrt(sum, sum, NEAREST);
    rounded = oracle_round(sum, VDIT_BF16);
    mpfr_clears(sum, o, size, (mpfr_ptr)0);
    return rounded;
}
