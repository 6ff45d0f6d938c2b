/*
 * meter_sink.c - the sink of a head (C27 to C29, C33): the key that more than half of the queries give a weight
 * of tau or more; of several the one with the largest count, then the lowest index. Its place, and the length of
 * its value against those of the other keys.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "attention/meter_ladder.h"

enum { KEY, COUNT, QUERIES, PLACE, TEXT, TEXT0, KEYS, VALUE_NORM, MEAN_NORM, RATIO };

/* The options, in the order of the table below. */
enum { OPTION_TAU, OPTION_QUERIES, OPTION_KEYS, OPTION_OTHERS, OPTION_AGAINST };

typedef struct sink {
    vdit_ladder ladder;
    double tau;      /* as given, of 1 or */
    int over_keys;   /* of 1 / n */
    unsigned keys;   /* kinds of keys that can be a sink */
    unsigned others; /* whose values its own is compared with, */
    int is_median;   /* by their median */
    double *v;       /* [dv] */
    double *norm;    /* [Nk] of those values */
} sink;

/* "0.3", or "20/n" for 20 over the number of valid keys. */
static void read_tau(vdit_meter *meter, sink *state)
{
    char *end;

    state->tau = strtod(meter->option[OPTION_TAU], &end);
    state->over_keys = strcmp(end, "/n") == 0;
    if ((*end != '\0' && !state->over_keys) ||
        !(state->tau >= 1e-6 && state->tau <= (state->over_keys ? 1e6 : 1)))
        vdit_meter_refuse(meter, OPTION_TAU, "a number in 1e-06..1, or C/n with C in 1e-06..1e+06");
}

static void open(vdit_meter *meter)
{
    static const char *const against[] = {"mean", "median", NULL};
    sink *state = vdit_run_alloc(meter->engine->run, 1, sizeof *state);

    if (state == NULL)
        return;
    memset(state, 0, sizeof *state);
    meter->state = state;
    state->ladder.steps = 1;
    read_tau(meter, state);
    state->ladder.queries = vdit_meter_tokens(meter, OPTION_QUERIES);
    state->keys = vdit_meter_tokens(meter, OPTION_KEYS);
    state->others = vdit_meter_tokens(meter, OPTION_OTHERS);
    state->is_median = vdit_meter_word(meter, OPTION_AGAINST, against) == 1;
    meter->extent['P' - 'A'] = 3;
}

static void start(vdit_meter *meter)
{
    sink *state = meter->state;

    state->v = vdit_run_alloc(meter->engine->run, meter->engine->head.dv, sizeof(double));
    state->norm = vdit_run_alloc(meter->engine->run, meter->extent['K' - 'A'], sizeof(double));
    vdit_ladder_new(meter->engine->run, &state->ladder, meter->engine);
}

static void begin(vdit_meter *meter)
{
    sink *state = meter->state;
    const vdit_head *head = &meter->engine->head;
    double keys = (double)(head->keys + head->odd_key_count);

    state->ladder.tau[0] =
        vdit_round_f64(VDIT_F32, state->over_keys && keys > 0 ? state->tau / keys : state->tau);
    vdit_ladder_begin(&state->ladder);
}

static void begin_block(vdit_meter *meter, vdit_walk *walk, int worker)
{
    vdit_ladder_begin_block(&((sink *)meter->state)->ladder, walk, worker);
}

static void tile(vdit_meter *meter, vdit_walk *walk, size_t p, size_t t, int worker)
{
    vdit_ladder_tile(&((sink *)meter->state)->ladder, walk, p, t, worker);
}

/*
 * Returns: the square root of an exact sum of squares, rounded once to f32. Where two candidates are left, the
 * midpoint between them has 25 bits and its square 50, so that the comparison is exact.
 */
static double root_f32(const vdit_acc *square)
{
    double root = sqrt(vdit_acc_round(square, VDIT_F64));
    double low = vdit_round_f64(VDIT_F32, root * (1 - 0x1p-50));
    double high = vdit_round_f64(VDIT_F32, root * (1 + 0x1p-50));
    double middle = low / 2 + fmin(high, 0x1p128) / 2;
    vdit_acc rest = *square, edge;
    int order;

    if (low == high)
        return low;
    vdit_acc_zero(&edge);
    vdit_acc_add(&edge, middle * middle);
    vdit_acc_sub(&rest, &edge);
    order = vdit_acc_sign(&rest);
    return order < 0 ? low : order > 0 ? high : vdit_round_f64(VDIT_F32, middle);
}

