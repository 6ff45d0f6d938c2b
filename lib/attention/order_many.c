/*
 * order_many.c - radix selection by two histograms: over the upper 16 bits of the facts, then over the lower 16
 * in the few buckets that hold a wanted place (doc/numerics.md, section 8).
 *
 * Histograms count the lower ends of the enclosures, and apart how many of each are open. The fact at a
 * place lies between the lower end and the upper end at that place; only where those differ is anything computed
 * in multi-precision.
 */
#include <string.h>
#include "attention/order_many.h"

#define BUCKETS ((size_t)1 << 15) /* a cell has 32 bits, 17 of them below the bucket */
#define CELLS   ((size_t)1 << 17) /* of a bucket */

/* What histograms are filled with: cells, by a function for one. */
typedef struct filling {
    vdit_order_many *many;
    void (*add)(struct filling *filling, uint64_t *count, uint32_t cell);
    uint64_t *count; /* [threads][size] */
    size_t size;
    uint16_t *slot; /* fine: [BUCKETS] 1 + the place of the bucket's histogram, 0: none */
} filling;

/* count[b]: lower ends in bucket b; count[BUCKETS + b]: those of them whose upper end is in the next one. */
static void add_coarse(filling *fill, uint64_t *count, uint32_t cell)
{
    (void)fill;
    count[cell >> 17]++;
    if ((cell & (CELLS - 1)) == CELLS - 1)
        count[BUCKETS + (cell >> 17)]++;
}

static void add_fine(filling *fill, uint64_t *count, uint32_t cell)
{
    size_t slot = fill->slot[cell >> 17];

    if (slot != 0)
        count[(slot - 1) * CELLS + (cell & (CELLS - 1))]++;
}

static void fill_tile(void *state, const vdit_facts_worker *worker, size_t t)
{
    filling *fill = state;
    const vdit_head *head = &fill->many->facts.head;
    size_t count = vdit_tile_keys(head, t) * head->kernel->nr;
    uint64_t *to = fill->count + worker->id * fill->size;

    if (fill->slot == NULL)
        for (size_t e = 0; e < count; e++)
            add_coarse(fill, to, worker->cell[e]);
    else
        for (size_t e = 0; e < count; e++)
            add_fine(fill, to, worker->cell[e]);
}

static void fill_wide(void *state, vdit_facts_worker *worker)
{
    filling *fill = state;
    const vdit_facts *facts = &fill->many->facts;
    uint64_t *to = fill->count + worker->id * fill->size;

    for (size_t lane = 0; lane < worker->lanes; lane++) {
        if (!worker->wide[lane])
            continue;
        vdit_facts_row(worker, facts, lane);
        for (size_t j = 0; j < facts->head.keys; j++)
            fill->add(fill, to, worker->exact[j]);
    }
}

static vdit_status read_part(vdit_order_many *many, const vdit_order_part *part,
                             const vdit_facts_reader *reader)
{
    for (size_t head = part->first; head < part->end; head++)
        vdit_facts_read(&many->facts, head, part->row, part->rows, reader);
    return vdit_run_status(many->run);
}

/* Reads the part into histograms [threads][size], and adds them up in the first. */
static vdit_status fill(filling *fill, const vdit_order_part *part)
{
    vdit_facts_reader reader = {fill_tile, fill_wide, fill};
    size_t threads = (size_t)vdit_run_threads(fill->many->run);

    memset(fill->count, 0, threads * fill->size * sizeof *fill->count);
    read_part(fill->many, part, &reader);
    for (size_t i = 1; i < threads; i++)
        for (size_t n = 0; n < fill->size; n++)
            fill->count[n] += fill->count[i * fill->size + n];
    return vdit_run_status(fill->many->run);
}

vdit_status vdit_order_many_new(vdit_run *run, vdit_order_many *many, const vdit_order *order)
{
    memset(many, 0, sizeof *many);
    many->run = run;
    vdit_facts_new(run, &many->facts, &order->facts, order->scope == VDIT_SCOPE_GLOBAL);
    many->coarse =
        vdit_run_alloc(run, (size_t)vdit_run_threads(run) * 2 * BUCKETS, sizeof *many->coarse);
    return vdit_run_status(run);
}

double vdit_order_many_bytes(const vdit_run *run, const vdit_order *order, size_t n)
{
    double threads = (double)vdit_run_threads(run), fine = 2.0 * (double)n * CELLS;

    return vdit_facts_bytes(run, &order->facts, order->scope == VDIT_SCOPE_GLOBAL) +
           8 * threads * (2.0 * BUCKETS + fine) + 4.0 * BUCKETS;
}

