/*
 * meter_top.c - the largest entries of a row, exactly: which keys, ties to the lower index; the entries, rounded
 * once to f32; and the margins, the differences of their logits, exact and rounded once to f32.
 *
 * A block keeps the largest computed logits of each lane, some more than are wanted. If the smallest one kept
 * lies below the wanted ones by more than the error of two logits, the right keys are among those kept, and
 * exact logits put them in order. Otherwise the row is open, and all of its logits are computed exactly.
 */
#include <math.h>
#include <string.h>
#include "attention/meter.h"

#define LN_2  0x1.62e42fefa39efp-1
#define UNIT  0x1p-53
#define SPARE 8  /* kept beyond the wanted ones */
#define MOST  64 /* entries that can be asked for */
#define SLOTS (MOST + 1 + SPARE)

/* One candidate. */
typedef struct candidate {
    double logit, weight; /* computed: in units of log 2; as in the walk's tile */
    size_t j;             /* packed key */
} candidate;

/* Per worker. */
typedef struct scratch {
    candidate *kept; /* [lanes][slots], falling; a logit of -inf: none */
    double *least;   /* [lanes] the last one's logit, or +inf where nothing is wanted */
    vdit_acc *exact; /* [slots] */
} scratch;

typedef struct top {
    size_t k, wanted, slots; /* entries; those and the next one if margins are; kept */
    size_t every;
    scratch *workers;
} top;

/* The outputs of topk; max has the first two. */
enum { KEY, ENTRY, MARGIN, WHICH };

static void open_top(vdit_meter *meter, size_t k, size_t wanted, size_t every)
{
    top *state = vdit_run_alloc(meter->engine->run, 1, sizeof *state);

    if (state == NULL)
        return;
    meter->state = state;
    state->k = k;
    state->wanted = wanted;
    state->slots = wanted + SPARE;
    state->every = every;
}

static void open_max(vdit_meter *meter)
{
    open_top(meter, 1, 1, 1);
}

static void open_topk(vdit_meter *meter)
{
    size_t k = vdit_meter_size(meter, 0, 1, MOST);
    size_t every = vdit_meter_size(meter, 1, 1, SIZE_MAX / 2);

    open_top(meter, k, k + 1, every);
    meter->extent['N' - 'A'] = k;
    meter->extent['S' - 'A'] = (meter->engine->rows + every - 1) / every;
}

static void start(vdit_meter *meter)
{
    vdit_run *run = meter->engine->run;
    top *state = meter->state;
    size_t lanes = VDIT_STREAM_PANELS * meter->engine->head.kernel->nr;

    state->workers = vdit_run_alloc(run, (size_t)meter->engine->threads, sizeof *state->workers);
    for (int i = 0; i < meter->engine->threads && vdit_run_status(run) == VDIT_OK; i++) {
        scratch *own = &state->workers[i];
        own->kept = vdit_run_alloc(run, lanes * state->slots, sizeof *own->kept);
        own->least = vdit_run_alloc(run, lanes, sizeof *own->least);
        own->exact = vdit_run_alloc(run, state->slots, sizeof *own->exact);
    }
}

static void begin_block(vdit_meter *meter, vdit_walk *walk, int worker)
{
    top *state = meter->state;
    scratch *own = &state->workers[worker];

    for (size_t lane = 0; lane < walk->stream.panels * walk->head->kernel->nr; lane++) {
        int wanted = vdit_meter_has(meter->engine, walk, lane) &&
                     (walk->stream.first + lane) % state->every == 0;

        own->least[lane] = wanted ? -INFINITY : INFINITY;
        for (size_t i = 0; i < state->slots; i++)
            own->kept[lane * state->slots + i] = (candidate){-INFINITY, 0, 0};
    }
}

/* Puts a candidate behind those that are not smaller. */
static void insert(candidate *kept, size_t slots, candidate new)
{
    size_t i = slots - 1;

    for (; i > 0 && kept[i - 1].logit < new.logit; i--)
        kept[i] = kept[i - 1];
    kept[i] = new;
}

static void tile(vdit_meter *meter, vdit_walk *walk, size_t p, size_t t, int worker)
{
    top *state = meter->state;
    scratch *own = &state->workers[worker];
    size_t nr = walk->head->kernel->nr, keys = vdit_tile_keys(walk->head, t);
    double *least = own->least + p * nr;

    for (size_t j = 0; j < keys; j++) {
        const double *logit = walk->logit + j * nr;
        int any = 0;

        for (size_t l = 0; l < nr; l++)
            any |= logit[l] > least[l];
        for (size_t l = 0; any && l < nr; l++)
            if (logit[l] > least[l]) {
                candidate *kept = own->kept + (p * nr + l) * state->slots;
                candidate new = {logit[l], walk->stream.s[j * nr + l], t * VDIT_TILE + j};

                insert(kept, state->slots, new);
                least[l] = kept[state->slots - 1].logit;
            }
    }
}

