/* test_model_make.c - configurations by name, their sizes, and checkpoints of random weights. */
#include "config.h"
#include "file_support.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vdit/model.h>
#include "file/folder.h"
#include "model/family.h"
#include "model/weights.h"

#define STEM "diffusion_pytorch_model"

static vdit_model *preset(vdit_run *run, const char *family, const char *size)
{
    vdit_model *model = NULL;

    vdit_model_preset(run, &model, family, size, NULL, 0);
    assert_string_equal(vdit_run_message(run), "");
    return model;
}

static vdit_model_survey survey_of(vdit_run *run, const vdit_model *model)
{
    vdit_extents smallest = vdit_model_smallest(model);
    vdit_model_survey survey = {0};

    vdit_model_survey_of(run, model, &smallest, VDIT_F32, &survey);
    assert_string_equal(vdit_run_message(run), "");
    return survey;
}

/*
 * Counts of the published models and of diffusers' own test configurations, whose modules were counted in PyTorch; two
 * of them are given in the descriptions of the checkpoints.
 */
static void sizes_have_the_parameters_of_the_originals(void **state)
{
    static const struct {
        const char *family, *size;
        uint64_t parameters;
        size_t tensors;
    } known[] = {
        {"wan", "tiny", 25592, 69},
        {"wan", "1.3B", 1418996800, 825},
        {"wan", "14B", UINT64_C(14288491584), 1095},
        {"mochi", "tiny", 16360, 59},
        {"mochi", "mochi-1", UINT64_C(10027677744), 1071},
        {"hunyuan", "tiny", 46584, 92},
        {"hunyuan", "hunyuanvideo", UINT64_C(12821012544), 1264},
        {"cogvideox", "tiny", 8664, 64},
        {"cogvideox", "2b", 1693783872, 736},
        {"cogvideox", "5b", UINT64_C(5570283072), 1024},
    };

    for (size_t i = 0; i < COUNT_OF(known); i++) {
        vdit_model *model = preset(*state, known[i].family, known[i].size);
        vdit_model_survey survey = survey_of(*state, model);
        uint64_t parameters = 0;

        for (size_t j = 0; j < survey.weight_count; j++)
            parameters += vdit_tensor_count(&survey.weights[j].tensor);
        if (parameters != known[i].parameters || survey.weight_count != known[i].tensors)
            fail_msg("%s %s: %ju parameters in %zu tensors", known[i].family, known[i].size,
                     (uintmax_t)parameters, survey.weight_count);
        vdit_model_close(model);
    }
}

/* The constructor's defaults are one of the published sizes. */
static void without_a_size_the_defaults_hold(void **state)
{
    vdit_model *model = preset(*state, "wan", NULL), *named = preset(*state, "wan", "14B");

    assert_string_equal(vdit_model_configuration(model), vdit_model_configuration(named));
    vdit_model_close(model);
    vdit_model_close(named);
}

static void settings_replace_keys_and_are_checked_like_them(void **state)
{
    static const char *const good[] = {"num_layers=3", "patch_size=[1, 4, 4]", "num_layers=1",
                                       "qk_norm=rms_norm_across_heads", "cross_attn_norm=false"};
    static const char *const bad[][2] = {
        {"num_layers", "setting 'num_layers', expected KEY=VALUE"},
        {"=3", "setting '=3', expected KEY=VALUE"},
        {"layers=3", "wan tiny: key \"layers\" is not known"},
        {"num_layers=x", "wan tiny: key \"num_layers\": expected a whole number from 0 to 4096"},
        {"a=\xff", "setting 'a=\xff', expected UTF-8"},
    };
    vdit_run *run = *state;
    vdit_model *model = NULL;

    assert_int_equal(vdit_model_preset(run, &model, "wan", "tiny", good, COUNT_OF(good)), VDIT_OK);
    assert_non_null(strstr(vdit_model_configuration(model), "\"num_layers\": 1,"));
    assert_non_null(strstr(vdit_model_configuration(model), "\"cross_attn_norm\": false,"));
    vdit_model_close(model);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        model = NULL;
        assert_int_not_equal(vdit_model_preset(run, &model, "wan", "tiny", bad[i], 1), VDIT_OK);
        assert_string_equal(vdit_run_message(run), bad[i][1]);
        assert_null(model);
        vdit_run_clear(run);
    }
}

