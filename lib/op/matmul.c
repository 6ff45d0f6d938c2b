/* matmul.c - matrix products over leading axes: checks, then the exact product. */
#include <vdit/op.h>
#include "op/product.h"
#include "op/shape.h"

static vdit_status check(vdit_run *run, const vdit_tensor *c, const vdit_tensor *a,
                         const vdit_tensor *b)
{
    size_t shape[VDIT_MAX_RANK];

    if (vdit_check_dtype(run, "matmul", "a", a) != VDIT_OK ||
        vdit_check_dtype(run, "matmul", "b", b) != VDIT_OK ||
        vdit_check_dtype(run, "matmul", "c", c) != VDIT_OK ||
        vdit_check_rank(run, "matmul", "a", a, 2) != VDIT_OK ||
        vdit_check_rank(run, "matmul", "b", b, 2) != VDIT_OK)
        return vdit_run_status(run);
    for (int i = 0; i < a->rank; i++)
        shape[i] = a->shape[i];
    shape[a->rank - 2] = a->shape[a->rank - 1];
    shape[a->rank - 1] = b->shape[b->rank - 1];
    if (vdit_check_shape(run, "matmul", "b", b, a->rank, shape, "to fit a") != VDIT_OK)
        return vdit_run_status(run);
    shape[a->rank - 2] = a->shape[a->rank - 2];
    return vdit_check_shape(run, "matmul", "c", c, a->rank, shape, "to fit a and b");
}

/* The last two axes of t as a matrix, transposed if the rows shall be its columns. */
static vdit_matrix matrix(vdit_run *run, const vdit_tensor *t, int transposed, size_t *rows)
{
    vdit_tensor view = {.dtype = t->dtype, .rank = 1};
    int row = t->rank - 2 + transposed, column = t->rank - 1 - transposed;

    view.shape[0] = t->shape[row];
    view.stride[0] = t->stride[row];
    return (vdit_matrix){t->data, t->dtype, vdit_row_offsets(run, rows, &view, 1),
                         t->stride[column]};
}

vdit_status vdit_matmul_by(vdit_run *run, vdit_product_engine *engine, vdit_tensor *c,
                           const vdit_tensor *a, const vdit_tensor *b)
{
    size_t mark = vdit_run_mark(run), count;
    ptrdiff_t *a_offset, *b_offset, *c_offset;
    vdit_product p = {.op = "matmul"};

    if (vdit_run_status(run) != VDIT_OK || check(run, c, a, b) != VDIT_OK)
        return vdit_run_status(run);
    p.depth = a->shape[a->rank - 1];
    p.x = matrix(run, a, 0, &p.m);
    p.w = matrix(run, b, 1, &p.n);
    p.y = matrix(run, c, 0, &p.m);
    a_offset = vdit_row_offsets(run, &count, a, a->rank - 2);
    b_offset = vdit_row_offsets(run, &count, b, b->rank - 2);
    c_offset = vdit_row_offsets(run, &count, c, c->rank - 2);
    if (vdit_run_status(run) == VDIT_OK)
        engine(run, &p, count, a_offset, b_offset, c_offset);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

vdit_status vdit_matmul(vdit_run *run, vdit_tensor *c, const vdit_tensor *a, const vdit_tensor *b)
{
    return vdit_matmul_by(run, vdit_product_exact, c, a, b);
}
