/*
 * meter_similarity.c - how alike the maps of two calls are, of the same masks and scale but other queries and keys: the cosine of
 * the two as vectors, and 1 - JS, JS the divergence of Jensen and Shannon of their rows in bits. Both maps are streamed at
 * once, a panel of rows at a time (doc/numerics.md, 7.8).
 */
#include <math.h>
#include <string.h>
#include "attention/meter.h"
#include "base/parallel.h"
#include "exact/elementary.h"

#define UNIT 0x1p-53

/* 1 - JS of a row is rounded to a multiple of this, because it may be 0. */
#define GRID_BITS 24

/* Entries below this add nothing that shows. */
#define VANISHES 0x1p-400

enum { ROW, SIMILARITY, COSINE };

/* Sums over a row: of a b, a a, b b, and 1 - JS. */
enum { DOT, OWN, OTHER, ALIKE, SUMS };

/* One of the two maps. */
typedef struct side {
    vdit_walk walk;
    double *entry; /* [nr][Nk] a panel's entries, by key of the call */
} side;

typedef struct worker {
    side own, other;
    double *q, *k; /* [d] scratch */
} worker;

typedef struct similarity {
    vdit_attention call; /* of one head of the other map, without values */
    vdit_tensor q, k, v;
    vdit_head head;
    worker *workers;
    float *fact[SUMS];          /* [R] */
    unsigned char *nan, *empty; /* [R] 1 where either row is */
} similarity;

static void check_other(vdit_meter *meter, const char *name, const vdit_tensor *t,
                        const vdit_tensor *own)
{
    char has[128], wants[128];
    vdit_run *run = meter->engine->run;
    int fits;

    if (t == NULL) {
        vdit_run_fail(run, VDIT_ERR_ARGUMENT,
                      "meter %s: it needs the %s of the call to compare with",
                      meter->kind->info.name, name);
        return;
    }
    fits = t->rank == 4 && (t->dtype == VDIT_F32 || t->dtype == VDIT_BF16 || t->dtype == VDIT_F16);
    for (int i = 0; fits && i < 4; i++)
        fits = t->shape[i] == own->shape[i];
    if (!fits)
        vdit_run_fail(run, VDIT_ERR_SHAPE, "meter %s: the other %s are %s %s, expected floats %s",
                      meter->kind->info.name, name, vdit_dtype_name(t->dtype),
                      vdit_tensor_shape_text(has, sizeof has, t),
                      vdit_tensor_shape_text(wants, sizeof wants, own));
}

static void open(vdit_meter *meter)
{
    const vdit_meter_engine *engine = meter->engine;
    similarity *state = vdit_run_alloc(engine->run, 1, sizeof *state);

    check_other(meter, "queries", engine->other_q, engine->call->q);
    check_other(meter, "keys", engine->other_k, engine->call->k);
    if (state == NULL)
        return;
    memset(state, 0, sizeof *state);
    meter->state = state;
}

static void new_side(vdit_run *run, side *made, const vdit_head *head, size_t keys)
{
    vdit_walk_new(run, &made->walk, head);
    made->entry = vdit_run_alloc(run, keys, head->kernel->nr * sizeof(double));
}

/* Returns: head (b, h) of a tensor [B,H,N,d], as [1,1,N,d]. */
static vdit_tensor cut(const vdit_tensor *t, size_t b, size_t h)
{
    vdit_tensor part = *t;
    size_t index[4] = {b, h, 0, 0};

    part.data = vdit_tensor_at(t, index);
    part.shape[0] = part.shape[1] = 1;
    return part;
}

/* The other call: the head's own with other queries and keys. */
static void set_call(vdit_meter *meter, size_t b, size_t h)
{
    const vdit_meter_engine *engine = meter->engine;
    similarity *state = meter->state;

    state->q = cut(engine->other_q, b, h);
    state->k = state->v = cut(engine->other_k, b, h);
    state->v.shape[3] = 0;
    state->call = engine->one.call;
    state->call.q = &state->q;
    state->call.k = &state->k;
    state->call.v = &state->v;
}

