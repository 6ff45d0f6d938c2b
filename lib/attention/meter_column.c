/*
 * meter_column.c - the mass that a key receives: the sum of its column of the map over the queries, and for text
 * tokens its mean. The sum is one real number, rounded once to f32.
 *
 * Stage 0 adds up the walk's weights, a panel of rows at a time, in pairs of doubles. What it cannot round goes
 * to stage 1: the sums of all rows once more to about 2^-55, and the entries of the open keys from their exact
 * logits. What is open even then is added up in multi-precision, row by row (doc/numerics.md, 7.5).
 */
#include <math.h>
#include <string.h>
#include "attention/meter_column.h"
#include "exact/settle.h"

#define UNIT 0x1p-53

enum { MASS, QUERIES };

/* Per worker. */
typedef struct column_worker {
    double *high, *low; /* [packed keys] sums over this worker's rows */
    double *factor;     /* [lanes] 1 / sum, or 0 where the row does not count */
    double error;       /* the largest relative error of a lane that counts */
} column_worker;

typedef struct column {
    size_t first, end;   /* keys of the call */
    size_t packed, past; /* of the packed keys */
    unsigned queries;    /* whose entries count */
    int is_mean;
    unsigned char *odd; /* [keys of the call] 1 where an entry is NaN */
    double *top;        /* [R] the reference point of stage 0, natural units */
    column_worker *workers;
} column;

static column *open_range(vdit_meter *meter, size_t first, size_t count, int is_mean)
{
    column *state = vdit_run_alloc(meter->engine->run, 1, sizeof *state);

    if (state == NULL)
        return NULL;
    memset(state, 0, sizeof *state);
    state->first = first;
    state->end = first + count;
    state->queries = vdit_meter_tokens(meter, 0);
    state->is_mean = is_mean;
    meter->state = state;
    return state;
}

static void open_column(vdit_meter *meter)
{
    static const char *const words[] = {"sum", "mean", NULL};

    open_range(meter, 0, meter->extent['K' - 'A'], vdit_meter_word(meter, 1, words) == 1);
}

static void open_text(vdit_meter *meter)
{
    open_range(meter, meter->engine->layout.key.text_at, meter->engine->layout.key.text, 1);
}

static void start(vdit_meter *meter)
{
    vdit_run *run = meter->engine->run;
    column *state = meter->state;
    size_t keys = meter->extent['K' - 'A'];
    size_t lanes = VDIT_STREAM_PANELS * meter->engine->head.kernel->nr;

    state->odd = vdit_run_alloc(run, keys, 1);
    state->top = vdit_run_alloc(run, meter->engine->rows, sizeof *state->top);
    state->workers = vdit_run_alloc(run, (size_t)meter->engine->threads, sizeof *state->workers);
    for (int i = 0; i < meter->engine->threads && vdit_run_status(run) == VDIT_OK; i++) {
        state->workers[i].high = vdit_run_alloc(run, keys, sizeof(double));
        state->workers[i].low = vdit_run_alloc(run, keys, sizeof(double));
        state->workers[i].factor = vdit_run_alloc(run, lanes, sizeof(double));
    }
}

static void begin(vdit_meter *meter)
{
    column *state = meter->state;
    const vdit_head *head = &meter->engine->head;

    memset(state->odd, 0, meter->extent['K' - 'A']);
    state->packed = state->past = 0;
    for (size_t j = 0; j < head->keys; j++) {
        state->packed += head->key_at[j] < state->first;
        state->past += head->key_at[j] < state->end;
    }
    for (int i = 0; i < meter->engine->threads; i++) {
        memset(state->workers[i].high, 0, head->keys * sizeof(double));
        memset(state->workers[i].low, 0, head->keys * sizeof(double));
        state->workers[i].error = 0;
    }
}

/* Returns: 1 if row r is plain and its query counts. */
static int counts(const vdit_meter *meter, size_t r)
{
    const column *state = meter->state;

    return meter->engine->kind[r] == VDIT_ROW_PLAIN &&
           (meter->engine->query_class[r] & state->queries) != 0;
}

static void begin_block(vdit_meter *meter, vdit_walk *walk, int worker)
{
    column *state = meter->state;
    column_worker *own = &state->workers[worker];

    for (size_t lane = 0; lane < walk->stream.panels * walk->head->kernel->nr; lane++) {
        size_t r = walk->stream.first + lane;

        own->factor[lane] = 0;
        if (lane >= walk->stream.rows || !counts(meter, r))
            continue;
        own->factor[lane] = 1 / walk->stream.sum[lane];
        own->error = fmax(own->error, walk->error[lane]);
        state->top[r] = walk->stream.top[lane] * 0x1.62e42fefa39efp-1;
    }
}

static void tile(vdit_meter *meter, vdit_walk *walk, size_t p, size_t t, int worker)
{
    const column *state = meter->state;
    column_worker *own = &state->workers[worker];
    size_t nr = walk->head->kernel->nr, keys = vdit_tile_keys(walk->head, t);
    const double *factor = own->factor + p * nr;

    for (size_t j = 0; j < keys; j++) {
        const double *weight = walk->stream.s + j * nr;
        size_t at = t * VDIT_TILE + j;
        double sum = 0;
        vdit_pair total;

        if (at < state->packed || at >= state->past)
            continue;
        for (size_t l = 0; l < nr; l++)
            sum += weight[l] * factor[l];
        total = vdit_two_sum(own->high[at], sum);
        own->high[at] = total.high;
        own->low[at] += total.low;
    }
}

