/*
 * fast.c - attention in binary32, tiled as flash attention is: memory O(N d), no promise on bits.
 *
 * The same shape as stage 0 of the reference, with lanes of queries and one pass over the keys; but each
 * block packs its keys as it goes, and nothing is bounded. A call that meets an infinity or a NaN, in an
 * operand or in its own sums, is given to the reference.
 */
#include <float.h>
#include <math.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#include "attention/head.h"
#include "attention/share.h"
#include "exact/simd.h"
#include "exact/single.h"
#include "op/pack.h"

#define LOG2_E 1.44269504f
#define PANELS 8    /* of queries per block */
#define TILE   192  /* keys */
#define CHUNK  128  /* of a sum of products: its error is far below what the contract allows */
#define RISE   8.0f /* the maximum moves when weights would exceed 2^8 */
#define NO_TOP (-INFINITY)

/* One head in binary32 panels, shared by all threads. */
typedef struct fast_head {
    const vdit_attention *call;
    const vdit_kernel_f32 *kernel;
    size_t b, h, d, dv, dv_padded, keys, rows;
    int odd;  /* an infinity or a NaN was met */
    float *k; /* [panel][d][mr] */
    float *v; /* [tile][panel of channels][TILE][mr] */
    /* rows of q and k, columns of v, of the head at hand */
    vdit_matrix q_rows, k_rows, v_columns;
} fast_head;

/* One thread's block of queries. */
typedef struct fast_block {
    float *q, *s, *o, *mask, *tile;   /* as in stream.h */
    float *top, *most, *sum, *square; /* [PANELS * nr] */
    float *row;                       /* [dv] */
} fast_block;

