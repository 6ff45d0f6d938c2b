/* hunyuan_text.c - HunyuanVideo's conditions: time, guidance and pooled text; the text's refiner. */
#include "model/hunyuan.h"
#include "model/module.h"

#define TIME_WIDTH     256
#define NORM_EPS       1e-6
#define REFINER_WIDENS 4 /* the refiner's inner width is 4 D whatever mlp_ratio says */

/* The sinusoids of t, recorded under name, and what the embedder makes of them. */
static vdit_tensor embed_scalar(vdit_net *net, const char *name, const char *embedder,
                                const vdit_tensor *t, size_t width)
{
    vdit_tensor wave = vdit_net_sinusoid(net, *t, TIME_WIDTH);

    vdit_net_record_as(net, name, -1, &wave);
    wave = vdit_net_cast(net, net->dtype, wave);
    return vdit_module_embedder(net, embedder, wave, width, "act", VDIT_SILU);
}

vdit_tensor vdit_hunyuan_condition(vdit_net *net, const vdit_hunyuan *c)
{
    const vdit_forward *call = net->call;
    size_t at = vdit_net_enter(net, "time_text_embed");
    vdit_tensor pooled = vdit_net_cast(net, net->dtype, *call->pooled), guidance;
    vdit_tensor sum = embed_scalar(net, "time_proj", "timestep_embedder", call->timestep, c->width);

    pooled = vdit_module_embedder(net, "text_embedder", pooled, c->width, "act_1", VDIT_SILU);
    if (c->guidance) {
        guidance = embed_scalar(net, "time_proj#2", "guidance_embedder", call->guidance, c->width);
        sum = vdit_net_add(net, sum, guidance);
    }
    sum = vdit_net_add(net, sum, pooled);
    vdit_net_record_as(net, NULL, 0, &sum);
    vdit_net_leave(net, at);
    return sum;
}

/* The refiner's own embedding of time and of the mean of the valid rows of the text. */
static vdit_tensor embed_context(vdit_net *net, const vdit_hunyuan *c, vdit_tensor text)
{
    size_t at = vdit_net_enter(net, "time_text_embed");
    vdit_tensor pooled = vdit_net_masked_mean(net, text, net->call->text_mask, 0);
    vdit_tensor sum =
        embed_scalar(net, "time_proj", "timestep_embedder", net->call->timestep, c->width);

    pooled = vdit_module_embedder(net, "text_embedder", pooled, c->width, "act_1", VDIT_SILU);
    sum = vdit_net_add(net, sum, pooled);
    vdit_net_record(net, &sum);
    vdit_net_leave(net, at);
    return sum;
}

/*
 * Returns: who attends to whom in the refiner, bool [B,1,Nt,Nt]: a valid row to the valid ones, and every row to the
 * first, so that a padded one has something to attend to.
 */
static vdit_tensor refiner_mask(vdit_net *net, const vdit_tensor *mask)
{
    size_t batch = mask->shape[0], n = mask->shape[1], shape[] = {batch, 1, n, n};
    vdit_tensor made = vdit_net_new(net, VDIT_BOOL, 4, shape);
    double *valid = vdit_run_alloc(net->run, n, sizeof *valid);
    unsigned char *at = made.data;

    if (net->dry || vdit_run_status(net->run) != VDIT_OK)
        return made;
    for (size_t b = 0; b < batch; b++) {
        vdit_tensor row = vdit_net_slice(mask, 0, b, 1);

        vdit_load_f64(valid, n, row.data, row.stride[1], row.dtype);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                *at++ = j == 0 || (valid[i] != 0 && valid[j] != 0);
    }
    return made;
}

/* Self-attention of the text: no norms of queries and keys, no rotary embedding. */
static vdit_tensor refiner_attend(vdit_net *net, const vdit_hunyuan *c, vdit_tensor y,
                                  const vdit_tensor *mask)
{
    size_t at = vdit_net_enter(net, "attn");
    vdit_tensor q = vdit_net_linear(net, "to_q", y, c->width, 1);
    vdit_tensor k = vdit_net_linear(net, "to_k", y, c->width, 1);
    vdit_tensor v = vdit_net_linear(net, "to_v", y, c->width, 1);
    vdit_net_attention a = {.q = vdit_net_heads(&q, c->heads),
                            .k = vdit_net_heads(&k, c->heads),
                            .v = vdit_net_heads(&v, c->heads),
                            .mask = mask};

    y = vdit_net_linear(net, "to_out.0", vdit_net_attend(net, &a), c->width, 1);
    vdit_net_record(net, &y);
    vdit_net_leave(net, at);
    return y;
}

static vdit_tensor refiner_block(vdit_net *net, const vdit_hunyuan *c, size_t index, vdit_tensor y,
                                 vdit_tensor time, const vdit_tensor *mask)
{
    const vdit_feed_forward wide = {
        .inner = REFINER_WIDENS * c->width, .f = VDIT_SILU, .submodule = 1, .with_bias = 1};
    size_t at = vdit_net_enter(net, "refiner_blocks.%zu", index), norm_out;
    vdit_tensor z, gate[2]; /* of attention and of the feed-forward module */

    z = vdit_net_layer_norm(net, "norm1", y, 1, NORM_EPS);
    z = refiner_attend(net, c, z, mask);

    norm_out = vdit_net_enter(net, "norm_out");
    vdit_hunyuan_modulation(net, "nonlinearity", time, gate, 2);
    vdit_net_record_as(net, NULL, 0, &gate[0]);
    vdit_net_record_as(net, NULL, 1, &gate[1]);
    vdit_net_leave(net, norm_out);

    y = vdit_net_gated_add(net, y, gate[0], z);
    z = vdit_net_layer_norm(net, "norm2", y, 1, NORM_EPS);
    y = vdit_net_gated_add(net, y, gate[1], vdit_module_feed_forward(net, "ff", z, &wide));
    vdit_net_record(net, &y);
    vdit_net_leave(net, at);
    return y;
}

vdit_tensor vdit_hunyuan_refine(vdit_net *net, const vdit_hunyuan *c)
{
    size_t at = vdit_net_enter(net, "context_embedder"), mark = vdit_net_mark(net), inside;
    vdit_tensor y = vdit_net_cast(net, net->dtype, *net->call->text), mask, *const keep = &y;
    vdit_tensor time = embed_context(net, c, y);

    y = vdit_net_linear(net, "proj_in", y, c->width, 1);
    if (net->call->text_mask != NULL)
        mask = refiner_mask(net, net->call->text_mask);
    inside = vdit_net_enter(net, "token_refiner");
    for (size_t i = 0; i < c->refiners; i++)
        y = refiner_block(net, c, i, y, time, net->call->text_mask != NULL ? &mask : NULL);
    vdit_net_record(net, &y);
    vdit_net_leave(net, inside);
    vdit_net_record(net, &y);
    vdit_net_release(net, mark, &keep, 1);
    vdit_net_leave(net, at);
    return y;
}
