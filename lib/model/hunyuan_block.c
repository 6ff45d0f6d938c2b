/* hunyuan_block.c - HunyuanVideo's blocks: two streams that meet in attention, and one stream of both. */
#include "model/hunyuan.h"
#include "model/module.h"

#define NORM_EPS 1e-6

void vdit_hunyuan_modulation(vdit_net *net, const char *f, vdit_tensor x, vdit_tensor *part,
                             size_t count)
{
    size_t width = x.shape[1];

    x = vdit_module_activation(net, f, x, VDIT_SILU);
    x = vdit_net_linear(net, "linear", x, count * width, 1);
    x = vdit_net_split(&x, 1, 1);
    vdit_net_chunk(part, count, &x);
}

/* Records [B,1,D] as the original has it, [B,D]. */
static void record_part(vdit_net *net, int index, const vdit_tensor *part)
{
    vdit_tensor flat = *part;

    flat.rank = 2;
    flat.shape[1] = part->shape[2];
    flat.stride[1] = part->stride[2];
    vdit_net_record_as(net, NULL, index, &flat);
}

/* Out: out[5]: x modulated for attention, its gate; shift, scale and gate of the feed-forward module. */
static void norm_zero(vdit_net *net, const char *name, vdit_tensor x, vdit_tensor time,
                      vdit_tensor *out)
{
    size_t at = vdit_net_enter(net, "%s", name);
    vdit_tensor
        m[6]; /* shift, scale, gate of attention; shift, scale, gate of the feed-forward module */

    vdit_hunyuan_modulation(net, "silu", time, m, 6);
    x = vdit_net_layer_norm(net, "norm", x, 0, NORM_EPS);
    out[0] = vdit_net_modulate(net, x, m[1], &m[0]);
    vdit_net_record_as(net, NULL, 0, &out[0]);
    for (int i = 1; i < 5; i++) {
        out[i] = m[i + 1];
        record_part(net, i, &out[i]);
    }
    vdit_net_leave(net, at);
}

/* The projections of one stream, [B,H,n,d] each; those of q and k with their norms, [B,n,H,d] in the records. */
typedef struct projected {
    vdit_tensor q, k, v;
} projected;

/* Returns: the RMS norm of each head of x [B,n,D], as [B,H,n,d]. */
static vdit_tensor norm_heads(vdit_net *net, const char *name, vdit_tensor x, size_t heads)
{
    static const int heads_second[] = {0, 2, 1, 3};

    x = vdit_net_rms_norm(net, name, vdit_net_split(&x, 2, heads), 1, NORM_EPS);
    return vdit_tensor_permute(&x, heads_second);
}

static projected project(vdit_net *net, const vdit_hunyuan *c, vdit_tensor x,
                         const char *const *name)
{
    vdit_tensor q = vdit_net_linear(net, name[0], x, c->width, 1);
    vdit_tensor k = vdit_net_linear(net, name[1], x, c->width, 1);
    vdit_tensor v = vdit_net_linear(net, name[2], x, c->width, 1);
    projected p;

    p.q = norm_heads(net, name[3], q, c->heads);
    p.k = norm_heads(net, name[4], k, c->heads);
    p.v = vdit_net_heads(&v, c->heads);
    return p;
}

static const char *const of_video[] = {"to_q", "to_k", "to_v", "norm_q", "norm_k"};
static const char *const of_text[] = {"add_q_proj", "add_k_proj", "add_v_proj", "norm_added_q",
                                      "norm_added_k"};

/* Turns the first N rows of [B,H,n,d], the video's, by their positions; those after them stay. */
static vdit_tensor turn(vdit_net *net, const vdit_hunyuan_run *r, vdit_tensor x)
{
    size_t video = r->cosine.shape[0], rest = x.shape[2] - video;
    vdit_tensor turned = vdit_net_slice(&x, 2, 0, video), still;

    turned = vdit_net_rotary(net, turned, r->cosine, r->sine);
    if (rest == 0)
        return turned;
    still = vdit_net_slice(&x, 2, video, rest);
    return vdit_net_join(net, &turned, &still, 2);
}

/* Joint attention, video first. Returns: [B,N+Nt,D]. */
static vdit_tensor attend(vdit_net *net, const vdit_hunyuan_run *r, const projected *p,
                          size_t layer)
{
    vdit_net_attention a = {.q = p->q,
                            .k = p->k,
                            .v = p->v,
                            .key_length = &r->keys,
                            .layer = layer,
                            .kind = VDIT_KIND_FULL,
                            .tokens = {.frames = r->count[0],
                                       .height = r->count[1],
                                       .width = r->count[2],
                                       .text = r->y.shape[1]}};

    return vdit_net_attend(net, &a);
}

/* In: x and y modulated. Out: what attention gives to each. */
static void attend_double(vdit_net *net, const vdit_hunyuan_run *r, size_t layer, vdit_tensor *x,
                          vdit_tensor *y)
{
    size_t at = vdit_net_enter(net, "attn"), mark = vdit_net_mark(net);
    size_t width = r->config->width;
    vdit_tensor *const keep[] = {x, y};
    projected p = project(net, r->config, *x, of_video), t;
    vdit_tensor z;

    p.q = turn(net, r, p.q);
    p.k = turn(net, r, p.k);
    t = project(net, r->config, *y, of_text);
    p.q = vdit_net_join(net, &p.q, &t.q, 2);
    p.k = vdit_net_join(net, &p.k, &t.k, 2);
    p.v = vdit_net_join(net, &p.v, &t.v, 2);
    z = attend(net, r, &p, layer);
    *x = vdit_net_linear(net, "to_out.0", vdit_net_slice(&z, 1, 0, x->shape[1]), width, 1);
    *y = vdit_net_linear(net, "to_add_out", vdit_net_slice(&z, 1, x->shape[1], y->shape[1]), width,
                         1);
    vdit_net_record_as(net, NULL, 0, x);
    vdit_net_record_as(net, NULL, 1, y);
    vdit_net_release(net, mark, keep, 2);
    vdit_net_leave(net, at);
}

