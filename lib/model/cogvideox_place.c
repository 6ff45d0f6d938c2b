/* cogvideox_place.c - where CogVideoX's video tokens are: the additive table of 2B, the rotary tables of 5B and 1.5. */
#include <string.h>
#include "model/cogvideox.h"
#include "model/module.h"

#define PERIOD 10000

void vdit_cogvideox_tokens(const vdit_cogvideox *c, const vdit_extents *extents, size_t *count)
{
    count[0] = c->patch_frames > 0 ? extents->frames / c->patch_frames : extents->frames;
    count[1] = extents->height / c->patch;
    count[2] = extents->width / c->patch;
}

/* Returns: the sinusoids of the places i / scale, i < count, [count, width]: sines first. */
static vdit_tensor sinusoids(vdit_net *net, size_t count, double scale, size_t width)
{
    size_t shape[] = {count, width};
    vdit_tensor place = vdit_net_new(net, VDIT_F64, 1, shape);
    vdit_tensor y = vdit_net_new(net, net->dtype, 2, shape);
    double *at = place.data;

    for (size_t i = 0; at != NULL && i < count; i++)
        at[i] = (double)i / scale;
    if (!net->dry)
        vdit_sinusoid(net->run, &y, &place, PERIOD, 0, 0);
    return y;
}

/* Copies the rows of an axis's table to all tokens of grid [F, H, W, D], at the channels from first on. */
static void spread(vdit_net *net, const vdit_tensor *grid, const vdit_tensor *rows, int axis,
                   size_t first)
{
    vdit_tensor into = vdit_net_slice(grid, 3, first, rows->shape[1]), all = into;

    all.dtype = rows->dtype;
    all.data = rows->data;
    for (int i = 0; i < 3; i++)
        all.stride[i] = i == axis ? rows->stride[0] : 0;
    all.stride[3] = rows->stride[1];
    vdit_net_copy(net, into, &all);
}

vdit_tensor vdit_cogvideox_table(vdit_net *net, const vdit_cogvideox *c, size_t text,
                                 const size_t *count)
{
    size_t width = c->width, tokens = count[0] * count[1] * count[2];
    size_t shape[] = {text + tokens, width};
    vdit_tensor table = vdit_net_new(net, net->dtype, 2, shape), grid;
    size_t mark = vdit_net_mark(net);
    vdit_tensor t = sinusoids(net, count[0], c->time_scale, width / 4);
    vdit_tensor y = sinusoids(net, count[1], c->space_scale, 3 * width / 8);
    vdit_tensor x = sinusoids(net, count[2], c->space_scale, 3 * width / 8);

    if (table.data != NULL)
        memset(table.data, 0, text * width * vdit_dtype_size(table.dtype));
    grid = vdit_net_slice(&table, 0, text, tokens);
    grid = vdit_net_split(&grid, 0, count[0]);
    grid = vdit_net_split(&grid, 1, count[1]);
    spread(net, &grid, &t, 0, 0);
    spread(net, &grid, &x, 2, width / 4); /* columns come before rows */
    spread(net, &grid, &y, 1, width / 4 + 3 * width / 8);
    vdit_net_release(net, mark, NULL, 0);
    return table;
}

/* Returns: x >= 0 to the nearest whole number, a half to the even one, as Python's round. */
static double nearest(double x)
{
    size_t whole = (size_t)x;
    double rest = x - (double)whole;

    return (double)whole + (rest > 0.5 || (rest == 0.5 && whole % 2 == 1));
}

/*
 * The region of the sample's grid that a grid of another size covers, scaled to fit and centred. Out: start[2] and
 * extent[2], of rows and columns. In: grid[2], sample[2].
 */
static void find_region(const double *grid, const double *sample, double *start, double *extent)
{
    int tall = grid[0] / grid[1] > sample[0] / sample[1];

    extent[0] = tall ? sample[0] : nearest(sample[1] / grid[1] * grid[0]);
    extent[1] = tall ? nearest(sample[0] / grid[0] * grid[1]) : sample[1];
    start[0] = nearest((sample[0] - extent[0]) / 2);
    start[1] = nearest((sample[1] - extent[1]) / 2);
}

/*
 * Out: place[n] = start + i (end - start) / (n - 1) with end = (start + extent) (n - 1) / n: one quotient of whole
 * numbers, rounded once. A single place is the start.
 */
static void spread_places(double *place, size_t n, double start, double extent)
{
    double last = (double)n - 1, each = (start + extent) * last - start * (double)n;

    for (size_t i = 0; i < n; i++)
        place[i] =
            n == 1 ? start : (start * (double)n * last + (double)i * each) / ((double)n * last);
}

/* Returns: the positions of the video tokens, [N, 3]. */
static vdit_tensor positions(vdit_net *net, const vdit_cogvideox *c, const size_t *count)
{
    double grid[] = {(double)count[1], (double)count[2]};
    double sample[] = {(double)(c->sample_height / c->patch), (double)(c->sample_width / c->patch)};
    double *place[] = {NULL, NULL, NULL}, start[2], extent[2];

    if (c->patch_frames == 0) {
        find_region(grid, sample, start, extent);
        for (int i = 0; i < 2; i++) {
            place[1 + i] = vdit_run_alloc(net->run, count[1 + i], sizeof *place[0]);
            if (place[1 + i] != NULL)
                spread_places(place[1 + i], count[1 + i], start[i], extent[i]);
        }
    }
    return vdit_module_places(net, count, (const double *const *)place);
}

/* Not every network that asks for rotary tables can have them, nor for every size; a call without them needs none. */
static void check_rotary(vdit_run *run, const vdit_cogvideox *c, const size_t *count)
{
    size_t rows = c->sample_height / c->patch, columns = c->sample_width / c->patch;

    if (c->head_width % 16 != 0)
        vdit_run_fail(run, VDIT_ERR_UNSUPPORTED,
                      "cogvideox: heads of width %zu have no rotary tables, expected a multiple of "
                      "16, or a call without them",
                      c->head_width);
    if (c->patch_frames > 0 && (count[1] > rows || count[2] > columns))
        vdit_run_fail(run, VDIT_ERR_SHAPE,
                      "cogvideox: %zux%zu tokens in a frame, expected at most the %zux%zu of the "
                      "sample size",
                      count[1], count[2], rows, columns);
}

void vdit_cogvideox_rotary(vdit_net *net, const vdit_cogvideox *c, const size_t *count,
                           vdit_tensor *cosine, vdit_tensor *sine)
{
    size_t d = c->head_width, widths[] = {d / 4, d / 8 * 3, d / 8 * 3};
    vdit_tensor place;

    if (!net->dry) /* a dry run stands for calls with and without tables */
        check_rotary(net->run, c, count);
    place = positions(net, c, count);
    vdit_net_rotary_table(net, cosine, sine, &place, widths, PERIOD);
}
