/* parallel.c - tasks by OpenMP, or one after the other. */
#ifdef _OPENMP
#include <omp.h>
#endif
#include "base/parallel.h"

void vdit_parallel(int threads, size_t tasks, vdit_task_fn *fn, void *state)
{
#ifdef _OPENMP
    if (threads > 1 && tasks > 1) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
        for (size_t task = 0; task < tasks; task++)
            fn(state, task, omp_get_thread_num());
        return;
    }
#else
    (void)threads;
#endif
    for (size_t task = 0; task < tasks; task++)
        fn(state, task, 0);
}
