/* stream.c - stage 0 of attention: binary64, tile by tile, with its error bounds. */
#include <math.h>
#include <string.h>
#include "attention/stream.h"

#define LOG2_E 0x1.71547652b82fep+0 /* nearest to log2(e) */
#define UNIT   0x1p-53

/* A maximum that lies this far (in units of log 2) above the reference point moves it. */
#define LAZY_RISE 30.0

/* Below every logit that finite operands can give. */
#define NO_TOP (-0x1p1000)

vdit_status vdit_stream_new(vdit_run *run, vdit_stream *stream, const vdit_head *head)
{
    size_t nr = head->kernel->nr, lanes = VDIT_STREAM_PANELS * nr;
    size_t longest = head->d > VDIT_TILE ? head->d : VDIT_TILE;

    memset(stream, 0, sizeof *stream);
    stream->head = head;
    stream->q = vdit_run_alloc(run, lanes * head->d, sizeof(double));
    stream->s = vdit_run_alloc(run, VDIT_TILE * nr, sizeof(double));
    stream->mask = vdit_run_alloc(run, VDIT_TILE * nr, sizeof(double));
    stream->o = vdit_run_alloc(run, lanes * head->dv_padded, sizeof(double));
    stream->top = vdit_run_alloc(run, lanes, sizeof(double));
    stream->most = vdit_run_alloc(run, lanes, sizeof(double));
    stream->sum = vdit_run_alloc(run, lanes, sizeof(double));
    stream->square = vdit_run_alloc(run, lanes, sizeof(double));
    stream->query_norm = vdit_run_alloc(run, lanes, sizeof(double));
    stream->odd = vdit_run_alloc(run, lanes, 1);
    stream->tile = vdit_run_alloc(run, VDIT_KERNEL_TILE_MAX, sizeof(double));
    stream->row = vdit_run_alloc(run, longest, sizeof(double));
    return vdit_run_status(run);
}

double vdit_stream_bytes(const vdit_attention *a)
{
    double lanes = VDIT_STREAM_PANELS * VDIT_KERNEL_NR_MAX;
    double widths = (double)a->q->shape[3] + (double)a->v->shape[3] + VDIT_KERNEL_MR_MAX;

    return 8 * (lanes * (widths + 6) + 2 * VDIT_TILE * VDIT_KERNEL_NR_MAX + (double)a->q->shape[3]);
}

size_t vdit_tile_keys(const vdit_head *head, size_t t)
{
    size_t left = head->keys - t * VDIT_TILE;

    return left < VDIT_TILE ? left : VDIT_TILE;
}

/* Lane `lane` of the block: its query into the panel, or zeros. */
static void load_lane(vdit_stream *stream, size_t lane)
{
    const vdit_head *head = stream->head;
    size_t nr = head->kernel->nr, d = head->d;
    double *to = stream->q + lane / nr * nr * d + lane % nr, sum = 0;
    int finite = lane < stream->rows && vdit_head_query(head, stream->row, stream->first + lane);

    for (size_t c = 0; c < d; c++) {
        double x = finite ? stream->row[c] : 0;
        to[c * nr] = x;
        sum += head->weight[c] * (x * x);
    }
    stream->query_norm[lane] = sqrt(sum);
    stream->odd[lane] = lane < stream->rows && !finite;
    stream->top[lane] = stream->most[lane] = NO_TOP;
    stream->sum[lane] = stream->square[lane] = 0;
}

void vdit_stream_load(vdit_stream *stream, size_t first, size_t rows)
{
    size_t nr = stream->head->kernel->nr;

    stream->first = first;
    stream->rows = rows;
    stream->panels = (rows + nr - 1) / nr;
    for (size_t lane = 0; lane < stream->panels * nr; lane++)
        load_lane(stream, lane);
    memset(stream->o, 0, stream->panels * nr * stream->head->dv_padded * sizeof(double));
}

/* The mask of panel p on tile t, in units of log 2. */
static void load_mask(vdit_stream *stream, size_t p, size_t t)
{
    size_t nr = stream->head->kernel->nr, keys = vdit_tile_keys(stream->head, t);

    for (size_t lane = 0; lane < nr; lane++) {
        size_t row = p * nr + lane;
        if (row < stream->rows)
            vdit_head_mask_row(stream->head, stream->row, stream->first + row, t * VDIT_TILE, keys);
        else
            memset(stream->row, 0, keys * sizeof(double));
        for (size_t j = 0; j < keys; j++)
            stream->mask[j * nr + lane] = stream->row[j] * LOG2_E;
    }
}

