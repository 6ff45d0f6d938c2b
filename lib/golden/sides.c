/* sides.c - masks, key lengths and row lists. Formulas: vdit-recipe(5), MASKS. */
#include <math.h>
#include <string.h>
#include "golden/case.h"
#include "golden/maker.h"
#include "golden/sides.h"

/* Returns: the least key length of all batches, at least 1: keys below it are valid everywhere. */
static size_t common_keys(const vdit_case *c)
{
    size_t least = c->Nk;

    for (size_t b = 0; c->key_length != NULL && b < c->B; b++)
        if ((size_t)c->key_length[b] < least)
            least = (size_t)c->key_length[b];
    return least > 0 ? least : 1;
}

/* A quarter of the keys hidden; a row always has key i mod the common keys. */
static void fill_bool(const vdit_case *c, unsigned char *out, size_t i, size_t always)
{
    vdit_draw draw = {c->seed, VDIT_DRAW_MASK};

    for (size_t j = 0; j < c->Nk; j++)
        out[j] = j == always || vdit_draw_word(draw, (uint64_t)i * c->Nk + j) >= 1u << 30;
}

static void fill_window(const vdit_case *c, unsigned char *out, size_t i)
{
    size_t center = (size_t)((uint64_t)i * c->Nk / c->Nq);

    for (size_t j = 0; j < c->Nk; j++)
        out[j] = (j > center ? j - center : center - j) <= c->window;
}

/* Normal numbers, an eighth of them -inf; a row always has key i mod the common keys. */
static void fill_float(const vdit_case *c, unsigned char *out, size_t i, size_t always)
{
    vdit_draw draw = {c->seed, VDIT_DRAW_MASK}, hide = {c->seed, VDIT_DRAW_HIDE};
    size_t size = vdit_dtype_size(c->dtype);

    for (size_t j = 0; j < c->Nk; j++) {
        uint64_t element = (uint64_t)i * c->Nk + j;
        int hidden = j != always && vdit_draw_word(hide, element) < 1u << 29;
        double value = hidden ? -(double)INFINITY : vdit_draw_normal(draw, element);
        vdit_store_f64(out + j * size, c->dtype, value);
    }
}

static void fill_mask_row(const vdit_tensor *t, const vdit_case *c, size_t i, size_t common)
{
    unsigned char *out = (unsigned char *)t->data + i * c->Nk * vdit_dtype_size(t->dtype);

    if (c->mask == VDIT_MASK_BOOL_RANDOM)
        fill_bool(c, out, i, i % common);
    else if (c->mask == VDIT_MASK_FLOAT_RANDOM)
        fill_float(c, out, i, i % common);
    else
        fill_window(c, out, i);
}

vdit_status vdit_sides_mask(vdit_run *run, vdit_tensor *t, const vdit_case *c)
{
    const size_t shape[] = {1, 1, c->Nq, c->Nk};
    vdit_dtype dtype = c->mask == VDIT_MASK_FLOAT_RANDOM ? c->dtype : VDIT_BOOL;
    size_t common = common_keys(c);

    if (vdit_tensor_new(run, t, dtype, 4, shape) != VDIT_OK)
        return vdit_run_status(run);
#ifdef _OPENMP
#pragma omp parallel for num_threads(vdit_run_threads(run)) schedule(static)
#endif
    for (ptrdiff_t i = 0; i < (ptrdiff_t)c->Nq; i++)
        fill_mask_row(t, c, (size_t)i, common);
    return VDIT_OK;
}

vdit_status vdit_sides_key_length(vdit_run *run, vdit_tensor *t, const vdit_case *c)
{
    if (vdit_tensor_new(run, t, VDIT_I64, 1, &c->B) == VDIT_OK)
        memcpy(t->data, c->key_length, c->B * sizeof *c->key_length);
    return vdit_run_status(run);
}

vdit_status vdit_sides_rows(vdit_run *run, vdit_tensor *t, const vdit_case *c)
{
    size_t count = vdit_case_rows(c);

    if (vdit_tensor_new(run, t, VDIT_I64, 1, &count) == VDIT_OK)
        vdit_case_list_rows(t->data, c);
    return vdit_run_status(run);
}
