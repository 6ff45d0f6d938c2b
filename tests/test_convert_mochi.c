/* test_convert_mochi.c - the checkpoint of Mochi's own repository becomes the one that it was made from. */
#include "file_support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vdit/model.h>
#include "file/folder.h"

/* How a tensor of the original is made: of these, one after the other; or of the two halves of one, the second first. */
typedef struct origin {
    const char *name;
    const char *from[3];
    int swapped;
} origin;

static const origin around[] = {
    {"pos_frequencies", {"pos_frequencies"}, 0},
    {"x_embedder.proj.weight", {"patch_embed.proj.weight"}, 0},
    {"x_embedder.proj.bias", {"patch_embed.proj.bias"}, 0},
    {"t_embedder.mlp.0.weight", {"time_embed.timestep_embedder.linear_1.weight"}, 0},
    {"t_embedder.mlp.0.bias", {"time_embed.timestep_embedder.linear_1.bias"}, 0},
    {"t_embedder.mlp.2.weight", {"time_embed.timestep_embedder.linear_2.weight"}, 0},
    {"t_embedder.mlp.2.bias", {"time_embed.timestep_embedder.linear_2.bias"}, 0},
    {"t5_y_embedder.to_kv.weight", {"time_embed.pooler.to_kv.weight"}, 0},
    {"t5_y_embedder.to_kv.bias", {"time_embed.pooler.to_kv.bias"}, 0},
    {"t5_y_embedder.to_q.weight", {"time_embed.pooler.to_q.weight"}, 0},
    {"t5_y_embedder.to_q.bias", {"time_embed.pooler.to_q.bias"}, 0},
    {"t5_y_embedder.to_out.weight", {"time_embed.pooler.to_out.weight"}, 0},
    {"t5_y_embedder.to_out.bias", {"time_embed.pooler.to_out.bias"}, 0},
    {"t5_yproj.weight", {"time_embed.caption_proj.weight"}, 0},
    {"t5_yproj.bias", {"time_embed.caption_proj.bias"}, 0},
    {"final_layer.mod.weight", {"norm_out.linear.weight"}, 1},
    {"final_layer.mod.bias", {"norm_out.linear.bias"}, 1},
    {"final_layer.linear.weight", {"proj_out.weight"}, 0},
    {"final_layer.linear.bias", {"proj_out.bias"}, 0},
};

/* In each block; where the last one differs it has "linear_1" and leaves out what is marked below. */
static const origin in_block[] = {
    {"mod_x.weight", {"norm1.linear.weight"}, 0},
    {"mod_x.bias", {"norm1.linear.bias"}, 0},
    {"attn.qkv_x.weight", {"attn1.to_q.weight", "attn1.to_k.weight", "attn1.to_v.weight"}, 0},
    {"attn.qkv_y.weight",
     {"attn1.add_q_proj.weight", "attn1.add_k_proj.weight", "attn1.add_v_proj.weight"},
     0},
    {"attn.q_norm_x.weight", {"attn1.norm_q.weight"}, 0},
    {"attn.k_norm_x.weight", {"attn1.norm_k.weight"}, 0},
    {"attn.q_norm_y.weight", {"attn1.norm_added_q.weight"}, 0},
    {"attn.k_norm_y.weight", {"attn1.norm_added_k.weight"}, 0},
    {"attn.proj_x.weight", {"attn1.to_out.0.weight"}, 0},
    {"attn.proj_x.bias", {"attn1.to_out.0.bias"}, 0},
    {"mlp_x.w1.weight", {"ff.net.0.proj.weight"}, 1},
    {"mlp_x.w2.weight", {"ff.net.2.weight"}, 0},
};
static const origin in_first_block[] = {
    {"mod_y.weight", {"norm1_context.linear.weight"}, 0},
    {"mod_y.bias", {"norm1_context.linear.bias"}, 0},
    {"attn.proj_y.weight", {"attn1.to_add_out.weight"}, 0},
    {"attn.proj_y.bias", {"attn1.to_add_out.bias"}, 0},
    {"mlp_y.w1.weight", {"ff_context.net.0.proj.weight"}, 1},
    {"mlp_y.w2.weight", {"ff_context.net.2.weight"}, 0},
};
static const origin in_last_block[] = {
    {"mod_y.weight", {"norm1_context.linear_1.weight"}, 0},
    {"mod_y.bias", {"norm1_context.linear_1.bias"}, 0},
};

