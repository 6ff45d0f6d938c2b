/* attend_estimate.c - what a call of vdit-attend will take, before it is begun. */
#include "attend.h"
#include "program.h"

#define ROWS_PER_TRIAL 128 /* rows per thread in the trial: fills every tile of a backend */

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
static void spread_rows(vdit_tensor *rows, const attend_job *job, size_t all)
{
    const int64_t *chosen = job->call.rows ? job->rows.data : NULL;
    int64_t *to = rows->data;

    for (size_t i = 0; i < rows->shape[0]; i++) {
        size_t at = (size_t)((double)i / (double)rows->shape[0] * (double)all);
        to[i] = chosen ? chosen[at] : (int64_t)at;
    }
}

void attend_try(attend_estimate *expected, attend_job *job)
{
    vdit_run *run = job->run;
    vdit_attention trial = job->call;
    vdit_attention_cost trial_cost;
    vdit_counters before = *vdit_run_counters(run);
    size_t mark = vdit_run_mark(run), all = attend_row_count(job);
    size_t count = (size_t)vdit_run_threads(run) * ROWS_PER_TRIAL, one = 1;
    vdit_tensor q = first_head(&job->q), k = first_head(&job->k), v = first_head(&job->v);
    vdit_tensor mask = first_head(&job->mask), length = job->key_length, rows, o;
    double start, seconds;

    expected->seconds = 0;
    if (!(expected->cost.flops > 0))
        return;
    count = count < all ? count : all;
    length.shape[0] = 1;
    vdit_tensor_new(run, &rows, VDIT_I64, 1, &count);
    vdit_tensor_new(run, &o, job->dtype, 4, (size_t[]){one, one, count, v.shape[3]});
    program_check(run);
    spread_rows(&rows, job, all);
    trial.q = &q;
    trial.k = &k;
    trial.v = &v;
    trial.mask = trial.mask ? &mask : NULL;
    trial.key_length = trial.key_length ? &length : NULL;
    trial.rows = &rows;
    trial.o = &o;
    trial.lse = trial.map = NULL;
    vdit_attention_estimate(&trial_cost, run, &trial);
    start = program_seconds();
    job->backend->attention(run, &trial);
    program_check(run);
    seconds = program_seconds() - start;
    *vdit_run_counters(run) = before;
    vdit_run_release(run, mark);
    expected->seconds = seconds * expected->cost.flops / trial_cost.flops;
}