static void unknown_names_are_answered_by_those_that_there_are(void **state)
{
    vdit_run *run = *state;
    vdit_model *model = NULL;

    vdit_model_preset(run, &model, "wen", "tiny", NULL, 0);
    assert_string_equal(vdit_run_message(run),
                        "family 'wen', expected one of wan, mochi, hunyuan, cogvideox");
    vdit_run_clear(run);
    vdit_model_preset(run, &model, "wan", "2B", NULL, 0);
    assert_string_equal(vdit_run_message(run), "size '2B' of wan, expected one of tiny, 1.3B, 14B");
}

/* Whatever stands for a key, there is one line that says no, or a network that can be surveyed. */
static void hostile_values_of_every_key_neither_crash_nor_hang(void **state)
{
    static const char *const values[] = {"0",
                                         "1",
                                         "-1",
                                         "2147483647",
                                         "2147483648",
                                         "4096",
                                         "7",
                                         "[]",
                                         "{}",
                                         "null",
                                         "true",
                                         "\"\"",
                                         "1e308",
                                         "-1e-308",
                                         "9223372036854775807",
                                         "[2147483648, 2147483648, 2147483648]",
                                         "[1, 1, 1]"};
    const vdit_network *family;

    for (size_t f = 0; (family = vdit_network_at(f)) != NULL; f++) {
        vdit_model *tiny = preset(*state, family->name, "tiny");
        json_t *keys = json_loads(vdit_model_configuration(tiny), 0, NULL), *value;
        const char *key;

        json_object_foreach(keys, key, value)
        {
            for (size_t i = 0; key[0] != '_' && i < COUNT_OF(values); i++) {
                vdit_run *run = vdit_run_new();
                vdit_model *model = NULL;
                char text[200];
                const char *const setting = text;

                snprintf(text, sizeof text, "%s=%s", key, values[i]);
                if (vdit_model_preset(run, &model, family->name, "tiny", &setting, 1) == VDIT_OK) {
                    vdit_extents smallest = vdit_model_smallest(model);
                    vdit_model_survey survey;

                    vdit_model_survey_of(run, model, &smallest, VDIT_F32, &survey);
                }
                if (vdit_run_status(run) != VDIT_OK)
                    assert_int_not_equal(vdit_run_message(run)[0], 0);
                vdit_model_close(model);
                vdit_run_free(run);
            }
        }
        json_decref(keys);
        vdit_model_close(tiny);
    }
}

/* Two names of one hash would have equal weights where their shapes are equal. */
static void no_two_weights_of_a_network_share_their_numbers(void **state)
{
    const vdit_network *family;

    for (size_t f = 0; (family = vdit_network_at(f)) != NULL; f++)
        for (const vdit_preset *p = family->presets; p->name != NULL; p++) {
            vdit_model *model = preset(*state, family->name, p->name);
            vdit_model_survey survey = survey_of(*state, model);
            uint32_t *seen = vdit_run_alloc(*state, survey.weight_count, sizeof *seen);

            for (size_t i = 0; i < survey.weight_count; i++) {
                seen[i] = vdit_weight_rule_of(survey.weights[i].name, &survey.weights[i].tensor, 1)
                              .draw.tensor;
                for (size_t j = 0; j < i; j++)
                    if (seen[i] == seen[j])
                        fail_msg("%s: %s and %s", family->name, survey.weights[i].name,
                                 survey.weights[j].name);
            }
            vdit_model_close(model);
        }
}

