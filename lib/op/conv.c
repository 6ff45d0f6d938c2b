/*
 * conv.c - convolutions: each position of the output is a row of x's elements under the kernel, gathered in
 * blocks of bounded size, and the rows are multiplied with w by the exact product. Where the channels of y lie
 * far apart, the product goes into a dense block first.
 */
#include <string.h>
#include <vdit/op.h>
#include "base/parallel.h"
#include "op/product.h"
#include "op/shape.h"

#define AXES       VDIT_CONV_AXES
#define ROW_BYTES  ((size_t)8 << 20) /* of gathered rows and their products, per thread */
#define ROWS_LEAST 64                /* and at least so many */
#define TASK       16                /* rows gathered, or channels scattered, per task */
#define STRIP      256               /* rows scattered at a time: their cache lines stay */

/* A call with three axes; those that x lacks come first, with extent 1. */
typedef struct conv_state {
    const vdit_tensor *x, *y;
    size_t in[AXES], kernel[AXES], out[AXES], stride[AXES], before[AXES];
    ptrdiff_t x_stride[AXES], y_stride[AXES];
    size_t channels, depth;
    size_t first, count; /* rows of the block at hand */
    char *rows;          /* [count][depth], elements of x */
    char *made;          /* [count][outputs], elements of y; NULL: the product writes to y */
    size_t outputs;
    ptrdiff_t *x_row, *made_row; /* [count]: where rows begin in these, */
    ptrdiff_t *y_row;            /* and in y */
} conv_state;

/* Copies size (2 or 4) bytes for each of n elements, step elements apart. */
static void copy_elements(char *to, const char *from, size_t n, ptrdiff_t step, size_t size)
{
    if (size == 4)
        for (size_t i = 0; i < n; i++)
            memcpy(to + 4 * i, from + 4 * (ptrdiff_t)i * step, 4);
    else
        for (size_t i = 0; i < n; i++)
            memcpy(to + 2 * i, from + 2 * (ptrdiff_t)i * step, 2);
}

/* Where the kernel's index k of an axis lies in x. Returns: 0 if that is outside. */
static int inside(const conv_state *s, int axis, size_t i, size_t k, size_t *at)
{
    size_t from = i * s->stride[axis] + k;

    *at = from - s->before[axis];
    return from >= s->before[axis] && *at < s->in[axis];
}

/* One run of the kernel along the last axis: zeros, what lies inside x, zeros. */
static void gather_run(const conv_state *s, char *to, const char *x, size_t i)
{
    const int last = AXES - 1;
    size_t size = vdit_dtype_size(s->x->dtype), count = s->kernel[last], at = 0, skip = 0, n = 0;

    while (skip < count && !inside(s, last, i, skip, &at))
        skip++;
    if (skip < count)
        n = s->in[last] - at < count - skip ? s->in[last] - at : count - skip;
    memset(to, 0, skip * size);
    copy_elements(to + skip * size, x + (ptrdiff_t)at * s->x_stride[last] * (ptrdiff_t)size, n,
                  s->x_stride[last], size);
    memset(to + (skip + n) * size, 0, (count - skip - n) * size);
}

/* All that one position of the output sees, in the order of w: channels, then the kernel's axes. */
static void gather_row(const conv_state *s, char *to, size_t batch, const size_t *i)
{
    size_t size = vdit_dtype_size(s->x->dtype), run = s->kernel[AXES - 1] * size, at0, at1;

    for (size_t c = 0; c < s->channels; c++)
        for (size_t k0 = 0; k0 < s->kernel[0]; k0++)
            for (size_t k1 = 0; k1 < s->kernel[1]; k1++, to += run) {
                ptrdiff_t from =
                    (ptrdiff_t)batch * s->x->stride[0] + (ptrdiff_t)c * s->x->stride[1];
                if (!inside(s, 0, i[0], k0, &at0) || !inside(s, 1, i[1], k1, &at1)) {
                    memset(to, 0, run);
                    continue;
                }
                from += (ptrdiff_t)at0 * s->x_stride[0] + (ptrdiff_t)at1 * s->x_stride[1];
                gather_run(s, to, (const char *)s->x->data + from * (ptrdiff_t)size, i[2]);
            }
}

static void gather(void *context, size_t task, int thread)
{
    const conv_state *s = context;
    size_t bytes = s->depth * vdit_dtype_size(s->x->dtype);

    (void)thread;
    for (size_t r = task * TASK; r < (task + 1) * TASK && r < s->count; r++) {
        size_t i[AXES], rest = s->first + r;

        for (int axis = AXES - 1; axis >= 0; axis--) {
            i[axis] = rest % s->out[axis];
            rest /= s->out[axis];
        }
        s->y_row[r] = (ptrdiff_t)rest * s->y->stride[0];
        for (int axis = 0; axis < AXES; axis++)
            s->y_row[r] += (ptrdiff_t)i[axis] * s->y_stride[axis];
        gather_row(s, s->rows + r * bytes, rest, i);
    }
}

static size_t parts(size_t whole, size_t part)
{
    return whole / part + (whole % part != 0);
}

