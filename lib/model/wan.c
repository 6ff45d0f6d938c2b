/*
 * wan.c - Wan2.1-T2V: a block of self-attention over the video, cross-attention to the text, and a feed-forward
 * module, the first and the last modulated by the time. Formulas and names: vdit-wan(7).
 */
#include <string.h>
#include "model/family.h"
#include "model/module.h"

#define MOST_WIDTH ((size_t)1 << 24) /* so that no product of widths overflows */

typedef struct wan_config {
    size_t patch[3]; /* frames, rows, columns */
    size_t heads, head_width, layers;
    size_t in_channels, out_channels;
    size_t text_width, time_width,
        inner;     /* of the text's embedding, the sinusoid, the feed-forward module */
    size_t places; /* the rotary tables' length, on each axis */
    int cross_norm;
    double eps;
} wan_config;

/* What all blocks of a run share. */
typedef struct wan_run {
    const wan_config *config;
    size_t width;    /* D */
    size_t count[3]; /* F', H', W' */
    vdit_tensor cosine, sine;
    vdit_tensor text; /* [B, Nt, D] */
    vdit_tensor time; /* [B, 6, D] */
} wan_run;

/* Norms, the time and what it modulates are f32 in every policy; their results are rounded where they are used. */
static vdit_tensor norm(vdit_net *net, const char *name, vdit_tensor x, int affine, double eps)
{
    net->dtype = VDIT_F32;
    x = vdit_net_layer_norm(net, name, x, affine, eps);
    net->dtype = net->policy;
    return x;
}

static vdit_tensor add_single(vdit_net *net, vdit_tensor x, vdit_tensor z)
{
    net->dtype = VDIT_F32;
    x = vdit_net_add(net, x, z);
    net->dtype = net->policy;
    return x;
}

/* Self-attention with rotary embedding; or, with a text, cross-attention without one. Every row of the text counts. */
static vdit_tensor attention(vdit_net *net, const wan_run *w, const char *name, size_t layer,
                             vdit_tensor x, const vdit_tensor *text)
{
    const wan_config *c = w->config;
    size_t at = vdit_net_enter(net, "%s", name);
    vdit_tensor from = text != NULL ? *text : x, q, k, v;
    vdit_net_attention a = {.layer = layer,
                            .kind = text != NULL ? VDIT_KIND_CROSS : VDIT_KIND_FULL,
                            .tokens = {.frames = w->count[0],
                                       .height = w->count[1],
                                       .width = w->count[2],
                                       .text = text != NULL ? text->shape[1] : 0}};

    q = vdit_net_linear(net, "to_q", x, w->width, 1);
    k = vdit_net_linear(net, "to_k", from, w->width, 1);
    v = vdit_net_linear(net, "to_v", from, w->width, 1);
    q = vdit_net_rms_norm(net, "norm_q", q, 1, c->eps); /* over all heads together */
    k = vdit_net_rms_norm(net, "norm_k", k, 1, c->eps);
    a.q = vdit_net_heads(&q, c->heads);
    a.k = vdit_net_heads(&k, c->heads);
    a.v = vdit_net_heads(&v, c->heads);
    if (text == NULL) {
        a.q = vdit_net_rotary(net, a.q, w->cosine, w->sine);
        a.k = vdit_net_rotary(net, a.k, w->cosine, w->sine);
    }
    x = vdit_net_attend(net, &a);
    x = vdit_net_linear(net, "to_out.0", x, w->width, 1);
    vdit_net_record(net, &x);
    vdit_net_leave(net, at);
    return x;
}

/* Out: m[6], each [B, 1, D]: shift, scale and gate of the self-attention, then of the feed-forward module. */
static void modulation(vdit_net *net, const wan_run *w, vdit_tensor *m)
{
    size_t shape[] = {1, 6, w->width};
    vdit_tensor table = vdit_net_weight(net, "scale_shift_table", 3, shape);
    vdit_tensor sum = add_single(net, w->time, table);

    for (size_t i = 0; i < 6; i++)
        m[i] = vdit_net_slice(&sum, 1, i, 1);
}

