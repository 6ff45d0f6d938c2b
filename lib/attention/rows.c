/* rows.c - the rounding test of stage 0, element by element. */
#include <math.h>
#include <string.h>
#include "attention/rows.h"
#include "exact/elementary.h"
#include "exact/settle.h"
#include "exact/simd.h"

#define LN_2 0x1.62e42fefa39efp-1
#define UNIT 0x1p-53

/* Channels that are tested together. */
#define CHANNELS 64

vdit_status vdit_rows_new(vdit_run *run, vdit_rows *rows, const vdit_head *head)
{
    memset(rows, 0, sizeof *rows);
    rows->open = vdit_run_alloc(run, head->row_count, 1);
    rows->top = vdit_run_alloc(run, head->row_count, sizeof(double));
    rows->o = vdit_run_alloc(run, head->row_count, head->dv);
    if (head->call->sigma != NULL)
        rows->sigma = vdit_run_alloc(run, head->row_count, head->dv);
    return vdit_run_status(run);
}

void vdit_rows_put(const vdit_head *head, const vdit_tensor *out, size_t r, size_t i, double value)
{
    size_t index[4] = {head->b, head->h, r, i};

    vdit_store_f64(vdit_tensor_at(out, index), out->dtype, value);
}

/* Returns: 1 for a row without a number to write: its query has a NaN, or no key is valid. */
static int is_empty(const vdit_stream *stream, size_t lane)
{
    return stream->odd[lane] || stream->sum[lane] == 0;
}

/* A row without a valid key: output +0, log-sum-exp -inf. */
static void finish_empty(const vdit_head *head, size_t r)
{
    const vdit_attention *call = head->call;

    for (size_t c = 0; call->o != NULL && c < head->dv; c++)
        vdit_rows_put(head, call->o, r, c, 0);
    if (call->lse != NULL)
        vdit_rows_put(head, call->lse, r, 0, -INFINITY);
}

/* Stores a value that is an element of dtype; normal numbers of the common types without a call. */
static inline void store(char *to, vdit_dtype dtype, double value)
{
    float narrow = (float)value;
    uint32_t word;
    uint16_t half;

    if (dtype == VDIT_F16 || !(fabsf(narrow) >= 0x1p-126f)) {
        vdit_store_f64(to, dtype, value);
        return;
    }
    memcpy(&word, &narrow, sizeof word);
    half = (uint16_t)(word >> 16); /* a bf16 is the upper half of an f32 */
    if (dtype == VDIT_F32)
        memcpy(to, &word, sizeof word);
    else
        memcpy(to, &half, sizeof half);
}

/* What the quick test says of some channels of a row: values, NaN where it says nothing. */
typedef struct quick {
    double value[CHANNELS];
    float narrow[CHANNELS]; /* the same in binary32 */
    size_t known;
} quick;

/* Tests count <= CHANNELS channels from c on, given their estimates. */
VDIT_INLINE void settle_body(quick *found, const vdit_row_bound *bound, const vdit_head *head,
                             size_t c, size_t count, const double *o)
{
    const vdit_row_bound row = *bound;
    double error[CHANNELS];
    size_t known = 0;

    VDIT_SIMD for (size_t i = 0; i < count; i++) error[i] =
        vdit_output_error(&row, head, c + i, o[i]);
    vdit_settle_many(count, found->value, head->call->o->dtype, o, error);
    for (size_t i = 0; i < count; i++) {
        found->narrow[i] = (float)found->value[i];
        known += found->value[i] == found->value[i];
    }
    found->known = known;
}

/* One instance per instruction set. */
#define INSTANCE(set, attribute)                                                                   \
    attribute static void settle_##set(quick *found, const vdit_row_bound *bound,                  \
                                       const vdit_head *head, size_t c, size_t count,              \
                                       const double *o)                                            \
    {                                                                                              \
        settle_body(found, bound, head, c, count, o);                                              \
    }

#define NO_ATTRIBUTE
INSTANCE(portable, NO_ATTRIBUTE)
#ifdef VDIT_HAVE_X86
INSTANCE(avx512, VDIT_TARGET_AVX512)
INSTANCE(avx2, VDIT_TARGET_AVX2)
#endif

