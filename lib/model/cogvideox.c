/* cogvideox.c - CogVideoX (2B, 5B and 1.5): its configuration and its network. The formulas: vdit-cogvideox(7). */
#include <string.h>
#include "model/cogvideox.h"
#include "model/module.h"

#define QK_EPS 1e-6 /* of the norms of queries and keys */

/* The largest model width and the largest number of values in a patch, so that products of sizes can be addressed. */
#define WIDTH_MAX ((size_t)1 << 24)

static const vdit_preset presets[] = {
    {"tiny", "{\"num_attention_heads\": 2, \"attention_head_dim\": 8, \"in_channels\": 4,"
             " \"out_channels\": 4, \"time_embed_dim\": 2, \"text_embed_dim\": 8,"
             " \"num_layers\": 2, \"sample_width\": 8, \"sample_height\": 8,"
             " \"sample_frames\": 8, \"max_text_seq_length\": 8}"},
    {"tiny-5b", "{\"num_attention_heads\": 2, \"attention_head_dim\": 16, \"in_channels\": 4,"
                " \"out_channels\": 4, \"time_embed_dim\": 2, \"text_embed_dim\": 8,"
                " \"num_layers\": 2, \"sample_width\": 8, \"sample_height\": 8,"
                " \"sample_frames\": 8, \"max_text_seq_length\": 8,"
                " \"use_rotary_positional_embeddings\": true}"},
    {"tiny-1.5", "{\"num_attention_heads\": 2, \"attention_head_dim\": 16, \"in_channels\": 4,"
                 " \"out_channels\": 4, \"time_embed_dim\": 2, \"text_embed_dim\": 8,"
                 " \"num_layers\": 2, \"sample_width\": 8, \"sample_height\": 8,"
                 " \"sample_frames\": 8, \"patch_size_t\": 2, \"max_text_seq_length\": 8,"
                 " \"use_rotary_positional_embeddings\": true}"},
    {"2b", "{}"},
    {"5b", "{\"num_attention_heads\": 48, \"num_layers\": 42,"
           " \"use_rotary_positional_embeddings\": true}"},
    {"1.5-5b", "{\"num_attention_heads\": 48, \"num_layers\": 42,"
               " \"use_rotary_positional_embeddings\": true, \"sample_width\": 300,"
               " \"sample_height\": 300, \"sample_frames\": 81, \"patch_size_t\": 2,"
               " \"patch_bias\": false}"},
    {NULL, NULL}};

/* Keys that have no effect here, or only one value that is offered. */
static void read_fixed(vdit_config *keys)
{
    const char *f = vdit_config_text(keys, "activation_fn", "gelu-approximate");
    const char *time_f = vdit_config_text(keys, "timestep_activation_fn", "silu");

    vdit_config_only(keys, "activation_fn", strcmp(f, "gelu-approximate") == 0,
                     "\"gelu-approximate\"");
    vdit_config_only(keys, "timestep_activation_fn", strcmp(time_f, "silu") == 0, "\"silu\"");
    vdit_config_only(keys, "flip_sin_to_cos", vdit_config_flag(keys, "flip_sin_to_cos", 1), "true");
    vdit_config_only(keys, "freq_shift", vdit_config_number(keys, "freq_shift", 0) == 0, "0");
    vdit_config_only(keys, "use_learned_positional_embeddings",
                     !vdit_config_flag(keys, "use_learned_positional_embeddings", 0), "false");
    vdit_config_absent(keys, "ofs_embed_dim", "conditioning on an offset");
    vdit_config_number(keys, "dropout", 0);
    vdit_config_size(keys, "sample_frames", 1, 49); /* a table is made for the frames of a call */
    vdit_config_size(keys, "temporal_compression_ratio", 1, 4);
}

