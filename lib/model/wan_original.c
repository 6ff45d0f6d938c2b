/* wan_original.c - the names of Wan2.1's own checkpoints (wan/modules/model.py of its repository). */
#include "model/family.h"

/* Weight and bias of a linear layer, a convolution or an affine norm. */
#define BOTH(to, from)                                                                             \
    {to ".weight", from ".weight", 0, NULL},                                                       \
    {                                                                                              \
        to ".bias", from ".bias", 0, NULL                                                          \
    }

#define ATTENTION(to, from)                                                                        \
    BOTH("blocks.{}." to ".to_q", "blocks.{}." from ".q"),                                         \
        BOTH("blocks.{}." to ".to_k", "blocks.{}." from ".k"),                                     \
        BOTH("blocks.{}." to ".to_v", "blocks.{}." from ".v"),                                     \
        BOTH("blocks.{}." to ".to_out.0", "blocks.{}." from ".o"),                                 \
        {"blocks.{}." to ".norm_q.weight", "blocks.{}." from ".norm_q.weight", 0, NULL},           \
    {                                                                                              \
        "blocks.{}." to ".norm_k.weight", "blocks.{}." from ".norm_k.weight", 0, NULL              \
    }

/* The norm before cross-attention is the second here and the third there. */
const vdit_convert_rule vdit_wan_original[] = {
    BOTH("patch_embedding", "patch_embedding"),
    BOTH("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
    BOTH("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
    BOTH("condition_embedder.time_proj", "time_projection.1"),
    BOTH("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
    BOTH("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
    {"blocks.{}.scale_shift_table", "blocks.{}.modulation", 0, NULL},
    ATTENTION("attn1", "self_attn"),
    ATTENTION("attn2", "cross_attn"),
    BOTH("blocks.{}.norm2", "blocks.{}.norm3"),
    BOTH("blocks.{}.ffn.net.0.proj", "blocks.{}.ffn.0"),
    BOTH("blocks.{}.ffn.net.2", "blocks.{}.ffn.2"),
    {"scale_shift_table", "head.modulation", 0, NULL},
    BOTH("proj_out", "head.head"),
    {NULL, NULL, 0, NULL},
};
