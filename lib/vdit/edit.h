/*
 * vdit/edit.h - what an intervention changes in one head of an attention call, as data.
 *
 * The edited output of query i, for a head with gate g, is
 *
 *     o_i = g [ (1 - u) ((1 - w) sum_j M(a)_ij y_j v_j + w R_i) + u sum_j a'_ij v'_j ]
 *
 *     a    the map of (q, k) at the scale / temperature over the keys that are kept before the softmax
 *     M    the mask after the softmax: entries are kept or dropped, and what is lost goes where `lost` says
 *     y    a weight for each key (prompt-to-prompt: reweight, refine)
 *     R    the replacement: alpha I + (1 - alpha) U
 *     a'   the map of a source call; v'_j' = sum_j align_j'j v_j, or v where nothing is aligned
 *
 * The order is that of the definitions register: temperature, mask before the softmax, softmax, mask after it,
 * I and U, the transferred map, times V, gate. Every part is off in a cleared edit (vdit_edit_init), and an
 * edit that is off gives the bits of the plain call. u, w, alpha, g and the weights are taken as exact real
 * numbers and o is rounded once (doc/numerics.md, section 6). Source: definitions C10 to C26, C31, C46 to C50.
 */
#ifndef VDIT_EDIT_H
#define VDIT_EDIT_H

#include <vdit/tensor.h>

/*
 * What the tokens of a call are: frames x height x width video tokens, t outermost, and text tokens
 * before or after them. All 0: not declared, and each token counts as video. An axis of N tokens is joint if N is their
 * sum, video or text alone if N is one of the two (video, where both are N).
 */
typedef struct vdit_tokens {
    size_t frames, height, width;
    size_t text;
    int text_first;
} vdit_tokens;

/* The two kinds of tokens, as bits: sets of queries or keys. */
enum { VDIT_VIDEO = 1, VDIT_TEXT = 2, VDIT_ANY = 3 };

/* Operands that an edit takes from the source call, as bits. */
enum { VDIT_FROM_Q = 1, VDIT_FROM_K = 2, VDIT_FROM_V = 4 };

/* The four blocks of a joint map, query first, as bits. */
enum { VDIT_BLOCK_VV = 1, VDIT_BLOCK_VT = 2, VDIT_BLOCK_TV = 4, VDIT_BLOCK_TT = 8 };

/*
 * How a designed mask chooses the video keys (t', y', x') of a video query (t, y, x). The formulas and their sources
 * are in vdit-plan(7).
 */
typedef enum vdit_pattern_kind {
    VDIT_PATTERN_TILES,      /* by tiles, for all tokens: entry (i / rows, j / columns) of a mask */
    VDIT_PATTERN_SLIDING,    /* window[3] tiles of tile[3] tokens around the query's own */
    VDIT_PATTERN_RADIAL,     /* a width in a frame that halves as |t - t'| doubles */
    VDIT_PATTERN_SPATIAL,    /* |y - y'| <= window[1], |x - x'| <= window[2], any t' */
    VDIT_PATTERN_TEMPORAL,   /* |t - t'| <= window[0], any y', x' */
    VDIT_PATTERN_FIRST_FRAME /* t' = 0 */
} vdit_pattern_kind;

/* One designed mask. */
typedef struct vdit_pattern {
    vdit_pattern_kind kind;
    size_t tile[3], window[3]; /* of sliding in (t, y, x); windows of spatial and temporal too */
    const vdit_tensor *tiles;  /* of tiles: bool [ceil(Nq / rows), ceil(Nk / columns)], 1 keeps */
    size_t rows, columns;      /* of tiles: tokens of one */
    double decay;              /* of radial: a factor of the width, 1 in the paper */
} vdit_pattern;

/* When a designed mask, a dropped block or a frozen mask acts. */
typedef enum vdit_moment {
    VDIT_BEFORE_SOFTMAX, /* the logit is -inf: the rest is renormalised */
    VDIT_AFTER_SOFTMAX   /* the entry is dropped; `lost` says where its mass goes */
} vdit_moment;

/* What is over in a row after entries were dropped (C19). */
typedef enum vdit_lost {
    VDIT_LOST_DROPPED,      /* nothing: the row sums to its kept mass */
    VDIT_LOST_RENORMALISED, /* the row is divided by its kept mass */
    VDIT_LOST_DIAGONAL,     /* to the query's own key */
    VDIT_LOST_UNIFORM       /* evenly to all valid keys */
} vdit_lost;

/* Bottom-k masking: entries below a threshold are dropped (C18 to C25). */
typedef enum vdit_prune {
    VDIT_PRUNE_NONE,
    VDIT_PRUNE_FRACTION,  /* threshold: the entry at place floor(fraction M) of the M sorted ones */
    VDIT_PRUNE_THRESHOLD, /* threshold given: that of another pass */
    VDIT_PRUNE_MASK       /* entries given as bits: a frozen mask */
} vdit_prune;

/* Which entries are sorted together (C18). */
typedef enum vdit_scope {
    VDIT_SCOPE_HEAD,
    VDIT_SCOPE_ROW,
    VDIT_SCOPE_FRAME, /* the rows of one frame together, and the text rows */
    VDIT_SCOPE_GLOBAL /* all heads and batches of the call */
} vdit_scope;