/* A row of NaN has them at its valid keys. */
static void special(vdit_meter *meter, size_t r, vdit_row_kind kind)
{
    column *state = meter->state;

    if (kind == VDIT_ROW_EMPTY || (meter->engine->query_class[r] & state->queries) == 0)
        return;
    for (size_t j = state->first; j < state->end; j++)
        state->odd[j] |= vdit_meter_valid(meter->engine, r, j);
}

/* Puts the value of a packed key. */
static void put_key(void *meter, size_t key, double value)
{
    const column *state = ((vdit_meter *)meter)->state;
    const vdit_head *head = &((vdit_meter *)meter)->engine->head;

    vdit_meter_put(meter, MASS, 0, head->key_at[key] - state->first, value);
}

/* The estimate of one packed key from all workers. Returns: 1 if it could be rounded. */
static int settle_key(vdit_meter *meter, size_t key, double divisor)
{
    const column *state = meter->state;
    const vdit_meter_engine *engine = meter->engine;
    double nr = (double)engine->head.kernel->nr, panels = (double)engine->rows / nr + nr;
    double error = 0, value, rounded = 0;
    vdit_pair sum = {0, 0};

    for (int i = 0; i < engine->threads; i++) {
        vdit_pair part = {state->workers[i].high[key], state->workers[i].low[key]};
        sum = vdit_pair_add(sum, part);
        error = fmax(error, state->workers[i].error);
    }
    if (error >= 1)
        return 0;
    value = sum.high / divisor;
    error = (1.02 * error + UNIT * (nr + 8) + UNIT * UNIT * panels * panels) * value +
            (double)engine->rows * 0x1p-390;
    if (!(value + error < 0x1p-151) && !vdit_settle_simple(&rounded, VDIT_F32, value, error))
        return 0;
    put_key(meter, key, rounded);
    return 1;
}

/* Keys with a NaN in their column; others that stage 0 leaves open go to the list. */
static void settle_keys(vdit_meter *meter, vdit_open_keys *open)
{
    const column *state = meter->state;

    for (size_t j = state->first; j < state->end; j++)
        if (state->odd[j])
            vdit_meter_put(meter, MASS, 0, j - state->first, NAN);
    for (size_t key = state->packed; key < state->past; key++)
        if (!state->odd[meter->engine->head.key_at[key]] && !settle_key(meter, key, open->divisor))
            open->key[open->count++] = key;
}

static void end(vdit_meter *meter)
{
    const column *state = meter->state;
    vdit_meter_engine *engine = meter->engine;
    size_t queries = vdit_meter_queries(engine, state->queries);
    vdit_open_keys open = {.engine = engine,
                           .top = state->top,
                           .divisor = state->is_mean ? (double)queries : 1,
                           .put = put_key,
                           .state = meter};

    open.key = vdit_run_alloc(engine->run, engine->head.keys, sizeof *open.key);
    open.row = vdit_run_alloc(engine->run, engine->rows, sizeof *open.row);
    if (vdit_run_status(engine->run) != VDIT_OK)
        return;
    vdit_meter_put(meter, QUERIES, 0, 0, (double)queries);
    for (size_t j = state->first; j < state->end && queries == 0; j++)
        vdit_meter_put(meter, MASS, 0, j - state->first, state->is_mean ? NAN : 0);
    for (size_t r = 0; r < engine->rows; r++)
        if (counts(meter, r))
            open.row[open.rows++] = r;
    if (queries > 0) {
        settle_keys(meter, &open);
        vdit_open_keys_settle(&open);
    }
}

static const vdit_meter_output column_outputs[] = {
    {"mass", VDIT_F32, "BHK", "sum, or mean, of the key's entries over the queries"},
    {"queries", VDIT_I64, "BH", "how many queries there are"},
    {NULL, VDIT_F32, NULL, NULL}};

static const vdit_meter_option column_options[] = {
    {"queries", "all", "video, text or all: whose entries are added"},
    {"of", "sum", "sum or mean of the entries"},
    {NULL, NULL, NULL}};

const vdit_meter_kind vdit_meter_column = {.info = {"column", "the mass that each key receives",
                                                    "C28=option", 2, 0, column_options,
                                                    column_outputs},
                                           .open = open_column,
                                           .start = start,
                                           .begin = begin,
                                           .begin_block = begin_block,
                                           .tile = tile,
                                           .special = special,
                                           .end = end};

static const vdit_meter_output text_outputs[] = {
    {"mass", VDIT_F32, "BHT", "mean of the token's entries over the queries"},
    {"queries", VDIT_I64, "BH", "how many queries there are"},
    {NULL, VDIT_F32, NULL, NULL}};

static const vdit_meter_option text_options[] = {
    {"queries", "video", "video, text or all: whose mean is taken"}, {NULL, NULL, NULL}};

const vdit_meter_kind vdit_meter_text_tokens = {
    .info = {"text-tokens", "the mean mass on each text token", "C01=all+segments", 2,
             VDIT_METER_TEXT, text_options, text_outputs},
    .open = open_text,
    .start = start,
    .begin = begin,
    .begin_block = begin_block,
    .tile = tile,
    .special = special,
    .end = end};