void vdit_hunyuan_double(vdit_net *net, vdit_hunyuan_run *r, size_t index, size_t layer)
{
    const vdit_feed_forward wide = {.inner = r->config->inner, .f = VDIT_GELU_TANH, .with_bias = 1};
    size_t at = vdit_net_enter(net, "transformer_blocks.%zu", index);
    vdit_tensor x = r->x, y = r->y, *const keep[] = {&r->x, &r->y};
    vdit_tensor mx[5], my[5]; /* the stream modulated, gate; shift, scale, gate */
    vdit_tensor *const still[] = {&x, &y, &mx[2], &mx[3], &mx[4], &my[2], &my[3], &my[4]};

    norm_zero(net, "norm1", x, r->time, mx);
    norm_zero(net, "norm1_context", y, r->time, my);
    attend_double(net, r, layer, &mx[0], &my[0]);
    x = vdit_net_gated_add(net, x, mx[1], mx[0]);
    y = vdit_net_gated_add(net, y, my[1], my[0]);
    vdit_net_release(net, r->mark, still, sizeof still / sizeof *still);

    mx[0] = vdit_net_layer_norm(net, "norm2", x, 0, NORM_EPS);
    my[0] = vdit_net_layer_norm(net, "norm2_context", y, 0, NORM_EPS);
    mx[0] = vdit_net_modulate(net, mx[0], mx[3], &mx[2]);
    my[0] = vdit_net_modulate(net, my[0], my[3], &my[2]);
    mx[0] = vdit_module_feed_forward(net, "ff", mx[0], &wide);
    my[0] = vdit_module_feed_forward(net, "ff_context", my[0], &wide);
    r->x = vdit_net_gated_add(net, x, mx[4], mx[0]);
    r->y = vdit_net_gated_add(net, y, my[4], my[0]);

    vdit_net_record_as(net, NULL, 0, &r->x);
    vdit_net_record_as(net, NULL, 1, &r->y);
    vdit_net_release(net, r->mark, keep, 2);
    vdit_net_leave(net, at);
}

/* Out: z modulated, and its gate. */
static vdit_tensor norm_single(vdit_net *net, vdit_tensor z, vdit_tensor time, vdit_tensor *gate)
{
    size_t at = vdit_net_enter(net, "norm");
    vdit_tensor m[3]; /* shift, scale, gate */

    vdit_hunyuan_modulation(net, "silu", time, m, 3);
    z = vdit_net_layer_norm(net, "norm", z, 0, NORM_EPS);
    z = vdit_net_modulate(net, z, m[1], &m[0]);
    vdit_net_record_as(net, NULL, 0, &z);
    record_part(net, 1, &m[2]);
    vdit_net_leave(net, at);
    *gate = m[2];
    return z;
}

/* Returns: attention of both streams, without a projection of its output. */
static vdit_tensor attend_single(vdit_net *net, const vdit_hunyuan_run *r, size_t layer,
                                 vdit_tensor z)
{
    size_t at = vdit_net_enter(net, "attn"), mark = vdit_net_mark(net), video = r->x.shape[1];
    projected p = project(net, r->config, z, of_video);
    vdit_tensor x, y, *const keep = &z;

    p.q = turn(net, r, p.q);
    p.k = turn(net, r, p.k);
    z = attend(net, r, &p, layer);
    x = vdit_net_slice(&z, 1, 0, video);
    y = vdit_net_slice(&z, 1, video, z.shape[1] - video);
    vdit_net_record_as(net, NULL, 0, &x);
    vdit_net_record_as(net, NULL, 1, &y);
    vdit_net_release(net, mark, &keep, 1);
    vdit_net_leave(net, at);
    return z;
}

void vdit_hunyuan_single(vdit_net *net, vdit_hunyuan_run *r, size_t index, size_t layer)
{
    const vdit_hunyuan *c = r->config;
    size_t at = vdit_net_enter(net, "single_transformer_blocks.%zu", index);
    size_t video = r->x.shape[1], text = r->y.shape[1];
    vdit_tensor z = vdit_net_join(net, &r->x, &r->y, 1), m, mlp, gate;
    vdit_tensor *const keep[] = {&r->x, &r->y};

    m = norm_single(net, z, r->time, &gate);
    mlp = vdit_net_linear(net, "proj_mlp", m, c->inner, 1);
    mlp = vdit_module_activation(net, "act_mlp", mlp, VDIT_GELU_TANH);
    m = attend_single(net, r, layer, m);
    m = vdit_net_join(net, &m, &mlp, 2);
    m = vdit_net_linear(net, "proj_out", m, c->width, 1);
    z = vdit_net_gated_add(net, z, gate, m);

    r->x = vdit_net_slice(&z, 1, 0, video);
    r->y = vdit_net_slice(&z, 1, video, text);
    vdit_net_record_as(net, NULL, 0, &r->x);
    vdit_net_record_as(net, NULL, 1, &r->y);
    vdit_net_release(net, r->mark, keep, 2);
    vdit_net_leave(net, at);
}