/* What the quick test left open. Out: value. Returns: 1 if settled. */
static int settle_rest(const vdit_row_bound *bound, const vdit_head *head, size_t c, double o,
                       double *value)
{
    double error = vdit_output_error(bound, head, c, o);

    if (head->value_max[c] == 0) { /* a column of zeros gives an exact +0 */
        *value = 0;
        return 1;
    }
    return bound->usable && vdit_settle_simple(value, head->call->o->dtype, o, error);
}

/* Tests and writes count channels from c on, given their estimates. Returns: how many were settled. */
static size_t settle_channels(vdit_rows *rows, const vdit_head *head, const vdit_row_bound *bound,
                              size_t r, size_t c, size_t count, const double *o)
{
    const vdit_tensor *out = head->call->o;
    size_t index[4] = {head->b, head->h, r, c}, settled = 0;
    ptrdiff_t step = out->stride[3] * (ptrdiff_t)vdit_dtype_size(out->dtype);
    unsigned char *open = rows->o + r * head->dv + c;
    char *to = vdit_tensor_at(out, index);
    quick found;

    VDIT_CHOOSE(settle)(&found, bound, head, c, count, o);
    if (bound->usable && found.known == count && out->dtype == VDIT_F32 &&
        step == (ptrdiff_t)sizeof(float)) {
        memcpy(to, found.narrow, count * sizeof(float));
        return count;
    }
    for (size_t i = 0; i < count; i++, to += step) {
        double *value = &found.value[i];

        if ((bound->usable && *value == *value) || settle_rest(bound, head, c + i, o[i], value)) {
            store(to, out->dtype, *value);
            settled++;
        } else {
            open[i] = 1;
        }
    }
    return settled;
}

/* The outputs of panel p, given the bounds of its lanes. Returns: how many were settled. */
static size_t finish_outputs(vdit_rows *rows, const vdit_stream *stream,
                             const vdit_row_bound *bound, size_t p)
{
    const vdit_head *head = stream->head;
    size_t nr = head->kernel->nr, settled = 0, at = p * nr;
    const double *sums = stream->o + at * head->dv_padded;
    double o[VDIT_KERNEL_NR_MAX][CHANNELS], share[VDIT_KERNEL_NR_MAX];

    for (size_t lane = 0; lane < nr; lane++)
        share[lane] = 1 / stream->sum[at + lane];
    for (size_t c = 0; c < head->dv; c += CHANNELS) {
        size_t count = head->dv - c < CHANNELS ? head->dv - c : CHANNELS;

        for (size_t i = 0; i < count; i++)
            for (size_t lane = 0; lane < nr; lane++)
                o[lane][i] = sums[(c + i) * nr + lane] * share[lane];
        for (size_t lane = 0; lane < nr && at + lane < stream->rows; lane++) {
            size_t r = stream->first + at + lane, known;

            if (is_empty(stream, at + lane))
                continue;
            known = settle_channels(rows, head, &bound[lane], r, c, count, o[lane]);
            if (known < count)
                rows->open[r] |= VDIT_OPEN_O;
            settled += known;
        }
    }
    return settled;
}

/* lse = ln 2 top + ln sum, with the errors of both. */
int vdit_rows_lse(double *lse, const vdit_stream *stream, size_t lane)
{
    double top = stream->top[lane] * LN_2, rest = vdit_log_estimate(stream->sum[lane]), error;
    vdit_row_bound bound;

    vdit_stream_bound(&bound, stream, lane);
    error = bound.weight + bound.logit * stream->head->key_norm_max + bound.total +
            VDIT_ESTIMATE_ERROR * fabs(rest) + UNIT * (4 * fabs(top) + 2 * fabs(top + rest) + 1);
    return bound.usable &&
           vdit_settle_simple(lse, VDIT_F32, top + rest, 1.02 * error + bound.floor);
}

/* Returns: 1 if the lse of lane was settled. */
static size_t finish_lse(vdit_rows *rows, const vdit_stream *stream, size_t lane)
{
    double lse;

    if (vdit_rows_lse(&lse, stream, lane)) {
        vdit_rows_put(stream->head, stream->head->call->lse, stream->first + lane, 0, lse);
        return 1;
    }
    rows->open[stream->first + lane] |= VDIT_OPEN_LSE;
    return 0;
}

