/*
 * pattern.c - designed masks, as runs of keys.
 *
 * What a pattern keeps for one query is a box of frames, rows and columns (vdit_box), so that a run of keys is filled
 * row by row. Where a pattern does not look at y and x apart, a frame counts as one row of height * width tokens.
 */
#include <string.h>
#include "attention/pattern.h"

typedef struct span {
    size_t low, high; /* high is beyond */
} span;

/* The kept video keys of one query: in each frame of t, each row of y, the columns of x. */
typedef struct box {
    span t, y, x;
    size_t width; /* tokens of a row */
} box;

/* Video keys first .. end - 1, and their bytes. */
typedef struct window {
    size_t first, end;
    unsigned char *keep;
} window;

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t distance(size_t a, size_t b)
{
    return a > b ? a - b : b - a;
}

/* Places within reach of at, on an axis of that extent. */
static span around(size_t at, size_t reach, size_t extent)
{
    return (span){at > reach ? at - reach : 0, reach < extent - at ? at + reach + 1 : extent};
}

/* The window of tiles for a place, its last tile perhaps ragged. */
static span sliding(size_t at, size_t tile, size_t tiles, size_t extent)
{
    size_t n = (extent - 1) / tile + 1, own = at / tile, first;

    if (tiles >= n)
        return (span){0, extent};
    first = least(own > tiles / 2 ? own - tiles / 2 : 0, n - tiles);
    return (span){first * tile, first + tiles < n ? (first + tiles) * tile : extent};
}

static box sliding_box(const vdit_pattern *p, const vdit_layout *layout, const size_t at[3])
{
    return (box){sliding(at[0], p->tile[0], p->window[0], layout->frames),
                 sliding(at[1], p->tile[1], p->window[1], layout->height),
                 sliding(at[2], p->tile[2], p->window[2], layout->width), layout->width};
}

static box spatial_box(const vdit_pattern *p, const vdit_layout *layout, const size_t at[3])
{
    return (box){{0, layout->frames},
                 around(at[1], p->window[1], layout->height),
                 around(at[2], p->window[2], layout->width),
                 layout->width};
}

/* Frames as a whole. */
static box frames_box(const vdit_layout *layout, span t)
{
    size_t s = layout->height * layout->width;

    return (box){t, {0, 1}, {0, s}, s};
}

/* Keeps what of a box lies in the window. */
static void keep_box(const window *w, const box *b, size_t frame)
{
    size_t t_end = least(b->t.high, (w->end - 1) / frame + 1);

    for (size_t t = most(b->t.low, w->first / frame); t < t_end; t++) {
        size_t base = t * frame, skipped = w->first > base ? (w->first - base) / b->width : 0;
        size_t y_end = least(b->y.high, (w->end - base - 1) / b->width + 1);

        for (size_t y = most(b->y.low, skipped); y < y_end; y++) {
            size_t from = most(base + y * b->width + b->x.low, w->first);
            size_t to = least(base + y * b->width + b->x.high, w->end);
            if (from < to)
                memset(w->keep + (from - w->first), 1, to - from);
        }
    }
}

/* The columns of a frame that radial attention keeps at a distance of dt frames from place l. */
static span radial(size_t dt, size_t l, size_t s, size_t scaled)
{
    size_t m = 1;

    while (m <= dt / 2)
        m *= 2;
    if (scaled / m > 0)
        return around(l, scaled / m - 1, s);
    return (span){l, l + (dt % ((m - 1) / scaled + 1) == 0)};
}

static void keep_radial(const window *w, const vdit_pattern *p, const vdit_layout *layout,
                        const size_t at[3])
{
    size_t s = layout->height * layout->width, l = at[1] * layout->width + at[2];
    size_t scaled = (size_t)(p->decay * (double)s);

    for (size_t t = w->first / s; t * s < w->end; t++) {
        box b = frames_box(layout, (span){t, t + 1});
        b.x = radial(distance(t, at[0]), l, s, scaled);
        keep_box(w, &b, s);
    }
}

/* Keeps the video keys of the window that a pattern other than tiles keeps. */
static void keep_video(const window *w, const vdit_pattern *p, const vdit_layout *layout,
                       const size_t at[3])
{
    box b;

    switch (p->kind) {
    case VDIT_PATTERN_SLIDING:
        b = sliding_box(p, layout, at);
        break;
    case VDIT_PATTERN_SPATIAL:
        b = spatial_box(p, layout, at);
        break;
    case VDIT_PATTERN_TEMPORAL:
        b = frames_box(layout, around(at[0], p->window[0], layout->frames));
        break;
    case VDIT_PATTERN_FIRST_FRAME:
        b = frames_box(layout, (span){0, 1});
        break;
    default:
        keep_radial(w, p, layout, at);
        return;
    }
    keep_box(w, &b, layout->height * layout->width);
}

