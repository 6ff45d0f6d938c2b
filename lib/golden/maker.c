/* maker.c - filling tensors row by row, and the parts that families share. */
#include "golden/maker.h"
#include "golden/layer.h"

#define SMALL 20000 /* elements that one thread makes in the time that others take to start */

/* Each tensor is a list of rows of its last axis. */
static vdit_maker layer_maker(const vdit_case *c)
{
    vdit_maker m = {.c = c, .heads = 1};
    size_t shape[VDIT_MAX_RANK];
    int rank;

    for (; m.tensors < VDIT_LAYER_INPUTS; m.tensors++) {
        if (vdit_layer_tensor(c, m.tensors, &rank, shape) == NULL)
            break;
        m.extent[m.tensors] = 1;
        for (int axis = 0; axis < rank - 1; axis++)
            m.extent[m.tensors] *= shape[axis];
        m.width[m.tensors] = shape[rank - 1];
    }
    return m;
}

vdit_maker vdit_maker_of(const vdit_case *c, const int64_t *rows, size_t row_count)
{
    vdit_maker m = {.c = c, .rows = rows, .row_count = row_count};

    switch (c->op) {
    case VDIT_OP_ATTENTION:
        m = (vdit_maker){
            c, rows, row_count, 3, c->B * c->H, {c->Nq, c->Nk, c->Nk}, {c->d, c->d, c->dv}};
        break;
    case VDIT_OP_LINEAR:
        m = (vdit_maker){c, NULL, 0, 2 + (c->bias != 0), 1, {c->M, c->N, 1}, {c->K, c->K, c->N}};
        break;
    case VDIT_OP_MATMUL:
        m = (vdit_maker){c, NULL, 0, 2, 1, {c->M, c->K}, {c->K, c->N}};
        break;
    case VDIT_OP_EXP:
    case VDIT_OP_LOG:
        m = (vdit_maker){c, NULL, 0, 1, 1, {c->N}, {1}};
        break;
    default:
        m = layer_maker(c);
    }
    return m;
}

/* Returns: where row i of head bh lies; elements of a row lie side by side in every layout. */
static char *row_of(const vdit_tensor *t, const vdit_maker *m, size_t bh, size_t i)
{
    size_t index[VDIT_MAX_RANK] = {i, 0, i, 0};

    if (vdit_layer_has(m->c->op)) { /* dense */
        for (int axis = t->rank - 2; axis >= 0; axis--) {
            index[axis] = i % t->shape[axis];
            i /= t->shape[axis];
        }
        index[t->rank - 1] = 0;
    }
    if (m->c->op == VDIT_OP_ATTENTION) {
        index[0] = bh / m->c->H;
        index[1] = bh % m->c->H;
    }
    return vdit_tensor_at(t, index);
}

static void fill_rows(vdit_tensor *t, const vdit_maker *m, int tensor, double *row, size_t from,
                      size_t to)
{
    size_t width = m->width[tensor], size = vdit_dtype_size(t->dtype);
    vdit_maker_row *make = vdit_family_rows(m->c->family, m->c->op);

    for (size_t r = from; r < to; r++) {
        char *out = row_of(t, m, r / m->extent[tensor], r % m->extent[tensor]);
        make(m, row, tensor, r / m->extent[tensor], r % m->extent[tensor]);
        for (size_t i = 0; i < width; i++)
            vdit_store_f64(out + i * size, t->dtype, row[i]);
    }
}

vdit_status vdit_maker_fill(vdit_run *run, vdit_tensor *t, const vdit_maker *m, int tensor)
{
    size_t mark = vdit_run_mark(run), count = m->heads * m->extent[tensor];
    int threads = vdit_run_threads(run);
    double *rows = vdit_run_alloc(run, (size_t)threads * m->width[tensor], sizeof *rows);

    if (rows == NULL)
        return vdit_run_status(run);
#ifdef _OPENMP
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (vdit_tensor_count(t) > SMALL)
#endif
    for (int n = 0; n < threads; n++) {
        size_t part = count / (size_t)threads, rest = count % (size_t)threads, at = (size_t)n;
        size_t from = at * part + (at < rest ? at : rest);
        fill_rows(t, m, tensor, rows + at * m->width[tensor], from, from + part + (at < rest));
    }
    vdit_run_release(run, mark);
    return VDIT_OK;
}

static vdit_draw draw_of(const vdit_maker *m, int tensor)
{
    return (vdit_draw){m->c->seed, (uint32_t)tensor};
}

static uint64_t first_element(const vdit_maker *m, int tensor, size_t bh, size_t i)
{
    return ((uint64_t)bh * m->extent[tensor] + i) * m->width[tensor];
}

void vdit_maker_scaled(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i,
                       double factor)
{
    uint64_t element = first_element(m, tensor, bh, i);

    for (size_t c = 0; c < m->width[tensor]; c++)
        out[c] = factor * vdit_draw_normal(draw_of(m, tensor), element + c);
}

void vdit_maker_oppose(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    uint64_t element = first_element(m, tensor, bh, i - 1);

    for (size_t c = 0; c < m->width[tensor]; c++) {
        double even = vdit_draw_normal(draw_of(m, tensor), element + c);
        out[c] = 0x1p-8 * out[c] - vdit_round_f64(m->c->dtype, even);
    }
}

double vdit_maker_tiny(const vdit_maker *m)
{
    if (m->c->dtype == VDIT_F16)
        return 0x1p-14;
    return m->c->dtype == VDIT_BF16 ? 0x1p-118 : 0x1p-126;
}

void vdit_maker_integers(const vdit_maker *m, double *out, int tensor, size_t bh, size_t i)
{
    uint64_t element = first_element(m, tensor, bh, i);

    for (size_t c = 0; c < m->width[tensor]; c++)
        out[c] = (double)(vdit_draw_word(draw_of(m, tensor), element + c) % 17) - 8;
}

uint32_t vdit_maker_row_word(const vdit_maker *m, int tensor, size_t bh, size_t i)
{
    return vdit_draw_word(draw_of(m, VDIT_DRAW_ROWS + tensor),
                          (uint64_t)bh * m->extent[tensor] + i);
}

uint32_t vdit_maker_head_word(const vdit_maker *m, int tensor, size_t bh)
{
    return vdit_draw_word(draw_of(m, VDIT_DRAW_HEADS + tensor), bh);
}

size_t vdit_maker_keys(const vdit_maker *m, size_t bh)
{
    return m->c->key_length ? (size_t)m->c->key_length[bh / m->c->H] : m->c->Nk;
}