static vdit_tensor block(vdit_net *net, const wan_run *w, size_t layer, vdit_tensor x)
{
    const vdit_feed_forward widening = {
        .inner = w->config->inner, .f = VDIT_GELU_TANH, .with_bias = 1};
    size_t at = vdit_net_enter(net, "blocks.%zu", layer), step;
    double eps = w->config->eps;
    vdit_tensor *const kept = &x;
    vdit_tensor y, m[6];

    modulation(net, w, m);
    step = vdit_net_mark(net);

    y = vdit_net_modulate(net, norm(net, "norm1", x, 0, eps), m[1], &m[0]);
    y = attention(net, w, "attn1", layer, y, NULL);
    x = vdit_net_gated_add(net, x, m[2], y);
    vdit_net_release(net, step, &kept, 1);

    y = w->config->cross_norm ? norm(net, "norm2", x, 1, eps) : x;
    if (!w->config->cross_norm)
        vdit_net_record_as(net, "norm2", -1, &y);
    y = attention(net, w, "attn2", layer, vdit_net_cast(net, net->policy, y), &w->text);
    x = vdit_net_add(net, x, y);
    vdit_net_release(net, step, &kept, 1);

    y = vdit_net_modulate(net, norm(net, "norm3", x, 0, eps), m[4], &m[3]);
    y = vdit_module_feed_forward(net, "ffn", y, &widening);
    x = vdit_net_gated_add(net, x, m[5], y);

    vdit_net_record(net, &x);
    vdit_net_leave(net, at);
    return x;
}

/* Out: time [B, D], w->time and w->text. */
static void embed_conditions(vdit_net *net, wan_run *w, vdit_tensor *time)
{
    size_t at = vdit_net_enter(net, "condition_embedder"), mark = vdit_net_mark(net);
    vdit_tensor *const kept[] = {time, &w->time, &w->text};
    vdit_tensor t = vdit_net_sinusoid(net, *net->call->timestep, w->config->time_width);

    vdit_net_record_as(net, "timesteps_proj", -1, &t);
    net->dtype = VDIT_F32;
    t = vdit_module_embedder(net, "time_embedder", t, w->width, "act", VDIT_SILU);
    net->dtype = net->policy;
    *time = vdit_net_cast(net, net->policy, t);
    t = vdit_module_activation(net, "act_fn", *time, VDIT_SILU);
    w->time = vdit_net_linear(net, "time_proj", t, 6 * w->width, 1);
    w->text = vdit_net_cast(net, net->policy, *net->call->text);
    w->text =
        vdit_module_embedder(net, "text_embedder", w->text, w->width, "act_1", VDIT_GELU_TANH);
    for (int i = 0; i < 3; i++)
        vdit_net_record_as(net, NULL, i, kept[i]);
    vdit_net_release(net, mark, kept, 3);
    w->time = vdit_net_split(&w->time, 1, 6);
    vdit_net_leave(net, at);
}

/* Records a table as the original has it: [1, N, 1, d], each value twice. */
static void record_table(vdit_net *net, int index, vdit_tensor table)
{
    size_t shape[] = {1, table.shape[0], 1, table.shape[1], 2}, mark = vdit_net_mark(net);
    vdit_tensor both;

    if (net->watch.activation == NULL)
        return;
    both = vdit_net_new(net, table.dtype, 5, shape);
    table = vdit_net_split(&table, 0, 1);
    table = vdit_net_split(&table, 2, 1);
    table = vdit_net_split(&table, 3, table.shape[3]);
    for (size_t i = 0; i < 2; i++)
        vdit_net_copy(net, vdit_net_slice(&both, 4, i, 1), &table);
    both = vdit_net_merge(&both, 3);
    vdit_net_record_as(net, "rope", index, &both);
    vdit_net_release(net, mark, NULL, 0);
}

