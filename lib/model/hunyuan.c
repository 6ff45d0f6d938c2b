/* hunyuan.c - HunyuanVideo: its configuration and its network. The formulas: vdit-hunyuan(7). */
#include <string.h>
#include "model/hunyuan.h"
#include "model/module.h"

#define NORM_EPS 1e-6

/* The largest model width and the largest number of values in a patch, so that products of sizes can be addressed. */
#define WIDTH_MAX ((size_t)1 << 24)

static const vdit_preset presets[] = {
    {"tiny", "{\"in_channels\": 4, \"out_channels\": 4, \"num_attention_heads\": 2,"
             " \"attention_head_dim\": 10, \"num_layers\": 1, \"num_single_layers\": 1,"
             " \"num_refiner_layers\": 1, \"patch_size\": 1, \"patch_size_t\": 1,"
             " \"text_embed_dim\": 16, \"pooled_projection_dim\": 8,"
             " \"rope_axes_dim\": [2, 4, 4]}"},
    {"hunyuanvideo", "{}"},
    {NULL, NULL}};

static void check_sizes(vdit_config *keys, const vdit_hunyuan *c, double ratio)
{
    double area = (double)c->patch[0] * (double)c->patch[1] * (double)c->patch[2];
    double channels = (double)(c->channels > c->channels_out ? c->channels : c->channels_out);

    vdit_config_only(keys, "attention_head_dim", c->head_width <= WIDTH_MAX / c->heads,
                     "a model width up to 2^24");
    vdit_config_only(keys, "mlp_ratio",
                     ratio > 0 && (double)c->width * ratio >= 1 && ratio <= (double)WIDTH_MAX,
                     "a ratio that gives a width");
    vdit_config_only(keys, "patch_size", area * channels <= (double)WIDTH_MAX,
                     "a patch of up to 2^24 values");
    vdit_config_only(keys, "rope_axes_dim",
                     c->axes[0] + c->axes[1] + c->axes[2] == c->head_width && c->axes[0] % 2 == 0 &&
                         c->axes[1] % 2 == 0 && c->axes[2] % 2 == 0,
                     "even widths whose sum is attention_head_dim");
    vdit_config_only(keys, "rope_theta", c->theta > 0, "a number above 0");
}

static void configure(vdit_config *keys, void *config)
{
    static const size_t axes[] = {16, 56, 56};
    vdit_hunyuan *c = config;
    double ratio = vdit_config_number(keys, "mlp_ratio", 4);
    const char *norm = vdit_config_text(keys, "qk_norm", "rms_norm");

    c->channels = vdit_config_size(keys, "in_channels", 1, 16);
    c->channels_out = vdit_config_size(keys, "out_channels", 1, 16);
    c->heads = vdit_config_size(keys, "num_attention_heads", 1, 24);
    c->head_width = vdit_config_size(keys, "attention_head_dim", 1, 128);
    c->width = c->heads * c->head_width;
    c->doubles = vdit_config_layers(keys, "num_layers", 0, 20);
    c->singles = vdit_config_layers(keys, "num_single_layers", 0, 40);
    c->refiners = vdit_config_layers(keys, "num_refiner_layers", 0, 2);
    c->patch[1] = c->patch[2] = vdit_config_size(keys, "patch_size", 1, 2);
    c->patch[0] = vdit_config_size(keys, "patch_size_t", 1, 1);
    c->guidance = vdit_config_flag(keys, "guidance_embeds", 1);
    c->text_width = vdit_config_size(keys, "text_embed_dim", 1, 4096);
    c->pooled_width = vdit_config_size(keys, "pooled_projection_dim", 1, 768);
    c->theta = vdit_config_number(keys, "rope_theta", 256);
    vdit_config_sizes(keys, "rope_axes_dim", c->axes, 3, axes);
    vdit_config_only(keys, "qk_norm", strcmp(norm, "rms_norm") == 0, "\"rms_norm\"");
    vdit_config_absent(keys, "image_condition_type", "conditioning on an image");
    check_sizes(keys, c, ratio);
    if (ratio > 0 && ratio <= (double)WIDTH_MAX)
        c->inner = (size_t)((double)c->width * ratio); /* cut, as the original */
}

static void inputs(vdit_run *run, const void *config, const vdit_extents *e,
                   vdit_model_inputs *inputs)
{
    const vdit_hunyuan *c = config;
    size_t latents[] = {e->batch, c->channels, e->frames, e->height, e->width};
    size_t text[] = {e->batch, e->text, c->text_width}, pooled[] = {e->batch, c->pooled_width};

    vdit_module_check_patch(run, "hunyuan", e, c->patch);
    if (e->text == 0)
        vdit_run_fail(run, VDIT_ERR_SHAPE, "hunyuan: 0 rows of text, expected at least 1");
    inputs->latents = vdit_module_input(run, VDIT_F32, 5, latents);
    inputs->timestep = vdit_module_input(run, VDIT_F32, 1, latents);
    inputs->text = vdit_module_input(run, VDIT_F32, 3, text);
    inputs->text_mask = vdit_module_input(run, VDIT_I64, 2, text);
    inputs->pooled = vdit_module_input(run, VDIT_F32, 2, pooled);
    if (c->guidance)
        inputs->guidance = vdit_module_input(run, VDIT_F32, 1, latents);
    latents[1] = c->channels_out;
    inputs->output = vdit_module_input(run, VDIT_F32, 5, latents);
}

