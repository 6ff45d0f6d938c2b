/* refine.c - stage 1 of attention: exact slices, weights as pairs (doc/numerics.md, 5.4). */
#include <math.h>
#include <string.h>
#include "attention/refine.h"
#include "attention/weigh.h"
#include "exact/settle.h"

#define UNIT 0x1p-53

vdit_status vdit_refine_new(vdit_run *run, vdit_refine *refine, const vdit_head *head)
{
    size_t nr = head->kernel->nr, d = head->d, longest = d > 3 * VDIT_TILE ? d : 3 * VDIT_TILE;

    memset(refine, 0, sizeof *refine);
    refine->head = head;
    refine->bits = 26;
    while (refine->bits > 0 && ldexp((double)d, 2 * refine->bits) > 0x1p53)
        refine->bits--;
    refine->q = vdit_run_alloc(run, nr * d, sizeof(double));
    refine->q_high = vdit_run_alloc(run, nr * d, sizeof(double));
    refine->q_low = vdit_run_alloc(run, nr * d, sizeof(double));
    refine->k_high = vdit_run_alloc(run, VDIT_TILE * d, sizeof(double));
    refine->k_low = vdit_run_alloc(run, VDIT_TILE * d, sizeof(double));
    refine->high = vdit_run_alloc(run, VDIT_TILE * nr, sizeof(double));
    refine->low = vdit_run_alloc(run, VDIT_TILE * nr, sizeof(double));
    refine->mask = vdit_run_alloc(run, VDIT_TILE * nr, sizeof(double));
    refine->tile = vdit_run_alloc(run, VDIT_KERNEL_TILE_MAX, sizeof(double));
    refine->row = vdit_run_alloc(run, longest, sizeof(double));
    refine->o_high = vdit_run_alloc(run, nr * head->dv, sizeof(double));
    refine->o_low = vdit_run_alloc(run, nr * head->dv, sizeof(double));
    return vdit_run_status(run);
}

double vdit_refine_bytes(const vdit_attention *a)
{
    double d = (double)a->q->shape[3], dv = (double)a->v->shape[3];

    return 8 * (VDIT_KERNEL_NR_MAX * (3 * d + 2 * dv) +
                VDIT_TILE * (2 * d + 3 * VDIT_KERNEL_NR_MAX) + d);
}

/*
 * Cuts n numbers, stride apart: high is x to bits bits below the power of two above max |x|, low the rest;
 * both are exact.
 */
static void slice(double *high, double *low, const double *x, size_t n, size_t stride, int bits)
{
    double most = 0, magic;
    int exponent;

    for (size_t c = 0; c < n; c++)
        most = fmax(most, fabs(x[c * stride]));
    frexp(most, &exponent); /* most < 2^exponent */
    magic = ldexp(1.5, 52 + exponent - bits);
    for (size_t c = 0; c < n; c++) {
        high[c * stride] = (x[c * stride] + magic) - magic;
        low[c * stride] = x[c * stride] - high[c * stride];
    }
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
        refine->q[c * nr + lane] = refine->row[c];
        sum += vdit_head_weight(head, c) * (refine->row[c] * refine->row[c]);
    }
    slice(refine->q_high + lane, refine->q_low + lane, refine->q + lane, d, nr, refine->bits);
    refine->query_norm[lane] = sqrt(sum);
    refine->top[lane] = lane < count ? rows->top[list[lane]] : 0;
    refine->sum_high[lane] = refine->sum_low[lane] = refine->square[lane] = 0;
}

static void load_mask(vdit_refine *refine, const size_t *list, size_t count, size_t t)
{
    const vdit_head *head = refine->head;
    size_t nr = head->kernel->nr, keys = vdit_tile_keys(head, t);

    for (size_t j = 0; j < keys; j++)
        for (size_t lane = 0; lane < nr; lane++)
            refine->mask[j * nr + lane] =
                lane < count ? vdit_head_mask(head, list[lane], head->key_at[t * VDIT_TILE + j])
                             : 0;
}

/* high + low = the dot products of tile t: the first slices exactly, the rest in plain binary64. */
static void slice_logits(vdit_refine *refine, size_t t)
{
    const vdit_head *head = refine->head;
    size_t keys = vdit_tile_keys(head, t), mr = head->kernel->mr, nr = head->kernel->nr,
           d = head->d;
    const double *k = head->k + t * VDIT_TILE * d;

    for (size_t j = 0; j < keys; j += mr) {
        double *high = refine->k_high + j * d, *low = refine->k_low + j * d;

        for (size_t i = 0; i < mr; i++)
            slice(high + i, low + i, k + j * d + i, d, mr, refine->bits);
        head->kernel->gemm(d, high, refine->q_high, refine->high + j * nr);
        head->kernel->gemm(d, high, refine->q_low, refine->low + j * nr);
        head->kernel->gemm(d, low, refine->q, refine->tile);
        for (size_t i = 0; i < mr * nr; i++)
            refine->low[j * nr + i] += refine->tile[i];
    }
}