static void check_sizes(vdit_config *keys, const vdit_cogvideox *c)
{
    double frames = c->patch_frames > 0 ? (double)c->patch_frames : 1;
    double area = (double)c->patch * (double)c->patch * frames;
    double channels = (double)(c->channels > c->channels_out ? c->channels : c->channels_out);

    vdit_config_only(keys, "attention_head_dim", c->head_width <= WIDTH_MAX / c->heads,
                     "a model width up to 2^24");
    vdit_config_only(keys, "patch_size", area * channels <= (double)WIDTH_MAX,
                     "a patch of up to 2^24 values");
    vdit_config_only(keys, "spatial_interpolation_scale", c->space_scale > 0, "a scale above 0");
    vdit_config_only(keys, "temporal_interpolation_scale", c->time_scale > 0, "a scale above 0");
    vdit_config_only(keys, "norm_eps", c->eps >= 0, "a number from 0 on");
    vdit_config_only(keys, "use_rotary_positional_embeddings", c->rotary || c->width % 16 == 0,
                     "true with a model width that is not a multiple of 16");
}

static void configure(vdit_config *keys, void *config)
{
    vdit_cogvideox *c = config;

    c->heads = vdit_config_size(keys, "num_attention_heads", 1, 30);
    c->head_width = vdit_config_size(keys, "attention_head_dim", 1, 64);
    c->width = c->heads * c->head_width;
    c->channels = vdit_config_size(keys, "in_channels", 1, 16);
    c->channels_out = vdit_config_size(keys, "out_channels", 1, 16);
    c->time_width = vdit_config_size(keys, "time_embed_dim", 1, 512);
    c->text_width = vdit_config_size(keys, "text_embed_dim", 1, 4096);
    c->text_rows = vdit_config_size(keys, "max_text_seq_length", 1, 226);
    c->layers = vdit_config_layers(keys, "num_layers", 0, 30);
    c->patch = vdit_config_size(keys, "patch_size", 1, 2);
    c->patch_frames = vdit_config_size(keys, "patch_size_t", 1, 0);
    c->sample_width = vdit_config_size(keys, "sample_width", 1, 90);
    c->sample_height = vdit_config_size(keys, "sample_height", 1, 60);
    c->eps = vdit_config_number(keys, "norm_eps", 1e-5);
    c->space_scale = vdit_config_number(keys, "spatial_interpolation_scale", 1.875);
    c->time_scale = vdit_config_number(keys, "temporal_interpolation_scale", 1);
    c->attention_bias = vdit_config_flag(keys, "attention_bias", 1);
    c->affine = vdit_config_flag(keys, "norm_elementwise_affine", 1);
    c->patch_bias = vdit_config_flag(keys, "patch_bias", 1);
    c->rotary = vdit_config_flag(keys, "use_rotary_positional_embeddings", 0);
    read_fixed(keys);
    check_sizes(keys, c);
}

static void inputs(vdit_run *run, const void *config, const vdit_extents *e,
                   vdit_model_inputs *inputs)
{
    const vdit_cogvideox *c = config;
    size_t latents[] = {e->batch, e->frames, c->channels, e->height, e->width};
    size_t text[] = {e->batch, e->text, c->text_width};
    size_t patch[] = {c->patch_frames > 0 ? c->patch_frames : 1, c->patch, c->patch};

    vdit_module_check_patch(run, "cogvideox", e, patch);
    if (!c->rotary && e->text != c->text_rows)
        vdit_run_fail(run, VDIT_ERR_SHAPE,
                      "cogvideox: %zu rows of text, expected the %zu of the positional table",
                      e->text, c->text_rows);
    inputs->latents = vdit_module_input(run, VDIT_F32, 5, latents);
    inputs->timestep = vdit_module_input(run, VDIT_I64, 1, latents);
    inputs->text = vdit_module_input(run, VDIT_F32, 3, text);
    latents[2] = c->channels_out;
    inputs->output = vdit_module_input(run, VDIT_F32, 5, latents);
}

static vdit_extents extents(const vdit_forward *call)
{
    const size_t *x = call->latents->shape;
    vdit_extents e = {x[0], x[1], x[3], x[4], call->text->shape[1]};

    return e;
}

static vdit_extents smallest(const void *config)
{
    const vdit_cogvideox *c = config;
    vdit_extents e = {1, c->patch_frames > 0 ? c->patch_frames : 1, c->patch, c->patch,
                      c->rotary ? 1 : c->text_rows};

    return e;
}

