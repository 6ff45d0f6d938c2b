/* post.c - the mask after the softmax. */
#include <math.h>
#include <string.h>
#include "attention/bits.h"
#include "attention/post.h"

/* The blocks in which entries are dropped, or may be, as bytes: 1 where the entry lies in them. */
static void in_blocks(const vdit_head *head, unsigned blocks, size_t r, size_t first, size_t count,
                      unsigned char *in)
{
    const size_t *key_at = head->key_at + first;
    size_t query = vdit_query_at(head->call, r);

    if (key_at[count - 1] - key_at[0] == count - 1) {
        vdit_blocks_row(blocks, &head->layout, query, key_at[0], count, in);
        return;
    }
    for (size_t n = 0; n < count; n++)
        vdit_blocks_row(blocks, &head->layout, query, key_at[n], 1, in + n);
}

void vdit_post_place(const vdit_post *post, size_t r, size_t first, size_t count,
                     unsigned char *place)
{
    const vdit_head *head = post->head;
    unsigned char in[VDIT_TILE];
    double mask[VDIT_TILE];

    memset(place, VDIT_PLACE_KEPT, count);
    if (post->places)
        vdit_head_keep(head, VDIT_AFTER_SOFTMAX, r, first, count, place);
    if (post->blocks != 0) {
        in_blocks(head, post->blocks, r, first, count, in);
        for (size_t n = 0; n < count; n++)
            place[n] = in[n] ? VDIT_PLACE_DROPPED : place[n];
    }
    for (size_t n = 0; post->frozen && n < count; n++)
        if (!vdit_head_frozen(head, r, head->key_at[first + n]))
            place[n] = VDIT_PLACE_DROPPED;
    if (post->tau != NULL) {
        in_blocks(head, post->prunable, r, first, count, in);
        for (size_t n = 0; n < count; n++)
            if (in[n] && place[n] == VDIT_PLACE_KEPT)
                place[n] = VDIT_PLACE_COMPARED;
    }
    if (!head->masked)
        return;
    vdit_head_mask_row(head, mask, r, first, count);
    for (size_t n = 0; n < count; n++)
        if (mask[n] == -INFINITY)
            place[n] = VDIT_PLACE_ABSENT;
}

/* The weights between which an entry's rounding may be below tau or not. */
static void cut(double tau, double sum, double error, double *low, double *high)
{
    double below = tau > 0 ? (double)nextafterf((float)tau, 0) : 0;
    double weight = (tau < INFINITY ? (tau + below) / 2 : INFINITY) * sum;
    double slack = weight < INFINITY ? weight * (error + 0x1p-50) : 0;

    *low = weight - slack > 0 ? weight - slack : 0;
    *high = slack > 0 && !(error < 1) ? INFINITY : weight + slack; /* 1: nothing is known */
}

void vdit_post_begin(vdit_post_panel *panel, size_t i, size_t r)
{
    const vdit_post *post = panel->post;
    vdit_post_lane *lane = &panel->lane[i];

    memset(&panel->sums[i], 0, sizeof panel->sums[i]);
    memset(lane, 0, sizeof *lane);
    lane->r = r;
    if (r == SIZE_MAX || post->tau == NULL)
        return;
    cut(post->tau[r], post->sum[r], post->error[r], &lane->low, &lane->high);
    for (int side = 0; post->near != NULL && side < 2; side++)
        cut(post->near[2 * r + (size_t)side], post->sum[r], post->error[r], &lane->near_low[side],
            &lane->near_high[side]);
    if (post->quota == NULL)
        return;
    lane->quota = post->quota[r];
    cut((double)nextafterf((float)post->tau[r], INFINITY), post->sum[r], post->error[r],
        &lane->low2, &lane->high2);
}

/* Whether the f32 entry of packed key j is dropped by its value; equal ones use up the quota. */
static int below(double entry, double tau, uint64_t *quota)
{
    if (entry == tau && *quota > 0) {
        --*quota;
        return 1;
    }
    return entry < tau;
}

/* Returns: 1 if packed key j of a lane keeps its entry. */
static int keeps(vdit_post_panel *panel, vdit_post_lane *lane, size_t j, double weight)
{
    const vdit_post *post = panel->post;

    if (weight < lane->low)
        return 0;
    if (weight >= lane->high && (lane->quota == 0 || weight >= lane->high2))
        return 1;
    if (lane->quota > 0 && weight >= lane->high && weight < lane->low2) {
        lane->quota--;
        return 0;
    }
    return !below(vdit_walk_row_entry(panel->walk, lane->r, j), post->tau[lane->r], &lane->quota);
}

void vdit_post_mark(const vdit_post *post, const unsigned char *keep, size_t r)
{
    for (size_t j = 0; j < post->head->keys; j++)
        if (keep[j])
            vdit_bits_set(post->kept, 0, 0, r, post->head->key_at[j]);
}

