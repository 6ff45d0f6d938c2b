/*
 * attention/part.h - an edited output as a sum of parts, each with a real factor.
 *
 *     o_i = sum of factor * x_i over the parts whose rows hold the query's segment
 *
 * A part is an attention output, perhaps with a mask after the softmax; the query's own value; the mean of the
 * values; or a row of an explicit map times the values. Each part can be had in three ways, those of the
 * stages: as a double or as a pair with a bound of its error, and in multi-precision (doc/numerics.md, 6).
 */
#ifndef VDIT_ATTENTION_PART_H
#define VDIT_ATTENTION_PART_H

#include "attention/refine.h"

typedef enum vdit_part_kind {
    VDIT_PART_SOFTMAX,
    VDIT_PART_IDENTITY, /* v_i */
    VDIT_PART_MEAN,     /* a mean of the values */
    VDIT_PART_EXPLICIT  /* sum_j map_ij v_j */
} vdit_part_kind;       /* doc/numerics.md, section 6 */

/* The mean of the values over some keys of a head, per channel. */
typedef struct vdit_mean {
    vdit_mp *value, *size; /* [dv] the mean, and that of |v| */
    vdit_pair *pair;       /* [dv] */
    double *bound;         /* [dv] at least size */
} vdit_mean;

/* Which keys a mean runs over. */
enum { VDIT_MEAN_VALID, VDIT_MEAN_PADDED, VDIT_MEAN_VIDEO, VDIT_MEAN_TEXT, VDIT_MEAN_COUNT };

/* One head that parts attend with, and what stage 0 leaves for stage 1. */
typedef struct vdit_source {
    vdit_attention call; /* one head: B = H = 1 */
    vdit_head head;
    vdit_rows rows; /* top of each row; o is shared by all */
} vdit_source;

typedef struct vdit_part {
    vdit_part_kind kind;
    unsigned rows; /* segments of the queries that it applies to */
    vdit_mp factor;
    vdit_pair pair;         /* the factor to 2^-100 */
    vdit_source *source;    /* whose q, k and v (weighted, aligned) */
    vdit_source *own;       /* whose v is the call's own */
    size_t room;            /* the source's number */
    const vdit_mean *means; /* [VDIT_MEAN_COUNT] of own */
    int mean;               /* which of them; explicit: unused */
    vdit_post *post;        /* softmax: NULL, or the mask after it */
    int segments;           /* what is lost goes to the means of the segments it was lost in */
    const vdit_tensor *map; /* explicit: f32 [1,1,R,Nk] */
} vdit_part;

/* What one thread needs for each source. */
typedef struct vdit_room {
    vdit_walk walk;
    vdit_refine refine;
    vdit_post_panel *panels; /* [VDIT_STREAM_PANELS] */
    vdit_post_sums *sums;    /* [lanes] */
    unsigned char *keep;     /* [Nk + VDIT_TILE nr] */
} vdit_room;

/* Sums over the parts for some rows: [lanes][dv]. */
typedef struct vdit_blend {
    vdit_pair *value;
    double *error; /* of value */
    double *
        size; /* at least the sum of the magnitudes of all terms, of what the snap rule's C is made */
} vdit_blend;

vdit_status vdit_room_new(vdit_run *run, vdit_room *room, const vdit_head *head);
double vdit_room_bytes(const vdit_attention *call);

/* Out: the means of a loaded head, in the run's memory. Returns: VDIT_OK or the failure. */
vdit_status vdit_means_new(vdit_run *run, vdit_mean means[VDIT_MEAN_COUNT], const vdit_head *head);
void vdit_means_load(vdit_mean means[VDIT_MEAN_COUNT], const vdit_head *head);

/* Stage 0: adds the part for rows first .. first + rows - 1. */
void vdit_part_stream(const vdit_part *part, vdit_room *room, vdit_blend *blend, size_t first,
                      size_t rows);

/* Stage 1: adds the part for the rows in list, in the channels that are open in its source's rows. */
void vdit_part_refine(const vdit_part *part, vdit_room *room, vdit_blend *blend, const size_t *list,
                      size_t count);

/* Stage 2: value and size += the part, for row r and channel c; its row is loaded in room->walk.last. */
void vdit_part_exact(const vdit_part *part, vdit_room *room, size_t r, size_t c, vdit_mp *value,
                     vdit_mp *size);

/* Loads row r for stage 2: weights of the softmax and what the mask keeps. Returns: how many are kept. */
size_t vdit_part_load(const vdit_part *part, vdit_room *room, size_t r);

/* Returns: 1 if the part applies to row r. */
int vdit_part_has(const vdit_part *part, size_t r);

#endif
