/*
 * attention/meter.h - what every meter is made of: a table entry of functions, and what the engine gives them.
 *
 * For each head the engine loads blocks of rows and streams their sums, shows each meter every tile, then the
 * block's end; rows that a meter could not settle it marks open, and the engine loads them once, in
 * multi-precision, for all meters. At the head's end a meter makes its aggregates from the settled rows.
 */
#ifndef VDIT_ATTENTION_METER_H
#define VDIT_ATTENTION_METER_H

#include <vdit/meter.h>
#include "attention/special.h"
#include "attention/tokens.h"
#include "attention/walk.h"

/* Options that one meter has at most. */
#define VDIT_METER_OPTIONS 8

typedef struct vdit_meter vdit_meter;

/* One head as a call of its own, with the tensors that it points to: it must not move. */
typedef struct vdit_meter_head {
    vdit_attention call;
    vdit_edit edit;
    const vdit_edit *edits[1];
    vdit_tensor part[9];
} vdit_meter_head;

/* Shared by all meters of a run. */
typedef struct vdit_meter_engine {
    vdit_run *run;
    const vdit_attention *call;
    const vdit_tensor *other_q, *other_k; /* the request's */
    vdit_layout layout;                   /* what the tokens are; frames 0: not declared */
    size_t b, h;                          /* the head that is measured now, */
    vdit_meter_head one; /* as a call of its own: what it needs of an edit is in place, */
    vdit_head head;      /* and made ready, its b and h being 0 */
    vdit_walk *walks;    /* [threads] */
    int threads;
    size_t rows;         /* R */
    unsigned char *kind; /* [R] vdit_row_kind; empty rows are known once their block's sums are */
    unsigned char *query_class; /* [R] VDIT_VIDEO, VDIT_TEXT, or 0 for a padding query */
    vdit_meter *meters;
    size_t count;
    double heads, heads_done;
} vdit_meter_engine;

/* The functions of a meter; any of them but open may be NULL. worker is below engine->threads. */
typedef struct vdit_meter_kind {
    vdit_meter_info info;
    /* Once: reads the options, sets the meter's own extents. Fails the run if they do not fit. */
    void (*open)(vdit_meter *meter);
    /* Once: memory. engine->head has its extents but is not loaded. */
    void (*start)(vdit_meter *meter);
    /* Per head, which is loaded. */
    void (*begin)(vdit_meter *meter);
    /* Per block: its sums are known. */
    void (*begin_block)(vdit_meter *meter, vdit_walk *walk, int worker);
    /* Per panel and tile: weights and logits. */
    void (*tile)(vdit_meter *meter, vdit_walk *walk, size_t p, size_t t, int worker);
    /* Per block: all its tiles have been shown. Rows that it cannot settle it marks in meter->open. */
    void (*end_block)(vdit_meter *meter, vdit_walk *walk, int worker);
    /* An open row in multi-precision. */
    void (*exact)(vdit_meter *meter, vdit_last *last);
    /* A row that is not plain. */
    void (*special)(vdit_meter *meter, size_t r, vdit_row_kind kind);
    /* Per head, by one thread: aggregates of rows. */
    void (*end)(vdit_meter *meter);
} vdit_meter_kind;

struct vdit_meter {
    const vdit_meter_kind *kind;
    vdit_meter_engine *engine;
    const char
        *option[VDIT_METER_OPTIONS]; /* values in force, in the order of the kind's options */
    const char *ids;
    size_t extent[26];   /* of the letters in the shapes of outputs: extent['S' - 'A'] */
    vdit_tensor *out;    /* in the order of the kind's outputs */
    unsigned char *open; /* [R] */
    void *state;         /* the kind's own */
};

/* Every kind, by name; the last is NULL. */
extern const vdit_meter_kind *const vdit_meter_kinds[];

/*
 * Out: engine, with all that is known before a number is computed: layout, meters, their options and extents. In: a
 * call that was checked. Returns: VDIT_OK or the failure.
 */