/* Mean and variance of what each distribution promises, within 5 standard errors. */
static void weights_have_the_distributions_of_the_manual(void **state)
{
    static const struct {
        const char *family, *name;
        double mean, deviation;
    } known[] = {
        {"wan", "blocks.0.scale_shift_table", 0, 0.3},
        {"wan", "blocks.0.norm2.weight", 1, 0.1},
        {"wan", "blocks.0.norm2.bias", 0, 0.05},
        {"wan", "condition_embedder.time_embedder.linear_1.weight", 0, 1.0 / 16}, /* 256 inputs */
        {"wan", "patch_embedding.weight", 0, 0.25}, /* 4 x 1 x 2 x 2 */
        {"mochi", "pos_frequencies", 0, 0.1},
    };

    for (size_t k = 0; k < COUNT_OF(known); k++) {
        vdit_model *model = preset(*state, known[k].family, "tiny");
        const vdit_tensor *t;
        double sum = 0, squares = 0, n;

        assert_int_equal(vdit_model_draw(*state, model, 3, VDIT_F32), VDIT_OK);
        t = vdit_file_find(vdit_model_weights(model), known[k].name);
        n = (double)vdit_tensor_count(t);
        for (size_t i = 0; i < vdit_tensor_count(t); i++) {
            double x = (((const float *)t->data)[i] - known[k].mean) / known[k].deviation;

            sum += x / n;
            squares += x * x / n;
        }
        if (!(fabs(sum) < 5 / sqrt(n) && fabs(squares - 1) < 5 * sqrt(2 / n)))
            fail_msg("%s: mean %g, variance %g of %g numbers", known[k].name, sum, squares, n);
        vdit_model_close(model);
    }
}

/* Removes what is made in "m". */
static void remove_folder(void)
{
    char name[100];

    for (int shards = 1; shards < 80; shards++)
        for (int i = 1; i <= shards; i++) {
            snprintf(name, sizeof name, STEM "-%05d-of-%05d.safetensors", i, shards);
            vdit_folder_remove_file("m", name);
        }
    vdit_folder_remove_file("m", STEM ".safetensors");
    vdit_folder_remove_file("m", STEM ".safetensors.index.json");
    vdit_folder_remove_file("m", "config.json");
    vdit_folder_remove("m");
    assert_int_equal(access("m", F_OK), -1);
}

/* For each dtype, whole and in shards, on any number of threads. */
static void a_folder_holds_the_weights_that_are_drawn_in_memory(void **state)
{
    static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};
    vdit_run *run = *state;

    for (size_t k = 0; k < COUNT_OF(dtypes) * 2; k++) {
        vdit_model *drawn = preset(run, "hunyuan", "tiny"), *model = NULL;
        size_t size = vdit_dtype_size(dtypes[k / 2]);
        const vdit_file *file;

        vdit_run_set_threads(run, 1);
        vdit_model_draw(run, drawn, 9, dtypes[k / 2]);
        vdit_run_set_threads(run, 3);
        vdit_model_make(run, drawn, "m", 9, dtypes[k / 2], k % 2 ? 30000 : 1000000);
        assert_int_equal(access("m/" STEM ".safetensors.index.json", F_OK), k % 2 ? 0 : -1);
        vdit_model_open(run, &model, "m");
        assert_string_equal(vdit_run_message(run), "");
        file = vdit_model_weights(model);
        assert_int_equal(vdit_file_count(file), vdit_file_count(vdit_model_weights(drawn)));
        for (size_t i = 0; i < vdit_file_count(file); i++) {
            const vdit_tensor *t = vdit_file_tensor(file, i);
            const vdit_tensor *u =
                vdit_file_find(vdit_model_weights(drawn), vdit_file_name(file, i));

            assert_int_equal(t->dtype, dtypes[k / 2]);
            assert_memory_equal(t->data, u->data, size * vdit_tensor_count(t));
        }
        vdit_model_close(model);
        vdit_model_close(drawn);
        remove_folder();
    }
}

/* Returns: bytes of a shard's tensors. Out: count, of its tensors; first, bytes of the first. */
static size_t measure_shard(vdit_run *run, size_t i, size_t shards, size_t *count, size_t *first)
{
    vdit_file *file = NULL;
    char name[100];
    size_t bytes = 0;

    snprintf(name, sizeof name, "m/" STEM "-%05zu-of-%05zu.safetensors", i, shards);
    assert_int_equal(vdit_file_open(run, &file, name), VDIT_OK);
    *count = vdit_file_count(file);
    *first = 4 * vdit_tensor_count(vdit_file_tensor(file, 0));
    for (size_t j = 0; j < *count; j++)
        bytes += 4 * vdit_tensor_count(vdit_file_tensor(file, j));
    assert_string_equal(vdit_file_meta(file, "format"), "pt");
    vdit_file_close(file);
    return bytes;
}

