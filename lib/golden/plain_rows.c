/*
 * plain_rows.c - the families of linear, matmul, exp and log. Formulas: vdit-recipe(5), FAMILIES.
 *
 * In a product the first tensor is x or a, whose columns are summed over; the second is w, whose
 * columns, or b, whose rows are. exp and log have one tensor, one element per row.
 */
#include <math.h>
#include "golden/maker.h"

enum { FIRST, SECOND };

/* Terms in pairs: equal in the first tensor, nearly opposite in the second. */
void vdit_make_product_cancel(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    vdit_maker_scaled(m, out, tensor, bh, i, 1);
    if (tensor == SECOND && m->c->op == VDIT_OP_MATMUL) {
        if (i % 2 == 1)
            vdit_maker_oppose(m, out, tensor, bh, i);
        return;
    }
    for (size_t k = 1; tensor <= SECOND && k < m->c->K; k += 2) {
        double even = vdit_round_f64(m->c->dtype, out[k - 1]);
        out[k] = tensor == FIRST ? even : 0x1p-8 * out[k] - even;
    }
}

/* One column of the first tensor has the mean 32. */
void vdit_make_product_outlier(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    vdit_maker_scaled(m, out, tensor, bh, i, 1);
    if (tensor == FIRST)
        out[vdit_maker_head_word(m, FIRST, 0) % m->c->K] += 32;
}

/* The first tensor's rows have a norm of about 1, the second tensor is tiny: so are the results. */
void vdit_make_product_subnormal(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    double factor = 1;

    while (factor * factor * (double)m->c->K > 1)
        factor /= 2;
    vdit_maker_scaled(m, out, tensor, bh, i, tensor == FIRST ? factor : vdit_maker_tiny(m));
}

void vdit_make_exp_normal(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    vdit_maker_scaled(m, out, tensor, bh, i, 4);
}

/* Results up to infinity and down to 0. */
void vdit_make_exp_overflow(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    vdit_maker_scaled(m, out, tensor, bh, i, m->c->dtype == VDIT_F16 ? 8 : 64);
}

/* Results from about the least normal number down to about the least subnormal one. */
void vdit_make_exp_subnormal(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    double start = m->c->dtype == VDIT_F16 ? 9 : 87;
    double span = m->c->dtype == VDIT_F32 ? 17 : 8;

    (void)bh; /* there is one head */
    out[0] = -(start + span * vdit_draw_uniform((vdit_draw){m->c->seed, (uint32_t)tensor}, i));
}

static void magnitudes(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i,
                       double factor)
{
    vdit_maker_scaled(m, out, tensor, bh, i, factor);
    out[0] = fabs(out[0]);
}

void vdit_make_log_normal(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    magnitudes(m, out, tensor, bh, i, 1);
}

/* 1 to 17: ln 1 is exactly 0. */
void vdit_make_log_integers(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    vdit_maker_integers(m, out, tensor, bh, i);
    out[0] += 9;
}

void vdit_make_log_overflow(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    magnitudes(m, out, tensor, bh, i, m->c->dtype == VDIT_F16 ? 0x1p13 : 0x1p120);
}

void vdit_make_log_subnormal(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    magnitudes(m, out, tensor, bh, i, m->c->dtype == VDIT_F16 ? 0x1p-14 : 0x1p-126);
}
