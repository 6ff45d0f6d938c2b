/*
 * meter_energy.c - energies of a head (C45, C47): the sums of the squares of the elements of AV, UV and IV, over
 * tokens and channels.
 *
 * The elements are facts: those of AV and UV are rounded once to f32, as an output is, those of IV are the values
 * themselves. The sums are exact and rounded once to f64. So is (E(AV) - E(UV)) / (E(IV) - E(UV)).
 */
#include <math.h>
#include <string.h>
#include "attention/meter.h"

enum { AV, UV, IV, PROPORTION, VIOLATIONS };

/* A sum of squares: exact, unless an element is infinite or a NaN. */
typedef struct energy {
    vdit_acc sum;
    double odd; /* 0, or what the sum is */
} energy;

static void clear(energy *e)
{
    vdit_acc_zero(&e->sum);
    e->odd = 0;
}

static void add_square(energy *e, double x)
{
    if (x - x == 0)
        vdit_acc_add_product(&e->sum, x, x);
    else
        e->odd += fabs(x);
}

/* e += times part. */
static void add_times(energy *e, const energy *part, size_t times)
{
    if (times > 0) {
        vdit_acc_add_scaled(&e->sum, &part->sum, (double)times);
        e->odd += part->odd;
    }
}

/* E(AV), from the output of the plain call in f32. */
static void measure_output(energy *e, vdit_meter *meter)
{
    const vdit_meter_engine *engine = meter->engine;
    size_t shape[4] = {1, 1, engine->rows, engine->head.dv};
    const float *values;
    vdit_attention call = engine->one.call;
    vdit_tensor o;

    if (vdit_tensor_new(engine->run, &o, VDIT_F32, 4, shape) != VDIT_OK)
        return;
    call.o = &o;
    if (vdit_attention_reference(engine->run, &call) != VDIT_OK)
        return;
    values = o.data;
    for (size_t r = 0; r < engine->rows; r++)
        for (size_t c = 0; c < engine->head.dv && engine->query_class[r] != 0; c++)
            add_square(e, (double)values[r * engine->head.dv + c]);
}

/* Whether each key is valid for row r. Returns: how many are. */
static size_t find_valid(const vdit_meter_engine *engine, size_t r, unsigned char *valid)
{
    size_t length = vdit_key_length(&engine->one.call, 0), count = 0;

    for (size_t j = 0; j < length; j++) {
        valid[j] = (unsigned char)vdit_meter_valid(engine, r, j);
        count += valid[j];
    }
    return count;
}

/* The squares of one row of UV: the means of the values of the valid keys, each rounded once to f32. */
static void measure_uniform_row(energy *e, const vdit_head *head, const unsigned char *valid,
                                size_t count, vdit_acc *sums, double *v)
{
    size_t length = vdit_key_length(head->call, head->b);
    double *odd = v + head->dv;
    vdit_acc keys;

    clear(e);
    for (size_t c = 0; c < head->dv; c++) {
        vdit_acc_zero(&sums[c]);
        odd[c] = 0;
    }
    for (size_t j = 0; j < length; j++) {
        if (!valid[j])
            continue;
        vdit_head_value(head, v, j);
        for (size_t c = 0; c < head->dv; c++)
            if (v[c] - v[c] == 0)
                vdit_acc_add(&sums[c], v[c]);
            else
                odd[c] += v[c]; /* inf - inf is NaN */
    }
    vdit_acc_zero(&keys);
    vdit_acc_add(&keys, (double)count);
    for (size_t c = 0; c < head->dv && count > 0; c++)
        add_square(e, odd[c] != 0 ? odd[c] : vdit_meter_ratio(&sums[c], &keys, VDIT_F32));
}