vdit_status vdit_order_survey(vdit_order_many *many, const vdit_order_part *part, uint64_t *M)
{
    filling coarse = {many, add_coarse, many->coarse, 2 * BUCKETS, NULL};

    *M = 0;
    fill(&coarse, part);
    for (size_t b = 0; b < VDIT_CELL_NONE >> 17; b++) /* the last one holds what is no entry */
        *M += many->coarse[b];
    return vdit_run_status(many->run);
}

/* A bucket that holds a place, and how many ends lie below the bucket. */
typedef struct bucket {
    size_t b;
    uint64_t before;
} bucket;

/* How many entries have their upper end at the beginning of bucket b and their lower end before it. */
static uint64_t carried(const uint64_t *coarse, size_t b)
{
    return b > 0 ? coarse[BUCKETS + b - 1] : 0;
}

/* The bucket of the lower (upper = 0) or the upper end at a place. */
static bucket find_bucket(const uint64_t *coarse, uint64_t place, int upper)
{
    bucket found = {0, 0};

    for (;; found.b++) {
        uint64_t inside = coarse[found.b];

        if (upper)
            inside += carried(coarse, found.b) - coarse[BUCKETS + found.b];
        if (place - found.before < inside)
            return found;
        found.before += inside;
    }
}

/* The code of the lower or the upper end at a place, given its bucket's histogram. */
static uint32_t find_code(const uint64_t *coarse, const uint64_t *fine, const bucket *in,
                          uint64_t place, int upper)
{
    uint64_t left = place - in->before;

    for (uint32_t c = 0;; c++) {
        uint64_t inside = fine[2 * c] + fine[2 * c + 1];

        if (upper)
            inside = fine[2 * c] + (c > 0 ? fine[2 * c - 1] : carried(coarse, in->b));
        if (left < inside)
            return (uint32_t)in->b << 16 | c;
        left -= inside;
    }
}

/* One of the two ends at a place: its bucket, then its code. */
typedef struct end_of_place {
    bucket in;
    uint32_t code;
} end_of_place;

/* Out: slot[BUCKETS]. Returns: how many buckets have one. */
static size_t give_slots(uint16_t *slot, const end_of_place *ends, size_t n)
{
    size_t slots = 0;

    memset(slot, 0, BUCKETS * sizeof *slot);
    for (size_t i = 0; i < n; i++)
        if (slot[ends[i].in.b] == 0)
            slot[ends[i].in.b] = (uint16_t)++slots;
    return slots;
}

/* What a counting pass gathers, per worker. */
typedef struct tally {
    uint64_t total[2];
    uint64_t *below;      /* [2][nr] of the panel: entries below either edge */
    unsigned char *doubt; /* [nr] 1 if an enclosure straddles an edge */
} tally;

typedef struct counting {
    vdit_order_many *many;
    const vdit_order_part *part;
    int64_t edge[2]; /* the cell that is open at the edge: code - 1 or code; below -1 nothing */
    const vdit_order_counts *rows; /* NULL: totals alone */
    tally *tallies;
} counting;

static void count_tile(void *state, const vdit_facts_worker *worker, size_t t)
{
    const counting *work = state;
    const vdit_head *head = &work->many->facts.head;
    size_t keys = vdit_tile_keys(head, t), nr = head->kernel->nr;
    tally *own = &work->tallies[worker->id];

    for (size_t j = 0; j < keys; j++)
        for (size_t i = 0; i < nr; i++) {
            int64_t cell = worker->cell[j * nr + i];

            own->below[i] += cell < work->edge[0];
            own->below[nr + i] += cell < work->edge[1];
            own->doubt[i] |= cell == work->edge[0] || cell == work->edge[1];
        }
}

/* The lane's counts once more, from its facts. */
static void count_exactly(const counting *work, vdit_facts_worker *worker, size_t lane)
{
    const vdit_facts *facts = &work->many->facts;
    size_t nr = facts->head.kernel->nr;
    tally *own = &work->tallies[worker->id];

    own->below[lane] = own->below[nr + lane] = 0;
    vdit_facts_row(worker, facts, lane);
    for (size_t j = 0; j < facts->head.keys; j++)
        for (size_t i = 0; i < 2; i++)
            own->below[i * nr + lane] += worker->exact[j] < work->edge[i];
}

static void count_panel(void *state, vdit_facts_worker *worker)
{
    const counting *work = state;
    const vdit_facts *facts = &work->many->facts;
    size_t nr = facts->head.kernel->nr;
    tally *own = &work->tallies[worker->id];

    for (size_t i = 0; i < worker->lanes; i++) {
        size_t at = (facts->loaded - work->part->first) * work->part->rows + worker->row + i -
                    work->part->row;

        if (worker->wide[i] || own->doubt[i])
            count_exactly(work, worker, i);
        own->total[0] += own->below[i];
        own->total[1] += own->below[nr + i];
        if (work->rows != NULL) {
            work->rows->below[at] = own->below[i];
            work->rows->equal[at] = own->below[nr + i] - own->below[i];
        }
    }
    memset(own->below, 0, 2 * nr * sizeof *own->below);
    memset(own->doubt, 0, nr);
}

