/*
 * vdit/run.h - status, messages, memory, threads and progress: all that is not mathematics.
 *
 * A run is the first argument of nearly every function. It owns the memory made during the run
 * and a sticky error: after the first failure every further call returns that status at once and
 * touches none of its outputs, so a caller may write a page of operators and ask for the status at
 * the end. A run is used by one thread at a time; the library starts its own threads inside a call.
 */
#ifndef VDIT_RUN_H
#define VDIT_RUN_H

#include <stddef.h>
#include <stdint.h>
#include <vdit/api.h>

/* What a call returns. Everything but VDIT_OK leaves a message in the run. */
typedef enum vdit_status {
    VDIT_OK = 0,
    VDIT_ERR_ARGUMENT,    /* an option or value outside its documented range */
    VDIT_ERR_MEMORY,      /* memory could not be had */
    VDIT_ERR_IO,          /* the system refused: open, read, write, rename */
    VDIT_ERR_FORMAT,      /* a file is not what its format says */
    VDIT_ERR_SHAPE,       /* shapes that do not fit each other */
    VDIT_ERR_DTYPE,       /* an element type that the call does not take */
    VDIT_ERR_LIMIT,       /* a size beyond what can be represented or was allowed */
    VDIT_ERR_UNSUPPORTED, /* valid, but not offered by this backend or build */
    VDIT_ERR_CANCELLED    /* the progress function asked to stop */
} vdit_status;

typedef struct vdit_run vdit_run;

/*
 * How often each stage of the numeric contract decided an element (doc/numerics.md).
 * Index 0 is the binary64 estimate, 1 the refinement, 2 the exact or multi-precision last stage.
 */
typedef struct vdit_counters {
    uint64_t linear[3];
    uint64_t attention[3];
    uint64_t elementary[3];
    uint64_t norm[3]; /* norms and means */
} vdit_counters;

/* Memory source: returns size bytes aligned like malloc's, or NULL. Freed with free(). */
typedef void *vdit_allocate_fn(void *state, size_t size);

/* Called now and then with 0 <= done <= total; a return other than 0 cancels the call. */
typedef int vdit_progress_fn(void *state, const char *what, double done, double total);

/* A new run with default settings. Returns: the run, or NULL without memory. */
VDIT_API vdit_run *vdit_run_new(void);

/* Frees the run and all memory that it owns. run may be NULL. */
VDIT_API void vdit_run_free(vdit_run *run);

/* Returns: the sticky status; VDIT_OK while nothing has failed. */
VDIT_API vdit_status vdit_run_status(const vdit_run *run);

/* Returns: one line without a newline that names file, tensor and what was expected; "" if none. */
VDIT_API const char *vdit_run_message(const vdit_run *run);

/* Forgets the sticky error. */
VDIT_API void vdit_run_clear(vdit_run *run);

/*
 * Records a failure, unless one is recorded already: the first one stands.
 * In: status (not VDIT_OK), a printf format and its arguments.
 * Returns: the status that stands.
 */
VDIT_API vdit_status vdit_run_fail(vdit_run *run, vdit_status status, const char *format, ...)
    VDIT_PRINTF(3, 4);

/* Threads used inside a call; 0 (the default) means as many as OpenMP offers. Bits never depend on it. */
VDIT_API void vdit_run_set_threads(vdit_run *run, int threads);

/* Returns: the number of threads that a call will use, at least 1. */
VDIT_API int vdit_run_threads(const vdit_run *run);

/* Progress function (NULL: none) and its state. */
VDIT_API void vdit_run_set_progress(vdit_run *run, vdit_progress_fn *progress, void *state);

/* Reports progress; fails the run with VDIT_ERR_CANCELLED if the function says so. */
VDIT_API vdit_status vdit_run_progress(vdit_run *run, const char *what, double done, double total);

/* Replaces malloc for all memory of this run (NULL: malloc again). For tests and memory limits. */
VDIT_API void vdit_run_set_allocator(vdit_run *run, vdit_allocate_fn *allocate, void *state);

/*
 * Memory that belongs to the run: count * size bytes, aligned to 64, not cleared.
 * Returns: the memory (never NULL for a zero size), or NULL with the run failed.
 */
VDIT_API void *vdit_run_alloc(vdit_run *run, size_t count, size_t size);

/* A scope: all memory allocated after the mark is freed by the release. Scopes nest. */
VDIT_API size_t vdit_run_mark(const vdit_run *run);
VDIT_API void vdit_run_release(vdit_run *run, size_t mark);

/* Returns: the stage counters of this run, which the caller may read and reset. */
VDIT_API vdit_counters *vdit_run_counters(vdit_run *run);

/* Returns: a word for the status, such as "format error". */
VDIT_API const char *vdit_status_name(vdit_status status);

#endif
