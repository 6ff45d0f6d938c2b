/* inputs.c - inputs of a network's call, drawn with a seed. */
#include "exact/draw.h"
#include <vdit/golden.h>

#define USUAL_TIME     500
#define USUAL_GUIDANCE 6000

/* Gives a tensor of inputs memory. Returns: 1 if there is something to fill. */
static int allocate(vdit_run *run, vdit_tensor *t)
{
    return t->rank > 0 && vdit_tensor_new(run, t, t->dtype, t->rank, t->shape) == VDIT_OK;
}

/* Fills it with normal numbers, rounded to f32 first whatever its type is. */
static void draw(vdit_run *run, vdit_tensor *t, uint64_t seed, uint32_t tensor)
{
    const vdit_draw stream = {seed, tensor};
    size_t size = vdit_dtype_size(t->dtype);

    for (size_t i = 0, n = allocate(run, t) ? vdit_tensor_count(t) : 0; i < n; i++)
        vdit_store_f64((char *)t->data + i * size, t->dtype,
                       vdit_round_f64(VDIT_F32, vdit_draw_normal(stream, i)));
}

/* Fills it with one number. */
static void fill(vdit_run *run, vdit_tensor *t, int64_t value)
{
    for (size_t i = 0, n = allocate(run, t) ? vdit_tensor_count(t) : 0; i < n; i++) {
        char *at = (char *)t->data + i * vdit_dtype_size(t->dtype);

        if (vdit_dtype_is_float(t->dtype))
            vdit_store_f64(at, t->dtype, (double)value);
        else if (t->dtype == VDIT_I64)
            *(int64_t *)at = value;
        else if (t->dtype == VDIT_I32)
            *(int32_t *)at = (int32_t)value;
        else
            *(unsigned char *)at = (unsigned char)value;
    }
}

vdit_status vdit_inputs_draw(vdit_run *run, vdit_model_inputs *inputs, const vdit_model *model,
                             const vdit_extents *extents, uint64_t seed)
{
    vdit_model_inputs made;

    if (vdit_model_inputs_of(run, model, extents, &made) != VDIT_OK)
        return vdit_run_status(run);
    draw(run, &made.latents, seed, 0);
    draw(run, &made.text, seed, 1);
    draw(run, &made.pooled, seed, 2);
    fill(run, &made.timestep, USUAL_TIME);
    fill(run, &made.text_mask, 1);
    fill(run, &made.guidance, USUAL_GUIDANCE);
    allocate(run, &made.output);
    if (vdit_run_status(run) == VDIT_OK)
        *inputs = made;
    return vdit_run_status(run);
}
