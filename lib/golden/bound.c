/* bound.c - sigma of the plain operators, in binary64 in a fixed order. */
#include <math.h>
#include <string.h>
#include "golden/bound.h"

/* The rounding of the output: 1/3 max(out_unit |y|, out_sub)^2. */
static double output_variance(const vdit_noise *noise, double y)
{
    double step = noise->out_unit * fabs(y);

    if (step < noise->out_sub)
        step = noise->out_sub;
    return step * step / 3;
}

/* What one row of the product needs. sums and squares hold a row of results. */
typedef struct product {
    const vdit_noise *noise;
    size_t terms, columns;
    const double *second, *bias; /* [terms][columns], [columns]; magnitudes */
    double *row, *sums, *squares, *y;
} product;

/* sums = sum_k |x_k||w_k| + |b|, squares = sum_k (x_k w_k)^2: k ascending, the bias last. */
static void accumulate(const product *p)
{
    memset(p->sums, 0, p->columns * sizeof *p->sums);
    memset(p->squares, 0, p->columns * sizeof *p->squares);
    for (size_t k = 0; k < p->terms; k++) {
        const double *second_k = p->second + k * p->columns;
        double factor = fabs(p->row[k]);
        for (size_t j = 0; j < p->columns; j++) {
            double term = factor * second_k[j];
            p->sums[j] += term;
            p->squares[j] += term * term;
        }
    }
    for (size_t j = 0; p->bias != NULL && j < p->columns; j++)
        p->sums[j] += p->bias[j];
}

static void store_row(const product *p, void *sigma)
{
    for (size_t j = 0; j < p->columns; j++) {
        double accumulated = p->noise->sum_unit * p->sums[j];
        double inputs = p->noise->score_unit * p->noise->score_unit * p->squares[j];
        double variance = (double)p->terms * (accumulated * accumulated) + inputs +
                          output_variance(p->noise, p->y[j]);
        vdit_store_f64((char *)sigma + 2 * j, VDIT_BF16, isfinite(p->y[j]) ? sqrt(variance) : 0);
    }
}

/* |second| as [terms][columns] in binary64, whichever way it lies: w is [N,K], b is [K,N]. */
static void load_second(double *out, const vdit_tensor *second, vdit_operator op, size_t terms,
                        size_t columns)
{
    size_t size = vdit_dtype_size(second->dtype);
    int term_axis = op == VDIT_OP_LINEAR ? 1 : 0;
    ptrdiff_t term_step = second->stride[term_axis], step = second->stride[1 - term_axis];

    for (size_t k = 0; k < terms; k++) {
        const char *at = (const char *)second->data + (ptrdiff_t)(k * size) * term_step;
        vdit_load_f64(out + k * columns, columns, at, step, second->dtype);
        for (size_t j = 0; j < columns; j++)
            out[k * columns + j] = fabs(out[k * columns + j]);
    }
}

static double *load_bias(vdit_run *run, const vdit_tensor *bias)
{
    double *out = vdit_run_alloc(run, bias->shape[0], sizeof *out);

    if (out == NULL)
        return NULL;
    vdit_load_f64(out, bias->shape[0], bias->data, bias->stride[0], bias->dtype);
    for (size_t j = 0; j < bias->shape[0]; j++)
        out[j] = fabs(out[j]);
    return out;
}

static const void *row_of(const vdit_tensor *t, size_t i)
{
    const size_t index[] = {i, 0};

    return vdit_tensor_at(t, index);
}

vdit_status vdit_bound_product(vdit_run *run, vdit_tensor *sigma, vdit_operator op,
                               const vdit_tensor *first, const vdit_tensor *second,
                               const vdit_tensor *bias, const vdit_tensor *y,
                               const vdit_contract *contract)
{
    size_t mark, rows = first->shape[0], terms = first->shape[1], columns = y->shape[1];
    double *work, *matrix;
    product p = {.noise = &contract->noise, .terms = terms, .columns = columns};

    if (vdit_tensor_new(run, sigma, VDIT_BF16, 2, y->shape) != VDIT_OK)
        return vdit_run_status(run);
    mark = vdit_run_mark(run);
    matrix = vdit_run_alloc(run, terms * columns, sizeof *matrix);
    work = vdit_run_alloc(run, terms + 3 * columns, sizeof *work);
    p.bias = bias ? load_bias(run, bias) : NULL;
    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    load_second(matrix, second, op, terms, columns);
    p.second = matrix;
    p.row = work;
    p.sums = work + terms;
    p.squares = p.sums + columns;
    p.y = p.squares + columns;
    for (size_t i = 0; i < rows; i++) {
        vdit_load_f64(p.row, terms, row_of(first, i), first->stride[1], first->dtype);
        vdit_load_f64(p.y, columns, row_of(y, i), y->stride[1], y->dtype);
        accumulate(&p);
        store_row(&p, (char *)sigma->data + 2 * i * columns);
    }
    vdit_run_release(run, mark);
    return VDIT_OK;
}

vdit_status vdit_bound_elementary(vdit_run *run, vdit_tensor *sigma, const vdit_tensor *y,
                                  const vdit_contract *contract)
{
    if (vdit_tensor_new(run, sigma, VDIT_BF16, 1, y->shape) != VDIT_OK)
        return vdit_run_status(run);
    for (size_t i = 0; i < y->shape[0]; i++) {
        double value, library;
        vdit_load_f64(&value, 1, vdit_tensor_at(y, &i), 1, y->dtype);
        library = 2 * contract->noise.sum_unit * value;
        library = library * library + output_variance(&contract->noise, value);
        vdit_store_f64((char *)sigma->data + 2 * i, VDIT_BF16, isfinite(value) ? sqrt(library) : 0);
    }
    return VDIT_OK;
}
