/* toy_model.c - a network of linear layers and attention, with its weights and inputs. */
#include "toy_model.h"
#include <stdio.h>
#include <string.h>
#include "file_support.h"
#include <vdit/random.h>

#define MOST 64 /* activations */

static vdit_tensor attend(vdit_net *net, const char *name, vdit_net_attention a, vdit_tensor x,
                          vdit_tensor from)
{
    size_t at = vdit_net_enter(net, "%s", name);
    vdit_tensor q = vdit_net_linear(net, "to_q", x, TOY_WIDTH, 1);
    vdit_tensor k = vdit_net_linear(net, "to_k", from, TOY_WIDTH, 1);
    vdit_tensor v = vdit_net_linear(net, "to_v", from, TOY_WIDTH, 1);

    a.q = vdit_net_heads(&q, TOY_HEADS);
    a.k = vdit_net_heads(&k, TOY_HEADS);
    a.v = vdit_net_heads(&v, TOY_HEADS);
    x = vdit_net_linear(net, "to_out", vdit_net_attend(net, &a), TOY_WIDTH, 1);
    vdit_net_leave(net, at);
    return x;
}

static vdit_tensor forward(vdit_net *net, const void *config)
{
    static const int channels_last[] = {0, 2, 3, 4, 1}, channels_second[] = {0, 4, 1, 2, 3};
    const vdit_tensor *video = net->call->latents;
    vdit_net_attention self = {.kind = VDIT_KIND_FULL}, cross = {.kind = VDIT_KIND_CROSS};
    vdit_tensor x = vdit_tensor_permute(video, channels_last), text, made;

    (void)config;
    self.tokens = (vdit_tokens){video->shape[2], video->shape[3], video->shape[4], 0, 0};
    cross.tokens = self.tokens;
    cross.tokens.text = net->call->text->shape[1];
    made = vdit_net_like(net, net->dtype, &x);
    vdit_net_copy(net, made, &x);
    x = vdit_net_merge(&made, 1);
    x = vdit_net_merge(&x, 1);
    text = vdit_net_cast(net, net->dtype, *net->call->text);
    x = vdit_net_linear(net, "in", x, TOY_WIDTH, 1);
    for (size_t layer = 0; layer < TOY_LAYERS; layer++) {
        size_t at = vdit_net_enter(net, "blocks.%zu", layer);

        self.layer = cross.layer = layer;
        x = attend(net, "attn1", self, x, x);
        x = attend(net, "attn2", cross, x, text);
        vdit_net_record(net, &x);
        vdit_net_leave(net, at);
    }
    x = vdit_net_linear(net, "out", x, TOY_CHANNELS, 1);
    x = vdit_net_split(&x, 1, video->shape[2]);
    x = vdit_net_split(&x, 2, video->shape[3]);
    return vdit_tensor_permute(&x, channels_second);
}

static void inputs(vdit_run *run, const void *config, const vdit_extents *e, vdit_model_inputs *in)
{
    const size_t video[] = {e->batch, TOY_CHANNELS, e->frames, e->height, e->width};
    const size_t text[] = {e->batch, e->text, TOY_WIDTH};

    (void)run, (void)config;
    in->latents = in->output = vdit_tensor_view(NULL, VDIT_F32, 5, video);
    in->timestep = vdit_tensor_view(NULL, VDIT_I64, 1, video);
    in->text = vdit_tensor_view(NULL, VDIT_F32, 3, text);
}

static vdit_extents extents(const vdit_forward *call)
{
    const size_t *shape = call->latents->shape;

    return (vdit_extents){shape[0], shape[2], shape[3], shape[4], call->text->shape[1]};
}

static int keeps_single(const char *weight)
{
    (void)weight;
    return 0;
}

static const vdit_network network = {.name = "toy",
                                     .class_name = "Toy",
                                     .inputs = inputs,
                                     .extents = extents,
                                     .forward = forward,
                                     .keeps_single = keeps_single};

/* A tensor of even numbers in [-1, 1). */
static vdit_tensor draw(vdit_run *run, uint32_t seed, uint32_t which, int rank, const size_t *shape)
{
    const uint32_t key[2] = {seed, which};
    vdit_tensor made;

    assert_int_equal(vdit_tensor_new(run, &made, VDIT_F32, rank, shape), VDIT_OK);
    for (size_t i = 0; i < vdit_tensor_count(&made); i++) {
        const uint32_t counter[4] = {(uint32_t)i, 0, 0, 0};
        uint32_t words[4];

        vdit_philox4x32_10(words, counter, key);
        ((float *)made.data)[i] = (float)((double)(words[0] >> 8) * 0x1p-23 - 1);
    }
    return made;
}

typedef struct weights {
    vdit_run *run;
    uint32_t seed;
    vdit_named list[MOST];
    size_t count;
} weights;