/* What a block works on, and what it is told. */
typedef struct state {
    const vdit_cogvideox *c;
    vdit_tensor x, y;         /* video [B,N,D] and text [B,Nt,D] */
    vdit_tensor time;         /* the time embedding */
    vdit_tensor cosine, sine; /* of the video's positions */
    int turns;                /* whether queries and keys are turned by them */
    vdit_tokens tokens;
    size_t mark; /* of memory: after what all blocks share */
} state;

/* Returns: f(x) W + b in parts of D, each [B,1,D], in the order of their names in the formulas. */
static void modulation(vdit_net *net, const state *s, vdit_tensor *part, size_t count)
{
    vdit_tensor m = vdit_module_activation(net, "silu", s->time, VDIT_SILU);

    m = vdit_net_linear(net, "linear", m, count * s->c->width, 1);
    m = vdit_net_split(&m, 1, 1);
    vdit_net_chunk(part, count, &m);
}

/* The norms of video and text have the same weights: a module that runs twice, the second time as "norm#2". */
static void norm_both(vdit_net *net, const state *s, vdit_tensor *x, vdit_tensor *y)
{
    size_t at = vdit_net_enter(net, "norm");

    *x = vdit_net_layer_norm(net, NULL, s->x, s->c->affine, s->c->eps);
    vdit_net_record(net, x);
    *y = vdit_net_layer_norm(net, NULL, s->y, s->c->affine, s->c->eps);
    vdit_net_suffix(net, "#2");
    vdit_net_record(net, y);
    vdit_net_leave(net, at);
}

/* Out: part[4]: the video and the text that a branch of the block takes, and the gates of what it gives for each. */
static void norm_zero(vdit_net *net, const char *name, const state *s, vdit_tensor *part)
{
    size_t at = vdit_net_enter(net, "%s", name);
    vdit_tensor m[6], x, y; /* shift, scale and gate of the video, then of the text */

    modulation(net, s, m, 6);
    norm_both(net, s, &x, &y);
    part[0] = vdit_net_modulate(net, x, m[1], &m[0]);
    part[1] = vdit_net_modulate(net, y, m[4], &m[3]);
    part[2] = m[2];
    part[3] = m[5];
    for (int i = 0; i < 4; i++)
        vdit_net_record_as(net, NULL, i, &part[i]);
    vdit_net_leave(net, at);
}

/* The video rows of [B,H,Nt+N,d] turned by their positions; the text's stay. */
static vdit_tensor turn(vdit_net *net, const state *s, vdit_tensor x)
{
    size_t text = s->y.shape[1];
    vdit_tensor still = vdit_net_slice(&x, 2, 0, text);
    vdit_tensor video = vdit_net_slice(&x, 2, text, x.shape[2] - text);

    if (!s->turns)
        return x;
    video = vdit_net_rotary(net, video, s->cosine, s->sine);
    return vdit_net_join(net, &still, &video, 2);
}

/* Returns: attention of [text, video] with itself, [B,Nt+N,D]. */
static vdit_tensor attend(vdit_net *net, const state *s, size_t layer, vdit_tensor x, vdit_tensor y)
{
    size_t at = vdit_net_enter(net, "attn1"), heads = s->c->heads, width = s->c->width;
    size_t mark = vdit_net_mark(net);
    vdit_tensor z = vdit_net_join(net, &y, &x, 1), *const keep = &z;
    vdit_tensor q = vdit_net_linear(net, "to_q", z, width, s->c->attention_bias);
    vdit_tensor k = vdit_net_linear(net, "to_k", z, width, s->c->attention_bias);
    vdit_tensor v = vdit_net_linear(net, "to_v", z, width, s->c->attention_bias);
    vdit_net_attention a = {.layer = layer, .kind = VDIT_KIND_FULL, .tokens = s->tokens};

    q = vdit_net_layer_norm(net, "norm_q", vdit_net_heads(&q, heads), 1, QK_EPS);
    k = vdit_net_layer_norm(net, "norm_k", vdit_net_heads(&k, heads), 1, QK_EPS);
    a.q = turn(net, s, q);
    a.k = turn(net, s, k);
    a.v = vdit_net_heads(&v, heads);
    z = vdit_net_linear(net, "to_out.0", vdit_net_attend(net, &a), width, 1);
    x = vdit_net_slice(&z, 1, y.shape[1], x.shape[1]);
    y = vdit_net_slice(&z, 1, 0, y.shape[1]);
    vdit_net_record_as(net, NULL, 0, &x);
    vdit_net_record_as(net, NULL, 1, &y);
    vdit_net_release(net, mark, &keep, 1);
    vdit_net_leave(net, at);
    return z;
}

