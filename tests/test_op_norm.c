/* test_op_norm.c - layer, RMS and group norm against the definition in MPFR. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/op.h>
#include "operands.h"

#define BITS 1600 /* sums of squares of f32 values are exact, and eps added to them nearly always */

static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};

/* A norm: of rows, or of groups of channels. */
typedef struct scene {
    int centred;
    size_t groups; /* 0: rows */
    double eps;
    vdit_tensor x, w, b, y;
    int with_w, with_b;
} scene;

static vdit_status call(vdit_run *run, scene *s)
{
    const vdit_tensor *w = s->with_w ? &s->w : NULL, *b = s->with_b ? &s->b : NULL;

    if (s->groups > 0)
        return vdit_group_norm(run, &s->y, &s->x, s->groups, w, b, s->eps);
    if (s->centred)
        return vdit_layer_norm(run, &s->y, &s->x, w, b, s->eps);
    return vdit_rms_norm(run, &s->y, &s->x, w, s->eps);
}

/* The definition on n elements of a set. */
typedef struct definition {
    mpfr_t mean, root; /* m, sqrt(s + eps) */
    int finite;
    double squares; /* for what is not finite */
} definition;

static void define(definition *d, const scene *s, size_t first, size_t n)
{
    mpfr_t term;

    mpfr_inits2(BITS, d->mean, d->root, term, (mpfr_ptr)0);
    mpfr_set_zero(d->mean, 1);
    mpfr_set_zero(d->root, 1);
    d->finite = 1;
    d->squares = 0;
    for (size_t i = 0; i < n; i++) {
        double x = operand_get(&s->x, first + i);
        d->finite = d->finite && isfinite(x);
        d->squares += x * x;
        mpfr_add_d(d->mean, d->mean, isfinite(x) ? x : 0, MPFR_RNDN);
    }
    mpfr_div_ui(d->mean, d->mean, n, MPFR_RNDN);
    if (!s->centred)
        mpfr_set_zero(d->mean, 1);
    for (size_t i = 0; i < n && d->finite; i++) {
        mpfr_d_sub(term, operand_get(&s->x, first + i), d->mean, MPFR_RNDN);
        mpfr_sqr(term, term, MPFR_RNDN);
        mpfr_add(d->root, d->root, term, MPFR_RNDN);
    }
    mpfr_div_ui(d->root, d->root, n, MPFR_RNDN);
    /* a mean of n equal numbers is cut where n is no power of two */
    if (!mpfr_zero_p(d->root) && mpfr_get_exp(d->root) < -1000)
        mpfr_set_zero(d->root, 1);
    mpfr_add_d(d->root, d->root, s->eps, MPFR_RNDN);
    mpfr_sqrt(d->root, d->root, MPFR_RNDN);
    mpfr_clear(term);
}

/* The snap rule: to a multiple of 2^-90 C, C the least power of two above (1 + 2^-64) size. */
static void snap(mpfr_t value, const mpfr_t size)
{
    mpfr_t above;
    long grid;

    if (mpfr_zero_p(size))
        return;
    mpfr_init2(above, BITS);
    mpfr_mul_2si(above, size, -64, MPFR_RNDN);
    mpfr_add(above, above, size, MPFR_RNDN);
    grid = mpfr_get_exp(above) - 90;
    mpfr_mul_2si(value, value, -grid, MPFR_RNDN);
    mpfr_rint(value, value, MPFR_RNDN);
    mpfr_mul_2si(value, value, grid, MPFR_RNDN);
    mpfr_clear(above);
}

