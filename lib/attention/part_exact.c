/* part_exact.c - the means of the values, and the parts of an edited output in the last stage. */
#include <math.h>
#include <string.h>
#include "attention/part.h"

vdit_status vdit_means_new(vdit_run *run, vdit_mean means[VDIT_MEAN_COUNT], const vdit_head *head)
{
    for (int m = 0; m < VDIT_MEAN_COUNT; m++) {
        means[m].value = vdit_run_alloc(run, head->dv, sizeof(vdit_mp));
        means[m].size = vdit_run_alloc(run, head->dv, sizeof(vdit_mp));
        means[m].pair = vdit_run_alloc(run, head->dv, sizeof(vdit_pair));
        means[m].bound = vdit_run_alloc(run, head->dv, sizeof(double));
    }
    return vdit_run_status(run);
}

/* Returns: 1 if key j of the call belongs to the keys of mean m. */
static int belongs(const vdit_head *head, int m, size_t j)
{
    if (m == VDIT_MEAN_PADDED)
        return 1;
    if (j >= vdit_key_length(head->call, head->b) || !vdit_head_has_key(head, j))
        return 0;
    return m == VDIT_MEAN_VALID ||
           vdit_head_key_kind(head, j) == (m == VDIT_MEAN_VIDEO ? VDIT_VIDEO : VDIT_TEXT);
}

/* Out: value = sum / count, a pair of it, and the same of the magnitudes; 0 without any key. */
static void finish_mean(vdit_mean *mean, size_t c, const vdit_acc *sum, const vdit_acc *size,
                        size_t count)
{
    vdit_mp divisor, rest;

    vdit_mp_from_f64(&divisor, count > 0 ? (double)count : 1);
    vdit_mp_from_acc(&mean->value[c], sum);
    vdit_mp_from_acc(&mean->size[c], size);
    vdit_mp_div(&mean->value[c], &mean->value[c], &divisor);
    vdit_mp_div(&mean->size[c], &mean->size[c], &divisor);
    mean->pair[c].high = vdit_mp_round(&mean->value[c], VDIT_F64);
    vdit_mp_from_f64(&rest, mean->pair[c].high);
    vdit_mp_sub(&rest, &mean->value[c], &rest);
    mean->pair[c].low = vdit_mp_round(&rest, VDIT_F64);
    mean->bound[c] = vdit_mp_round(&mean->size[c], VDIT_F64) * (1 + 0x1p-50);
}

void vdit_means_load(vdit_mean means[VDIT_MEAN_COUNT], const vdit_head *head)
{
    size_t nk = head->call->k->shape[2], index[4] = {head->b, head->h, 0, 0};
    const vdit_tensor *v = head->call->v;

    for (int m = 0; m < VDIT_MEAN_COUNT; m++)
        for (size_t c = 0; c < head->dv; c++) {
            vdit_acc sum, size;
            size_t count = 0;

            vdit_acc_zero(&sum);
            vdit_acc_zero(&size);
            for (size_t j = 0; j < nk; j++) {
                double value;
                if (!belongs(head, m, j))
                    continue;
                index[2] = j;
                index[3] = c;
                vdit_load_f64(&value, 1, vdit_tensor_at(v, index), 1, v->dtype);
                vdit_acc_add(&sum, value);
                vdit_acc_add(&size, fabs(value));
                count++;
            }
            finish_mean(&means[m], c, &sum, &size, count);
        }
}

size_t vdit_part_load(const vdit_part *part, vdit_room *room, size_t r)
{
    size_t keys = part->source->head.keys;

    if (part->kind != VDIT_PART_SOFTMAX)
        return keys;
    if (!room->walk.loaded || room->walk.last.r != r)
        vdit_last_load(&room->walk.last, r);
    room->walk.loaded = 1;
    if (part->post != NULL)
        return vdit_post_exact(part->post, &room->walk.last, room->keep);
    memset(room->keep, 1, keys);
    return keys;
}

/* value += x y, size += |x y|. */
static void add_product(vdit_mp *value, vdit_mp *size, const vdit_mp *x, const vdit_mp *y)
{
    vdit_mp term, magnitude;

    vdit_mp_mul(&term, x, y);
    vdit_mp_abs(&magnitude, &term);
    vdit_mp_add(value, value, &term);
    vdit_mp_add(size, size, &magnitude);
}

