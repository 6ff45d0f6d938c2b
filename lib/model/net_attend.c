/* net_attend.c - one attention site of a network. */
#include <stdio.h>
#include "model/site.h"

static void tell_site(vdit_net *net, const vdit_net_attention *a)
{
    vdit_site_info info = {.name = net->name,
                           .layer = a->layer,
                           .kind = a->kind,
                           .heads = a->q.shape[1],
                           .queries = a->q.shape[2],
                           .keys = a->k.shape[2],
                           .width = a->q.shape[3],
                           .tokens = a->tokens};

    if (net->watch.site != NULL)
        net->watch.site(net->watch.state, &info);
}

/* Counts what the call will take. */
static void count(vdit_net *net, const vdit_attention *call)
{
    vdit_attention_cost cost;

    vdit_attention_estimate(&cost, net->run, call);
    net->flops += cost.flops;
    net->attention_flops += cost.flops;
    if (net->dry && (double)net->bytes + cost.bytes > (double)net->peak)
        net->peak = net->bytes + (size_t)cost.bytes;
}

static void record_operands(vdit_net *net, const vdit_net_attention *a)
{
    size_t at = net->name_length;
    const vdit_tensor *const operands[] = {&a->q, &a->k, &a->v};
    static const char *const names[] = {"/q", "/k", "/v"};

    for (int i = 0; i < 3; i++) {
        vdit_net_suffix(net, names[i]);
        vdit_net_record(net, operands[i]);
        vdit_net_leave(net, at);
    }
}

/* What the site does between its operands and its result: meters read the map before it is used. */
static void compute(vdit_net_site *site)
{
    vdit_net *net = site->net;

    vdit_net_site_edit(site);
    vdit_net_site_measure(site);
    vdit_net_site_report(site);
    if (vdit_run_status(net->run) != VDIT_OK)
        return;
    if (net->call->noise != NULL)
        vdit_net_attend_noisily(net, &site->call);
    else
        vdit_backend_attention(net->run, net->backend, &site->call);
    vdit_net_site_tell(site);
}

/* Rows that a sample does not have. */
static void clear_rows(vdit_net *net, const vdit_net_attention *a, const vdit_tensor *o)
{
    const int64_t *length = a->query_length->data;

    for (size_t b = 0; b < o->shape[0]; b++) {
        vdit_tensor sample = vdit_net_slice(o, 0, b, 1);

        vdit_net_clear(net, &sample, 2, (size_t)length[b]);
    }
}

/* Puts the site's name before the message of a failure. */
static void blame(vdit_net *net)
{
    vdit_status status = vdit_run_status(net->run);
    char message[1024];

    snprintf(message, sizeof message, "%s", vdit_run_message(net->run));
    vdit_run_clear(net->run);
    vdit_run_fail(net->run, status, "%s: %s", net->name, message);
}

vdit_tensor vdit_net_attend(vdit_net *net, const vdit_net_attention *a)
{
    static const int heads_second[] = {0, 2, 1, 3};
    size_t shape[] = {a->q.shape[0], a->q.shape[2], a->q.shape[1], a->v.shape[3]};
    size_t at = net->name_length;
    vdit_tensor made = vdit_net_new(net, net->dtype, 4, shape);
    vdit_tensor o = vdit_tensor_permute(&made, heads_second);
    vdit_net_site site = {.net = net, .a = a};

    vdit_attention_init(&site.call, &a->q, &a->k, &a->v);
    site.call.mask = a->mask;
    site.call.key_length = a->key_length;
    site.call.o = &o;
    tell_site(net, a);
    record_operands(net, a);
    count(net, &site.call);
    if (!net->dry && vdit_run_status(net->run) == VDIT_OK) {
        size_t mark = vdit_run_mark(net->run);

        compute(&site);
        vdit_run_release(net->run, mark);
        if (vdit_run_status(net->run) != VDIT_OK)
            blame(net);
        else if (a->query_length != NULL)
            clear_rows(net, a, &o);
    }
    vdit_net_progress(net);
    vdit_net_suffix(net, "/o");
    vdit_net_record(net, &o);
    vdit_net_leave(net, at);
    return vdit_net_merge(&made, 2);
}
