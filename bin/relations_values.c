/* relations_values.c - the relations that change the values: rows of weights sum to 1, and are linear. */
#include "config.h"
#include "relations.h"
#include <math.h>

/* The case with another v, which lives as long as the run's scope. */
static vdit_attention *with_values(const relation_case *c, vdit_tensor *o,
                                   double (*change)(double x, size_t key))
{
    vdit_attention *a = vdit_run_alloc(c->run, 1, sizeof *a);
    vdit_tensor *v = vdit_run_alloc(c->run, 1, sizeof *v);
    size_t width = c->call.v->shape[3], count;

    if (a == NULL || v == NULL)
        return NULL;
    *v = relation_packed(c->run, c->call.v);
    if (vdit_run_status(c->run) != VDIT_OK)
        return NULL;
    count = vdit_tensor_count(v);
    for (size_t i = 0; i < count; i++) {
        char *at = (char *)v->data + i * vdit_dtype_size(v->dtype);
        double x;
        vdit_load_f64(&x, 1, at, 1, v->dtype);
        vdit_store_f64(at, v->dtype, change(x, i / width % v->shape[2]));
    }
    *a = c->call;
    a->v = v;
    relation_run(c, a, o, NULL);
    return vdit_run_status(c->run) == VDIT_OK ? a : NULL;
}

static double one(double x, size_t key)
{
    (void)x;
    (void)key;
    return 1;
}

static double negative(double x, size_t key)
{
    (void)key;
    return -x;
}

static double half(double x, size_t key)
{
    (void)key;
    return x / 2;
}

static double even_keys(double x, size_t key)
{
    return key % 2 == 0 ? x : 0;
}

static double odd_keys(double x, size_t key)
{
    return key % 2 == 1 ? x : 0;
}

/* expected = factor * expected + part, element by element, rounded. */
static void combine(vdit_tensor *expected, double factor, const vdit_tensor *part)
{
    size_t count = vdit_tensor_count(expected), size = vdit_dtype_size(expected->dtype);

    for (size_t i = 0; i < count; i++) { /* outputs are dense */
        char *at = (char *)expected->data + i * size;
        double x, y = 0;
        vdit_load_f64(&x, 1, at, 1, expected->dtype);
        if (part != NULL)
            vdit_load_f64(&y, 1, (const char *)part->data + i * size, 1, part->dtype);
        vdit_store_f64(at, expected->dtype, factor * x + y);
    }
}

/* Rows of weights sum to 1: to 0 in rows without a valid key, where the output is 0 anyway. */
int relation_ones_give_one(relation_pair *pair, const relation_case *c)
{
    vdit_tensor o;
    vdit_attention *a = with_values(c, &o, one);
    size_t count;

    if (a == NULL)
        return 0;
    *pair = (relation_pair){relation_packed(c->run, &o), o, a, 0};
    count = vdit_run_status(c->run) == VDIT_OK ? vdit_tensor_count(&o) : 0;
    for (size_t i = 0; i < count; i++) {
        double x, lse;
        char *at = (char *)pair->expected.data + i * vdit_dtype_size(o.dtype);
        vdit_load_f64(&x, 1, at, 1, o.dtype);
        vdit_load_f64(&lse, 1, (const float *)c->lse.data + i / o.shape[3], 1, VDIT_F32);
        vdit_store_f64(at, o.dtype, lse == -HUGE_VAL && x == 0 ? 0 : 1);
    }
    return 1;
}

static int scaled_values(relation_pair *pair, const relation_case *c,
                         double (*change)(double x, size_t key), double factor)
{
    vdit_tensor o;

    if (with_values(c, &o, change) == NULL)
        return 0;
    relation_same(pair, c, o);
    pair->expected = relation_packed(c->run, &c->o);
    if (vdit_run_status(c->run) == VDIT_OK)
        combine(&pair->expected, factor, NULL);
    return 1;
}

int relation_negative_values(relation_pair *pair, const relation_case *c)
{
    return scaled_values(pair, c, negative, -1);
}

int relation_half_values(relation_pair *pair, const relation_case *c)
{
    vdit_tensor o;
    vdit_attention *a = with_values(c, &o, half);

    if (a == NULL)
        return 0;
    *pair = (relation_pair){relation_packed(c->run, &c->o), o, a, 0};
    if (vdit_run_status(c->run) == VDIT_OK)
        combine(&pair->expected, 0.5, NULL);
    return 1;
}

/* v is the sum of its even and of its odd keys. */
int relation_add_values(relation_pair *pair, const relation_case *c)
{
    vdit_tensor even, odd;

    if (c->call.key_length != NULL || with_values(c, &even, even_keys) == NULL ||
        with_values(c, &odd, odd_keys) == NULL)
        return 0;
    combine(&even, 1, &odd);
    return relation_same(pair, c, even);
}
