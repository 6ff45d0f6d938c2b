/* head.c - packing one head and the norms of its bounds. */
#include <math.h>
#include <string.h>
#include "attention/bits.h"
#include "attention/head.h"
#include "exact/simd.h"

/* Whole panels of at least count, at least one. */
static size_t round_up(size_t count, size_t to)
{
    return (count + to - 1) / to * to;
}

static size_t tiles_of(size_t keys)
{
    return (keys + VDIT_TILE - 1) / VDIT_TILE;
}

double vdit_head_bytes(const vdit_attention *a)
{
    double keys = (double)(tiles_of(a->k->shape[2]) * VDIT_TILE);
    double widths = (double)a->q->shape[3] + (double)a->v->shape[3] + VDIT_KERNEL_MR_MAX;

    return keys * (8 * widths + 32);
}

/*
 * A sum in one piece is faster; in pieces its error is smaller, and f32 results, outputs or map entries, need
 * that: each that is open after stage 0 costs a row of stage 1 or 2.
 */
static void choose_chunks(vdit_head *head)
{
    const vdit_attention *call = head->call;

    head->logit_chunk = VDIT_KERNEL_CHUNK / 2; /* logits have the larger share in the bound */
    head->value_chunk = VDIT_KERNEL_CHUNK;
    if (call->map != NULL || call->o == NULL || call->o->dtype == VDIT_F32)
        return;
    head->logit_chunk = head->d > 0 ? head->d : 1;
    head->value_chunk = VDIT_TILE;
}

vdit_status vdit_head_new(vdit_run *run, vdit_head *head, const vdit_attention *call)
{
    size_t nk = call->k->shape[2], slots = tiles_of(nk) * VDIT_TILE, threads;

    memset(head, 0, sizeof *head);
    threads = (size_t)vdit_run_threads(run);
    head->call = call;
    head->kernel = vdit_kernel_f64_at(0);
    head->d = call->q->shape[3];
    head->dv = call->v->shape[3];
    head->dv_padded = round_up(head->dv, head->kernel->mr);
    head->row_count = call->rows ? call->rows->shape[0] : call->q->shape[2];
    head->key_at = vdit_run_alloc(run, nk, sizeof(size_t));
    head->odd_keys = vdit_run_alloc(run, nk, sizeof(size_t));
    head->odd_values = vdit_run_alloc(run, nk, sizeof(size_t));
    head->kind = vdit_run_alloc(run, nk, 1);
    choose_chunks(head);
    head->weight = vdit_run_alloc(run, head->d, sizeof(double));
    head->k = vdit_run_alloc(run, slots, head->d * sizeof(double));
    head->v = vdit_run_alloc(run, slots, head->dv_padded * sizeof(double));
    head->key_norm = vdit_run_alloc(run, slots, sizeof(double));
    head->value_max = vdit_run_alloc(run, head->dv, sizeof(double));
    head->value_norm = vdit_run_alloc(run, head->dv, sizeof(double));
    head->value_key_norm = vdit_run_alloc(run, head->dv, sizeof(double));
    head->value_sum_norm = vdit_run_alloc(run, head->dv, sizeof(double));
    head->scratch = vdit_run_alloc(run, threads, (head->d + 5 * head->dv) * sizeof(double));
    for (size_t c = 0; head->weight != NULL && c < head->d; c++)
        head->weight[c] = (double)(vdit_kernel_weight(c, head->d, head->logit_chunk) + 4);
    return vdit_run_status(run);
}

size_t vdit_key_length(const vdit_attention *a, size_t b)
{
    int64_t length;

    if (a->key_length == NULL)
        return a->k->shape[2];
    memcpy(&length, vdit_tensor_at(a->key_length, &b), sizeof length);
    return (size_t)length;
}

size_t vdit_query_at(const vdit_attention *a, size_t r)
{
    int64_t row;

    if (a->rows == NULL)
        return r;
    memcpy(&row, vdit_tensor_at(a->rows, &r), sizeof row);
    return (size_t)row;
}

static void load_row(const vdit_tensor *t, double *out, size_t b, size_t h, size_t n)
{
    size_t index[4] = {b, h, n, 0};

    if (t->shape[3] > 0)
        vdit_load_f64(out, t->shape[3], vdit_tensor_at(t, index), t->stride[3], t->dtype);
}