/* One element. Out: a double that is not finite, or a zero, by IEEE's rules on the formula; else the rounded real. */
static double expected(const definition *d, const scene *s, double x, double w, double b)
{
    mpfr_t t, size;
    double result;

    if (!d->finite)
        return s->centred ? NAN : x / sqrt(d->squares) * w;
    if (mpfr_zero_p(d->root))
        return NAN;
    mpfr_inits2(BITS, t, size, (mpfr_ptr)0);
    mpfr_d_sub(t, x, d->mean, MPFR_RNDN);
    if (!mpfr_zero_p(t) && mpfr_get_exp(t) < -1000)
        mpfr_set_zero(t, 1);
    if (!isfinite(w) || !isfinite(b)) {
        result = (isfinite(w) ? 0 : mpfr_sgn(t) * w) + b;
    } else if (!s->centred && (x == 0 || w == 0)) {
        result = x * w;
    } else {
        mpfr_div(t, t, d->root, MPFR_RNDN);
        mpfr_mul_d(t, t, w, MPFR_RNDN);
        mpfr_abs(size, t, MPFR_RNDN);
        mpfr_add_d(t, t, b, MPFR_RNDN);
        mpfr_add_d(size, size, fabs(b), MPFR_RNDN);
        snap(t, size);
        result = oracle_round(t, s->y.dtype);
    }
    mpfr_clears(t, size, (mpfr_ptr)0);
    return result;
}

/* Asserts that every element of y is that of the definition; sets follow each other in x as it is read. */
static void assert_norm(const scene *s)
{
    size_t count = vdit_tensor_count(&s->y), last = s->x.rank > 0 ? s->x.shape[s->x.rank - 1] : 0;
    size_t channels = s->x.rank > 1 ? s->x.shape[1] : 1, inner = 1, n = last;

    for (int i = 2; i < s->x.rank; i++)
        inner *= s->x.shape[i];
    if (s->groups > 0)
        n = channels / s->groups * inner;
    for (size_t first = 0; first < count; first += n) {
        definition d;

        define(&d, s, first, n);
        for (size_t i = first; i < first + n; i++) {
            size_t at = s->groups > 0 ? i / inner % channels : i % last;
            double w = s->with_w ? operand_get(&s->w, at) : 1;
            double b = s->with_b ? operand_get(&s->b, at) : 0;
            double ours = operand_get(&s->y, i);
            double wanted = expected(&d, s, operand_get(&s->x, i), w, b);
            wanted = vdit_round_f64(s->y.dtype, wanted);
            if (!oracle_same(ours, wanted))
                print_error("element %zu: %a, expected %a\n", i, ours, wanted);
            assert_true(oracle_same(ours, wanted));
        }
        mpfr_clears(d.mean, d.root, (mpfr_ptr)0);
    }
}

/* Out: s, operands of these families in this shape; d: elements of w and b. */
static void make(vdit_run *run, scene *s, oracle_random *random, int rank, const size_t *shape,
                 size_t d, const vdit_dtype dtype[4], operand_family family)
{
    operand_make(run, &s->x, dtype[0], rank, shape, family, random);
    operand_make(run, &s->w, dtype[1], 1, &d, family, random);
    operand_make(run, &s->b, dtype[2], 1, &d, family, random);
    operand_make(run, &s->y, dtype[3], rank, shape, OPERAND_NORMAL, random);
}

static void each_element_is_the_real_result_rounded_once(void **state)
{
    oracle_random random = oracle_random_start("each_element_is_the_real_result_rounded_once");
    static const double eps[] = {1e-6, 0, 1e-5, 0x1p-1074};
    const size_t rows[] = {3, 20}, cube[] = {2, 6, 3, 5};

    (void)state;
    for (int kind = 0; kind < 3; kind++)
        for (int mix = 0; mix < 81; mix++)
            for (int family = 0; family < OPERAND_FAMILIES; family++) {
                vdit_dtype dtype[] = {dtypes[mix % 3], dtypes[mix / 3 % 3], dtypes[mix / 9 % 3],
                                      dtypes[mix / 27]};
                scene s = {.centred = kind != 1, .groups = kind == 2 ? 3 : 0};
                vdit_run *run = vdit_run_new();

                s.eps = eps[(mix + family) % 4];
                s.with_w = mix % 2;
                s.with_b = kind != 1 && mix / 2 % 2;
                make(run, &s, &random, kind == 2 ? 4 : 2, kind == 2 ? cube : rows,
                     kind == 2 ? 6 : 20, dtype, (operand_family)family);
                assert_int_equal(call(run, &s), VDIT_OK);
                assert_norm(&s);
                vdit_run_free(run);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_element_is_the_real_result_rounded_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