/* Returns: the length of the value of key j, rounded once to f32. */
static double value_norm(const vdit_head *head, double *v, size_t j)
{
    double odd = 0;
    vdit_acc sum;

    vdit_acc_zero(&sum);
    vdit_head_value(head, v, j);
    for (size_t c = 0; c < head->dv; c++)
        if (v[c] - v[c] == 0)
            vdit_acc_add_product(&sum, v[c], v[c]);
        else
            odd += fabs(v[c]); /* inf or NaN */
    return odd != 0 ? odd : root_f32(&sum);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Out: sum / over, what the lengths are summed up by: their mean, or the lower median of the count. */
static void sum_up(sink *state, size_t count, vdit_acc *sum, vdit_acc *over)
{
    vdit_acc_zero(sum);
    vdit_acc_zero(over);
    if (state->is_median)
        qsort(state->norm, count, sizeof *state->norm, ascending);
    for (size_t i = 0; i < count; i++)
        if (!state->is_median || i == (count - 1) / 2)
            vdit_acc_add(sum, state->norm[i]);
    vdit_acc_add(over, state->is_median ? 1 : (double)count);
}

/* The lengths of the values, C33: facts of keys; their mean is exact until it is rounded. */
static void put_norms(vdit_meter *meter, size_t key)
{
    sink *state = meter->state;
    const vdit_head *head = &meter->engine->head;
    size_t length = vdit_key_length(head->call, head->b), count = 0;
    double own = value_norm(head, state->v, key), odd = own - own;
    vdit_acc sum, over, scaled;

    for (size_t j = 0; j < length; j++) {
        double norm;

        if (j == key || !vdit_head_has_key(head, j) ||
            (vdit_axis_kind(&meter->engine->layout.key, j) & state->others) == 0)
            continue;
        norm = value_norm(head, state->v, j);
        state->norm[count++] = norm;
        odd += norm - norm;
    }
    vdit_meter_put(meter, VALUE_NORM, 0, 0, own);
    vdit_meter_put(meter, MEAN_NORM, 0, 0, NAN);
    vdit_meter_put(meter, RATIO, 0, 0, NAN);
    if (odd != 0 || count == 0)
        return;
    sum_up(state, count, &sum, &over);
    vdit_acc_zero(&scaled);
    vdit_acc_add_product(&scaled, own, state->is_median ? 1 : (double)count);
    vdit_meter_put(meter, MEAN_NORM, 0, 0, vdit_meter_ratio(&sum, &over, VDIT_F32));
    if (vdit_acc_sign(&sum) > 0)
        vdit_meter_put(meter, RATIO, 0, 0, vdit_meter_ratio(&scaled, &sum, VDIT_F32));
}

/* Where the sink is, and what. */
static void put_sink(vdit_meter *meter, size_t key)
{
    const vdit_layout *layout = &meter->engine->layout;
    int text = vdit_axis_kind(&layout->key, key) == VDIT_TEXT;
    size_t place[3];

    vdit_meter_put(meter, KEY, 0, 0, (double)key);
    vdit_meter_put(meter, TEXT, 0, 0, text);
    vdit_meter_put(meter, TEXT0, 0, 0, text && key == layout->key.text_at);
    if (!text && layout->frames > 0) {
        vdit_layout_place(place, layout, &layout->key, key);
        for (size_t i = 0; i < 3; i++)
            vdit_meter_put(meter, PLACE, 0, i, (double)place[i]);
    }
    put_norms(meter, key);
}

static void put_none(vdit_meter *meter)
{
    vdit_meter_put(meter, KEY, 0, 0, -1);
    for (size_t i = 0; i < 3; i++)
        vdit_meter_put(meter, PLACE, 0, i, -1);
    vdit_meter_put(meter, VALUE_NORM, 0, 0, NAN);
    vdit_meter_put(meter, MEAN_NORM, 0, 0, NAN);
    vdit_meter_put(meter, RATIO, 0, 0, NAN);
}

static void end(vdit_meter *meter)
{
    const sink *state = meter->state;
    const vdit_head *head = &meter->engine->head;
    size_t queries = vdit_meter_queries(meter->engine, state->ladder.queries), found = 0;
    uint64_t most = 0;

    for (size_t j = 0; j < head->keys; j++) {
        size_t key = head->key_at[j];
        uint64_t count = vdit_ladder_count(&state->ladder, 0, j);

        if ((vdit_axis_kind(&meter->engine->layout.key, key) & state->keys) == 0)
            continue;
        vdit_meter_put(meter, KEYS, 0, key, 2 * count > queries);
        if (count > most) {
            most = count;
            found = key;
        }
    }
    vdit_meter_put(meter, COUNT, 0, 0, (double)most);
    vdit_meter_put(meter, QUERIES, 0, 0, (double)queries);
    put_none(meter);
    if (2 * most > queries)
        put_sink(meter, found);
}

static const vdit_meter_output outputs[] = {
    {"key", VDIT_I64, "BH", "the sink's key, -1 if there is none"},
    {"count", VDIT_I64, "BH", "the largest count of a key"},
    {"queries", VDIT_I64, "BH", "how many queries there are"},
    {"place", VDIT_I64, "BHP", "t, y, x of the sink; -1 for text, or without a layout"},
    {"text", VDIT_BOOL, "BH", "1 if the sink is a text token"},
    {"text0", VDIT_BOOL, "BH", "1 if it is the first text token"},
    {"keys", VDIT_BOOL, "BHK", "1 for every key that more than half of the queries attend to so"},
    {"value_norm", VDIT_F32, "BH", "length of the sink's value; NaN without a sink"},
    {"mean_norm", VDIT_F32, "BH", "mean, or median, length of the other valid keys' values"},
    {"ratio", VDIT_F32, "BH", "value_norm over that before its rounding"},
    {NULL, VDIT_F32, NULL, NULL}};

static const vdit_meter_option options[] = {
    {"tau", "0.3", "the weight that counts as heavy; or C/n, over the valid keys; rounded to f32"},
    {"queries", "video", "video, text or all: which queries are counted"},
    {"keys", "all", "video, text or all: which keys can be a sink"},
    {"others", "all", "video, text or all: whose values the sink's is compared with"},
    {"against", "mean", "mean or median of their lengths"},
    {NULL, NULL, NULL}};

const vdit_meter_kind vdit_meter_sink = {
    .info = {"sink", "the key that most queries attend to heavily",
             "C27=more-than-half,C28=option,C29=largest-count,C30=current-forward,C33=L2/others", 2,
             0, options, outputs},
    .open = open,
    .start = start,
    .begin = begin,
    .begin_block = begin_block,
    .tile = tile,
    .end = end};
