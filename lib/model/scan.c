/* scan.c - weights that are not finite: no network can use them, and none tells from its output which they were. */
#include <string.h>
#include "base/parallel.h"
#include "model/family.h"

/* Elements that one task looks at, and tasks between two reports of progress. */
#define TASK  ((size_t)1 << 18)
#define BATCH 256

/* The bits of an encoding that are all set where it is not finite; its fraction tells NaN from infinity. */
typedef struct layout {
    uint32_t exponent, fraction;
} layout;

static layout layout_of(vdit_dtype dtype)
{
    if (dtype == VDIT_F16)
        return (layout){0x7c00, 0x03ff};
    if (dtype == VDIT_BF16)
        return (layout){0x7f80, 0x007f};
    return (layout){UINT32_C(0x7f800000), UINT32_C(0x007fffff)};
}

typedef struct counts {
    size_t nan, infinite;
} counts;

typedef struct scanning {
    const vdit_tensor *tensor;
    size_t first, count; /* elements of this batch */
    counts found[BATCH];
} scanning;

/* Returns: the encoding of an element, as an integer. */
static uint32_t code_at(const vdit_tensor *t, size_t i)
{
    uint32_t wide;
    uint16_t half;

    if (t->dtype == VDIT_F32) {
        memcpy(&wide, (const char *)t->data + 4 * i, sizeof wide);
        return wide;
    }
    memcpy(&half, (const char *)t->data + 2 * i, sizeof half);
    return half;
}

/* Counts without branches: nearly all weights are finite, and the loop is as fast as memory. */
static void scan_task(void *state, size_t task, int worker)
{
    scanning *s = state;
    layout bits = layout_of(s->tensor->dtype);
    size_t end = (task + 1) * TASK < s->count ? (task + 1) * TASK : s->count;
    counts found = {0, 0};

    (void)worker;
    for (size_t i = task * TASK; i < end; i++) {
        uint32_t code = code_at(s->tensor, s->first + i);
        size_t special = (code & bits.exponent) == bits.exponent;
        size_t nan = special & (size_t)((code & bits.fraction) != 0);

        found.nan += nan;
        found.infinite += special - nan;
    }
    s->found[task] = found;
}

/* Out: fault, what a tensor holds. In, Out: done, of total elements. */
static vdit_status scan_tensor(vdit_run *run, const vdit_tensor *t, vdit_weight_fault *fault,
                               double *done, double total)
{
    scanning s = {.tensor = t};
    size_t count = vdit_tensor_count(t);

    for (; s.first < count && vdit_run_status(run) == VDIT_OK; s.first += s.count) {
        size_t tasks;

        s.count = count - s.first < BATCH * TASK ? count - s.first : BATCH * TASK;
        tasks = s.count / TASK + (s.count % TASK != 0);
        vdit_parallel(vdit_run_threads(run), tasks, scan_task, &s);
        for (size_t i = 0; i < tasks; i++) {
            fault->nan += s.found[i].nan;
            fault->infinite += s.found[i].infinite;
        }
        *done += (double)s.count;
        vdit_run_progress(run, "scan", *done, total);
    }
    return vdit_run_status(run);
}

vdit_status vdit_model_scan(vdit_run *run, const vdit_model *model, vdit_weight_fault **faults,
                            size_t *count)
{
    size_t tensors = model->weights != NULL ? vdit_file_count(model->weights) : 0, found = 0;
    vdit_weight_fault *made = vdit_run_alloc(run, tensors, sizeof *made);
    double done = 0, total = 0;

    if (made == NULL)
        return vdit_run_status(run);
    for (size_t i = 0; i < tensors; i++)
        total += (double)vdit_tensor_count(vdit_file_tensor(model->weights, i));
    for (size_t i = 0; i < tensors; i++) {
        vdit_weight_fault fault = {vdit_file_name(model->weights, i), 0, 0};

        if (scan_tensor(run, vdit_file_tensor(model->weights, i), &fault, &done, total) != VDIT_OK)
            return vdit_run_status(run);
        if (fault.nan + fault.infinite > 0)
            made[found++] = fault;
    }
    *faults = made;
    *count = found;
    return VDIT_OK;
}
