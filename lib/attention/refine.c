/* refine.c - stage 1 of attention: exact slices, weights as pairs (doc/numerics.md, 5.4). */
#include <math.h>
#include <string.h>
#include "attention/refine.h"
#include "attention/weigh.h"
#include "exact/pair.h"
#include "exact/settle.h"

#define UNIT 0x1p-53

vdit_status vdit_refine_new(vdit_run *run, vdit_refine *refine, const vdit_head *head)
{
    size_t nr = head->kernel->nr, d = head->d, longest = d > VDIT_TILE ? d : VDIT_TILE;
    size_t lanes = VDIT_REFINE_PANELS * nr;

    memset(refine, 0, sizeof *refine);
    refine->head = head;
    refine->bits = 26;
    while (refine->bits > 0 && ldexp((double)d, 2 * refine->bits) > 0x1p53)
        refine->bits--;
    refine->q = vdit_run_alloc(run, lanes * d, sizeof(double));
    refine->q_high = vdit_run_alloc(run, lanes * d, sizeof(double));
    refine->q_low = vdit_run_alloc(run, lanes * d, sizeof(double));
    refine->k_high = vdit_run_alloc(run, VDIT_TILE * d, sizeof(double));
    refine->k_low = vdit_run_alloc(run, VDIT_TILE * d, sizeof(double));
    refine->high = vdit_run_alloc(run, VDIT_TILE * nr, sizeof(double));
    refine->low = vdit_run_alloc(run, VDIT_TILE * nr, sizeof(double));
    refine->mask = vdit_run_alloc(run, VDIT_TILE * nr, sizeof(double));
    refine->p_high = vdit_run_alloc(run, VDIT_TILE * nr, sizeof(double));
    refine->p_low = vdit_run_alloc(run, VDIT_TILE * nr, sizeof(double));
    refine->v = vdit_run_alloc(run, VDIT_TILE * head->dv_padded, sizeof(double));
    refine->tile = vdit_run_alloc(run, VDIT_KERNEL_TILE_MAX, sizeof(double));
    refine->row = vdit_run_alloc(run, longest, sizeof(double));
    refine->o_high = vdit_run_alloc(run, lanes * head->dv, sizeof(double));
    refine->o_low = vdit_run_alloc(run, lanes * head->dv, sizeof(double));
    return vdit_run_status(run);
}

double vdit_refine_bytes(const vdit_attention *a)
{
    double d = (double)a->q->shape[3], dv = (double)a->v->shape[3];

    return 8 * (VDIT_REFINE_LANES * (3 * d + 2 * dv) +
                VDIT_TILE * (2 * d + dv + 5 * VDIT_KERNEL_NR_MAX + VDIT_KERNEL_MR_MAX) + d);
}

static void load_lane(vdit_refine *refine, const vdit_rows *rows, size_t lane, const size_t *list,
                      size_t count)
{
    const vdit_head *head = refine->head;
    size_t nr = head->kernel->nr, d = head->d;
    double sum = 0;

    memset(refine->row, 0, d * sizeof(double));
    if (lane < count)
        vdit_head_query(head, refine->row, list[lane]);
    for (size_t c = 0; c < d; c++) {
        refine->q[lane / nr * nr * d + c * nr + lane % nr] = refine->row[c];
        sum += head->weight[c] * (refine->row[c] * refine->row[c]);
    }
    refine->query_norm[lane] = sqrt(sum);
    refine->top[lane] = lane < count ? rows->top[list[lane]] : 0;
    refine->sum_high[lane] = refine->sum_low[lane] = refine->square[lane] = 0;
}

/* The mask of panel p on tile t. */
static void load_mask(vdit_refine *refine, const size_t *list, size_t count, size_t p, size_t t)
{
    const vdit_head *head = refine->head;
    size_t nr = head->kernel->nr, keys = vdit_tile_keys(head, t);

    for (size_t i = 0; i < nr; i++) {
        memset(refine->row, 0, keys * sizeof(double));
        if (p * nr + i < count)
            vdit_head_mask_row(head, refine->row, list[p * nr + i], t * VDIT_TILE, keys);
        for (size_t j = 0; j < keys; j++)
            refine->mask[j * nr + i] = refine->row[j];
    }
}

/* The slices of the keys of tile t. */
static void slice_keys(vdit_refine *refine, size_t t)
{
    const vdit_head *head = refine->head;
    size_t keys = vdit_tile_keys(head, t), mr = head->kernel->mr, d = head->d;
    const double *k = head->k + t * VDIT_TILE * d;

    for (size_t j = 0; j < keys; j += mr)
        vdit_slice(d, mr, refine->bits, k + j * d, refine->k_high + j * d, refine->k_low + j * d);
}

