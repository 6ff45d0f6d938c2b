/* weights.c - drawn weights: distributions by name and rank (vdit-model(1), RANDOM WEIGHTS). */
#include <math.h>
#include <string.h>
#include "base/parallel.h"
#include "model/weights.h"

/* Elements of a task, and those drawn at once. */
#define TASK  16384
#define BLOCK 512

static int ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), size = strlen(end);

    return length >= size && strcmp(name + length - size, end) == 0;
}

/* Returns: FNV-1a of the name, which tells the tensors of a seed apart. */
static uint32_t hash(const char *name)
{
    uint32_t h = UINT32_C(0x811c9dc5);

    for (; *name != '\0'; name++)
        h = (h ^ (unsigned char)*name) * UINT32_C(0x01000193);
    return h;
}

vdit_weight_rule vdit_weight_rule_of(const char *name, const vdit_tensor *weight, uint64_t seed)
{
    vdit_weight_rule rule = {{seed, hash(name)}, 0, 1};
    double inputs = 1;

    for (int i = 1; i < weight->rank; i++)
        inputs *= (double)weight->shape[i];
    if (ends_with(name, "scale_shift_table"))
        rule.scale = 0.3;
    else if (ends_with(name, "pos_frequencies"))
        rule.scale = 0.1; /* of angles by positions of up to a hundred */
    else if (weight->rank >= 2)
        rule.scale = 1 / sqrt(inputs); /* outputs vary as inputs do */
    else if (ends_with(name, "bias"))
        rule.scale = 0.05;
    else
        rule = (vdit_weight_rule){rule.draw, 1, 0.1}; /* of a norm */
    return rule;
}

typedef struct filling {
    const vdit_weight_rule *rule;
    unsigned char *out;
    vdit_dtype dtype;
    size_t first, count;
} filling;

static void fill_task(void *state, size_t task, int worker)
{
    const filling *f = state;
    size_t size = vdit_dtype_size(f->dtype), end = (task + 1) * TASK;
    double numbers[BLOCK];

    (void)worker;
    for (size_t at = task * TASK; at < end && at < f->count; at += BLOCK) {
        size_t n = f->count - at < BLOCK ? f->count - at : BLOCK;

        vdit_draw_normals(numbers, n, f->rule->draw, f->first + at);
        for (size_t i = 0; i < n; i++)
            vdit_store_f64(f->out + (at + i) * size, f->dtype,
                           f->rule->offset + f->rule->scale * numbers[i]);
    }
}

void vdit_weight_fill(const vdit_run *run, const vdit_weight_rule *rule, void *out,
                      vdit_dtype dtype, size_t first, size_t count)
{
    filling f = {rule, out, dtype, first, count};

    vdit_parallel(vdit_run_threads(run), count / TASK + (count % TASK != 0), fill_task, &f);
}
