/* model/cogvideox.h - CogVideoX: what its network and its positions share. */
#ifndef VDIT_MODEL_COGVIDEOX_H
#define VDIT_MODEL_COGVIDEOX_H

#include "model/family.h"

/* The keys of a configuration that change what is computed. */
typedef struct vdit_cogvideox {
    size_t heads, head_width, width; /* h, d and D = h d */
    size_t channels, channels_out;
    size_t time_width, text_width,
        text_rows; /* of the time embedding; of a text; its rows, if there is a table */
    size_t layers;
    size_t patch, patch_frames; /* patch_frames 0: CogVideoX 1.0, whose frames are not patched */
    size_t sample_height, sample_width;
    double eps, space_scale, time_scale;
    int attention_bias, affine, patch_bias, rotary;
} vdit_cogvideox;

/* Returns: count[3], the tokens of a video along frames, rows and columns. */
void vdit_cogvideox_tokens(const vdit_cogvideox *c, const vdit_extents *extents, size_t *count);

/*
 * CogVideoX-2B: the table that is added to text and video tokens, [text + N, D] in the current dtype: zeros, then
 * [ S(f / time_scale) | S(x / space_scale) | S(y / space_scale) ] with S(p) = [sin | cos], of D/4, 3D/8 and 3D/8.
 */
vdit_tensor vdit_cogvideox_table(vdit_net *net, const vdit_cogvideox *c, size_t text,
                                 const size_t *count);

/* CogVideoX-5B and 1.5: the rotary tables that the pipeline makes. Out: cosine and sine [N, d / 2]. */
void vdit_cogvideox_rotary(vdit_net *net, const vdit_cogvideox *c, const size_t *count,
                           vdit_tensor *cosine, vdit_tensor *sine);

#endif
