/* model_estimate.c - vdit-model estimate: what one call of a denoiser takes: memory, operations, time. */
#include "model.h"
#include "model_time.h"
#include "program.h"
#include <stdio.h>

/* Returns: bytes of the weights; those of a configuration alone would be of the call's dtype. */
static double weight_bytes(const vdit_model_survey *survey, const vdit_dtype *assumed)
{
    double bytes = 0;

    for (size_t i = 0; i < survey->weight_count; i++) {
        const vdit_tensor *t = &survey->weights[i].tensor;

        bytes += (double)vdit_tensor_count(t) *
                 (double)vdit_dtype_size(assumed != NULL ? *assumed : t->dtype);
    }
    return bytes;
}

/* Writes "0.031 s", or minutes and seconds. Returns: text. */
static char *seconds_text(char *text, size_t size, double seconds)
{
    if (seconds >= 60)
        return program_time_text(text, size, seconds);
    snprintf(text, size, "%.2g s", seconds);
    return text;
}

static void print_words(const vdit_extents *e, vdit_dtype dtype, const vdit_model_survey *survey,
                        double weights, const double seconds[2])
{
    double share = survey->flops > 0 ? survey->attention_flops / survey->flops : 0;
    char text[32];

    printf("latents     %zu x %zu x %zu, batch %zu, %zu rows of text, %s\n", e->frames, e->height,
           e->width, e->batch, e->text, vdit_dtype_name(dtype));
    printf("weights     %s\n", program_bytes_text(text, sizeof text, weights));
    printf("memory      %s beside weights, input and output\n",
           program_bytes_text(text, sizeof text, survey->bytes));
    printf("operations  %.4g\n", survey->flops);
    printf("attention   %.4g (%.1f%%)\n", survey->attention_flops, 100 * share);
    printf("fast        about %s on this machine\n", seconds_text(text, sizeof text, seconds[0]));
    printf("reference   about %s on this machine\n", seconds_text(text, sizeof text, seconds[1]));
}

int model_estimate(vdit_run *run, const model_settings *set, model_operands operands)
{
    vdit_model *model = model_open(run, model_only(operands, "estimate DIR or estimate CONFIG"));
    vdit_dtype dtype = model_dtype(set, VDIT_F32);
    vdit_model_survey survey;
    vdit_extents extents;
    double seconds[2], weights;

    if (set->size == NULL && set->video == NULL)
        program_fail("estimate needs --size or --video FRAMESxHEIGHTxWIDTH");
    model_extents(run, model, set, &extents);
    vdit_model_survey_of(run, model, &extents, dtype, &survey);
    program_check(run);
    weights = weight_bytes(&survey, vdit_model_weights(model) == NULL ? &dtype : NULL);
    seconds[0] = model_seconds(run, vdit_backend_find("fast"), &survey, dtype);
    seconds[1] = model_seconds(run, vdit_backend_find("reference"), &survey, dtype);
    if (set->json)
        model_print_json(json_pack(
            "{s:[I,I,I], s:I, s:I, s:s, s:f, s:f, s:f, s:f, s:f, s:f}", "latents",
            (json_int_t)extents.frames, (json_int_t)extents.height, (json_int_t)extents.width,
            "batch", (json_int_t)extents.batch, "text", (json_int_t)extents.text, "dtype",
            vdit_dtype_name(dtype), "weight_bytes", weights, "memory_bytes", survey.bytes, "flops",
            survey.flops, "attention_flops", survey.attention_flops, "fast_seconds", seconds[0],
            "reference_seconds", seconds[1]));
    else
        print_words(&extents, dtype, &survey, weights, seconds);
    vdit_model_close(model);
    return 0;
}