/* What happens to entries that equal the threshold (C22). */
typedef enum vdit_ties {
    VDIT_TIES_KEPT,
    VDIT_TIES_COUNT, /* exactly floor(fraction M) are dropped: of equal ones those at lower places */
    VDIT_TIES_LINEAR /* the threshold is interpolated between places, as numpy's quantile, and rounded to f32 */
} vdit_ties;

/* How I reads in joint attention (C46), and U (C47). */
typedef enum vdit_identity {
    VDIT_IDENTITY_FULL,      /* o_i = v_i for every row */
    VDIT_IDENTITY_VIDEO_CUT, /* video rows v_i; text rows as they are */
    VDIT_IDENTITY_VIDEO_MOVE /* video rows: mass on video keys moves to the own key, text entries stay */
} vdit_identity;

typedef enum vdit_uniform {
    VDIT_UNIFORM_VALID,  /* 1 / (valid keys) */
    VDIT_UNIFORM_PADDED, /* 1 / Nk, padding included */
    VDIT_UNIFORM_SEGMENTS /* evenly within the video and within the text keys, each keeping its mass */
} vdit_uniform;

typedef struct vdit_edit {
    size_t size; /* of this struct, set by init */
    vdit_tokens tokens;
    unsigned queries; /* rows that are edited: VDIT_VIDEO | VDIT_TEXT; the others stay plain */

    /* transfer: the call's q, k or v are those of the source call (C10), of the call's shapes; where a map is mixed in
       with an alignment, source_k may have other keys */
    unsigned transfer; /* VDIT_FROM_... */
    const vdit_tensor *source_q, *source_k, *source_v;

    /* 1: none. Logits are q.k (scale / T), the quotient rounded to binary64. 0: the largest logits of a row share it
       evenly (C26) */
    double temperature;

    /* keys that take part: before the softmax */
    const vdit_tensor *keys; /* NULL, or bool [Nk]: 1 takes part */
    size_t first_text;       /* not 0: only so many of the text keys take part (C16, C17) */

    /* designed masks: an entry is kept if one of the patterns keeps it; one with text in it is kept (text is dense) or,
       with text_masked, kept by none but tiles */
    const vdit_pattern *patterns;
    size_t pattern_count;
    int text_masked;
    vdit_moment pattern_moment;
    unsigned dropped_blocks; /* VDIT_BLOCK_... */
    vdit_moment block_moment;

    /* the mask after the softmax */
    vdit_prune prune;
    double fraction; /* 0 to 1 */
    vdit_scope scope;
    vdit_ties ties;
    const vdit_tensor *threshold; /* f32 [B,H,1] or [B,H,R] */
    vdit_moment keep_moment;      /* when a frozen mask acts */
    const vdit_tensor *keep;      /* u8 [B,H,R,ceil(Nk/8)]: bit j % 8 of byte j / 8, 1 keeps */
    unsigned prunable; /* the blocks whose entries count and may be dropped (C23); 0: all */
    int keep_maximum; /* a row left empty keeps its largest entry; else it is 0 and counted (C25) */
    vdit_lost lost;

    /* weights of keys, and the replacement */
    const vdit_tensor *key_weight; /* y: NULL, or f32 [Nk], finite */
    double replace;                /* w, 0 to 1 */
    double alpha;                  /* of I: 1 is I, 0 is U */
    vdit_identity identity;
    vdit_uniform uniform;

    /* the map of a source call: of source_q [B,H,Nq,d] and source_k [B,H,Nk',d], or an explicit one */
    double mix;   /* u, 0 to 1 */
    int mix_adds; /* 1: the own part is not weakened by 1 - u (prompt-to-prompt, refine) */
    const vdit_tensor *source_map; /* f32 [B,H,R,Nk], finite */
    const vdit_tensor *align;      /* NULL: Nk' = Nk and v' = v; or f32 [Nk', Nk], finite */

    double gate; /* g: 0 skips the head, 1 leaves it */
} vdit_edit;

/* Out: edit, with every part off. */
VDIT_API void vdit_edit_init(vdit_edit *edit);

/* Returns: 1 if the edit changes nothing, so that the plain call gives its bits. */
VDIT_API int vdit_edit_is_off(const vdit_edit *edit);

/* Returns: 1 if the edit drops entries of the map at that moment. */
VDIT_API int vdit_edit_drops(const vdit_edit *edit, vdit_moment moment);

/*
 * What an edited call says beside its output; each may be NULL. All are facts: rounded once, or counts. Rows
 * without a mask after the softmax have kept mass 1 and nothing masked.
 */
typedef struct vdit_edit_report {
    size_t size;            /* of this struct */
    vdit_tensor *threshold; /* f32 [B,H,R]: what the row's entries were compared with */
    vdit_tensor *masked;    /* i64 [B,H,R]: valid entries that were dropped after the softmax */
    vdit_tensor *kept_mass; /* f32 [B,H,R]: sum of the map's entries that were kept */
    vdit_tensor *keep;      /* u8 [B,H,R,ceil(Nk/8)], as vdit_edit.keep */
    /* u8, likewise: entries so near to the threshold that the noise of the call's contract could move them across */
    vdit_tensor *free;
    vdit_tensor *renormalised; /* [B,H,R,dv]: o with the kept mass divided out (C19) */
    /* f32 [B,H,R]: mass of the dense map (same temperature) on the keys that a mask before the softmax keeps: the score
       of a designed mask */
    vdit_tensor *dense_mass;
} vdit_edit_report;

#endif
