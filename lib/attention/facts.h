/*
 * attention/facts.h - the map's entries as facts, their f32 roundings, read tile by tile on all threads.
 *
 * An entry's estimate and bound say which f32 it rounds to, or which two neighbours. Readers work on these
 * enclosures and ask for the fact itself, a row in multi-precision, only where it matters.
 */
#ifndef VDIT_ATTENTION_FACTS_H
#define VDIT_ATTENTION_FACTS_H

#include "attention/tokens.h"
#include "attention/walk.h"

/*
 * A cell is 2 c if the entry rounds to the f32 of bits c, 2 c + 1 if to that or to the next one up, and
 * VDIT_CELL_NONE where there is no entry. Entries lie in [0, 1], where f32 numbers are ordered as their bits.
 */
#define VDIT_CELL_NONE UINT32_MAX

/* What is read: heads first .. first + count - 1, numbered b * H + h, and of their maps these blocks. */
typedef struct vdit_facts_scope {
    const vdit_attention
        *call; /* q, k, scale and all that masks; not its rows, values and outputs */
    vdit_layout layout;
    unsigned blocks; /* VDIT_BLOCK_..., 0: all */
    size_t first, count;
    /* NULL, or [count]: in place of each head a call of its own (B = H = 1), of call's shapes */
    const vdit_attention *const *heads;
} vdit_facts_scope;

typedef struct vdit_facts_worker {
    vdit_walk walk;
    size_t id;           /* of the thread */
    size_t row;          /* the call's row of lane 0 */
    size_t p, lanes;     /* of the walk's block: the panel, and how many rows it holds */
    uint32_t *cell;      /* [VDIT_TILE][nr] one tile of the panel */
    uint32_t *exact;     /* [Nk] the facts of one row, in packed keys */
    double *inverse;     /* [nr] 1 / sum */
    double *error;       /* [nr] relative, of an estimate; */
    uint64_t *slack;     /* [nr] the same in units of the last bit of a binary64 number */
    size_t *from, *to;   /* [nr] packed keys whose entries are read */
    unsigned char *wide; /* [nr] 1 where the bound says too little: all cells are NONE */
} vdit_facts_worker;

typedef struct vdit_facts {
    vdit_run *run;
    vdit_facts_scope scope;
    vdit_attention call; /* of all query rows, without outputs */
    vdit_tensor v;       /* without channels */
    vdit_head head;
    size_t loaded;  /* the head that is loaded; scope.first + scope.count: none */
    size_t kept;    /* heads whose sums are remembered: 1 or scope.count */
    size_t queries; /* of the batch: in self-attention those beyond the key length are padding */
    size_t video[2], text[2]; /* packed keys video[0] .. video[1] - 1 are video; text likewise */
    vdit_facts_worker *workers;
    double *top, *sum, *error; /* [kept][Nq] of the rows */
    unsigned char *known;      /* [kept][Nq] 1 if they are */
} vdit_facts;

/*
 * What is done with the cells of a panel: tile for each of its tiles t, then done, which finds the rows marked
 * `wide` unread and reads them with vdit_facts_row. Each thread has a worker of its own.
 */
typedef struct vdit_facts_reader {
    void (*tile)(void *state, const vdit_facts_worker *worker, size_t t);
    void (*done)(void *state, vdit_facts_worker *worker);
    void *state;
} vdit_facts_reader;

/*
 * Room for reading, in the run's memory; with every, the sums of every head are remembered, for whoever reads
 * them in turns. The scope's call was checked. Returns: VDIT_OK or the failure.
 */
vdit_status vdit_facts_new(vdit_run *run, vdit_facts *facts, const vdit_facts_scope *scope,
                           int every);

/* Bytes that vdit_facts_new takes, at most. */
double vdit_facts_bytes(const vdit_run *run, const vdit_facts_scope *scope, int every);

/* Reads rows first .. first + rows - 1 of a head of the scope. Returns: VDIT_OK or the failure. */
vdit_status vdit_facts_read(vdit_facts *facts, size_t head, size_t first, size_t rows,
                            const vdit_facts_reader *reader);

/* Out: worker->exact, the cells of this lane's row, none of them open. Slow. */
void vdit_facts_row(vdit_facts_worker *worker, const vdit_facts *facts, size_t lane);

/* Returns: rows that were computed in multi-precision. */
uint64_t vdit_facts_asked(const vdit_facts *facts);

#endif