/* Adds tile t to the sums of the open channels of one lane. */
static void add_values(vdit_refine *refine, const vdit_rows *rows, size_t lane, size_t r, size_t t)
{
    const vdit_head *head = refine->head;
    size_t keys = vdit_tile_keys(head, t), nr = head->kernel->nr, dv = head->dv;
    size_t whole = (keys + 7) / 8 * 8;
    double *high = refine->row, *low = high + VDIT_TILE, *v = low + VDIT_TILE;

    memset(refine->row, 0, 3 * VDIT_TILE * sizeof(double));
    for (size_t j = 0; j < keys; j++) {
        high[j] = refine->high[j * nr + lane];
        low[j] = refine->low[j * nr + lane];
    }
    for (size_t c = 0; c < dv; c++) {
        if (!rows->o[r * dv + c])
            continue;
        for (size_t j = 0; j < keys; j++)
            v[j] = vdit_head_packed_value(head, t * VDIT_TILE + j, c);
        vdit_weigh_values(whole, high, low, v, &refine->o_high[lane * dv + c],
                          &refine->o_low[lane * dv + c]);
    }
}

/* The bound of doc/numerics.md, 5.4: stage 0's formula with what the slices and pairs leave. */
static void refined_bound(vdit_row_bound *bound, const vdit_refine *refine, size_t lane)
{
    const vdit_head *head = refine->head;
    double d = (double)head->d, keys = (double)head->keys,
           masked = head->call->mask != NULL ? 64 : 0;
    double slices = 0.5 * (VDIT_KERNEL_CHUNK + d / VDIT_KERNEL_CHUNK + 4) * sqrt(d);

    bound->logit = UNIT * fabs(head->call->scale) * refine->query_norm[lane] *
                   (ldexp(slices, -refine->bits) + 32 * UNIT);
    bound->weight =
        UNIT * (VDIT_WEIGH_UNITS + 32 * UNIT * (fabs(refine->top[lane]) + masked + 700));
    bound->value = UNIT * UNIT * 8 * (keys + 64);
    bound->total = UNIT * UNIT * 8 * (keys + 64);
    bound->length = 1.01 * sqrt(refine->square[lane]) / refine->sum_high[lane];
    bound->floor = keys * 0x1p-900;
    bound->usable = bound->logit * head->key_norm_max + bound->weight + bound->value < 0x1p-40;
}

/* The quotient of two pairs: high + *low, to 2^-100. */
static double divide_pairs(double a_high, double a_low, double b_high, double b_low, double *low)
{
    double quotient = a_high / b_high;
    /* a - quotient b, where quotient b_high is the sum of two doubles: split by Veltkamp */
    double big = 0x1.0000002p27 * quotient, q1 = big - (big - quotient), q2 = quotient - q1;
    double top = 0x1.0000002p27 * b_high, b1 = top - (top - b_high), b2 = b_high - b1;
    double product = quotient * b_high;
    double rest = ((q1 * b1 - product) + q1 * b2 + q2 * b1) + q2 * b2;

    *low = (((a_high - product) - rest) + (a_low - quotient * b_low)) / b_high;
    return quotient;
}

/* Tests the open channels of one lane. Returns: how many are settled. */
static size_t finish_lane(vdit_refine *refine, vdit_rows *rows, size_t lane, size_t r)
{
    const vdit_head *head = refine->head;
    size_t dv = head->dv, settled = 0, open = 0;
    vdit_row_bound bound;

    refined_bound(&bound, refine, lane);
    for (size_t c = 0; c < dv; c++) {
        double o, low, error, value;

        if (!rows->o[r * dv + c])
            continue;
        o = divide_pairs(refine->o_high[lane * dv + c], refine->o_low[lane * dv + c],
                         refine->sum_high[lane], refine->sum_low[lane], &low);
        /* the snap rule moves a value by less than 2^-90 C, and C is at most four times the size */
        error = vdit_output_error(&bound, head, c, o) +
                0x1p-87 * bound.length * head->value_norm[c] + 0x1p-98 * fabs(o);
        if (bound.usable && vdit_settle(&value, head->call->o->dtype, o, low, error)) {
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

size_t vdit_refine_rows(vdit_refine *refine, vdit_rows *rows, const size_t *list, size_t count)
{
    const vdit_head *head = refine->head;
    size_t nr = head->kernel->nr, settled = 0;
    const double *mask = head->call->mask != NULL ? refine->mask : NULL;

    for (size_t lane = 0; lane < nr; lane++)
        load_lane(refine, rows, lane, list, count);
    memset(refine->o_high, 0, nr * head->dv * sizeof(double));
    memset(refine->o_low, 0, nr * head->dv * sizeof(double));
    for (size_t t = 0; t < head->tiles; t++) {
        slice_logits(refine, t);
        if (mask != NULL)
            load_mask(refine, list, count, t);
        vdit_weigh(vdit_tile_keys(head, t), nr, head->call->scale, mask, refine->top, refine->high,
                   refine->low, refine->sum_high, refine->sum_low, refine->square);
        for (size_t lane = 0; lane < count; lane++)
            add_values(refine, rows, lane, list[lane], t);
    }
    for (size_t lane = 0; lane < count; lane++)
        settled += finish_lane(refine, rows, lane, list[lane]);
    return settled;
}
