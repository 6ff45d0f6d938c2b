/* parallel.h - independent tasks on several threads. */
#ifndef VDIT_BASE_PARALLEL_H
#define VDIT_BASE_PARALLEL_H

#include <stddef.h>

/* One task. worker is below the number of threads; two tasks that run together differ in it. */
typedef void vdit_task_fn(void *state, size_t task, int worker);

/*
 * Calls fn(state, task, worker) for each task below tasks, in any order, on up to threads threads (at
 * least 1); serially without OpenMP. Tasks must not depend on each other. Memory per worker is
 * allocated before, because a run serves one thread at a time.
 */
void vdit_parallel(int threads, size_t tasks, vdit_task_fn *fn, void *state);

#endif
