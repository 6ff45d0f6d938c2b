/*
 * reference.c - the reference: stage 0 for all rows, stage 1 for the rows that it leaves open, stage 2
 * for the rest (doc/numerics.md, section 5).
 */
#include <math.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#include "attention/intervene.h"
#include "attention/last.h"
#include "attention/refine.h"
#include "attention/rows.h"
#include "attention/share.h"
#include "attention/sigma.h"
#include "attention/special.h"

/* What one thread works with. */
typedef struct worker {
    vdit_stream stream;
    vdit_sigma sigma;
    vdit_refine refine;
    vdit_last last;
} worker;

typedef struct job {
    vdit_run *run;
    vdit_head head;
    vdit_rows rows;
    worker *workers;
    int threads;
    double heads_done, heads;
} job;

static int this_thread(void)
{
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

static vdit_status make_job(job *work, vdit_run *run, const vdit_attention *call)
{
    memset(work, 0, sizeof *work);
    work->run = run;
    work->threads = vdit_run_threads(run);
    work->heads = (double)call->q->shape[0] * (double)call->q->shape[1];
    vdit_head_new(run, &work->head, call);
    vdit_rows_new(run, &work->rows, &work->head);
    work->workers = vdit_run_alloc(run, (size_t)work->threads, sizeof *work->workers);
    for (int i = 0; i < work->threads && vdit_run_status(run) == VDIT_OK; i++) {
        vdit_stream_new(run, &work->workers[i].stream, &work->head);
        vdit_refine_new(run, &work->workers[i].refine, &work->head);
        vdit_last_new(run, &work->workers[i].last, &work->head);
        if (call->sigma != NULL)
            vdit_sigma_new(run, &work->workers[i].sigma, &work->head);
    }
    return vdit_run_status(run);
}

/* Stage 0 of one block. Returns: elements settled. */
static size_t stream_block(job *work, worker *self, size_t first, size_t rows)
{
    const vdit_attention *call = work->head.call;
    size_t settled;

    vdit_stream_load(&self->stream, first, rows);
    vdit_stream_run(&self->stream);
    settled = vdit_rows_finish(&work->rows, &self->stream);
    if (call->map != NULL)
        settled += vdit_rows_map(&work->rows, &self->stream);
    if (call->sigma != NULL)
        vdit_sigma_run(&self->sigma, &self->stream, &work->rows);
    return settled;
}

/* Stage 0 of the head, and progress by its blocks. */
static vdit_status stream_head(job *work)
{
    vdit_shares blocks = vdit_shares_make(work->head.row_count, work->head.kernel->nr,
                                          (size_t)work->threads, VDIT_STREAM_PANELS, 3);
    size_t settled = 0, done = 0;
    int stop = 0;

#ifdef _OPENMP
#pragma omp parallel for num_threads(work->threads) schedule(dynamic, 1) reduction(+ : settled)
#endif
    for (size_t i = 0; i < blocks.count; i++) {
        size_t first, rows = vdit_share_at(&blocks, i, &first), so_far;
        int stopped;

#ifdef _OPENMP
#pragma omp atomic read
#endif
        stopped = stop;
        if (stopped)
            continue;
        settled += stream_block(work, &work->workers[this_thread()], first, rows);
#ifdef _OPENMP
#pragma omp atomic capture
#endif
        so_far = ++done;
        if (this_thread() == 0) {
            double share = (work->heads_done + (double)so_far / (double)blocks.count) / work->heads;
            if (vdit_run_progress(work->run, "attention", share, 1) != VDIT_OK) {
#ifdef _OPENMP
#pragma omp atomic write
#endif
                stop = 1;
            }
        }
    }
    vdit_run_counters(work->run)->attention[0] += settled;
    return vdit_run_status(work->run);
}

/* Stage 2 of one row: everything that is still open. Returns: elements settled. */
static size_t finish_row(job *work, vdit_last *last, size_t r)
{
    const vdit_head *head = &work->head;
    const vdit_attention *call = head->call;
    unsigned char open = work->rows.open[r];
    size_t settled = 0;

    vdit_last_load(last, r);
    for (size_t c = 0; c < head->dv; c++) {
        if ((open & VDIT_OPEN_O) != 0 && work->rows.o[r * head->dv + c]) {
            vdit_rows_put(head, call->o, r, c, vdit_last_output(last, c, call->o->dtype));
            settled++;
        }
        if ((open & VDIT_OPEN_SIGMA) != 0 && work->rows.sigma[r * head->dv + c])
            vdit_rows_put(head, call->sigma, r, c, vdit_last_sigma(last, c));
    }
    if ((open & VDIT_OPEN_LSE) != 0) {
        vdit_rows_put(head, call->lse, r, 0, vdit_last_lse(last));
        settled++;
    }
    for (size_t j = 0; (open & VDIT_OPEN_MAP) != 0 && j < head->keys; j++) {
        vdit_rows_put(head, call->map, r, head->key_at[j], vdit_last_entry(last, j));
        settled++;
    }
    return settled;
}

/* Stage 2 of the head: the open rows, one by one. */
static vdit_status finish_head(job *work)
{
    size_t count = work->head.row_count, settled = 0;

#ifdef _OPENMP
#pragma omp parallel for num_threads(work->threads) schedule(dynamic, 1) reduction(+ : settled)
#endif
    for (size_t r = 0; r < count; r++)
        if (work->rows.open[r] != 0)
            settled += finish_row(work, &work->workers[this_thread()].last, r);
    vdit_run_counters(work->run)->attention[2] += settled;
    return vdit_run_status(work->run);
}

/* Stage 1 of some rows with open outputs, for few keys: each thread has its rows. Returns: elements settled. */
static size_t refine_by_rows(job *work, const size_t *list, size_t count)
{
    vdit_shares groups = vdit_shares_make(count, work->head.kernel->nr, (size_t)work->threads,
                                          VDIT_REFINE_PANELS, 1);
    size_t settled = 0;

#ifdef _OPENMP
#pragma omp parallel for num_threads(work->threads) schedule(dynamic, 1) reduction(+ : settled)
#endif
    for (size_t i = 0; i < groups.count; i++) {
        vdit_refine *refine = &work->workers[this_thread()].refine;
        size_t first, rows = vdit_share_at(&groups, i, &first);

        vdit_refine_sums(refine, &work->rows, list + first, rows);
        settled += vdit_refine_finish(refine, &work->rows, list + first, rows);
    }
    return settled;
}

/* For many keys: each thread has its keys, because rows are few and come in panels. */
static size_t refine_by_keys(job *work, const size_t *list, size_t count)
{
    vdit_shares groups = vdit_shares_make(count, work->head.kernel->nr, 1, VDIT_REFINE_PANELS, 1);
    vdit_refine *all = &work->workers[0].refine;
    size_t settled = 0;

    for (size_t i = 0; i < groups.count; i++) {
        size_t first, rows = vdit_share_at(&groups, i, &first);

#ifdef _OPENMP
#pragma omp parallel for num_threads(work->threads) schedule(static, 1)
#endif
        for (int part = 0; part < work->threads; part++)
            vdit_refine_part(&work->workers[part].refine, &work->rows, list + first, rows,
                             (size_t)part, (size_t)work->threads);
        for (int part = 1; part < work->threads; part++)
            vdit_refine_merge(all, &work->workers[part].refine);
        settled += vdit_refine_finish(all, &work->rows, list + first, rows);
    }
    return settled;
}

/* Stage 1 of the head: rows with open outputs, gathered. */
static void refine_head(job *work)
{
    size_t found = 0, mark = vdit_run_mark(work->run), *open;
    uint64_t *settled = &vdit_run_counters(work->run)->attention[1];

    open = vdit_run_alloc(work->run, work->head.row_count, sizeof *open);
    for (size_t r = 0; open != NULL && r < work->head.row_count; r++)
        if ((work->rows.open[r] & VDIT_OPEN_O) != 0)
            open[found++] = r;
    if (work->head.tiles < 2 * (size_t)work->threads)
        *settled += refine_by_rows(work, open, found);
    else
        *settled += refine_by_keys(work, open, found);
    vdit_run_release(work->run, mark);
}

static vdit_status run_head(job *work, size_t b, size_t h)
{
    vdit_head_load(work->run, &work->head, b, h);
    if (stream_head(work) != VDIT_OK ||
        vdit_special_rows(work->run, &work->head, &work->rows) != VDIT_OK)
        return vdit_run_status(work->run); /* what is open may be a query with a NaN */
    if (work->head.call->o != NULL)
        refine_head(work);
    if (vdit_run_status(work->run) == VDIT_OK)
        finish_head(work);
    work->heads_done += 1;
    return vdit_run_status(work->run);
}

vdit_status vdit_attention_plain(vdit_run *run, const vdit_attention *call)
{
    size_t mark = vdit_run_mark(run);
    job work;

    if (vdit_run_status(run) != VDIT_OK)
        return vdit_run_status(run);
    if (make_job(&work, run, call) == VDIT_OK)
        for (size_t b = 0; b < call->q->shape[0]; b++)
            for (size_t h = 0; h < call->q->shape[1] && vdit_run_status(run) == VDIT_OK; h++)
                run_head(&work, b, h);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

vdit_status vdit_attention_reference(vdit_run *run, const vdit_attention *call)
{
    if (vdit_attention_check(run, call) != VDIT_OK)
        return vdit_run_status(run);
    return call->edits != NULL ? vdit_attention_edited(run, call) : vdit_attention_plain(run, call);
}
