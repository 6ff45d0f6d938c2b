/* mochi.c - Mochi-1: what is given, made into tokens of vision and text; the blocks; and the way back. */
#include <math.h>
#include <string.h>
#include "model/family.h"
#include "model/mochi.h"
#include "model/module.h"

#define MOST_WIDTH ((size_t)1 << 24) /* so that no product of widths overflows */

/* Returns: y [B, Nt, P]. Out: w->time. */
static vdit_tensor embed_conditions(vdit_net *net, vdit_mochi_run *w)
{
    size_t at = vdit_net_enter(net, "time_embed"), mark = vdit_net_mark(net);
    vdit_tensor t = vdit_net_sinusoid(net, *net->call->timestep, w->config->time_width);
    vdit_tensor text = vdit_net_cast(net, net->policy, *net->call->text), y;
    vdit_tensor *const kept[] = {&w->time, &y};

    vdit_net_record_as(net, "time_proj", -1, &t);
    t = vdit_net_cast(net, net->policy, t);
    t = vdit_module_embedder(net, "timestep_embedder", t, w->width, "act", VDIT_SILU);
    w->time = vdit_mochi_pool(net, &w->rows, text, w->width);
    y = vdit_net_linear(net, "caption_proj", text, w->config->text_stream, 1);
    w->time = vdit_net_add(net, t, w->time);
    for (int i = 0; i < 2; i++)
        vdit_net_record_as(net, NULL, i, kept[i]);
    vdit_net_release(net, mark, kept, 2);
    vdit_net_leave(net, at);
    return y;
}

/* Returns: x [B, N, D]; a frame is an image of its own. */
static vdit_tensor embed_patches(vdit_net *net, const vdit_mochi_run *w)
{
    static const int frames_second[] = {0, 2, 1, 3, 4};
    const size_t patch[] = {w->config->patch, w->config->patch};
    const vdit_tensor *latents = net->call->latents;
    const size_t tokens[] = {latents->shape[0], w->count[0] * w->count[1] * w->count[2], w->width};
    vdit_tensor from = vdit_tensor_permute(latents, frames_second), x, frame;

    x = vdit_net_new(net, net->policy, 5, from.shape);
    vdit_net_copy(net, x, &from);
    x = vdit_net_merge(&x, 0);
    x = vdit_net_patches(net, "patch_embed.proj", x, w->width, patch, 2, 1);
    frame = vdit_net_merge(&x, 1);
    vdit_net_record_as(net, "patch_embed", -1, &frame);
    return vdit_tensor_view(x.data, x.dtype, 3, tokens);
}

/* Out: place[count], the middles of count equal parts of a line of that many steps around 0. */
static void centre(double *place, size_t count, double step)
{
    for (size_t i = 0; place != NULL && i < count; i++)
        place[i] = (2 * (double)i + 1 - (double)count) * step / 2;
}

/* Rotary tables of learned frequencies: rows and columns are scaled to the area of 192 x 192. */
static void embed_places(vdit_net *net, vdit_mochi_run *w)
{
    static const int tokens_first[] = {1, 0, 2};
    size_t shape[] = {3, w->config->heads, w->config->head_width / 2};
    double step = sqrt(192. * 192. / ((double)w->count[1] * (double)w->count[2]));
    double *rows = vdit_run_alloc(net->run, w->count[1], sizeof *rows);
    double *columns = vdit_run_alloc(net->run, w->count[2], sizeof *columns);
    const double *const place[] = {NULL, rows, columns};
    vdit_tensor frequencies = vdit_net_weight(net, "pos_frequencies", 3, shape), places, table;

    centre(rows, w->count[1], step);
    centre(columns, w->count[2], step);
    places = vdit_module_places(net, w->count, place);
    vdit_net_rotary_learned(net, &w->cosine, &w->sine, &places, &frequencies);
    table = vdit_tensor_permute(&w->cosine, tokens_first);
    vdit_net_record_as(net, "rope", 0, &table);
    table = vdit_tensor_permute(&w->sine, tokens_first);
    vdit_net_record_as(net, "rope", 1, &table);
}

/* The last norm, a layer norm in the policy's dtype: scale before shift. */
static vdit_tensor norm_out(vdit_net *net, const vdit_mochi_run *w, vdit_tensor x)
{
    size_t at = vdit_net_enter(net, "norm_out");
    vdit_tensor m, part[2];

    m = vdit_module_activation(net, "silu", w->time, VDIT_SILU);
    m = vdit_net_linear(net, "linear", m, 2 * w->width, 1);
    m = vdit_net_split(&m, 1, 1);
    vdit_net_chunk(part, 2, &m);
    x = vdit_net_layer_norm(net, "norm", x, 0, VDIT_MOCHI_EPS);
    x = vdit_net_modulate(net, x, part[0], &part[1]);
    vdit_net_record(net, &x);
    vdit_net_leave(net, at);
    return x;
}

