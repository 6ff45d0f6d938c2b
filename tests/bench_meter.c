/*
 * bench_meter.c - seconds per head of each meter, beside plain exact attention of the same call.
 *
 *     bench_meter F H W TEXT D [METERS]
 *
 * One self-attention [1, 1, N, D] in f32, N = F H W + TEXT, all rows. Prints a line "NAME SECONDS RATIO" for plain
 * attention, for each meter alone, and for all of them together; with METERS, for those in one request. Plain attention is timed before
 * each meter, and the ratio is to that time.
 */
#include <config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vdit/meter.h>
#include "bench.h"

#define MOST 2048 /* characters of a request */

static double time_plain(vdit_run *run, const vdit_attention *call)
{
    size_t mark = vdit_run_mark(run);
    vdit_attention plain = *call;
    double start = bench_seconds();
    vdit_tensor o = {0};

    vdit_tensor_new(run, &o, VDIT_F32, 4, call->q->shape);
    plain.o = &o;
    vdit_attention_reference(run, &plain);
    bench_require(run);
    vdit_run_release(run, mark);
    return bench_seconds() - start;
}

static void time_meters(vdit_run *run, const vdit_attention *call, const vdit_tokens *tokens,
                        const char *name, const char *meters)
{
    size_t mark = vdit_run_mark(run);
    double plain = time_plain(run, call), start = bench_seconds();
    vdit_meter_request request;
    vdit_meter_results results;

    vdit_meter_request_init(&request, meters);
    request.tokens = *tokens;
    request.other_q = call->k; /* any other call of this shape */
    request.other_k = call->q;
    vdit_meter_run(run, call, &request, &results);
    bench_require(run);
    start = bench_seconds() - start;
    printf("%-14s %9.3f %6.2f\n", name, start, start / plain);
    fflush(stdout);
    vdit_run_release(run, mark);
}

static void time_each(vdit_run *run, const vdit_attention *call, const vdit_tokens *tokens)
{
    const vdit_meter_info *info;
    char all[MOST] = "";

    printf("%-14s %9.3f %6.2f\n", "plain", time_plain(run, call), 1.0);
    for (size_t i = 0; (info = vdit_meter_at(i)) != NULL; i++) {
        char one[128];

        /* the map itself is not a statistic: a part of it */
        snprintf(one, sizeof one, "%s%s", info->name,
                 strcmp(info->name, "rectangle") == 0 ? ":rows=64" : "");
        time_meters(run, call, tokens, info->name, one);
        if (strlen(all) + strlen(one) + 2 < sizeof all) {
            strcat(all, i > 0 ? "," : "");
            strcat(all, one);
        }
    }
    time_meters(run, call, tokens, "all together", all);
}

int main(int argc, char **argv)
{
    vdit_run *run = vdit_run_new();
    size_t shape[4] = {1, 1, 0, 0};
    vdit_tokens tokens = {0};
    vdit_tensor q, k, v;
    vdit_attention call;

    if (argc != 6 && argc != 7)
        return 2;
    tokens.frames = strtoul(argv[1], NULL, 10);
    tokens.height = strtoul(argv[2], NULL, 10);
    tokens.width = strtoul(argv[3], NULL, 10);
    tokens.text = strtoul(argv[4], NULL, 10);
    shape[2] = tokens.frames * tokens.height * tokens.width + tokens.text;
    shape[3] = strtoul(argv[5], NULL, 10);
    vdit_run_set_threads(run, BENCH_THREADS);
    q = bench_normal(run, VDIT_F32, 4, shape, 1);
    k = bench_normal(run, VDIT_F32, 4, shape, 2);
    v = bench_normal(run, VDIT_F32, 4, shape, 3);
    bench_require(run);
    vdit_attention_init(&call, &q, &k, &v);
    if (argc == 7)
        time_meters(run, &call, &tokens, "meters", argv[6]);
    else
        time_each(run, &call, &tokens);
    vdit_run_free(run);
    return 0;
}
