/* test_model_convert.c - checkpoints of other layouts: renamed, split, swapped, rounded; and what is refused. */
#include "config.h"
#include "file_support.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vdit/model.h>
#include "file/folder.h"
#include "model/convert.h"

#define STEM "diffusion_pytorch_model"

/* A tensor of the numbers first, first + 1, .... */
static vdit_named numbers(vdit_run *run, const char *name, int first, int rank, size_t rows,
                          size_t columns)
{
    const size_t shape[] = {rows, columns};
    vdit_named named = {name, {0}};

    vdit_tensor_new(run, &named.tensor, VDIT_F32, rank, shape);
    for (size_t i = 0; i < vdit_tensor_count(&named.tensor); i++)
        ((float *)named.tensor.data)[i] = (float)(first + (int)i);
    return named;
}

static vdit_named wanted(const char *name, int rank, size_t rows, size_t columns)
{
    const size_t shape[] = {rows, columns};

    return (vdit_named){name, vdit_tensor_view(NULL, VDIT_F32, rank, shape)};
}

static const vdit_convert_rule rules[] = {
    {"block.{}.q", "old.{}.qkv", 3, "0"}, {"block.{}.v", "old.{}.qkv", 3, "2"},
    {"block.{}.k", "old.{}.qkv", 3, "1"}, {"swapped", "halves", 2, "10"},
    {"deep.{}.{}", "d{}-{}", 0, NULL},    {"either", "first", 0, NULL},
    {"either", "second", 0, NULL},        {"twelve", "twelfths", 12, "b0a"},
    {NULL, "tab*e.?", 0, NULL},           {NULL, NULL, 0, NULL},
};

static void assert_numbers(const vdit_convert_source *source, size_t count, const float *expected)
{
    for (size_t first = 0; first < count; first++)
        for (size_t n = 0; first + n <= count; n++) {
            float out[64];

            out[n] = 99;
            vdit_convert_read(source, VDIT_F32, first, n, out);
            assert_memory_equal(out, expected + first, n * sizeof *out);
            assert_true(out[n] == 99);
        }
}

static void parts_of_an_original_are_taken_in_the_order_of_the_rule(void **state)
{
    vdit_run *run = *state;
    const vdit_named old[] = {
        numbers(run, "old.12.qkv", 0, 2, 6, 2), numbers(run, "halves", 50, 1, 4, 0),
        numbers(run, "d3-44", 70, 2, 2, 3),     numbers(run, "second", 80, 1, 2, 0),
        numbers(run, "twelfths", 90, 1, 12, 0), numbers(run, "table.0", 0, 1, 2, 0),
    };
    const vdit_named new[] = {wanted("block.12.q", 2, 2, 2), wanted("block.12.k", 2, 2, 2),
                              wanted("block.12.v", 2, 2, 2), wanted("swapped", 1, 4, 0),
                              wanted("deep.3.44", 2, 3, 2),  wanted("either", 1, 2, 0),
                              wanted("twelve", 1, 3, 0)};
    static const float expected[][6] = {
        {0, 1, 2, 3}, {4, 5, 6, 7},  {8, 9, 10, 11}, {52, 53, 50, 51}, {70, 71, 72, 73, 74, 75},
        {80, 81},     {101, 90, 100}};
    vdit_convert_source sources[COUNT_OF(new)];
    vdit_file *file = NULL;

    vdit_safetensors_write(run, "old.safetensors", old, COUNT_OF(old), NULL, 0);
    assert_int_equal(vdit_file_open(run, &file, "old.safetensors"), VDIT_OK);
    vdit_convert_match(run, "old", file, rules, new, COUNT_OF(new), sources);
    assert_string_equal(vdit_run_message(run), "");
    for (size_t i = 0; i < COUNT_OF(new); i++)
        assert_numbers(&sources[i], vdit_tensor_count(&new[i].tensor), expected[i]);
    vdit_file_close(file);
}

/* Matches one wanted tensor against one of a file. */
static void refuse(vdit_run *run, vdit_named old, vdit_named new, const char *message)
{
    vdit_convert_source source;
    vdit_file *file = NULL;

    vdit_safetensors_write(run, "old.safetensors", &old, 1, NULL, 0);
    assert_int_equal(vdit_file_open(run, &file, "old.safetensors"), VDIT_OK);
    assert_int_equal(vdit_convert_match(run, "old", file, rules, &new, 1, &source),
                     VDIT_ERR_FORMAT);
    assert_string_equal(vdit_run_message(run), message);
    vdit_run_clear(run);
    vdit_file_close(file);
}

