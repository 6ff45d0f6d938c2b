/*
 * meter_order.c - exact quantiles of a head's map (C18, C22), and the k-curve: what bottom-k masking keeps, and what it does to the
 * output, over k.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "attention/meter.h"
#include "attention/order.h"

/* The options of both, in the order of the tables below. */
enum { FRACTIONS, BLOCKS, CHOICE };

enum { QUANTILE_VALUE, QUANTILE_FRACTION, QUANTILE_ENTRIES };
enum { CURVE_FRACTION, CURVE_THRESHOLD, CURVE_MASKED, CURVE_KEPT, CURVE_ERROR };

typedef struct fractions {
    size_t n;
    double *list; /* [n] */
    unsigned blocks;
    size_t choice; /* of the third option */
} fractions;

/* Numbers from 0 to 1 with + between them. */
static void read_list(vdit_meter *meter, fractions *state)
{
    const char *at = meter->option[FRACTIONS];
    size_t most = 1;

    for (const char *c = at; *c != '\0'; c++)
        most += *c == '+';
    state->list = vdit_run_alloc(meter->engine->run, most, sizeof *state->list);
    while (state->list != NULL && state->n < most) {
        char *end;
        double value = strtod(at, &end);

        if (end == at || (*end != '\0' && *end != '+') || !(value >= 0 && value <= 1)) {
            vdit_meter_refuse(meter, FRACTIONS, "numbers in 0..1 with + between them");
            return;
        }
        state->list[state->n++] = value;
        at = *end == '+' ? end + 1 : end;
    }
}

/* "all", or names of blocks with + between them. */
static unsigned read_blocks(vdit_meter *meter)
{
    static const char *const names[] = {"vv", "vt", "tv", "tt"};
    static const unsigned bits[] = {VDIT_BLOCK_VV, VDIT_BLOCK_VT, VDIT_BLOCK_TV, VDIT_BLOCK_TT};
    const char *at = meter->option[BLOCKS];
    unsigned blocks = 0;

    if (strcmp(at, "all") == 0)
        return 0;
    for (;; at += 3) {
        unsigned found = 0;

        for (size_t i = 0; i < 4; i++)
            if (strncmp(at, names[i], 2) == 0)
                found = bits[i];
        blocks |= found;
        if (found == 0 || (at[2] != '+' && at[2] != '\0')) {
            vdit_meter_refuse(meter, BLOCKS, "all, or vv, vt, tv, tt with + between them");
            return 0;
        }
        if (at[2] == '\0')
            return blocks;
    }
}

static void open_with(vdit_meter *meter, const char *const *words)
{
    fractions *state = vdit_run_alloc(meter->engine->run, 1, sizeof *state);

    if (state == NULL)
        return;
    memset(state, 0, sizeof *state);
    meter->state = state;
    read_list(meter, state);
    state->blocks = read_blocks(meter);
    state->choice = vdit_meter_word(meter, CHOICE, words);
    meter->extent['Q' - 'A'] = state->n;
}

static void open_quantile(vdit_meter *meter)
{
    static const char *const words[] = {"kept", "linear", NULL};

    open_with(meter, words);
}

static void open_curve(vdit_meter *meter)
{
    static const char *const words[] = {"dropped", "renormalised", NULL};

    if (meter->engine->call->rows != NULL)
        vdit_run_fail(meter->engine->run, VDIT_ERR_UNSUPPORTED,
                      "meter %s: it needs all rows of the call", meter->kind->info.name);
    else
        open_with(meter, words);
}

/* Writes the list of fractions, which is the same for every head. */
static void put_fractions(const vdit_meter *meter, size_t output)
{
    const fractions *state = meter->state;

    memcpy(meter->out[output].data, state->list, state->n * sizeof(double));
}

/* Out: value[n] of the head, and the number of its entries. */
static void find_values(vdit_meter *meter, const vdit_meter_head *one, vdit_ties ties,
                        double *value, uint64_t *size)
{
    const fractions *state = meter->state;
    vdit_order order = {
        {&one->call, meter->engine->layout, state->blocks, 0, 1, NULL}, VDIT_SCOPE_HEAD, ties};

    vdit_order_values(meter->engine->run, value, size, &order, state->list, state->n);
}

static void end_quantile(vdit_meter *meter)
{
    const fractions *state = meter->state;
    vdit_run *run = meter->engine->run;
    double *value = vdit_run_alloc(run, state->n, sizeof *value);
    const vdit_meter_head *one = &meter->engine->one;
    uint64_t size;

    if (value == NULL)
        return;
    find_values(meter, one, state->choice == 1 ? VDIT_TIES_LINEAR : VDIT_TIES_KEPT, value, &size);
    if (vdit_run_status(run) != VDIT_OK)
        return;
    for (size_t i = 0; i < state->n; i++)
        vdit_meter_put(meter, QUANTILE_VALUE, 0, i, value[i]);
    vdit_meter_put(meter, QUANTILE_ENTRIES, 0, 0, (double)size);
    put_fractions(meter, QUANTILE_FRACTION);
}

