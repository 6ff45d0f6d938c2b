/* tokens.c - what the tokens on the two axes of a map are. */
#include <string.h>
#include "attention/tokens.h"

/* Out: product. Returns: 1 if a * b fits. */
static int multiply(size_t *product, size_t a, size_t b)
{
    if (b != 0 && a > SIZE_MAX / b)
        return 0;
    *product = a * b;
    return 1;
}

/* Out: axis. Returns: 1 if n tokens are all of the declared ones, or those of one kind. */
static int set_axis(vdit_axis *axis, size_t video, size_t text, int text_first, size_t n)
{
    memset(axis, 0, sizeof *axis);
    if (n == video || n == text) {
        axis->video = n == video ? n : 0;
        axis->text = n - axis->video;
        return 1;
    }
    axis->video = video;
    axis->text = text;
    axis->video_at = text_first ? text : 0;
    axis->text_at = text_first ? 0 : video;
    return n > video && n - video == text;
}

static vdit_status refuse_axis(vdit_run *run, const vdit_tokens *tokens, const char *axis, size_t n)
{
    return vdit_run_fail(run, VDIT_ERR_SHAPE,
                         "tokens: %zu %s are neither the %zu x %zu x %zu video tokens nor the %zu "
                         "text tokens nor both",
                         n, axis, tokens->frames, tokens->height, tokens->width, tokens->text);
}

vdit_status vdit_layout_set(vdit_run *run, vdit_layout *layout, const vdit_tokens *tokens,
                            size_t queries, size_t keys)
{
    size_t video = 0;
    int none = tokens->frames == 0 && tokens->height == 0 && tokens->width == 0;

    memset(layout, 0, sizeof *layout);
    if (none && tokens->text == 0) {
        layout->query.video = layout->query.text_at = queries;
        layout->key.video = layout->key.text_at = keys;
        return VDIT_OK;
    }
    if ((!none && (tokens->frames == 0 || tokens->height == 0 || tokens->width == 0)) ||
        !multiply(&video, tokens->frames, tokens->height) ||
        !multiply(&video, video, tokens->width))
        return vdit_run_fail(
            run, VDIT_ERR_SHAPE,
            "tokens: a video of %zu x %zu x %zu; frames, height and width were expected",
            tokens->frames, tokens->height, tokens->width);
    layout->frames = tokens->frames;
    layout->height = tokens->height;
    layout->width = tokens->width;
    if (!set_axis(&layout->query, video, tokens->text, tokens->text_first, queries))
        return refuse_axis(run, tokens, "queries", queries);
    if (!set_axis(&layout->key, video, tokens->text, tokens->text_first, keys))
        return refuse_axis(run, tokens, "keys", keys);
    return VDIT_OK;
}

void vdit_layout_place(size_t at[3], const vdit_layout *layout, const vdit_axis *axis, size_t token)
{
    size_t row = (token - axis->video_at) / layout->width;

    at[0] = row / layout->height;
    at[1] = row % layout->height;
    at[2] = (token - axis->video_at) % layout->width;
}

size_t vdit_layout_frame(const vdit_layout *layout, size_t query)
{
    if (layout->frames == 0 || vdit_axis_kind(&layout->query, query) == VDIT_TEXT)
        return layout->frames;
    return (query - layout->query.video_at) / (layout->height * layout->width);
}

unsigned vdit_block_of(unsigned query_kind, unsigned key_kind)
{
    if (query_kind == VDIT_VIDEO)
        return key_kind == VDIT_VIDEO ? VDIT_BLOCK_VV : VDIT_BLOCK_VT;
    return key_kind == VDIT_VIDEO ? VDIT_BLOCK_TV : VDIT_BLOCK_TT;
}

void vdit_blocks_row(unsigned blocks, const vdit_layout *layout, size_t query, size_t first,
                     size_t count, unsigned char *in)
{
    unsigned kind = vdit_axis_kind(&layout->query, query);
    const vdit_axis *key = &layout->key;
    size_t from = key->text_at > first ? key->text_at - first : 0;
    size_t to = key->text_at + key->text > first ? key->text_at + key->text - first : 0;
    int video = blocks == 0 || (blocks & vdit_block_of(kind, VDIT_VIDEO)) != 0;
    int text = blocks == 0 || (blocks & vdit_block_of(kind, VDIT_TEXT)) != 0;

    memset(in, video, count);
    to = to < count ? to : count;
    if (from < to)
        memset(in + from, text, to - from);
}
