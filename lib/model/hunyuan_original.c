/*
 * hunyuan_original.c - how a checkpoint of HunyuanVideo's own repository becomes one of diffusers. Queries, keys and
 * values are one tensor there, in single blocks together with the feed-forward module's first layer, which has four
 * times their rows; and the last modulation has the shift first.
 * Source: hyvideo/modules/models.py and token_refiner.py of Tencent-Hunyuan/HunyuanVideo.
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
#define THIRDS(q, k, v, from) TAKE(q, from, 3, "0"), TAKE(k, from, 3, "1"), TAKE(v, from, 3, "2")

#define EMBEDDER(to, from) BOTH(to ".linear_1", from ".mlp.0"), BOTH(to ".linear_2", from ".mlp.2")

#define CONTEXT "context_embedder."
#define REFINER CONTEXT "token_refiner.refiner_blocks.{}."
#define REFINED "txt_in.individual_token_refiner.blocks.{}."
#define DOUBLE  "transformer_blocks.{}."
#define SINGLE  "single_transformer_blocks.{}."

const vdit_convert_rule vdit_hunyuan_original[] = {
    BOTH("x_embedder.proj", "img_in.proj"),
    EMBEDDER("time_text_embed.timestep_embedder", "time_in"),
    EMBEDDER("time_text_embed.guidance_embedder", "guidance_in"),
    BOTH("time_text_embed.text_embedder.linear_1", "vector_in.in_layer"),
    BOTH("time_text_embed.text_embedder.linear_2", "vector_in.out_layer"),

    BOTH(CONTEXT "proj_in", "txt_in.input_embedder"),
    EMBEDDER(CONTEXT "time_text_embed.timestep_embedder", "txt_in.t_embedder"),
    BOTH(CONTEXT "time_text_embed.text_embedder.linear_1", "txt_in.c_embedder.linear_1"),
    BOTH(CONTEXT "time_text_embed.text_embedder.linear_2", "txt_in.c_embedder.linear_2"),
    BOTH(REFINER "norm1", REFINED "norm1"),
    BOTH(REFINER "norm2", REFINED "norm2"),
    THIRDS(REFINER "attn.to_q", REFINER "attn.to_k", REFINER "attn.to_v", REFINED "self_attn_qkv"),
    BOTH(REFINER "attn.to_out.0", REFINED "self_attn_proj"),
    BOTH(REFINER "ff.net.0.proj", REFINED "mlp.fc1"),
    BOTH(REFINER "ff.net.2", REFINED "mlp.fc2"),
    BOTH(REFINER "norm_out.linear", REFINED "adaLN_modulation.1"),

    BOTH(DOUBLE "norm1.linear", "double_blocks.{}.img_mod.linear"),
    BOTH(DOUBLE "norm1_context.linear", "double_blocks.{}.txt_mod.linear"),
    THIRDS(DOUBLE "attn.to_q", DOUBLE "attn.to_k", DOUBLE "attn.to_v",
           "double_blocks.{}.img_attn_qkv"),
    THIRDS(DOUBLE "attn.add_q_proj", DOUBLE "attn.add_k_proj", DOUBLE "attn.add_v_proj",
           "double_blocks.{}.txt_attn_qkv"),
    SAME(DOUBLE "attn.norm_q.weight", "double_blocks.{}.img_attn_q_norm.weight"),
    SAME(DOUBLE "attn.norm_k.weight", "double_blocks.{}.img_attn_k_norm.weight"),
    SAME(DOUBLE "attn.norm_added_q.weight", "double_blocks.{}.txt_attn_q_norm.weight"),
    SAME(DOUBLE "attn.norm_added_k.weight", "double_blocks.{}.txt_attn_k_norm.weight"),
    BOTH(DOUBLE "attn.to_out.0", "double_blocks.{}.img_attn_proj"),
    BOTH(DOUBLE "attn.to_add_out", "double_blocks.{}.txt_attn_proj"),
    BOTH(DOUBLE "ff.net.0.proj", "double_blocks.{}.img_mlp.fc1"),
    BOTH(DOUBLE "ff.net.2", "double_blocks.{}.img_mlp.fc2"),
    BOTH(DOUBLE "ff_context.net.0.proj", "double_blocks.{}.txt_mlp.fc1"),
    BOTH(DOUBLE "ff_context.net.2", "double_blocks.{}.txt_mlp.fc2"),

    BOTH(SINGLE "norm.linear", "single_blocks.{}.modulation.linear"),
    TAKE(SINGLE "attn.to_q", "single_blocks.{}.linear1", 7, "0"),
    TAKE(SINGLE "attn.to_k", "single_blocks.{}.linear1", 7, "1"),
    TAKE(SINGLE "attn.to_v", "single_blocks.{}.linear1", 7, "2"),
    TAKE(SINGLE "proj_mlp", "single_blocks.{}.linear1", 7, "3456"),
    SAME(SINGLE "attn.norm_q.weight", "single_blocks.{}.q_norm.weight"),
    SAME(SINGLE "attn.norm_k.weight", "single_blocks.{}.k_norm.weight"),
    BOTH(SINGLE "proj_out", "single_blocks.{}.linear2"),

    TAKE("norm_out.linear", "final_layer.adaLN_modulation.1", 2, "10"),
    BOTH("proj_out", "final_layer.linear"),
    {NULL, NULL, 0, NULL},
};
