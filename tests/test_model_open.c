/* test_model_open.c - checkpoints that open, and the words with which the others are refused. */
#include "config.h"
#include "file_support.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <vdit/model.h>
#include "file/dense.h"

#define WEIGHTS     "diffusion_pytorch_model.safetensors"
#define TENSORS_MAX 100

/* The tensors of a model in memory, for a test to change before they are written. */
typedef struct contents {
    vdit_model *model;
    vdit_named tensors[TENSORS_MAX];
    size_t count;
} contents;

static contents draw(vdit_run *run, const char *family)
{
    contents c = {NULL, {{0}}, 0};
    const vdit_file *file;

    assert_int_equal(vdit_model_preset(run, &c.model, family, "tiny", NULL, 0), VDIT_OK);
    assert_int_equal(vdit_model_draw(run, c.model, 7, VDIT_F32), VDIT_OK);
    file = vdit_model_weights(c.model);
    c.count = vdit_file_count(file);
    assert_in_range(c.count, 1, TENSORS_MAX - 1);
    for (size_t i = 0; i < c.count; i++)
        c.tensors[i] = (vdit_named){vdit_file_name(file, i), *vdit_file_tensor(file, i)};
    return c;
}

/* Writes configuration and weights into the working folder. */
static void write_here(vdit_run *run, const contents *c, const char *weights)
{
    const char *text = vdit_model_configuration(c->model);

    put("config.json", text, strlen(text));
    assert_int_equal(vdit_safetensors_write(run, weights, c->tensors, c->count, NULL, 0), VDIT_OK);
}

static void open_refused(vdit_run *run, vdit_status status, const char *message)
{
    vdit_model *model = NULL;

    assert_int_equal(vdit_model_open(run, &model, "."), status);
    assert_string_equal(vdit_run_message(run), message);
    assert_null(model);
    vdit_run_clear(run);
}

static void a_checkpoint_of_each_family_opens_with_its_tensors(void **state)
{
    static const char *const families[] = {"wan", "mochi", "hunyuan", "cogvideox"};
    vdit_run *run = *state;

    for (size_t f = 0; f < COUNT_OF(families); f++) {
        contents c = draw(run, families[f]);
        vdit_model *model = NULL;

        write_here(run, &c, WEIGHTS);
        vdit_model_open(run, &model, ".");
        assert_string_equal(vdit_run_message(run), "");
        assert_string_equal(vdit_model_family(model), families[f]);
        assert_string_equal(vdit_model_configuration(model), vdit_model_configuration(c.model));
        assert_int_equal(vdit_file_count(vdit_model_weights(model)), c.count);
        for (size_t i = 0; i < c.count; i++) {
            const vdit_tensor *t = vdit_file_find(vdit_model_weights(model), c.tensors[i].name);

            assert_non_null(t);
            assert_memory_equal(t->data, c.tensors[i].tensor.data, 4 * vdit_tensor_count(t));
        }
        vdit_model_close(model);
        vdit_model_close(c.model);
    }
}

static void a_missing_tensor_is_named_with_its_shape(void **state)
{
    contents c = draw(*state, "wan");

    c.tensors[4] = c.tensors[--c.count];
    write_here(*state, &c, WEIGHTS);
    open_refused(*state, VDIT_ERR_FORMAT,
                 "./" WEIGHTS ": tensor \"condition_embedder.time_embedder.linear_2.weight\" is "
                 "missing, expected shape [24, 24]");
    vdit_model_close(c.model);
}

static void an_unknown_tensor_is_named(void **state)
{
    contents c = draw(*state, "wan");

    c.tensors[c.count] = c.tensors[0];
    c.tensors[c.count++].name = "blocks.2.norm2.weight";
    write_here(*state, &c, WEIGHTS);
    open_refused(*state, VDIT_ERR_FORMAT,
                 "./" WEIGHTS ": tensor \"blocks.2.norm2.weight\" is unknown to this network");
    vdit_model_close(c.model);
}

static void a_misshaped_tensor_is_named_with_both_shapes(void **state)
{
    contents c = draw(*state, "wan");

    c.tensors[0].tensor.shape[1] /= 2;
    write_here(*state, &c, WEIGHTS);
    open_refused(*state, VDIT_ERR_FORMAT,
                 "./" WEIGHTS ": tensor \"patch_embedding.weight\" has shape [24, 2, 1, 2, 2], "
                 "expected [24, 4, 1, 2, 2]");
    c.tensors[0].tensor.rank = 2;
    write_here(*state, &c, WEIGHTS);
    open_refused(*state, VDIT_ERR_FORMAT,
                 "./" WEIGHTS ": tensor \"patch_embedding.weight\" has shape [24, 2], "
                 "expected [24, 4, 1, 2, 2]");
    vdit_model_close(c.model);
}