/* Out: total[2], the facts below the codes edge[0] and edge[1], and per row if rows is not NULL. */
static vdit_status count_below(vdit_order_many *many, const vdit_order_part *part,
                               const uint32_t edge[2], uint64_t total[2],
                               const vdit_order_counts *rows)
{
    size_t mark = vdit_run_mark(many->run), threads = (size_t)vdit_run_threads(many->run);
    size_t nr = many->facts.head.kernel->nr;
    counting work = {many, part, {2 * (int64_t)edge[0] - 1, 2 * (int64_t)edge[1] - 1}, rows, NULL};
    vdit_facts_reader reader = {count_tile, count_panel, &work};

    total[0] = total[1] = 0;
    work.tallies = vdit_run_alloc(many->run, threads, sizeof *work.tallies);
    for (size_t i = 0; work.tallies != NULL && i < threads; i++) {
        tally *own = &work.tallies[i];

        own->total[0] = own->total[1] = 0;
        own->below = vdit_run_alloc(many->run, 2 * nr, sizeof *own->below);
        own->doubt = vdit_run_alloc(many->run, nr, 1);
        if (vdit_run_status(many->run) != VDIT_OK)
            break;
        memset(own->below, 0, 2 * nr * sizeof *own->below);
        memset(own->doubt, 0, nr);
    }
    if (vdit_run_status(many->run) == VDIT_OK)
        read_part(many, part, &reader);
    for (size_t i = 0; vdit_run_status(many->run) == VDIT_OK && i < threads; i++)
        for (size_t e = 0; e < 2; e++)
            total[e] += work.tallies[i].total[e];
    vdit_run_release(many->run, mark);
    return vdit_run_status(many->run);
}

static double value_of(uint32_t code)
{
    float value;

    memcpy(&value, &code, sizeof value);
    return (double)value;
}

/* The facts at places whose two ends are known, asking where they differ. */
static void settle_places(vdit_order_many *many, const vdit_order_part *part, double *value,
                          const uint64_t *place, const end_of_place *ends, size_t n)
{
    for (size_t i = 0; i < n && vdit_run_status(many->run) == VDIT_OK; i++) {
        uint32_t code = ends[2 * i].code, edge[2] = {code + 1, code + 1};
        uint64_t below[2];

        if (code != ends[2 * i + 1].code) { /* the two are neighbours */
            count_below(many, part, edge, below, NULL);
            code += below[0] <= place[i];
        }
        value[i] = value_of(code);
    }
}

vdit_status vdit_order_select(vdit_order_many *many, const vdit_order_part *part, double *value,
                              const uint64_t *place, size_t n)
{
    size_t mark = vdit_run_mark(many->run);
    filling fine = {many, add_fine, NULL, 0, NULL};
    end_of_place *ends = vdit_run_alloc(many->run, n, 2 * sizeof *ends);

    fine.slot = vdit_run_alloc(many->run, BUCKETS, sizeof *fine.slot);
    for (size_t i = 0; vdit_run_status(many->run) == VDIT_OK && i < 2 * n; i++)
        ends[i].in = find_bucket(many->coarse, place[i / 2], i % 2 == 1);
    if (vdit_run_status(many->run) == VDIT_OK) {
        fine.size = give_slots(fine.slot, ends, 2 * n) * CELLS;
        fine.count = vdit_run_alloc(many->run, (size_t)vdit_run_threads(many->run) * fine.size,
                                    sizeof *fine.count);
    }
    if (fine.count != NULL && fill(&fine, part) == VDIT_OK) {
        for (size_t i = 0; i < 2 * n; i++)
            ends[i].code =
                find_code(many->coarse, fine.count + (size_t)(fine.slot[ends[i].in.b] - 1) * CELLS,
                          &ends[i].in, place[i / 2], i % 2 == 1);
        settle_places(many, part, value, place, ends, n);
    }
    vdit_run_release(many->run, mark);
    return vdit_run_status(many->run);
}

vdit_status vdit_order_count(vdit_order_many *many, const vdit_order_part *part,
                             const vdit_order_counts *counts, double tau)
{
    float single = (float)tau;
    uint64_t total[2];
    uint32_t edge[2];

    memcpy(&edge[0], &single, sizeof edge[0]);
    edge[1] = edge[0] + 1;
    return count_below(many, part, edge, total, counts);
}
