/* model_init.c - vdit-model init: a checkpoint of random weights. */
#include "model.h"
#include "program.h"
#include <stdio.h>
#include <string.h>

static double elements(const vdit_model_survey *survey)
{
    double count = 0;

    for (size_t i = 0; i < survey->weight_count; i++)
        count += (double)vdit_tensor_count(&survey->weights[i].tensor);
    return count;
}

int model_init(vdit_run *run, const model_settings *set, model_operands operands)
{
    vdit_dtype dtype = model_dtype(set, VDIT_F32);
    vdit_model_survey survey;
    vdit_extents smallest;
    vdit_model *model;
    char bytes[32];
    double count;

    if (operands.count < 1)
        program_fail("expected init FAMILY; see --help");
    if (set->output == NULL)
        program_fail("init needs -o DIR");
    vdit_model_preset(run, &model, operands.list[0], set->size,
                      (const char *const *)operands.list + 1, operands.count - 1);
    program_check(run);
    smallest = vdit_model_smallest(model);
    vdit_model_survey_of(run, model, &smallest, VDIT_F32, &survey);
    program_check(run);
    count = elements(&survey);
    program_progress(run);
    vdit_model_make(run, model, set->output, set->seed, dtype, set->shard_size);
    program_check(run);
    program_progress_clear();
    if (set->json)
        model_print_json(json_pack("{s:s, s:s, s:f, s:I, s:s, s:I}", "folder", set->output,
                                   "family", vdit_model_family(model), "parameters", count,
                                   "tensors", (json_int_t)survey.weight_count, "dtype",
                                   vdit_dtype_name(dtype), "seed", (json_int_t)set->seed));
    else
        printf("%s: %s, %.0f parameters in %zu tensors, %s, %s\n", set->output,
               vdit_model_family(model), count, survey.weight_count, vdit_dtype_name(dtype),
               program_bytes_text(bytes, sizeof bytes, count * (double)vdit_dtype_size(dtype)));
    vdit_model_close(model);
    return 0;
}