static void a_tensor_of_another_dtype_is_named(void **state)
{
    static const vdit_dtype bad[] = {VDIT_F64, VDIT_I64, VDIT_I32, VDIT_U8, VDIT_BOOL};
    contents c = draw(*state, "wan");

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char message[200];

        c.tensors[1].tensor = vdit_tensor_view(calloc(24, 8), bad[i], 1, (size_t[]){24});
        write_here(*state, &c, WEIGHTS);
        free(c.tensors[1].tensor.data);
        snprintf(message, sizeof message,
                 "./" WEIGHTS ": tensor \"patch_embedding.bias\" is %s, expected f32, bf16 or f16",
                 vdit_dtype_name(bad[i]));
        open_refused(*state, VDIT_ERR_FORMAT, message);
    }
    vdit_model_close(c.model);
}

/* Faults of weights that the network uses come first, in its order; then names that it does not know. */
static void of_several_faults_the_others_are_counted(void **state)
{
    contents c = draw(*state, "wan");

    c.tensors[0].name = "patch.weight";
    c.tensors[2].name = "patch.bias";
    write_here(*state, &c, WEIGHTS);
    open_refused(*state, VDIT_ERR_FORMAT,
                 "./" WEIGHTS ": tensor \"patch_embedding.weight\" is missing, expected shape "
                 "[24, 4, 1, 2, 2]; and 3 more such faults");
    vdit_model_close(c.model);
}

static void shards_are_opened_by_their_index(void **state)
{
    contents c = draw(*state, "mochi"), half = c;
    char index[20000] = "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {";
    vdit_model *model = NULL;

    write_here(*state, &c, "b.safetensors");
    half.count = c.count / 2;
    write_here(*state, &half, "a.safetensors");
    memmove(half.tensors, c.tensors + half.count, (c.count - half.count) * sizeof *c.tensors);
    half.count = c.count - half.count;
    write_here(*state, &half, "b.safetensors");
    for (size_t i = 0; i < c.count; i++)
        snprintf(index + strlen(index), sizeof index - strlen(index),
                 "%s\"%s\": \"%c.safetensors\"", i > 0 ? ", " : "", c.tensors[i].name,
                 i < c.count / 2 ? 'a' : 'b');
    strcat(index, "}}");
    put(WEIGHTS ".index.json", index, strlen(index));
    put(WEIGHTS, "", 0); /* is not looked at */
    assert_int_equal(vdit_model_open(*state, &model, "."), VDIT_OK);
    assert_int_equal(vdit_file_count(vdit_model_weights(model)), c.count);
    vdit_model_close(model);

    *strstr(index, "a.safetensors") = 'c';
    put(WEIGHTS ".index.json", index, strlen(index));
    open_refused(*state, VDIT_ERR_IO, "./c.safetensors: cannot open: No such file or directory");
    memcpy(strstr(index, "c.safetensors"), "/b.safetensor", 13);
    put(WEIGHTS ".index.json", index, strlen(index));
    assert_int_equal(vdit_model_open(*state, &model, "."), VDIT_ERR_FORMAT);
    assert_failure(*state, VDIT_ERR_FORMAT, "./" WEIGHTS ".index.json",
                   "shard \"/b.safetensor\": expected the name of a file beside the index");
    vdit_model_close(c.model);
}

static void a_variant_is_taken_where_there_is_no_plain_file(void **state)
{
    static const char *const names[] = {"diffusion_pytorch_model.fp16.safetensors",
                                        "diffusion_pytorch_model.bf16.safetensors",
                                        "diffusion_pytorch_model.fp32.safetensors"};
    contents c = draw(*state, "cogvideox");

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        vdit_model *model = NULL;

        write_here(*state, &c, names[i]);
        assert_int_equal(vdit_model_open(*state, &model, "."), VDIT_OK);
        vdit_model_close(model);
        remove(names[i]);
    }
    vdit_model_close(c.model);
}

