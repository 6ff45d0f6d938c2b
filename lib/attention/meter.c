/* meter.c - the engine: one run over the blocks of each head feeds all meters. */
#include <math.h>
#include <string.h>
#include "attention/meter.h"
#include "attention/share.h"
#include "attention/special.h"
#include "base/parallel.h"

/* Blocks that each thread takes between two reports of progress. */
#define BLOCKS_PER_THREAD 4

const vdit_meter_info *vdit_meter_at(size_t i)
{
    for (size_t n = 0; vdit_meter_kinds[n] != NULL; n++)
        if (n == i)
            return &vdit_meter_kinds[n]->info;
    return NULL;
}

void vdit_meter_request_init(vdit_meter_request *request, const char *meters)
{
    memset(request, 0, sizeof *request);
    request->size = sizeof *request;
    request->meters = meters;
}

const vdit_tensor *vdit_meter_find(const vdit_meter_results *results, const char *name)
{
    for (size_t i = 0; i < results->count; i++)
        if (strcmp(results->list[i].name, name) == 0)
            return &results->list[i].tensor;
    return NULL;
}

/* The extents that a letter of a shape stands for. */
static void set_extents(vdit_meter *meter)
{
    const vdit_meter_engine *engine = meter->engine;

    meter->extent['B' - 'A'] = engine->call->q->shape[0];
    meter->extent['H' - 'A'] = engine->call->q->shape[1];
    meter->extent['R' - 'A'] = engine->rows;
    meter->extent['K' - 'A'] = engine->call->k->shape[2];
    meter->extent['F' - 'A'] = engine->layout.frames;
    meter->extent['T' - 'A'] = engine->layout.key.text;
}

/* Fails if the meter needs tokens that were not declared. */
static void check_needs(vdit_meter *meter)
{
    const vdit_meter_info *info = &meter->kind->info;
    const vdit_meter_engine *engine = meter->engine;

    if ((info->needs & VDIT_METER_TOKENS) != 0 && engine->layout.frames == 0)
        vdit_run_fail(engine->run, VDIT_ERR_ARGUMENT,
                      "meter %s: it needs to know the video's frames, height and width",
                      info->name);
    if ((info->needs & VDIT_METER_TEXT) != 0 && meter->extent['T' - 'A'] == 0)
        vdit_run_fail(engine->run, VDIT_ERR_ARGUMENT, "meter %s: the keys have no text tokens",
                      info->name);
}

static void make_outputs(vdit_meter *meter)
{
    const vdit_meter_output *outputs = meter->kind->info.outputs;
    vdit_run *run = meter->engine->run;
    size_t count = 0;

    while (outputs[count].name != NULL)
        count++;
    meter->out = vdit_run_alloc(run, count, sizeof *meter->out);
    for (size_t i = 0; i < count && vdit_run_status(run) == VDIT_OK; i++) {
        size_t shape[VDIT_MAX_RANK];
        int rank = 0;

        for (const char *letter = outputs[i].shape; *letter != '\0'; letter++)
            shape[rank++] = meter->extent[*letter - 'A'];
        if (vdit_tensor_new(run, &meter->out[i], outputs[i].dtype, rank, shape) == VDIT_OK)
            memset(meter->out[i].data, 0,
                   vdit_tensor_count(&meter->out[i]) * vdit_dtype_size(outputs[i].dtype));
    }
}

/* Memory that lasts for the run of the meters, and no longer. */
static vdit_status make_engine(vdit_meter_engine *engine)
{
    vdit_run *run = engine->run;

    vdit_meter_cut(&engine->one, engine->call, 0, 0); /* for its shapes */
    vdit_head_new(run, &engine->head, &engine->one.call);
    engine->threads = vdit_run_threads(run);
    engine->kind = vdit_run_alloc(run, engine->rows, 1);
    engine->query_class = vdit_run_alloc(run, engine->rows, 1);
    engine->walks = vdit_run_alloc(run, (size_t)engine->threads, sizeof *engine->walks);
    for (int i = 0; i < engine->threads && vdit_run_status(run) == VDIT_OK; i++)
        vdit_walk_new(run, &engine->walks[i], &engine->head);
    for (size_t m = 0; m < engine->count && vdit_run_status(run) == VDIT_OK; m++) {
        vdit_meter *meter = &engine->meters[m];

        meter->open = vdit_run_alloc(run, engine->rows, 1);
        if (meter->open != NULL && meter->kind->start != NULL)
            meter->kind->start(meter);
    }
    return vdit_run_status(run);
}

/* The class of each query of this batch; a padding query has none (C01). */
static void classify_queries(vdit_meter_engine *engine)
{
    const vdit_attention *call = &engine->one.call;
    size_t valid = call->q->shape[2];

    if (valid ==
        call->k->shape[2]) /* self-attention: a query beyond the key length is padding too */
        valid = vdit_key_length(call, 0);
    for (size_t r = 0; r < engine->rows; r++) {
        size_t i = vdit_query_at(call, r);
        engine->query_class[r] =
            i < valid ? (unsigned char)vdit_axis_kind(&engine->layout.query, i) : 0;
    }
}

