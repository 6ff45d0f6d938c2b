/* judge_measure.c - what two tensors differ by: one pass over their rows. */
#include <math.h>
#include <string.h>
#include "golden/judge.h"

#define BITS_OF_DOUBLE 53

/* Significant bits and the least normal exponent (as frexp counts) of a float dtype. */
static void format_of(vdit_dtype dtype, int *bits, int *least)
{
    static const struct {
        vdit_dtype dtype;
        int bits, least;
    } formats[] = {{VDIT_F32, 24, -125}, {VDIT_BF16, 8, -125}, {VDIT_F16, 11, -13}};

    *bits = BITS_OF_DOUBLE;
    *least = -1021;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (formats[i].dtype == dtype) {
            *bits = formats[i].bits;
            *least = formats[i].least;
        }
}

double vdit_dtype_roundoff(vdit_dtype dtype)
{
    int bits, least;

    format_of(dtype, &bits, &least);
    return ldexp(1, -bits);
}

/* The number of values of the format from 0 up to |x|: below 2^63 for every format. */
static int64_t ordinal(double x, int bits, int least)
{
    int exponent;
    double part = frexp(fabs(x), &exponent); /* in [1/2, 1) */

    if (x == 0 || exponent < least) /* subnormal: all on one grid of step 2^(least - bits) */
        return (int64_t)ldexp(fabs(x), bits - least);
    return ((int64_t)(exponent - least) << (bits - 1)) + (int64_t)ldexp(part, bits);
}

double vdit_ulps_between(vdit_dtype dtype, double a, double b)
{
    int bits, least;
    int64_t m, n;

    if (!vdit_dtype_is_float(dtype))
        return fabs(a - b);
    format_of(dtype, &bits, &least);
    m = ordinal(a, bits, least);
    n = ordinal(b, bits, least);
    if (signbit(a) != signbit(b))
        return (double)m + (double)n;
    return (double)(m > n ? m - n : n - m);
}

/* The sums of one pass. Those of the gain are kept per row, for the scatter of the rows. */
typedef struct sums {
    double z2, error2, golden2, actual2, product; /* over pairs of finite elements */
    double *eg, *gg;                              /* [rows]: sum e g / sigma^2, sum g^2 / sigma^2 */
    size_t weighted;                              /* elements in eg and gg */
} sums;

/* z of one pair of finite elements. A sigma that is no number vouches for nothing. */
static double z_of(double error, double sigma)
{
    if (error == 0)
        return 0;
    return sigma > 0 && isfinite(sigma) ? fabs(error) / sigma : HUGE_VAL;
}

static void worst_keep(vdit_difference *d, const size_t *index, int rank, size_t column, double z,
                       const double values[3])
{
    if (!(z > d->z))
        return;
    d->z = z;
    memcpy(d->where, index, sizeof d->where);
    if (rank > 0)
        d->where[rank - 1] = column;
    d->golden = values[0];
    d->actual = values[1];
    d->sigma = values[2];
}

/* Returns: 1 if NaN or an infinity stands on one side alone. */
static int is_special_mismatch(double g, double a)
{
    if (isnan(g) || isnan(a))
        return !(isnan(g) && isnan(a));
    return (isinf(g) || isinf(a)) && g != a;
}

static void element_add(vdit_difference *d, sums *s, vdit_dtype dtype, size_t row, double g,
                        double a, double sigma)
{
    double e = a - g, ulps;

    s->z2 += z_of(e, sigma) * z_of(e, sigma);
    s->error2 += e * e;
    s->golden2 += g * g;
    s->actual2 += a * a;
    s->product += a * g;
    if (sigma > 0 && isfinite(sigma)) {
        s->eg[row] += e / sigma * (g / sigma);
        s->gg[row] += g / sigma * (g / sigma);
        s->weighted++;
    }
    d->error = fabs(e) > d->error ? fabs(e) : d->error;
    ulps = vdit_ulps_between(dtype, g, a);
    d->ulps = ulps > d->ulps ? ulps : d->ulps;
}

/* The elements of one row: g, a and sigma as binary64. */
static void row_add(vdit_difference *d, sums *s, const vdit_tensor *golden, const size_t *index,
                    size_t row, size_t width, const double *const x[3])
{
    for (size_t c = 0; c < width; c++) {
        double values[3] = {x[0][c], x[1][c], x[2][c]};

        if (is_special_mismatch(values[0], values[1])) {
            d->specials++;
            worst_keep(d, index, golden->rank, c, HUGE_VAL, values);
        } else if (isfinite(values[0])) {
            element_add(d, s, golden->dtype, row, values[0], values[1], values[2]);
            worst_keep(d, index, golden->rank, c, z_of(values[1] - values[0], values[2]), values);
        }
    }
}

/* Elements of a row whose bits differ; any NaN equals any NaN. */
static size_t row_unequal(const vdit_tensor *golden, const vdit_tensor *actual, const size_t *index,
                          size_t width, const double *const x[3])
{
    size_t size = vdit_dtype_size(golden->dtype), unequal = 0;
    ptrdiff_t gs = golden->rank ? golden->stride[golden->rank - 1] : 0;
    ptrdiff_t as = actual->rank ? actual->stride[actual->rank - 1] : 0;
    const char *g = vdit_tensor_at(golden, index), *a = vdit_tensor_at(actual, index);

    for (size_t c = 0; c < width; c++)
        if (memcmp(g + (ptrdiff_t)c * gs * (ptrdiff_t)size, a + (ptrdiff_t)c * as * (ptrdiff_t)size,
                   size) != 0)
            unequal += !(isnan(x[0][c]) && isnan(x[1][c]));
    return unequal;
}

