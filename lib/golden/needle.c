/*
 * needle.c - the families needle and offset: each query aims at one key with a weight of about one half.
 *
 * q_i = c k_t. Then s_t = lambda m with lambda = s c and m = |k_t|^2, and the other logits are normal
 * with the variance lambda^2 m, so they sum up to about N e^(lambda^2 m / 2). The weight is one half
 * where both are equal: lambda^2 m / 2 - lambda m + ln N = 0, lambda = 1 - sqrt(1 - 2 ln N / m).
 * That needs m > 2 ln N; a recipe with d < 4 ln N is refused.
 */
#include <math.h>
#include "golden/maker.h"

#define TILE 64
#define LAST 32 /* offset aims at one tile in so many */

enum { Q, K, V };

static size_t greatest_divisor(size_t a, size_t b)
{
    while (b != 0) {
        size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* How many computed rows lie below row i. */
static size_t rank_of(const vdit_maker *m, size_t i)
{
    size_t low = 0, high = m->row_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((size_t)m->rows[middle] < i)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/*
 * The tile, of so many, that a row aims at. The computed rows are permuted by a stride near 5/8 R, coprime
 * to R, and then spread over the tiles from the first to the last: R >= tiles computed rows hit them all,
 * and neighbours aim far apart, so that no band around the diagonal holds the needles.
 */
static size_t tile_of(const vdit_maker *m, size_t bh, size_t i, size_t tiles)
{
    size_t count = m->row_count, stride = 5 * count / 8 + 1, place;

    while (greatest_divisor(stride, count) != 1)
        stride++;
    place = (size_t)(((uint64_t)rank_of(m, i) * stride + bh) % count);
    return count > 1 ? (size_t)((uint64_t)place * (tiles - 1) / (count - 1)) : 0;
}

/* k_j as it is stored; returns its squared norm, summed in binary64 in channel order. */
static double stored_key(const vdit_maker *m, double *out, size_t bh, size_t j)
{
    double sum = 0;

    vdit_maker_scaled(m, out, K, bh, j, 1);
    for (size_t c = 0; c < m->c->d; c++) {
        out[c] = vdit_round_f64(m->c->dtype, out[c]);
        sum += out[c] * out[c];
    }
    return sum;
}

/*
 * Out: key t of a tile in out. The drawn lane of the tile, or the first one after it, around the tile's
 * end, with |k_t|^2 >= d; if there is none, the drawn lane. Returns: |k_t|^2.
 */
static double aimed_key(const vdit_maker *m, double *out, size_t bh, size_t i, size_t keys,
                        size_t tile)
{
    size_t size = keys - tile * TILE < TILE ? keys - tile * TILE : TILE;
    size_t lane = vdit_maker_row_word(m, Q, bh, i) % size;

    for (size_t n = 0; n < size; n++) {
        double norm = stored_key(m, out, bh, tile * TILE + (lane + n) % size);
        if (norm >= (double)m->c->d)
            return norm;
    }
    return stored_key(m, out, bh, tile * TILE + lane);
}

/* Out: the query that aims at a key of that tile. */
static void aim(const vdit_maker *m, double *out, size_t bh, size_t i, size_t keys, size_t tile)
{
    double norm = aimed_key(m, out, bh, i, keys, tile), ratio, factor;

    ratio = 2 * vdit_draw_log(vdit_round_f64(VDIT_F32, (double)keys)) / norm;
    if (!(ratio <= 0.875)) /* a short key that stands alone in its tile: aim as well as it allows */
        ratio = 0.875;
    factor = vdit_round_f64(VDIT_BF16, (1 - sqrt(1 - ratio)) / m->c->scale);
    for (size_t c = 0; c < m->c->d; c++)
        out[c] *= factor;
}

void vdit_make_needle(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    size_t keys = vdit_maker_keys(m, bh), tiles = (keys + TILE - 1) / TILE;

    if (tensor != Q || keys == 0)
        vdit_maker_scaled(m, out, tensor, bh, i, 1);
    else
        aim(m, out, bh, i, keys, tile_of(m, bh, i, tiles));
}

/* All aim at the last 32nd of the tiles, which in a large tensor lies beyond some limit of indices. */
void vdit_make_offset(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    size_t keys = vdit_maker_keys(m, bh), tiles = (keys + TILE - 1) / TILE;

    if (tensor != Q || keys == 0)
        vdit_maker_scaled(m, out, tensor, bh, i, 1);
    else
        aim(m, out, bh, i, keys, tiles - 1 - tile_of(m, bh, i, (tiles + LAST - 1) / LAST));
}
