/* attention/order_row.h - selection within each row of a head. */
#ifndef VDIT_ATTENTION_ORDER_ROW_H
#define VDIT_ATTENTION_ORDER_ROW_H

#include "attention/order.h"

/* What is wanted of each row of a head; the arrays begin at the head's row 0. */
typedef struct vdit_order_wanted {
    vdit_ties ties;
    const double *fraction; /* [n] */
    size_t n;
    double *value;   /* [Nq][n] as vdit_order_values has it */
    uint64_t *size;  /* NULL or [Nq]: M */
    uint64_t *below; /* NULL or [Nq]: entries below value[.][0] */
} vdit_order_wanted;

/* Out: what wanted names. facts of this head alone. Returns: VDIT_OK or the failure. */
vdit_status vdit_order_rows(vdit_run *run, vdit_facts *facts, size_t head,
                            const vdit_order_wanted *wanted);

/* Bytes that it takes. */
double vdit_order_rows_bytes(const vdit_run *run, const vdit_order *order);

#endif