/* gain = sum eg / sum gg; its standard error from how the rows scatter about it. */
static void gain_finish(vdit_difference *d, const sums *s)
{
    double eg = 0, gg = 0, scatter = 0, unit;

    for (size_t r = 0; r < d->rows; r++) {
        eg += s->eg[r];
        gg += s->gg[r];
    }
    if (s->weighted == 0 || gg == 0)
        return;
    d->gain = eg / gg;
    for (size_t r = 0; r < d->rows; r++) {
        double rest = s->eg[r] - d->gain * s->gg[r];
        scatter += rest * rest;
    }
    unit = sqrt(gg / (double)s->weighted); /* golden / sigma of a typical element */
    d->bias = fabs(d->gain) * unit;
    d->bias_error = sqrt(scatter) / gg * unit;
}

static void finish(vdit_difference *d, const sums *s)
{
    d->rms = d->count ? sqrt(s->z2 / (double)d->count) : 0;
    d->l2 = s->error2 == 0 ? 0 : sqrt(s->error2) / sqrt(s->golden2);
    d->cosine = s->error2 == 0 ? 1 : s->product / sqrt(s->golden2) / sqrt(s->actual2);
    if (isnan(d->cosine)) /* one of them is 0: no direction agrees */
        d->cosine = 0;
    gain_finish(d, s);
}

/* The next index over all axes but the last, in row-major order. */
static void step(size_t *index, const vdit_tensor *t)
{
    for (int axis = t->rank - 2; axis >= 0; axis--) {
        if (++index[axis] < t->shape[axis])
            return;
        index[axis] = 0;
    }
}

static vdit_status check_same(vdit_run *run, const vdit_tensor *golden, const vdit_tensor *other,
                              const char *what)
{
    char want[128], got[128];

    if (golden->rank == other->rank &&
        memcmp(golden->shape, other->shape, (size_t)golden->rank * sizeof *golden->shape) == 0)
        return VDIT_OK;
    return vdit_run_fail(run, VDIT_ERR_SHAPE, "%s is %s where %s was expected", what,
                         vdit_tensor_shape_text(got, sizeof got, other),
                         vdit_tensor_shape_text(want, sizeof want, golden));
}

static vdit_status check(vdit_run *run, const vdit_tensor *golden, const vdit_tensor *actual,
                         const vdit_tensor *sigma)
{
    check_same(run, golden, actual, "the tensor to judge");
    if (golden->dtype != actual->dtype)
        vdit_run_fail(run, VDIT_ERR_DTYPE, "the tensor to judge is %s where %s was expected",
                      vdit_dtype_name(actual->dtype), vdit_dtype_name(golden->dtype));
    if (sigma != NULL) {
        check_same(run, golden, sigma, "sigma");
        if (!vdit_dtype_is_float(sigma->dtype))
            vdit_run_fail(run, VDIT_ERR_DTYPE, "sigma is %s where a float type was expected",
                          vdit_dtype_name(sigma->dtype));
    }
    return vdit_run_status(run);
}

static void load_row(double *out, size_t width, const vdit_tensor *t, const size_t *index)
{
    vdit_load_f64(out, width, vdit_tensor_at(t, index), t->rank ? t->stride[t->rank - 1] : 0,
                  t->dtype);
}

static void measure_rows(vdit_difference *d, sums *s, const vdit_tensor *golden,
                         const vdit_tensor *actual, const vdit_tensor *sigma, size_t width,
                         double *const x[3])
{
    const double *const rows[3] = {x[0], x[1], x[2]};
    size_t index[VDIT_MAX_RANK] = {0};

    for (size_t r = 0; r < d->rows; r++) {
        load_row(x[0], width, golden, index);
        load_row(x[1], width, actual, index);
        if (sigma != NULL)
            load_row(x[2], width, sigma, index);
        row_add(d, s, golden, index, r, width, rows);
        d->unequal += row_unequal(golden, actual, index, width, rows);
        step(index, golden);
    }
}

vdit_status vdit_difference_measure(vdit_run *run, vdit_difference *difference,
                                    const vdit_tensor *golden, const vdit_tensor *actual,
                                    const vdit_tensor *sigma)
{
    size_t mark = vdit_run_mark(run), width = golden->rank ? golden->shape[golden->rank - 1] : 1;
    vdit_difference d = {0};
    sums s = {0};
    double *memory, *x[3];

    if (check(run, golden, actual, sigma) != VDIT_OK)
        return vdit_run_status(run);
    d.count = vdit_tensor_count(golden);
    d.rows = width ? d.count / width : 0;
    memory = vdit_run_alloc(run, width, 3 * sizeof *memory);
    s.eg = vdit_run_alloc(run, d.rows, 2 * sizeof *s.eg);
    if (vdit_run_status(run) == VDIT_OK) {
        s.gg = s.eg + d.rows;
        for (size_t i = 0; i < 3; i++)
            x[i] = memory + i * width;
        memset(memory, 0, 3 * width * sizeof *memory);
        memset(s.eg, 0, 2 * d.rows * sizeof *s.eg);
        measure_rows(&d, &s, golden, actual, sigma, width, x);
        finish(&d, &s);
        *difference = d;
    }
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