static void start(vdit_meter *meter)
{
    const vdit_meter_engine *engine = meter->engine;
    vdit_run *run = engine->run;
    similarity *state = meter->state;
    size_t keys = meter->extent['K' - 'A'], d = engine->call->q->shape[3];

    set_call(meter, 0, 0);
    vdit_head_new(run, &state->head, &state->call);
    for (int i = 0; i < SUMS; i++)
        state->fact[i] = vdit_run_alloc(run, engine->rows, sizeof(float));
    state->nan = vdit_run_alloc(run, engine->rows, 1);
    state->empty = vdit_run_alloc(run, engine->rows, 1);
    state->workers = vdit_run_alloc(run, (size_t)engine->threads, sizeof *state->workers);
    for (int i = 0; i < engine->threads && vdit_run_status(run) == VDIT_OK; i++) {
        new_side(run, &state->workers[i].own, &engine->head, keys);
        new_side(run, &state->workers[i].other, &state->head, keys);
        state->workers[i].q = vdit_run_alloc(run, d, sizeof(double));
        state->workers[i].k = vdit_run_alloc(run, d, sizeof(double));
    }
}

/* The entries of rows first .. first + rows - 1, at most a panel; 0 where there is none. */
static void read_panel(side *of, size_t first, size_t rows, size_t Nk)
{
    const vdit_head *head = of->walk.head;
    size_t nr = head->kernel->nr;

    memset(of->entry, 0, rows * Nk * sizeof(double));
    vdit_walk_load(&of->walk, first, rows, 0);
    for (size_t t = 0; t < head->tiles; t++) {
        vdit_walk_tile(&of->walk, 0, t);
        for (size_t l = 0; l < rows; l++)
            for (size_t j = 0; vdit_walk_has(&of->walk, l) && j < vdit_tile_keys(head, t); j++)
                of->entry[l * Nk + head->key_at[t * VDIT_TILE + j]] =
                    of->walk.stream.s[j * nr + l] / of->walk.stream.sum[l];
    }
}

/* a ln(2 a / (a + b)) */
static double relative_entropy(double a, double b)
{
    return a < VANISHES ? 0 : a * vdit_log_estimate(2 * a / (a + b));
}

/* Out: the sums of a row. They are formed in chunks, so that few roundings meet each term. */
static void add_up(double sums[SUMS], const double *a, const double *b, size_t n)
{
    memset(sums, 0, SUMS * sizeof *sums);
    for (size_t from = 0; from < n; from += VDIT_TILE) {
        size_t end = from + VDIT_TILE < n ? from + VDIT_TILE : n;
        double part[SUMS] = {0};

        for (size_t j = from; j < end; j++) {
            part[DOT] += a[j] * b[j];
            part[OWN] += a[j] * a[j];
            part[OTHER] += b[j] * b[j];
            part[ALIKE] += relative_entropy(a[j], b[j]) + relative_entropy(b[j], a[j]);
        }
        for (int i = 0; i < SUMS; i++)
            sums[i] += part[i];
    }
    sums[ALIKE] = 1 - sums[ALIKE] / (2 * 0x1.62e42fefa39efp-1);
}

/* Out: facts of a row from its sums, whose terms err relatively by errors a and b. Returns: 1 if all are known. */
static int settle(double fact[SUMS], const double sums[SUMS], double a, double b, size_t n)
{
    double own = UNIT * (2 * VDIT_TILE + (double)n / VDIT_TILE + 8), low, high;
    double alike = 1.1 * (a + b + 4 * own + 0x1p-48);
    const double relative[3] = {a + b, 2 * a, 2 * b};

    if (!(a < 0x1p-10) || !(b < 0x1p-10))
        return 0;
    for (int i = 0; i < 3; i++)
        if (!vdit_meter_fact(&fact[i], VDIT_F32, sums[i],
                             1.02 * (relative[i] + own) * sums[i] + (double)n * 0x1p-390))
            return 0;
    low = floor((sums[ALIKE] - alike) * (1 << GRID_BITS) + 0.5);
    high = floor((sums[ALIKE] + alike) * (1 << GRID_BITS) + 0.5);
    fact[ALIKE] = (low < 0 ? 0 : low) / (1 << GRID_BITS);
    return low == high || high <= 0;
}

