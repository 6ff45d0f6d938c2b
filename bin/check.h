/* check.h - what the files of vdit-check share. */
#ifndef CHECK_H
#define CHECK_H

#include <vdit/explain.h>
#include "program.h"

/* An expected failure. */
typedef struct check_waiver {
    const char *pattern; /* shell pattern of case names */
    const char *reason;
    const char *expires; /* YYYY-MM-DD, the last day on which it counts */
    int is_expired, was_used;
} check_waiver;

typedef struct check_waivers {
    size_t count;
    check_waiver *list;
} check_waivers;

/* Reads a file of waivers, or fails with a line that says where it is not what vdit-check(1) says. */
void check_waivers_read(vdit_run *run, check_waivers *waivers, const char *path);

/* Returns: the waiver that covers a case today, now marked as used, or NULL. */
const check_waiver *check_waivers_find(check_waivers *waivers, const char *name);

/* Says on stderr which waivers were used, which are expired, which covered nothing. */
void check_waivers_say(const check_waivers *waivers);

/* A command that stands for a backend. */
typedef struct check_command {
    const char *text;   /* with {in} and {out} */
    const char *folder; /* made for this process, removed when it exits */
} check_command;

/* Out: command, with its folder. In: text; fails if {in} or {out} is missing. */
void check_command_begin(vdit_run *run, check_command *command, const char *text);

/*
 * Runs it through /bin/sh, its standard output going to standard error.
 * Out: reason, if it did not end with status 0. In: paths for {in} and {out}.
 * Returns: 1 if it ended with status 0, else 0.
 */
int check_command_run(vdit_run *run, const check_command *command, const char *in, const char *out,
                      char *reason, size_t size);

/* --contract auto: what the cases of one operator and dtype say together. */
typedef struct check_level {
    size_t cases;
    size_t level;  /* of vdit_grade: the weakest of the cases */
    uint32_t told; /* the same */
} check_level;

typedef struct check_levels {
    check_level of[VDIT_OPERATOR_COUNT][VDIT_DTYPE_COUNT];
} check_levels;

void check_levels_add(check_levels *levels, const vdit_golden *golden, const vdit_grade *grade);

/* Returns: holds if each operator and dtype keeps a contract that its cases told from the next. */
vdit_verdict check_levels_verdict(const check_levels *levels, const vdit_tally *tally);

/* Calls tell for each operator and dtype that was judged; text says which contract it keeps. */
typedef void check_level_fn(void *state, const char *op, const char *dtype,
                            const check_level *level, const char *text);
void check_levels_each(const check_levels *levels, check_level_fn *tell, void *state);

/* Stands beside the operators for attention with edits. */
#define CHECK_EDITED VDIT_OPERATOR_COUNT

/* How results are printed: a table, or one JSON object at the end. */
typedef struct check_printer {
    int is_json;
    const char *noun;       /* "case" or "tensor" */
    size_t width;           /* the longest name */
    size_t count;           /* lines printed */
    void *cases;            /* JSON so far */
    size_t fell_back;       /* cases of operators that the backend lacks, which are not judged */
    unsigned fell_back_ops; /* bit 1 << op is set for each of these operators, or CHECK_EDITED */
    const check_levels *levels;          /* --contract auto, else NULL */
    const vdit_explanation *explanation; /* of this case, or NULL */
} check_printer;

/* Prints a case; waiver is NULL or what covers its failure. */
void check_print(check_printer *printer, const vdit_case_finding *finding,
                 const check_waiver *waiver);

/* Prints the total. */
void check_print_total(check_printer *printer, const vdit_tally *tally, vdit_verdict verdict);

/* --explain: what is known of a case that fails. */
typedef struct check_explained {
    int is_explained;
    vdit_explanation explanation;
    double *rms[3]; /* along each vdit_profile_axis */
    size_t count[3];
} check_explained;

/* The cases to judge, and who computes them. */
typedef struct check_job {
    vdit_run *run;
    const vdit_contract *contract; /* NULL: each case's own */
    int is_auto;                   /* --contract auto */
    check_levels levels;
    const vdit_backend *backend; /* one of these three */
    const char *outputs;
    check_command command;
    const char *corpus; /* folder, or NULL for a recipe */
    vdit_recipe recipe;
    vdit_manifest manifest;
    check_waivers waivers;
    check_printer printer;
    int explains;              /* --explain */
    check_explained explained; /* the last case */
    const char *picture;       /* --picture, or NULL */
    double picture_z;          /* the largest z of a case that was drawn */
    const char *again;         /* the operands and options that choose backend and recipe */
    vdit_tally tally;
} check_job;

/*
 * Judges every tensor of a file by those of another; single tensors need not have one name. In: specs
 * FILE or FILE:NAME; sigma_spec may be NULL.
 */
void check_pair(check_job *j, const char *expected_spec, const char *actual_spec,
                const char *sigma_spec);

/* Out: explained; nothing if the case holds or has no output. */
void check_explain(check_job *j, check_explained *explained, const vdit_case_finding *f,
                   const vdit_golden *golden, const vdit_named *list, size_t count);

/* Prints it below the line of the case. */
void check_explain_print(const check_job *j, const check_explained *explained,
                         const vdit_case_finding *f);

/* The cases of a job, and whether the command line selects one. */
size_t check_case_count(const check_job *j);
vdit_case *check_case_at(check_job *j, size_t i);
int check_is_selected(const vdit_case *c);

/*
 * Tries the relations of relations.h on the selected attention cases and prints a table. Returns:
 * fails if one is broken, inconclusive if no case could be tried.
 */
vdit_verdict check_relations(check_job *j);

/* Returns: 1 if there is a file of that name that says that it is a trace. */
int check_is_trace(const char *path);

/* Judges a trace by another and prints what was found. In: pattern of names, or NULL. */
vdit_verdict check_trace(check_job *j, const char *expected_path, const char *actual_path,
                         const char *pattern);

#endif
