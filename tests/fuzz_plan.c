/* fuzz_plan.c - the grammar of plans: what it takes has a canonical form that means the same. */
#include "fuzz.h"
#include <stdlib.h>
#include <string.h>
#include <vdit/plan.h>

const char *const fuzz_name = "plan";

/* What holds of every plan: its text gives itself, and each site has an edit or an error. */
static void use(vdit_run *run, vdit_plan *plan)
{
    static const vdit_site sites[] = {{0, 0, 0, VDIT_BRANCH_COND, VDIT_KIND_FULL, {0}, 8},
                                      {44, 3, 1, VDIT_BRANCH_UNCOND, VDIT_KIND_CROSS, {0}, 300}};
    char *text = vdit_plan_text(run, plan), *again;
    vdit_tensor tensor = {0};
    vdit_plan *same;
    vdit_edit edit;

    if (text == NULL || vdit_plan_parse(run, &same, text, strlen(text)) != VDIT_OK)
        abort();
    again = vdit_plan_text(run, same);
    if (again == NULL || strcmp(text, again) != 0 ||
        vdit_plan_file_count(plan) != vdit_plan_file_count(same))
        abort();
    for (size_t i = 0; i < vdit_plan_file_count(plan); i++)
        vdit_plan_bind(plan, i, &tensor);
    for (size_t i = 0; i < sizeof sites / sizeof *sites; i++) {
        vdit_plan_gate(plan, &sites[i]);
        if (vdit_plan_edit(run, plan, &sites[i], &edit) == VDIT_OK)
            vdit_edit_order(run, &edit);
        else if (vdit_run_message(run)[0] == '\0')
            abort();
        vdit_run_clear(run);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    vdit_run *run = vdit_run_new();
    vdit_site site = {0};
    vdit_plan *plan;
    char text[64];

    if (run == NULL)
        return 0;
    if (vdit_plan_parse(run, &plan, (const char *)bytes, size) == VDIT_OK)
        use(run, plan);
    else if (vdit_run_message(run)[0] == '\0')
        abort();
    vdit_run_clear(run);
    if (size < sizeof text) {
        memcpy(text, bytes, size);
        text[size] = '\0';
        vdit_site_parse(run, &site, text);
    }
    vdit_run_free(run);
    return 0;
}
