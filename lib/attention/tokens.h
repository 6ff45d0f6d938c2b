/*
 * attention/tokens.h - what the tokens on the two axes of a map are (vdit_tokens, definition C01).
 *
 * The video tokens of F frames of height H and width W lie t outermost: token (t H + y) W + x of the
 * video. On a joint axis the text stands behind them, or before them if text_first is set.
 */
#ifndef VDIT_ATTENTION_TOKENS_H
#define VDIT_ATTENTION_TOKENS_H

#include <vdit/edit.h>

/* One axis: two runs of tokens, one of which may be empty. */
typedef struct vdit_axis {
    size_t video_at, video; /* first video token, and how many */
    size_t text_at, text;   /* first text token, and how many */
} vdit_axis;

/* Both axes of a call. Without a declaration all tokens count as video, and frames is 0. */
typedef struct vdit_layout {
    size_t frames, height, width;
    vdit_axis query, key;
} vdit_layout;

/*
 * Out: layout. In: tokens, the extents of the axes.
 * Returns: VDIT_OK, or VDIT_ERR_SHAPE if an extent is none of video, text and their sum (where video and
 * text are equally many it is the video), or if frames, height and width are neither all 0 nor all positive.
 */
vdit_status vdit_layout_set(vdit_run *run, vdit_layout *layout, const vdit_tokens *tokens,
                            size_t queries, size_t keys);

/* Returns: VDIT_VIDEO or VDIT_TEXT. */
static inline unsigned vdit_axis_kind(const vdit_axis *axis, size_t token)
{
    return token - axis->video_at < axis->video ? VDIT_VIDEO : VDIT_TEXT;
}

/* Returns: the frame of a query, or the number of frames if it is text: a group of rows for each. */
size_t vdit_layout_frame(const vdit_layout *layout, size_t query);

/* Out: at, the (t, y, x) of a video token. In: its place on the axis. */
void vdit_layout_place(size_t at[3], const vdit_layout *layout, const vdit_axis *axis,
                       size_t token);

/* Returns: the block, VDIT_BLOCK_..., of entries of these kinds of query and key. */
unsigned vdit_block_of(unsigned query_kind, unsigned key_kind);

/*
 * Out: in[count], 1 where the entry of the query and key first + i lies in one of the blocks (0: all).
 */
void vdit_blocks_row(unsigned blocks, const vdit_layout *layout, size_t query, size_t first,
                     size_t count, unsigned char *in);

#endif
