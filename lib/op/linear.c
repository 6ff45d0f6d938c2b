/* linear.c - the linear layer: checks, then the exact product. */
#include <vdit/op.h>
#include "op/product.h"
#include "op/shape.h"

static vdit_status check(vdit_run *run, const vdit_tensor *y, const vdit_tensor *x,
                         const vdit_tensor *w, const vdit_tensor *b)
{
    size_t shape[VDIT_MAX_RANK];

    if (vdit_check_dtype(run, "linear", "x", x) != VDIT_OK ||
        vdit_check_dtype(run, "linear", "w", w) != VDIT_OK ||
        (b != NULL && vdit_check_dtype(run, "linear", "b", b) != VDIT_OK) ||
        vdit_check_dtype(run, "linear", "y", y) != VDIT_OK ||
        vdit_check_rank(run, "linear", "x", x, 1) != VDIT_OK ||
        vdit_check_rank(run, "linear", "w", w, 2) != VDIT_OK)
        return vdit_run_status(run);
    shape[0] = w->shape[0];
    shape[1] = x->shape[x->rank - 1];
    if (vdit_check_shape(run, "linear", "w", w, 2, shape, "to fit x") != VDIT_OK ||
        (b != NULL && vdit_check_shape(run, "linear", "b", b, 1, shape, "to fit w") != VDIT_OK))
        return vdit_run_status(run);
    for (int i = 0; i < x->rank; i++)
        shape[i] = i < x->rank - 1 ? x->shape[i] : w->shape[0];
    return vdit_check_shape(run, "linear", "y", y, x->rank, shape, "to fit x and w");
}

vdit_status vdit_linear_by(vdit_run *run, vdit_product_engine *engine, vdit_tensor *y,
                           const vdit_tensor *x, const vdit_tensor *w, const vdit_tensor *b)
{
    static const ptrdiff_t origin = 0;
    size_t mark = vdit_run_mark(run);
    vdit_product p = {.op = "linear"};

    if (vdit_run_status(run) != VDIT_OK || check(run, y, x, w, b) != VDIT_OK)
        return vdit_run_status(run);
    p.depth = x->shape[x->rank - 1];
    p.x = (vdit_matrix){x->data, x->dtype, vdit_row_offsets(run, &p.m, x, x->rank - 1),
                        x->stride[x->rank - 1]};
    p.w = (vdit_matrix){w->data, w->dtype, vdit_row_offsets(run, &p.n, w, 1), w->stride[1]};
    p.y = (vdit_matrix){y->data, y->dtype, vdit_row_offsets(run, &p.m, y, y->rank - 1),
                        y->stride[y->rank - 1]};
    if (b != NULL)
        p.b = (vdit_matrix){b->data, b->dtype, &origin, b->stride[0]};
    if (vdit_run_status(run) == VDIT_OK)
        engine(run, &p, 1, &origin, &origin, &origin);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

vdit_status vdit_linear(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, const vdit_tensor *w,
                        const vdit_tensor *b)
{
    return vdit_linear_by(run, vdit_product_exact, y, x, w, b);
}
