/* fuzz_config.c - configurations: each is refused in words, or is a network that can be surveyed. */
#include "fuzz.h"
#include <stdlib.h>
#include <string.h>
#include <vdit/model.h>

const char *const fuzz_name = "config";

/* What holds of every model: the configuration in effect is one of the same, and its smallest call is one. */
static void use(vdit_run *run, vdit_model *model)
{
    const char *text = vdit_model_configuration(model);
    vdit_extents smallest = vdit_model_smallest(model);
    vdit_model_survey survey;
    vdit_model *same = NULL;

    if (vdit_model_configure(run, &same, "again", text, strlen(text)) != VDIT_OK ||
        strcmp(text, vdit_model_configuration(same)) != 0)
        abort();
    vdit_model_close(same);
    if (vdit_model_survey_of(run, model, &smallest, VDIT_BF16, &survey) != VDIT_OK &&
        vdit_run_message(run)[0] == '\0')
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    vdit_run *run = vdit_run_new();
    vdit_model *model = NULL;

    if (run == NULL)
        return 0;
    if (vdit_model_configure(run, &model, "config", (const char *)bytes, size) == VDIT_OK)
        use(run, model);
    else if (vdit_run_message(run)[0] == '\0')
        abort();
    vdit_model_close(model);
    vdit_run_free(run);
    return 0;
}
