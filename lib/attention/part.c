/* part.c - the parts of an edited output in stages 0 and 1 (doc/numerics.md, section 6). */
#include <math.h>
#include <string.h>
#include "attention/part.h"

#define UNIT 0x1p-53

vdit_status vdit_room_new(vdit_run *run, vdit_room *room, const vdit_head *head)
{
    size_t nr = head->kernel->nr, lanes = VDIT_STREAM_PANELS * nr;

    memset(room, 0, sizeof *room);
    vdit_walk_new(run, &room->walk, head);
    vdit_refine_new(run, &room->refine, head);
    room->panels = vdit_run_alloc(run, VDIT_STREAM_PANELS, sizeof *room->panels);
    room->sums = vdit_run_alloc(run, lanes, sizeof *room->sums);
    room->keep = vdit_run_alloc(run, head->call->k->shape[2] + VDIT_TILE * (nr + 1), 1);
    for (size_t p = 0; vdit_run_status(run) == VDIT_OK && p < VDIT_STREAM_PANELS; p++) {
        room->panels[p].walk = &room->walk;
        room->panels[p].keep = room->keep;
        room->panels[p].sums = room->sums + p * nr;
    }
    return vdit_run_status(run);
}

double vdit_room_bytes(const vdit_attention *call)
{
    return vdit_walk_bytes(call) + vdit_refine_bytes(call) + (double)call->k->shape[2] +
           VDIT_STREAM_PANELS *
               (sizeof(vdit_post_panel) + VDIT_KERNEL_NR_MAX * sizeof(vdit_post_sums));
}

int vdit_part_has(const vdit_part *part, size_t r)
{
    const vdit_head *head = &part->own->head;

    return (part->rows & vdit_head_query_kind(head, vdit_query_at(head->call, r))) != 0;
}

static vdit_pair single(double x)
{
    vdit_pair pair = {x, 0};

    return pair;
}

/* Adds factor * x to an element, where x errs by error and its terms' magnitudes add up to size. */
static void add(const vdit_part *part, vdit_blend *blend, size_t at, vdit_pair x, double error,
                double size)
{
    vdit_pair term = vdit_pair_mul(part->pair, x);
    double factor = fabs(part->pair.high);

    blend->value[at] = vdit_pair_add(blend->value[at], term);
    blend->error[at] += 1.01 * factor * error;
    blend->size[at] += 1.01 * factor * size;
}

/* Parts that need no weights: exact, or as good as a pair is. */
static void add_linear(const vdit_part *part, vdit_blend *blend, size_t lane, size_t r)
{
    const vdit_head *head = &part->source->head;
    size_t dv = head->dv;

    for (size_t c = 0; c < dv; c++) {
        vdit_pair x;
        double size;

        if (part->kind == VDIT_PART_MEAN) {
            x = part->means[part->mean].pair[c];
            size = part->means[part->mean].bound[c];
        } else {
            x = single(vdit_head_own_value(&part->own->head, r, c));
            size = fabs(x.high);
        }
        add(part, blend, lane * dv + c, x, 0x1p-98 * size, size);
    }
}

/* A row of an explicit map times the values: a compensated sum. */
static void add_explicit(const vdit_part *part, vdit_blend *blend, size_t lane, size_t r)
{
    const vdit_head *head = &part->source->head;
    size_t dv = head->dv;
    double n = (double)head->keys + 8;

    for (size_t c = 0; c < dv; c++) {
        vdit_pair sum = {0, 0};
        double size = 0;

        for (size_t j = 0; j < head->keys; j++) {
            size_t index[4] = {0, 0, r, head->key_at[j]};
            double v = vdit_head_packed_value(head, j, c), entry;

            vdit_load_f64(&entry, 1, vdit_tensor_at(part->map, index), 1, VDIT_F32);
            sum = vdit_pair_add(sum, single(entry * v)); /* of two f32: exact */
            size += fabs(entry * v);
        }
        size *= 1 + n * UNIT;
        add(part, blend, lane * dv + c, sum, n * 0x1p-100 * size, size);
    }
}