/* Opens what there is of a row, or writes it if it has no valid key. */
static void start_row(vdit_rows *rows, const vdit_stream *stream, size_t lane)
{
    const vdit_head *head = stream->head;
    size_t r = stream->first + lane;

    rows->open[r] = stream->odd[lane] ? VDIT_OPEN_ODD : 0;
    rows->top[r] = stream->top[lane] * LN_2;
    if (head->call->o != NULL)
        memset(rows->o + r * head->dv, 0, head->dv);
    if (is_empty(stream, lane))
        finish_empty(head, r);
}

size_t vdit_rows_finish(vdit_rows *rows, const vdit_stream *stream)
{
    const vdit_head *head = stream->head;
    size_t nr = head->kernel->nr, settled = 0;
    vdit_row_bound bound[VDIT_KERNEL_NR_MAX];

    for (size_t p = 0; p < stream->panels; p++) {
        for (size_t lane = p * nr; lane < (p + 1) * nr && lane < stream->rows; lane++) {
            start_row(rows, stream, lane);
            vdit_stream_bound(&bound[lane - p * nr], stream, lane);
            if (head->call->lse != NULL && !is_empty(stream, lane))
                settled += finish_lse(rows, stream, lane);
        }
        if (head->call->o != NULL)
            settled += finish_outputs(rows, stream, bound, p);
    }
    return settled;
}

/* Map entries of one lane on tile t, from the weights in stream->s. Returns: how many were settled. */
static size_t map_lane(vdit_rows *rows, const vdit_stream *stream, const vdit_row_bound *bound,
                       size_t lane, size_t t)
{
    const vdit_head *head = stream->head;
    size_t nr = head->kernel->nr, keys = vdit_tile_keys(head, t), r = stream->first + lane;
    /* with a mask, bound->weight speaks of logits within 64 ln 2 of the top; here they are within 300 */
    double far = head->masked ? 4096 * UNIT : 0;
    size_t settled = 0;

    for (size_t j = 0; j < keys; j++) {
        size_t at = head->key_at[t * VDIT_TILE + j];
        double p = stream->s[j * nr + lane % nr] / stream->sum[lane], value;
        double norms = head->key_norm_max + head->key_norm[t * VDIT_TILE + j];
        double error = p * (2 * bound->weight + bound->total + bound->logit * norms + far);
        int known = bound->usable && p < 0x1p-400; /* far below half the least f32 */

        value = 0;
        if (bound->usable && !known)
            known = vdit_settle_simple(&value, VDIT_F32, p, 1.02 * error + bound->floor * p);
        if (known)
            vdit_rows_put(head, head->call->map, r, at, value);
        else
            rows->open[r] |= VDIT_OPEN_MAP;
        settled += (size_t)known;
    }
    return settled;
}

/* Zeros for the keys that are not packed, and for rows without a weight. */
static void clear_map_row(const vdit_head *head, size_t r)
{
    for (size_t j = 0; j < head->call->k->shape[2]; j++)
        vdit_rows_put(head, head->call->map, r, j, 0);
}

size_t vdit_rows_map(vdit_rows *rows, vdit_stream *stream)
{
    const vdit_head *head = stream->head;
    size_t nr = head->kernel->nr, settled = 0;
    double scrap[2 * VDIT_KERNEL_NR_MAX];

    for (size_t lane = 0; lane < stream->rows; lane++)
        clear_map_row(head, stream->first + lane);
    for (size_t t = 0; t < head->tiles; t++)
        for (size_t p = 0; p < stream->panels; p++) {
            vdit_stream_logits(stream, p, t);
            memset(scrap, 0, sizeof scrap);
            head->kernel->exp2_sum(vdit_tile_keys(head, t), stream->top + p * nr, stream->s, scrap,
                                   scrap + VDIT_KERNEL_NR_MAX);
            for (size_t lane = p * nr; lane < (p + 1) * nr && lane < stream->rows; lane++) {
                vdit_row_bound bound;

                if (stream->odd[lane] || stream->sum[lane] == 0)
                    continue;
                vdit_stream_bound(&bound, stream, lane);
                settled += map_lane(rows, stream, &bound, lane, t);
            }
        }
    return settled;
}
