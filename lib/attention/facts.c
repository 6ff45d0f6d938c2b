/* facts.c - enclosures of the map's f32 roundings, from estimates and their bounds (doc/numerics.md, section 8). */
#include <math.h>
#include <string.h>
#include "attention/facts.h"
#include "base/parallel.h"

/* A wider enclosure could hold more than two f32 numbers. */
#define WIDE 0x1p-26

/* Blocks of rows per thread between two looks at the progress function. */
#define BLOCKS_AT_ONCE 8

static size_t query_count(const vdit_facts_scope *scope)
{
    return scope->call->q->shape[2];
}

static vdit_status new_worker(vdit_run *run, vdit_facts_worker *worker, const vdit_head *head)
{
    size_t nr = head->kernel->nr;

    vdit_walk_new(run, &worker->walk, head);
    worker->cell = vdit_run_alloc(run, VDIT_TILE * nr, sizeof *worker->cell);
    worker->exact = vdit_run_alloc(run, head->call->k->shape[2], sizeof *worker->exact);
    worker->inverse = vdit_run_alloc(run, nr, sizeof *worker->inverse);
    worker->error = vdit_run_alloc(run, nr, sizeof *worker->error);
    worker->slack = vdit_run_alloc(run, nr, sizeof *worker->slack);
    worker->from = vdit_run_alloc(run, nr, sizeof *worker->from);
    worker->to = vdit_run_alloc(run, nr, sizeof *worker->to);
    worker->wide = vdit_run_alloc(run, nr, 1);
    return vdit_run_status(run);
}

/* Reads the entries of call from now on. */
static void use_call(vdit_facts *facts, const vdit_attention *call)
{
    facts->v = *call->k;
    facts->v.shape[3] = 0;
    facts->call = *call;
    facts->call.v = &facts->v;
    facts->call.rows = NULL;
    facts->call.o = facts->call.lse = facts->call.map = facts->call.sigma = NULL;
    facts->call.report = NULL;
}

vdit_status vdit_facts_new(vdit_run *run, vdit_facts *facts, const vdit_facts_scope *scope,
                           int every)
{
    size_t threads = (size_t)vdit_run_threads(run), rows = query_count(scope);

    memset(facts, 0, sizeof *facts);
    facts->run = run;
    facts->scope = *scope;
    facts->loaded = scope->first + scope->count;
    facts->kept = every ? scope->count : 1;
    use_call(facts, scope->call);
    vdit_head_new(run, &facts->head, &facts->call);
    facts->top = vdit_run_alloc(run, facts->kept, rows * sizeof *facts->top);
    facts->sum = vdit_run_alloc(run, facts->kept, rows * sizeof *facts->sum);
    facts->error = vdit_run_alloc(run, facts->kept, rows * sizeof *facts->error);
    facts->known = vdit_run_alloc(run, facts->kept, rows);
    facts->workers = vdit_run_alloc(run, threads, sizeof *facts->workers);
    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    memset(facts->known, 0, facts->kept * rows);
    memset(facts->workers, 0, threads * sizeof *facts->workers);
    for (size_t i = 0; i < threads; i++) {
        facts->workers[i].id = i;
        if (new_worker(run, &facts->workers[i], &facts->head) != VDIT_OK)
            break;
    }
    return vdit_run_status(run);
}

double vdit_facts_bytes(const vdit_run *run, const vdit_facts_scope *scope, int every)
{
    double keys = (double)scope->call->k->shape[2], kept = every ? (double)scope->count : 1;
    vdit_attention call = *scope->call;
    vdit_tensor v = *call.k;

    v.shape[3] = 0;
    call.v = &v;
    return vdit_head_bytes(&call) + 25 * kept * (double)query_count(scope) +
           (double)vdit_run_threads(run) *
               (vdit_walk_bytes(&call) + 4 * keys +
                VDIT_KERNEL_NR_MAX * (4 * VDIT_TILE + 5 * sizeof(double) + 1.0));
}

