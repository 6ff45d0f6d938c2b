/*
 * meter_column.h - the keys of a column sum that stage 0 leaves open: stages 1 and 2 of the meters column and
 * text-tokens.
 */
#ifndef VDIT_ATTENTION_METER_COLUMN_H
#define VDIT_ATTENTION_METER_COLUMN_H

#include "attention/meter.h"
#include "attention/refine.h"

typedef struct vdit_open_keys {
    vdit_meter_engine *engine;
    size_t count, *key; /* packed keys that are open */
    size_t rows, *row;  /* the rows that count, growing */
    double *top;        /* [R] their reference points in stage 0, natural units */
    double divisor;     /* of the sums: 1, or the queries of a mean */
    void (*put)(void *state, size_t key, double value); /* takes what is settled */
    void *state;
} vdit_open_keys;

/*
 * The sums of the open keys' entries over the rows, over the divisor, each rounded once to f32. Memory is the run's:
 * the caller releases it. A failure is the run's.
 */
void vdit_open_keys_settle(vdit_open_keys *open);

#endif