/* Returns: the square root of sum / over (both positive), rounded once to f32. */
static double root_ratio(const vdit_acc *sum, const vdit_acc *over)
{
    vdit_mp value, divisor;

    vdit_mp_from_acc(&value, sum);
    vdit_mp_from_acc(&divisor, over);
    vdit_mp_div(&value, &value, &divisor);
    return vdit_meter_root(&value);
}

/* What a curve is made with: the dense output, and what one k gives. */
typedef struct curve {
    vdit_tensor dense, o;     /* f32 [1,1,R,dv] */
    vdit_tensor kept, masked; /* f32 and i64 [1,1,R] */
    vdit_tensor threshold;    /* f32 [1,1,1] */
    vdit_attention call;      /* that of one, with the edit */
    vdit_edit edit;
    const vdit_edit *edits[1];
    vdit_edit_report report;
} curve;

static vdit_status make_curve(vdit_meter *meter, curve *c, const vdit_meter_head *one)
{
    static const size_t single[3] = {1, 1, 1};
    const fractions *state = meter->state;
    vdit_run *run = meter->engine->run;
    size_t rows = meter->engine->rows, shape[4] = {1, 1, rows, meter->engine->head.dv};
    vdit_attention dense = one->call;
    const vdit_axis *key = &meter->engine->layout.key;

    memset(c, 0, sizeof *c);
    vdit_tensor_new(run, &c->dense, VDIT_F32, 4, shape);
    vdit_tensor_new(run, &c->o, VDIT_F32, 4, shape);
    vdit_tensor_new(run, &c->kept, VDIT_F32, 3, shape);
    vdit_tensor_new(run, &c->masked, VDIT_I64, 3, shape);
    vdit_tensor_new(run, &c->threshold, VDIT_F32, 3, single);
    c->edit = one->edit;
    c->edit.tokens = (vdit_tokens){
        meter->engine->layout.frames, meter->engine->layout.height, meter->engine->layout.width,
        key->text > meter->engine->layout.query.text ? key->text : meter->engine->layout.query.text,
        key->text > 0 && key->text_at < key->video_at};
    c->edit.prune = VDIT_PRUNE_THRESHOLD;
    c->edit.threshold = &c->threshold;
    c->edit.prunable = state->blocks;
    c->edit.lost = state->choice == 1 ? VDIT_LOST_RENORMALISED : VDIT_LOST_DROPPED;
    c->edits[0] = &c->edit;
    c->report.size = sizeof c->report;
    c->report.kept_mass = &c->kept;
    c->report.masked = &c->masked;
    c->call = one->call;
    c->call.o = &c->o;
    c->call.edits = c->edits;
    c->call.report = &c->report;
    dense.o = &c->dense;
    if (vdit_run_status(run) == VDIT_OK)
        vdit_attention_reference(run, &dense);
    return vdit_run_status(run);
}

/* Returns: |o - dense| / |dense| over the elements of valid queries, rounded once to f32; NaN if one is not finite. */
static double output_error(const vdit_meter *meter, const curve *c)
{
    const vdit_meter_engine *engine = meter->engine;
    const float *a = c->o.data, *b = c->dense.data;
    size_t dv = engine->head.dv;
    double odd = 0;
    vdit_acc sum, over;

    vdit_acc_zero(&sum);
    vdit_acc_zero(&over);
    for (size_t r = 0; r < engine->rows; r++)
        for (size_t i = r * dv; i < (r + 1) * dv && engine->query_class[r] != 0; i++) {
            double x = (double)a[i], y = (double)b[i];

            odd += (x - x) + (y - y);
            if (odd != 0)
                return NAN;
            vdit_acc_add_product(&sum, x,
                                 x); /* (x - y)^2, whose difference need not fit binary64 */
            vdit_acc_add_product(&sum, -2 * x, y);
            vdit_acc_add_product(&sum, y, y);
            vdit_acc_add_product(&over, y, y);
        }
    if (vdit_acc_sign(&over) == 0)
        return NAN;
    return vdit_acc_sign(&sum) == 0 ? 0 : root_ratio(&sum, &over);
}

/* Returns: the mean of the kept masses of the valid queries, rounded once to f32. */
static double mean_kept(const vdit_meter *meter, const curve *c)
{
    const vdit_meter_engine *engine = meter->engine;
    const float *kept = c->kept.data;
    size_t count = 0;
    vdit_acc sum, rows;

    vdit_acc_zero(&sum);
    vdit_acc_zero(&rows);
    for (size_t r = 0; r < engine->rows; r++)
        if (engine->query_class[r] != 0 && vdit_meter_valid_keys(engine, r) > 0) {
            vdit_acc_add(&sum, (double)kept[r]);
            count++;
        }
    vdit_acc_add(&rows, (double)count);
    return count == 0 ? NAN : vdit_meter_ratio(&sum, &rows, VDIT_F32);
}

