/*
 * mutants.h - one plain attention kernel that can be honest in many ways and broken in many more.
 *
 * A mutant is a line in a table: how the kernel computes, and what is wrong with it. Everything is
 * f32, row by row: the logits of all keys, then a softmax over blocks of keys.
 */
#ifndef MUTANTS_H
#define MUTANTS_H

#include <vdit/backend.h>

#define MUTANT_TILE    64       /* keys, or rows, of a tile that is faulty as a whole */
#define MUTANT_PADDING SIZE_MAX /* a step to a row of zeros */
#define MUTANT_LANE    16       /* rows of k and v are padded with zeros to a multiple */

/* Where the operands of a row are taken from; a fault changes what it likes but the extents. */
typedef struct mutant_place {
    size_t batch, head, row; /* of q */
    size_t key_batch, key_head, value_batch, value_head;
    size_t mask_row, length_batch;
    size_t batches, heads, rows, keys; /* extents: B, H, Nq, Nk */
} mutant_place;

/* Which keys a head visits, in order, and with whose values. Room for 3 tiles more than the keys. */
typedef struct mutant_route {
    struct mutant_step {
        size_t key, value; /* rows of k and v, or MUTANT_PADDING */
    } * steps;
    size_t count, keys; /* steps; keys there are, valid or not */
    int is_first_head;  /* of its batch */
} mutant_route;

/* The operands of a head in f32, each row padded with zeros. */
typedef struct mutant_head {
    const vdit_attention *a;
    mutant_place place;
    size_t valid, key_width, value_width; /* valid keys; padded widths */
    float *k, *v;
} mutant_head;

/* What a number is rounded to; 0 is what an honest kernel does there. */
typedef enum mutant_format {
    FORMAT_RIGHT,
    FORMAT_F32,
    FORMAT_BF16,
    FORMAT_F16,
    FORMAT_TRUNCATED /* bf16 toward zero */
} mutant_format;

/* What is subtracted from the logits. */
typedef enum mutant_reference {
    REFERENCE_MAXIMUM,
    REFERENCE_LAZY,  /* the maximum, but only once it is off by more than 8 powers of two */
    REFERENCE_FIRST, /* that of the first block */
    REFERENCE_NONE
} mutant_reference;

/* What happens to the sums when the reference moves. */
typedef enum mutant_rescale {
    RESCALE_RIGHT,
    RESCALE_NONE,
    RESCALE_OUTPUT_ALONE,
    RESCALE_SUM_ALONE,
    RESCALE_TWICE
} mutant_rescale;

typedef enum mutant_merge { MERGE_RIGHT, MERGE_AVERAGE, MERGE_WITHOUT_LAST } mutant_merge;

typedef enum mutant_mask {
    MASK_RIGHT,
    MASK_IGNORED,
    MASK_SCALED,   /* added before the scale */
    MASK_INVERTED, /* on keys of tile 0, where it masks or not */
    MASK_CAUSAL    /* besides, keys after the row are masked */
} mutant_mask;

typedef enum mutant_lse {
    LSE_RIGHT,
    LSE_BASE_2,
    LSE_WITHOUT_MAXIMUM,
    LSE_MAXIMUM_ALONE
} mutant_lse;

/* The finished row: o[width] in f32, before it is rounded. */
typedef struct mutant_result {
    float *o, *lse;
    size_t width, index; /* of o; which of the rows that are computed */
    const mutant_place *place;
} mutant_result;

typedef float mutant_dot(const float *a, const float *b, size_t n);

/* Cleared: online softmax over blocks of 64 keys, the map rounded to q's dtype, all else in f32. */
typedef struct mutant {
    const char *name, *about;

    /* How it computes: all of it honest. */
    size_t block, parts; /* keys of a block (0: 64); split-KV: parts merged by their LSE (0: 1) */
    int is_backwards, is_two_pass, uses_exp2, uses_reciprocal, scales_q, sums_rounded;
    int is_fused, is_pairwise; /* products and sums fused; sums in pairs */
    mutant_dot *dot;           /* NULL: 16 partial sums */

    /* What is wrong, or where the contract decides whether it is. */
    mutant_format p, scores, accumulators, output;
    mutant_reference reference;
    mutant_rescale rescale;
    mutant_merge merge;
    mutant_mask mask;
    mutant_lse lse;
    size_t sum_misses; /* this many keys, from key 64 on, are missing in the denominator */
    int sum_has_one;   /* exp(0) is added to the denominator */
    double (*scale)(double scale, size_t width);
    size_t (*length)(size_t valid, size_t keys);
    void (*place)(mutant_place *place);
    void (*route)(mutant_route *route);
    void (*load)(mutant_head *head);
    void (*damage)(const mutant_result *result);
} mutant;

