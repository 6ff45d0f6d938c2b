/*
 * mochi_text.c - the texts of a call of Mochi. Rows that a mask drops take no part in attention: those that count are
 * gathered behind the vision tokens, and their results stand there too, before zeros. So where a mask is not a prefix,
 * a row's result goes to another row's residual, as in the original.
 */
#include <string.h>
#include "model/mochi.h"

/* Out: valid[Nt] and the count of one row of the mask. */
static size_t read_row(const vdit_tensor *mask, size_t b, size_t *valid)
{
    size_t count = 0;

    for (size_t i = 0; i < mask->shape[1]; i++) {
        const size_t index[] = {b, i};
        double value;

        vdit_load_f64(&value, 1, vdit_tensor_at(mask, index), 1, mask->dtype);
        if (value != 0)
            valid[count++] = i;
    }
    return count;
}

vdit_mochi_rows vdit_mochi_rows_read(vdit_net *net, size_t vision)
{
    vdit_mochi_rows rows = {.mask = net->call->text_mask};
    size_t batch, text, *valid, *count;

    if (rows.mask == NULL || net->dry || vdit_run_status(net->run) != VDIT_OK)
        return rows;
    batch = rows.mask->shape[0];
    text = rows.mask->shape[1];
    rows.length = vdit_net_new(net, VDIT_I64, 1, &batch);
    valid = vdit_run_alloc(net->run, vdit_tensor_count(rows.mask), sizeof *valid);
    count = vdit_run_alloc(net->run, batch, sizeof *count);
    if (vdit_run_status(net->run) != VDIT_OK)
        return rows;
    for (size_t b = 0; b < batch; b++) {
        count[b] = read_row(rows.mask, b, valid + b * text);
        ((int64_t *)rows.length.data)[b] = (int64_t)(vision + count[b]);
    }
    rows.valid = valid;
    rows.count = count;
    return rows;
}

/* Gathers the rows of one text. */
static void gather(vdit_net *net, vdit_tensor into, vdit_tensor text, const size_t *valid,
                   size_t count)
{
    for (size_t i = 0; i < count; i++) {
        vdit_tensor row = vdit_net_slice(&text, 2, valid[i], 1);

        vdit_net_copy(net, vdit_net_slice(&into, 2, i, 1), &row);
    }
    vdit_net_clear(net, &into, 2, count);
}

vdit_tensor vdit_mochi_join(vdit_net *net, const vdit_mochi_rows *rows, const vdit_tensor *vision,
                            const vdit_tensor *text)
{
    vdit_tensor joined = vdit_net_join(net, vision, text, 2), into;

    if (rows->valid == NULL || vdit_run_status(net->run) != VDIT_OK)
        return joined;
    into = vdit_net_slice(&joined, 2, vision->shape[2], text->shape[2]);
    for (size_t b = 0; b < text->shape[0]; b++)
        gather(net, vdit_net_slice(&into, 0, b, 1), vdit_net_slice(text, 0, b, 1),
               rows->valid + b * text->shape[2], rows->count[b]);
    return joined;
}

/* Returns: the keys of the pooling attention, bool [B, 1, 1, 1 + Nt]: the mean and the rows that count. */
static vdit_tensor pool_mask(vdit_net *net, const vdit_mochi_rows *rows, size_t batch, size_t text)
{
    size_t shape[] = {batch, 1, 1, 1 + text};
    vdit_tensor mask = vdit_net_new(net, VDIT_BOOL, 4, shape);
    unsigned char *keep = mask.data;

    if (rows->valid == NULL || vdit_run_status(net->run) != VDIT_OK)
        return mask;
    memset(keep, 0, batch * (1 + text));
    for (size_t b = 0; b < batch; b++, keep += 1 + text) {
        keep[0] = 1;
        for (size_t i = 0; i < rows->count[b]; i++)
            keep[1 + rows->valid[b * text + i]] = 1;
    }
    return mask;
}

vdit_tensor vdit_mochi_pool(vdit_net *net, const vdit_mochi_rows *rows, vdit_tensor text,
                            size_t width)
{
    size_t at = vdit_net_enter(net, "pooler"), deep = text.shape[2];
    vdit_tensor mean = vdit_net_masked_mean(net, text, rows->mask, 1);
    vdit_tensor mean_row = vdit_net_split(&mean, 1, 1), mask, kv, q, o, part[2];
    vdit_net_attention a = {.kind = 0};

    text = vdit_net_join(net, &mean_row, &text, 1);
    kv = vdit_net_linear(net, "to_kv", text, 2 * deep, 1);
    q = vdit_net_linear(net, "to_q", mean, deep, 1);
    vdit_net_chunk(part, 2, &kv);
    q = vdit_net_split(&q, 1, 1);
    a.q = vdit_net_heads(&q, VDIT_MOCHI_POOL_HEADS);
    a.k = vdit_net_heads(&part[0], VDIT_MOCHI_POOL_HEADS);
    a.v = vdit_net_heads(&part[1], VDIT_MOCHI_POOL_HEADS);
    if (rows->valid != NULL) {
        mask = pool_mask(net, rows, text.shape[0], text.shape[1] - 1);
        a.mask = &mask;
    }
    o = vdit_net_attend(net, &a);
    o = vdit_net_linear(net, "to_out", vdit_net_merge(&o, 0), width, 1);
    vdit_net_record(net, &o);
    vdit_net_leave(net, at);
    return o;
}