/* Out: value = a ln(2 a / (a + b)) added. */
static void add_relative_entropy(vdit_mp *sum, const vdit_mp *a, const vdit_mp *b)
{
    vdit_mp ratio;

    if (a->sign == 0)
        return;
    vdit_mp_add(&ratio, a, b);
    vdit_mp_div(&ratio, a, &ratio);
    vdit_mp_scale(&ratio, &ratio, 1);
    vdit_mp_log(&ratio, &ratio);
    vdit_mp_mul(&ratio, &ratio, a);
    vdit_mp_add(sum, sum, &ratio);
}

/* The entry of the next packed key, if that is key `key` of the call; else 0. */
static vdit_mp next_entry(const vdit_last *last, size_t *at, size_t key)
{
    vdit_mp entry = {0, 0, {0}};

    if (*at < last->head->keys && last->head->key_at[*at] == key) {
        if (last->p[*at].sign != 0)
            vdit_mp_div(&entry, &last->p[*at], &last->sum);
        ++*at;
    }
    return entry;
}

/* Out: facts of a row that has entries on both sides, in multi-precision. */
static void settle_exactly(double fact[SUMS], worker *own, size_t r, size_t Nk)
{
    vdit_last *last[2] = {&own->own.walk.last, &own->other.walk.last};
    size_t at[2] = {0, 0};
    vdit_mp sums[SUMS], a, b, term;

    for (int i = 0; i < SUMS; i++)
        vdit_mp_from_f64(&sums[i], 0);
    vdit_last_load(last[0], r);
    vdit_last_load(last[1], r);
    for (size_t key = 0; key < Nk; key++) {
        a = next_entry(last[0], &at[0], key);
        b = next_entry(last[1], &at[1], key);
        vdit_mp_mul(&term, &a, &b);
        vdit_mp_add(&sums[DOT], &sums[DOT], &term);
        vdit_mp_mul(&term, &a, &a);
        vdit_mp_add(&sums[OWN], &sums[OWN], &term);
        vdit_mp_mul(&term, &b, &b);
        vdit_mp_add(&sums[OTHER], &sums[OTHER], &term);
        add_relative_entropy(&sums[ALIKE], &a, &b);
        add_relative_entropy(&sums[ALIKE], &b, &a);
    }
    for (int i = 0; i < 3; i++) {
        vdit_snap_to(&sums[i], &sums[i]);
        fact[i] = vdit_mp_round(&sums[i], VDIT_F32);
    }
    vdit_mp_from_f64(&term, 2);
    vdit_mp_log(&term, &term);
    vdit_mp_scale(&term, &term, 1);
    vdit_mp_div(&sums[ALIKE], &sums[ALIKE], &term);
    vdit_mp_from_f64(&term, 1);
    vdit_mp_sub(&term, &term, &sums[ALIKE]);
    vdit_mp_snap(&term, -90);
    vdit_mp_snap(&term, -GRID_BITS);
    fact[ALIKE] = term.sign > 0 ? vdit_mp_round(&term, VDIT_F32) : 0;
}

/* Returns: 0 for a row with entries, 1 for one of NaN, 2 for an empty one. */
static int odd_row(const vdit_walk *walk, worker *own, size_t lane)
{
    vdit_row_kind kind = vdit_special_kind(walk->head, walk->stream.first + lane, own->q, own->k);

    if (kind == VDIT_ROW_NAN || kind == VDIT_ROW_INFINITE)
        return 1;
    return kind == VDIT_ROW_EMPTY || !vdit_walk_has(walk, lane) ? 2 : 0;
}