static vdit_extents extents(const vdit_forward *call)
{
    const size_t *x = call->latents->shape;
    vdit_extents e = {x[0], x[2], x[3], x[4], call->text->shape[1]};

    return e;
}

static vdit_extents smallest(const void *config)
{
    const vdit_hunyuan *c = config;
    vdit_extents e = {1, c->patch[0], c->patch[1], c->patch[2], 1};

    return e;
}

/* Records a rotary table as the original has it: each angle for both elements of its pair, [N, d]. */
static void record_table(vdit_net *net, int index, const vdit_tensor *table)
{
    vdit_tensor twice = vdit_net_split(table, 1, table->shape[1]), made; /* [N, d / 2, 1] */
    size_t mark = vdit_net_mark(net);

    if (net->watch.activation == NULL)
        return;
    twice.shape[2] = 2;
    twice.stride[2] = 0;
    made = vdit_net_like(net, table->dtype, &twice);
    vdit_net_copy(net, made, &twice);
    made = vdit_net_merge(&made, 1);
    vdit_net_record_as(net, "rope", index, &made);
    vdit_net_release(net, mark, NULL, 0);
}

/* Out: r->cosine, r->sine. */
static void place_video(vdit_net *net, vdit_hunyuan_run *r)
{
    static const double *const indices[3];
    vdit_tensor place = vdit_module_places(net, r->count, indices);

    vdit_net_rotary_table(net, &r->cosine, &r->sine, &place, r->config->axes, r->config->theta);
    record_table(net, 0, &r->cosine);
    record_table(net, 1, &r->sine);
}

/* Returns: the latents' patches as tokens, [B,N,D]. */
static vdit_tensor embed_video(vdit_net *net, const vdit_hunyuan *c)
{
    size_t at = vdit_net_enter(net, "x_embedder");
    vdit_tensor x = vdit_net_cast(net, net->dtype, *net->call->latents);

    x = vdit_net_patches(net, "proj", x, c->width, c->patch, 3, 1);
    x = vdit_net_merge(&x, 1);
    x = vdit_net_merge(&x, 1);
    vdit_net_record(net, &x);
    vdit_net_leave(net, at);
    return x;
}

/*
 * Returns: i64 [B], how many keys of [video, text] are valid. Only the number of valid rows of the text counts: they
 * are taken to come first.
 */
static vdit_tensor count_keys(vdit_net *net, const vdit_tensor *mask, size_t batch, size_t video,
                              size_t text)
{
    vdit_tensor keys = vdit_net_new(net, VDIT_I64, 1, &batch);
    int64_t *length = keys.data;

    if (net->dry || vdit_run_status(net->run) != VDIT_OK)
        return keys;
    for (size_t b = 0; b < batch; b++) {
        length[b] = (int64_t)(mask == NULL ? video + text : video);
        for (size_t i = 0; mask != NULL && i < text; i++) {
            size_t index[] = {b, i};
            double valid;

            vdit_load_f64(&valid, 1, vdit_tensor_at(mask, index), 1, mask->dtype);
            length[b] += valid != 0;
        }
    }
    return keys;
}

/* Returns: the output's patches, [B,N,P]. */
static vdit_tensor leave(vdit_net *net, const vdit_hunyuan_run *r)
{
    const vdit_hunyuan *c = r->config;
    size_t at = vdit_net_enter(net, "norm_out");
    vdit_tensor x, m[2]; /* scale, shift */

    vdit_hunyuan_modulation(net, "silu", r->time, m, 2);
    x = vdit_net_layer_norm(net, "norm", r->x, 0, NORM_EPS);
    x = vdit_net_modulate(net, x, m[0], &m[1]);
    vdit_net_record(net, &x);
    vdit_net_leave(net, at);
    return vdit_net_linear(net, "proj_out", x,
                           c->channels_out * c->patch[0] * c->patch[1] * c->patch[2], 1);
}

static vdit_tensor forward(vdit_net *net, const void *config)
{
    const vdit_hunyuan *c = config;
    vdit_extents e = extents(net->call);
    vdit_hunyuan_run r = {
        .config = c,
        .count = {e.frames / c->patch[0], e.height / c->patch[1], e.width / c->patch[2]}};

    place_video(net, &r);
    r.time = vdit_hunyuan_condition(net, c);
    r.x = embed_video(net, c);
    r.y = vdit_hunyuan_refine(net, c);
    r.keys = count_keys(net, net->call->text_mask, e.batch, r.x.shape[1], e.text);
    r.mark = vdit_net_mark(net);
    for (size_t i = 0; i < c->doubles; i++)
        vdit_hunyuan_double(net, &r, i, i);
    for (size_t i = 0; i < c->singles; i++)
        vdit_hunyuan_single(net, &r, i, c->doubles + i);
    return vdit_module_unpatch(net, leave(net, &r), r.count, c->patch, 1);
}

static int keeps_single(const char *weight)
{
    (void)weight;
    return 0;
}

const vdit_network vdit_network_hunyuan = {
    .name = "hunyuan",
    .class_name = "HunyuanVideoTransformer3DModel",
    .about = "HunyuanVideo: joint attention of video and text, in two streams and then in one",
    .presets = presets,
    .config_size = sizeof(vdit_hunyuan),
    .configure = configure,
    .inputs = inputs,
    .extents = extents,
    .smallest = smallest,
    .forward = forward,
    .keeps_single = keeps_single,
    .original = vdit_hunyuan_original};
