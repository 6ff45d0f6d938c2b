/*
 * plugin.c - a backend from outside: attention by the online softmax, each operation rounded to f32.
 *
 *     cc -shared -fPIC -O2 plugin.c -o plugin.so $(pkg-config --cflags --libs libvdit) -lm
 *     vdit-check --plugin ./plugin.so quick
 *
 * What vdit-backend(3) asks of a plugin is all here: strides, masks, selected rows, what is refused.
 */
#include <math.h>
#include <vdit/backend.h>

/* Returns: element (b,h,row,column) of t, any float type; an axis of extent 1 stands for all. */
static float load(const vdit_tensor *t, size_t b, size_t h, size_t row, size_t column)
{
    const size_t index[] = {b, h, row, column};
    size_t at[4];
    double x;

    for (int i = 0; i < 4; i++)
        at[i] = t->shape[i] == 1 ? 0 : index[i];
    vdit_load_f64(&x, 1, vdit_tensor_at(t, at), 1, t->dtype);
    return (float)x;
}

/* Returns: one of n integers of an i64 tensor [n], or otherwise where there is no tensor. */
static size_t integer(const vdit_tensor *t, size_t i, size_t otherwise)
{
    return t == NULL ? otherwise : (size_t) * (const int64_t *)vdit_tensor_at(t, &i);
}

/* Returns: the logit of query row and key j; -inf where the mask says so. */
static float logit(const vdit_attention *a, size_t b, size_t h, size_t row, size_t j)
{
    float added = a->mask ? load(a->mask, b, h, row, j) : 0, sum = 0;

    if (a->mask && a->mask->dtype == VDIT_BOOL)
        added = added != 0 ? 0 : -INFINITY;
    if (added == -INFINITY)
        return added; /* a masked key may hold NaN: it is not read */
    for (size_t c = 0; c < a->q->shape[3]; c++)
        sum += load(a->q, b, h, row, c) * load(a->k, b, h, j, c);
    return (float)a->scale * sum + added;
}

/*
 * One output row. The largest logit so far is max; sum and o, in units of exp(max), are scaled down
 * whenever a larger one comes. Out: o [dv]. Returns: the log-sum-exp.
 */
static float attend(float *o, const vdit_attention *a, size_t b, size_t h, size_t row)
{
    size_t width = a->v->shape[3], keys = integer(a->key_length, b, a->k->shape[2]);
    float max = -INFINITY, sum = 0;

    for (size_t c = 0; c < width; c++)
        o[c] = 0;
    for (size_t j = 0; j < keys; j++) {
        float s = logit(a, b, h, row, j), p, shrink;

        if (s == -INFINITY)
            continue;
        shrink = s > max ? expf(max - s) : 1;
        max = s > max ? s : max;
        p = expf(s - max);
        sum = sum * shrink + p;
        for (size_t c = 0; c < width; c++)
            o[c] = o[c] * shrink + p * load(a->v, b, h, j, c);
    }
    for (size_t c = 0; c < width && sum != 0; c++)
        o[c] /= sum;
    return max + logf(sum); /* -inf without a valid key */
}

/* The library has checked the call: shapes fit, types are floats, values are in their ranges. */
static vdit_status attention(vdit_run *run, const vdit_attention *a)
{
    size_t rows = a->rows ? a->rows->shape[0] : a->q->shape[2], at[4];
    float *o = vdit_run_alloc(run, a->v->shape[3], sizeof *o);

    if (a->map != NULL)
        return vdit_run_fail(run, VDIT_ERR_UNSUPPORTED, "online: no map is ever made");
    for (size_t i = 0; o != NULL && i < a->q->shape[0] * a->q->shape[1] * rows; i++) {
        float lse;

        at[0] = i / rows / a->q->shape[1];
        at[1] = i / rows % a->q->shape[1];
        at[2] = i % rows;
        lse = attend(o, a, at[0], at[1], integer(a->rows, at[2], at[2]));
        if (a->lse != NULL)
            vdit_store_f64(vdit_tensor_at(a->lse, at), a->lse->dtype, lse);
        for (at[3] = 0; a->o != NULL && at[3] < a->v->shape[3]; at[3]++)
            vdit_store_f64(vdit_tensor_at(a->o, at), a->o->dtype, o[at[3]]);
    }
    return vdit_run_status(run);
}

/* Operators that are not named fall back on the reference. */
static const vdit_backend online = {
    .size = sizeof online,
    .name = "online",
    .about = "online softmax in f32, key by key",
    .attention = attention,
};
static const vdit_backend *const backends[] = {&online};
static const vdit_plugin plugin = {sizeof plugin, VDIT_PLUGIN_ABI, backends, 1};

const vdit_plugin *vdit_plugin_entry(void)
{
    return &plugin;
}
