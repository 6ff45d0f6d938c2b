/*
 * video.c - the video family: logits that fall with the distance of tokens on a frames x height x width
 * grid, stripes at the distance of a frame, a sink, and text. Formulas: vdit-recipe(5), FAMILIES.
 *
 * A squared distance is a sum of products, (X - Y)^2 = X^2 - 2 X Y + Y^2, so three channels an axis hold
 * the logit -A s (X - Y)^2. Coordinates are centred integers and A a power of two, so only the squares are
 * ever rounded, which moves a logit by 8 2^-9 at most in bf16. Powers of two are shared out between q
 * and k, that the norms stay small: sigma's term of the logits grows with them.
 */
#include <math.h>
#include <string.h>
#include "golden/maker.h"

#define AXES     3
#define LEVEL    (3 * AXES)  /* the channel that lifts the sink */
#define FIXED    (LEVEL + 1) /* channels that the grid takes */
#define BALANCE  16          /* a coordinate of this size weighs as much as its square */
#define FAR_TIME 1           /* A s E^2 of the frames is at most this, ... */
#define FAR_AREA 8           /* ... and that of height and width this */

enum { Q, K, V };

/* One axis of the grid. A = 2^exponent = low high. */
typedef struct axis {
    double low, high; /* the factors of A in k and in q */
    double spread;    /* ln of the number of neighbours that share a row's weight */
} axis;

static axis axis_of(size_t extent, double scale, double limit)
{
    double square = (double)extent * (double)extent * scale, a = 1;
    int exponent = 0;
    axis made;

    for (; a * square > limit; a /= 2)
        exponent--;
    for (; 2 * a * square <= limit; a *= 2)
        exponent++;
    made.low = ldexp(1, exponent >= 0 ? exponent / 2 : -((1 - exponent) / 2));
    made.high = a / made.low;
    made.spread = vdit_draw_log(vdit_round_f64(VDIT_F32, 0.75 / (a * scale))) / 2;
    if (!(made.spread > 0))
        made.spread = 0;
    return made;
}

static void axes_of(axis axes[AXES], const vdit_case *c)
{
    axes[0] = axis_of(c->tokens.frames, c->scale, FAR_TIME);
    axes[1] = axis_of(c->tokens.height, c->scale, FAR_AREA);
    axes[2] = axis_of(c->tokens.width, c->scale, FAR_AREA);
}

/* The number of a video token, t outermost, or one beyond the last for a text token. */
static size_t video_number(const vdit_tokens *tokens, size_t i)
{
    size_t count = tokens->frames * tokens->height * tokens->width;

    if (!tokens->text_first)
        return i < count ? i : count;
    return i >= tokens->text ? i - tokens->text : count;
}

/* Out: x[AXES], twice the coordinates, counted from the middle. */
static void place_of(double x[AXES], const vdit_tokens *tokens, size_t number)
{
    const size_t extent[AXES] = {tokens->frames, tokens->height, tokens->width};

    for (int a = AXES - 1; a >= 0; number /= extent[a], a--)
        x[a] = 2 * (double)(number % extent[a]) - (double)(extent[a] - 1);
}

static void write_place(double *out, const axis axes[AXES], const double x[AXES], int tensor)
{
    for (int a = 0; a < AXES; a++) {
        double square = x[a] * x[a] / BALANCE;
        if (tensor == Q) {
            out[3 * a] = 2 * axes[a].high * x[a];
            out[3 * a + 1] = -axes[a].high * BALANCE;
            out[3 * a + 2] = axes[a].high * square;
        } else {
            out[3 * a] = axes[a].low * x[a];
            out[3 * a + 1] = axes[a].low * square;
            out[3 * a + 2] = -axes[a].low * BALANCE;
        }
    }
}

/* The other channels of a striped head: k repeats from frame to frame, and q aims at its own place. */
static void write_stripes(const vdit_maker *m, double *out, const axis axes[AXES], int tensor,
                          size_t bh, size_t number)
{
    const vdit_tokens *tokens = &m->c->tokens;
    double area = axes[1].spread + axes[2].spread, width = (double)(m->c->d - FIXED);
    double ratio = 2 * area / width < 0.875 ? 2 * area / width : 0.875;
    double aim = vdit_round_f64(VDIT_BF16, (1 - sqrt(1 - ratio)) / m->c->scale);
    size_t first = number % (tokens->height * tokens->width);

    vdit_maker_scaled(m, out, K, bh, first + (tokens->text_first ? tokens->text : 0),
                      tensor == Q ? aim : 1);
}

/* As much as all neighbours of a row together: their number, times the mean of e^n. */
static double sink_level(const vdit_case *c, const axis axes[AXES])
{
    double level = 0.5;

    for (int a = 0; a < AXES; a++)
        level += axes[a].spread;
    return vdit_round_f64(VDIT_BF16, level / c->scale);
}

void vdit_make_video(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    const vdit_tokens *tokens = &m->c->tokens;
    size_t count = tokens->frames * tokens->height * tokens->width;
    size_t number = video_number(tokens, i);
    double x[AXES];
    axis axes[AXES];

    vdit_maker_scaled(m, out, tensor, bh, i, 1);
    if (tensor == V)
        return;
    axes_of(axes, m->c);
    if (number < count && bh % 2 == 0)
        write_stripes(m, out, axes, tensor, bh, number);
    memset(out, 0, FIXED * sizeof *out);
    if (tensor == Q)
        out[LEVEL] = 1;
    if (number == count)
        return;
    if (tensor == K && bh % 2 == 1 && number == vdit_maker_head_word(m, K, bh) % count) {
        out[LEVEL] = sink_level(m->c, axes);
        return;
    }
    place_of(x, tokens, number);
    write_place(out, axes, x, tensor);
}