static void the_folder_of_a_pipeline_holds_it_in_transformer(void **state)
{
    contents c = draw(*state, "hunyuan");
    vdit_model *model = NULL;

    assert_int_equal(mkdir("transformer", 0777), 0);
    write_here(*state, &c, "transformer/" WEIGHTS);
    assert_int_equal(rename("config.json", "transformer/config.json"), 0);
    assert_int_equal(vdit_model_open(*state, &model, "."), VDIT_OK);
    vdit_model_close(model);
    remove("transformer/" WEIGHTS);
    open_refused(*state, VDIT_ERR_IO,
                 "./transformer: expected weights as " WEIGHTS ", whole or in shards");
    remove("transformer/config.json");
    open_refused(*state, VDIT_ERR_IO,
                 ".: expected a folder with config.json, here or in transformer/");
    vdit_model_close(c.model);
}

static void a_corrupt_configuration_is_refused(void **state)
{
    static const char *const bad[][2] = {
        {"", ""},
        {"{\"_class_name\": ", "line 1"},
        {"[1]", "expected a JSON object"},
        {"{}", "key \"_class_name\": missing, expected one of WanTransformer3DModel, Mochi"},
        {"{\"_class_name\": 1}", "key \"_class_name\": missing"},
        {"{\"_class_name\": \"UNetMotionModel\"}", "UNetMotionModel, expected one of Wan"},
        {"{\"_class_name\": \"WanTransformer3DModel\", \"num_layers\": \"2\"}",
         "key \"num_layers\": expected a whole number from 0 to 4096"},
        {"{\"_class_name\": \"WanTransformer3DModel\", \"num_layer\": 2}",
         "key \"num_layer\" is not known"},
        {"{\"_class_name\": \"WanTransformer3DModel\", \"image_dim\": 1280}",
         "key \"image_dim\": a video from an image is not offered"},
    };
    contents c = draw(*state, "wan");

    write_here(*state, &c, WEIGHTS);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        vdit_model *model = NULL;

        put("config.json", bad[i][0], strlen(bad[i][0]));
        assert_int_not_equal(vdit_model_open(*state, &model, "."), VDIT_OK);
        assert_failure(*state, vdit_run_status(*state), "./config.json", bad[i][1]);
        assert_null(model);
    }
    vdit_model_close(c.model);
}

static void weights_that_are_not_finite_are_counted_by_name(void **state)
{
    static const uint16_t bf16[] = {0x7fc0, 0x7f80, 0xff80, 0xff81, 0x7f7f, 0x0001};
    static const uint16_t f16[] = {0x7e00, 0x7c00, 0xfc00, 0xfc01, 0x7bff, 0x0001};
    static const uint32_t f32[] = {0x7fc00000, 0x7f800000, 0xff800000,
                                   0xff800001, 0x7f7fffff, 0x00000001};
    const struct {
        vdit_dtype dtype;
        const void *codes;
        size_t size;
    } kinds[] = {{VDIT_BF16, bf16, 2}, {VDIT_F16, f16, 2}, {VDIT_F32, f32, 4}};
    vdit_weight_fault *faults;
    size_t count;

    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        contents c = draw(*state, "wan");
        vdit_tensor *t;

        assert_int_equal(vdit_model_draw(*state, c.model, 7, kinds[k].dtype), VDIT_OK);
        assert_int_equal(vdit_model_scan(*state, c.model, &faults, &count), VDIT_OK);
        assert_int_equal(count, 0);
        t = (vdit_tensor *)(uintptr_t)vdit_file_find(vdit_model_weights(c.model),
                                                     "blocks.1.ffn.net.2.weight");
        memcpy((char *)t->data + 100 * kinds[k].size, kinds[k].codes, 6 * kinds[k].size);
        assert_int_equal(vdit_model_scan(*state, c.model, &faults, &count), VDIT_OK);
        assert_int_equal(count, 1);
        assert_string_equal(faults[0].name, "blocks.1.ffn.net.2.weight");
        assert_int_equal(faults[0].nan, 2);
        assert_int_equal(faults[0].infinite, 2);
        vdit_model_close(c.model);
    }
}