/* Rotary tables of integer places; rows and columns have a third of the pairs each, frames what is left. */
static void embed_places(vdit_net *net, wan_run *w)
{
    static const double *const indices[3];
    size_t third = w->config->head_width / 6 * 2;
    size_t widths[] = {w->config->head_width - 2 * third, third, third};
    vdit_tensor places = vdit_module_places(net, w->count, indices);

    vdit_net_rotary_table(net, &w->cosine, &w->sine, &places, widths, 10000);
    record_table(net, 0, w->cosine);
    record_table(net, 1, w->sine);
}

static vdit_tensor embed_patches(vdit_net *net, const wan_run *w)
{
    vdit_tensor x = vdit_net_cast(net, net->policy, *net->call->latents);

    x = vdit_net_patches(net, "patch_embedding", x, w->width, w->config->patch, 3, 1);
    x = vdit_net_merge(&x, 1);
    return vdit_net_merge(&x, 1);
}

/* The last norm, modulated by the time itself, and the projection to patches. */
static vdit_tensor project(vdit_net *net, const wan_run *w, vdit_tensor x, vdit_tensor time)
{
    const wan_config *c = w->config;
    size_t shape[] = {1, 2, w->width};
    vdit_tensor table = vdit_net_weight(net, "scale_shift_table", 3, shape), shift, scale;

    time = vdit_net_split(&time, 1, 1);
    shift = add_single(net, time, vdit_net_slice(&table, 1, 0, 1));
    scale = add_single(net, time, vdit_net_slice(&table, 1, 1, 1));
    x = vdit_net_modulate(net, norm(net, "norm_out", x, 0, c->eps), scale, &shift);
    x = vdit_net_linear(net, "proj_out", x,
                        c->out_channels * c->patch[0] * c->patch[1] * c->patch[2], 1);
    return vdit_module_unpatch(net, x, w->count, c->patch, 0);
}

static vdit_tensor forward(vdit_net *net, const void *config)
{
    const wan_config *c = config;
    wan_run w = {.config = c, .width = c->heads * c->head_width};
    vdit_tensor x, time, *const kept = &x;
    size_t mark;

    for (int axis = 0; axis < 3; axis++)
        w.count[axis] = net->call->latents->shape[2 + axis] / c->patch[axis];
    embed_places(net, &w);
    x = embed_patches(net, &w);
    embed_conditions(net, &w, &time);
    mark = vdit_net_mark(net);
    for (size_t layer = 0; layer < c->layers; layer++) {
        x = block(net, &w, layer, x);
        vdit_net_release(net, mark, &kept, 1); /* and with the rest what the block was given */
    }
    return project(net, &w, x, time);
}

static void configure(vdit_config *keys, void *config)
{
    static const size_t patch[] = {1, 2, 2};
    const char *norm_kind = "rms_norm_across_heads";
    wan_config *c = config;

    vdit_config_sizes(keys, "patch_size", c->patch, 3, patch);
    c->heads = vdit_config_size(keys, "num_attention_heads", 1, 40);
    c->head_width = vdit_config_size(keys, "attention_head_dim", 1, 128);
    c->in_channels = vdit_config_size(keys, "in_channels", 1, 16);
    c->out_channels = vdit_config_size(keys, "out_channels", 1, 16);
    c->text_width = vdit_config_size(keys, "text_dim", 1, 4096);
    c->time_width = vdit_config_size(keys, "freq_dim", 2, 256);
    c->inner = vdit_config_size(keys, "ffn_dim", 1, 13824);
    c->layers = vdit_config_layers(keys, "num_layers", 0, 40);
    c->cross_norm = vdit_config_flag(keys, "cross_attn_norm", 1);
    c->eps = vdit_config_number(keys, "eps", 1e-6);
    c->places = vdit_config_size(keys, "rope_max_seq_len", 1, 1024);
    vdit_config_only(keys, "qk_norm",
                     strcmp(vdit_config_text(keys, "qk_norm", norm_kind), norm_kind) == 0,
                     norm_kind);
    vdit_config_only(keys, "num_attention_heads", c->heads <= MOST_WIDTH / c->head_width,
                     "a width of at most 2^24");
    vdit_config_only(keys, "attention_head_dim", c->head_width % 2 == 0, "an even width");
    vdit_config_only(keys, "eps", c->eps >= 0, "a number >= 0");
    vdit_config_absent(keys, "image_dim", "a video from an image");
    vdit_config_absent(keys, "added_kv_proj_dim", "a video from an image");
    vdit_config_absent(keys, "pos_embed_seq_len", "a video from an image");
}

