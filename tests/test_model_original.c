/*
 * test_model_original.c - checkpoints as the original repositories write them, listed tensor by tensor, become those of
 * diffusers, bit for bit. What stands together in one tensor there follows each other in the list.
 */
#include "config.h"
#include "file_support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vdit/model.h>
#include "file/folder.h"

#define STEM        "diffusion_pytorch_model"
#define TENSORS_MAX 200

/*
 * A tensor of the original and what it consists of, by names here; "#" is a layer, "@2/1" the second half of a tensor.
 * Each stands for a weight, and for a bias where there is one.
 */
typedef struct original {
    const char *name;
    const char *pieces[12];
} original;

#define B "transformer_blocks.#."
#define S "single_transformer_blocks.#."
#define R "context_embedder.token_refiner.refiner_blocks.#."

static const original hunyuan[] = {
    {"img_in.proj", {"x_embedder.proj"}},
    {"time_in.mlp.0", {"time_text_embed.timestep_embedder.linear_1"}},
    {"time_in.mlp.2", {"time_text_embed.timestep_embedder.linear_2"}},
    {"vector_in.in_layer", {"time_text_embed.text_embedder.linear_1"}},
    {"vector_in.out_layer", {"time_text_embed.text_embedder.linear_2"}},
    {"guidance_in.mlp.0", {"time_text_embed.guidance_embedder.linear_1"}},
    {"guidance_in.mlp.2", {"time_text_embed.guidance_embedder.linear_2"}},
    {"txt_in.input_embedder", {"context_embedder.proj_in"}},
    {"txt_in.t_embedder.mlp.0", {"context_embedder.time_text_embed.timestep_embedder.linear_1"}},
    {"txt_in.t_embedder.mlp.2", {"context_embedder.time_text_embed.timestep_embedder.linear_2"}},
    {"txt_in.c_embedder.linear_1", {"context_embedder.time_text_embed.text_embedder.linear_1"}},
    {"txt_in.c_embedder.linear_2", {"context_embedder.time_text_embed.text_embedder.linear_2"}},
    {"txt_in.individual_token_refiner.blocks.#.norm1", {R "norm1"}},
    {"txt_in.individual_token_refiner.blocks.#.self_attn_qkv",
     {R "attn.to_q", R "attn.to_k", R "attn.to_v"}},
    {"txt_in.individual_token_refiner.blocks.#.self_attn_proj", {R "attn.to_out.0"}},
    {"txt_in.individual_token_refiner.blocks.#.norm2", {R "norm2"}},
    {"txt_in.individual_token_refiner.blocks.#.mlp.fc1", {R "ff.net.0.proj"}},
    {"txt_in.individual_token_refiner.blocks.#.mlp.fc2", {R "ff.net.2"}},
    {"txt_in.individual_token_refiner.blocks.#.adaLN_modulation.1", {R "norm_out.linear"}},
    {"double_blocks.#.img_mod.linear", {B "norm1.linear"}},
    {"double_blocks.#.img_attn_qkv", {B "attn.to_q", B "attn.to_k", B "attn.to_v"}},
    {"double_blocks.#.img_attn_q_norm", {B "attn.norm_q"}},
    {"double_blocks.#.img_attn_k_norm", {B "attn.norm_k"}},
    {"double_blocks.#.img_attn_proj", {B "attn.to_out.0"}},
    {"double_blocks.#.img_mlp.fc1", {B "ff.net.0.proj"}},
    {"double_blocks.#.img_mlp.fc2", {B "ff.net.2"}},
    {"double_blocks.#.txt_mod.linear", {B "norm1_context.linear"}},
    {"double_blocks.#.txt_attn_qkv",
     {B "attn.add_q_proj", B "attn.add_k_proj", B "attn.add_v_proj"}},
    {"double_blocks.#.txt_attn_q_norm", {B "attn.norm_added_q"}},
    {"double_blocks.#.txt_attn_k_norm", {B "attn.norm_added_k"}},
    {"double_blocks.#.txt_attn_proj", {B "attn.to_add_out"}},
    {"double_blocks.#.txt_mlp.fc1", {B "ff_context.net.0.proj"}},
    {"double_blocks.#.txt_mlp.fc2", {B "ff_context.net.2"}},
    {"single_blocks.#.linear1", {S "attn.to_q", S "attn.to_k", S "attn.to_v", S "proj_mlp"}},
    {"single_blocks.#.linear2", {S "proj_out"}},
    {"single_blocks.#.q_norm", {S "attn.norm_q"}},
    {"single_blocks.#.k_norm", {S "attn.norm_k"}},
    {"single_blocks.#.modulation.linear", {S "norm.linear"}},
    {"final_layer.linear", {"proj_out"}},
    {"final_layer.adaLN_modulation.1", {"norm_out.linear@2/1", "norm_out.linear@2/0"}},
    {NULL, {NULL}},
};