static void what_does_not_fit_is_named_with_both_names(void **state)
{
    vdit_run *run = *state;
    vdit_named bytes = {"first", {0}};
    const size_t shape[] = {2};

    refuse(run, numbers(run, "old.1.qkv", 0, 2, 6, 2), wanted("block.2.q", 2, 2, 2),
           "old: tensor \"old.2.qkv\" is missing, of which \"block.2.q\" is made");
    refuse(run, numbers(run, "old.1.qkv", 0, 2, 7, 2), wanted("block.1.q", 2, 2, 2),
           "old: tensor \"old.1.qkv\" has shape [7, 2], of which 1 of 3 parts are to be "
           "\"block.1.q\" of shape [2, 2]");
    refuse(run, numbers(run, "old.1.qkv", 0, 2, 9, 2), wanted("block.1.q", 2, 2, 2),
           "old: tensor \"old.1.qkv\" has shape [9, 2], of which 1 of 3 parts are to be "
           "\"block.1.q\" of shape [2, 2]");
    refuse(run, numbers(run, "first", 0, 1, 2, 0), wanted("eithers", 1, 2, 0),
           "old: tensor \"eithers\" is missing, of which \"eithers\" is made");
    vdit_tensor_new(run, &bytes.tensor, VDIT_I32, 1, shape);
    memset(bytes.tensor.data, 0, 8);
    refuse(run, bytes, wanted("either", 1, 2, 0),
           "old: tensor \"first\" is i32, expected f32, bf16 or f16");
}

static void a_tensor_that_no_rule_takes_is_named(void **state)
{
    vdit_run *run = *state;
    const vdit_named new = wanted("either", 1, 2, 0);
    static const char *const strangers[] = {"third", "table.12", "tables.1", "halves"};

    for (size_t i = 0; i < COUNT_OF(strangers); i++) {
        const vdit_named old[] = {numbers(run, "first", 0, 1, 2, 0),
                                  numbers(run, strangers[i], 0, 1, 2, 0)};
        vdit_convert_source source;
        vdit_file *file = NULL;
        char message[100];

        vdit_safetensors_write(run, "old.safetensors", old, 2, NULL, 0);
        assert_int_equal(vdit_file_open(run, &file, "old.safetensors"), VDIT_OK);
        vdit_convert_match(run, "old", file, rules, &new, 1, &source);
        snprintf(message, sizeof message, "old: tensor \"%s\" is unknown to this layout",
                 strangers[i]);
        assert_string_equal(vdit_run_message(run), message);
        vdit_run_clear(run);
        vdit_file_close(file);
    }
}

/* Writes text with the first a in it replaced by b. Returns: 1 if there was one. */
static int replace(char text[200], const char *a, const char *b)
{
    char *at = strstr(text, a), rest[200];

    if (at == NULL)
        return 0;
    snprintf(rest, sizeof rest, "%s", at + strlen(a));
    snprintf(at, (size_t)(text + 200 - at), "%s%s", b, rest);
    return 1;
}

/* The name of a weight in Wan's own repository: modules and their attributes there, said again in another way. */
static char *wan_name(char text[200], const char *name)
{
    static const char *const words[][2] = {
        {"condition_embedder.time_embedder.linear_1", "time_embedding.0"},
        {"condition_embedder.time_embedder.linear_2", "time_embedding.2"},
        {"condition_embedder.text_embedder.linear_1", "text_embedding.0"},
        {"condition_embedder.text_embedder.linear_2", "text_embedding.2"},
        {"condition_embedder.time_proj", "time_projection.1"},
        {".scale_shift_table", ".modulation"},
        {"scale_shift_table", "head.modulation"},
        {"proj_out", "head.head"},
        {"to_out.0", "o"},
        {"to_", ""},
        {"attn1", "self_attn"},
        {"attn2", "cross_attn"},
        {"norm2", "norm3"},
        {"net.0.proj", "0"},
        {"net.2", "2"},
    };

    snprintf(text, 200, "%s", name);
    for (size_t i = 0; i < COUNT_OF(words); i++)
        replace(text, words[i][0], words[i][1]);
    return text;
}

static void remove_folder(void)
{
    vdit_folder_remove_file("m", STEM ".safetensors");
    vdit_folder_remove_file("m", "config.json");
    vdit_folder_remove("m");
    assert_int_equal(access("m", F_OK), -1);
}

