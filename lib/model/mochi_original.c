/*
 * mochi_original.c - how a checkpoint of Mochi's own repository becomes one of diffusers. Queries, keys and values are
 * one tensor there; the first half of w1 is the gate, the second the value; and the last modulation has the shift first.
 * Source: genmo/mochi_preview/dit/joint_model/asymm_models_joint.py and layers.py of genmoai/mochi.
 */
#include "model/family.h"

#define SAME(to, from)                                                                             \
    {                                                                                              \
        to, from, 0, NULL                                                                          \
    }
#define BOTH(to, from) SAME(to ".weight", from ".weight"), SAME(to ".bias", from ".bias")
#define THIRDS(q, k, v, from)                                                                      \
    {q ".weight", from, 3, "0"}, {k ".weight", from, 3, "1"},                                      \
    {                                                                                              \
        v ".weight", from, 3, "2"                                                                  \
    }
#define SWAPPED(to, from)                                                                          \
    {                                                                                              \
        to, from, 2, "10"                                                                          \
    }

#define BLOCK "transformer_blocks.{}."

const vdit_convert_rule vdit_mochi_original[] = {
    SAME("pos_frequencies", "pos_frequencies"),
    BOTH("patch_embed.proj", "x_embedder.proj"),
    BOTH("time_embed.timestep_embedder.linear_1", "t_embedder.mlp.0"),
    BOTH("time_embed.timestep_embedder.linear_2", "t_embedder.mlp.2"),
    BOTH("time_embed.pooler.to_kv", "t5_y_embedder.to_kv"),
    BOTH("time_embed.pooler.to_q", "t5_y_embedder.to_q"),
    BOTH("time_embed.pooler.to_out", "t5_y_embedder.to_out"),
    BOTH("time_embed.caption_proj", "t5_yproj"),

    BOTH(BLOCK "norm1.linear", "blocks.{}.mod_x"),
    BOTH(BLOCK "norm1_context.linear", "blocks.{}.mod_y"),
    BOTH(BLOCK "norm1_context.linear_1", "blocks.{}.mod_y"), /* the last block */
    THIRDS(BLOCK "attn1.to_q", BLOCK "attn1.to_k", BLOCK "attn1.to_v",
           "blocks.{}.attn.qkv_x.weight"),
    THIRDS(BLOCK "attn1.add_q_proj", BLOCK "attn1.add_k_proj", BLOCK "attn1.add_v_proj",
           "blocks.{}.attn.qkv_y.weight"),
    SAME(BLOCK "attn1.norm_q.weight", "blocks.{}.attn.q_norm_x.weight"),
    SAME(BLOCK "attn1.norm_k.weight", "blocks.{}.attn.k_norm_x.weight"),
    SAME(BLOCK "attn1.norm_added_q.weight", "blocks.{}.attn.q_norm_y.weight"),
    SAME(BLOCK "attn1.norm_added_k.weight", "blocks.{}.attn.k_norm_y.weight"),
    BOTH(BLOCK "attn1.to_out.0", "blocks.{}.attn.proj_x"),
    BOTH(BLOCK "attn1.to_add_out", "blocks.{}.attn.proj_y"),
    SWAPPED(BLOCK "ff.net.0.proj.weight", "blocks.{}.mlp_x.w1.weight"),
    SAME(BLOCK "ff.net.2.weight", "blocks.{}.mlp_x.w2.weight"),
    SWAPPED(BLOCK "ff_context.net.0.proj.weight", "blocks.{}.mlp_y.w1.weight"),
    SAME(BLOCK "ff_context.net.2.weight", "blocks.{}.mlp_y.w2.weight"),

    SWAPPED("norm_out.linear.weight", "final_layer.mod.weight"),
    SWAPPED("norm_out.linear.bias", "final_layer.mod.bias"),
    BOTH("proj_out", "final_layer.linear"),
    {NULL, NULL, 0, NULL},
};
