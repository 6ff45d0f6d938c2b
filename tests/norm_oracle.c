/* norm_oracle.c - norms from the definition, the snap rule included. */
#include <math.h>
#include <stdio.h>
#include <vdit/op.h>
#include "norm_oracle.h"

vdit_status norm_call(vdit_run *run, norm_scene *s)
{
    const vdit_tensor *w = s->with_w ? &s->w : NULL, *b = s->with_b ? &s->b : NULL;

    if (s->groups > 0)
        return vdit_group_norm(run, &s->y, &s->x, s->groups, w, b, s->eps);
    if (s->centred)
        return vdit_layer_norm(run, &s->y, &s->x, w, b, s->eps);
    return vdit_rms_norm(run, &s->y, &s->x, w, s->eps);
}

void norm_make(vdit_run *run, norm_scene *s, oracle_random *random, int rank, const size_t *shape,
               size_t d, const vdit_dtype dtype[4], operand_family family)
{
    operand_make(run, &s->x, dtype[0], rank, shape, family, random);
    operand_make(run, &s->w, dtype[1], 1, &d, family, random);
    operand_make(run, &s->b, dtype[2], 1, &d, family, random);
    operand_make(run, &s->y, dtype[3], rank, shape, OPERAND_NORMAL, random);
}

/* A difference that is 0 but for the cut of a mean whose divisor is no power of two. */
static void drop_dust(mpfr_t x)
{
    if (!mpfr_zero_p(x) && mpfr_get_exp(x) < -1000)
        mpfr_set_zero(x, 1);
}

void norm_define(mpfr_t mean, mpfr_t root, const norm_scene *s, size_t first, size_t n)
{
    mpfr_t term;

    mpfr_init2(term, NORM_BITS);
    mpfr_set_zero(mean, 1);
    mpfr_set_zero(root, 1);
    for (size_t i = 0; s->centred && i < n; i++)
        mpfr_add_d(mean, mean, operand_get(&s->x, first + i), MPFR_RNDN);
    mpfr_div_ui(mean, mean, n, MPFR_RNDN);
    for (size_t i = 0; i < n; i++) {
        mpfr_d_sub(term, operand_get(&s->x, first + i), mean, MPFR_RNDN);
        mpfr_sqr(term, term, MPFR_RNDN);
        mpfr_add(root, root, term, MPFR_RNDN);
    }
    mpfr_div_ui(root, root, n, MPFR_RNDN);
    drop_dust(root);
    mpfr_add_d(root, root, s->eps, MPFR_RNDN);
    mpfr_sqrt(root, root, MPFR_RNDN);
    mpfr_clear(term);
}

/* The snap rule: to a multiple of 2^-90 C, C the least power of two above (1 + 2^-64) size. */
static void snap(mpfr_t value, const mpfr_t size)
{
    mpfr_t above;
    long grid;

    if (mpfr_zero_p(size))
        return;
    mpfr_init2(above, NORM_BITS);
    mpfr_mul_2si(above, size, -64, MPFR_RNDN);
    mpfr_add(above, above, size, MPFR_RNDN);
    grid = mpfr_get_exp(above) - 90;
    mpfr_mul_2si(value, value, -grid, MPFR_RNDN);
    mpfr_rint(value, value, MPFR_RNDN);
    mpfr_mul_2si(value, value, grid, MPFR_RNDN);
    mpfr_clear(above);
}

/* One element of a finite set: what is not finite, or a zero of RMS norm, by IEEE's rules on the formula. */
static double expected(const norm_scene *s, const mpfr_t mean, const mpfr_t root, double x,
                       double w, double b)
{
    mpfr_t t, size;
    double result;

    if (mpfr_zero_p(root))
        return NAN;
    mpfr_inits2(NORM_BITS, t, size, (mpfr_ptr)0);
    mpfr_d_sub(t, x, mean, MPFR_RNDN);
    drop_dust(t);
    if (!isfinite(w) || !isfinite(b)) {
        result = (isfinite(w) ? 0 : mpfr_sgn(t) * w) + b;
    } else if (!s->centred && (x == 0 || w == 0)) {
        result = x * w;
    } else {
        mpfr_div(t, t, root, MPFR_RNDN);
        mpfr_mul_d(t, t, w, MPFR_RNDN);
        mpfr_abs(size, t, MPFR_RNDN);
        mpfr_add_d(t, t, b, MPFR_RNDN);
        mpfr_add_d(size, size, fabs(b), MPFR_RNDN);
        snap(t, size);
        result = oracle_round(t, s->y.dtype);
    }
    mpfr_clears(t, size, (mpfr_ptr)0);
    return vdit_round_f64(s->y.dtype, result);
}

/* One element of a set with an infinity or a NaN: x - m or s is a NaN; without m, IEEE's value. */
static double expected_special(const norm_scene *s, double squares, double x, double w)
{
    return s->centred ? NAN : vdit_round_f64(s->y.dtype, x / sqrt(squares) * w);
}

/* Counts the wrong elements of one set; inner elements of x share one of w and b. */
static size_t count_set(const norm_scene *s, size_t first, size_t n, size_t inner, size_t channels)
{
    double squares = 0;
    size_t wrong = 0;
    mpfr_t mean, root;

    for (size_t i = first; i < first + n; i++)
        squares += operand_get(&s->x, i) * operand_get(&s->x, i);
    mpfr_inits2(NORM_BITS, mean, root, (mpfr_ptr)0);
    if (isfinite(squares))
        norm_define(mean, root, s, first, n);
    for (size_t i = first; i < first + n; i++) {
        size_t at = i / inner % channels;
        double w = s->with_w ? operand_get(&s->w, at) : 1,
               b = s->with_b ? operand_get(&s->b, at) : 0;
        double x = operand_get(&s->x, i), ours = operand_get(&s->y, i);
        double wanted = isfinite(squares) ? expected(s, mean, root, x, w, b)
                                          : expected_special(s, squares, x, w);
        if (!oracle_same(ours, wanted) && wrong++ < 3)
            printf("# element %zu: %a, expected %a\n", i, ours, wanted);
    }
    mpfr_clears(mean, root, (mpfr_ptr)0);
    return wrong;
}

size_t norm_count_wrong(const norm_scene *s)
{
    size_t count = vdit_tensor_count(&s->y), wrong = 0, inner = 1;
    size_t n, channels = s->x.shape[s->groups > 0 ? 1 : s->x.rank - 1];

    for (int i = 2; s->groups > 0 && i < s->x.rank; i++)
        inner *= s->x.shape[i];
    n = s->groups > 0 ? channels / s->groups * inner : channels;
    for (size_t first = 0; first < count; first += n)
        wrong += count_set(s, first, n, inner, channels);
    return wrong;
}