static int all_finite(const double *x, size_t n)
{
    double sum = 0; /* x - x is 0 for finite x and NaN otherwise */

    for (size_t i = 0; i < n; i++)
        sum += x[i] - x[i];
    return sum == 0;
}

int vdit_head_query(const vdit_head *head, double *q, size_t r)
{
    load_row(head->call->q, q, head->b, head->h, vdit_query_at(head->call, r));
    return all_finite(q, head->d);
}

void vdit_head_key(const vdit_head *head, double *k, size_t j)
{
    load_row(head->call->k, k, head->b, head->h, j);
}

void vdit_head_value(const vdit_head *head, double *v, size_t j)
{
    load_row(head->call->v, v, head->b, head->h, j);
}

double vdit_head_own_value(const vdit_head *head, size_t r, size_t c)
{
    size_t index[4] = {head->b, head->h, vdit_query_at(head->call, r), c};
    double value;

    vdit_load_f64(&value, 1, vdit_tensor_at(head->call->v, index), 1, head->call->v->dtype);
    return value;
}

/* The call's own mask. */
static double call_mask(const vdit_head *head, size_t r, size_t j)
{
    const vdit_tensor *mask = head->call->mask;
    size_t index[4] = {head->b, head->h, 0, j};
    double value;

    if (mask == NULL)
        return 0;
    index[2] = vdit_query_at(head->call, r);
    for (int axis = 0; axis < 4; axis++)
        if (mask->shape[axis] == 1)
            index[axis] = 0;
    vdit_load_f64(&value, 1, vdit_tensor_at(mask, index), 1, mask->dtype);
    if (mask->dtype == VDIT_BOOL)
        return value != 0 ? 0 : -INFINITY;
    return value;
}

int vdit_head_frozen(const vdit_head *head, size_t r, size_t j)
{
    return vdit_bits_has(head->edit->keep, head->b, head->h, r, j);
}

/* Whether a frozen mask acts before the softmax. */
static int is_frozen(const vdit_edit *edit)
{
    return edit->prune == VDIT_PRUNE_MASK && edit->keep_moment == VDIT_BEFORE_SOFTMAX;
}

double vdit_head_mask(const vdit_head *head, size_t r, size_t j)
{
    unsigned char keep = 1;

    if (head->edit != NULL)
        vdit_pattern_row(head->edit, &head->layout, VDIT_BEFORE_SOFTMAX,
                         vdit_query_at(head->call, r), j, 1, &keep);
    if (head->edit != NULL && is_frozen(head->edit) && !vdit_head_frozen(head, r, j))
        keep = 0;
    return keep ? call_mask(head, r, j) : -INFINITY;
}

int vdit_head_has_key(const vdit_head *head, size_t j)
{
    const vdit_edit *edit = head->edit;

    if (edit == NULL)
        return 1;
    if (edit->keys != NULL && *(const unsigned char *)vdit_tensor_at(edit->keys, &j) == 0)
        return 0;
    return edit->first_text == 0 || vdit_head_key_kind(head, j) == VDIT_VIDEO ||
           j - head->layout.key.text_at < edit->first_text;
}

unsigned vdit_head_query_kind(const vdit_head *head, size_t query)
{
    return head->edit != NULL ? vdit_axis_kind(&head->layout.query, query) : VDIT_VIDEO;
}

unsigned vdit_head_key_kind(const vdit_head *head, size_t key)
{
    return head->edit != NULL ? vdit_axis_kind(&head->layout.key, key) : VDIT_VIDEO;
}

void vdit_head_keep(const vdit_head *head, vdit_moment moment, size_t r, size_t first, size_t count,
                    unsigned char *keep)
{
    const size_t *key_at = head->key_at + first;
    size_t query = vdit_query_at(head->call, r);

    if (head->edit == NULL) {
        memset(keep, 1, count);
    } else if (key_at[count - 1] - key_at[0] == count - 1) {
        vdit_pattern_row(head->edit, &head->layout, moment, query, key_at[0], count, keep);
    } else {
        for (size_t j = 0; j < count; j++)
            vdit_pattern_row(head->edit, &head->layout, moment, query, key_at[j], 1, keep + j);
    }
}