/* A drawn model under the names of the original repository becomes the model, bit for bit. */
static void the_checkpoint_of_wans_repository_becomes_that_of_diffusers(void **state)
{
    vdit_run *run = *state;
    vdit_model *drawn = NULL, *model = NULL;
    const vdit_file *file;
    vdit_named old[100];
    size_t count;

    vdit_model_preset(run, &drawn, "wan", "tiny", NULL, 0);
    vdit_model_draw(run, drawn, 4, VDIT_F32);
    file = vdit_model_weights(drawn);
    count = vdit_file_count(file);
    for (size_t i = 0; i < count; i++) {
        char *name = vdit_run_alloc(run, 200, 1);

        old[i] = (vdit_named){wan_name(name, vdit_file_name(file, i)), *vdit_file_tensor(file, i)};
    }
    vdit_safetensors_write(run, "old.safetensors", old, count, NULL, 0);
    vdit_model_convert(run, drawn, "old.safetensors", "m", NULL, 1000000);
    vdit_model_open(run, &model, "m");
    assert_string_equal(vdit_run_message(run), "");
    for (size_t i = 0; i < count; i++) {
        const vdit_tensor *t = vdit_file_find(vdit_model_weights(model), vdit_file_name(file, i));

        assert_non_null(t);
        assert_memory_equal(t->data, vdit_file_tensor(file, i)->data, 4 * vdit_tensor_count(t));
    }
    vdit_model_close(model);
    vdit_model_close(drawn);
    remove_folder();
}

static void a_models_own_weights_are_rounded_to_a_dtype(void **state)
{
    vdit_run *run = *state;
    vdit_model *drawn = NULL, *model = NULL;
    const vdit_dtype bf16 = VDIT_BF16;
    const vdit_file *file;

    vdit_model_preset(run, &drawn, "mochi", "tiny", NULL, 0);
    vdit_model_draw(run, drawn, 4, VDIT_F32);
    vdit_model_convert(run, drawn, NULL, "m", &bf16, 1000000);
    vdit_model_open(run, &model, "m");
    assert_string_equal(vdit_run_message(run), "");
    file = vdit_model_weights(model);
    for (size_t i = 0; i < vdit_file_count(file); i++) {
        const vdit_tensor *t = vdit_file_tensor(file, i);
        const float *f = vdit_file_find(vdit_model_weights(drawn), vdit_file_name(file, i))->data;

        assert_int_equal(t->dtype, VDIT_BF16);
        for (size_t j = 0; j < vdit_tensor_count(t); j++) {
            double value;

            vdit_load_f64(&value, 1, (const uint16_t *)t->data + j, 1, VDIT_BF16);
            assert_true(value == vdit_round_f64(VDIT_BF16, f[j]));
        }
    }
    vdit_model_close(model);
    vdit_model_close(drawn);
    remove_folder();
}

static void conversions_that_cannot_be_leave_nothing(void **state)
{
    vdit_run *run = *state;
    const vdit_dtype f64 = VDIT_F64;
    const vdit_named stranger = numbers(run, "stranger", 0, 1, 2, 0);
    vdit_model *model = NULL;

    vdit_model_preset(run, &model, "wan", "tiny", NULL, 0);
    assert_int_equal(vdit_model_convert(run, model, NULL, "m", NULL, 1), VDIT_ERR_ARGUMENT);
    vdit_run_clear(run);
    assert_int_equal(vdit_model_convert(run, model, "x", "m", &f64, 1), VDIT_ERR_DTYPE);
    vdit_run_clear(run);
    assert_int_equal(vdit_model_convert(run, model, "x.safetensors", "m", NULL, 1), VDIT_ERR_IO);
    vdit_run_clear(run);
    vdit_safetensors_write(run, "x.safetensors", &stranger, 1, NULL, 0);
    assert_int_equal(vdit_model_convert(run, model, "x.safetensors", "m", NULL, 1),
                     VDIT_ERR_FORMAT);
    assert_string_equal(vdit_run_message(run),
                        "x.safetensors: tensor \"patch_embedding.weight\" is missing, of which "
                        "\"patch_embedding.weight\" is made");
    vdit_run_clear(run);
    assert_int_equal(access("m", F_OK), -1);
    vdit_model_close(model);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, file_setup, file_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(parts_of_an_original_are_taken_in_the_order_of_the_rule),
        IN_A_FOLDER(what_does_not_fit_is_named_with_both_names),
        IN_A_FOLDER(a_tensor_that_no_rule_takes_is_named),
        IN_A_FOLDER(the_checkpoint_of_wans_repository_becomes_that_of_diffusers),
        IN_A_FOLDER(a_models_own_weights_are_rounded_to_a_dtype),
        IN_A_FOLDER(conversions_that_cannot_be_leave_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
