/*
 * vdit/explain.h - not only that a kernel is wrong, but how: which fault reproduces what it gave.
 *
 * The worst rows of a case are computed again in binary64 under one fault after the other: another scale,
 * keys missing, values of another tile, a mask ignored; for a case with a plan, an edit that is done wrong. The fault
 * under which least of the residual is left is named. Source and measurements: doc/conformance.md.
 */
#ifndef VDIT_EXPLAIN_H
#define VDIT_EXPLAIN_H

#include <vdit/judge.h>

/* What explains a residual best. */
typedef struct vdit_explanation {
    const char *hypothesis; /* "scale", "keys missing", ...; NULL if nothing explains half of it */
    char text[160];         /* "keys 32704..32767 missing" */
    double share;           /* of the residual's sum of z^2 that is explained, 0 to 1 */
    double rms;             /* rms z that is left; an honest kernel has about 1 or less */
    size_t batch, head;     /* the head that was looked at, that of the largest residual */
    size_t rows;            /* how many of its rows, the worst ones */
} vdit_explanation;

/* Returns: the name of the i-th hypothesis, or NULL past the last. */
VDIT_API const char *vdit_hypothesis_at(size_t i);

/*
 * Out: explanation. In: golden, an attention case with inputs and outputs; sigma (NULL: the golden's own);
 * actual[count], the backend's o and perhaps lse.
 * Returns: VDIT_OK, VDIT_ERR_FORMAT if there is nothing to explain, VDIT_ERR_MEMORY.
 */
VDIT_API vdit_status vdit_case_explain(vdit_run *run, vdit_explanation *explanation,
                                       const vdit_golden *golden, const vdit_tensor *sigma,
                                       const vdit_named *actual, size_t count);

/* Along what a residual is added up. */
typedef enum vdit_profile_axis {
    VDIT_PROFILE_HEADS, /* batch * H + head */
    VDIT_PROFILE_ROWS,  /* tiles of 64 query rows */
    VDIT_PROFILE_CHANNELS
} vdit_profile_axis;

/*
 * The rms z of parts of an output: NaN and infinities that do not agree make it infinite.
 * Out: *rms, *count numbers of the run's memory. In: golden, an attention case; sigma (NULL: the
 * golden's own); o, of the golden's dtype and shape.
 * Returns: VDIT_OK, VDIT_ERR_SHAPE, VDIT_ERR_MEMORY.
 */
VDIT_API vdit_status vdit_case_profile(vdit_run *run, double **rms, size_t *count,
                                       const vdit_golden *golden, const vdit_tensor *sigma,
                                       const vdit_tensor *o, vdit_profile_axis axis);

/*
 * A picture of the residual: z of each channel, rows of all heads below each other, so many to a line that
 * there are at most `lines`; NaN where a NaN or an infinity stands on one side alone.
 * Out: picture, f32 [lines or fewer, dv]. In: as above. Returns: as above.
 */
VDIT_API vdit_status vdit_case_residual(vdit_run *run, vdit_tensor *picture,
                                        const vdit_golden *golden, const vdit_tensor *sigma,
                                        const vdit_tensor *o, size_t lines);

#endif