/* x += gate z over the video's rows of z, y += gate z over the text's. */
static void add_branch(vdit_net *net, state *s, const vdit_tensor *gate, const vdit_tensor *z)
{
    size_t text = s->y.shape[1], video = s->x.shape[1];

    s->x = vdit_net_gated_add(net, s->x, gate[0], vdit_net_slice(z, 1, text, video));
    s->y = vdit_net_gated_add(net, s->y, gate[1], vdit_net_slice(z, 1, 0, text));
}

static void run_block(vdit_net *net, state *s, size_t layer)
{
    size_t at = vdit_net_enter(net, "transformer_blocks.%zu", layer);
    vdit_feed_forward wide = {.inner = 4 * s->c->width, .f = VDIT_GELU_TANH, .with_bias = 1};
    vdit_tensor part[4], z, *const keep[] = {&s->x, &s->y}; /* part: video, text and their gates */

    norm_zero(net, "norm1", s, part);
    z = attend(net, s, layer, part[0], part[1]);
    add_branch(net, s, part + 2, &z);
    vdit_net_release(net, s->mark, keep, 2);

    norm_zero(net, "norm2", s, part);
    z = vdit_net_join(net, &part[1], &part[0], 1);
    z = vdit_module_feed_forward(net, "ff", z, &wide);
    add_branch(net, s, part + 2, &z);

    vdit_net_record_as(net, NULL, 0, &s->x);
    vdit_net_record_as(net, NULL, 1, &s->y);
    vdit_net_release(net, s->mark, keep, 2);
    vdit_net_leave(net, at);
}

/* Returns: the latents' patches as tokens, [B,N,D]: 1.0 convolves each frame, 1.5 has a linear layer over a patch, in
   which the channel runs slowest, then frame, row and column. */
static vdit_tensor embed_video(vdit_net *net, const vdit_cogvideox *c, const size_t *count)
{
    static const int order[] = {0, 1, 4, 6, 3, 2, 5, 7};
    const vdit_tensor *given = net->call->latents;
    size_t batch = given->shape[0], patch[] = {c->patch, c->patch};
    vdit_tensor x = vdit_net_like(net, net->dtype, given), flat;

    vdit_net_copy(net, x, given);
    if (c->patch_frames == 0) {
        x = vdit_net_patches(net, "proj", vdit_net_merge(&x, 0), c->width, patch, 2, c->patch_bias);
        x = vdit_net_merge(&x, 1);
        x = vdit_net_split(&x, 0, batch);
        return vdit_net_merge(&x, 1);
    }
    x = vdit_net_split(&x, 1, count[0]); /* [B, F', p, C, H, W] */
    x = vdit_net_split(&x, 4, count[1]);
    x = vdit_net_split(&x, 6, count[2]); /* [B, F', p, C, H', p, W', p] */
    x = vdit_tensor_permute(&x, order);
    flat = vdit_net_like(net, net->dtype, &x);
    vdit_net_copy(net, flat, &x);
    flat = vdit_net_merge(&flat, 1);
    flat = vdit_net_merge(&flat, 1);
    flat = vdit_net_merge(&flat, 2);
    flat = vdit_net_merge(&flat, 2);
    flat = vdit_net_merge(&flat, 2);
    return vdit_net_linear(net, "proj", flat, c->width, 1);
}