/* A checkpoint of the original layout while it is made. */
typedef struct maker {
    vdit_run *run;
    const vdit_file *weights;
    vdit_named made[100];
    size_t count, taken;
} maker;

static char *join(vdit_run *run, const char *prefix, const char *name)
{
    char *text = vdit_run_alloc(run, strlen(prefix) + strlen(name) + 1, 1);

    assert_non_null(text);
    return strcat(strcpy(text, prefix), name);
}

/* Makes a tensor of the original. */
static void make(maker *m, const char *old_prefix, const char *prefix, const origin *o)
{
    vdit_named *to = &m->made[m->count++];
    const vdit_tensor *from[3] = {NULL};
    size_t size = 0, at = 0, shape[VDIT_MAX_RANK];
    char *bytes;

    for (int i = 0; i < 3 && o->from[i] != NULL; i++, m->taken++) {
        from[i] = vdit_file_find(m->weights, join(m->run, prefix, o->from[i]));
        assert_non_null(from[i]);
        size += vdit_tensor_count(from[i]) * vdit_dtype_size(from[i]->dtype);
    }
    memcpy(shape, from[0]->shape, sizeof shape);
    shape[0] *= from[2] != NULL ? 3 : 1;
    to->name = join(m->run, old_prefix, o->name);
    assert_int_equal(vdit_tensor_new(m->run, &to->tensor, from[0]->dtype, from[0]->rank, shape),
                     VDIT_OK);
    bytes = to->tensor.data;
    for (int i = 0; i < 3 && from[i] != NULL; i++) {
        vdit_tensor_pack(bytes + at, from[i]);
        at += vdit_tensor_count(from[i]) * vdit_dtype_size(from[i]->dtype);
    }
    if (o->swapped) {
        char *other = vdit_run_alloc(m->run, size / 2, 1);

        memcpy(other, bytes, size / 2);
        memcpy(bytes, bytes + size / 2, size / 2);
        memcpy(bytes + size / 2, other, size / 2);
    }
}

static void make_all(maker *m, const char *old_prefix, const char *prefix, const origin *list,
                     size_t count)
{
    for (size_t i = 0; i < count; i++)
        make(m, old_prefix, prefix, &list[i]);
}

static void the_checkpoint_of_mochis_repository_becomes_that_of_diffusers(void **state)
{
    vdit_run *run = *state;
    vdit_model *drawn, *plain, *opened;
    maker m = {.run = run};

    vdit_model_preset(run, &drawn, "mochi", "tiny", NULL, 0);
    vdit_model_preset(run, &plain, "mochi", "tiny", NULL, 0);
    assert_int_equal(vdit_model_draw(run, drawn, 3, VDIT_BF16), VDIT_OK);
    m.weights = vdit_model_weights(drawn);
    make_all(&m, "", "", around, COUNT_OF(around));
    make_all(&m, "blocks.0.", "transformer_blocks.0.", in_block, COUNT_OF(in_block));
    make_all(&m, "blocks.0.", "transformer_blocks.0.", in_first_block, COUNT_OF(in_first_block));
    make_all(&m, "blocks.1.", "transformer_blocks.1.", in_block, COUNT_OF(in_block));
    make_all(&m, "blocks.1.", "transformer_blocks.1.", in_last_block, COUNT_OF(in_last_block));
    assert_int_equal(m.taken, vdit_file_count(m.weights));
    vdit_safetensors_write(run, "dit.safetensors", m.made, m.count, NULL, 0);
    vdit_model_convert(run, plain, "dit.safetensors", "made", NULL, 1000000);
    vdit_model_open(run, &opened, "made");
    assert_string_equal(vdit_run_message(run), "");
    for (size_t i = 0; i < vdit_file_count(m.weights); i++) {
        const vdit_tensor *t = vdit_file_tensor(m.weights, i);
        const vdit_tensor *back =
            vdit_file_find(vdit_model_weights(opened), vdit_file_name(m.weights, i));

        assert_int_equal(back->dtype, VDIT_BF16);
        assert_memory_equal(back->data, t->data, vdit_tensor_count(t) * 2);
    }
    vdit_model_close(drawn);
    vdit_model_close(plain);
    vdit_model_close(opened);
    vdit_folder_remove_file("made", "diffusion_pytorch_model.safetensors");
    vdit_folder_remove_file("made", "config.json");
    vdit_folder_remove("made");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            the_checkpoint_of_mochis_repository_becomes_that_of_diffusers, file_setup,
            file_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