/* Marks packed key j of a lane if its entry is free. */
static void look_near(vdit_post_panel *panel, const vdit_post_lane *lane, size_t j, double weight)
{
    const vdit_post *post = panel->post;
    const double *near = post->near + 2 * lane->r;
    int is_free = weight >= lane->near_high[0] && weight < lane->near_low[1];

    if (weight < lane->near_low[0] || weight >= lane->near_high[1])
        return;
    if (!is_free) {
        double entry = vdit_walk_row_entry(panel->walk, lane->r, j);
        is_free = entry >= near[0] && entry < near[1];
    }
    if (is_free)
        vdit_bits_set(post->free, 0, 0, lane->r, post->head->key_at[j]);
}

/* sum (and its second word) += x (and low), in stage 1 as a pair. */
static void add(double *sum, double *sum_low, double x, const double *low)
{
    double whole = *sum + x, part = whole - *sum;

    if (low != NULL)
        *sum_low += (*sum - (whole - part)) + (x - part) + *low;
    *sum = whole;
}

/* One lane on one tile. */
static void lane_tile(vdit_post_panel *panel, size_t i, size_t t, double *weight, double *low)
{
    const vdit_post *post = panel->post;
    const vdit_head *head = post->head;
    const vdit_tokens *tokens = head->edit != NULL ? &head->edit->tokens : NULL;
    size_t nr = head->kernel->nr, first = t * VDIT_TILE, keys = vdit_tile_keys(head, t);
    vdit_post_lane *lane = &panel->lane[i];
    vdit_post_sums tile = {0}, *sums = &panel->sums[i];
    int text = tokens != NULL && tokens->text > 0;

    vdit_post_place(post, lane->r, first, keys, panel->place);
    for (size_t j = 0; j < keys; j++) {
        size_t at = j * nr + i;
        int keep =
            panel->place[j] == VDIT_PLACE_KEPT ||
            (panel->place[j] == VDIT_PLACE_COMPARED && keeps(panel, lane, first + j, weight[at]));

        panel->keep[at] = (unsigned char)keep;
        if (panel->place[j] == VDIT_PLACE_ABSENT)
            continue;
        tile.count++;
        if (post->near != NULL && low == NULL && panel->place[j] == VDIT_PLACE_COMPARED)
            look_near(panel, lane, first + j, weight[at]);
        if (keep && post->kept != NULL && low == NULL)
            vdit_bits_set(post->kept, 0, 0, lane->r, head->key_at[first + j]);
        if (keep) {
            add(&tile.kept, &tile.kept_low, weight[at], low ? &low[at] : NULL);
            tile.kept_count++;
            continue;
        }
        int side = text && vdit_head_key_kind(head, head->key_at[first + j]) == VDIT_TEXT;
        add(&tile.lost[side], &tile.lost_low[side], weight[at], low ? &low[at] : NULL);
        weight[at] = 0;
        if (low != NULL)
            low[at] = 0;
    }
    add(&sums->kept, &sums->kept_low, tile.kept, low ? &tile.kept_low : NULL);
    for (int side = 0; side < 2; side++)
        add(&sums->lost[side], &sums->lost_low[side], tile.lost[side],
            low ? &tile.lost_low[side] : NULL);
    sums->kept_count += tile.kept_count;
    sums->count += tile.count;
}

void vdit_post_tile(vdit_post_panel *panel, size_t t, double *weight, double *low)
{
    const vdit_head *head = panel->post->head;

    for (size_t i = 0; i < head->kernel->nr; i++)
        if (panel->lane[i].r != SIZE_MAX)
            lane_tile(panel, i, t, weight, low);
}

/* The packed key of the largest entry, the lowest of equal ones. */
static size_t largest(const vdit_last *last)
{
    size_t best = 0;
    double most = -1;

    for (size_t j = 0; j < last->head->keys; j++) {
        double entry = vdit_last_entry(last, j);
        if (entry > most) {
            most = entry;
            best = j;
        }
    }
    return best;
}

size_t vdit_post_exact(const vdit_post *post, const vdit_last *last, unsigned char *keep)
{
    size_t keys = post->head->keys, kept = 0, r = last->r;
    uint64_t quota = post->quota != NULL ? post->quota[r] : 0;

    for (size_t j = 0; j < keys; j += VDIT_TILE)
        vdit_post_place(post, r, j, keys - j < VDIT_TILE ? keys - j : VDIT_TILE, keep + j);
    for (size_t j = 0; j < keys; j++) {
        if (keep[j] == VDIT_PLACE_COMPARED)
            keep[j] = !below(vdit_last_entry(last, j), post->tau[r], &quota);
        else
            keep[j] = keep[j] == VDIT_PLACE_KEPT;
        kept += keep[j];
    }
    if (kept == 0 && post->keep_maximum && last->sum.sign != 0) {
        keep[largest(last)] = 1;
        kept = 1;
    }
    return kept;
}
