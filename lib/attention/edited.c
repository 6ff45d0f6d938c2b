/* edited.c - the stages of an edited head: the parts of each row are added up, then rounded once. */
#include <math.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#include "attention/edited.h"
#include "attention/share.h"
#include "exact/settle.h"

/* What of a row is open: bits of composition.rows. */
enum { OPEN_O = 1, OPEN_KEPT = 2 };

/* What one thread works with. */
typedef struct worker {
    vdit_room *rooms; /* one per source */
    vdit_blend blend;
    vdit_mp *value, *size; /* [dv] of a row in the last stage */
} worker;

typedef struct job {
    vdit_run *run;
    const vdit_attention *call;
    const vdit_head_report *report;
    vdit_composition parts;
    unsigned char *row_open; /* [R] bits as above */
    worker *workers;
    size_t dv, rows, nr;
    int threads;
} job;

static int this_thread(void)
{
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

static void new_worker(job *work, worker *self)
{
    vdit_run *run = work->run;
    size_t elements = VDIT_STREAM_PANELS * work->nr * work->dv;

    self->rooms = vdit_run_alloc(run, work->parts.source_count, sizeof *self->rooms);
    for (size_t i = 0; vdit_run_status(run) == VDIT_OK && i < work->parts.source_count; i++)
        vdit_room_new(run, &self->rooms[i], &work->parts.sources[i].head);
    self->blend.value = vdit_run_alloc(run, elements, sizeof(vdit_pair));
    self->blend.error = vdit_run_alloc(run, elements, sizeof(double));
    self->blend.size = vdit_run_alloc(run, elements, sizeof(double));
    self->value = vdit_run_alloc(run, work->dv, sizeof(vdit_mp));
    self->size = vdit_run_alloc(run, work->dv, sizeof(vdit_mp));
}

static void clear_blend(const job *work, vdit_blend *blend, size_t lanes)
{
    memset(blend->value, 0, lanes * work->dv * sizeof *blend->value);
    memset(blend->error, 0, lanes * work->dv * sizeof *blend->error);
    memset(blend->size, 0, lanes * work->dv * sizeof *blend->size);
}

static void put(const vdit_tensor *out, size_t r, size_t i, double value)
{
    size_t index[4] = {0, 0, r, i};

    vdit_store_f64(vdit_tensor_at(out, index), out->dtype, value);
}

static void put_count(const vdit_tensor *out, size_t r, size_t count)
{
    size_t index[3] = {0, 0, r};
    int64_t value = (int64_t)count;

    memcpy(vdit_tensor_at(out, index), &value, sizeof value);
}

/*
 * Tests one element of a blend. The snap rule moves a value by less than 2^-89 of its terms' size, and the sums of
 * pairs err by less than 2^-95 of it. Returns: 1 if it was written.
 */
static int settle_element(const job *work, const vdit_blend *blend, size_t at, size_t r, size_t c)
{
    vdit_pair x = vdit_two_sum(blend->value[at].high, blend->value[at].low);
    double error = blend->error[at] + 0x1p-86 * blend->size[at], rounded;

    if (blend->size[at] == 0 && blend->error[at] == 0)
        rounded = 0; /* no term at all */
    else if (!(error < INFINITY) ||
             !vdit_settle(&rounded, work->call->o->dtype, x.high, x.low, error))
        return 0;
    put(work->call->o, r, c, rounded);
    return 1;
}

/* Writes what a row of the blend settles among its open channels. Returns: how many. */
static size_t settle_row(job *work, const vdit_blend *blend, size_t lane, size_t r)
{
    unsigned char *open = work->parts.open + r * work->dv;
    size_t settled = 0, left = 0;

    for (size_t c = 0; c < work->dv; c++) {
        if (!open[c])
            continue;
        if (settle_element(work, blend, lane * work->dv + c, r, c)) {
            open[c] = 0;
            settled++;
        } else {
            left++;
        }
    }
    if (left == 0)
        work->row_open[r] &= (unsigned char)~OPEN_O;
    return settled;
}

/* The report of a row from its sums of stage 0. */
static void report_row(job *work, const vdit_room *room, size_t lane, size_t r)
{
    const vdit_head_report *report = work->report;
    const vdit_post *post = work->parts.pruned->post;
    const vdit_post_sums *sums = &room->sums[lane];
    int has = vdit_walk_has(&room->walk, lane);
    size_t count = has ? sums->count : 0, kept = has ? sums->kept_count : 0;
    double mass = 0, total = room->walk.stream.sum[lane];

    if (kept == 0 && count > 0 && post->keep_maximum)
        work->row_open[r] |= OPEN_KEPT;
    if (report->masked != NULL)
        put_count(report->masked, r, count - kept);
    if (report->threshold != NULL)
        put(report->threshold, r, 0, post->tau != NULL ? post->tau[r] : 0);
    if (report->kept_mass == NULL)
        return;
    if (kept > 0 && kept == count)
        mass = 1;
    else if (kept > 0 &&
             !vdit_settle_simple(&mass, VDIT_F32, sums->kept / total,
                                 sums->kept / total * (2 * room->walk.error[lane] + 0x1p-48)))
        work->row_open[r] |= OPEN_KEPT;
    put(report->kept_mass, r, 0, mass);
}

/* Stage 0 of a block of rows. Returns: elements settled. */
static size_t stream_block(job *work, worker *self, size_t first, size_t rows)
{
    vdit_composition *parts = &work->parts;
    size_t settled = 0;

    clear_blend(work, &self->blend, rows);
    for (size_t i = 0; i < parts->part_count; i++) {
        vdit_room *room = &self->rooms[parts->parts[i].room];

        vdit_part_stream(&parts->parts[i], room, &self->blend, first, rows);
        if (&parts->parts[i] == parts->pruned && work->report != NULL)
            for (size_t lane = 0; lane < rows; lane++)
                report_row(work, room, lane, first + lane);
    }
    for (size_t lane = 0; lane < rows; lane++)
        settled += settle_row(work, &self->blend, lane, first + lane);
    return settled;
}

static void stream_head(job *work)
{
    vdit_shares blocks =
        vdit_shares_make(work->rows, work->nr, (size_t)work->threads, VDIT_STREAM_PANELS, 3);
    size_t settled = 0, done = 0;

#ifdef _OPENMP
#pragma omp parallel for num_threads(work->threads) schedule(dynamic, 1) reduction(+ : settled)
#endif
    for (size_t i = 0; i < blocks.count; i++) {
        size_t first, rows = vdit_share_at(&blocks, i, &first), so_far;
        int stop;

#ifdef _OPENMP
#pragma omp critical(vdit_edited_progress)
#endif
        {
            stop = vdit_run_status(work->run) != VDIT_OK;
            so_far = done++;
            if (!stop && this_thread() == 0)
                vdit_run_progress(work->run, "edited attention", (double)so_far,
                                  (double)blocks.count);
        }
        if (!stop)
            settled += stream_block(work, &work->workers[this_thread()], first, rows);
    }
    vdit_run_counters(work->run)->attention[0] += settled;
}

/* Stage 1 of some rows. Returns: elements settled. */
static size_t refine_group(job *work, worker *self, const size_t *list, size_t count)
{
    size_t settled = 0;

    clear_blend(work, &self->blend, count);
    for (size_t i = 0; i < work->parts.part_count; i++)
        vdit_part_refine(&work->parts.parts[i], &self->rooms[work->parts.parts[i].room],
                         &self->blend, list, count);
    for (size_t lane = 0; lane < count; lane++)
        settled += settle_row(work, &self->blend, lane, list[lane]);
    return settled;
}

static void refine_head(job *work)
{
    size_t found = 0, settled = 0, mark = vdit_run_mark(work->run);
    size_t *list = vdit_run_alloc(work->run, work->rows, sizeof *list);
    vdit_shares groups;

    for (size_t r = 0; list != NULL && r < work->rows; r++)
        if ((work->row_open[r] & OPEN_O) != 0)
            list[found++] = r;
    groups = vdit_shares_make(found, work->nr, (size_t)work->threads, VDIT_REFINE_PANELS, 1);
#ifdef _OPENMP
#pragma omp parallel for num_threads(work->threads) schedule(dynamic, 1) reduction(+ : settled)
#endif
    for (size_t i = 0; i < groups.count; i++) {
        size_t first, rows = vdit_share_at(&groups, i, &first);

        settled += refine_group(work, &work->workers[this_thread()], list + first, rows);
    }
    vdit_run_counters(work->run)->attention[1] += settled;
    vdit_run_release(work->run, mark);
}

/* The kept mass and the counts of a row whose weights and mask are loaded. */
static void report_exact(job *work, const vdit_room *room, size_t r, size_t kept)
{
    const vdit_last *last = &room->walk.last;
    size_t valid = 0;
    vdit_mp sum;

    vdit_mp_from_f64(&sum, 0);
    for (size_t j = 0; j < last->head->keys; j++) {
        valid += vdit_head_mask(last->head, r, last->head->key_at[j]) != -INFINITY;
        if (room->keep[j])
            vdit_mp_add(&sum, &sum, &last->p[j]);
    }
    if (work->report->masked != NULL)
        put_count(work->report->masked, r, valid - kept);
    if (work->report->keep != NULL)
        vdit_post_mark(work->parts.pruned->post, room->keep, r);
    if (work->report->kept_mass == NULL)
        return;
    if (sum.sign != 0)
        vdit_mp_div(&sum, &sum, &last->sum);
    vdit_snap_to(&sum, &sum);
    put(work->report->kept_mass, r, 0, sum.sign != 0 ? vdit_mp_round(&sum, VDIT_F32) : 0);
}

/* Stage 2 of one row. Returns: elements settled. */
static size_t finish_row(job *work, worker *self, size_t r)
{
    unsigned char *open = work->parts.open + r * work->dv;
    size_t settled = 0;

    for (size_t c = 0; c < work->dv; c++) {
        vdit_mp_from_f64(&self->value[c], 0);
        vdit_mp_from_f64(&self->size[c], 0);
    }
    for (size_t i = 0; i < work->parts.part_count; i++) {
        const vdit_part *part = &work->parts.parts[i];
        vdit_room *room = &self->rooms[part->room];
        size_t kept = vdit_part_load(part, room, r);

        if (part == work->parts.pruned && (work->row_open[r] & OPEN_KEPT) != 0)
            report_exact(work, room, r, kept);
        for (size_t c = 0; c < work->dv; c++)
            if (open[c])
                vdit_part_exact(part, room, r, c, &self->value[c], &self->size[c]);
    }
    for (size_t c = 0; c < work->dv; c++) {
        if (!open[c])
            continue;
        vdit_snap_to(&self->value[c], &self->size[c]);
        put(work->call->o, r, c, vdit_mp_round(&self->value[c], work->call->o->dtype));
        settled++;
    }
    return settled;
}

static void finish_head(job *work)
{
    size_t settled = 0;

#ifdef _OPENMP
#pragma omp parallel for num_threads(work->threads) schedule(dynamic, 1) reduction(+ : settled)
#endif
    for (size_t r = 0; r < work->rows; r++)
        if (work->row_open[r] != 0)
            settled += finish_row(work, &work->workers[this_thread()], r);
    vdit_run_counters(work->run)->attention[2] += settled;
}

/* Fails where a query has an infinity or a NaN. */
static void check_queries(job *work, const vdit_source *source)
{
    double *q = vdit_run_alloc(work->run, source->head.d, sizeof(double));

    for (size_t r = 0; q != NULL && r < work->rows; r++)
        if (!vdit_head_query(&source->head, q, r)) {
            vdit_run_fail(work->run, VDIT_ERR_UNSUPPORTED,
                          "query %zu has an infinity or a NaN, expected finite numbers where an "
                          "edit blends or masks after the softmax",
                          vdit_query_at(&source->call, r));
            return;
        }
}

vdit_status vdit_edited_head(vdit_run *run, const vdit_attention *call, const double *tau,
                             const uint64_t *quota, const vdit_head_report *report)
{
    size_t mark = vdit_run_mark(run);
    job work = {.run = run, .call = call, .report = report};

    work.threads = vdit_run_threads(run);
    work.rows = call->rows ? call->rows->shape[0] : call->q->shape[2];
    work.dv = call->v->shape[3];
    if (vdit_compose(run, &work.parts, call, tau, quota, report) == VDIT_OK) {
        work.nr = work.parts.sources[0].head.kernel->nr;
        work.row_open = vdit_run_alloc(run, work.rows, 1);
        work.workers = vdit_run_alloc(run, (size_t)work.threads, sizeof *work.workers);
        for (size_t i = 0; i < work.parts.source_count; i++)
            check_queries(&work, &work.parts.sources[i]);
        for (int i = 0; i < work.threads && vdit_run_status(run) == VDIT_OK; i++)
            new_worker(&work, &work.workers[i]);
    }
    if (vdit_run_status(run) == VDIT_OK) {
        memset(work.parts.open, call->o != NULL, work.rows * work.dv);
        memset(work.row_open, call->o != NULL ? OPEN_O : 0, work.rows);
        stream_head(&work);
    }
    if (vdit_run_status(run) == VDIT_OK && call->o != NULL)
        refine_head(&work);
    if (vdit_run_status(run) == VDIT_OK)
        finish_head(&work);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}