static void make_weight(void *state, const char *name, const vdit_tensor *weight)
{
    weights *w = state;
    char *copy = vdit_run_alloc(w->run, strlen(name) + 1, 1);

    assert_non_null(copy);
    w->list[w->count].name = strcpy(copy, name);
    w->list[w->count].tensor =
        draw(w->run, w->seed, (uint32_t)w->count + 10, weight->rank, weight->shape);
    w->count++;
}

void toy_open(toy *t, vdit_run *run, size_t batch, uint32_t seed)
{
    const vdit_extents size = {batch, 2, 2, 3, TOY_TEXT};
    weights w = {.run = run, .seed = seed};
    vdit_model_inputs in;
    vdit_net net = {.run = run, .dry = 1, .keeps_single = keeps_single};

    memset(t, 0, sizeof *t);
    t->run = run;
    t->model = (vdit_model){.family = &network, .path = "toy"};
    vdit_forward_init(&t->call);
    assert_int_equal(vdit_model_inputs_of(run, &t->model, &size, &in), VDIT_OK);
    t->latents = draw(run, seed, 0, 5, in.latents.shape);
    t->text = draw(run, seed, 1, 3, in.text.shape);
    assert_int_equal(vdit_tensor_new(run, &t->timestep, VDIT_I64, 1, in.timestep.shape), VDIT_OK);
    memset(t->timestep.data, 0, batch * sizeof(int64_t));
    assert_int_equal(vdit_tensor_new(run, &t->output, VDIT_F32, 5, in.output.shape), VDIT_OK);
    t->call.latents = &t->latents;
    t->call.timestep = &t->timestep;
    t->call.text = &t->text;
    t->call.output = &t->output;
    net.call = &t->call;
    net.watch = (vdit_net_watch){.state = &w, .weight = make_weight};
    forward(&net, NULL);
    assert_int_equal(vdit_safetensors_write(run, "toy.safetensors", w.list, w.count, NULL, 0),
                     VDIT_OK);
    assert_int_equal(vdit_file_open(run, &t->model.weights, "toy.safetensors"), VDIT_OK);
}

void toy_close(toy *t)
{
    vdit_file_close(t->model.weights);
}

void toy_plan(toy *t, const char *text)
{
    assert_int_equal(vdit_plan_parse(t->run, &t->plan, text, strlen(text)), VDIT_OK);
    t->call.plan = t->plan;
}

static vdit_status keep(void *state, const char *name, const vdit_tensor *activation)
{
    toy_trace *trace = state;
    vdit_named *to = &trace->list[trace->count++];
    char *copy = vdit_run_alloc(trace->run, strlen(name) + 1, 1);

    assert_true(trace->count <= MOST);
    assert_non_null(copy);
    to->name = strcpy(copy, name);
    assert_int_equal(vdit_tensor_new(trace->run, &to->tensor, activation->dtype, activation->rank,
                                     activation->shape),
                     VDIT_OK);
    vdit_tensor_pack(to->tensor.data, activation);
    return VDIT_OK;
}

/* The trace belongs to a run of its own, which the scopes of the network leave alone. */
void toy_run(toy *t, toy_trace *trace)
{
    trace->run = vdit_run_new();
    assert_non_null(trace->run);
    trace->list = vdit_run_alloc(trace->run, MOST, sizeof *trace->list);
    trace->count = 0;
    t->call.trace = keep;
    t->call.trace_state = trace;
    if (vdit_model_forward(t->run, &t->model, &t->call) != VDIT_OK)
        fail_msg("%s", vdit_run_message(t->run));
    t->call.trace = NULL;
}

const vdit_tensor *toy_find(const toy_trace *trace, const char *name)
{
    for (size_t i = 0; i < trace->count; i++)
        if (strcmp(trace->list[i].name, name) == 0)
            return &trace->list[i].tensor;
    fail_msg("no activation %s", name);
    return NULL;
}

int toy_same(const toy_trace *a, const toy_trace *b, const char *name, int head)
{
    const vdit_tensor *x = toy_find(a, name), *y = toy_find(b, name);
    size_t heads = head >= 0 ? x->shape[1] : 1, batch = head >= 0 ? x->shape[0] : 1;
    size_t bytes = vdit_tensor_count(x) * vdit_dtype_size(x->dtype) / (heads * batch);

    for (size_t n = 0; n < batch; n++) {
        size_t from = (n * heads + (head >= 0 ? (size_t)head : 0)) * bytes;
        if (memcmp((char *)x->data + from, (char *)y->data + from, bytes) != 0)
            return 0;
    }
    return 1;
}

vdit_status toy_source(void *state, const char *site, unsigned needed, const vdit_tensor **q,
                       const vdit_tensor **k, const vdit_tensor **v)
{
    const vdit_tensor **to[] = {q, k, v};
    char name[80];

    for (int i = 0; i < 3; i++)
        if (needed >> i & 1) {
            snprintf(name, sizeof name, "%s/%c", site, "qkv"[i]);
            *to[i] = toy_find(state, name);
        }
    return VDIT_OK;
}
