/*
 * attend.h - the parts of vdit-attend: its settings, the job, reading its inputs, writing its outputs.
 *
 * Tensors named *_file have the axes that they have in their file; the others are [B,H,N,d] and the
 * like, as vdit_attention takes them. Both describe the same memory.
 */
#ifndef ATTEND_H
#define ATTEND_H

#include <jansson.h>
#include <vdit/backend.h>
#include <vdit/file.h>
#include <vdit/meter.h>
#include <vdit/plan.h>

#define ATTEND_MEASURES 4  /* files that meters can be written to */
#define ATTEND_FILES    64 /* files that are open at a time */

/* What can be written: the call's outputs, and what its edits report. */
enum {
    ATTEND_O,
    ATTEND_LSE,
    ATTEND_MAP,
    ATTEND_THRESHOLD,
    ATTEND_MASKED,
    ATTEND_KEPT_MASS,
    ATTEND_DENSE_MASS,
    ATTEND_RENORMALISED,
    ATTEND_KEEP,
    ATTEND_FREE,
    ATTEND_OUTPUTS
};

/* One of these. */
typedef struct attend_output {
    const char *option, *name; /* of the command line; in the file */
    const char *path;          /* NULL: it is not written */
    int wanted;                /* 1: it is computed */
    int written;               /* 1: its file is there by our doing */
    vdit_dtype dtype;
    vdit_tensor file, tensor; /* as in its file; as the library takes it */
} attend_output;

/* The command line. */
typedef struct attend_settings {
    const char *q, *k, *v, *mask, *key_length, *rows;
    const char *output, *lse, *map, *report, *keep, *free;
    const char *plan, *plan_file, *site, *source[3];
    const char *backend, *plugin, *dtype, *layout;
    const char *meters, *measures[ATTEND_MEASURES], *view;
    size_t measures_count;
    vdit_tokens tokens;
    double scale; /* NAN: not given */
    int threads, estimate, json;
} attend_settings;

/* The call, and all that it reads and writes. */
typedef struct attend_job {
    vdit_run *run;
    const attend_settings *set;
    const vdit_backend *backend;
    vdit_file *files[ATTEND_FILES]; /* open as long as the job */
    int file_count;
    attend_output outputs[ATTEND_OUTPUTS];
    vdit_tensor q_file, k_file, v_file;
    vdit_tensor q, k, v, mask, key_length, rows, source[3];
    vdit_attention call;
    vdit_plan *plan;         /* NULL: none was given */
    vdit_edit *edits;        /* [H] of the plan; */
    const vdit_edit **heads; /* [H] those that do something, else NULL */
    vdit_edit_report report;
    vdit_dtype dtype; /* of o */
    vdit_meter_results measured;
    size_t measures_written; /* how many of their files are there by our doing */
} attend_job;

/* What the call will take. */
typedef struct attend_estimate {
    vdit_attention_cost cost;
    double meters;  /* how many plain calls the meters are */
    double bytes;   /* peak memory: inputs, outputs and what the backend needs */
    double seconds; /* negative: not known */
} attend_estimate;

/* Reads q, k, v, mask, key length, rows and the plan into job->call, and checks them. */
void attend_read(attend_job *job);

/* Returns: the tensor that is named by "FILE" or "FILE:NAME". */
vdit_tensor attend_pick(attend_job *job, const char *spec);

/* Returns: the tensor of an option with two to four axes; fails without one. */
vdit_tensor attend_pick_heads(attend_job *job, const char *option, const char *spec);

/* Reads the plan and what it names, and makes the edit of each head. */
void attend_plan_read(attend_job *job);

/* Finds the gates that depend on sinks, which takes a look at the map. */
void attend_plan_gates(attend_job *job);

/* Returns: 1 if some head is edited after the softmax, or before it, by dropping entries. */
int attend_plan_drops(const attend_job *job, vdit_moment moment);

/* Returns: how often the map of the most edited head is computed. */
int attend_plan_passes(const attend_job *job);

/* Says in words what the edits do, in their order; then, once computed, what they left. */
void attend_plan_say(const attend_job *job);
void attend_plan_say_score(const attend_job *job);

/* Adds the same to the summary: plan and edits; with scored also masked_fraction and kept_mass. */
void attend_plan_json(const attend_job *job, json_t *summary, int scored);

/* Returns: R, the number of query rows that are computed. */
size_t attend_row_count(const attend_job *job);

/* Out: expected, the time unknown. It follows from the shapes alone. */
void attend_cost(attend_estimate *expected, const attend_job *job);

/*
 * Out: expected->seconds, from trials on some rows of the first head. Caches and the load of the
 * machine make it a rough figure.
 */
void attend_try(attend_estimate *expected, attend_job *job);

/* Lists the outputs that are asked for. */
void attend_outputs_list(attend_job *job);

/* Refuses at the start what is known to fail at the end: outputs that cannot be written. */
void attend_outputs_check(const attend_job *job);

/* Returns: the bytes that the outputs take in memory. */
double attend_outputs_bytes(const attend_job *job);

/* Makes the output tensors and names them in job->call. */
void attend_outputs_make(attend_job *job);

/* Writes the outputs; those with one path go into one file. If any fails, none is left. */
void attend_outputs_write(attend_job *job);

/* Removes the outputs and the meters' files that were written: a failure leaves none. */
void attend_outputs_remove(const attend_job *job);

/* Refuses at the start what is known to fail at the end. */
void attend_meters_check(const attend_job *job);

/* Adds to expected what the meters take; refuses a request that cannot be met. */
void attend_meters_cost(attend_estimate *expected, const attend_job *job);

/* Reads the meters of the call. */
void attend_meters_run(attend_job *job);

/* Writes, and removes, the files of the meters. */
void attend_meters_write(attend_job *job);
void attend_meters_remove(const attend_job *job);

/* Refuses at the start, and writes at the end, the picture of the maps. */
void attend_picture_check(const attend_job *job, const char *path);
void attend_picture_write(attend_job *job, const char *path);

/* Returns: t with axes of extent 1 put before its own, up to rank. */
vdit_tensor attend_widen(const vdit_tensor *t, int rank);

/* Returns: a tensor in the layout of the files, of rank 2 to 4, as [B,H,N,d]. */
vdit_tensor attend_heads(const attend_job *job, const vdit_tensor *t);

#endif