/* Returns: how many packed keys lie before key j of the call. */
static size_t packed_before(const vdit_head *head, size_t j)
{
    size_t low = 0, high = head->keys;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (head->key_at[middle] < j)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void load_head(vdit_facts *facts, size_t head)
{
    const vdit_axis *axis = &facts->scope.layout.key;
    size_t H = facts->call.q->shape[1];

    if (facts->loaded == head)
        return;
    if (facts->kept == 1)
        memset(facts->known, 0, query_count(&facts->scope));
    if (facts->scope.heads != NULL) {
        use_call(facts, facts->scope.heads[head - facts->scope.first]);
        vdit_head_load(facts->run, &facts->head, 0, 0);
    } else {
        vdit_head_load(facts->run, &facts->head, head / H, head % H);
    }
    facts->loaded = head;
    facts->queries = facts->call.q->shape[2];
    if (facts->queries == facts->call.k->shape[2])
        facts->queries = vdit_key_length(&facts->call, facts->head.b);
    facts->video[0] = packed_before(&facts->head, axis->video_at);
    facts->video[1] = packed_before(&facts->head, axis->video_at + axis->video);
    facts->text[0] = packed_before(&facts->head, axis->text_at);
    facts->text[1] = packed_before(&facts->head, axis->text_at + axis->text);
}

/* Out: the packed keys from .. to - 1 whose entries row r has in the scope: one run, as text lies at one end. */
static void row_range(const vdit_facts *facts, size_t r, size_t *from, size_t *to)
{
    unsigned blocks = facts->scope.blocks == 0 ? 15 : facts->scope.blocks;
    unsigned kind = vdit_axis_kind(&facts->scope.layout.query, r);
    int video = (blocks & vdit_block_of(kind, VDIT_VIDEO)) != 0;
    int text = (blocks & vdit_block_of(kind, VDIT_TEXT)) != 0;

    video = video && r < facts->queries;
    text = text && r < facts->queries;
    *from = video && text ? 0 : video ? facts->video[0] : text ? facts->text[0] : 0;
    *to = video && text ? facts->head.keys : video ? facts->video[1] : text ? facts->text[1] : 0;
}

/* Makes the lanes of panel p ready. */
static void start_panel(const vdit_facts *facts, vdit_facts_worker *worker, size_t p)
{
    const vdit_walk *walk = &worker->walk;
    size_t nr = facts->head.kernel->nr, left = walk->stream.rows - p * nr;

    worker->p = p;
    worker->row = walk->stream.first + p * nr;
    worker->lanes = left < nr ? left : nr;
    for (size_t i = 0; i < nr; i++) {
        size_t lane = p * nr + i;
        double error;

        worker->from[i] = worker->to[i] = 0;
        worker->inverse[i] = worker->error[i] = 0;
        worker->slack[i] = 0;
        worker->wide[i] = 0;
        if (!vdit_walk_has(walk, lane))
            continue;
        row_range(facts, worker->row + i, &worker->from[i], &worker->to[i]);
        /* the quotient's two roundings, and what makes the ends lie strictly outside */
        error = 1.01 * (walk->error[lane] + 0x1p-50);
        worker->wide[i] = !(error < WIDE);
        if (worker->wide[i])
            continue;
        worker->inverse[i] = 1 / walk->stream.sum[lane];
        worker->error[i] = error;
        worker->slack[i] = (uint64_t)(error * 0x1p53) + 2;
    }
}

/*
 * The cell of an estimate x >= 0. Both ends of the enclosure lie strictly beyond the entry, so that halves
 * may go either way when they are rounded.
 */
static inline uint32_t cell_of(double x, double error, uint64_t slack)
{
    static const uint64_t bias = UINT64_C(896) << 23, base = UINT64_C(0x39e0000000000000);
    uint64_t low, high;

    if (x < 0x1p-125) { /* f32 numbers are the multiples of 2^-149, which is 2^-97's last bit */
        double below = x - x * error + 0x1p-97, above = x + x * error + 0x1p-97;

        memcpy(&low, &below, sizeof low);
        memcpy(&high, &above, sizeof high);
        low -= base;
        high -= base;
    } else { /* x (1 -+ error) is at most slack units of x's lowest bit away, or of half of it */
        uint64_t word;

        memcpy(&word, &x, sizeof word);
        word += UINT64_C(1) << 28;
        low = ((word - slack) >> 29) - bias;
        high = ((word + slack) >> 29) - bias;
    }
    return (uint32_t)(2 * low + (high - low));
}

/* Removes the cells of masked keys from tile t. */
static void remove_masked(vdit_facts_worker *worker, size_t count)
{
    const double *logit = worker->walk.logit;

    for (size_t e = 0; e < count; e++)
        if (logit[e] == -INFINITY)
            worker->cell[e] = VDIT_CELL_NONE;
}

/* Tile t of the panel: cells. */
static void read_tile(const vdit_facts *facts, vdit_facts_worker *worker, size_t t)
{
    size_t nr = facts->head.kernel->nr, keys = vdit_tile_keys(&facts->head, t);
    const double *s = worker->walk.stream.s;

    vdit_walk_tile(&worker->walk, worker->p, t);
    for (size_t j = 0; j < keys; j++)
        for (size_t i = 0; i < nr; i++)
            worker->cell[j * nr + i] =
                cell_of(s[j * nr + i] * worker->inverse[i], worker->error[i], worker->slack[i]);
    for (size_t i = 0; i < nr; i++) {
        size_t from = worker->from[i], to = worker->to[i], at = t * VDIT_TILE;

        if (!worker->wide[i] && from <= at && to >= at + keys)
            continue;
        for (size_t j = 0; j < keys; j++)
            if (worker->wide[i] || at + j < from || at + j >= to)
                worker->cell[j * nr + i] = VDIT_CELL_NONE;
    }
    if (facts->head.masked)
        remove_masked(worker, keys * nr);
}

void vdit_facts_row(vdit_facts_worker *worker, const vdit_facts *facts, size_t lane)
{
    const vdit_head *head = &facts->head;
    size_t r = worker->row + lane;

    for (size_t j = 0; j < head->keys; j++) {
        float entry;
        uint32_t code;

        worker->exact[j] = VDIT_CELL_NONE;
        if (j < worker->from[lane] || j >= worker->to[lane] ||
            vdit_head_mask(head, r, head->key_at[j]) == -INFINITY)
            continue;
        entry = (float)vdit_walk_entry(&worker->walk, worker->p * head->kernel->nr + lane, j);
        memcpy(&code, &entry, sizeof code);
        worker->exact[j] = 2 * code;
    }
}

/* Loads a block of rows, with its sums from memory if they are there. */
static void load_block(vdit_facts *facts, vdit_walk *walk, size_t first, size_t rows)
{
    size_t slot = facts->kept == 1 ? 0 : facts->loaded - facts->scope.first;
    size_t at = slot * query_count(&facts->scope) + first;

    if (facts->known[at] && facts->known[at + rows - 1]) {
        walk->loaded = 0;
        vdit_stream_load(&walk->stream, first, rows);
        memset(walk->stream.top, 0, walk->stream.panels * facts->head.kernel->nr * sizeof(double));
        memcpy(walk->stream.top, facts->top + at, rows * sizeof(double));
        memcpy(walk->stream.sum, facts->sum + at, rows * sizeof(double));
        memcpy(walk->error, facts->error + at, rows * sizeof(double));
        return;
    }
    vdit_walk_load(walk, first, rows, 0);
    memcpy(facts->top + at, walk->stream.top, rows * sizeof(double));
    memcpy(facts->sum + at, walk->stream.sum, rows * sizeof(double));
    memcpy(facts->error + at, walk->error, rows * sizeof(double));
    memset(facts->known + at, 1, rows);
}

typedef struct reading {
    vdit_facts *facts;
    const vdit_facts_reader *reader;
    size_t first, end, size; /* rows of this round, and of a block */
} reading;

static void read_block(void *state, size_t task, int worker_id)
{
    const reading *read = state;
    vdit_facts *facts = read->facts;
    vdit_facts_worker *worker = &facts->workers[worker_id];
    size_t first = read->first + task * read->size, left = read->end - first;

    load_block(facts, &worker->walk, first, left < read->size ? left : read->size);
    for (size_t p = 0; p < worker->walk.stream.panels; p++) {
        start_panel(facts, worker, p);
        for (size_t t = 0; t < facts->head.tiles; t++) {
            read_tile(facts, worker, t);
            read->reader->tile(read->reader->state, worker, t);
        }
        read->reader->done(read->reader->state, worker);
    }
}

vdit_status vdit_facts_read(vdit_facts *facts, size_t head, size_t first, size_t rows,
                            const vdit_facts_reader *reader)
{
    size_t nr = facts->head.kernel->nr, panels = (rows + nr - 1) / nr;
    size_t threads = (size_t)vdit_run_threads(facts->run), share = panels / (3 * threads) + 1;
    size_t size = nr * (share < VDIT_STREAM_PANELS ? share : VDIT_STREAM_PANELS);
    size_t round = size * BLOCKS_AT_ONCE * threads;

    load_head(facts, head);
    for (size_t done = 0; done < rows && vdit_run_status(facts->run) == VDIT_OK; done += round) {
        size_t now = rows - done < round ? rows - done : round;
        reading read = {facts, reader, first + done, first + done + now, size};

        vdit_parallel((int)threads, (now + size - 1) / size, read_block, &read);
        vdit_run_progress(facts->run, "order", (double)(done + now), (double)rows);
    }
    return vdit_run_status(facts->run);
}

uint64_t vdit_facts_asked(const vdit_facts *facts)
{
    size_t threads = (size_t)vdit_run_threads(facts->run);
    uint64_t asked = 0;

    for (size_t i = 0; i < threads; i++)
        asked += facts->workers[i].walk.asked;
    return asked;
}