/* w as a matrix [O, depth]: itself where its axes follow each other, else a dense copy. */
static vdit_matrix weights(vdit_run *run, const vdit_tensor *w, size_t depth, size_t *count)
{
    vdit_tensor flat = {.dtype = w->dtype, .rank = 2, .data = w->data};
    int last = w->rank - 1, dense = 1;

    flat.shape[0] = w->shape[0];
    flat.shape[1] = depth;
    flat.stride[0] = w->stride[0];
    flat.stride[1] = w->stride[last];
    for (int i = last; i > 1; i--)
        dense = dense && w->stride[i - 1] == w->stride[i] * (ptrdiff_t)w->shape[i];
    if (!dense && vdit_tensor_new(run, &flat, w->dtype, 2, flat.shape) == VDIT_OK)
        vdit_tensor_pack(flat.data, w);
    return (vdit_matrix){flat.data, flat.dtype, vdit_row_offsets(run, count, &flat, 1),
                         flat.stride[1]};
}

/* Some channels of the block at hand from made to y. */
static void scatter(void *context, size_t task, int thread)
{
    const conv_state *s = context;
    size_t size = vdit_dtype_size(s->y->dtype), end = (task + 1) * TASK;

    (void)thread;
    for (size_t start = 0; start < s->count; start += STRIP)
        for (size_t o = task * TASK; o < end && o < s->outputs; o++) {
            const char *from = s->made + o * size;
            char *to = (char *)s->y->data + (ptrdiff_t)o * s->y->stride[1] * (ptrdiff_t)size;

            for (size_t r = start; r < start + STRIP && r < s->count; r++)
                copy_elements(to + s->y_row[r] * (ptrdiff_t)size, from + r * s->outputs * size, 1,
                              1, size);
        }
}

/* Out: memory for a block of rows, some of it only if the channels of y do not lie side by side. */
static vdit_status allocate(vdit_run *run, conv_state *s, size_t *block, size_t rows)
{
    size_t bytes = s->depth * vdit_dtype_size(s->x->dtype);
    size_t made = s->y->stride[1] == 1 ? 0 : s->outputs * vdit_dtype_size(s->y->dtype);

    *block = ROW_BYTES * (size_t)vdit_run_threads(run) / (bytes + made > 0 ? bytes + made : 1);
    *block = *block < ROWS_LEAST ? ROWS_LEAST : *block;
    *block = *block < rows ? *block : rows;
    s->rows = vdit_run_alloc(run, *block, bytes);
    s->made = made > 0 ? vdit_run_alloc(run, *block, made) : NULL;
    s->x_row = vdit_run_alloc(run, *block, sizeof *s->x_row);
    s->made_row = vdit_run_alloc(run, *block, sizeof *s->made_row);
    s->y_row = vdit_run_alloc(run, *block, sizeof *s->y_row);
    for (size_t i = 0; vdit_run_status(run) == VDIT_OK && i < *block; i++) {
        s->x_row[i] = (ptrdiff_t)(i * s->depth);
        s->made_row[i] = (ptrdiff_t)(i * s->outputs);
    }
    return vdit_run_status(run);
}

static void conv_all(vdit_run *run, conv_state *s, vdit_product *p, size_t rows,
                     vdit_product_engine *engine)
{
    static const ptrdiff_t origin = 0;
    int threads = vdit_run_threads(run);
    size_t block;

    s->outputs = p->n;
    if (allocate(run, s, &block, rows) != VDIT_OK)
        return;
    p->x = (vdit_matrix){s->rows, s->x->dtype, s->x_row, 1};
    p->y = (vdit_matrix){s->y->data, s->y->dtype, s->y_row, s->y->stride[1]};
    if (s->made != NULL)
        p->y = (vdit_matrix){s->made, s->y->dtype, s->made_row, 1};
    for (s->first = 0; s->first < rows; s->first += block) {
        p->m = s->count = rows - s->first < block ? rows - s->first : block;
        vdit_parallel(threads, parts(s->count, TASK), gather, s);
        if (engine(run, p, 1, &origin, &origin, &origin) != VDIT_OK)
            return;
        if (s->made != NULL)
            vdit_parallel(threads, parts(s->outputs, TASK), scatter, s);
    }
}

static vdit_status check_dtypes(vdit_run *run, const vdit_tensor *y, const vdit_tensor *x,
                                const vdit_tensor *w, const vdit_tensor *b)
{
    if (vdit_check_dtype(run, "conv", "x", x) != VDIT_OK ||
        vdit_check_dtype(run, "conv", "w", w) != VDIT_OK ||
        (b != NULL && vdit_check_dtype(run, "conv", "b", b) != VDIT_OK))
        return vdit_run_status(run);
    return vdit_check_dtype(run, "conv", "y", y);
}