/* What a row's mask makes of its sums: the divisor, and how the bounds grow. */
typedef struct quotient {
    vdit_pair total;   /* what the output is divided by; 0: the row is 0 */
    vdit_pair lost[2]; /* shares of the row lost on video and on text keys */
    double grow;       /* all weights over the kept ones, where these divide */
} quotient;

static void divide(quotient *q, const vdit_part *part, const vdit_post_sums *sums, vdit_pair total)
{
    vdit_pair kept = {0, 0};

    memset(q, 0, sizeof *q);
    q->total = total;
    q->grow = 1;
    if (part->post == NULL)
        return;
    kept.high = sums->kept;
    kept.low = sums->kept_low;
    for (int side = 0; side < 2; side++) {
        vdit_pair lost = {sums->lost[side], sums->lost_low[side]};
        q->lost[side] = vdit_pair_div(lost, total);
    }
    if (part->post->lost == VDIT_LOST_RENORMALISED) {
        q->total = sums->kept_count > 0 ? vdit_two_sum(kept.high, kept.low) : single(0);
        q->grow = kept.high > 0 ? 1.0001 * total.high / kept.high : 0;
    }
}

/* Adds what the row lost, at the place where it goes. */
static void add_lost(const vdit_part *part, const quotient *q, const vdit_row_bound *bound,
                     vdit_blend *blend, size_t lane, size_t r, size_t c)
{
    const vdit_head *head = &part->source->head;
    double weight =
        1.02 * (2 * bound->weight + 2 * bound->total + 2 * bound->logit * head->key_norm_max) +
        0x1p-98;
    vdit_pair x = {0, 0};

    for (int side = 0; side < 2; side++) {
        const vdit_mean *mean =
            &part->means[part->segments ? VDIT_MEAN_VIDEO + side : VDIT_MEAN_VALID];
        double size, share = q->lost[side].high;

        if (share == 0)
            continue;
        if (part->segments || part->post->lost == VDIT_LOST_UNIFORM) {
            x = mean->pair[c];
            size = mean->bound[c];
        } else {
            x = single(vdit_head_own_value(&part->own->head, r, c));
            size = fabs(x.high);
        }
        add(part, blend, lane * head->dv + c, vdit_pair_mul(q->lost[side], x),
            share * size * weight + bound->floor * size, share * size);
    }
}

/* Adds one row of a softmax part, given its outputs before the division. */
static void add_row(const vdit_part *part, vdit_blend *blend, const vdit_row_bound *plain,
                    const vdit_post_sums *sums, vdit_pair total, size_t lane, size_t r, size_t c,
                    vdit_pair o)
{
    const vdit_head *head = &part->source->head;
    vdit_row_bound bound = *plain;
    double size, error;
    vdit_pair x;
    quotient q;

    divide(&q, part, sums, total);
    if (part->post != NULL && part->post->keep_maximum && sums->kept_count == 0)
        blend->error[lane * head->dv + c] = INFINITY; /* which entry is kept the last stage says */
    if (q.total.high == 0)
        return; /* nothing is kept, and what is lost is dropped: 0 */
    x = vdit_pair_div(o, q.total);
    bound.length *= q.grow;
    bound.floor *= q.grow;
    size = bound.length * head->value_norm[c];
    size = size < head->value_max[c] ? size : head->value_max[c];
    error = bound.usable ? vdit_output_error(&bound, head, c, x.high) + 0x1p-98 * fabs(x.high)
                         : INFINITY;
    if (part->post == NULL || sums->kept_count > 0)
        add(part, blend, lane * head->dv + c, x, error, size);
    if (part->post != NULL && (part->segments || part->post->lost == VDIT_LOST_DIAGONAL ||
                               part->post->lost == VDIT_LOST_UNIFORM))
        add_lost(part, &q, &bound, blend, lane, r, c);
}