/* Returns: masked entries of the valid queries over all their valid ones, rounded once to f32. */
static double masked_share(const vdit_meter *meter, const curve *c, uint64_t size)
{
    const vdit_meter_engine *engine = meter->engine;
    const int64_t *masked = c->masked.data;
    vdit_acc sum, all;

    vdit_acc_zero(&sum);
    vdit_acc_zero(&all);
    for (size_t r = 0; r < engine->rows; r++)
        if (engine->query_class[r] != 0)
            vdit_acc_add(&sum, (double)masked[r]);
    vdit_acc_add(&all, (double)size);
    return size == 0 ? NAN : vdit_meter_ratio(&sum, &all, VDIT_F32);
}

static void end_curve(vdit_meter *meter)
{
    const fractions *state = meter->state;
    vdit_run *run = meter->engine->run;
    double *value = vdit_run_alloc(run, state->n, sizeof *value);
    const vdit_meter_head *one = &meter->engine->one;
    uint64_t size;
    curve c;

    if (one->edit.prune != VDIT_PRUNE_NONE)
        vdit_run_fail(run, VDIT_ERR_UNSUPPORTED,
                      "meter %s: the map has a frozen mask already, and takes no second one",
                      meter->kind->info.name);
    if (value == NULL || make_curve(meter, &c, one) != VDIT_OK)
        return;
    find_values(meter, one, VDIT_TIES_KEPT, value, &size);
    for (size_t i = 0; i < state->n && vdit_run_status(run) == VDIT_OK; i++) {
        vdit_store_f64(c.threshold.data, VDIT_F32, value[i]);
        if (vdit_attention_reference(run, &c.call) != VDIT_OK)
            return;
        vdit_meter_put(meter, CURVE_THRESHOLD, 0, i, value[i]);
        vdit_meter_put(meter, CURVE_MASKED, 0, i, masked_share(meter, &c, size));
        vdit_meter_put(meter, CURVE_KEPT, 0, i, mean_kept(meter, &c));
        vdit_meter_put(meter, CURVE_ERROR, 0, i, output_error(meter, &c));
    }
    put_fractions(meter, CURVE_FRACTION);
}

static const vdit_meter_option quantile_options[] = {
    {"k", "0.25+0.5+0.75+0.9+0.95+0.99", "fractions, with + between them"},
    {"blocks", "all", "whose entries: all, or vv, vt, tv, tt with + between them"},
    {"ties", "kept", "kept: the entry at floor(k M); linear: between two, as numpy"},
    {NULL, NULL, NULL}};

static const vdit_meter_output quantile_outputs[] = {
    {"value", VDIT_F32, "BHQ", "the entry at place floor(k M) of the M sorted ones; k = 1: inf"},
    {"k", VDIT_F64, "Q", "the fractions"},
    {"entries", VDIT_I64, "BH", "M"},
    {NULL, VDIT_F32, NULL, NULL}};

static const vdit_meter_option curve_options[] = {
    {"k", "0+0.05+0.1+0.15+0.2+0.25+0.3+0.35+0.4+0.45+0.5+0.55+0.6+0.65+0.7+0.75+0.8+0.85+0.9+0.95",
     "fractions, with + between them"},
    {"blocks", "all", "whose entries: all, or vv, vt, tv, tt with + between them"},
    {"lost", "dropped", "dropped or renormalised: what becomes of the lost mass"},
    {NULL, NULL, NULL}};

static const vdit_meter_output curve_outputs[] = {
    {"k", VDIT_F64, "Q", "the fractions"},
    {"threshold", VDIT_F32, "BHQ", "the entry at place floor(k M); entries below it are masked"},
    {"masked_fraction", VDIT_F32, "BHQ", "masked entries over M"},
    {"kept_mass", VDIT_F32, "BHQ", "mean over the queries of the mass that is kept"},
    {"error", VDIT_F32, "BHQ", "|o - dense o| / |dense o| over all queries and channels"},
    {NULL, VDIT_F32, NULL, NULL}};

const vdit_meter_kind vdit_meter_quantile = {
    .info = {"quantile", "exact order statistics of the map", "C18=head,C22=order,C23=all", 3, 0,
             quantile_options, quantile_outputs},
    .open = open_quantile,
    .end = end_quantile};

const vdit_meter_kind vdit_meter_kcurve = {
    .info = {"kcurve", "kept mass and output error of bottom-k masking, over k",
             "C18=head,C19=lost,C22=order,C24=masked_fraction+kept_mass", 3, 0, curve_options,
             curve_outputs},
    .open = open_curve,
    .end = end_curve};
