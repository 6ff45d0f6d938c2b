/*
 * vdit/judge.h - is this difference normal? A backend's outputs against goldens, element by element.
 *
 * Every element has its own yardstick: sigma, the standard deviation of the error that an honest
 * kernel of the declared contract commits there. What is judged is z = |error| / sigma. The noise
 * model, the limits with their reasons, and what was measured are in doc/conformance.md.
 *
 * The judge fails closed: cleared memory is a failure, every comparison is !(error <= limit), and
 * nothing compared is not a pass.
 */
#ifndef VDIT_JUDGE_H
#define VDIT_JUDGE_H

#include <vdit/golden.h>

typedef enum vdit_verdict {
    VDIT_FAILS = 0,
    VDIT_INCONCLUSIVE, /* a broken backend could have passed: never a pass */
    VDIT_HOLDS
} vdit_verdict;

/* Returns: "fails", "inconclusive" or "holds". */
VDIT_API const char *vdit_verdict_name(vdit_verdict verdict);

/* The thresholds: one for all shapes, lengths, dtypes and inputs. */
typedef struct vdit_limits {
    double z;      /* of one element */
    double rms;    /* of all elements: sum z^2 <= count (rms^2 + z^2 / rows) */
    double bias;   /* of the common gain, in sigmas of a typical element */
    double errors; /* standard errors of the gain that are allowed beside */
    size_t rows;   /* rows below which no gain is judged */
} vdit_limits;

/* Returns: the limits that the judge uses. */
VDIT_API const vdit_limits *vdit_judge_limits(void);

/*
 * What two tensors differ by. A row is a run along the last axis. The gain is the least-squares
 * factor of error = gain * golden under the weights 1 / sigma^2; bias = |gain| in units of what
 * sigma is of the golden, bias_error its standard error as the rows scatter.
 */
typedef struct vdit_difference {
    size_t count, rows;             /* elements and rows */
    size_t unequal;                 /* elements with other bits; NaN equals NaN */
    size_t specials;                /* elements where NaN or an infinity stands on one side alone */
    double z;                       /* the worst: infinite at a special or an error without sigma */
    size_t where[VDIT_MAX_RANK];    /* the index of the worst, 0 without any error */
    double golden, actual, sigma;   /* there */
    double rms;                     /* root of the mean z^2 */
    double gain, bias, bias_error;  /* as above; 0 where nothing has a sigma */
    double error, ulps, l2, cosine; /* max |error|, max distance in units of the last place of the
                                         golden's dtype, relative L2 error, cosine similarity */
} vdit_difference;

/*
 * Out: difference. In: golden and actual of one dtype and shape; sigma of a float type and the same
 * shape, or NULL for 0 everywhere.
 * Returns: VDIT_OK, VDIT_ERR_SHAPE, VDIT_ERR_DTYPE, VDIT_ERR_MEMORY.
 */
VDIT_API vdit_status vdit_difference_measure(vdit_run *run, vdit_difference *difference,
                                             const vdit_tensor *golden, const vdit_tensor *actual,
                                             const vdit_tensor *sigma);

/* The rules, in the order in which they are applied. */
typedef enum vdit_rule {
    VDIT_RULE_NONE = 0,
    VDIT_RULE_FORM,    /* there, of the golden's dtype and shape */
    VDIT_RULE_SPECIAL, /* NaN and infinities where the golden has them */
    VDIT_RULE_BITS,    /* exact: equal bits */
    VDIT_RULE_Z,
    VDIT_RULE_RMS,
    VDIT_RULE_GAIN
} vdit_rule;

/* One tensor judged. */
typedef struct vdit_finding {
    vdit_verdict verdict; /* never inconclusive: that is said of a case */
    vdit_rule rule;       /* the first that is broken */
    char reason[160];     /* which rule failed, with both numbers; "" if it holds */
    int measured;         /* 0 if the tensors could not be compared: difference is cleared */
    vdit_difference difference;
} vdit_finding;

