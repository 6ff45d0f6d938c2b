/* check_explain.c - vdit-check --explain: what is wrong with a case that fails, where, and how to see it. */
#include "config.h"
#include "check.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define SHOWN   6    /* the worst parts of a profile that are printed */
#define LINES   1024 /* of a picture */
#define DECADES 4    /* from the largest z to white */

/* Prints the worst parts along an axis, the worst first: "12: 340.5". */
static void print_profile(const char *what, const double *rms, size_t count)
{
    size_t shown[SHOWN], n = 0;

    for (size_t i = 0; i < count; i++) {
        size_t at = n;
        while (at > 0 && rms[shown[at - 1]] < rms[i])
            at--;
        if (at == SHOWN)
            continue;
        n += n < SHOWN;
        memmove(shown + at + 1, shown + at, (n - 1 - at) * sizeof *shown);
        shown[at] = i;
    }
    printf("    rms z by %-22s", what);
    for (size_t i = 0; i < n; i++)
        printf(" %zu: %.3g", shown[i], rms[shown[i]]);
    printf("%s\n", n < count ? " ..." : "");
}

/* Writes the residual of the worst case so far: white where z is small, black where it is largest. */
static void write_picture(check_job *j, const vdit_case_finding *f, const vdit_golden *golden,
                          const vdit_tensor *sigma, const vdit_tensor *o)
{
    vdit_meta text = {"Title", f->name};
    vdit_tensor residual, image;
    double range[2];

    if (j->picture == NULL || !(f->main.difference.z > j->picture_z))
        return;
    j->picture_z = f->main.difference.z;
    if (vdit_case_residual(j->run, &residual, golden, sigma, o, LINES) == VDIT_OK &&
        vdit_shade(j->run, &image, &residual, VDIT_SHADE_LOG, DECADES, range) == VDIT_OK)
        vdit_png_write(j->run, j->picture, &image, &text, 1);
    program_check(j->run);
}

void check_explain(check_job *j, check_explained *explained, const vdit_case_finding *f,
                   const vdit_golden *golden, const vdit_named *list, size_t count)
{
    vdit_tensor sigma;
    const vdit_tensor *own = NULL;

    memset(explained, 0, sizeof *explained);
    if (golden->op != VDIT_OP_ATTENTION || f->verdict != VDIT_FAILS || !f->main.measured)
        return;
    if (f->contract != golden->contract && f->contract != vdit_contract_find("exact")) {
        vdit_golden_sigma(j->run, &sigma, golden, f->contract);
        own = &sigma;
    }
    if (vdit_case_explain(j->run, &explained->explanation, golden, own, list, count) != VDIT_OK)
        return;
    for (size_t i = 0; i < count; i++)
        for (int axis = VDIT_PROFILE_HEADS;
             strcmp(list[i].name, "o") == 0 && axis <= VDIT_PROFILE_CHANNELS; axis++)
            vdit_case_profile(j->run, &explained->rms[axis], &explained->count[axis], golden, own,
                              &list[i].tensor, (vdit_profile_axis)axis);
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, "o") == 0)
            write_picture(j, f, golden, own, &list[i].tensor);
    explained->is_explained = vdit_run_status(j->run) == VDIT_OK;
}

void check_explain_print(const check_job *j, const check_explained *explained,
                         const vdit_case_finding *f)
{
    static const char *const axes[] = {"batch and head", "tile of 64 rows", "channel"};
    const vdit_explanation *e = &explained->explanation;

    if (!explained->is_explained)
        return;
    if (e->hypothesis != NULL)
        printf("    consistent with: %s (%.2f%% of the residual; rms z %.3g is left)\n", e->text,
               100 * e->share, e->rms);
    else
        printf("    consistent with no hypothesis%s%s\n", e->text[0] ? "; nearest: " : "", e->text);
    for (int axis = VDIT_PROFILE_HEADS; axis <= VDIT_PROFILE_CHANNELS; axis++)
        print_profile(axes[axis], explained->rms[axis], explained->count[axis]);
    printf("    again: vdit-check --explain --case %s %s\n", f->name, j->again);
    fflush(stdout);
}
