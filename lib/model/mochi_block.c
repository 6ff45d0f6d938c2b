/*
 * mochi_block.c - a block of Mochi-1: a stream of vision tokens and a narrower one of text tokens meet in joint
 * attention. RMS norms stand before and after each branch; nothing is shifted, and gates go through tanh.
 */
#include <string.h>
#include "model/mochi.h"
#include "model/module.h"

#define HEAD_EPS 1e-5 /* not a key of the configuration */

/* What the time says of one stream in one block, each [B, 1, width]. */
typedef struct mochi_gates {
    vdit_tensor attention, scale, widening;
} mochi_gates;

/* RMS norms are f32 in every policy; their results are rounded where they are used. */
static vdit_tensor norm(vdit_net *net, vdit_tensor x)
{
    net->dtype = VDIT_F32;
    x = vdit_net_rms_norm(net, "norm", x, 0, VDIT_MOCHI_EPS);
    net->dtype = net->policy;
    return x;
}

/* RMS(x) (1 + scale). */
static vdit_tensor scaled_norm(vdit_net *net, const char *name, vdit_tensor x, vdit_tensor scale)
{
    size_t at = vdit_net_enter(net, "%s", name);

    x = vdit_net_modulate(net, norm(net, x), scale, NULL);
    vdit_net_record(net, &x);
    vdit_net_leave(net, at);
    return x;
}

/* Records gate z, which the gated residual does not round on its way. */
static void record_gated(vdit_net *net, vdit_tensor gate, vdit_tensor z)
{
    size_t mark = vdit_net_mark(net);
    float zero = 0;
    vdit_tensor zeros = vdit_tensor_view(net->dry ? NULL : &zero, VDIT_F32, z.rank, z.shape);

    if (net->watch.activation == NULL)
        return;
    memset(zeros.stride, 0, sizeof zeros.stride);
    z = vdit_net_gated_add(net, zeros, gate, z);
    vdit_net_record(net, &z);
    vdit_net_release(net, mark, NULL, 0);
}

/* x + tanh(gate) RMS(z). */
static vdit_tensor gated_norm(vdit_net *net, const char *name, vdit_tensor x, vdit_tensor gate,
                              vdit_tensor z)
{
    size_t at = vdit_net_enter(net, "%s", name);

    z = norm(net, z);
    gate = vdit_net_activate(net, gate, VDIT_TANH);
    record_gated(net, gate, z);
    x = vdit_net_gated_add(net, x, gate, z);
    vdit_net_leave(net, at);
    return x;
}

/* The norm before attention. Out: gates, what the time says beside its scale. */
static vdit_tensor first_norm(vdit_net *net, const vdit_mochi_run *w, const char *name,
                              vdit_tensor x, mochi_gates *gates)
{
    size_t at = vdit_net_enter(net, "%s", name);
    vdit_tensor m, part[4];

    m = vdit_module_activation(net, "silu", w->time, VDIT_SILU);
    m = vdit_net_linear(net, "linear", m, 4 * x.shape[2], 1);
    m = vdit_net_split(&m, 1, 1);
    vdit_net_chunk(part, 4, &m);
    x = vdit_net_modulate(net, norm(net, x), part[0], NULL);
    vdit_net_record_as(net, NULL, 0, &x);
    for (int i = 1; i < 4; i++) {
        m = vdit_net_merge(&part[i], 1);
        vdit_net_record_as(net, NULL, i, &m);
    }
    *gates = (mochi_gates){part[1], part[2], part[3]};
    vdit_net_leave(net, at);
    return x;
}

/* The text's norm before the last attention, after which nothing becomes of the text. */
static vdit_tensor last_norm(vdit_net *net, const vdit_mochi_run *w, const char *name,
                             vdit_tensor y)
{
    size_t at = vdit_net_enter(net, "%s", name);
    vdit_tensor m;

    m = vdit_module_activation(net, "silu", w->time, VDIT_SILU);
    m = vdit_net_linear(net, "linear_1", m, y.shape[2], 1);
    y = scaled_norm(net, "norm", y, vdit_net_split(&m, 1, 1));
    vdit_net_record(net, &y);
    vdit_net_leave(net, at);
    return y;
}

/* Out: part[3], the queries, keys and values of a stream, [B, H, n, d]; queries and keys normed in each head. */
static void project(vdit_net *net, const vdit_mochi_run *w, const char *const *names, vdit_tensor x,
                    vdit_tensor *part)
{
    static const int heads_second[] = {0, 2, 1, 3};

    for (int i = 0; i < 3; i++) {
        part[i] = vdit_net_linear(net, names[i], x, w->width, 0);
        part[i] = vdit_net_split(&part[i], 2, w->config->heads);
    }
    for (int i = 0; i < 2; i++)
        part[i] = vdit_net_rms_norm(net, names[3 + i], part[i], 1, HEAD_EPS);
    for (int i = 0; i < 3; i++)
        part[i] = vdit_tensor_permute(&part[i], heads_second);
}

