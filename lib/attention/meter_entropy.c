/*
 * meter_entropy.c - the entropy of each row, in nats and in percent of the largest one (C39, C40).
 *
 *     H = ln(1 + r) + sum_(j != m) a_j (s_m - s_j),    r = sum_(j != m) e^(s_j - s_m),   m the largest logit's key
 *
 * equals -sum a ln a and has no negative term, so that a peaked row keeps its digits (doc/numerics.md, 7.2). A
 * weight of 0 adds nothing: 0 ln 0 is exactly 0.
 */
#include <math.h>
#include <string.h>
#include "attention/meter.h"
#include "exact/elementary.h"

#define LN_2 0x1.62e42fefa39efp-1
#define UNIT 0x1p-53

/* Above the gap of every weight that is not 0. */
#define FAR 2048.0

/* The outputs, as in the table below. */
enum { ROW, ROW_PERCENT, KEYS, NATS, PERCENT, ROWS };

/* Per worker, of the lanes of a block: sums over the tiles. */
typedef struct lanes {
    double *rest;  /* weights of the keys below the top */
    double *equal; /* how many keys are at the top */
    double *gap;   /* weight times distance to the top, in units of log 2 */
    double *peak;  /* the weight of a key at the top */
    double *valid; /* packed keys that are not masked out */
} lanes;

typedef struct entropy {
    lanes *workers;
    unsigned char *empty, *narrow; /* [R] no entry; fewer than two valid keys */
    int bits;                      /* the unit */
} entropy;

static void open(vdit_meter *meter)
{
    static const char *const words[] = {"nats", "bits", NULL};
    entropy *state = vdit_run_alloc(meter->engine->run, 1, sizeof *state);

    if (state == NULL)
        return;
    memset(state, 0, sizeof *state);
    state->bits = vdit_meter_word(meter, 0, words) == 1;
    meter->state = state;
}

static void start(vdit_meter *meter)
{
    vdit_run *run = meter->engine->run;
    size_t count = VDIT_STREAM_PANELS * meter->engine->head.kernel->nr;
    size_t threads = (size_t)meter->engine->threads;
    entropy *state = meter->state;
    lanes *workers = vdit_run_alloc(run, threads, sizeof *workers);

    if (workers == NULL)
        return;
    state->empty = vdit_run_alloc(run, meter->engine->rows, 1);
    state->narrow = vdit_run_alloc(run, meter->engine->rows, 1);
    for (size_t i = 0; i < threads; i++) {
        workers[i].rest = vdit_run_alloc(run, count, sizeof(double));
        workers[i].equal = vdit_run_alloc(run, count, sizeof(double));
        workers[i].gap = vdit_run_alloc(run, count, sizeof(double));
        workers[i].peak = vdit_run_alloc(run, count, sizeof(double));
        workers[i].valid = vdit_run_alloc(run, count, sizeof(double));
    }
    state->workers = workers;
}

static void begin_block(vdit_meter *meter, vdit_walk *walk, int worker)
{
    lanes *own = &((entropy *)meter->state)->workers[worker];
    size_t bytes = walk->stream.panels * walk->head->kernel->nr * sizeof(double);

    memset(own->rest, 0, bytes);
    memset(own->equal, 0, bytes);
    memset(own->gap, 0, bytes);
    memset(own->peak, 0, bytes);
    memset(own->valid, 0, bytes);
}

static void tile(vdit_meter *meter, vdit_walk *walk, size_t p, size_t t, int worker)
{
    lanes *own = &((entropy *)meter->state)->workers[worker];
    size_t nr = walk->head->kernel->nr, keys = vdit_tile_keys(walk->head, t), at = p * nr;
    const double *most = walk->stream.most + at;
    double rest[VDIT_KERNEL_NR_MAX] = {0}, gaps[VDIT_KERNEL_NR_MAX] = {0};
    double equal[VDIT_KERNEL_NR_MAX] = {0}, valid[VDIT_KERNEL_NR_MAX] = {0};

    for (size_t j = 0; j < keys; j++)
        for (size_t l = 0; l < nr; l++) {
            double p_j = walk->stream.s[j * nr + l], gap = most[l] - walk->logit[j * nr + l];

            valid[l] += gap < INFINITY ? 1 : 0;
            rest[l] += gap == 0 ? 0 : p_j;
            equal[l] += gap == 0 ? 1 : 0;
            own->peak[at + l] = gap == 0 ? p_j : own->peak[at + l];
            gap = gap < FAR ? gap : FAR; /* a masked key is infinitely far, its weight 0 */
            gaps[l] += p_j * gap;
        }
    for (size_t l = 0; l < nr; l++) {
        own->rest[at + l] += rest[l];
        own->gap[at + l] += gaps[l];
        own->equal[at + l] += equal[l];
        own->valid[at + l] += valid[l];
    }
}