void vdit_head_mask_row(const vdit_head *head, double *row, size_t r, size_t first, size_t count)
{
    const vdit_tensor *mask = head->call->mask;
    const size_t *key_at = head->key_at + first;
    size_t query = vdit_query_at(head->call, r), index[4] = {head->b, head->h, query, key_at[0]};
    unsigned char keep[VDIT_TILE];

    memset(row, 0, count * sizeof *row);
    if (mask != NULL) {
        for (int axis = 0; axis < 4; axis++)
            if (mask->shape[axis] == 1)
                index[axis] = 0;
        if (key_at[count - 1] - key_at[0] == count - 1 && mask->shape[3] > 1) { /* none left out */
            vdit_load_f64(row, count, vdit_tensor_at(mask, index), mask->stride[3], mask->dtype);
            for (size_t j = 0; mask->dtype == VDIT_BOOL && j < count; j++)
                row[j] = row[j] != 0 ? 0 : -INFINITY;
        } else {
            for (size_t j = 0; j < count; j++)
                row[j] = call_mask(head, r, key_at[j]);
        }
    }
    if (head->edit == NULL)
        return;
    if (vdit_pattern_acts(head->edit, VDIT_BEFORE_SOFTMAX)) {
        vdit_head_keep(head, VDIT_BEFORE_SOFTMAX, r, first, count, keep);
        for (size_t j = 0; j < count; j++)
            row[j] = keep[j] ? row[j] : -INFINITY;
    }
    for (size_t j = 0; is_frozen(head->edit) && j < count; j++)
        row[j] = vdit_head_frozen(head, r, key_at[j]) ? row[j] : -INFINITY;
}

enum { ORDINARY, ODD_VALUE, ODD_KEY, ABSENT };

/* Which keys are packed, and which are left to special.c. */
static void choose_keys(vdit_head *head, int threads)
{
    size_t length = vdit_key_length(head->call, head->b), width = head->d + 5 * head->dv;

#ifdef _OPENMP
#pragma omp parallel for num_threads(threads) schedule(static, 1)
#endif
    for (int thread = 0; thread < threads; thread++) {
        double *x = head->scratch + (size_t)thread * width;
        size_t end = length * ((size_t)thread + 1) / (size_t)threads;

        for (size_t j = length * (size_t)thread / (size_t)threads; j < end; j++) {
            if (!vdit_head_has_key(head, j)) {
                head->kind[j] = ABSENT;
                continue;
            }
            vdit_head_key(head, x, j);
            head->kind[j] = all_finite(x, head->d) ? ORDINARY : ODD_KEY;
            vdit_head_value(head, x, j);
            if (head->kind[j] == ORDINARY && !all_finite(x, head->dv))
                head->kind[j] = ODD_VALUE;
        }
    }
    head->keys = head->odd_key_count = head->odd_value_count = 0;
    for (size_t j = 0; j < length; j++) {
        if (head->kind[j] == ODD_KEY)
            head->odd_keys[head->odd_key_count++] = j;
        else if (head->kind[j] != ABSENT)
            head->key_at[head->keys++] = j;
        if (head->kind[j] == ODD_VALUE)
            head->odd_values[head->odd_value_count++] = j;
    }
    head->tiles = tiles_of(head->keys);
}

/* Key j of the head into its panel; its weighted norm into key_norm. */
static void pack_key(vdit_head *head, double *x, size_t j)
{
    size_t mr = head->kernel->mr, d = head->d;
    double *to = head->k + j / mr * mr * d + j % mr, sum = 0;

    vdit_head_key(head, x, head->key_at[j]);
    for (size_t c = 0; c < d; c++) {
        to[c * mr] = x[c];
        sum += head->weight[c] * (x[c] * x[c]);
    }
    head->key_norm[j] = sqrt(sum);
}

/* Returns: the roundings that p v of key j meets: its own, the sum of its tile, and that of the tiles. */
static double sum_weight(const vdit_head *head, size_t j)
{
    size_t tile = j / VDIT_TILE, left = head->keys - tile * VDIT_TILE;
    size_t keys = left < VDIT_TILE ? left : VDIT_TILE;

    return (double)(vdit_kernel_weight(j % VDIT_TILE, keys, head->value_chunk) + head->tiles -
                    tile + 1);
}

