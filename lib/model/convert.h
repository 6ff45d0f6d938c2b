/*
 * model/convert.h - checkpoints of the original repositories: the same numbers under other names, at times several
 * tensors in one.
 *
 * A family lists rules as data, from the names here to those there. The first rule of a name whose original is in the
 * file counts, so that two layouts of one family may stand in one list.
 */
#ifndef VDIT_MODEL_CONVERT_H
#define VDIT_MODEL_CONVERT_H

#include <vdit/model.h>

#define VDIT_CONVERT_PARTS 12

/*
 * How a tensor comes from one of the original. "{}" in the names stands for a number, the same in both; of several the
 * i-th is the i-th. The elements are the original's in row-major order, so that a shape may differ where the product does
 * not.
 */
typedef struct vdit_convert_rule {
    const char
        *to; /* "blocks.{}.attn1.to_q.weight"; NULL: names that fit the pattern from are left out */
    const char *from; /* "blocks.{}.self_attn.q.weight" */
    size_t parts; /* 0: as it is; else the original's first axis is cut into so many equal parts */
    const char *take; /* and these follow each other: "0", "1"; "b" and so on from the tenth on */
} vdit_convert_rule;

/* Where a tensor comes from. */
typedef struct vdit_convert_source {
    const vdit_tensor *from;
    size_t parts, count;             /* parts at least 1, count of them taken */
    size_t take[VDIT_CONVERT_PARTS]; /* which */
} vdit_convert_source;

/*
 * Finds the original of each tensor. In: rules, ended by from NULL, or NULL: the names are the same; wanted[count].
 * Out: sources[count]. Returns: VDIT_OK; or VDIT_ERR_FORMAT, naming the first tensor that has none, that does not fit,
 * or of the file that no rule takes.
 */
vdit_status vdit_convert_match(vdit_run *run, const char *path, const vdit_file *file,
                               const vdit_convert_rule *rules, const vdit_named *wanted,
                               size_t count, vdit_convert_source *sources);

/* Out: out[count] in dtype: elements of the tensor from first on. */
void vdit_convert_read(const vdit_convert_source *source, vdit_dtype dtype, size_t first,
                       size_t count, void *out);

#endif
