/* mutants_faults.c - what can be wrong with a kernel's addresses, factors and results. */
#include <math.h>
#include <string.h>
#include "mutants.h"

#define LN2    0x1.62e42fefa39efp-1 /* ln 2 */
#define LOG2_E 0x1.71547652b82fep+0 /* log2 e */

/* Factors of the logits. */
double fault_scale_squared(double scale, size_t width)
{
    (void)width;
    return scale * scale;
}

double fault_scale_101(double scale, size_t width)
{
    (void)width;
    return scale * 1.01;
}

double fault_scale_one(double scale, size_t width)
{
    (void)scale;
    (void)width;
    return 1;
}

double fault_scale_zero(double scale, size_t width)
{
    (void)scale;
    (void)width;
    return 0;
}

double fault_scale_log2e(double scale, size_t width)
{
    (void)width;
    return scale * LOG2_E;
}

double fault_scale_ln2(double scale, size_t width)
{
    (void)width;
    return scale * LN2;
}

/* The width that the kernel was compiled for, a power of two. */
double fault_scale_padded(double scale, size_t width)
{
    size_t power = 1;

    while (power < width)
        power *= 2;
    return scale * sqrt((double)width / (double)power);
}

/* Valid keys. */
size_t fault_length_more(size_t valid, size_t keys)
{
    return valid < keys ? valid + 1 : keys;
}

size_t fault_length_less(size_t valid, size_t keys)
{
    return valid < keys && valid > 0 ? valid - 1 : valid;
}

size_t fault_length_all(size_t valid, size_t keys)
{
    (void)valid;
    return keys;
}

/* Up to the end of the tile that the last valid key is in. */
size_t fault_length_tile(size_t valid, size_t keys)
{
    size_t end = (valid + MUTANT_TILE - 1) / MUTANT_TILE * MUTANT_TILE;

    return end < keys ? end : keys;
}

/* Places. */
void fault_row_pairs(mutant_place *p)
{
    p->row = (p->row ^ 1) < p->rows ? p->row ^ 1 : p->row;
}

void fault_row_block(mutant_place *p)
{
    if (p->row >= MUTANT_TILE && p->row / MUTANT_TILE == (p->rows - 1) / MUTANT_TILE)
        p->row -= MUTANT_TILE;
}

void fault_row_tail(mutant_place *p)
{
    if (p->row + 1 == p->rows && p->row > 0)
        p->row--;
}

/* The first eighth of the tokens, the text of a joint sequence, is taken to be at the end. */
void fault_row_rotated(mutant_place *p)
{
    p->row = (p->row + (p->rows + 7) / 8) % p->rows;
}

void fault_mask_row(mutant_place *p)
{
    p->mask_row = (p->mask_row + 1) % p->rows;
}

void fault_heads_swapped(mutant_place *p)
{
    if ((p->head ^ 1) < p->heads)
        p->key_head = p->value_head = p->head ^ 1;
}

void fault_values_of_head_0(mutant_place *p)
{
    p->value_head = 0;
}

/* As if two query heads shared one of k and v. */
void fault_keys_of_half_head(mutant_place *p)
{
    p->key_head = p->value_head = p->head / 2;
}

void fault_keys_of_batch_0(mutant_place *p)
{
    p->key_batch = 0;
}

void fault_batches_swapped(mutant_place *p)
{
    if ((p->batch ^ 1) < p->batches)
        p->batch = p->key_batch = p->value_batch = p->batch ^ 1;
}

void fault_length_of_batch_0(mutant_place *p)
{
    p->length_batch = 0;
}

/* Routes. A tile in the middle stands for any: needle rows hit each. */
static size_t middle_tile(const mutant_route *r)
{
    return r->count / MUTANT_TILE / 2 * MUTANT_TILE;
}

/* Returns: the number of whole tiles. */
static size_t whole_tiles(const mutant_route *r)
{
    return r->count / MUTANT_TILE;
}

static void drop(mutant_route *r, size_t first, size_t n)
{
    memmove(r->steps + first, r->steps + first + n, (r->count - first - n) * sizeof *r->steps);
    r->count -= n;
}

void fault_last_key(mutant_route *r)
{
    r->count -= r->count > 0;
}

void fault_last_tile(mutant_route *r)
{
    r->count -= r->count % MUTANT_TILE;
}

void fault_last_64(mutant_route *r)
{
    r->count -= r->count > MUTANT_TILE ? MUTANT_TILE : r->count;
}

void fault_first_key(mutant_route *r)
{
    if (r->count > 0)
        drop(r, 0, 1);
}

void fault_every_64th(mutant_route *r)
{
    size_t kept = 0;

    for (size_t t = 0; t < r->count; t++)
        if (t % MUTANT_TILE != MUTANT_TILE - 1)
            r->steps[kept++] = r->steps[t];
    r->count = kept;
}

void fault_tile_skipped(mutant_route *r)
{
    if (whole_tiles(r) > 1)
        drop(r, middle_tile(r), MUTANT_TILE);
}

void fault_tile_twice(mutant_route *r)
{
    if (whole_tiles(r) == 0)
        return;
    memcpy(r->steps + r->count, r->steps + middle_tile(r), MUTANT_TILE * sizeof *r->steps);
    r->count += MUTANT_TILE;
}

void fault_key_twice(mutant_route *r)
{
    if (r->count > 0) {
        r->steps[r->count] = r->steps[r->count / 2];
        r->count++;
    }
}