/* Writes a file of zeros with the tensors that a model asks for in bf16; all but its header is a hole. */
static void write_sparse(vdit_run *run, const vdit_model *model, const char *path)
{
    vdit_extents smallest = vdit_model_smallest(model);
    json_t *header = json_object();
    vdit_model_survey survey;
    unsigned char length[8];
    json_int_t at = 0;
    FILE *file = fopen(path, "wb");
    size_t size;
    char *text;

    assert_int_equal(vdit_model_survey_of(run, model, &smallest, VDIT_F32, &survey), VDIT_OK);
    for (size_t i = 0; i < survey.weight_count; i++) {
        const vdit_tensor *t = &survey.weights[i].tensor;
        json_int_t end = at + 2 * (json_int_t)vdit_tensor_count(t);
        json_t *shape = json_array();

        for (int axis = 0; axis < t->rank; axis++)
            json_array_append_new(shape, json_integer((json_int_t)t->shape[axis]));
        json_object_set_new(header, survey.weights[i].name,
                            json_pack("{s:s,s:o,s:[I,I]}", "dtype", "BF16", "shape", shape,
                                      "data_offsets", at, end));
        at = end;
    }
    text = json_dumps(header, JSON_COMPACT);
    size = strlen(text) + 8 - strlen(text) % 8; /* with spaces, so that the data are aligned */
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)(size >> 8 * i);
    assert_int_equal(fwrite(length, 1, 8, file), 8);
    fprintf(file, "%-*s", (int)size, text);
    assert_int_equal(fflush(file), 0);
    assert_int_equal(ftruncate(fileno(file), (off_t)(8 + size) + (off_t)at), 0);
    assert_int_equal(fclose(file), 0);
    free(text);
    json_decref(header);
}

/* 2.8 GB: under a second of the processor, and not a tenth of it in memory. */
static void a_large_checkpoint_opens_without_being_read(void **state)
{
    vdit_run *run = *state;
    vdit_model *model = NULL, *opened = NULL;
    struct rusage before, after;
    const char *text;
    clock_t start;

    /* A big-endian machine turns the numbers round when it opens a file, and a small one cannot map it. */
    if (sizeof(size_t) < 8 || vdit_bytes_differ(2, 0))
        return;
    vdit_model_preset(run, &model, "wan", "1.3B", NULL, 0);
    text = vdit_model_configuration(model);
    put("config.json", text, strlen(text));
    write_sparse(run, model, WEIGHTS);
    getrusage(RUSAGE_SELF, &before);
    start = clock();
    assert_int_equal(vdit_model_open(run, &opened, "."), VDIT_OK);
    assert_true((double)(clock() - start) < 1.0 * CLOCKS_PER_SEC);
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 100000);
    assert_int_equal(vdit_file_count(vdit_model_weights(opened)), 825);
    vdit_model_close(opened);
    vdit_model_close(model);
}

static void opening_survives_every_shortage_of_memory(void **state)
{
    contents c = draw(*state, "wan");

    write_here(*state, &c, WEIGHTS);
    for (size_t given = 0;; given++) {
        vdit_run *run = vdit_run_new();
        vdit_model *model = NULL;
        size_t left = given;
        vdit_status status;

        vdit_run_set_allocator(run, give_some, &left);
        status = vdit_model_open(run, &model, ".");
        assert_true((status == VDIT_OK) == (model != NULL));
        assert_true(status == VDIT_OK || status == VDIT_ERR_MEMORY);
        vdit_model_close(model);
        vdit_run_free(run);
        if (status == VDIT_OK)
            break;
        given += given / 16; /* the survey of a network asks often */
    }
    vdit_model_close(c.model);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, file_setup, file_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(a_checkpoint_of_each_family_opens_with_its_tensors),
        IN_A_FOLDER(a_missing_tensor_is_named_with_its_shape),
        IN_A_FOLDER(an_unknown_tensor_is_named),
        IN_A_FOLDER(a_misshaped_tensor_is_named_with_both_shapes),
        IN_A_FOLDER(a_tensor_of_another_dtype_is_named),
        IN_A_FOLDER(of_several_faults_the_others_are_counted),
        IN_A_FOLDER(shards_are_opened_by_their_index),
        IN_A_FOLDER(a_variant_is_taken_where_there_is_no_plain_file),
        IN_A_FOLDER(the_folder_of_a_pipeline_holds_it_in_transformer),
        IN_A_FOLDER(a_corrupt_configuration_is_refused),
        IN_A_FOLDER(weights_that_are_not_finite_are_counted_by_name),
        IN_A_FOLDER(a_large_checkpoint_opens_without_being_read),
        IN_A_FOLDER(opening_survives_every_shortage_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
