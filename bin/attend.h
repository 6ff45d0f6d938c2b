/*
 * attend.h - the parts of vdit-attend: its settings, the job, reading its inputs, writing its outputs.
 *
 * Tensors named *_file have the axes that they have in their file; the others are [B,H,N,d] and the
 * like, as vdit_attention takes them. Both describe the same memory.
 */
#ifndef ATTEND_H
#define ATTEND_H

#include <vdit/backend.h>
#include <vdit/file.h>
#include <vdit/meter.h>

#define ATTEND_MEASURES 4 /* files that meters can be written to */

/* The command line. */
typedef struct attend_settings {
    const char *q, *k, *v, *mask, *key_length, *rows;
    const char *output, *lse, *map;
    const char *backend, *plugin, *dtype, *layout;
    const char *meters, *measures[ATTEND_MEASURES];
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
    vdit_file *files[6]; /* open as long as the job */
    int file_count;
    int written[3]; /* o, lse, map: whether its file is there by our doing */
    vdit_tensor q_file, k_file, v_file, o_file, lse_file, map_file;
    vdit_tensor q, k, v, mask, key_length, rows, o, lse, map;
    vdit_attention call;
    vdit_dtype dtype; /* of o */
    vdit_meter_results measured;
    size_t measures_written; /* how many of their files are there by our doing */
} attend_job;

/* What the call will take. */
typedef struct attend_estimate {
    vdit_attention_cost cost;
    double bytes;   /* peak memory: inputs, outputs and what the backend needs */
    double seconds; /* negative: not known */
} attend_estimate;

/* Reads q, k, v, mask, key length and rows into job->call, and checks them. */
void attend_read(attend_job *job);

/* Returns: R, the number of query rows that are computed. */
size_t attend_row_count(const attend_job *job);

/* Out: expected, the time unknown. It follows from the shapes alone. */
void attend_cost(attend_estimate *expected, const attend_job *job);

/*
 * Out: expected->seconds, from trials on some rows of the first head. Caches and the load of the
 * machine make it a rough figure.
 */
void attend_try(attend_estimate *expected, attend_job *job);

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

/* Fails if the folder of path takes no new file. */
void attend_folder_check(const char *option, const char *path);

int attend_has_suffix(const char *path, const char *suffix);

/* Prints what meters there are, with their options and results. */
void attend_meters_list(void);

/* Refuses at the start what is known to fail at the end. */
void attend_meters_check(const attend_job *job);

/* Reads the meters of the call. */
void attend_meters_run(attend_job *job);

/* Writes, and removes, the files of the meters. */
void attend_meters_write(attend_job *job);
void attend_meters_remove(const attend_job *job);

/* Returns: t with axes of extent 1 put before its own, up to rank. */
vdit_tensor attend_widen(const vdit_tensor *t, int rank);

/* Returns: a tensor in the layout of the files, of rank 2 to 4, as [B,H,N,d]. */
vdit_tensor attend_heads(const attend_job *job, const vdit_tensor *t);

#endif