/* value += x factor, size += |factor| magnitude. */
static void add_scaled(vdit_mp *value, vdit_mp *size, const vdit_mp *x, const vdit_mp *magnitude,
                       const vdit_mp *factor)
{
    vdit_mp term;

    vdit_mp_mul(&term, x, factor);
    vdit_mp_add(value, value, &term);
    vdit_mp_abs(&term, factor);
    vdit_mp_mul(&term, magnitude, &term);
    vdit_mp_add(size, size, &term);
}

/* value and size += what the row lost times where it goes, not yet divided by the sum of the weights. */
static void add_lost(const vdit_part *part, const vdit_room *room, size_t r, size_t c,
                     vdit_mp *value, vdit_mp *size)
{
    const vdit_head *head = &part->source->head;
    const vdit_last *last = &room->walk.last;

    for (int side = 0; side < 2; side++) {
        const vdit_mean *mean =
            &part->means[part->segments ? VDIT_MEAN_VIDEO + side : VDIT_MEAN_VALID];
        vdit_mp lost, x, magnitude;

        vdit_mp_from_f64(&lost, 0);
        for (size_t j = 0; j < head->keys; j++) {
            int text = vdit_head_key_kind(head, head->key_at[j]) == VDIT_TEXT;
            if (!room->keep[j] && text == side)
                vdit_mp_add(&lost, &lost, &last->p[j]);
        }
        if (lost.sign == 0)
            continue;
        if (part->segments || part->post->lost == VDIT_LOST_UNIFORM) {
            x = mean->value[c];
            magnitude = mean->size[c];
        } else {
            vdit_mp_from_f64(&x, vdit_head_own_value(&part->own->head, r, c));
            vdit_mp_abs(&magnitude, &x);
        }
        add_scaled(value, size, &x, &magnitude, &lost);
    }
}

/* The output of a softmax part. */
static void softmax_exact(const vdit_part *part, const vdit_room *room, size_t r, size_t c,
                          vdit_mp *value, vdit_mp *size)
{
    const vdit_head *head = &part->source->head;
    const vdit_last *last = &room->walk.last;
    vdit_lost lost = part->post != NULL ? part->post->lost : VDIT_LOST_DROPPED;
    vdit_mp term, kept;

    vdit_mp_from_f64(&kept, 0);
    for (size_t j = 0; j < head->keys; j++) {
        if (!room->keep[j])
            continue;
        vdit_mp_add(&kept, &kept, &last->p[j]);
        vdit_mp_from_f64(&term, vdit_head_packed_value(head, j, c));
        add_product(value, size, &term, &last->p[j]);
    }
    if (part->post != NULL &&
        (part->segments || lost == VDIT_LOST_DIAGONAL || lost == VDIT_LOST_UNIFORM))
        add_lost(part, room, r, c, value, size);
    if (lost != VDIT_LOST_RENORMALISED)
        kept = last->sum;
    if (kept.sign == 0)
        return;
    vdit_mp_div(value, value, &kept);
    vdit_mp_div(size, size, &kept);
}

static void explicit_exact(const vdit_part *part, size_t r, size_t c, vdit_mp *value, vdit_mp *size)
{
    const vdit_head *head = &part->source->head;

    for (size_t j = 0; j < head->keys; j++) {
        size_t index[4] = {0, 0, r, head->key_at[j]};
        vdit_mp x, v;
        double entry;

        vdit_load_f64(&entry, 1, vdit_tensor_at(part->map, index), 1, VDIT_F32);
        vdit_mp_from_f64(&x, entry);
        vdit_mp_from_f64(&v, vdit_head_packed_value(head, j, c));
        add_product(value, size, &x, &v);
    }
}

void vdit_part_exact(const vdit_part *part, vdit_room *room, size_t r, size_t c, vdit_mp *value,
                     vdit_mp *size)
{
    vdit_mp x, magnitude;

    if (!vdit_part_has(part, r))
        return;
    vdit_mp_from_f64(&x, 0);
    vdit_mp_from_f64(&magnitude, 0);
    if (part->kind == VDIT_PART_SOFTMAX) {
        softmax_exact(part, room, r, c, &x, &magnitude);
    } else if (part->kind == VDIT_PART_EXPLICIT) {
        explicit_exact(part, r, c, &x, &magnitude);
    } else if (part->kind == VDIT_PART_MEAN) {
        x = part->means[part->mean].value[c];
        magnitude = part->means[part->mean].size[c];
    } else {
        vdit_mp_from_f64(&x, vdit_head_own_value(&part->own->head, r, c));
        vdit_mp_abs(&magnitude, &x);
    }
    add_scaled(value, size, &x, &magnitude, &part->factor);
}