/* Out: shape, that of y. */
static vdit_status find_shape(vdit_run *run, size_t *shape, const vdit_tensor *x,
                              const vdit_tensor *w, const vdit_conv_walk *walk)
{
    shape[0] = x->shape[0];
    shape[1] = w->shape[0];
    for (int i = 0; i < x->rank - 2; i++) {
        size_t extent = x->shape[i + 2], padded = extent + walk->before[i] + walk->after[i];

        if (walk->stride[i] == 0)
            return vdit_run_fail(run, VDIT_ERR_ARGUMENT,
                                 "conv: the stride of axis %d is 0, expected at least 1", i);
        if (walk->before[i] > SIZE_MAX / 2 - extent ||
            walk->after[i] > SIZE_MAX / 2 - extent - walk->before[i])
            return vdit_run_fail(run, VDIT_ERR_LIMIT, "conv: axis %d is too long with its padding",
                                 i);
        if (padded < w->shape[i + 2])
            return vdit_run_fail(run, VDIT_ERR_SHAPE,
                                 "conv: the kernel has %zu elements along axis %d, x with its "
                                 "padding %zu",
                                 w->shape[i + 2], i, padded);
        shape[i + 2] = (padded - w->shape[i + 2]) / walk->stride[i] + 1;
    }
    return vdit_run_status(run);
}

static vdit_status check(vdit_run *run, const vdit_tensor *y, const vdit_tensor *x,
                         const vdit_tensor *w, const vdit_tensor *b, const vdit_conv_walk *walk)
{
    size_t shape[VDIT_MAX_RANK];

    if (check_dtypes(run, y, x, w, b) != VDIT_OK)
        return vdit_run_status(run);
    if (x->rank < 3 || x->rank > 2 + AXES)
        return vdit_run_fail(run, VDIT_ERR_SHAPE, "conv: x has %d axes, expected 3 to %d", x->rank,
                             2 + AXES);
    if (w->rank != x->rank)
        return vdit_run_fail(run, VDIT_ERR_SHAPE, "conv: w has %d axes, expected %d like x",
                             w->rank, x->rank);
    memcpy(shape, w->shape, sizeof shape);
    shape[1] = x->shape[1];
    if (vdit_check_shape(run, "conv", "w", w, x->rank, shape, "to fit x") != VDIT_OK ||
        (b != NULL && vdit_check_shape(run, "conv", "b", b, 1, shape, "to fit w") != VDIT_OK) ||
        find_shape(run, shape, x, w, walk) != VDIT_OK)
        return vdit_run_status(run);
    return vdit_check_shape(run, "conv", "y", y, x->rank, shape, "to fit x, w and the walk");
}

/* Out: s, with the axes of the call last; rows, the number of positions. */
static void lay_out(conv_state *s, size_t *rows, const vdit_tensor *w, const vdit_conv_walk *walk)
{
    int missing = AXES + 2 - s->x->rank;

    *rows = s->x->shape[0];
    s->depth = s->channels = s->x->shape[1];
    for (int i = 0; i < AXES; i++) {
        int axis = i - missing, from = axis + 2;

        s->in[i] = axis < 0 ? 1 : s->x->shape[from];
        s->out[i] = axis < 0 ? 1 : s->y->shape[from];
        s->kernel[i] = axis < 0 ? 1 : w->shape[from];
        s->stride[i] = axis < 0 ? 1 : walk->stride[axis];
        s->before[i] = axis < 0 ? 0 : walk->before[axis];
        s->x_stride[i] = axis < 0 ? 0 : s->x->stride[from];
        s->y_stride[i] = axis < 0 ? 0 : s->y->stride[from];
        s->depth *= s->kernel[i];
        *rows *= s->out[i];
    }
}

vdit_status vdit_conv_by(vdit_run *run, vdit_product_engine *engine, vdit_tensor *y,
                         const vdit_tensor *x, const vdit_tensor *w, const vdit_tensor *b,
                         const vdit_conv_walk *walk)
{
    static const ptrdiff_t origin = 0;
    conv_state s = {.x = x, .y = y};
    size_t mark = vdit_run_mark(run), rows;
    vdit_product p = {.op = "conv"};

    if (vdit_run_status(run) != VDIT_OK || check(run, y, x, w, b, walk) != VDIT_OK)
        return vdit_run_status(run);
    lay_out(&s, &rows, w, walk);
    p.depth = s.depth;
    if (s.depth > VDIT_PRODUCT_DEPTH_MAX) /* before memory for such a row is asked for */
        return vdit_run_fail(run, VDIT_ERR_LIMIT,
                             "conv: sums of %zu products, expected at most 2^31", s.depth);
    p.w = weights(run, w, s.depth, &p.n);
    if (b != NULL)
        p.b = (vdit_matrix){b->data, b->dtype, &origin, b->stride[0]};
    if (p.n > 0)
        conv_all(run, &s, &p, rows, engine);
    vdit_run_release(run, mark);
    return vdit_run_status(run);
}

vdit_status vdit_conv(vdit_run *run, vdit_tensor *y, const vdit_tensor *x, const vdit_tensor *w,
                      const vdit_tensor *b, const vdit_conv_walk *walk)
{
    return vdit_conv_by(run, vdit_product_exact, y, x, w, b, walk);
}
