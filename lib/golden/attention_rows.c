/*
 * attention_rows.c - the attention families but the needle. Formulas: vdit-recipe(5), FAMILIES.
 *
 * Tensors 0, 1 and 2 are q, k and v; s is the scale, N the number of valid keys of the head.
 */
#include <math.h>
#include <string.h>
#include "golden/maker.h"

enum { Q, K, V };

void vdit_make_normal(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    vdit_maker_scaled(m, out, tensor, bh, i, 1);
}

/* Logits with a standard deviation of about 8: the map is nearly one-hot. */
void vdit_make_peaked(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    vdit_maker_scaled(m, out, tensor, bh, i, tensor == Q ? 8 : 1);
}

/* All keys of a head are its key 0; every second query is 0. So all logits of a row are equal. */
void vdit_make_uniform_logits(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    if (tensor == Q && i % 2 == 0)
        memset(out, 0, m->c->d * sizeof *out);
    else
        vdit_maker_scaled(m, out, tensor, bh, tensor == K ? 0 : i, 1);
}

/*
 * Keys fall into G classes by j mod G, and a query matches one class: its logits are A 32 s >= 128
 * there and 0 elsewhere. e^-128 is 0 in f32, so the weights are 0 and 1 and every sum is an integer.
 */
void vdit_make_integers(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    size_t classes = m->c->d < 8 ? m->c->d : 8;
    double height = 1;

    if (tensor == V) {
        vdit_maker_integers(m, out, tensor, bh, i);
        return;
    }
    while (height * 32 * m->c->scale < 128)
        height *= 2;
    memset(out, 0, m->c->d * sizeof *out);
    if (tensor == K)
        out[i % classes] = 32;
    else
        out[vdit_maker_row_word(m, Q, bh, i) % classes] = height;
}

/* The last valid key gets the logit ln N + 3 from every query, the others about N(0, 1). */
void vdit_make_late_sink(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    size_t keys = vdit_maker_keys(m, bh);

    vdit_maker_scaled(m, out, tensor, bh, i, 1);
    if (tensor == Q)
        out[0] = 4;
    if (tensor == K && i + 1 == keys) {
        double n = vdit_round_f64(VDIT_F32, (double)keys);
        memset(out, 0, m->c->d * sizeof *out);
        out[0] = vdit_round_f64(VDIT_BF16, (vdit_draw_log(n) + 3) / (4 * m->c->scale));
    }
}

/* One channel of each head has the mean 32 in k and v, and four times the spread in q. */
void vdit_make_outlier_channel(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    size_t channel = vdit_maker_head_word(m, tensor == V ? V : K, bh) % m->width[tensor];

    vdit_maker_scaled(m, out, tensor, bh, i, 1);
    if (tensor == Q)
        out[channel] *= 4;
    else
        out[channel] += 32;
}

/* The largest finite number of a dtype. */
static double largest(vdit_dtype dtype)
{
    if (dtype == VDIT_F16)
        return 0x1.ffcp15;
    return dtype == VDIT_BF16 ? 0x1.fep127 : 0x1.fffffep127;
}

/* Beyond the valid keys, even rows of k and v are NaN, odd ones huge with alternating signs. */
void vdit_make_poison(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    double huge = largest(m->c->dtype);

    if (tensor == Q || i < vdit_maker_keys(m, bh)) {
        vdit_maker_scaled(m, out, tensor, bh, i, 1);
        return;
    }
    for (size_t c = 0; c < m->width[tensor]; c++)
        out[c] = i % 2 == 0 ? (double)NAN : c % 2 == 0 ? huge : -huge;
}

/* Keys in equal pairs with nearly opposite values: what is left of a pair is 2^-8 of its terms. */
void vdit_make_cancel(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    vdit_maker_scaled(m, out, tensor, bh, tensor == K ? i - i % 2 : i, 1);
    if (tensor == V && i % 2 == 1)
        vdit_maker_oppose(m, out, tensor, bh, i);
}

void vdit_make_overflow(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    vdit_maker_scaled(m, out, tensor, bh, i, tensor == Q ? 4096 : 1);
}

/* v around the least normal number, and peaked logits, so that the output is there too. */
void vdit_make_subnormal(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    const double factor[] = {4, 1, vdit_maker_tiny(m)};

    vdit_maker_scaled(m, out, tensor, bh, i, factor[tensor]);
}
