/* meter_rows.c - facts of rows: settled, written, and summed up for their head. */
#include <math.h>
#include <string.h>
#include "attention/meter.h"
#include "exact/settle.h"

/* Below this a real number >= 0 rounds to the f32 +0: half the least f32, less than a tie. */
#define VANISHES 0x1p-151

/* Errors beyond this share are those of a row of which nothing is known. */
#define KNOWN 0x1p-8

/* Outputs are dense: element i of row r, or of the head itself. */
static void *element(const vdit_meter *meter, size_t n, size_t r, size_t i)
{
    const vdit_tensor *t = &meter->out[n];
    const vdit_meter_engine *engine = meter->engine;
    ptrdiff_t at = (ptrdiff_t)engine->b * t->stride[0] + (ptrdiff_t)engine->h * t->stride[1];

    if (meter->kind->info.outputs[n].shape[2] == 'R')
        at += (ptrdiff_t)r * t->stride[2];
    return (char *)t->data + (at + (ptrdiff_t)i) * (ptrdiff_t)vdit_dtype_size(t->dtype);
}

void vdit_meter_put(vdit_meter *meter, size_t n, size_t r, size_t i, double value)
{
    vdit_dtype dtype = meter->out[n].dtype;
    void *to = element(meter, n, r, i);
    int64_t whole;

    if (vdit_dtype_is_float(dtype)) {
        vdit_store_f64(to, dtype, value);
    } else if (dtype == VDIT_I64) {
        whole = (int64_t)value;
        memcpy(to, &whole, sizeof whole);
    } else {
        *(unsigned char *)to = (unsigned char)value;
    }
}

double vdit_meter_get(const vdit_meter *meter, size_t n, size_t r, size_t i)
{
    double value;

    vdit_load_f64(&value, 1, element(meter, n, r, i), 1, meter->out[n].dtype);
    return value;
}

int vdit_meter_fact(double *fact, vdit_dtype dtype, double value, double error)
{
    *fact = 0;
    return value + error < VANISHES ||
           (error <= KNOWN * value &&
            vdit_settle_simple(fact, dtype, value, error + 0x1p-51 * value));
}

void vdit_meter_settle(vdit_meter *meter, size_t n, size_t r, size_t i, double value, double error)
{
    double rounded;

    if (vdit_meter_fact(&rounded, VDIT_F32, value, error))
        vdit_meter_put(meter, n, r, i, rounded);
    else
        meter->open[r] = 1;
}

void vdit_meter_put_exact(vdit_meter *meter, size_t n, size_t r, size_t i, vdit_mp *value)
{
    vdit_snap_to(value, value);
    vdit_meter_put(meter, n, r, i, vdit_mp_round(value, VDIT_F32));
}

double vdit_meter_ratio(const vdit_acc *sum, const vdit_acc *over, vdit_dtype dtype)
{
    vdit_mp value, divisor;

    vdit_mp_from_acc(&value, sum);
    vdit_mp_from_acc(&divisor, over);
    if (value.sign == 0)
        return 0;
    vdit_mp_div(&value, &value, &divisor);
    divisor = value;
    divisor.sign = 1;
    vdit_snap_to(&value, &divisor);
    return vdit_mp_round(&value, dtype);
}

double vdit_meter_root(const vdit_mp *x)
{
    double root = sqrt(vdit_mp_round(x, VDIT_F64));
    double low = vdit_round_f64(VDIT_F32, root * (1 - 0x1p-40));
    double high = vdit_round_f64(VDIT_F32, root * (1 + 0x1p-40));
    double middle = low / 2 + high / 2; /* 25 bits, its square 50: exact */
    vdit_mp edge;
    int side;

    if (low == high)
        return low;
    vdit_mp_from_f64(&edge, middle * middle);
    side = vdit_mp_compare(x, &edge);
    return side < 0 ? low : side > 0 ? high : vdit_round_f64(VDIT_F32, middle);
}

double vdit_meter_mean(const vdit_meter *meter, size_t n, unsigned queries,
                       const unsigned char *skip, size_t *count)
{
    const vdit_meter_engine *engine = meter->engine;
    size_t found = 0;
    double odd = 0; /* NaN once a value is not finite */
    vdit_acc sum, rows;

    vdit_acc_zero(&sum);
    for (size_t r = 0; r < engine->rows; r++) {
        double value;

        if ((engine->query_class[r] & queries) == 0 || (skip != NULL && skip[r]))
            continue;
        value = vdit_meter_get(meter, n, r, 0);
        found++;
        odd += value - value;
        if (value - value == 0)
            vdit_acc_add(&sum, value);
    }
    if (count != NULL)
        *count = found;
    if (found == 0 || odd != 0)
        return NAN;
    vdit_acc_zero(&rows);
    vdit_acc_add(&rows, (double)found);
    return vdit_meter_ratio(&sum, &rows, VDIT_F32);
}

size_t vdit_meter_queries(const vdit_meter_engine *engine, unsigned queries)
{
    size_t count = 0;

    for (size_t r = 0; r < engine->rows; r++)
        count += (engine->query_class[r] & queries) != 0;
    return count;
}