static void keep_tiles(const vdit_pattern *p, size_t query, size_t first, size_t count,
                       unsigned char *keep)
{
    for (size_t i = 0, run; i < count; i += run) {
        size_t at[2] = {query / p->rows, (first + i) / p->columns};
        run = least(p->columns - (first + i) % p->columns, count - i);
        if (*(const unsigned char *)vdit_tensor_at(p->tiles, at) != 0)
            memset(keep + i, 1, run);
    }
}

/* Sets the bytes of those of count keys from first on that lie in [from, from + n). */
static void set_run(unsigned char *keep, size_t first, size_t count, size_t from, size_t n, int to)
{
    size_t low = most(from, first), high = least(from + n, first + count);

    if (low < high)
        memset(keep + (low - first), to, high - low);
}

static void keep_pattern(const vdit_edit *edit, const vdit_pattern *p, const vdit_layout *layout,
                         size_t query, size_t first, size_t count, unsigned char *keep)
{
    const vdit_axis *key = &layout->key;
    size_t low = most(key->video_at, first), high, at[3];

    if (p->kind == VDIT_PATTERN_TILES) {
        keep_tiles(p, query, first, count, keep);
        return;
    }
    if (!edit->text_masked)
        set_run(keep, first, count, key->text_at, key->text, 1);
    if (vdit_axis_kind(&layout->query, query) == VDIT_TEXT) {
        if (!edit->text_masked)
            memset(keep, 1, count);
        return;
    }
    high = least(key->video_at + key->video, first + count);
    if (low >= high)
        return;
    vdit_layout_place(at, layout, &layout->query, query);
    keep_video(&(window){low - key->video_at, high - key->video_at, keep + (low - first)}, p,
               layout, at);
}

/* Drops the keys that take no part. */
static void drop_keys(const vdit_edit *edit, const vdit_axis *key, size_t first, size_t count,
                      unsigned char *keep)
{
    if (edit->first_text > 0 && edit->first_text < key->text)
        set_run(keep, first, count, key->text_at + edit->first_text, key->text - edit->first_text,
                0);
    if (edit->keys != NULL)
        for (size_t i = 0; i < count; i++) {
            size_t at = first + i;
            keep[i] &= *(const unsigned char *)vdit_tensor_at(edit->keys, &at) != 0;
        }
}

static void drop_blocks(unsigned blocks, const vdit_layout *layout, size_t query, size_t first,
                        size_t count, unsigned char *keep)
{
    const vdit_axis *key = &layout->key;
    unsigned kind = vdit_axis_kind(&layout->query, query);

    if (blocks & vdit_block_of(kind, VDIT_VIDEO))
        set_run(keep, first, count, key->video_at, key->video, 0);
    if (blocks & vdit_block_of(kind, VDIT_TEXT))
        set_run(keep, first, count, key->text_at, key->text, 0);
}

int vdit_pattern_acts(const vdit_edit *edit, vdit_moment moment)
{
    return (edit->pattern_count > 0 && edit->pattern_moment == moment) ||
           (edit->dropped_blocks != 0 && edit->block_moment == moment) ||
           (moment == VDIT_BEFORE_SOFTMAX && (edit->keys != NULL || edit->first_text > 0));
}

size_t vdit_pattern_row(const vdit_edit *edit, const vdit_layout *layout, vdit_moment moment,
                        size_t query, size_t first, size_t count, unsigned char *keep)
{
    int designed = edit->pattern_count > 0 && edit->pattern_moment == moment;
    size_t kept = 0;

    if (!(edit->queries & vdit_axis_kind(&layout->query, query)) ||
        !vdit_pattern_acts(edit, moment)) {
        memset(keep, 1, count);
        return count;
    }
    memset(keep, !designed, count);
    for (size_t i = 0; designed && i < edit->pattern_count; i++)
        keep_pattern(edit, &edit->patterns[i], layout, query, first, count, keep);
    if (edit->block_moment == moment)
        drop_blocks(edit->dropped_blocks, layout, query, first, count, keep);
    if (moment == VDIT_BEFORE_SOFTMAX)
        drop_keys(edit, &layout->key, first, count, keep);
    for (size_t i = 0; i < count; i++)
        kept += keep[i];
    return kept;
}