/* Returns: a bound of the error of a computed logit of this size, in units of log 2 (doc/numerics.md, 7.4). */
static double logit_error(const vdit_walk *walk, size_t lane, double size)
{
    vdit_row_bound bound;

    vdit_stream_bound(&bound, &walk->stream, lane);
    return 1.02 * bound.logit * walk->head->key_norm_max / LN_2 +
           (walk->head->masked ? 4 * UNIT * fabs(size) : 0);
}

/* Where element i of row r lies in an output of the row, or of the sampled rows. */
static size_t element(const vdit_meter *meter, size_t n, size_t r, size_t i)
{
    const top *state = meter->state;

    return meter->kind->info.outputs[n].shape[2] == 'R' ? 0 : r / state->every * state->k + i;
}

static void put(vdit_meter *meter, size_t n, size_t r, size_t i, double value)
{
    vdit_meter_put(meter, n, r, element(meter, n, r, i), value);
}

/* Exact differences of logits: the margins of the first k candidates, in their right order. */
static void put_margins(vdit_meter *meter, size_t r, const vdit_acc *exact, size_t count)
{
    const top *state = meter->state;

    for (size_t i = 0; i < state->k && state->wanted > state->k; i++) {
        vdit_acc margin;

        if (i + 1 < count) {
            margin = exact[i];
            vdit_acc_sub(&margin, &exact[i + 1]);
        }
        put(meter, MARGIN, r, i, i + 1 < count ? vdit_acc_round(&margin, VDIT_F32) : NAN);
    }
}

/* What there is of fewer keys than were asked for. */
static void put_missing(vdit_meter *meter, size_t r, size_t from, double entry)
{
    const top *state = meter->state;

    for (size_t i = from; i < state->k; i++) {
        put(meter, KEY, r, i, -1);
        put(meter, ENTRY, r, i, entry);
        if (state->wanted > state->k)
            put(meter, MARGIN, r, i, NAN);
    }
}

/* Returns: 1 if a comes before b, by exact logits, then by index. */
static int comes_before(const vdit_acc *a, size_t a_j, const vdit_acc *b, size_t b_j)
{
    vdit_acc difference = *a;
    int sign;

    vdit_acc_sub(&difference, b);
    sign = vdit_acc_sign(&difference);
    return sign > 0 || (sign == 0 && a_j < b_j);
}

/* Puts a key with its exact logit into order[count], of at most slots. Returns: the new count. */
static size_t insert_exact(size_t *order, vdit_acc *exact, size_t count, size_t slots, size_t j,
                           const vdit_acc *logit)
{
    size_t i = count;

    while (i > 0 && comes_before(logit, j, &exact[i - 1], order[i - 1]))
        i--;
    if (i >= slots)
        return count;
    count = count < slots ? count + 1 : slots;
    memmove(order + i + 1, order + i, (count - 1 - i) * sizeof *order);
    memmove(exact + i + 1, exact + i, (count - 1 - i) * sizeof *exact);
    order[i] = j;
    exact[i] = *logit;
    return count;
}

/* The entry of a key from its computed weight, or the row is opened. */
static void settle_entry(vdit_meter *meter, const vdit_walk *walk, size_t lane, size_t i,
                         double weight)
{
    size_t r = walk->stream.first + lane;
    double value = weight / walk->stream.sum[lane];
    double error = (walk->error[lane] + 0x1p-50) * value + 0x1p-390;

    vdit_meter_settle(meter, ENTRY, r, element(meter, ENTRY, r, i), value,
                      walk->error[lane] < 1 ? error : INFINITY);
}

/* The candidates of one lane in exact order. Returns: how many; SIZE_MAX if they need not hold the right ones. */
static size_t sort_lane(const top *state, vdit_walk *walk, size_t lane, scratch *own, size_t *order)
{
    const candidate *kept = own->kept + lane * state->slots;
    size_t count = 0, last;
    double slack;

    while (count < state->slots && kept[count].logit > -INFINITY)
        count++;
    if (count == 0)
        return 0;
    last = (count < state->wanted ? count : state->wanted) - 1;
    slack = logit_error(walk, lane, fmax(fabs(kept[0].logit), fabs(kept[count - 1].logit)));
    if (count == state->slots && slack > 0 &&
        !(kept[count - 1].logit < kept[last].logit - 2.01 * slack))
        return SIZE_MAX;
    walk->loaded = 0;
    vdit_last_aim(&walk->last, walk->stream.first + lane);
    last = 0;
    for (size_t i = 0; i < count; i++) {
        vdit_acc logit;

        vdit_last_logit(&logit, &walk->last, kept[i].j);
        last = insert_exact(order, own->exact, last, state->slots, kept[i].j, &logit);
    }
    return last;
}