static void inputs(vdit_run *run, const void *config, const vdit_extents *e, vdit_model_inputs *in)
{
    static const char *const axes[] = {"frames", "height", "width"};
    const wan_config *c = config;
    const size_t extents[] = {e->frames, e->height, e->width};
    size_t video[] = {e->batch, c->in_channels, e->frames, e->height, e->width};
    const size_t text[] = {e->batch, e->text, c->text_width};

    for (int i = 0; i < 3; i++) {
        if (extents[i] == 0 || extents[i] % c->patch[i] != 0)
            vdit_run_fail(run, VDIT_ERR_SHAPE,
                          "wan: %s %zu, expected a positive multiple of the patch's %zu", axes[i],
                          extents[i], c->patch[i]);
        else if (extents[i] / c->patch[i] > c->places)
            vdit_run_fail(run, VDIT_ERR_LIMIT,
                          "wan: %s %zu, expected at most %zu (rope_max_seq_len)", axes[i],
                          extents[i], c->places * c->patch[i]);
    }
    in->latents = vdit_module_input(run, VDIT_F32, 5, video);
    in->timestep = vdit_module_input(run, VDIT_I64, 1, video);
    in->text = vdit_module_input(run, VDIT_F32, 3, text);
    video[1] = c->out_channels;
    in->output = vdit_module_input(run, VDIT_F32, 5, video);
}

static vdit_extents extents(const vdit_forward *call)
{
    const size_t *shape = call->latents->shape;

    return (vdit_extents){shape[0], shape[2], shape[3], shape[4], call->text->shape[1]};
}

static vdit_extents smallest(const void *config)
{
    const size_t *patch = ((const wan_config *)config)->patch;

    return (vdit_extents){1, patch[0], patch[1], patch[2], 1};
}

/* Returns: 1 if a part of the dotted name is one of those that the original loads in f32. */
static int keeps_single(const char *weight)
{
    static const char *const parts[] = {"time_embedder", "scale_shift_table", "norm1", "norm2",
                                        "norm3"};

    for (; weight != NULL; weight = strchr(weight, '.')) {
        weight += *weight == '.';
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
            size_t n = strcspn(weight, ".");

            if (n == strlen(parts[i]) && memcmp(weight, parts[i], n) == 0)
                return 1;
        }
    }
    return 0;
}

static const vdit_preset presets[] = {
    {"tiny", "{\"num_attention_heads\": 2, \"attention_head_dim\": 12, \"in_channels\": 4,"
             " \"out_channels\": 4, \"text_dim\": 16, \"ffn_dim\": 32, \"num_layers\": 2,"
             " \"rope_max_seq_len\": 32}"},
    {"1.3B", "{\"num_attention_heads\": 12, \"ffn_dim\": 8960, \"num_layers\": 30}"},
    {"14B", "{}"},
    {NULL, NULL},
};

const vdit_network vdit_network_wan = {
    .name = "wan",
    .class_name = "WanTransformer3DModel",
    .about = "Wan2.1-T2V: self-attention over the video, cross-attention to the text",
    .presets = presets,
    .config_size = sizeof(wan_config),
    .configure = configure,
    .inputs = inputs,
    .extents = extents,
    .smallest = smallest,
    .forward = forward,
    .keeps_single = keeps_single,
    .original = vdit_wan_original,
};
