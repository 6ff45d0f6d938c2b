/*
 * bench_edit.c - seconds of one head under each kind of edit, beside the plain call.
 *
 *     bench_edit F H W TEXT D [PLAN...]
 *
 * Prints for each plan a line "SECONDS RATIO PLAN"; the first is the plain call.
 */
#include <config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vdit/attention.h>
#include <vdit/plan.h>
#include "bench.h"

static const char *const usual[] = {
    "temperature 0.2",
    "first-text 1",
    "keep sliding tile=4,4,4 window=3,3,3",
    "keep spatial window=3,3 after",
    "drop vt after",
    "mask 30%",
    "mask 30% scope=row",
    "mask 30% lost=renormalised",
    "mask 30% ties=count",
    "identity",
    "uniform over=segments",
    "blend alpha=0.25 weight=0.5",
    "mix 0.5",
};

/* Returns: seconds of the call under a plan; NULL: plain. */
static double time_plan(vdit_run *run, vdit_attention *call, vdit_site *site, const char *text)
{
    size_t mark = vdit_run_mark(run);
    const vdit_edit *edits[1];
    vdit_plan *plan;
    vdit_edit edit;
    double start;

    call->edits = NULL;
    if (text != NULL) {
        vdit_plan_parse(run, &plan, text, strlen(text));
        bench_require(run);
        vdit_plan_edit(run, plan, site, &edit);
        edit.source_q = call->q;
        edit.source_k = call->k;
        edits[0] = &edit;
        call->edits = edits;
    }
    bench_require(run);
    start = bench_seconds();
    vdit_attention_reference(run, call);
    bench_require(run);
    start = bench_seconds() - start;
    vdit_run_release(run, mark);
    return start;
}

int main(int argc, char **argv)
{
    vdit_run *run = vdit_run_new();
    vdit_site site = {.branch = VDIT_BRANCH_COND, .kind = VDIT_KIND_FULL};
    size_t shape[4] = {1, 1, 0, 0};
    vdit_tensor q, k, v, o = {0};
    vdit_attention call;
    double plain;

    if (argc < 6)
        return 2;
    site.tokens.frames = strtoul(argv[1], NULL, 10);
    site.tokens.height = strtoul(argv[2], NULL, 10);
    site.tokens.width = strtoul(argv[3], NULL, 10);
    site.tokens.text = strtoul(argv[4], NULL, 10);
    shape[3] = strtoul(argv[5], NULL, 10);
    shape[2] = site.tokens.frames * site.tokens.height * site.tokens.width + site.tokens.text;
    site.keys = shape[2];
    vdit_run_set_threads(run, BENCH_THREADS);
    q = bench_normal(run, VDIT_BF16, 4, shape, 1);
    k = bench_normal(run, VDIT_BF16, 4, shape, 2);
    v = bench_normal(run, VDIT_BF16, 4, shape, 3);
    vdit_tensor_new(run, &o, VDIT_BF16, 4, shape);
    vdit_attention_init(&call, &q, &k, &v);
    call.o = &o;
    plain = time_plan(run, &call, &site, NULL);
    printf("%8.2f %6.2f plain, %zu tokens, width %zu, bf16\n", plain, 1.0, shape[2], shape[3]);
    for (size_t i = 0; i < (argc > 6 ? (size_t)argc - 6 : sizeof usual / sizeof *usual); i++) {
        const char *text = argc > 6 ? argv[6 + i] : usual[i];
        double seconds = time_plan(run, &call, &site, text);

        printf("%8.2f %6.2f %s\n", seconds, seconds / plain, text);
        fflush(stdout);
    }
    vdit_run_free(run);
    return 0;
}
