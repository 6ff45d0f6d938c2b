/* check_pair.c - two tensor files, of which nothing is known but their tensors. */
#include "config.h"
#include "check.h"
#include <string.h>
#include <unistd.h>

/* A tensor file, or one tensor of it. */
typedef struct side {
    vdit_file *file;
    vdit_tensor picked;
    int is_picked;
} side;

/* FILE opens all of it; FILE:NAME one tensor, unless there is a file of that whole name. */
static void open_side(vdit_run *run, side *s, const char *spec)
{
    memset(s, 0, sizeof *s);
    s->is_picked = access(spec, F_OK) != 0 && strchr(spec, ':') != NULL;
    if (s->is_picked)
        vdit_file_pick(run, &s->file, &s->picked, spec);
    else
        vdit_file_open(run, &s->file, spec);
    program_check(run);
    if (!s->is_picked && vdit_file_count(s->file) == 1) {
        s->picked = *vdit_file_tensor(s->file, 0);
        s->is_picked = 1;
    }
}

static void judge_pair(check_job *j, const char *name, const vdit_tensor *expected,
                       const vdit_tensor *actual, const vdit_tensor *sigma)
{
    const check_waiver *waiver = NULL;
    vdit_case_finding f;

    vdit_pair_judge(j->run, &f, name, expected, actual, sigma, j->contract);
    program_check(j->run);
    if (f.verdict != VDIT_HOLDS)
        waiver = check_waivers_find(&j->waivers, name);
    vdit_tally_add(&j->tally, &f, waiver != NULL);
    check_print(&j->printer, &f, waiver);
}

/* Every tensor of EXPECTED must be in ACTUAL; single tensors need not have one name. */
void check_pair(check_job *j, const char *expected_spec, const char *actual_spec,
                const char *sigma_spec)
{
    side expected, actual, sigma = {NULL, {0}, 0};

    open_side(j->run, &expected, expected_spec);
    open_side(j->run, &actual, actual_spec);
    if (sigma_spec != NULL) {
        open_side(j->run, &sigma, sigma_spec);
        if (!sigma.is_picked || !expected.is_picked)
            program_fail("--sigma: it goes with one tensor, FILE:NAME");
    }
    if (expected.is_picked && actual.is_picked) {
        j->printer.width = strlen(expected_spec);
        judge_pair(j, expected_spec, &expected.picked, &actual.picked,
                   sigma.is_picked ? &sigma.picked : NULL);
    } else if (expected.is_picked) {
        program_fail("%s holds several tensors; %s is one: pick one by %s:NAME", actual_spec,
                     expected_spec, actual_spec);
    }
    for (size_t i = 0; !expected.is_picked && i < vdit_file_count(expected.file); i++) {
        size_t length = strlen(vdit_file_name(expected.file, i));
        j->printer.width = length > j->printer.width ? length : j->printer.width;
    }
    for (size_t i = 0; !expected.is_picked && i < vdit_file_count(expected.file); i++) {
        const char *name = vdit_file_name(expected.file, i);
        judge_pair(j, name, vdit_file_tensor(expected.file, i), vdit_file_find(actual.file, name),
                   NULL);
    }
    vdit_file_close(expected.file);
    vdit_file_close(actual.file);
    vdit_file_close(sigma.file);
}