/* E(UV). Rows that follow each other with the same valid keys share one row of UV. */
static void measure_uniform(energy *e, vdit_meter *meter)
{
    const vdit_meter_engine *engine = meter->engine;
    const vdit_head *head = &engine->head;
    size_t length = vdit_key_length(head->call, head->b), times = 0;
    unsigned char *valid = vdit_run_alloc(engine->run, 2 * length, 1), *next = valid + length;
    vdit_acc *sums = vdit_run_alloc(engine->run, head->dv, sizeof *sums);
    double *v = vdit_run_alloc(engine->run, 2 * head->dv, sizeof *v);
    energy row;

    if (vdit_run_status(engine->run) != VDIT_OK)
        return;
    clear(&row);
    for (size_t r = 0; r < engine->rows; r++) {
        size_t count;

        if (engine->query_class[r] == 0)
            continue;
        if (times == 0 || head->masked) {
            count = find_valid(engine, r, next);
            if (times == 0 || memcmp(valid, next, length) != 0) {
                add_times(e, &row, times);
                times = 0;
                memcpy(valid, next, length);
                measure_uniform_row(&row, head, valid, count, sums, v);
            }
        }
        times++;
    }
    add_times(e, &row, times);
}

/* E(IV): the values of the queries' own keys. */
static void measure_identity(energy *e, vdit_meter *meter)
{
    const vdit_meter_engine *engine = meter->engine;
    double *v = vdit_run_alloc(engine->run, engine->head.dv, sizeof *v);

    for (size_t r = 0; r < engine->rows && v != NULL; r++) {
        if (engine->query_class[r] == 0)
            continue;
        vdit_head_value(&engine->head, v, vdit_query_at(engine->call, r));
        for (size_t c = 0; c < engine->head.dv; c++)
            add_square(e, v[c]);
    }
}

static double rounded(const energy *e)
{
    return e->odd != 0 ? e->odd : vdit_acc_round(&e->sum, VDIT_F64);
}

/* Returns: (av - uv) / (iv - uv), rounded once to f64; NaN where it is not defined. */
static double proportion_of(const energy *av, const energy *uv, const energy *iv)
{
    vdit_acc top = av->sum, bottom = iv->sum;

    vdit_acc_sub(&top, &uv->sum);
    vdit_acc_sub(&bottom, &uv->sum);
    if (av->odd != 0 || uv->odd != 0 || iv->odd != 0 || vdit_acc_sign(&bottom) == 0)
        return NAN;
    return vdit_meter_ratio(&top, &bottom, VDIT_F64);
}

static void end(vdit_meter *meter)
{
    const vdit_attention *call = meter->engine->call;
    energy av, uv, iv;
    double proportion;

    clear(&av);
    clear(&uv);
    clear(&iv);
    measure_output(&av, meter);
    measure_uniform(&uv, meter);
    if (call->q->shape[2] == call->k->shape[2])
        measure_identity(&iv, meter);
    else
        iv.odd = NAN; /* I is not defined (C48) */
    proportion = proportion_of(&av, &uv, &iv);
    vdit_meter_put(meter, AV, 0, 0, rounded(&av));
    vdit_meter_put(meter, UV, 0, 0, rounded(&uv));
    vdit_meter_put(meter, IV, 0, 0, rounded(&iv));
    vdit_meter_put(meter, PROPORTION, 0, 0, proportion);
    vdit_meter_put(meter, VIOLATIONS, 0, 0, proportion < 0 || proportion > 1);
}

static const vdit_meter_output outputs[] = {
    {"av", VDIT_F64, "BH", "E(AV), the energy of the output"},
    {"uv", VDIT_F64, "BH", "E(UV), of the uniform map's output"},
    {"iv", VDIT_F64, "BH", "E(IV), of the values; NaN in cross-attention"},
    {"proportion", VDIT_F64, "BH", "(E(AV) - E(UV)) / (E(IV) - E(UV)), not clamped"},
    {"violations", VDIT_I64, "BH", "1 if the proportion is below 0 or above 1"},
    {NULL, VDIT_F32, NULL, NULL}};

const vdit_meter_kind vdit_meter_energy = {
    .info = {"energy", "energy of the output, and where it lies between that of U and of I",
             "C45=sum,C46=full,C47=valid,C48=undefined", 1, 0, NULL, outputs},
    .end = end};
