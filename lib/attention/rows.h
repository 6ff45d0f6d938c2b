/*
 * attention/rows.h - the rows of one head on their way through the stages: what is written, what is
 * still open.
 */
#ifndef VDIT_ATTENTION_ROWS_H
#define VDIT_ATTENTION_ROWS_H

#include "attention/stream.h"

/* What of a row is still open, as bits; the last one marks a query with an infinity or a NaN. */
enum {
    VDIT_OPEN_O = 1,
    VDIT_OPEN_SIGMA = 2,
    VDIT_OPEN_LSE = 4,
    VDIT_OPEN_MAP = 8,
    VDIT_OPEN_ODD = 16
};

typedef struct vdit_rows {
    unsigned char *open;  /* [R] bits as above */
    unsigned char *o;     /* [R][dv] 1 where the output element is open */
    unsigned char *sigma; /* [R][dv] the same for sigma */
    double *top;          /* [R] the reference point of stage 0, in natural units */
} vdit_rows;

/* Room for the rows of any head, in the run's memory. Returns: VDIT_OK or the failure. */
vdit_status vdit_rows_new(vdit_run *run, vdit_rows *rows, const vdit_head *head);

/* Writes value into element (b, h, r, i) of an output, rounding nothing: it is an element of its type. */
void vdit_rows_put(const vdit_head *head, const vdit_tensor *out, size_t r, size_t i, double value);

/* Out: lse of a row with a weight, if stage 0 can round it. Returns: 1 if so. */
int vdit_rows_lse(double *lse, const vdit_stream *stream, size_t lane);

/* Writes what stage 0 settles of a block, o and lse, and opens the rest. Returns: elements settled. */
size_t vdit_rows_finish(vdit_rows *rows, const vdit_stream *stream);

/* The same for the map: a second pass over the keys with the sums known. Returns: entries settled. */
size_t vdit_rows_map(vdit_rows *rows, vdit_stream *stream);

#endif
