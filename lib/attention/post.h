/*
 * attention/post.h - the mask after the softmax: which entries of a head's map an edit keeps.
 *
 * An entry is dropped by its place (a block, a designed mask, a frozen mask) or by its value: its f32 rounding
 * is compared with the threshold of its row. So who is kept is a fact. Stages 0 and 1 read it off their
 * weights where these are clear of the threshold, and ask the last stage where they are not.
 */
#ifndef VDIT_ATTENTION_POST_H
#define VDIT_ATTENTION_POST_H

#include "attention/walk.h"

typedef struct vdit_post {
    const vdit_head *head;
    unsigned blocks;   /* dropped, VDIT_BLOCK_... */
    int places;        /* 1: what the edit drops by place after the softmax is dropped */
    unsigned prunable; /* blocks whose entries are compared; 0: none */
    const double *tau; /* [R] thresholds, an f32 or +inf each; or NULL */
    /* [R], or NULL: so many entries equal to tau are dropped, lowest keys first */
    const uint64_t *quota;
    int frozen; /* 1: what the edit's frozen mask does not keep is dropped */
    const double
        *near; /* [R][2], or NULL: entries from the first on and below the second are free */
    vdit_tensor *free; /* where near is: the bits of those, set in stage 0 */
    vdit_tensor *kept; /* NULL, or the bits to be reported, as keep: stage 0 sets them */
    int keep_maximum;  /* an empty row keeps its largest entry */
    vdit_lost lost;
    double *sum,
        *error; /* [R] stage 0's sum of weights of each row, and its entries' relative error */
} vdit_post;

/* What becomes of an entry by its place; absent: masked before the softmax, no entry at all. */
enum { VDIT_PLACE_DROPPED, VDIT_PLACE_KEPT, VDIT_PLACE_COMPARED, VDIT_PLACE_ABSENT };

/* Sums of one row over its entries after the mask, of weights in units of its own. */
typedef struct vdit_post_sums {
    double kept, kept_low;       /* low: the second word of a pair, in stage 1 */
    double lost[2], lost_low[2]; /* on video keys and on text keys */
    size_t kept_count, count;    /* entries kept, and valid ones */
} vdit_post_sums;

/* Thresholds of a lane in units of its weights. */
typedef struct vdit_post_lane {
    double near_low[2], near_high[2]; /* around the two of near */
    size_t r;                         /* the row, or SIZE_MAX: no row */
    double low, high;                 /* around tau */
    double low2, high2;               /* around the next f32 above tau */
    uint64_t quota;                   /* equal entries that are still to be dropped */
} vdit_post_lane;

/* The lanes of a panel while it passes over the tiles. */
typedef struct vdit_post_panel {
    const vdit_post *post;
    vdit_walk *walk;                         /* whose last stage settles what is open */
    vdit_post_lane lane[VDIT_KERNEL_NR_MAX]; /* of the panel */
    unsigned char place[VDIT_TILE], *keep;   /* keep: [VDIT_TILE][nr] after vdit_post_tile */
    vdit_post_sums *sums;                    /* [nr] */
} vdit_post_panel;

/* Out: place[count] of the packed keys from first on, for row r. */
void vdit_post_place(const vdit_post *post, size_t r, size_t first, size_t count,
                     unsigned char *place);

/* Begins lane i of a panel with row r (SIZE_MAX: none), whose sum and error are in post. */
void vdit_post_begin(vdit_post_panel *panel, size_t i, size_t r);

/*
 * Out: panel->keep for tile t; dropped weights become 0; sums go on. In: weight (and low, NULL in stage 0) [keys][nr].
 */
void vdit_post_tile(vdit_post_panel *panel, size_t t, double *weight, double *low);

/* Out: keep[keys] of row r in the last stage, whose weights are loaded. Returns: how many are kept. */
size_t vdit_post_exact(const vdit_post *post, const vdit_last *last, unsigned char *keep);

/* Sets the bits of the kept keys of row r in post->kept, which are all 0. */
void vdit_post_mark(const vdit_post *post, const unsigned char *keep, size_t r);

#endif