/* The passes over the keys that the meters need: 0, 1 or 2. */
static int passes_of(const vdit_meter_engine *engine)
{
    int passes = 0;

    for (size_t m = 0; m < engine->count; m++) {
        const vdit_meter_kind *kind = engine->meters[m].kind;
        int own = kind->tile != NULL ? 2 : kind->end_block != NULL ? 1 : 0;
        passes = own > passes ? own : passes;
    }
    return passes;
}

typedef struct block_job {
    vdit_meter_engine *engine;
    vdit_shares blocks; /* of the rows */
    size_t first;       /* the first block of this turn */
    int passes;
} block_job;

/* Notes the rows of a block that turn out to be empty. */
static void note_empty(vdit_meter_engine *engine, const vdit_walk *walk)
{
    for (size_t lane = 0; lane < walk->stream.rows; lane++)
        if (walk->stream.sum[lane] == 0 &&
            engine->kind[walk->stream.first + lane] == VDIT_ROW_PLAIN)
            engine->kind[walk->stream.first + lane] = VDIT_ROW_EMPTY;
}

int vdit_meter_has(const vdit_meter_engine *engine, const vdit_walk *walk, size_t lane)
{
    return lane < walk->stream.rows && engine->kind[walk->stream.first + lane] == VDIT_ROW_PLAIN;
}

static void show_tiles(vdit_meter_engine *engine, vdit_walk *walk, int worker)
{
    for (size_t t = 0; t < engine->head.tiles; t++)
        for (size_t p = 0; p < walk->stream.panels; p++) {
            vdit_walk_tile(walk, p, t);
            for (size_t m = 0; m < engine->count; m++)
                if (engine->meters[m].kind->tile != NULL)
                    engine->meters[m].kind->tile(&engine->meters[m], walk, p, t, worker);
        }
}

static void run_block(void *state, size_t task, int worker)
{
    block_job *job = state;
    vdit_meter_engine *engine = job->engine;
    vdit_walk *walk = &engine->walks[worker];
    size_t first, rows = vdit_share_at(&job->blocks, job->first + task, &first);

    vdit_walk_load(walk, first, rows, 0);
    note_empty(engine, walk);
    for (size_t m = 0; m < engine->count; m++)
        if (engine->meters[m].kind->begin_block != NULL)
            engine->meters[m].kind->begin_block(&engine->meters[m], walk, worker);
    if (job->passes > 1)
        show_tiles(engine, walk, worker);
    for (size_t m = 0; m < engine->count; m++)
        if (engine->meters[m].kind->end_block != NULL)
            engine->meters[m].kind->end_block(&engine->meters[m], walk, worker);
}

/* All blocks of the head, some at a time, with progress between. */
static vdit_status run_blocks(vdit_meter_engine *engine)
{
    block_job job = {.engine = engine, .passes = passes_of(engine)};
    size_t turn;

    if (job.passes == 0)
        return VDIT_OK;
    job.blocks = vdit_shares_make(engine->rows, engine->head.kernel->nr, (size_t)engine->threads,
                                  VDIT_STREAM_PANELS, 3);
    for (; job.first < job.blocks.count; job.first += turn) {
        turn = job.blocks.count - job.first;
        if (turn > BLOCKS_PER_THREAD * (size_t)engine->threads)
            turn = BLOCKS_PER_THREAD * (size_t)engine->threads;
        vdit_parallel(engine->threads, turn, run_block, &job);
        if (vdit_run_progress(
                engine->run, "meters",
                (engine->heads_done + (double)(job.first + turn) / (double)job.blocks.count) /
                    engine->heads,
                1) != VDIT_OK)
            return vdit_run_status(engine->run);
    }
    return VDIT_OK;
}

/* Which rows infinities and NaN decide. */
static void classify_rows(vdit_meter_engine *engine, double *scratch)
{
    for (size_t r = 0; r < engine->rows; r++)
        engine->kind[r] =
            (unsigned char)vdit_special_kind(&engine->head, r, scratch, scratch + engine->head.d);
}

/* What the meters say of rows that are not plain. */
static void special_rows(vdit_meter_engine *engine)
{
    for (size_t r = 0; r < engine->rows; r++)
        for (size_t m = 0; m < engine->count && engine->kind[r] != VDIT_ROW_PLAIN; m++)
            if (engine->meters[m].kind->special != NULL)
                engine->meters[m].kind->special(&engine->meters[m], r,
                                                (vdit_row_kind)engine->kind[r]);
}

/* One row in multi-precision, for all meters that left it open. */
static void run_exact(void *state, size_t task, int worker)
{
    vdit_meter_engine *engine = state;
    vdit_last *last = &engine->walks[worker].last;
    int any = 0;

    for (size_t m = 0; m < engine->count; m++)
        any |= engine->meters[m].open[task];
    if (!any)
        return;
    vdit_last_load(last, task);
    for (size_t m = 0; m < engine->count; m++)
        if (engine->meters[m].open[task])
            engine->meters[m].kind->exact(&engine->meters[m], last);
}