static void a_shard_holds_what_its_size_allows_or_one_tensor(void **state)
{
    static const size_t limits[] = {25000, 10000, 1};
    vdit_model *model = preset(*state, "wan", "tiny");

    for (size_t k = 0; k < COUNT_OF(limits); k++) {
        size_t shards = 0, before = 0, count = 0, first, alone = 0;
        char name[100] = "m";

        assert_int_equal(vdit_model_make(*state, model, "m", 9, VDIT_F32, limits[k]), VDIT_OK);
        while (access(name, F_OK) != 0 || shards == 0)
            snprintf(name, sizeof name, "m/" STEM "-00001-of-%05zu.safetensors", ++shards);
        for (size_t i = 1; i <= shards; i++) {
            size_t bytes = measure_shard(*state, i, shards, &count, &first);

            assert_true(bytes <= limits[k] || count == 1);
            assert_true(i == 1 || before + first > limits[k]);
            alone += bytes > limits[k];
            before = bytes;
        }
        assert_true(alone > 0 || k == 0); /* 24 x 256 f32 are 24,576 bytes */
        remove_folder();
    }
    vdit_model_close(model);
}

static void a_folder_that_exists_is_left_alone(void **state)
{
    vdit_model *model = preset(*state, "wan", "tiny");

    assert_int_equal(mkdir("m", 0777), 0);
    assert_int_equal(vdit_model_make(*state, model, "m", 1, VDIT_F32, 1000000), VDIT_ERR_IO);
    assert_failure(*state, VDIT_ERR_IO, "m", "cannot make the folder: File exists");
    assert_int_equal(rmdir("m"), 0);
    vdit_model_close(model);
}

static int cancel(void *state, const char *what, double done, double total)
{
    (void)what;
    return done / total > *(double *)state;
}

static void what_is_cancelled_leaves_nothing(void **state)
{
    vdit_run *run = *state;
    vdit_model *model = preset(run, "wan", "tiny");
    double part = 0.7;

    vdit_run_set_progress(run, cancel, &part);
    assert_int_equal(vdit_model_make(run, model, "m", 1, VDIT_F32, 25000), VDIT_ERR_CANCELLED);
    assert_int_equal(access("m", F_OK), -1);
    vdit_model_close(model);
}

static void weights_are_f32_bf16_or_f16(void **state)
{
    vdit_model *model = preset(*state, "wan", "tiny");

    assert_int_equal(vdit_model_draw(*state, model, 1, VDIT_F64), VDIT_ERR_DTYPE);
    vdit_run_clear(*state);
    assert_int_equal(vdit_model_make(*state, model, "m", 1, VDIT_I32, 1), VDIT_ERR_DTYPE);
    assert_string_equal(vdit_run_message(*state),
                        "wan tiny: weights in i32, expected f32, bf16 or f16");
    assert_int_equal(access("m", F_OK), -1);
    vdit_model_close(model);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, file_setup, file_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(sizes_have_the_parameters_of_the_originals),
        IN_A_FOLDER(without_a_size_the_defaults_hold),
        IN_A_FOLDER(settings_replace_keys_and_are_checked_like_them),
        IN_A_FOLDER(unknown_names_are_answered_by_those_that_there_are),
        IN_A_FOLDER(hostile_values_of_every_key_neither_crash_nor_hang),
        IN_A_FOLDER(no_two_weights_of_a_network_share_their_numbers),
        IN_A_FOLDER(weights_have_the_distributions_of_the_manual),
        IN_A_FOLDER(a_folder_holds_the_weights_that_are_drawn_in_memory),
        IN_A_FOLDER(a_shard_holds_what_its_size_allows_or_one_tensor),
        IN_A_FOLDER(a_folder_that_exists_is_left_alone),
        IN_A_FOLDER(what_is_cancelled_leaves_nothing),
        IN_A_FOLDER(weights_are_f32_bf16_or_f16),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