vdit_status vdit_meter_open(vdit_meter_engine *engine, vdit_run *run, const vdit_attention *call,
                            const vdit_meter_request *request);

/*
 * Reads "name:option=value:...,name..." into meters of the engine, their options and ids, in the run's memory.
 */
vdit_status vdit_meter_parse(vdit_meter_engine *engine, const char *text);

/* Option i as a number in low .. high, or as one of words (ended by NULL): its place. */
size_t vdit_meter_size(vdit_meter *meter, size_t i, size_t low, size_t high);
size_t vdit_meter_word(vdit_meter *meter, size_t i, const char *const *words);

/* Option i, one of video, text and all. Returns: the bits VDIT_VIDEO, VDIT_TEXT. */
unsigned vdit_meter_tokens(vdit_meter *meter, size_t i);

/* Fails the run for option i: "meter topk: option k is '0', expected 1..64". */
void vdit_meter_refuse(vdit_meter *meter, size_t i, const char *expected);

/* Writes element i of row r of output n (of shape [B,H,R] or [B,H,R,.]) of the head that is measured. */
void vdit_meter_put(vdit_meter *meter, size_t n, size_t r, size_t i, double value);

/* Element i of row r, or with r = 0 element i of a head's own output [B,H], [B,H,.], written and read. */
double vdit_meter_get(const vdit_meter *meter, size_t n, size_t r, size_t i);

/* Out: fact, the rounding of a real number >= 0 to f32 or bf16. Returns: 1 if it is known. error is absolute. */
int vdit_meter_fact(double *fact, vdit_dtype dtype, double value, double error);

/*
 * Puts an estimate of a real number >= 0 if its rounding to f32 is known, else opens the row. error is absolute.
 */
void vdit_meter_settle(vdit_meter *meter, size_t n, size_t r, size_t i, double value, double error);

/* Puts a real number >= 0 in multi-precision: snapped (doc/numerics.md, 5.5), then rounded to f32. */
void vdit_meter_put_exact(vdit_meter *meter, size_t n, size_t r, size_t i, vdit_mp *value);

/*
 * The mean of output n (f32, [B,H,R]) over the rows whose class is among queries and which skip (NULL, or [R]) does
 * not name: the exact sum over their number, rounded once to f32; NaN without any. Out: count, NULL or that number.
 */
double vdit_meter_mean(const vdit_meter *meter, size_t n, unsigned queries,
                       const unsigned char *skip, size_t *count);

/* Returns: sum / over, snapped (doc/numerics.md, 5.5) and rounded once to dtype. In: over not 0. */
double vdit_meter_ratio(const vdit_acc *sum, const vdit_acc *over, vdit_dtype dtype);

/* Returns: the square root of x > 0, rounded once to f32. */
double vdit_meter_root(const vdit_mp *x);

/* Returns: 1 if lane of the walk's block is a plain row: only those have entries to look at. */
int vdit_meter_has(const vdit_meter_engine *engine, const vdit_walk *walk, size_t lane);

/* Out: one, head (b, h) of a call that was checked, outputs none. */
void vdit_meter_cut(vdit_meter_head *one, const vdit_attention *call, size_t b, size_t h);

/* Fails if an edit of the call cannot be measured. */
vdit_status vdit_meter_check_edits(vdit_run *run, const vdit_attention *call);

/* Returns: how many rows of the head are queries of these classes. */
size_t vdit_meter_queries(const vdit_meter_engine *engine, unsigned queries);

/* Returns: 1 if key j of the call is valid for row r: within the key length, in the edit's set, not masked out. */
int vdit_meter_valid(const vdit_meter_engine *engine, size_t r, size_t j);

/* Returns: the number of valid keys of row r. */
size_t vdit_meter_valid_keys(const vdit_meter_engine *engine, size_t r);

#endif
