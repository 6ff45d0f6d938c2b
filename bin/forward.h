/* forward.h - the parts of vdit-forward: its settings, the job, inputs, plan, what is heard of the sites. */
#ifndef FORWARD_H
#define FORWARD_H

#include <jansson.h>
#include <vdit/golden.h>

#define FORWARD_PATTERNS 32 /* --trace-names */
#define FORWARD_FILES    64 /* that are open at a time */

/* What is written. */
enum { FORWARD_OUTPUT, FORWARD_MEASURES, FORWARD_REPORT, FORWARD_TRACE, FORWARD_OUTPUTS };

/* The command line; what is not given is NULL. */
typedef struct forward_settings {
    const char *latents, *timestep, *text, *text_mask, *pooled, *guidance;
    const char *size, *output, *dtype, *backend, *plugin;
    const char *plan, *plan_file, *branch, *source;
    const char *meters, *meter_sites, *measures, *report;
    const char *trace, *trace_names[FORWARD_PATTERNS], *noise;
    size_t trace_name_count, text_rows, batch, seed, step, shadows;
    int is_seeded, without_rotary, threads, estimate, json;
} forward_settings;

/* What is heard of the sites, for one file. */
typedef struct forward_list {
    json_t *entries;   /* a site each */
    vdit_run *memory;  /* of what follows */
    vdit_named *named; /* arrays, "site/name" */
    size_t count, room;
} forward_list;

/* The call, and all that it reads and writes. */
typedef struct forward_job {
    vdit_run *run;
    const forward_settings *set;
    vdit_model *model;
    vdit_file *files[FORWARD_FILES]; /* open as long as the job */
    int file_count;
    vdit_model_inputs inputs; /* with their data */
    vdit_extents extents;
    vdit_forward call;
    vdit_plan *plan;
    vdit_trace_source_state source;
    vdit_trace_request trace;
    vdit_model_survey survey;
    forward_list edits, measures;
    int written[FORWARD_OUTPUTS];    /* 1: the file is there by our doing */
    size_t edited;                   /* heads of all sites */
    const char *computed;            /* who computed them, NULL: nobody */
    const char *activation, *weight; /* that hold NaN */
    double seconds, expected;        /* negative: not known */
    double memory;                   /* bytes that it will take */
} forward_job;

/* Returns: the tensor that is named by "FILE" or "FILE:NAME"; its file stays open. */
vdit_tensor forward_pick(forward_job *job, const char *spec);

/* Reads or draws the tensors of the call. */
void forward_inputs_read(forward_job *job);

/* Reads the plan and what it names, and the source run; says if the plan reaches nothing. */
void forward_plan_read(forward_job *job);

/* Listens to the sites, where meters or a report are asked for. */
void forward_sites_listen(forward_job *job);

/* Refuses at the start what is known to fail at the end. */
void forward_sites_check(const forward_job *job);

/* Writes what was heard; on failure nothing is left. */
void forward_sites_write(forward_job *job);

/* Removes the files that were written: a failure leaves none. */
void forward_remove(const forward_job *job);

/* Says what the call will take, and afterwards what it was. */
void forward_say_estimate(const forward_job *job);
void forward_say_result(const forward_job *job);
void forward_print_json(const forward_job *job);

#endif