/* The honest variants, and the mutants. Returns: the i-th, or NULL past the last. */
const mutant *mutant_honest_at(size_t i);
const mutant *mutant_broken_at(size_t i);

/* Out: o and lse, as a says. Returns: VDIT_OK, VDIT_ERR_UNSUPPORTED for other outputs, or the failure. */
vdit_status mutant_attention(vdit_run *run, const vdit_attention *a, const mutant *m);

/* Kernels with edits: an honest one, then those whose interventions are wrong. Returns: as above. */
const mutant *mutant_edit_at(size_t i);

/* Out: as a with its edits says, but for what is wrong with the i-th of them. */
vdit_status mutant_edited(vdit_run *run, const vdit_attention *a, size_t i);

/* Out: o and the report, honestly. Returns: VDIT_OK, VDIT_ERR_UNSUPPORTED for an edit it has no code for. */
vdit_status mutant_stored(vdit_run *run, const vdit_attention *a);

/* The softmax of one row. */
typedef struct mutant_softmax {
    const mutant *m;
    vdit_dtype dtype;           /* of q */
    size_t count, width;        /* keys, padded width of a row of values */
    const float *logits;        /* [count], times log2 e if m->uses_exp2 */
    const float *const *values; /* [count] */
    float *p;                   /* memory [count] */
    float *block;               /* memory [width] */
    float *o, *part;            /* Out: o[width]; memory [width] */
    float lse;                  /* Out */
} mutant_softmax;

void mutant_softmax_run(mutant_softmax *s);

/* Returns: x rounded as format says; FORMAT_RIGHT: to right. */
float mutant_round(mutant_format format, vdit_dtype right, float x);

/* Dot products of n channels, a multiple of MUTANT_LANE: with 16 partial sums; fused; in pairs; in
   order. */
mutant_dot mutant_dot_lanes, mutant_dot_fused, mutant_dot_pairs, mutant_dot_in_order;

/* Loads row i of a head of k or v into out[width], padded with zeros. */
void mutant_row_load(float *out, size_t width, const vdit_tensor *t, size_t b, size_t h, size_t i);

/* The faults that the table names; what each does is said there. */
double fault_scale_squared(double scale, size_t width), fault_scale_101(double scale, size_t width),
    fault_scale_one(double scale, size_t width), fault_scale_zero(double scale, size_t width),
    fault_scale_log2e(double scale, size_t width), fault_scale_ln2(double scale, size_t width),
    fault_scale_padded(double scale, size_t width);
size_t fault_length_more(size_t valid, size_t keys), fault_length_less(size_t valid, size_t keys),
    fault_length_all(size_t valid, size_t keys), fault_length_tile(size_t valid, size_t keys);

typedef void fault_place(mutant_place *place);
fault_place fault_row_pairs, fault_row_block, fault_row_tail, fault_row_rotated, fault_mask_row,
    fault_heads_swapped, fault_values_of_head_0, fault_keys_of_half_head, fault_keys_of_batch_0,
    fault_batches_swapped, fault_length_of_batch_0;

typedef void fault_route(mutant_route *route);
fault_route fault_last_key, fault_last_tile, fault_last_64, fault_first_key, fault_every_64th,
    fault_tile_skipped, fault_tile_twice, fault_key_twice, fault_padding, fault_stale_keys,
    fault_stale_values, fault_tiles_swapped, fault_values_shifted, fault_permuted_16,
    fault_permuted_tile, fault_values_rotated, fault_last_stale;

typedef void fault_load(mutant_head *head);
fault_load fault_last_channels, fault_key_channels, fault_other_heads_tile, fault_flushed,
    fault_value_columns;

typedef void fault_damage(const mutant_result *result);
fault_damage fault_gain, fault_gain_998, fault_zeros, fault_nan_row, fault_row_missing,
    fault_channel, fault_block_missing, fault_lse_shifted, fault_one_bit;

#endif