static size_t round_up(size_t count, size_t to)
{
    return (count + to - 1) / to * to;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Notes an infinity or a NaN among n numbers. */
static void look_at(fast_head *head, const float *x, size_t n)
{
    float sum = 0; /* x - x is 0 for finite x and NaN otherwise */

#ifdef _OPENMP
#pragma omp simd reduction(+ : sum)
#endif
    for (size_t i = 0; i < n; i++)
        sum += x[i] - x[i];
    if (sum == 0)
        return;
#ifdef _OPENMP
#pragma omp atomic write
#endif
    head->odd = 1;
}

/* Packs the keys and values of one tile. */
static void pack_tile(fast_head *head, size_t t)
{
    size_t mr = head->kernel->mr, d = head->d, first = t * TILE;
    size_t keys = least(TILE, head->keys - first);
    float *v = head->v + t * head->dv_padded * TILE;

    for (size_t j = first; j < first + keys; j += mr) {
        vdit_pack_panel_f32(head->k + j * d, &head->k_rows, j, least(mr, head->keys - j), mr, 0, d);
        look_at(head, head->k + j * d, mr * d);
    }
    for (size_t c = 0; c < head->dv; c += mr) {
        vdit_pack_panel_f32(v + c * TILE, &head->v_columns, c, least(mr, head->dv - c), mr, first,
                            keys);
        look_at(head, v + c * TILE, keys * mr);
    }
}

/* Queries of a block into panels, sums cleared. */
static void load_block(fast_head *head, fast_block *block, size_t first, size_t rows)
{
    size_t nr = head->kernel->nr, lanes = round_up(rows, nr);

    for (size_t at = 0; at < rows; at += nr)
        vdit_pack_panel_f32(block->q + at * head->d, &head->q_rows, first + at,
                            least(nr, rows - at), nr, 0, head->d);
    look_at(head, block->q, lanes * head->d);
    for (size_t lane = 0; lane < lanes; lane++) {
        block->top[lane] = block->most[lane] = NO_TOP;
        block->sum[lane] = block->square[lane] = 0;
    }
    memset(block->o, 0, lanes * head->dv_padded * sizeof(float));
}

/* One mask entry in units of log 2. */
static float mask_at(const fast_head *head, size_t r, size_t j)
{
    const vdit_tensor *mask = head->call->mask;
    size_t index[4] = {head->b, head->h, vdit_query_at(head->call, r), j};
    double value;

    for (int axis = 0; axis < 4; axis++)
        if (mask->shape[axis] == 1)
            index[axis] = 0;
    vdit_load_f64(&value, 1, vdit_tensor_at(mask, index), 1, mask->dtype);
    if (mask->dtype == VDIT_BOOL)
        return value != 0 ? 0 : -INFINITY;
    return value > -FLT_MAX / LOG2_E || value == -INFINITY ? (float)value * LOG2_E : -FLT_MAX;
}

static void load_mask(const fast_head *head, fast_block *block, size_t first, size_t rows, size_t p,
                      size_t t, size_t keys)
{
    size_t nr = head->kernel->nr;

    for (size_t j = 0; j < keys; j++)
        for (size_t lane = 0; lane < nr; lane++)
            block->mask[j * nr + lane] =
                p * nr + lane < rows ? mask_at(head, first + p * nr + lane, t * TILE + j) : 0;
}

/* Moves the reference point of a lane to an integer, and its sums with it. */
static void rescale(const fast_head *head, fast_block *block, size_t p, size_t lane)
{
    size_t nr = head->kernel->nr, at = p * nr + lane;
    float to = ceilf(block->most[at]), factor = exp2f(block->top[at] - to);
    float *o = block->o + p * nr * head->dv_padded + lane;

    for (size_t c = 0; c < head->dv_padded; c++)
        o[c * nr] *= factor;
    block->sum[at] *= factor;
    block->top[at] = to;
}

/* Panel p of the block on tile t: logits, weights, sums. */
static void run_panel(const fast_head *head, fast_block *block, size_t first, size_t rows, size_t p,
                      size_t t)
{
    const vdit_kernel_f32 *kernel = head->kernel;
    size_t mr = kernel->mr, nr = kernel->nr, at = p * nr;
    size_t left = head->keys - t * TILE, keys = left < TILE ? left : TILE;
    const float *v = head->v + t * head->dv_padded * TILE;
    const float *mask = head->call->mask ? block->mask : NULL;
    float *o = block->o + at * head->dv_padded;

    for (size_t j = 0; j < keys; j += mr)
        kernel->gemm(head->d, CHUNK, head->k + (t * TILE + j) * head->d, block->q + at * head->d,
                     block->s + j * nr);
    if (mask != NULL)
        load_mask(head, block, first, rows, p, t, keys);
    kernel->scale_max(keys, (float)head->call->scale * LOG2_E, mask, block->s, block->most + at);
    for (size_t lane = 0; lane < nr; lane++)
        if (block->most[at + lane] > block->top[at + lane] + RISE)
            rescale(head, block, p, lane);
    kernel->exp2_sum(keys, block->top + at, block->s, block->sum + at, block->square + at);
    for (size_t c = 0; c < head->dv_padded; c += mr) {
        kernel->gemm(keys, CHUNK, v + c * TILE, block->s, block->tile);
        kernel->add(block->tile, o + c * nr);
    }
}

static void put(const fast_head *head, const vdit_tensor *out, size_t r, size_t i, double value)
{
    size_t index[4] = {head->b, head->h, r, i};

    vdit_store_f64(vdit_tensor_at(out, index), out->dtype, value);
}

/* Writes one row of the output, scaled by share. */
static void write_row(const fast_head *head, float *row, size_t r, const float *o, float share)
{
    const vdit_tensor *out = head->call->o;
    size_t nr = head->kernel->nr, index[4] = {head->b, head->h, r, 0};

    for (size_t c = 0; c < head->dv; c++)
        row[c] = o[c * nr] * share;
    if (head->dv > 0)
        vdit_store_f32(vdit_tensor_at(out, index), out->stride[3], out->dtype, row, head->dv);
}

/* Writes o and lse of a block. */
static void write_block(fast_head *head, const fast_block *block, size_t first, size_t rows)
{
    size_t nr = head->kernel->nr;

    for (size_t lane = 0; lane < rows; lane++) {
        const float *o = block->o + lane / nr * nr * head->dv_padded + lane % nr;
        float sum = block->sum[lane], share = sum > 0 ? 1 / sum : sum;
        float seen[2] = {sum, block->most[lane] == -INFINITY ? 0 : block->most[lane]};

        look_at(head, seen, 2); /* logits beyond binary32 */
        if (head->call->o != NULL)
            write_row(head, block->row, first + lane, o, share);
        if (head->call->lse != NULL)
            put(head, head->call->lse, first + lane, 0,
                sum == 0 ? -INFINITY : block->top[lane] / LOG2_E + logf(sum));
    }
}

/* The map of a block: a second pass with the sums known. */
static void write_map(const fast_head *head, fast_block *block, size_t first, size_t rows)
{
    const vdit_kernel_f32 *kernel = head->kernel;
    size_t nr = kernel->nr, nk = head->call->k->shape[2];

    for (size_t lane = 0; lane < rows; lane++)
        for (size_t j = 0; j < nk; j++) {
            const float *k = head->k + j / kernel->mr * kernel->mr * head->d + j % kernel->mr;
            const float *q = block->q + lane / nr * nr * head->d + lane % nr;
            float s = 0, sum = block->sum[lane];

            for (size_t c = 0; j < head->keys && c < head->d; c++)
                s += q[c * nr] * k[c * kernel->mr];
            s *= (float)head->call->scale * LOG2_E;
            if (j < head->keys && head->call->mask != NULL)
                s += mask_at(head, first + lane, j);
            put(head, head->call->map, first + lane, j,
                j < head->keys && sum > 0 ? exp2f(s - block->top[lane]) / sum : 0);
        }
}

static void run_block(fast_head *head, fast_block *block, size_t first, size_t rows)
{
    size_t panels = (rows + head->kernel->nr - 1) / head->kernel->nr;

    load_block(head, block, first, rows);
    for (size_t t = 0; t * TILE < head->keys; t++)
        for (size_t p = 0; p < panels; p++)
            run_panel(head, block, first, rows, p, t);
    write_block(head, block, first, rows);
    if (head->call->map != NULL)
        write_map(head, block, first, rows);
}

static void new_block(vdit_run *run, fast_block *block, const fast_head *head)
{
    size_t nr = head->kernel->nr, lanes = PANELS * nr;

    block->q = vdit_run_alloc(run, lanes * head->d, sizeof(float));
    block->o = vdit_run_alloc(run, lanes * head->dv_padded, sizeof(float));
    block->s = vdit_run_alloc(run, TILE * nr, sizeof(float));
    block->mask = vdit_run_alloc(run, TILE * nr, sizeof(float));
    block->tile = vdit_run_alloc(run, VDIT_KERNEL_TILE_MAX, sizeof(float));
    block->top = vdit_run_alloc(run, lanes, sizeof(float));
    block->most = vdit_run_alloc(run, lanes, sizeof(float));
    block->sum = vdit_run_alloc(run, lanes, sizeof(float));
    block->square = vdit_run_alloc(run, lanes, sizeof(float));
    block->row = vdit_run_alloc(run, head->dv, sizeof(float));
}

/* Where n rows of a tensor's axis lie, those of the run's chosen queries if chosen. Returns: no data yet. */
static vdit_matrix matrix_of(vdit_run *run, const vdit_tensor *t, int axis, size_t n,
                             const vdit_attention *chosen)
{
    ptrdiff_t *row = vdit_run_alloc(run, n, sizeof *row);

    for (size_t i = 0; row != NULL && i < n; i++)
        row[i] = (ptrdiff_t)(chosen != NULL ? vdit_query_at(chosen, i) : i) * t->stride[axis];
    return (vdit_matrix){NULL, t->dtype, row, t->stride[5 - axis]};
}

static void *head_at(const fast_head *head, const vdit_tensor *t)
{
    size_t index[4] = {head->b, head->h, 0, 0};

    return vdit_tensor_at(t, index);
}

static void run_head(vdit_run *run, fast_head *head, fast_block *blocks)
{
    size_t threads = (size_t)vdit_run_threads(run);
    vdit_shares shares = vdit_shares_make(head->rows, head->kernel->nr, threads, PANELS, 3);

    head->keys = vdit_key_length(head->call, head->b);
    head->q_rows.data = head_at(head, head->call->q);
    head->k_rows.data = head_at(head, head->call->k);
    head->v_columns.data = head_at(head, head->call->v);
#ifdef _OPENMP
#pragma omp parallel num_threads((int)threads)
#endif
    {
#ifdef _OPENMP
        fast_block *block = &blocks[omp_get_thread_num()];
#pragma omp for schedule(static)
#else
        fast_block *block = blocks;
#endif
        for (size_t t = 0; t < (head->keys + TILE - 1) / TILE; t++)
            pack_tile(head, t);
#ifdef _OPENMP
#pragma omp for schedule(dynamic, 1)
#endif
        for (size_t i = 0; i < shares.count; i++) {
            size_t first, rows = vdit_share_at(&shares, i, &first);
            run_block(head, block, first, rows);
        }
    }
}

vdit_status vdit_attention_fast(vdit_run *run, const vdit_attention *call)
{
    size_t mark = vdit_run_mark(run), slots, threads;
    double done = 0;
    fast_head head;
    fast_block *blocks;

    if (vdit_attention_check(run, call) != VDIT_OK)
        return vdit_run_status(run);
    if (call->edits != NULL)
        return vdit_run_fail(run, VDIT_ERR_UNSUPPORTED, "edits are the reference's alone");
    if (call->sigma != NULL)
        return vdit_run_fail(run, VDIT_ERR_UNSUPPORTED, "sigma is the reference's alone");
    memset(&head, 0, sizeof head);
    head.call = call;
    head.kernel = vdit_kernel_f32_at(0);
    head.d = call->q->shape[3];
    head.dv = call->v->shape[3];
    head.dv_padded = round_up(head.dv, head.kernel->mr);
    head.rows = call->rows ? call->rows->shape[0] : call->q->shape[2];
    slots = round_up(call->k->shape[2], TILE);
    head.k = vdit_run_alloc(run, slots, head.d * sizeof(float));
    head.v = vdit_run_alloc(run, slots, head.dv_padded * sizeof(float));
    head.q_rows = matrix_of(run, call->q, 2, head.rows, call);
    head.k_rows = matrix_of(run, call->k, 2, call->k->shape[2], NULL);
    head.v_columns = matrix_of(run, call->v, 3, head.dv, NULL);
    threads = (size_t)vdit_run_threads(run);
    blocks = vdit_run_alloc(run, threads, sizeof *blocks);
    for (size_t i = 0; blocks != NULL && i < threads; i++)
        new_block(run, &blocks[i], &head);
    for (head.b = 0; head.b < call->q->shape[0]; head.b++)
        for (head.h = 0; head.h < call->q->shape[1] && vdit_run_status(run) == VDIT_OK; head.h++) {
            run_head(run, &head, blocks);
            vdit_run_progress(run, "attention", ++done,
                              (double)call->q->shape[0] * (double)call->q->shape[1]);
        }
    vdit_run_release(run, mark);
    return head.odd && vdit_run_status(run) == VDIT_OK ? vdit_attention_reference(run, call)
                                                       : vdit_run_status(run);
}