/* Joint attention over the vision tokens and the rows of the text that count. In the last block the text's result is not
   projected. Returns: what it adds to the streams. */
static vdit_mochi_tokens attention(vdit_net *net, const vdit_mochi_run *w, size_t layer,
                                   vdit_mochi_tokens from)
{
    static const char *const vision_names[] = {"to_q", "to_k", "to_v", "norm_q", "norm_k"};
    static const char *const text_names[] = {"add_q_proj", "add_k_proj", "add_v_proj",
                                             "norm_added_q", "norm_added_k"};
    size_t at = vdit_net_enter(net, "attn1"), n = from.vision.shape[1], nt = from.text.shape[1];
    vdit_tensor x[3], y[3], o;
    vdit_net_attention a = {.layer = layer,
                            .kind = VDIT_KIND_FULL,
                            .tokens = {w->count[0], w->count[1], w->count[2], nt, 0}};

    project(net, w, vision_names, from.vision, x);
    project(net, w, text_names, from.text, y);
    for (int i = 0; i < 2; i++)
        x[i] = vdit_net_rotary(net, x[i], w->cosine, w->sine);
    a.q = vdit_mochi_join(net, &w->rows, &x[0], &y[0]);
    a.k = vdit_mochi_join(net, &w->rows, &x[1], &y[1]);
    a.v = vdit_mochi_join(net, &w->rows, &x[2], &y[2]);
    if (w->rows.valid != NULL)
        a.key_length = a.query_length = &w->rows.length;
    o = vdit_net_attend(net, &a);
    from.vision = vdit_net_slice(&o, 1, 0, n);
    from.text = vdit_net_slice(&o, 1, n, nt);
    from.vision = vdit_net_linear(net, "to_out.0", from.vision, w->width, 1);
    if (layer + 1 < w->config->layers)
        from.text = vdit_net_linear(net, "to_add_out", from.text, w->config->text_stream, 1);
    vdit_net_record_as(net, NULL, 0, &from.vision);
    vdit_net_record_as(net, NULL, 1, &from.text);
    vdit_net_leave(net, at);
    return from;
}

/* The rest of a block for one stream. In: names of two norms, the feed-forward module and the last norm. */
static void finish(vdit_net *net, const char *const *names, vdit_tensor *x, vdit_tensor attended,
                   const mochi_gates *gates)
{
    const vdit_feed_forward widening = {
        .inner = 8 * x->shape[2] / 3, .f = VDIT_SILU, .gated = 1, .submodule = 1};
    size_t mark = vdit_net_mark(net);
    vdit_tensor y;

    *x = gated_norm(net, names[0], *x, gates->attention, attended);
    y = scaled_norm(net, names[1], *x, gates->scale);
    y = vdit_module_feed_forward(net, names[2], y, &widening);
    *x = gated_norm(net, names[3], *x, gates->widening, y);
    vdit_net_release(net, mark, &x, 1);
}

void vdit_mochi_block(vdit_net *net, const vdit_mochi_run *w, size_t layer, vdit_mochi_tokens *z)
{
    static const char *const vision_names[] = {"norm2", "norm3", "ff", "norm4"};
    static const char *const text_names[] = {"norm2_context", "norm3_context", "ff_context",
                                             "norm4_context"};
    size_t at = vdit_net_enter(net, "transformer_blocks.%zu", layer), step;
    int last = layer + 1 == w->config->layers;
    mochi_gates of_vision, of_text;
    vdit_mochi_tokens y;
    vdit_tensor *const attended[] = {&y.vision, &y.text};

    y.vision = first_norm(net, w, "norm1", z->vision, &of_vision);
    y.text = last ? last_norm(net, w, "norm1_context", z->text)
                  : first_norm(net, w, "norm1_context", z->text, &of_text);
    step = vdit_net_mark(net);
    y = attention(net, w, layer, y);
    vdit_net_release(net, step, attended, 2);
    finish(net, vision_names, &z->vision, y.vision, &of_vision);
    if (!last)
        finish(net, text_names, &z->text, y.text, &of_text);
    vdit_net_record_as(net, NULL, 0, &z->vision);
    vdit_net_record_as(net, NULL, 1, &z->text);
    vdit_net_leave(net, at);
}