/*
 * Judges one tensor: missing, dtype, shape, NaN and infinities, bits (without sigma), then z, rms
 * and gain. Out: finding. In: golden, actual (NULL: missing), sigma (NULL: equal bits demanded).
 * Returns: VDIT_OK if it could be judged, whatever was found.
 */
VDIT_API vdit_status vdit_tensor_judge(vdit_run *run, vdit_finding *finding,
                                       const vdit_tensor *golden, const vdit_tensor *actual,
                                       const vdit_tensor *sigma);

/*
 * A stand-in for sigma where nothing is known of how a tensor was made: the contract's rounding,
 * relative to the root of (element^2 + mean square of its row). Weaker than the noise model.
 * Out: sigma, f64, the shape of golden. In: golden (f32, bf16, f16 or f64), contract (NULL: by dtype).
 * Returns: VDIT_OK, VDIT_ERR_DTYPE, VDIT_ERR_MEMORY.
 */
VDIT_API vdit_status vdit_sigma_guess(vdit_run *run, vdit_tensor *sigma, const vdit_tensor *golden,
                                      const vdit_contract *contract);

/* One case judged. */
typedef struct vdit_case_finding {
    const char *name;
    vdit_operator op;
    const vdit_contract *contract;
    vdit_verdict verdict;
    char reason[192];  /* "" if it holds */
    vdit_finding main; /* o, y or c */
    int rank;          /* of that tensor */
    int has_lse;
    vdit_finding lse;
    size_t observed;      /* further tensors that were judged: of the mask of a plan, of meters */
    int64_t row, lse_row; /* attention: the query rows of the two worst elements */
    const char *trivial;  /* NULL, or the answer without work that is the right one here */
    double ratio;         /* by vdit_case_ratio; until then NaN: not known */
} vdit_case_finding;

/*
 * Judges one case. It is inconclusive if it holds but an answer without work (0; for attention
 * also the mean of V over the valid keys) would hold too without being the right one.
 * Out: finding. In: golden with inputs and outputs; contract (NULL: the golden's own; else sigma is
 * computed anew where it differs); actual[count], the backend's tensors by name.
 * Returns: VDIT_OK if it could be judged, whatever was found.
 */
VDIT_API vdit_status vdit_case_judge(vdit_run *run, vdit_case_finding *finding,
                                     const vdit_golden *golden, const vdit_contract *contract,
                                     const vdit_named *actual, size_t count);

/*
 * The 2x rule of half-precision test suites, which judges nothing here: the largest error over that of
 * attention computed plainly in the inputs' half precision, on evenly spread rows.
 * Out: finding->ratio; it stays NaN for f32 and other operators. In: as judged.
 * Returns: VDIT_OK or the failure.
 */
VDIT_API vdit_status vdit_case_ratio(vdit_run *run, vdit_case_finding *finding,
                                     const vdit_golden *golden, const vdit_named *actual,
                                     size_t count);

/* What a case says of the contract that a backend keeps. */
typedef struct vdit_grade {
    size_t
        level; /* the strictest contract under which it does not fail, vdit_contract_at(level); or
                     VDIT_GRADE_NONE */
    vdit_case_finding finding; /* under that contract, or under the weakest that fits the dtype */
    uint32_t
        told; /* bit i: these inputs could have told contract i from the next weaker that fits */
} vdit_grade;

#define VDIT_GRADE_NONE SIZE_MAX

/*
 * Judges a case by every contract that fits its dtype, from the strictest on, until one holds.
 * Out: grade. In: golden with inputs and outputs; actual[count]. It takes the reference's time once per
 * contract, for sigma.
 * Returns: VDIT_OK if it could be judged, whatever was found.
 */
VDIT_API vdit_status vdit_case_grade(vdit_run *run, vdit_grade *grade, const vdit_golden *golden,
                                     const vdit_named *actual, size_t count);

/* The operator of a pair of tensors, of which nothing is known. */
#define VDIT_OP_NONE ((vdit_operator)VDIT_OPERATOR_COUNT)

