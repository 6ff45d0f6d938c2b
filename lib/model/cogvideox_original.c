/*
 * cogvideox_original.c - how a checkpoint of CogVideoX's own repository becomes one of diffusers. Queries, keys and
 * values are one tensor there, and so are the two modulations of a layer, each half for the video, half for the text.
 * Source: sat/dit_video_concat.py of THUDM/CogVideo.
 */
#include "model/family.h"

#define SAME(to, from)                                                                             \
    {                                                                                              \
        to, from, 0, NULL                                                                          \
    }
#define BOTH(to, from) SAME(to ".weight", from ".weight"), SAME(to ".bias", from ".bias")
#define TAKE(to, from, parts, which)                                                               \
    {to ".weight", from ".weight", parts, which},                                                  \
    {                                                                                              \
        to ".bias", from ".bias", parts, which                                                     \
    }

#define MODEL           "model.diffusion_model."
#define MIXIN           MODEL "mixins."
#define LAYER           MODEL "transformer.layers.{}."
#define ADALN           MIXIN "adaln_layer."
#define BLOCK           "transformer_blocks.{}."
#define UNUSED(pattern) SAME(NULL, MODEL pattern)

const vdit_convert_rule vdit_cogvideox_original[] = {
    BOTH("patch_embed.proj", MIXIN "patch_embed.proj"),
    BOTH("patch_embed.text_proj", MIXIN "patch_embed.text_proj"),
    BOTH("time_embedding.linear_1", MODEL "time_embed.0"),
    BOTH("time_embedding.linear_2", MODEL "time_embed.2"),

    TAKE(BLOCK "norm1.linear", ADALN "adaLN_modulations.{}.1", 12, "012678"),
    TAKE(BLOCK "norm2.linear", ADALN "adaLN_modulations.{}.1", 12, "3459ab"),
    BOTH(BLOCK "norm1.norm", LAYER "input_layernorm"),
    BOTH(BLOCK "norm2.norm", LAYER "post_attention_layernorm"),
    BOTH(BLOCK "attn1.norm_q", ADALN "query_layernorm_list.{}"),
    BOTH(BLOCK "attn1.norm_k", ADALN "key_layernorm_list.{}"),
    TAKE(BLOCK "attn1.to_q", LAYER "attention.query_key_value", 3, "0"),
    TAKE(BLOCK "attn1.to_k", LAYER "attention.query_key_value", 3, "1"),
    TAKE(BLOCK "attn1.to_v", LAYER "attention.query_key_value", 3, "2"),
    BOTH(BLOCK "attn1.to_out.0", LAYER "attention.dense"),
    BOTH(BLOCK "ff.net.0.proj", LAYER "mlp.dense_h_to_4h"),
    BOTH(BLOCK "ff.net.2", LAYER "mlp.dense_4h_to_h"),

    BOTH("norm_final", MODEL "transformer.final_layernorm"),
    BOTH("norm_out.linear", MIXIN "final_layer.adaLN_modulation.1"),
    BOTH("norm_out.norm", MIXIN "final_layer.norm_final"),
    BOTH("proj_out", MIXIN "final_layer.linear"),

    /* Tables that are computed here, and embeddings of words that a video model does not read. */
    UNUSED("*embed_tokens*"),
    UNUSED("*position_embedding*"),
    UNUSED("*freqs_sin"),
    UNUSED("*freqs_cos"),
    {NULL, NULL, 0, NULL},
};