static vdit_tensor forward(vdit_net *net, const void *config)
{
    const vdit_mochi_config *c = config;
    const size_t patch[] = {1, c->patch, c->patch}, *shape = net->call->latents->shape;
    vdit_mochi_run w = {.config = c,
                        .width = c->heads * c->head_width,
                        .count = {shape[2], shape[3] / c->patch, shape[4] / c->patch}};
    vdit_mochi_tokens z;
    vdit_tensor *const streams[] = {&z.vision, &z.text};
    size_t mark;

    w.rows = vdit_mochi_rows_read(net, w.count[0] * w.count[1] * w.count[2]);
    z.text = embed_conditions(net, &w);
    z.vision = embed_patches(net, &w);
    embed_places(net, &w);
    mark = vdit_net_mark(net);
    for (size_t layer = 0; layer < c->layers; layer++) {
        vdit_mochi_block(net, &w, layer, &z);
        vdit_net_release(net, mark, streams, 2); /* and with the rest what the block was given */
    }
    z.vision = norm_out(net, &w, z.vision);
    z.vision = vdit_net_linear(net, "proj_out", z.vision, c->out_channels * c->patch * c->patch, 1);
    return vdit_module_unpatch(net, z.vision, w.count, patch, 0);
}

/* Fails unless the text of a key is the only one that is offered. */
static void only_text(vdit_config *keys, const char *key, const char *offered)
{
    vdit_config_only(keys, key, strcmp(vdit_config_text(keys, key, offered), offered) == 0,
                     offered);
}

static void configure(vdit_config *keys, void *config)
{
    vdit_mochi_config *c = config;

    c->patch = vdit_config_size(keys, "patch_size", 1, 2);
    c->heads = vdit_config_size(keys, "num_attention_heads", 1, 24);
    c->head_width = vdit_config_size(keys, "attention_head_dim", 1, 128);
    c->layers = vdit_config_layers(keys, "num_layers", 0, 48);
    c->text_stream = vdit_config_size(keys, "pooled_projection_dim", 1, 1536);
    c->in_channels = vdit_config_size(keys, "in_channels", 1, 12);
    c->out_channels = vdit_config_size(keys, "out_channels", 1, c->in_channels);
    only_text(keys, "qk_norm", "rms_norm");
    c->text_width = vdit_config_size(keys, "text_embed_dim", 1, 4096);
    c->time_width = vdit_config_size(keys, "time_embed_dim", 2, 256);
    only_text(keys, "activation_fn", "swiglu");
    vdit_config_size(keys, "max_sequence_length", 1, 256); /* which the original does not enforce */
    vdit_config_only(keys, "num_attention_heads", c->heads <= MOST_WIDTH / c->head_width,
                     "a width of at most 2^24");
    vdit_config_only(keys, "attention_head_dim", c->head_width % 2 == 0, "an even width");
    vdit_config_only(keys, "text_embed_dim", c->text_width % VDIT_MOCHI_POOL_HEADS == 0,
                     "a multiple of 8");
}

static void inputs(vdit_run *run, const void *config, const vdit_extents *e, vdit_model_inputs *in)
{
    static const char *const axes[] = {"height", "width"};
    const vdit_mochi_config *c = config;
    const size_t extents[] = {e->height, e->width};
    size_t video[] = {e->batch, c->in_channels, e->frames, e->height, e->width};
    const size_t text[] = {e->batch, e->text, c->text_width};

    for (int i = 0; i < 2; i++)
        if (extents[i] == 0 || extents[i] % c->patch != 0)
            vdit_run_fail(run, VDIT_ERR_SHAPE,
                          "mochi: %s %zu, expected a positive multiple of the patch's %zu", axes[i],
                          extents[i], c->patch);
    in->latents = vdit_module_input(run, VDIT_F32, 5, video);
    in->timestep = vdit_module_input(run, VDIT_F32, 1, video);
    in->text = vdit_module_input(run, VDIT_F32, 3, text);
    in->text_mask = vdit_module_input(run, VDIT_BOOL, 2, text);
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
    size_t patch = ((const vdit_mochi_config *)config)->patch;

    return (vdit_extents){1, 1, patch, patch, 1};
}

static int keeps_single(const char *weight)
{
    (void)weight;
    return 0;
}

static const vdit_preset presets[] = {
    {"tiny", "{\"num_attention_heads\": 2, \"attention_head_dim\": 8, \"num_layers\": 2,"
             " \"pooled_projection_dim\": 16, \"in_channels\": 4, \"text_embed_dim\": 16,"
             " \"time_embed_dim\": 4, \"max_sequence_length\": 16}"},
    {"mochi-1", "{}"},
    {NULL, NULL},
};

const vdit_network vdit_network_mochi = {
    .name = "mochi",
    .class_name = "MochiTransformer3DModel",
    .about = "Mochi-1: joint attention of a wide stream of vision and a narrow one of text",
    .presets = presets,
    .config_size = sizeof(vdit_mochi_config),
    .configure = configure,
    .inputs = inputs,
    .extents = extents,
    .smallest = smallest,
    .forward = forward,
    .keeps_single = keeps_single,
    .original = vdit_mochi_original,
};
