/*
 * edit_argmax.c - temperature 0: a row attends evenly to the keys of its largest logit (definition C26).
 *
 * That is attention with scale 0 over the keys of the largest logit alone: the limit of the softmax as T falls to 0. Which
 * keys these are is a fact: where binary64 leaves more than one, the exact logits are compared.
 */
#include <math.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#include "attention/bits.h"
#include "attention/intervene.h"
#include "attention/walk.h"

/* Marks the keys of a lane whose logits may be the largest. Returns: how many. */
static size_t mark_lane(const vdit_walk *walk, vdit_tensor *bits, size_t lane, size_t t)
{
    const vdit_head *head = walk->head;
    size_t nr = head->kernel->nr, keys = vdit_tile_keys(head, t), count = 0;
    /* a logit in units of log 2 errs by less than twice what its weight errs relative to it */
    double least = walk->stream.most[lane] - 4 * walk->error[lane];

    for (size_t j = 0; j < keys; j++)
        if (walk->logit[j * nr + lane % nr] >= least) {
            vdit_bits_set(bits, 0, 0, walk->stream.first + lane, head->key_at[t * VDIT_TILE + j]);
            count++;
        }
    return count;
}

/* Row r from its exact logits: the bits of the largest ones. */
static void mark_exactly(vdit_last *last, vdit_tensor *bits, size_t r)
{
    vdit_acc top, logit, difference;
    int any = 0;

    memset((char *)bits->data + r * bits->shape[3], 0, bits->shape[3]);
    vdit_last_aim(last, r);
    for (size_t j = 0; j < last->head->keys; j++) {
        int order = 1;

        if (!vdit_last_logit(&logit, last, j))
            continue;
        difference = logit;
        if (any) {
            vdit_acc_sub(&difference, &top);
            order = vdit_acc_sign(&difference);
        }
        if (order > 0) { /* all before it were smaller */
            memset((char *)bits->data + r * bits->shape[3], 0, bits->shape[3]);
            top = logit;
            any = 1;
        }
        if (order >= 0)
            vdit_bits_set(bits, 0, 0, r, last->head->key_at[j]);
    }
}

/* The rows of one block; those with several candidates are settled by the last stage. */
static void mark_block(vdit_walk *walk, vdit_tensor *bits, size_t first, size_t rows)
{
    const vdit_head *head = walk->head;
    size_t nr = head->kernel->nr, found[VDIT_STREAM_PANELS * VDIT_KERNEL_NR_MAX] = {0};

    vdit_walk_load(walk, first, rows, 0);
    for (size_t t = 0; t < head->tiles; t++)
        for (size_t p = 0; p < walk->stream.panels; p++) {
            vdit_walk_tile(walk, p, t);
            for (size_t lane = p * nr; lane < (p + 1) * nr; lane++)
                if (vdit_walk_has(walk, lane) && walk->error[lane] < 1)
                    found[lane] += mark_lane(walk, bits, lane, t);
        }
    for (size_t lane = 0; lane < rows; lane++)
        if (vdit_walk_has(walk, lane) && found[lane] != 1)
            mark_exactly(&walk->last, bits, first + lane);
}

vdit_status vdit_edit_argmax(vdit_run *run, const vdit_attention *call, vdit_tensor *bits)
{
    size_t rows = call->rows ? call->rows->shape[0] : call->q->shape[2], mark_at, size;
    int threads = vdit_run_threads(run);
    vdit_walk *walks;
    vdit_head head;

    mark_at = vdit_run_mark(run);
    memset(bits->data, 0, rows * bits->shape[3]);
    walks = vdit_run_alloc(run, (size_t)threads, sizeof *walks);
    if (walks == NULL || vdit_head_new(run, &head, call) != VDIT_OK)
        return vdit_run_status(run);
    vdit_head_load(run, &head, 0, 0);
    for (int i = 0; i < threads; i++)
        vdit_walk_new(run, &walks[i], &head);
    size = VDIT_STREAM_PANELS * head.kernel->nr;
    if (head.odd_key_count > 0)
        vdit_run_fail(run, VDIT_ERR_UNSUPPORTED,
                      "k has an infinity or a NaN, expected finite numbers at temperature 0");
#ifdef _OPENMP
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
#endif
    for (size_t first = 0; first < rows; first += size) {
        vdit_walk *walk = walks;
#ifdef _OPENMP
        walk += omp_get_thread_num();
#endif
        if (vdit_run_status(run) == VDIT_OK)
            mark_block(walk, bits, first, rows - first < size ? rows - first : size);
    }
    vdit_run_release(run, mark_at);
    return vdit_run_status(run);
}
