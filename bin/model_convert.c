/* model_convert.c - vdit-model convert: other layouts, dtypes and shards. */
#include "model.h"
#include "program.h"
#include <stdio.h>

/* One operand is a checkpoint here; with a family it is a file of the original's layout. */
int model_convert(vdit_run *run, const model_settings *set, model_operands operands)
{
    vdit_dtype dtype = model_dtype(set, VDIT_F32);
    const vdit_dtype *wanted = set->dtype != NULL ? &dtype : NULL;
    vdit_model *model = NULL;

    if (operands.count < 1)
        program_fail("expected convert DIR or convert FILE FAMILY; see --help");
    if (set->output == NULL)
        program_fail("convert needs -o DIR");
    if (operands.count == 1)
        vdit_model_open(run, &model, operands.list[0]);
    else
        vdit_model_preset(run, &model, operands.list[1], set->size,
                          (const char *const *)operands.list + 2, operands.count - 2);
    program_check(run);
    program_progress(run);
    vdit_model_convert(run, model, operands.count > 1 ? operands.list[0] : NULL, set->output,
                       wanted, set->shard_size);
    program_check(run);
    program_progress_clear();
    if (set->json)
        model_print_json(
            json_pack("{s:s, s:s}", "folder", set->output, "family", vdit_model_family(model)));
    else
        printf("%s: %s\n", set->output, vdit_model_family(model));
    vdit_model_close(model);
    return 0;
}