/* Returns: ln(1 + r) for r >= 0, to 2^-49 of itself (doc/numerics.md, 7.2). */
static double log_above_one(double r)
{
    double z = r / (2 + r), z2 = z * z, sum = 0;

    if (r >= 0.25)
        return vdit_log_estimate(1 + r);
    for (int n = 17; n > 0; n -= 2)
        sum = sum * z2 + 1.0 / n;
    return 2 * z * sum;
}

/* Returns: the valid keys of row r, of whose packed keys so many are. */
static size_t valid_keys(const vdit_meter_engine *engine, size_t r, double packed)
{
    size_t count = (size_t)packed;

    for (size_t i = 0; i < engine->head.odd_key_count; i++)
        count += (size_t)vdit_meter_valid(engine, r, engine->head.odd_keys[i]);
    return count;
}

/* The entropy of one lane with its bound, 7.2. */
static void settle_lane(vdit_meter *meter, const vdit_walk *walk, const lanes *own, size_t lane)
{
    entropy *state = meter->state;
    size_t r = walk->stream.first + lane, keys = valid_keys(meter->engine, r, own->valid[lane]);
    double sums = UNIT * (VDIT_TILE + (double)walk->head->tiles + 16);
    double each = walk->error[lane] + sums, peak = own->peak[lane];
    double rest = (own->rest[lane] + (own->equal[lane] - 1) * peak) / peak;
    double first = log_above_one(rest);
    double second = LN_2 * (own->gap[lane] / (own->rest[lane] + own->equal[lane] * peak));
    double error =
        1.02 * ((each + 0x1p-49) * first + each * (rest / (1 + rest)) + (each + sums) * second) +
        (double)walk->head->keys * 0x1p-380;

    state->narrow[r] = keys < 2;
    vdit_meter_put(meter, KEYS, r, 0, (double)keys);
    if (walk->error[lane] >= 1)
        error = INFINITY;
    if (state->bits)
        vdit_meter_settle(meter, ROW, r, 0, (first + second) / LN_2,
                          error / LN_2 * (1 + 0x1p-40) + 0x1p-49 * ((first + second) / LN_2));
    else
        vdit_meter_settle(meter, ROW, r, 0, first + second, error);
    if (keys < 2) {
        vdit_meter_put(meter, ROW_PERCENT, r, 0, NAN);
    } else {
        double factor = 100 / vdit_log_estimate((double)keys);
        double percent = (first + second) * factor;
        vdit_meter_settle(meter, ROW_PERCENT, r, 0, percent,
                          error * factor * (1 + 0x1p-40) + 0x1p-49 * percent);
    }
}

static void end_block(vdit_meter *meter, vdit_walk *walk, int worker)
{
    entropy *state = meter->state;

    for (size_t lane = 0; lane < walk->stream.rows; lane++) {
        state->empty[walk->stream.first + lane] = 0;
        if (vdit_meter_has(meter->engine, walk, lane))
            settle_lane(meter, walk, &state->workers[worker], lane);
    }
}

/* Out: out = ln(1 + x), x >= 0, to 2^-100 of itself. */
static void exact_log_above_one(vdit_mp *out, const vdit_mp *x)
{
    vdit_mp one, square;

    if (x->sign == 0 || x->exponent > -100) { /* 1 + x keeps 92 bits of x or more */
        vdit_mp_from_f64(&one, 1);
        vdit_mp_add(out, &one, x);
        vdit_mp_log(out, out);
        return;
    }
    vdit_mp_mul(&square, x, x);
    vdit_mp_scale(&square, &square, -1);
    vdit_mp_sub(out, x, &square); /* what follows is below x^3 */
}