static void finish_lane(vdit_meter *meter, vdit_walk *walk, size_t lane, scratch *own)
{
    const top *state = meter->state;
    const candidate *kept = own->kept + lane * state->slots;
    size_t r = walk->stream.first + lane, order[SLOTS];
    size_t count = sort_lane(state, walk, lane, own, order);

    if (count == SIZE_MAX) {
        meter->open[r] = 1;
        return;
    }
    for (size_t i = 0; i < state->k && i < count; i++) {
        size_t at = 0;

        while (kept[at].j != order[i])
            at++;
        put(meter, KEY, r, i, (double)walk->head->key_at[order[i]]);
        settle_entry(meter, walk, lane, i, kept[at].weight);
    }
    put_margins(meter, r, own->exact, count);
    put_missing(meter, r, count, 0);
}

static void end_block(vdit_meter *meter, vdit_walk *walk, int worker)
{
    const top *state = meter->state;

    for (size_t lane = 0; lane < walk->stream.rows; lane++)
        if (vdit_meter_has(meter->engine, walk, lane) &&
            (walk->stream.first + lane) % state->every == 0)
            finish_lane(meter, walk, lane, &state->workers[worker]);
}

static void exact(vdit_meter *meter, vdit_last *last)
{
    const top *state = meter->state;
    size_t order[SLOTS], count = 0;
    vdit_acc exact_logits[SLOTS], logit;

    for (size_t j = 0; j < last->head->keys; j++)
        if (vdit_last_logit(&logit, last, j))
            count = insert_exact(order, exact_logits, count, state->wanted, j, &logit);
    for (size_t i = 0; i < state->k && i < count; i++) {
        put(meter, KEY, last->r, i, (double)last->head->key_at[order[i]]);
        put(meter, ENTRY, last->r, i, vdit_last_entry(last, order[i]));
    }
    put_margins(meter, last->r, exact_logits, count);
    put_missing(meter, last->r, count, 0);
}

static void special(vdit_meter *meter, size_t r, vdit_row_kind kind)
{
    if (r % ((const top *)meter->state)->every == 0)
        put_missing(meter, r, 0, kind == VDIT_ROW_EMPTY ? 0 : NAN);
}

static void end_topk(vdit_meter *meter)
{
    const top *state = meter->state;
    int64_t *which = meter->out[WHICH].data;

    for (size_t i = 0; i < meter->extent['S' - 'A']; i++)
        which[i] = (int64_t)vdit_query_at(meter->engine->call, i * state->every);
}

static const vdit_meter_output max_outputs[] = {
    {"key", VDIT_I64, "BHR", "key of the largest logit, of equal ones the first; -1 without any"},
    {"entry", VDIT_F32, "BHR", "its map entry"},
    {NULL, VDIT_F32, NULL, NULL}};

const vdit_meter_kind vdit_meter_max = {
    .info = {"max", "the largest entry of each row, and its key", "", 2, 0, NULL, max_outputs},
    .open = open_max,
    .start = start,
    .begin_block = begin_block,
    .tile = tile,
    .end_block = end_block,
    .exact = exact,
    .special = special};

static const vdit_meter_output topk_outputs[] = {
    {"key", VDIT_I64, "BHSN",
     "keys of the largest logits, falling; equal ones by index; -1 past the last"},
    {"entry", VDIT_F32, "BHSN", "their map entries"},
    {"margin", VDIT_F32, "BHSN",
     "logit of this key less that of the next, nats; NaN without a next"},
    {"which", VDIT_I64, "S", "query indices of the sampled rows"},
    {NULL, VDIT_F32, NULL, NULL}};

static const vdit_meter_option topk_options[] = {{"k", "8", "entries of a row, at most 64"},
                                                 {"every", "64", "one row of the call in so many"},
                                                 {NULL, NULL, NULL}};

const vdit_meter_kind vdit_meter_topk = {
    .info = {"topk", "the largest entries of sampled rows, with margins", "", 2, 0, topk_options,
             topk_outputs},
    .open = open_topk,
    .start = start,
    .begin_block = begin_block,
    .tile = tile,
    .end_block = end_block,
    .exact = exact,
    .special = special,
    .end = end_topk};