/* The values of key j into the panels of their tile; adds to the norms [4][dv]: most and the three sums. */
static void pack_value(vdit_head *head, double *x, size_t j, double *norms)
{
    double *most = norms, *sum = most + head->dv, *key_sum = sum + head->dv,
           *weighted = key_sum + head->dv, weight = sum_weight(head, j);
    size_t mr = head->kernel->mr, tile = j / VDIT_TILE;
    double key_square = head->key_norm[j] * head->key_norm[j];

    vdit_head_value(head, x, head->key_at[j]);
    VDIT_SIMD for (size_t c = 0; c < head->dv; c++)
    {
        double finite = x[c] - x[c] == 0 ? x[c] : 0, value = fabs(finite), square = value * value;
        x[c] = finite;
        most[c] = value > most[c] ? value : most[c];
        sum[c] += square;
        key_sum[c] += square * key_square;
        weighted[c] += square * (weight * weight);
    }
    for (size_t c = 0; c < head->dv_padded; c += mr) {
        double *to = head->v + (tile * head->dv_padded + c) * VDIT_TILE + j % VDIT_TILE * mr;
        for (size_t i = 0; i < mr; i++)
            to[i] = c + i < head->dv ? x[c + i] : 0;
    }
}

/*
 * Clears the slots of keys that fill up the last panel, and of values up to a multiple of 8, so that kernels read
 * defined numbers.
 */
static void clear_tail(vdit_head *head)
{
    size_t mr = head->kernel->mr, end = round_up(head->keys, mr);

    for (size_t j = head->keys; j < end; j++)
        for (size_t c = 0; c < head->d; c++)
            head->k[j / mr * mr * head->d + c * mr + j % mr] = 0;
    for (size_t j = head->keys; j < round_up(head->keys, 8); j++)
        for (size_t c = 0; c < head->dv_padded; c++)
            head->v[(j / VDIT_TILE * head->dv_padded + c / mr * mr) * VDIT_TILE +
                    j % VDIT_TILE * mr + c % mr] = 0;
}

/* The norms of one thread, added to the head's. */
static void merge_norms(vdit_head *head, const double *norms)
{
    size_t dv = head->dv;

    for (size_t c = 0; c < dv; c++) {
        if (norms[c] > head->value_max[c])
            head->value_max[c] = norms[c];
        head->value_norm[c] += norms[dv + c];
        head->value_key_norm[c] += norms[2 * dv + c];
        head->value_sum_norm[c] += norms[3 * dv + c];
    }
}

void vdit_head_load(vdit_run *run, vdit_head *head, size_t b, size_t h)
{
    size_t dv = head->dv, width = head->d + 5 * dv;
    int threads = vdit_run_threads(run);

    head->b = b;
    head->h = h;
    head->edit = head->call->edits != NULL ? head->call->edits[h] : NULL;
    if (head->edit != NULL)
        vdit_layout_set(run, &head->layout, &head->edit->tokens, head->call->q->shape[2],
                        head->call->k->shape[2]);
    head->masked = head->call->mask != NULL ||
                   (head->edit != NULL &&
                    (vdit_pattern_acts(head->edit, VDIT_BEFORE_SOFTMAX) || is_frozen(head->edit)));
    choose_keys(head, threads);
    memset(head->value_max, 0, dv * sizeof(double));
    memset(head->value_norm, 0, dv * sizeof(double));
    memset(head->value_key_norm, 0, dv * sizeof(double));
    memset(head->value_sum_norm, 0, dv * sizeof(double));
#ifdef _OPENMP
#pragma omp parallel for num_threads(threads) schedule(static, 1)
#endif
    for (int thread = 0; thread < threads; thread++) {
        double *x = head->scratch + (size_t)thread * width, *norms = x + head->d + dv;
        size_t first = head->tiles * (size_t)thread / (size_t)threads * VDIT_TILE;
        size_t end = head->tiles * ((size_t)thread + 1) / (size_t)threads * VDIT_TILE;

        memset(norms, 0, 4 * dv * sizeof(double));
        for (size_t j = first; j < end && j < head->keys; j++) {
            pack_key(head, x, j);
            pack_value(head, x + head->d, j, norms);
        }
#ifdef _OPENMP
#pragma omp critical(vdit_head_norms)
#endif
        merge_norms(head, norms);
    }
    clear_tail(head);
    head->key_norm_max = 0;
    head->sum_weight_max = head->keys > 0 ? sum_weight(head, 0) : 0;
    for (size_t j = 0; j < head->keys; j++)
        head->key_norm_max = fmax(head->key_norm_max, head->key_norm[j]);
    for (size_t c = 0; c < dv; c++) {
        head->value_norm[c] = sqrt(head->value_norm[c]);
        head->value_key_norm[c] = sqrt(head->value_key_norm[c]);
        head->value_sum_norm[c] = sqrt(head->value_sum_norm[c]);
    }
}
