/*
 * attention/pattern.h - designed masks: which entries of the map an edit keeps by their place alone.
 *
 * With the video query at (t, y, x) and the video key at (t', y', x'), s = height * width, l = y width + x and
 * l' likewise, an entry of the block vv is kept by
 *     sliding    if each of t, y, x is: with n = ceil(extent / tile) tiles on its axis and i = t / tile the query's
 *                own, the tile of the key is one of the window tiles that begin with
 *                max(0, min(i - floor(window / 2), n - window))
 *     radial     if |l - l'| < floor(S / m) or (l = l' and |t - t'| mod ceil(m / S) = 0), where
 *                m = 2^floor(log2 max(|t - t'|, 1)) and S = floor(decay s), the product rounded to binary64
 *     spatial    if |y - y'| <= window[1] and |x - x'| <= window[2]
 *     temporal   if |t - t'| <= window[0]
 *     first      if t' = 0
 * and an entry with text in it always, or with text_masked never. A tile mask decides each entry (i, j), text or
 * not: it keeps it if tiles[i / rows, j / columns] is 1.
 *
 * Sources. Sliding: Zhang et al., Fast Video Generation with Sliding Tile Attention (arXiv 2502.04507), with the
 * border rule of the mask in the authors' repository hao-ai-lab/FastVideo (the window's centre is clamped so that
 * the window stays inside). There windows are odd and extents are multiples of the tile; an even window here
 * reaches one tile farther back than forward, and the last tile of an axis may be ragged. Radial: Li et al.,
 * Radial Attention (arXiv 2506.19852), the mask of section 4.2 at decay = 1, entry by entry: its rounding to blocks
 * of 128 x 128 is a matter of a kernel, and the first frame, which the paper keeps as well, is a pattern of its own.
 */
#ifndef VDIT_ATTENTION_PATTERN_H
#define VDIT_ATTENTION_PATTERN_H

#include "attention/tokens.h"

/*
 * Checks what an edit says about places: queries, keys, first_text, patterns, dropped_blocks, prunable.
 * Returns: VDIT_OK, VDIT_ERR_ARGUMENT, VDIT_ERR_SHAPE, VDIT_ERR_DTYPE.
 */
vdit_status vdit_pattern_check(vdit_run *run, const vdit_edit *edit, const vdit_layout *layout);

/* Returns: 1 if the edit drops entries by their place at this moment. */
int vdit_pattern_acts(const vdit_edit *edit, vdit_moment moment);

/*
 * Out: keep[count]: 1 where the edit leaves the entry of the query and key first + i at this moment, else 0.
 * Patterns and blocks count at their moment, the sets of keys before the softmax; a row that is not edited keeps
 * all. In: edit and layout, checked; first + count at most the number of keys.
 * Returns: the number of ones.
 */
size_t vdit_pattern_row(const vdit_edit *edit, const vdit_layout *layout, vdit_moment moment,
                        size_t query, size_t first, size_t count, unsigned char *keep);

#endif