/* high + low = the dot products: the first slices exactly, the rest in plain binary64. */
static void slice_logits(vdit_refine *refine, size_t p, size_t keys)
{
    const vdit_kernel_f64 *kernel = refine->head->kernel;
    size_t mr = kernel->mr, nr = kernel->nr, d = refine->head->d, at = p * nr * d;

    for (size_t j = 0; j < keys; j += mr) {
        kernel->gemm(d, VDIT_KERNEL_CHUNK, refine->k_high + j * d, refine->q_high + at,
                     refine->high + j * nr);
        kernel->gemm(d, VDIT_KERNEL_CHUNK, refine->k_high + j * d, refine->q_low + at,
                     refine->low + j * nr);
        kernel->gemm(d, VDIT_KERNEL_CHUNK, refine->k_low + j * d, refine->q + at, refine->tile);
        kernel->add(refine->tile, refine->low + j * nr);
    }
}

/*
 * Out: to[width][VDIT_TILE], whose rows are the columns of from[n][width]: eight elements at a time, a few
 * more than n if need be.
 */
static void turn(size_t n, size_t width, const double *from, double *to)
{
    for (size_t start = 0; start < n; start += 8)
        for (size_t i = 0; i < width; i++) {
            const double *x = from + start * width + i;
            double *y = to + i * VDIT_TILE + start;

            y[0] = x[0], y[1] = x[width], y[2] = x[2 * width], y[3] = x[3 * width];
            y[4] = x[4 * width], y[5] = x[5 * width], y[6] = x[6 * width], y[7] = x[7 * width];
        }
}

/* The values of tile t. */
static void turn_values(vdit_refine *refine, size_t t)
{
    const vdit_head *head = refine->head;
    const double *v = head->v + t * head->dv_padded * VDIT_TILE;
    size_t mr = head->kernel->mr;

    for (size_t c = 0; c < head->dv_padded; c += mr)
        turn(VDIT_TILE, mr, v + c * VDIT_TILE, refine->v + c * VDIT_TILE);
}

/* Adds tile t to the sums of the open channels of one lane. */
static void add_values(vdit_refine *refine, const vdit_rows *rows, size_t lane, size_t r, size_t t)
{
    size_t keys = vdit_tile_keys(refine->head, t), whole = (keys + 7) / 8 * 8;
    size_t dv = refine->head->dv, at = lane % refine->head->kernel->nr * VDIT_TILE;
    double *high = refine->p_high + at, *low = refine->p_low + at;

    for (size_t j = keys; j < whole; j++)
        high[j] = low[j] = 0;
    for (size_t c = 0; c < dv; c++)
        if (rows->o[r * dv + c])
            vdit_weigh_values(whole, high, low, refine->v + c * VDIT_TILE,
                              &refine->o_high[lane * dv + c], &refine->o_low[lane * dv + c]);
}

/* Stage 0's formula with what the slices and pairs leave. */
void vdit_refine_bound(vdit_row_bound *bound, const vdit_refine *refine, size_t lane)
{
    const vdit_head *head = refine->head;
    double d = (double)head->d, keys = (double)head->keys, masked = head->masked ? 64 : 0;
    double slices = 0.5 * (VDIT_KERNEL_CHUNK + d / VDIT_KERNEL_CHUNK + 4) * sqrt(d);

    bound->logit = UNIT * fabs(head->call->scale) * refine->query_norm[lane] *
                   (ldexp(slices, -refine->bits) + 32 * UNIT);
    bound->weight =
        UNIT * (VDIT_WEIGH_UNITS + 32 * UNIT * (fabs(refine->top[lane]) + masked + 700));
    bound->sums = 0;
    bound->value = bound->total = UNIT * UNIT * 8 * (keys + 64) * (keys + 64);
    bound->length = 1.01 * sqrt(refine->square[lane]) / refine->sum_high[lane];
    bound->floor = keys * 0x1p-900;
    bound->usable = bound->logit * head->key_norm_max + bound->weight + bound->value < 0x1p-40;
}

vdit_pair vdit_refine_output(const vdit_refine *refine, size_t lane, size_t c)
{
    size_t at = lane * refine->head->dv + c;
    vdit_pair sum = {refine->o_high[at], refine->o_low[at]};
    vdit_pair total = {refine->sum_high[lane], refine->sum_low[lane]};

    return vdit_pair_div(sum, total);
}

