/* net.c - names, memory and records of a network that runs. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/internal.h"
#include "model/net.h"

void vdit_net_suffix(vdit_net *net, const char *text)
{
    size_t length = strlen(text), room = sizeof net->name - net->name_length;

    if (length >= room) {
        vdit_run_fail(net->run, VDIT_ERR_LIMIT, "module %s%s: the name is longer than %d",
                      net->name, text, VDIT_NET_NAME_MAX - 1);
        return;
    }
    memcpy(net->name + net->name_length, text, length + 1);
    net->name_length += length;
}

/* Adds ".text" to the name. */
static void append(vdit_net *net, const char *text)
{
    if (net->name_length > 0)
        vdit_net_suffix(net, ".");
    vdit_net_suffix(net, text);
}

size_t vdit_net_enter(vdit_net *net, const char *format, ...)
{
    size_t at = net->name_length;
    char text[VDIT_NET_NAME_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    append(net, text);
    return at;
}

void vdit_net_leave(vdit_net *net, size_t at)
{
    net->name_length = at;
    net->name[at] = '\0';
}

size_t vdit_net_mark(const vdit_net *net)
{
    return net->dry ? net->bytes : vdit_run_mark(net->run);
}

/* Moves results aside, frees the scope, and moves them back into the scope outside. */
static void carry(vdit_net *net, size_t mark, vdit_tensor *const *keep, size_t count)
{
    vdit_run *aside = vdit_run_new_like(net->run);

    for (size_t i = 0; aside != NULL && i < count; i++) {
        vdit_tensor moved;

        if (vdit_tensor_new(aside, &moved, keep[i]->dtype, keep[i]->rank, keep[i]->shape) ==
            VDIT_OK) {
            vdit_tensor_pack(moved.data, keep[i]);
            *keep[i] = moved;
        } else {
            vdit_run_fail(net->run, vdit_run_status(aside), "%s", vdit_run_message(aside));
        }
    }
    vdit_run_release(net->run, mark);
    for (size_t i = 0; i < count; i++) {
        vdit_tensor from = *keep[i];

        *keep[i] = vdit_net_new(net, from.dtype, from.rank, from.shape);
        if (vdit_run_status(net->run) == VDIT_OK)
            vdit_tensor_pack(keep[i]->data, &from);
    }
    vdit_run_free(aside);
}

void vdit_net_release(vdit_net *net, size_t mark, vdit_tensor *const *keep, size_t count)
{
    if (vdit_run_status(net->run) != VDIT_OK)
        return;
    if (!net->dry) {
        carry(net, mark, keep, count);
        vdit_net_progress(net);
        return;
    }
    net->bytes = mark;
    for (size_t i = 0; i < count; i++)
        *keep[i] = vdit_net_new(net, keep[i]->dtype, keep[i]->rank, keep[i]->shape);
}

vdit_tensor vdit_net_new(vdit_net *net, vdit_dtype dtype, int rank, const size_t *shape)
{
    vdit_tensor made = {0};

    if (!vdit_shape_fits(dtype, rank, shape)) {
        vdit_run_fail(net->run, VDIT_ERR_LIMIT, "%s: a tensor is too large to be addressed",
                      net->name);
        return made;
    }
    made = vdit_tensor_view(NULL, dtype, rank, shape);
    if (net->dry) {
        net->bytes += vdit_tensor_count(&made) * vdit_dtype_size(dtype);
        net->peak = net->bytes > net->peak ? net->bytes : net->peak;
    } else {
        vdit_tensor_new(net->run, &made, dtype, rank, shape);
    }
    return made;
}

vdit_tensor vdit_net_like(vdit_net *net, vdit_dtype dtype, const vdit_tensor *x)
{
    return vdit_net_new(net, dtype, x->rank, x->shape);
}

void vdit_net_record_as(vdit_net *net, const char *name, int index, const vdit_tensor *x)
{
    size_t at = net->name_length;
    vdit_status status;
    char place[16];

    if (net->watch.activation == NULL || vdit_run_status(net->run) != VDIT_OK)
        return;
    if (name != NULL)
        append(net, name);
    if (index >= 0) {
        snprintf(place, sizeof place, "[%d]", index);
        vdit_net_suffix(net, place);
    }
    status = net->watch.activation(net->watch.state, net->name, x);
    if (status != VDIT_OK)
        vdit_run_fail(net->run, status, "%s: the caller refused it: %s", net->name,
                      vdit_status_name(status));
    vdit_net_leave(net, at);
}

void vdit_net_record(vdit_net *net, const vdit_tensor *x)
{
    vdit_net_record_as(net, NULL, -1, x);
}

void vdit_net_progress(vdit_net *net)
{
    if (!net->dry && net->total > 0)
        vdit_run_progress(net->run, "forward", net->flops, net->total);
}

/* Returns: the dtype in which the original holds a weight of the file's dtype. */
static vdit_dtype held(const vdit_net *net, vdit_dtype file)
{
    int narrower = vdit_dtype_size(net->policy) < vdit_dtype_size(file);

    return narrower && !net->keeps_single(net->name) ? net->policy : file;
}

static vdit_tensor find_weight(vdit_net *net, int rank, const size_t *shape)
{
    const vdit_tensor *found =
        net->weights != NULL ? vdit_file_find(net->weights, net->name) : NULL;
    vdit_tensor weight = vdit_tensor_view(NULL, found ? found->dtype : VDIT_F32, rank, shape);

    if (!net->dry && found == NULL)
        vdit_run_fail(net->run, VDIT_ERR_FORMAT, "tensor \"%s\" is missing", net->name);
    else if (!net->dry)
        weight = *found;
    if (net->watch.weight != NULL)
        net->watch.weight(net->watch.state, net->name, &weight);
    return weight;
}

vdit_tensor vdit_net_weight(vdit_net *net, const char *name, int rank, const size_t *shape)
{
    size_t at = net->name_length;
    vdit_tensor weight;

    append(net, name);
    weight = find_weight(net, rank, shape);
    weight = vdit_net_cast(net, held(net, weight.dtype), weight);
    vdit_net_leave(net, at);
    return weight;
}