static vdit_status run_head(vdit_meter_engine *engine, size_t b, size_t h)
{
    vdit_run *run = engine->run;
    size_t mark = vdit_run_mark(run);
    double *scratch = vdit_run_alloc(run, 2 * engine->head.d, sizeof(double));

    if (scratch == NULL)
        return vdit_run_status(run);
    engine->b = b;
    engine->h = h;
    vdit_meter_cut(&engine->one, engine->call, b, h);
    vdit_head_load(run, &engine->head, 0, 0);
    classify_queries(engine);
    classify_rows(engine, scratch);
    for (size_t m = 0; m < engine->count; m++) {
        memset(engine->meters[m].open, 0, engine->rows);
        if (engine->meters[m].kind->begin != NULL)
            engine->meters[m].kind->begin(&engine->meters[m]);
    }
    if (run_blocks(engine) == VDIT_OK) {
        special_rows(engine);
        vdit_parallel(engine->threads, engine->rows, run_exact, engine);
        for (size_t m = 0; m < engine->count && vdit_run_status(run) == VDIT_OK; m++)
            if (engine->meters[m].kind->end != NULL)
                engine->meters[m].kind->end(&engine->meters[m]);
    }
    engine->heads_done += 1;
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

/* Out: results, from the outputs of the meters. */
static void list_results(vdit_meter_results *results, const vdit_meter_engine *engine)
{
    vdit_run *run = engine->run;
    size_t count = 0;

    for (size_t m = 0; m < engine->count; m++)
        for (size_t i = 0; engine->meters[m].kind->info.outputs[i].name != NULL; i++)
            count++;
    results->count = 0;
    results->list = vdit_run_alloc(run, count, sizeof *results->list);
    for (size_t m = 0; m < engine->count; m++) {
        const vdit_meter *meter = &engine->meters[m];
        const vdit_meter_output *outputs = meter->kind->info.outputs;

        for (size_t i = 0; outputs[i].name != NULL && results->list != NULL; i++) {
            const char *name = meter->kind->info.name;
            size_t length = strlen(name), tail = strlen(outputs[i].name);
            char *full = vdit_run_alloc(run, length + tail + 2, 1);

            if (full == NULL)
                return;
            memcpy(full, name, length);
            full[length] = tail > 0 ? '.' : '\0';
            memcpy(full + length + (tail > 0), outputs[i].name, tail + 1);
            results->list[results->count++] =
                (vdit_meter_result){name, full, meter->ids, meter->out[i]};
        }
    }
}

vdit_status vdit_meter_open(vdit_meter_engine *engine, vdit_run *run, const vdit_attention *call,
                            const vdit_meter_request *request)
{
    memset(engine, 0, sizeof *engine);
    engine->run = run;
    engine->call = call;
    engine->other_q = request->other_q;
    engine->other_k = request->other_k;
    engine->rows = call->rows != NULL ? call->rows->shape[0] : call->q->shape[2];
    engine->heads = (double)call->q->shape[0] * (double)call->q->shape[1];
    if (vdit_layout_set(run, &engine->layout, &request->tokens, call->q->shape[2],
                        call->k->shape[2]) != VDIT_OK ||
        vdit_meter_check_edits(run, call) != VDIT_OK ||
        vdit_meter_parse(engine, request->meters) != VDIT_OK)
        return vdit_run_status(run);
    for (size_t m = 0; m < engine->count && vdit_run_status(run) == VDIT_OK; m++) {
        vdit_meter *meter = &engine->meters[m];

        set_extents(meter);
        check_needs(meter);
        if (vdit_run_status(run) == VDIT_OK && meter->kind->open != NULL)
            meter->kind->open(meter);
    }
    return vdit_run_status(run);
}

vdit_status vdit_meter_run(vdit_run *run, const vdit_attention *call,
                           const vdit_meter_request *request, vdit_meter_results *results)
{
    size_t begin = vdit_run_mark(run), mark;
    vdit_meter_engine engine;
    vdit_meter_results made = {0, NULL};

    if (vdit_attention_check(run, call) != VDIT_OK)
        return vdit_run_status(run);
    vdit_meter_open(&engine, run, call, request);
    for (size_t m = 0; m < engine.count && vdit_run_status(run) == VDIT_OK; m++)
        make_outputs(&engine.meters[m]);
    if (vdit_run_status(run) == VDIT_OK)
        list_results(&made, &engine);
    mark = vdit_run_mark(run);
    if (vdit_run_status(run) == VDIT_OK && engine.heads > 0 && make_engine(&engine) == VDIT_OK)
        for (size_t b = 0; b < call->q->shape[0]; b++)
            for (size_t h = 0; h < call->q->shape[1] && vdit_run_status(run) == VDIT_OK; h++)
                run_head(&engine, b, h);
    if (vdit_run_status(run) == VDIT_OK) {
        vdit_run_release(run, mark);
        *results = made;
    } else {
        vdit_run_release(run, begin);
    }
    return vdit_run_status(run);
}
