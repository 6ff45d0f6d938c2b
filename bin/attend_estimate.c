/* attend_estimate.c - what a call of vdit-attend will take, before it is begun. */
#include "attend.h"
#include "program.h"

#define ROWS_PER_TRIAL 256 /* rows per thread in the longer trial: fills every tile of a backend */

size_t attend_row_count(const attend_job *job)
{
    return job->call.rows ? job->rows.shape[0] : job->q.shape[2];
}

static double tensor_bytes(const vdit_tensor *t)
{
    return (double)vdit_tensor_count(t) * (double)vdit_dtype_size(t->dtype);
}

void attend_cost(attend_estimate *expected, const attend_job *job)
{
    vdit_attention_estimate(&expected->cost, job->run, &job->call);
    expected->bytes = expected->cost.bytes + attend_outputs_bytes(job) + tensor_bytes(&job->q) +
                      tensor_bytes(&job->k) + tensor_bytes(&job->v);
    expected->meters = 0;
    if (job->set->meters != NULL)
        attend_meters_cost(expected, job);
    expected->seconds = -1;
}

/* Returns: t cut to its first batch and head. */
static vdit_tensor first_head(const vdit_tensor *t)
{
    vdit_tensor head = *t;

    head.shape[0] = head.shape[1] = 1;
    return head;
}

/* Fills rows, i64 [R], with rows of the call that lie evenly apart. */
static void spread_rows(vdit_tensor *rows, const attend_job *job)
{
    double step = (double)attend_row_count(job) / (double)rows->shape[0];
    const int64_t *chosen = job->call.rows ? job->rows.data : NULL;
    int64_t *to = rows->data;

    for (size_t i = 0; i < rows->shape[0]; i++) {
        size_t at = (size_t)((double)i * step);
        to[i] = chosen ? chosen[at] : (int64_t)at;
    }
}

/* Returns: seconds for count rows of the first head. */
static double try_rows(attend_job *job, size_t count)
{
    vdit_run *run = job->run;
    vdit_attention trial = job->call;
    vdit_counters before = *vdit_run_counters(run);
    size_t mark = vdit_run_mark(run);
    vdit_tensor q = first_head(&job->q), k = first_head(&job->k), v = first_head(&job->v);
    vdit_tensor mask = first_head(&job->mask), length = job->key_length, rows, o;
    double start, seconds;

    length.shape[0] = 1;
    vdit_tensor_new(run, &rows, VDIT_I64, 1, &count);
    vdit_tensor_new(run, &o, job->dtype, 4, (size_t[]){1, 1, count, v.shape[3]});
    program_check(run);
    spread_rows(&rows, job);
    trial.q = &q;
    trial.k = &k;
    trial.v = &v;
    trial.mask = trial.mask ? &mask : NULL;
    trial.key_length = trial.key_length ? &length : NULL;
    trial.rows = &rows;
    trial.o = &o;
    trial.lse = trial.map = NULL;
    trial.edits = NULL;
    trial.report = NULL;
    start = program_seconds();
    vdit_backend_attention(run, job->backend, &trial);
    program_check(run);
    seconds = program_seconds() - start;
    *vdit_run_counters(run) = before;
    vdit_run_release(run, mark);
    return seconds;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Two trials tell what a head costs (and a first call) from what a row costs. */
void attend_try(attend_estimate *expected, attend_job *job)
{
    size_t threads = (size_t)vdit_run_threads(job->run), all = attend_row_count(job);
    size_t few = least(threads, all), many = least(threads * ROWS_PER_TRIAL, all);
    double heads = (double)job->q.shape[0] * (double)job->q.shape[1];
    double per_head, per_row = 0, both;

    expected->seconds = 0;
    if (!(expected->cost.flops > 0))
        return;
    per_head = try_rows(job, few);
    if (many > few) {
        both = try_rows(job, many);
        /* On a busy machine the first trial may be the slower one. */
        per_row = (both > 1.25 * per_head ? both - per_head : both / 5) / (double)(many - few);
    }
    expected->seconds = (attend_plan_passes(job) + expected->meters) * heads *
                        (per_head + per_row * (double)(all - few));
}