#define M "model.diffusion_model."

static const original cogvideox[] = {
    {M "time_embed.0", {"time_embedding.linear_1"}},
    {M "time_embed.2", {"time_embedding.linear_2"}},
    {M "mixins.patch_embed.proj", {"patch_embed.proj"}},
    {M "mixins.patch_embed.text_proj", {"patch_embed.text_proj"}},
    /* shift, scale and gate of attention and of the feed-forward module for the video, then for the text */
    {M "mixins.adaln_layer.adaLN_modulations.#.1",
     {B "norm1.linear@6/0", B "norm1.linear@6/1", B "norm1.linear@6/2", B "norm2.linear@6/0",
      B "norm2.linear@6/1", B "norm2.linear@6/2", B "norm1.linear@6/3", B "norm1.linear@6/4",
      B "norm1.linear@6/5", B "norm2.linear@6/3", B "norm2.linear@6/4", B "norm2.linear@6/5"}},
    {M "mixins.adaln_layer.query_layernorm_list.#", {B "attn1.norm_q"}},
    {M "mixins.adaln_layer.key_layernorm_list.#", {B "attn1.norm_k"}},
    {M "transformer.layers.#.input_layernorm", {B "norm1.norm"}},
    {M "transformer.layers.#.post_attention_layernorm", {B "norm2.norm"}},
    {M "transformer.layers.#.attention.query_key_value",
     {B "attn1.to_q", B "attn1.to_k", B "attn1.to_v"}},
    {M "transformer.layers.#.attention.dense", {B "attn1.to_out.0"}},
    {M "transformer.layers.#.mlp.dense_h_to_4h", {B "ff.net.0.proj"}},
    {M "transformer.layers.#.mlp.dense_4h_to_h", {B "ff.net.2"}},
    {M "transformer.final_layernorm", {"norm_final"}},
    {M "mixins.final_layer.norm_final", {"norm_out.norm"}},
    {M "mixins.final_layer.adaLN_modulation.1", {"norm_out.linear"}},
    {M "mixins.final_layer.linear", {"proj_out"}},
    {NULL, {NULL}},
};

/* The file while it is made, and how many numbers of the model are in it. */
typedef struct making {
    vdit_run *run;
    const vdit_file *drawn;
    vdit_named tensors[TENSORS_MAX];
    size_t count, numbers;
} making;

/* Returns: a piece's data, NULL if there is no such tensor. Out: count, of its numbers. */
static const float *find_piece(const making *m, const char *piece, int layer, const char *suffix,
                               size_t *count)
{
    size_t length = strcspn(piece, "@"), hash = strcspn(piece, "#");
    size_t parts = 1, part = 0;
    const vdit_tensor *t;
    char name[200];

    if (hash < length)
        snprintf(name, sizeof name, "%.*s%d%.*s%s", (int)hash, piece, layer,
                 (int)(length - hash - 1), piece + hash + 1, suffix);
    else
        snprintf(name, sizeof name, "%.*s%s", (int)length, piece, suffix);
    if (piece[length] == '@')
        sscanf(piece + length, "@%zu/%zu", &parts, &part);
    t = vdit_file_find(m->drawn, name);
    if (t == NULL)
        return NULL;
    *count = vdit_tensor_count(t) / parts;
    return (const float *)t->data + part * *count;
}

