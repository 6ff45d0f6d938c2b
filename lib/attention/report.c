/* report.c - the report of a head: cleared, of a plain map, and the score of a mask before the softmax. */
#include <math.h>
#include <string.h>
#include "attention/bits.h"
#include "attention/report.h"

int vdit_report_is_wanted(const vdit_head_report *report)
{
    return report->threshold != NULL || report->masked != NULL || report->kept_mass != NULL ||
           report->keep != NULL || report->free != NULL;
}

static size_t count_rows(const vdit_attention *call)
{
    return call->rows ? call->rows->shape[0] : call->q->shape[2];
}

void vdit_report_clear(const vdit_head_report *report, const vdit_attention *call)
{
    const vdit_tensor *numbers[3] = {report->threshold, report->masked, report->kept_mass};
    const vdit_tensor *bits[2] = {report->keep, report->free};

    for (size_t r = 0; r < count_rows(call); r++) {
        size_t index[3] = {0, 0, r};

        for (int i = 0; i < 3; i++)
            if (numbers[i] != NULL)
                memset(vdit_tensor_at(numbers[i], index), 0, vdit_dtype_size(numbers[i]->dtype));
        for (int i = 0; i < 2; i++)
            for (size_t j = 0; bits[i] != NULL && j < 8 * bits[i]->shape[3]; j += 8)
                *vdit_bits_byte(bits[i], 0, 0, r, j) = 0;
    }
}

/*
 * The keys that take part in row r, which its packed keys and those that are not finite make. Out: their bits, where
 * bits is not NULL. Returns: how many they are.
 */
static size_t list_keys(const vdit_head *head, const vdit_tensor *bits, size_t r)
{
    double mask[VDIT_TILE] = {0};
    size_t count = 0;

    for (size_t t = 0; t < head->tiles; t++) {
        size_t first = t * VDIT_TILE, keys = vdit_tile_keys(head, t);

        if (head->masked)
            vdit_head_mask_row(head, mask, r, first, keys);
        for (size_t j = 0; j < keys; j++) {
            if (mask[j] == -INFINITY)
                continue;
            count++;
            if (bits != NULL)
                vdit_bits_set(bits, 0, 0, r, head->key_at[first + j]);
        }
    }
    for (size_t i = 0; i < head->odd_key_count; i++) {
        size_t j = head->odd_keys[i];

        if (vdit_head_mask(head, r, j) == -INFINITY)
            continue;
        count++;
        if (bits != NULL)
            vdit_bits_set(bits, 0, 0, r, j);
    }
    return count;
}

vdit_status vdit_report_plain(vdit_run *run, const vdit_head_report *report,
                              const vdit_attention *call)
{
    size_t mark = vdit_run_mark(run);
    vdit_head head;

    if ((report->kept_mass == NULL && report->keep == NULL) ||
        vdit_head_new(run, &head, call) != VDIT_OK)
        return vdit_run_status(run);
    vdit_head_load(run, &head, 0, 0);
    for (size_t r = 0; r < head.row_count; r++) {
        const size_t index[3] = {0, 0, r};
        double mass = list_keys(&head, report->keep, r) > 0;

        if (report->kept_mass != NULL)
            vdit_store_f64(vdit_tensor_at(report->kept_mass, index), VDIT_F32, mass);
    }
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

vdit_status vdit_report_dense(vdit_run *run, vdit_tensor *mass, const vdit_attention *call)
{
    size_t shape[4] = {1, 1, count_rows(call), (call->k->shape[2] + 7) / 8};
    vdit_edit_report report = {.size = sizeof report, .kept_mass = mass};
    vdit_attention dense = *call;
    const vdit_edit *edits[1];
    vdit_tensor bits;
    vdit_head kept;
    vdit_edit edit;

    if (vdit_edit_is_off(call->edits[0]))
        return vdit_report_plain(run, &report, call);
    dense.o = NULL;
    if (vdit_tensor_new(run, &bits, VDIT_U8, 4, shape) != VDIT_OK ||
        vdit_head_new(run, &kept, call) != VDIT_OK)
        return vdit_run_status(run);
    memset(bits.data, 0, shape[2] * shape[3]);
    vdit_head_load(run, &kept, 0, 0);
    for (size_t r = 0; r < shape[2]; r++)
        list_keys(&kept, &bits, r);
    vdit_edit_init(&edit);
    edit.tokens = call->edits[0]->tokens;
    edit.prune = VDIT_PRUNE_MASK;
    edit.keep = &bits;
    edits[0] = &edit;
    dense.edits = edits;
    return vdit_edited_head(run, &dense, NULL, NULL, &report);
}