/* Tests the open channels of one lane. Returns: how many are settled. */
static size_t finish_lane(vdit_refine *refine, vdit_rows *rows, size_t lane, size_t r)
{
    const vdit_head *head = refine->head;
    size_t dv = head->dv, settled = 0, open = 0;
    vdit_row_bound bound;

    vdit_refine_bound(&bound, refine, lane);
    for (size_t c = 0; c < dv; c++) {
        vdit_pair o;
        double error, value;

        if (!rows->o[r * dv + c])
            continue;
        o = vdit_refine_output(refine, lane, c);
        /* the snap rule moves a value by less than 2^-90 C, and C is at most four times the size */
        error = vdit_output_error(&bound, head, c, o.high) +
                0x1p-87 * bound.length * head->value_norm[c] + 0x1p-98 * fabs(o.high);
        if (bound.usable && vdit_settle(&value, head->call->o->dtype, o.high, o.low, error)) {
            vdit_rows_put(head, head->call->o, r, c, value);
            rows->o[r * dv + c] = 0;
            settled++;
        } else {
            open++;
        }
    }
    if (open == 0)
        rows->open[r] &= (unsigned char)~VDIT_OPEN_O;
    return settled;
}

/* Panel p on tile t: logits, weights, and the sums of open channels. */
static void refine_panel(vdit_refine *refine, const vdit_rows *rows, const size_t *list,
                         size_t count, size_t p, size_t t)
{
    const vdit_head *head = refine->head;
    size_t nr = head->kernel->nr, at = p * nr, keys = vdit_tile_keys(head, t);
    int masked = head->masked;

    slice_logits(refine, p, keys);
    if (masked)
        load_mask(refine, list, count, p, t);
    vdit_weigh(keys, nr, head->call->scale, masked ? refine->mask : NULL, refine->top + at,
               refine->high, refine->low, refine->sum_high + at, refine->sum_low + at,
               refine->square + at);
    if (refine->post != NULL)
        vdit_post_tile(&refine->post[p], t, refine->high, refine->low);
    turn(keys, nr, refine->high, refine->p_high);
    turn(keys, nr, refine->low, refine->p_low);
    for (size_t lane = at; lane < at + nr && lane < count; lane++)
        add_values(refine, rows, lane, list[lane], t);
}

void vdit_refine_part(vdit_refine *refine, const vdit_rows *rows, const size_t *list, size_t count,
                      size_t part, size_t parts)
{
    const vdit_head *head = refine->head;
    size_t nr = head->kernel->nr, d = head->d, end = (part + 1) * head->tiles / parts;

    refine->panels = (count + nr - 1) / nr;
    for (size_t lane = 0; lane < refine->panels * nr; lane++)
        load_lane(refine, rows, lane, list, count);
    for (size_t p = 0; p < refine->panels; p++)
        vdit_slice(d, nr, refine->bits, refine->q + p * nr * d, refine->q_high + p * nr * d,
                   refine->q_low + p * nr * d);
    memset(refine->o_high, 0, refine->panels * nr * head->dv * sizeof(double));
    memset(refine->o_low, 0, refine->panels * nr * head->dv * sizeof(double));
    for (size_t t = part * head->tiles / parts; t < end; t++) {
        slice_keys(refine, t);
        turn_values(refine, t);
        for (size_t p = 0; p < refine->panels; p++)
            refine_panel(refine, rows, list, count, p, t);
    }
}

void vdit_refine_sums(vdit_refine *refine, const vdit_rows *rows, const size_t *list, size_t count)
{
    vdit_refine_part(refine, rows, list, count, 0, 1);
}

/* (high, low) += (x, x_low) for n pairs. */
static void add_pairs(size_t n, double *high, double *low, const double *x, const double *x_low)
{
    for (size_t i = 0; i < n; i++) {
        vdit_pair a = {high[i], low[i]}, b = {x[i], x_low[i]}, sum = vdit_pair_add(a, b);
        high[i] = sum.high;
        low[i] = sum.low;
    }
}

void vdit_refine_merge(vdit_refine *refine, const vdit_refine *other)
{
    size_t lanes = refine->panels * refine->head->kernel->nr;

    add_pairs(lanes * refine->head->dv, refine->o_high, refine->o_low, other->o_high, other->o_low);
    add_pairs(lanes, refine->sum_high, refine->sum_low, other->sum_high, other->sum_low);
    for (size_t lane = 0; lane < lanes; lane++)
        refine->square[lane] += other->square[lane];
}

size_t vdit_refine_finish(vdit_refine *refine, vdit_rows *rows, const size_t *list, size_t count)
{
    size_t settled = 0;

    for (size_t lane = 0; lane < count; lane++)
        settled += finish_lane(refine, rows, lane, list[lane]);
    return settled;
}
