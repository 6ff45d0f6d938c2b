/*
 * golden/maker.h - what a family needs to make the rows of a tensor.
 *
 * A row is a function of the case and its index, so rows can be made in any order by any thread. The
 * random tensors of a case are numbered: q k v, x w b, a b or x are 0 1 2. Seen from here each is a
 * list of heads and each head a list of rows: attention has B H heads, the other operators have one.
 */
#ifndef VDIT_GOLDEN_MAKER_H
#define VDIT_GOLDEN_MAKER_H

#include <vdit/golden.h>
#include "exact/draw.h"

#define VDIT_MAKER_TENSORS 3

/* Tensor numbers of streams that are not a tensor's own elements. */
enum {
    VDIT_DRAW_MASK = 3,    /* attend or not, or the number to add */
    VDIT_DRAW_HIDE = 4,    /* float masks: which entries are -inf */
    VDIT_DRAW_ENTRIES = 5, /* plans: each of the tensors that they may name */
    VDIT_DRAW_KEYS = 6,
    VDIT_DRAW_TILES = 7,
    VDIT_DRAW_WEIGHT = 8,
    VDIT_DRAW_MAP = 9,
    VDIT_DRAW_ROWS = 16, /* + tensor number: one draw per row */
    VDIT_DRAW_HEADS = 32 /* + tensor number: one draw per head */
};

typedef struct vdit_maker {
    const vdit_case *c;
    const int64_t *rows; /* the query rows that are computed, ascending */
    size_t row_count;
    int tensors;
    size_t heads, extent[VDIT_MAKER_TENSORS], width[VDIT_MAKER_TENSORS];
} vdit_maker;

/*
 * Makes row i of head bh of a tensor.
 * Out: out[width]; whoever stores it rounds it to the case's dtype. In: m, tensor, bh, i.
 */
typedef void vdit_maker_row(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i);

/* The families of attention; normal is one of linear and matmul too. */
vdit_maker_row vdit_make_normal;
vdit_maker_row vdit_make_needle, vdit_make_late_sink, vdit_make_peaked, vdit_make_uniform_logits;
vdit_maker_row vdit_make_outlier_channel, vdit_make_poison, vdit_make_integers, vdit_make_cancel;
vdit_maker_row vdit_make_overflow, vdit_make_subnormal, vdit_make_video, vdit_make_offset;

/* The families of linear and matmul, of exp, and of log; vdit_maker_integers serves the first three. */
vdit_maker_row vdit_make_product_cancel, vdit_make_product_outlier, vdit_make_product_subnormal;
vdit_maker_row vdit_make_exp_normal, vdit_make_exp_overflow, vdit_make_exp_subnormal;
vdit_maker_row vdit_make_log_normal, vdit_make_log_integers, vdit_make_log_overflow;
vdit_maker_row vdit_make_log_subnormal;

/* Returns: how rows of that family are made for an operator; NULL if it does not take the family. */
vdit_maker_row *vdit_family_rows(const vdit_family *family, vdit_operator op);

/* Returns: the maker of a case. In: its computed rows. */
vdit_maker vdit_maker_of(const vdit_case *c, const int64_t *rows, size_t row_count);

/*
 * Makes a tensor, each element rounded once to its dtype.
 * Out: t, whose last axis is the row, dense. In: m, tensor. Returns: VDIT_OK, VDIT_ERR_MEMORY.
 */
vdit_status vdit_maker_fill(vdit_run *run, vdit_tensor *t, const vdit_maker *m, int tensor);

/* Out: out[width], factor times normal numbers; the element number is (bh extent + i) width + channel. */
void vdit_maker_scaled(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i,
                       double factor);

/* For odd i. Out: out[width] = 2^-8 out - row i - 1 of the normal numbers, that rounded to the dtype. */
void vdit_maker_oppose(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i);

/* Out: out[width], integers from -8 to 8, all alike likely. */
void vdit_maker_integers(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i);

/*
 * Returns: the size of numbers that are about half subnormal: the least normal number; for bf16 2^8
 * times that, because hardware may flush bf16 subnormals.
 */
double vdit_maker_tiny(const vdit_maker *m);

/* Returns: the first word drawn for a row or a head of a tensor. */
uint32_t vdit_maker_row_word(const vdit_maker *m, int tensor, size_t bh, size_t i);
uint32_t vdit_maker_head_word(const vdit_maker *m, int tensor, size_t bh);

/* Returns: the number of valid keys of head bh. */
size_t vdit_maker_keys(const vdit_maker *m, size_t bh);

#endif
