/*
 * attention/head.h - one head made ready: valid keys packed in binary64 panels, with the norms that the
 * error bounds need.
 *
 * Keys that take no part for any query are left out: those beyond the key length, and those with an
 * infinity or a NaN in k, which special.c settles row by row. Values that are not finite are packed as
 * 0 and settled there too. So all arithmetic on a head is on finite numbers.
 */
#ifndef VDIT_ATTENTION_HEAD_H
#define VDIT_ATTENTION_HEAD_H

#include <vdit/attention.h>
#include "attention/pattern.h"
#include "exact/kernel.h"

/* Keys per tile, a multiple of every kernel's mr. */
#define VDIT_TILE 192

typedef struct vdit_head {
    const vdit_attention *call;
    const vdit_edit
        *edit; /* of this head, or NULL: only what acts before the softmax is read here */
    const vdit_kernel_f64 *kernel;
    size_t b, h;
    vdit_layout layout;      /* of the edit's tokens */
    int masked;              /* 1 if logits meet a mask: the call's, or the edit's */
    size_t d, dv, dv_padded; /* dv rounded up to whole panels */
    size_t row_count;        /* of the call: R */
    size_t keys, tiles;      /* packed keys and tiles of them */
    size_t logit_chunk;      /* of the product that makes logits, */
    size_t value_chunk;      /* and of that with the values: shorter where more is to be proved */
    size_t *key_at;          /* [keys] the key's index in the call */
    double *k;               /* [panel of mr keys][d][mr] */
    double *v;               /* [tile][panel of mr channels][VDIT_TILE][mr] */
    double *weight; /* [d] the roundings of 2^-53 that q_c k_c meets on its way through the product,
                                the scale (3) and the difference to the top (1) */
    double *key_norm; /* [keys] sqrt(sum_c weight_c k_c^2) */
    double key_norm_max;
    double *value_max;      /* [dv] max |v| over the packed keys */
    double *value_norm;     /* [dv] sqrt(sum v^2) */
    double *value_key_norm; /* [dv] sqrt(sum key_norm^2 v^2) */
    double *value_sum_norm; /* [dv] sqrt(sum w^2 v^2), w the roundings that p v meets in its sum */
    double sum_weight_max;  /* the largest w */
    unsigned char *kind;    /* [Nk] what a key is, while packing */
    double *scratch;        /* [threads][d + 5 dv] for packing */
    size_t odd_key_count;   /* valid keys with an infinity or a NaN in k, */
    size_t *odd_keys;       /* their indices in the call; */
    size_t odd_value_count; /* packed keys with an infinity or a NaN in v, */
    size_t *odd_values;     /* their indices in the call */
} vdit_head;

/* Room for any head of the call, in the run's memory. Returns: VDIT_OK or the failure. */
vdit_status vdit_head_new(vdit_run *run, vdit_head *head, const vdit_attention *call);

/* Bytes that vdit_head_new takes. */
double vdit_head_bytes(const vdit_attention *call);

/* Packs head h of batch b and computes its norms. */
void vdit_head_load(vdit_run *run, vdit_head *head, size_t b, size_t h);

/* Returns: the number of valid keys of batch b. */
size_t vdit_key_length(const vdit_attention *call, size_t b);

/* Returns: the query index of row r of the output. */
size_t vdit_query_at(const vdit_attention *call, size_t r);

/* Out: q[d], row r of the call in binary64. Returns: 1 if all finite. */
int vdit_head_query(const vdit_head *head, double *q, size_t r);

/* Out: k[d] or v[dv] of key j of the call, in binary64, as they are. */
void vdit_head_key(const vdit_head *head, double *k, size_t j);
void vdit_head_value(const vdit_head *head, double *v, size_t j);

/* Returns: v of channel c at the key of the same index as row r's query. */
double vdit_head_own_value(const vdit_head *head, size_t r, size_t c);

/* Returns: the additive mask of row r and key j: 0 without one, -INFINITY if masked out. */
double vdit_head_mask(const vdit_head *head, size_t r, size_t j);

/*
 * Out: keep[count], 1 where the edit leaves the entries of row r and the packed keys from first on, at most a
 * tile of them, by their place at that moment. All ones without an edit.
 */
void vdit_head_keep(const vdit_head *head, vdit_moment moment, size_t r, size_t first, size_t count,
                    unsigned char *keep);

/* Returns: VDIT_VIDEO or VDIT_TEXT for a query or key of the call; VDIT_VIDEO without an edit. */
unsigned vdit_head_query_kind(const vdit_head *head, size_t query);
unsigned vdit_head_key_kind(const vdit_head *head, size_t key);

/* Returns: 1 if the edit lets key j of the call take part. */
int vdit_head_has_key(const vdit_head *head, size_t j);

/* Returns: the bit of row r and key j of the call in the edit's frozen mask. */
int vdit_head_frozen(const vdit_head *head, size_t r, size_t j);

/* Out: mask[count] for row r and the packed keys from first on, which lie in one tile. */
void vdit_head_mask_row(const vdit_head *head, double *mask, size_t r, size_t first, size_t count);

/* Packed value of channel c at packed key j. */
static inline double vdit_head_packed_value(const vdit_head *head, size_t j, size_t c)
{
    size_t mr = head->kernel->mr, tile = j / VDIT_TILE;

    return head
        ->v[(tile * head->dv_padded + c / mr * mr) * VDIT_TILE + j % VDIT_TILE * mr + c % mr];
}

#endif
