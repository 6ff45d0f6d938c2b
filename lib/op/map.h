/*
 * op/map.h - operators whose elements are short sums of products: exact in binary64 but for one rounding to odd,
 * so that one pass decides them all (doc/numerics.md, 10.1).
 */
#ifndef VDIT_OP_MAP_H
#define VDIT_OP_MAP_H

#include "op/lines.h"

/*
 * Out: y[n per], numbers that round into any format as the real results do. In: a[n per], b[n], c[n]; per is the
 * map's.
 */
typedef void vdit_map_fn(size_t n, double *y, const double *a, const double *b, const double *c);

/* The same in binary32, for what promises no bits; kind is the map's. */
typedef void vdit_map_single_fn(int kind, size_t n, float *y, const float *a, const float *b,
                                const float *c);

/* y and a have one shape; b and c are broadcast to it, where per elements of the last axis share one of theirs. */
typedef struct vdit_map {
    const char *op;
    const char *name[3]; /* of a, b, c, for messages */
    size_t per;
    double missing; /* what stands for a c that is NULL */
    vdit_map_fn *fn;
    vdit_map_single_fn *single; /* computes in place of fn, unless NULL */
    int kind;
} vdit_map;

/*
 * Out: y. In: a; b; c or NULL. Returns: VDIT_OK, VDIT_ERR_SHAPE, VDIT_ERR_DTYPE, VDIT_ERR_MEMORY; y is untouched
 * then.
 */
vdit_status vdit_map_run(vdit_run *run, const vdit_map *map, vdit_tensor *y, const vdit_tensor *a,
                         const vdit_tensor *b, const vdit_tensor *c);

#endif
