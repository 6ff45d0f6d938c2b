/* order_row.c - selection within each row, whose cells are kept for a panel of rows at a time. */
#include <math.h>
#include <string.h>
#include "attention/order_row.h"

/* A cell of 31 bits is found by three digits. */
#define DIGITS 2048

/* What a thread needs for its panel. */
typedef struct panel {
    uint32_t *cell;    /* [nr][keys] */
    uint32_t *scratch; /* [keys] */
    size_t *count;     /* [DIGITS] */
} panel;

typedef struct selecting {
    vdit_facts *facts;
    const vdit_order_wanted *wanted;
    panel *panels;
} selecting;

static void keep_tile(void *state, const vdit_facts_worker *worker, size_t t)
{
    const selecting *work = state;
    const vdit_head *head = &work->facts->head;
    size_t keys = vdit_tile_keys(head, t), nr = head->kernel->nr;

    for (size_t i = 0; i < worker->lanes; i++) {
        uint32_t *to = work->panels[worker->id].cell + i * head->keys + t * VDIT_TILE;

        for (size_t j = 0; j < keys; j++)
            to[j] = worker->cell[j * nr + i];
    }
}

/* Moves the cells whose digit at shift holds the place to the front of out. Returns: how many; place is theirs then. */
static size_t narrow(const panel *own, uint32_t *out, const uint32_t *in, size_t n, int shift,
                     uint64_t *place)
{
    size_t digit = 0, found = 0;

    memset(own->count, 0, DIGITS * sizeof *own->count);
    for (size_t j = 0; j < n; j++)
        own->count[in[j] >> shift & (DIGITS - 1)]++;
    for (; *place >= own->count[digit]; digit++)
        *place -= own->count[digit];
    for (size_t j = 0; j < n; j++)
        if ((in[j] >> shift & (DIGITS - 1)) == digit)
            out[found++] = in[j];
    return found;
}

/* Returns: the cell at a place below the number of cells; cells that are none come last. */
static uint32_t cell_at(const panel *own, const uint32_t *cell, size_t n, uint64_t place)
{
    n = narrow(own, own->scratch, cell, n, 21, &place);
    n = narrow(own, own->scratch, own->scratch, n, 10, &place);
    narrow(own, own->scratch, own->scratch, n, 0, &place);
    return own->scratch[0];
}

/* A row's cells and what is known of a place in them. */
typedef struct found {
    uint32_t code;  /* of the fact, if not in doubt */
    uint64_t below; /* facts below it */
    int doubt;
} found;

/* The fact at a place, or that the enclosures leave it open: with exact, also how many lie below it. */
static found find(const panel *own, const uint32_t *cell, size_t n, uint64_t place, int exact)
{
    uint32_t low = cell_at(own, cell, n, place) >> 1;
    uint64_t below = 0, at = 0, before = 0;
    found result;

    for (size_t j = 0; j < n; j++) {
        below += cell[j] < 2 * low;                  /* lower ends below low */
        before += low > 0 && cell[j] == 2 * low - 1; /* of those, open to be low */
        at += cell[j] == 2 * low;
    }
    /* the upper end at the place is low as well if more than place of them are at most low */
    result.doubt = !(place < below + at) || (exact && before > 0);
    result.code = low;
    result.below = below;
    return result;
}

static double value_of(uint32_t code)
{
    float value;

    memcpy(&value, &code, sizeof value);
    return (double)value;
}

/* The value for one fraction. Returns: 0 if the enclosures leave it open. */
static int row_value(const panel *own, const vdit_order_wanted *wanted, const uint32_t *cell,
                     size_t n, uint64_t M, size_t i, double *value, uint64_t *below)
{
    int linear = wanted->ties == VDIT_TIES_LINEAR;
    vdit_mp rest;
    uint64_t place =
        M == 0 ? 0 : vdit_order_place(&rest, wanted->fraction[i], M - (linear ? 1 : 0));
    found at = {0, 0, 0}, next;

    *below = M;
    *value = M == 0 ? 0 : INFINITY;
    if (place >= M)
        return 1;
    at = find(own, cell, n, place, wanted->below != NULL);
    *value = value_of(at.code);
    *below = at.below;
    if (at.doubt || !linear || rest.sign == 0)
        return !at.doubt;
    next = find(own, cell, n, place + 1, 0);
    *value = vdit_order_between(*value, value_of(next.code), &rest);
    return !next.doubt;
}

/* All values of a row. Returns: 0 if the enclosures leave one open. */
static int row_values(const selecting *work, const panel *own, const uint32_t *cell, size_t r)
{
    const vdit_order_wanted *wanted = work->wanted;
    size_t n = work->facts->head.keys;
    uint64_t M = 0, below = 0;
    int settled = 1;

    for (size_t j = 0; j < n; j++)
        M += cell[j] != VDIT_CELL_NONE;
    for (size_t i = 0; i < wanted->n && settled; i++) {
        settled = row_value(own, wanted, cell, n, M, i, &wanted->value[r * wanted->n + i], &below);
        if (i == 0 && wanted->below != NULL)
            wanted->below[r] = below;
    }
    if (wanted->size != NULL)
        wanted->size[r] = M;
    return settled;
}

static void select_panel(void *state, vdit_facts_worker *worker)
{
    const selecting *work = state;
    const panel *own = &work->panels[worker->id];

    for (size_t i = 0; i < worker->lanes; i++)
        if (worker->wide[i] ||
            !row_values(work, own, own->cell + i * work->facts->head.keys, worker->row + i)) {
            vdit_facts_row(worker, work->facts, i);
            row_values(work, own, worker->exact, worker->row + i);
        }
}

vdit_status vdit_order_rows(vdit_run *run, vdit_facts *facts, size_t head,
                            const vdit_order_wanted *wanted)
{
    size_t mark = vdit_run_mark(run), threads = (size_t)vdit_run_threads(run);
    size_t keys = facts->call.k->shape[2], nr = facts->head.kernel->nr;
    selecting work = {facts, wanted, NULL};
    vdit_facts_reader reader = {keep_tile, select_panel, &work};

    work.panels = vdit_run_alloc(run, threads, sizeof *work.panels);
    for (size_t i = 0; work.panels != NULL && i < threads; i++) {
        work.panels[i].cell = vdit_run_alloc(run, keys, nr * sizeof(uint32_t));
        work.panels[i].scratch = vdit_run_alloc(run, keys, sizeof(uint32_t));
        work.panels[i].count = vdit_run_alloc(run, DIGITS, sizeof(size_t));
    }
    if (vdit_run_status(run) == VDIT_OK)
        vdit_facts_read(facts, head, 0, facts->call.q->shape[2], &reader);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

double vdit_order_rows_bytes(const vdit_run *run, const vdit_order *order)
{
    return (double)vdit_run_threads(run) *
           (4 * (double)order->facts.call->k->shape[2] * (VDIT_KERNEL_NR_MAX + 1.0) + 8.0 * DIGITS);
}
