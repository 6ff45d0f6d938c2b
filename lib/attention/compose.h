/*
 * attention/compose.h - from an edit of one head to the parts of its output.
 */
#ifndef VDIT_ATTENTION_COMPOSE_H
#define VDIT_ATTENTION_COMPOSE_H

#include "attention/part.h"

/* Parts beside those of the source map. */
#define VDIT_PARTS 8

typedef struct vdit_composition {
    const vdit_edit *edit;
    size_t source_count;  /* own, own with weighted values, then the layers of the source map */
    vdit_source *sources; /* [source_count]; the first is own */
    size_t part_count;
    vdit_part *parts;
    vdit_mean means[VDIT_MEAN_COUNT];
    vdit_post posts[3];      /* of the map, and of I and U where these need one */
    const vdit_part *pruned; /* the part that the report speaks of, or NULL */
    unsigned char *open;     /* [R][dv], shared by all sources */
} vdit_composition;

/*
 * Out: c, made ready for the stages. In: call, of one head (B = H = 1) with its own edit, source tensors cut to this head;
 * tau and quota [R] as in post.h, NULL where nothing is compared; report: NULL, or what is to be said of the
 * mask after the softmax, though it may keep everything.
 * Returns: VDIT_OK or the failure.
 */
vdit_status vdit_compose(vdit_run *run, vdit_composition *c, const vdit_attention *call,
                         const double *tau, const uint64_t *quota, const vdit_edit_report *report);

#endif