/* Text and video as tokens, with the additive table where there are no rotary ones. Out: s->x, s->y. */
static void embed(vdit_net *net, state *s, const size_t *count)
{
    const vdit_cogvideox *c = s->c;
    size_t at = vdit_net_enter(net, "patch_embed"), text = net->call->text->shape[1];
    size_t mark = vdit_net_mark(net);
    vdit_tensor y = vdit_net_cast(net, net->dtype, *net->call->text), x, z, *const keep = &z;

    y = vdit_net_linear(net, "text_proj", y, c->width, 1);
    x = embed_video(net, c, count);
    z = vdit_net_join(net, &y, &x, 1);
    if (!c->rotary)
        z = vdit_net_add(net, z, vdit_cogvideox_table(net, c, text, count));
    vdit_net_record(net, &z);
    vdit_net_release(net, mark, &keep, 1);
    s->x = vdit_net_slice(&z, 1, text, x.shape[1]);
    s->y = vdit_net_slice(&z, 1, 0, text);
    vdit_net_leave(net, at);
}

/* Returns: the time embedding, [B, time_embed_dim]. */
static vdit_tensor embed_time(vdit_net *net, const vdit_cogvideox *c)
{
    vdit_tensor t = vdit_net_sinusoid(net, *net->call->timestep, c->width);

    vdit_net_record_as(net, "time_proj", -1, &t);
    t = vdit_net_cast(net, net->dtype, t);
    return vdit_module_embedder(net, "time_embedding", t, c->time_width, "act", VDIT_SILU);
}

/* Returns: the output's patches, [B,N,P]: two norms in a row, the second one modulated. */
static vdit_tensor leave(vdit_net *net, const state *s)
{
    const vdit_cogvideox *c = s->c;
    size_t frames = c->patch_frames > 0 ? c->patch_frames : 1;
    vdit_tensor x = vdit_net_layer_norm(net, "norm_final", s->x, c->affine, c->eps), m[2];
    size_t at = vdit_net_enter(net, "norm_out");

    modulation(net, s, m, 2); /* shift, scale */
    x = vdit_net_layer_norm(net, "norm", x, c->affine, c->eps);
    x = vdit_net_modulate(net, x, m[1], &m[0]);
    vdit_net_record(net, &x);
    vdit_net_leave(net, at);
    return vdit_net_linear(net, "proj_out", x, c->channels_out * frames * c->patch * c->patch, 1);
}

static vdit_tensor forward(vdit_net *net, const void *config)
{
    static const int frames_second[] = {0, 2, 1, 3, 4};
    const vdit_cogvideox *c = config;
    vdit_extents e = extents(net->call);
    size_t count[3], patch[] = {c->patch_frames > 0 ? c->patch_frames : 1, c->patch, c->patch};
    state s = {.c = c, .turns = c->rotary && !net->call->without_rotary};
    vdit_tensor video;

    vdit_cogvideox_tokens(c, &e, count);
    s.tokens = (vdit_tokens){count[0], count[1], count[2], e.text, 1};
    s.time = embed_time(net, c);
    embed(net, &s, count);
    if (s.turns)
        vdit_cogvideox_rotary(net, c, count, &s.cosine, &s.sine);
    s.mark = vdit_net_mark(net);
    for (size_t layer = 0; layer < c->layers; layer++)
        run_block(net, &s, layer);
    video = vdit_module_unpatch(net, leave(net, &s), count, patch, 1);
    return vdit_tensor_permute(&video, frames_second);
}

static int keeps_single(const char *weight)
{
    (void)weight;
    return 0;
}

const vdit_network vdit_network_cogvideox = {
    .name = "cogvideox",
    .class_name = "CogVideoXTransformer3DModel",
    .about = "CogVideoX 2B, 5B and 1.5: joint attention of text and video, text first",
    .presets = presets,
    .config_size = sizeof(vdit_cogvideox),
    .configure = configure,
    .inputs = inputs,
    .extents = extents,
    .smallest = smallest,
    .forward = forward,
    .keeps_single = keeps_single,
    .original = vdit_cogvideox_original};
