/* run.c - the sticky error, scoped memory, threads and progress of a run. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#include "base/internal.h"

#define ALIGNMENT 64

/* One allocation: allocations form a stack, so that a scope is a length of it. */
typedef struct block {
    struct block *below;
    size_t depth;
} block;

struct vdit_run {
    vdit_status status;
    char message[1024];
    block *top;
    int threads;
    vdit_progress_fn *progress;
    void *progress_state;
    vdit_allocate_fn *allocate;
    void *allocate_state;
    vdit_counters counters;
};

vdit_run *vdit_run_new(void)
{
    return calloc(1, sizeof(vdit_run));
}

vdit_run *vdit_run_new_like(vdit_run *run)
{
    vdit_run *made;

    if (run->status != VDIT_OK)
        return NULL;
    made = run->allocate ? run->allocate(run->allocate_state, sizeof *made) : malloc(sizeof *made);
    if (made == NULL) {
        vdit_run_fail(run, VDIT_ERR_MEMORY, "no memory for %zu bytes", sizeof *made);
        return NULL;
    }
    memset(made, 0, sizeof *made);
    vdit_run_set_allocator(made, run->allocate, run->allocate_state);
    return made;
}

void vdit_run_free(vdit_run *run)
{
    if (run == NULL)
        return;
    vdit_run_release(run, 0);
    free(run);
}

vdit_status vdit_run_status(const vdit_run *run)
{
    return run->status;
}

const char *vdit_run_message(const vdit_run *run)
{
    return run->message;
}

void vdit_run_clear(vdit_run *run)
{
    run->status = VDIT_OK;
    run->message[0] = '\0';
}

/* A message is one line, whatever bytes a hostile file put into the names that it quotes. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

vdit_status vdit_run_fail(vdit_run *run, vdit_status status, const char *format, ...)
{
    va_list arguments;

    if (run->status != VDIT_OK)
        return run->status;
    run->status = status;
    va_start(arguments, format);
    vsnprintf(run->message, sizeof run->message, format, arguments);
    va_end(arguments);
    make_printable(run->message);
    return status;
}

void vdit_run_set_threads(vdit_run *run, int threads)
{
    run->threads = threads > 0 ? threads : 0;
}

int vdit_run_threads(const vdit_run *run)
{
#ifdef _OPENMP
    return run->threads > 0 ? run->threads : omp_get_max_threads();
#else
    (void)run;
    return 1;
#endif
}

void vdit_run_set_progress(vdit_run *run, vdit_progress_fn *progress, void *state)
{
    run->progress = progress;
    run->progress_state = state;
}

vdit_status vdit_run_progress(vdit_run *run, const char *what, double done, double total)
{
    if (run->status == VDIT_OK && run->progress != NULL &&
        run->progress(run->progress_state, what, done, total) != 0)
        return vdit_run_fail(run, VDIT_ERR_CANCELLED, "%s: cancelled", what);
    return run->status;
}

void vdit_run_set_allocator(vdit_run *run, vdit_allocate_fn *allocate, void *state)
{
    run->allocate = allocate;
    run->allocate_state = state;
}

void *vdit_run_alloc(vdit_run *run, size_t count, size_t size)
{
    size_t head = sizeof(block) + ALIGNMENT, bytes;
    block *made;

    if (run->status != VDIT_OK)
        return NULL;
    if (size != 0 && count > (SIZE_MAX - head) / size) {
        vdit_run_fail(run, VDIT_ERR_LIMIT, "%zu elements of %zu bytes cannot be addressed", count,
                      size);
        return NULL;
    }
    bytes = count * size + head;
    made = run->allocate ? run->allocate(run->allocate_state, bytes) : malloc(bytes);
    if (made == NULL) {
        vdit_run_fail(run, VDIT_ERR_MEMORY, "no memory for %zu bytes", bytes);
        return NULL;
    }
    made->below = run->top;
    made->depth = run->top ? run->top->depth + 1 : 1;
    run->top = made;
    return (void *)(((uintptr_t)(made + 1) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

size_t vdit_run_mark(const vdit_run *run)
{
    return run->top ? run->top->depth : 0;
}

void vdit_run_release(vdit_run *run, size_t mark)
{
    while (run->top != NULL && run->top->depth > mark) {
        block *below = run->top->below;
        free(run->top);
        run->top = below;
    }
}

vdit_counters *vdit_run_counters(vdit_run *run)
{
    return &run->counters;
}

const char *vdit_status_name(vdit_status status)
{
    static const char *const names[] = {
        "ok",          "argument error", "out of memory",  "input/output error", "format error",
        "shape error", "dtype error",    "limit exceeded", "unsupported",        "cancelled",
    };

    return (size_t)status < sizeof names / sizeof *names ? names[status] : "unknown status";
}
