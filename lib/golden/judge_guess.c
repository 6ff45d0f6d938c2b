/* judge_guess.c - a stand-in for sigma where it is not known how a tensor was made. */
#include <math.h>
#include "golden/judge.h"

/*
 * The model's logit term is e = score_unit |q| |k| |scale|, and here q and k are not known. 2 stands
 * for |q| |k| |scale|: with it the guess for f32 is 16 roundings, about what the model gives on
 * normal inputs; in half precision the term hardly matters (doc/conformance.md).
 */
#define LOGIT_SIZE 2

static double mean_square(const double *x, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += isfinite(x[i]) ? x[i] * x[i] : 0;
    return n ? sum / (double)n : 0;
}

/*
 * sigma^2 = (p_unit^2 / 3 + (2 score_unit)^2) * row + out_unit^2 / 3 * element^2, with row the mean
 * square of the row: errors of the map act on a sum of values, which has the size of its row.
 * Out: sigma[n]. In: x[n], a row.
 */
static void guess_row(double *sigma, const double *x, size_t n, const vdit_noise *noise,
                      double unit)
{
    double scores = LOGIT_SIZE * noise->score_unit;
    double row = (noise->p_unit * noise->p_unit / 3 + scores * scores) * mean_square(x, n);

    for (size_t i = 0; i < n; i++) {
        double own = noise->out_unit * fabs(x[i]) > noise->out_sub ? noise->out_unit * fabs(x[i])
                                                                   : noise->out_sub;
        sigma[i] = unit * sqrt(row + own * own / 3);
    }
}

vdit_status vdit_sigma_guess(vdit_run *run, vdit_tensor *sigma, const vdit_tensor *golden,
                             const vdit_contract *contract)
{
    int is_double = golden->dtype == VDIT_F64;
    size_t width = golden->rank ? golden->shape[golden->rank - 1] : 1, count;
    double *line,
        unit = is_double ? vdit_dtype_roundoff(VDIT_F64) / vdit_dtype_roundoff(VDIT_F32) : 1;
    vdit_tensor dense = *golden;

    if (!vdit_dtype_is_float(golden->dtype))
        return vdit_run_fail(run, VDIT_ERR_DTYPE, "%s has no sigma: a float type was expected",
                             vdit_dtype_name(golden->dtype));
    if (contract == NULL)
        contract = vdit_contract_default(is_double ? VDIT_F32 : golden->dtype);
    line = vdit_run_alloc(run, width, sizeof *line);
    dense.data = vdit_run_alloc(run, vdit_tensor_count(golden), vdit_dtype_size(golden->dtype));
    vdit_tensor_new(run, sigma, VDIT_F64, golden->rank, golden->shape);
    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    vdit_tensor_pack(dense.data, golden);
    count = vdit_tensor_count(golden);
    for (size_t i = 0; i < count; i += width) {
        vdit_load_f64(line, width, (char *)dense.data + i * vdit_dtype_size(golden->dtype), 1,
                      golden->dtype);
        guess_row((double *)sigma->data + i, line, width, &contract->noise, unit);
    }
    return VDIT_OK;
}