/* Adds the tensor of a layer, if the model has it. */
static void add_original(making *m, const original *o, int layer, const char *suffix)
{
    size_t rows = 0, count, hash = strcspn(o->name, "#");
    char *name = vdit_run_alloc(m->run, 200, 1);
    float *data = vdit_run_alloc(m->run, 100000, sizeof *data);

    for (size_t i = 0; i < COUNT_OF(o->pieces) && o->pieces[i] != NULL; i++) {
        const float *piece = find_piece(m, o->pieces[i], layer, suffix, &count);

        if (piece == NULL)
            return;
        assert_true(rows + count <= 100000);
        memcpy(data + rows, piece, count * sizeof *piece);
        rows += count;
    }
    snprintf(name, 200, "%.*s", (int)hash, o->name);
    if (o->name[hash] == '#')
        snprintf(name + hash, 200 - hash, "%d%s", layer, o->name + hash + 1);
    strcat(name, suffix);
    assert_in_range(m->count, 0, TENSORS_MAX - 1);
    m->tensors[m->count].name = name;
    m->tensors[m->count++].tensor = vdit_tensor_view(data, VDIT_F32, 1, &rows);
    m->numbers += rows;
}

/* Converts the tiny model of a family as its repository would write it. In: unused, a tensor that is left out. */
static void convert(vdit_run *run, const char *family, const original *list, const char *unused)
{
    vdit_model *drawn = NULL, *model = NULL;
    making m = {.run = run};
    const vdit_file *file;
    size_t numbers = 0, one = 1;
    float zero = 0;

    vdit_model_preset(run, &drawn, family, "tiny", NULL, 0);
    vdit_model_draw(run, drawn, 4, VDIT_F32);
    m.drawn = file = vdit_model_weights(drawn);
    for (; list->name != NULL; list++)
        for (int layer = 0; layer < (strchr(list->name, '#') != NULL ? 9 : 1); layer++) {
            add_original(&m, list, layer, ".weight");
            add_original(&m, list, layer, ".bias");
        }
    for (size_t i = 0; i < vdit_file_count(file); i++)
        numbers += vdit_tensor_count(vdit_file_tensor(file, i));
    assert_int_equal(m.numbers, numbers);
    if (unused != NULL)
        m.tensors[m.count++] = (vdit_named){unused, vdit_tensor_view(&zero, VDIT_F32, 1, &one)};
    vdit_safetensors_write(run, "old.safetensors", m.tensors, m.count, NULL, 0);
    vdit_model_convert(run, drawn, "old.safetensors", "m", NULL, 100000000);
    vdit_model_open(run, &model, "m");
    assert_string_equal(vdit_run_message(run), "");
    for (size_t i = 0; i < vdit_file_count(file); i++) {
        const vdit_tensor *t = vdit_file_find(vdit_model_weights(model), vdit_file_name(file, i));

        if (memcmp(t->data, vdit_file_tensor(file, i)->data, 4 * vdit_tensor_count(t)) != 0)
            fail_msg("%s: other numbers", vdit_file_name(file, i));
    }
    vdit_model_close(model);
    vdit_model_close(drawn);
    vdit_folder_remove_file("m", STEM ".safetensors");
    vdit_folder_remove_file("m", "config.json");
    vdit_folder_remove("m");
    assert_int_equal(access("m", F_OK), -1);
}

static void the_checkpoint_of_hunyuanvideos_repository_becomes_that_of_diffusers(void **state)
{
    convert(*state, "hunyuan", hunyuan, NULL);
}

static void the_checkpoint_of_cogvideoxs_repository_becomes_that_of_diffusers(void **state)
{
    convert(*state, "cogvideox", cogvideox, M "mixins.pos_embed.freqs_sin");
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, file_setup, file_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(the_checkpoint_of_hunyuanvideos_repository_becomes_that_of_diffusers),
        IN_A_FOLDER(the_checkpoint_of_cogvideoxs_repository_becomes_that_of_diffusers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