void vdit_stream_logits(vdit_stream *stream, size_t p, size_t t)
{
    const vdit_head *head = stream->head;
    const vdit_kernel_f64 *kernel = head->kernel;
    size_t keys = vdit_tile_keys(head, t), mr = kernel->mr, nr = kernel->nr;
    const double *q = stream->q + p * nr * head->d, *k = head->k + t * VDIT_TILE * head->d;
    int masked = head->masked;

    for (size_t j = 0; j < keys; j += mr)
        kernel->gemm(head->d, head->logit_chunk, k + j * head->d, q, stream->s + j * nr);
    if (masked)
        load_mask(stream, p, t);
    kernel->scale_max(keys, head->call->scale * LOG2_E, masked ? stream->mask : NULL, stream->s,
                      stream->most + p * nr);
}

/*
 * Moves the reference point of a lane up to the integer at or above rise, and its sums with it. The
 * points being integers, the factor is a power of two and nothing is rounded.
 */
static void rescale(vdit_stream *stream, size_t p, size_t lane, double rise)
{
    size_t nr = stream->head->kernel->nr, at = p * nr + lane;
    double *o = stream->o + p * nr * stream->head->dv_padded + lane;
    double to = ceil(rise), step = stream->top[at] - to;
    double factor = step < -1010 ? 0 : ldexp(1, (int)step);

    for (size_t c = 0; c < stream->head->dv_padded; c++)
        o[c * nr] *= factor;
    stream->sum[at] *= factor;
    stream->square[at] *= factor * factor;
    stream->top[at] = to;
}

void vdit_stream_values(vdit_stream *stream, size_t p, size_t t)
{
    const vdit_head *head = stream->head;
    size_t keys = vdit_tile_keys(head, t), mr = head->kernel->mr, nr = head->kernel->nr;
    const double *v = head->v + t * head->dv_padded * VDIT_TILE;
    double *o = stream->o + p * nr * head->dv_padded;

    for (size_t c = 0; c < head->dv_padded; c += mr) {
        head->kernel->gemm(keys, head->value_chunk, v + c * VDIT_TILE, stream->s, stream->tile);
        head->kernel->add(stream->tile, o + c * nr);
    }
}

static void stream_panel(vdit_stream *stream, size_t p, size_t t)
{
    const vdit_head *head = stream->head;
    size_t nr = head->kernel->nr, at = p * nr;

    vdit_stream_logits(stream, p, t);
    for (size_t lane = 0; lane < nr; lane++)
        if (stream->most[at + lane] > stream->top[at + lane] + LAZY_RISE)
            rescale(stream, p, lane, stream->most[at + lane]);
    head->kernel->exp2_sum(vdit_tile_keys(head, t), stream->top + at, stream->s, stream->sum + at,
                           stream->square + at);
}

void vdit_stream_run(vdit_stream *stream)
{
    for (size_t t = 0; t < stream->head->tiles; t++)
        for (size_t p = 0; p < stream->panels; p++) {
            stream_panel(stream, p, t);
            vdit_stream_values(stream, p, t);
        }
}

void vdit_stream_sums(vdit_stream *stream)
{
    for (size_t t = 0; t < stream->head->tiles; t++)
        for (size_t p = 0; p < stream->panels; p++)
            stream_panel(stream, p, t);
}

/* doc/numerics.md, 5.2, with the step numbers used there. */
void vdit_stream_bound(vdit_row_bound *bound, const vdit_stream *stream, size_t r)
{
    const vdit_head *head = stream->head;
    double top = fabs(stream->top[r]) * 0x1.62e42fefa39f0p-1, tiles = (double)head->tiles;
    int masked = head->masked;
    double largest;

    /* (1) logits: dot product, scale, mask, difference to the top; (2) 2^x */
    bound->logit = UNIT * fabs(head->call->scale) * stream->query_norm[r] * (masked ? 2 : 1);
    bound->weight = UNIT * (top * (masked ? 4 : 1) + (masked ? 256 : 0) + VDIT_KERNEL_EXP2_UNITS);
    /* (3) sums over keys: what each meets is in the norms; (4) of weights, and the quotient */
    bound->value = 0;
    bound->sums = UNIT;
    bound->total = UNIT * (VDIT_TILE + tiles + 5);
    bound->length = 1.01 * sqrt(stream->square[r]) / stream->sum[r];
    /* (5) weights below 2^-1010 and sums dropped by rescaling; with a mask, weights below 2^-64 */
    bound->floor = (double)head->keys * (0x1p-900 + (masked ? UNIT * 0x1p-48 : 0));
    largest = bound->logit * head->key_norm_max + bound->weight +
              bound->sums * head->sum_weight_max + bound->total;
    bound->usable = largest < 0x1p-10;
}