/* Out: the entropy of the row. The first key at the top stands for the others' reference. */
static void exact_entropy(vdit_mp *out, const vdit_last *last)
{
    vdit_mp one, rest, gaps, term;
    int met = 0;

    vdit_mp_from_f64(&one, 1);
    vdit_mp_from_f64(&rest, 0);
    vdit_mp_from_f64(&gaps, 0);
    for (size_t j = 0; j < last->head->keys; j++) {
        int top = vdit_mp_compare(&last->p[j], &one) == 0;

        if (last->p[j].sign == 0 || (top && !met)) {
            met |= top;
            continue;
        }
        vdit_mp_add(&rest, &rest, &last->p[j]);
        vdit_mp_log(&term, &last->p[j]);
        vdit_mp_mul(&term, &term, &last->p[j]);
        vdit_mp_sub(&gaps, &gaps, &term);
    }
    exact_log_above_one(out, &rest);
    vdit_mp_div(&gaps, &gaps, &last->sum);
    vdit_mp_add(out, out, &gaps);
}

static void exact(vdit_meter *meter, vdit_last *last)
{
    vdit_mp nats, percent, factor;
    double keys = vdit_meter_get(meter, KEYS, last->r, 0);

    exact_entropy(&nats, last);
    percent = nats;
    if (((entropy *)meter->state)->bits) {
        vdit_mp_from_f64(&factor, 2);
        vdit_mp_log(&factor, &factor);
        vdit_mp_div(&nats, &nats, &factor);
    }
    vdit_meter_put_exact(meter, ROW, last->r, 0, &nats);
    if (keys < 2)
        return;
    vdit_mp_from_f64(&factor, 100);
    vdit_mp_mul(&percent, &percent, &factor);
    vdit_mp_from_f64(&factor, keys);
    vdit_mp_log(&factor, &factor);
    vdit_mp_div(&percent, &percent, &factor);
    vdit_meter_put_exact(meter, ROW_PERCENT, last->r, 0, &percent);
}

static void special(vdit_meter *meter, size_t r, vdit_row_kind kind)
{
    entropy *state = meter->state;
    size_t keys = vdit_meter_valid_keys(meter->engine, r);

    state->empty[r] = kind == VDIT_ROW_EMPTY;
    state->narrow[r] = kind == VDIT_ROW_EMPTY || keys < 2;
    vdit_meter_put(meter, KEYS, r, 0, (double)keys);
    vdit_meter_put(meter, ROW, r, 0, kind == VDIT_ROW_EMPTY ? 0 : NAN);
    vdit_meter_put(meter, ROW_PERCENT, r, 0, NAN);
}

static void end(vdit_meter *meter)
{
    entropy *state = meter->state;
    size_t rows;

    vdit_meter_put(meter, NATS, 0, 0, vdit_meter_mean(meter, ROW, VDIT_ANY, state->empty, NULL));
    vdit_meter_put(meter, PERCENT, 0, 0,
                   vdit_meter_mean(meter, ROW_PERCENT, VDIT_ANY, state->narrow, &rows));
    vdit_meter_put(meter, ROWS, 0, 0, (double)rows);
}

static const vdit_meter_output outputs[] = {
    {"row", VDIT_F32, "BHR", "entropy of the row, in its unit"},
    {"row_percent", VDIT_F32, "BHR",
     "the same in nats over ln(valid keys), percent; NaN below two valid keys"},
    {"keys", VDIT_I64, "BHR", "valid keys of the row"},
    {"nats", VDIT_F32, "BH", "mean of row, in its unit, over the rows that have an entry"},
    {"percent", VDIT_F32, "BH", "mean of row_percent over the rows with two valid keys or more"},
    {"rows", VDIT_I64, "BH", "how many rows the mean of percent has"},
    {NULL, VDIT_F32, NULL, NULL}};

static const vdit_meter_option options[] = {
    {"unit", "nats", "nats or bits: of row and its mean; percent has none"}, {NULL, NULL, NULL}};

const vdit_meter_kind vdit_meter_entropy = {
    .info = {"entropy", "entropy of the rows, and their mean", "C39=row/ln(valid),C40=exact0", 2, 0,
             options, outputs},
    .open = open,
    .start = start,
    .begin_block = begin_block,
    .tile = tile,
    .end_block = end_block,
    .exact = exact,
    .special = special,
    .end = end};