static void run_panel(void *state, size_t task, int id)
{
    vdit_meter *meter = state;
    similarity *s = meter->state;
    worker *own = &s->workers[id];
    size_t nr = s->head.kernel->nr, Nk = meter->extent['K' - 'A'], first = task * nr;
    size_t left = meter->engine->rows - first, rows = left < nr ? left : nr;

    read_panel(&own->own, first, rows, Nk);
    read_panel(&own->other, first, rows, Nk);
    for (size_t l = 0; l < rows; l++) {
        int odd = odd_row(&own->own.walk, own, l), other = odd_row(&own->other.walk, own, l);
        double sums[SUMS], fact[SUMS] = {0};

        s->nan[first + l] = odd == 1 || other == 1;
        s->empty[first + l] = !s->nan[first + l] && odd + other > 0;
        if (odd + other == 0) {
            add_up(sums, own->own.entry + l * Nk, own->other.entry + l * Nk, Nk);
            if (!settle(fact, sums, own->own.walk.error[l], own->other.walk.error[l], Nk))
                settle_exactly(fact, own, first + l, Nk);
        }
        for (int i = 0; i < SUMS; i++)
            s->fact[i][first + l] = (float)fact[i];
    }
}

/* The head's cosine: sum a b / sqrt(sum a a sum b b) over the facts of the rows that count, rounded once. */
static double cosine(const vdit_meter *meter)
{
    const similarity *s = meter->state;
    vdit_acc sum[3];
    vdit_mp value, divisor;
    int odd = 0;

    for (int i = 0; i < 3; i++)
        vdit_acc_zero(&sum[i]);
    for (size_t r = 0; r < meter->engine->rows; r++) {
        if (meter->engine->query_class[r] == 0)
            continue;
        odd |= s->nan[r];
        for (int i = 0; i < 3; i++) /* 0 for an empty row */
            vdit_acc_add(&sum[i], (double)s->fact[i][r]);
    }
    if (odd || vdit_acc_sign(&sum[OWN]) == 0 || vdit_acc_sign(&sum[OTHER]) == 0)
        return NAN;
    if (vdit_acc_sign(&sum[DOT]) == 0)
        return 0;
    vdit_mp_from_acc(&value, &sum[DOT]);
    vdit_mp_mul(&value, &value, &value);
    vdit_mp_from_acc(&divisor, &sum[OWN]);
    vdit_mp_div(&value, &value, &divisor);
    vdit_mp_from_acc(&divisor, &sum[OTHER]);
    vdit_mp_div(&value, &value, &divisor);
    vdit_snap_to(&value, &value);
    return vdit_meter_root(&value);
}

static void end(vdit_meter *meter)
{
    const vdit_meter_engine *engine = meter->engine;
    similarity *s = meter->state;
    size_t nr = s->head.kernel->nr;

    set_call(meter, engine->b, engine->h);
    vdit_head_load(engine->run, &s->head, 0, 0);
    vdit_parallel(engine->threads, (engine->rows + nr - 1) / nr, run_panel, meter);
    for (size_t r = 0; r < engine->rows; r++)
        vdit_meter_put(meter, ROW, r, 0,
                       s->nan[r] || s->empty[r] ? NAN : (double)s->fact[ALIKE][r]);
    vdit_meter_put(meter, SIMILARITY, 0, 0, vdit_meter_mean(meter, ROW, VDIT_ANY, s->empty, NULL));
    vdit_meter_put(meter, COSINE, 0, 0, cosine(meter));
}

static const vdit_meter_output outputs[] = {
    {"row", VDIT_F32, "BHR", "1 - JS of the two rows, a multiple of 2^-24; NaN if one is empty"},
    {"js", VDIT_F32, "BH", "mean of row over the queries"},
    {"cosine", VDIT_F32, "BH", "of the two maps as vectors"},
    {NULL, VDIT_F32, NULL, NULL}};

const vdit_meter_kind vdit_meter_similarity = {
    .info = {"similarity", "of the map and that of other queries and keys", "C01=all", 3, 0, NULL,
             outputs},
    .open = open,
    .start = start,
    .end = end};