/* The last tile is filled with keys of zeros, and nobody masks them. */
void fault_padding(mutant_route *r)
{
    while (r->count % MUTANT_TILE != 0)
        r->steps[r->count++] = (struct mutant_step){MUTANT_PADDING, MUTANT_PADDING};
}

/* The last tile's tail still holds the tile before, and nobody masks it. */
void fault_last_stale(mutant_route *r)
{
    for (; r->count > MUTANT_TILE && r->count % MUTANT_TILE != 0; r->count++)
        r->steps[r->count] = r->steps[r->count - MUTANT_TILE];
}

/* A tile that was read before its load was done: that of the turn before is still there. */
void fault_stale_keys(mutant_route *r)
{
    size_t at = middle_tile(r);

    for (size_t t = at; at != 0 && t < at + MUTANT_TILE; t++)
        r->steps[t].key -= MUTANT_TILE;
}

void fault_stale_values(mutant_route *r)
{
    size_t at = middle_tile(r);

    for (size_t t = at; at != 0 && t < at + MUTANT_TILE; t++)
        r->steps[t].value -= MUTANT_TILE;
}

void fault_tiles_swapped(mutant_route *r)
{
    size_t at = middle_tile(r);

    for (size_t t = at; at != 0 && t < at + MUTANT_TILE; t++) {
        r->steps[t].value -= MUTANT_TILE;
        r->steps[t - MUTANT_TILE].value += MUTANT_TILE;
    }
}

void fault_values_shifted(mutant_route *r)
{
    for (size_t t = 0; t < r->count; t++)
        r->steps[t].value = (t + 1) % r->count;
}

void fault_values_rotated(mutant_route *r)
{
    for (size_t t = 0; t < r->count; t++)
        r->steps[t].value = (t + (r->count + 7) / 8) % r->count;
}

/* 16 rows of V in the order in which a 4 x 4 fragment has them when it is read by columns. */
static void permute(mutant_route *r, size_t first, size_t last)
{
    for (size_t at = first; at + 16 <= last; at += 16)
        for (size_t i = 0; i < 16; i++)
            r->steps[at + i].value = at + i % 4 * 4 + i / 4;
}

void fault_permuted_16(mutant_route *r)
{
    permute(r, 0, r->count);
}

void fault_permuted_tile(mutant_route *r)
{
    if (whole_tiles(r) > 0)
        permute(r, middle_tile(r), middle_tile(r) + MUTANT_TILE);
}

/* Loads. */
void fault_last_channels(mutant_head *head)
{
    size_t d = head->a->q->shape[3], first = d > 8 ? d - 8 : 0;

    for (size_t j = 0; j < head->place.keys; j++)
        for (size_t c = first; c < d; c++)
            head->k[j * head->key_width + c] = 0;
}

/* k's channels one further than q's. */
void fault_key_channels(mutant_head *head)
{
    size_t d = head->a->q->shape[3];

    for (size_t j = 0; j < head->place.keys; j++) {
        float *k_j = head->k + j * head->key_width, last = k_j[d - 1];
        memmove(k_j + 1, k_j, (d - 1) * sizeof *k_j);
        k_j[0] = last;
    }
}

/* The first tile of k is still that of the head before. */
void fault_other_heads_tile(mutant_head *head)
{
    if (head->place.head == 0)
        return;
    for (size_t j = 0; j < head->valid && j < MUTANT_TILE; j++)
        mutant_row_load(head->k + j * head->key_width, head->key_width, head->a->k,
                        head->place.batch, head->place.head - 1, j);
}

/* Numbers below the normal range of the dtype become 0, as they are read. */
void fault_flushed(mutant_head *head)
{
    double least = head->a->v->dtype == VDIT_F16 ? 0x1p-14 : 0x1p-126;

    for (size_t i = 0; i < head->place.keys * head->value_width; i++)
        if (fabs(head->v[i]) < least)
            head->v[i] = 0;
}

/* Neighbouring channels of v change places in odd rows. */
void fault_value_columns(mutant_head *head)
{
    size_t dv = head->a->v->shape[3];

    for (size_t j = 1; j < head->place.keys; j += 2)
        for (size_t c = 0; c + 1 < dv; c += 2) {
            float *v_j = head->v + j * head->value_width + c, first = v_j[0];
            v_j[0] = v_j[1];
            v_j[1] = first;
        }
}

/* Results. */
static void multiply(const mutant_result *r, float factor)
{
    for (size_t c = 0; c < r->width; c++)
        r->o[c] *= factor;
}

void fault_gain(const mutant_result *r)
{
    multiply(r, 0.98F);
}

void fault_gain_998(const mutant_result *r)
{
    multiply(r, 0.998F);
}

void fault_zeros(const mutant_result *r)
{
    multiply(r, 0);
}

void fault_nan_row(const mutant_result *r)
{
    if (r->index == 1)
        multiply(r, NAN);
}

void fault_row_missing(const mutant_result *r)
{
    if (r->index == 3)
        multiply(r, 0);
}

void fault_channel(const mutant_result *r)
{
    r->o[1 % r->width] = r->o[0];
}

/* The last rows do not fill a block, and are not written. */
void fault_block_missing(const mutant_result *r)
{
    if (r->place->row >= r->place->rows / MUTANT_TILE * MUTANT_TILE)
        multiply(r, 0);
}

void fault_lse_shifted(const mutant_result *r)
{
    *r->lse += 0.01F;
}

/* One element of all is a quarter too large. */
void fault_one_bit(const mutant_result *r)
{
    if (r->index == 5 && r->place->head == 0 && r->place->batch == 0)
        r->o[r->width / 2] *= 1.25F;
}