/* Stage 0 of a softmax part: its block streamed, the mask in a second pass. */
static void stream_softmax(const vdit_part *part, vdit_room *room, size_t first, size_t rows)
{
    vdit_stream *stream = &room->walk.stream;
    const vdit_head *head = &part->source->head;
    size_t nr = head->kernel->nr;

    vdit_walk_load(&room->walk, first, rows, part->post == NULL);
    for (size_t lane = 0; lane < rows; lane++) {
        part->source->rows.top[first + lane] = stream->top[lane] * 0x1.62e42fefa39efp-1;
        if (part->post != NULL) {
            part->post->sum[first + lane] = stream->sum[lane];
            /* stage 1 rounds the reference point once more */
            part->post->error[first + lane] =
                room->walk.error[lane] + 2 * UNIT * (fabs(stream->top[lane]) + 1);
        }
    }
    if (part->post == NULL)
        return;
    for (size_t lane = 0; lane < stream->panels * nr; lane++) {
        vdit_post_panel *panel = &room->panels[lane / nr];
        panel->post = part->post;
        vdit_post_begin(panel, lane % nr,
                        vdit_walk_has(&room->walk, lane) ? first + lane : SIZE_MAX);
    }
    for (size_t t = 0; t < head->tiles; t++)
        for (size_t p = 0; p < stream->panels; p++) {
            vdit_walk_tile(&room->walk, p, t);
            vdit_post_tile(&room->panels[p], t, stream->s, NULL);
            vdit_stream_values(stream, p, t);
        }
}

void vdit_part_stream(const vdit_part *part, vdit_room *room, vdit_blend *blend, size_t first,
                      size_t rows)
{
    const vdit_head *head = &part->source->head;
    const vdit_stream *stream = &room->walk.stream;
    size_t nr = head->kernel->nr;

    if (part->kind == VDIT_PART_SOFTMAX)
        stream_softmax(part, room, first, rows);
    for (size_t lane = 0; lane < rows; lane++) {
        const double *o = stream->o + lane / nr * nr * head->dv_padded + lane % nr;
        vdit_row_bound bound;

        if (!vdit_part_has(part, first + lane))
            continue;
        if (part->kind == VDIT_PART_EXPLICIT)
            add_explicit(part, blend, lane, first + lane);
        else if (part->kind != VDIT_PART_SOFTMAX)
            add_linear(part, blend, lane, first + lane);
        if (part->kind != VDIT_PART_SOFTMAX || !vdit_walk_has(&room->walk, lane))
            continue;
        vdit_stream_bound(&bound, stream, lane);
        for (size_t c = 0; c < head->dv; c++)
            add_row(part, blend, &bound, &room->sums[lane], single(stream->sum[lane]), lane,
                    first + lane, c, single(o[c * nr]));
    }
}

void vdit_part_refine(const vdit_part *part, vdit_room *room, vdit_blend *blend, const size_t *list,
                      size_t count)
{
    const vdit_head *head = &part->source->head;
    vdit_refine *refine = &room->refine;
    size_t nr = head->kernel->nr, dv = head->dv;

    if (part->kind == VDIT_PART_SOFTMAX) {
        refine->post = part->post != NULL ? room->panels : NULL;
        for (size_t lane = 0; part->post != NULL && lane < (count + nr - 1) / nr * nr; lane++) {
            room->panels[lane / nr].post = part->post;
            vdit_post_begin(&room->panels[lane / nr], lane % nr,
                            lane < count ? list[lane] : SIZE_MAX);
        }
        vdit_refine_sums(refine, &part->source->rows, list, count);
    }
    for (size_t lane = 0; lane < count; lane++) {
        vdit_row_bound bound;
        vdit_pair total;

        if (!vdit_part_has(part, list[lane]))
            continue;
        if (part->kind == VDIT_PART_EXPLICIT)
            add_explicit(part, blend, lane, list[lane]);
        else if (part->kind != VDIT_PART_SOFTMAX)
            add_linear(part, blend, lane, list[lane]);
        if (part->kind != VDIT_PART_SOFTMAX || !(refine->sum_high[lane] > 0))
            continue;
        vdit_refine_bound(&bound, refine, lane);
        total.high = refine->sum_high[lane];
        total.low = refine->sum_low[lane];
        for (size_t c = 0; c < dv; c++) {
            vdit_pair o = {refine->o_high[lane * dv + c], refine->o_low[lane * dv + c]};

            if (part->source->rows.o[list[lane] * dv + c])
                add_row(part, blend, &bound, &room->sums[lane], total, lane, list[lane], c, o);
        }
    }
}