/*
 * Judges a pair of tensors as a case of its own, trivial if all of expected is 0.
 * Out: finding. In: name; expected; actual (NULL: missing); sigma (NULL: vdit_sigma_guess; floats
 * only, other types are compared bit by bit); contract (NULL: by dtype).
 * Returns: VDIT_OK if it could be judged, whatever was found.
 */
VDIT_API vdit_status vdit_pair_judge(vdit_run *run, vdit_case_finding *finding, const char *name,
                                     const vdit_tensor *expected, const vdit_tensor *actual,
                                     const vdit_tensor *sigma, const vdit_contract *contract);

/* A case whose outputs could not even be read. Out: finding, failed with the reason. */
VDIT_API void vdit_case_refuse(vdit_case_finding *finding, const char *name, vdit_operator op,
                               const vdit_contract *contract, const char *reason);

/* The findings of a run over cases, added up. Cleared memory is the start. */
typedef struct vdit_tally {
    size_t hold, fail, inconclusive, waived;
    uint32_t
        seen[VDIT_OPERATOR_COUNT + 1]; /* a bit per contract that was judged with this operator;
                                               the last operator is VDIT_OP_NONE */
    uint32_t told[VDIT_OPERATOR_COUNT + 1]; /* ... by a case that holds and could have failed */
} vdit_tally;

/* Adds a case; waived is not 0 if a failure was expected and counts as neither. */
VDIT_API void vdit_tally_add(vdit_tally *tally, const vdit_case_finding *finding, int waived);

/*
 * Returns: the verdict of all: fails if one failed; holds if none was inconclusive and for each
 * operator and contract some case could have told; else inconclusive, also without any case.
 */
VDIT_API vdit_verdict vdit_tally_verdict(const vdit_tally *tally);

/* One activation of two traces. */
typedef struct vdit_trace_line {
    const char *name;
    int agrees, missing;
    int measured;     /* 0 if it is missing or cannot be compared: the numbers are 0 */
    char reason[160]; /* why it does not agree, with the numbers; "" if it does */
    size_t count, unequal,
        specials;     /* elements; of other values; with NaN or an infinity on one side alone */
    double rms, peak; /* of |actual - expected|: root mean square, the largest */
    double size;      /* root mean square of expected */
    double sigma, sigma_peak; /* the same of an honest kernel's noise */
    double z, z_peak;         /* rms / sigma, peak / sigma_peak */
    int rank;
    size_t where[VDIT_MAX_RANK]; /* of the largest */
    double expected, actual;     /* there */
} vdit_trace_line;

/* Two traces. */
typedef struct vdit_trace_finding {
    vdit_verdict verdict;
    vdit_trace_line *lines; /* [count], in the order of execution, in the run's memory */
    size_t count;
    size_t first;         /* line: the first that diverges; count if none does */
    size_t first_unequal; /* the first with another value at all; count if none has */
    size_t compared, diverging, missing; /* lines */
    size_t more;                         /* activations of actual that expected lacks */
    const char *noise;                   /* the contract whose noise is the yardstick */
    int guessed;                         /* 1: no trace has a sigma, and it was guessed */
    char text[400];                      /* what it comes to, as a sentence or two */
} vdit_trace_finding;

/*
 * Judges a trace (vdit-trace(5)) by another, activation by activation in the order of execution. The yardstick is the sigma of
 * expected, else of actual: an activation diverges if the root mean square or the largest of its distances exceeds the judge's
 * limit for z times that of the noise, or if NaN or infinities are elsewhere. Without any sigma one is guessed from the
 * contract's units and the number of activations before; then what agrees is inconclusive.
 * Out: finding. In: pattern of names (vdit_name_matches) or NULL; contract for the guess, or NULL: by dtype.
 * Returns: VDIT_OK if it could be judged, whatever was found.
 */
VDIT_API vdit_status vdit_trace_judge(vdit_run *run, vdit_trace_finding *finding,
                                      const vdit_file *expected, const vdit_file *actual,
                                      const char *pattern, const vdit_contract *contract);

/* Returns: 1 if the file says that it is a trace. */
VDIT_API int vdit_file_is_trace(const vdit_file *file);

#endif
