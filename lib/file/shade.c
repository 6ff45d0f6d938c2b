/*
 * shade.c - numbers as colours. The colours go from paper white over yellow, red and purple to black; their CIELAB
 * lightness falls from 99 to 8 in equal steps, so that the picture reads the same in grey and on paper.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <vdit/file.h>
#include "exact/elementary.h"

/*
 * sRGB of 17 points at equal steps of lightness: L = 99 - 91 t, hue 100 - 170 t degrees, chroma
 * 62 sin(pi t)^0.7, white point D65, rounded. Between them colours are interpolated in integers.
 */
static const unsigned char colours[17][3] = {
    {252, 252, 252}, {251, 234, 198}, {252, 214, 161}, {253, 192, 133}, {254, 168, 113},
    {252, 144, 102}, {247, 119, 98},  {237, 95, 99},   {223, 73, 103},  {203, 56, 108},
    {179, 45, 112},  {150, 40, 112},  {119, 40, 108},  {88, 39, 98},    {59, 37, 82},
    {36, 31, 59},    {24, 24, 24}};

/* What has no value: far from all of these. */
static const unsigned char no_value[3] = {0, 160, 220};

static void set_colour(unsigned char *pixel, int level)
{
    int at = level * 16 / 255, part = level * 16 % 255, next = at < 16 ? at + 1 : at;

    for (int i = 0; i < 3; i++)
        pixel[i] =
            (unsigned char)((colours[at][i] * (255 - part) + colours[next][i] * part + 127) / 255);
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return x < y ? -1 : x > y;
}

/* Out: the least and the greatest number that the scale shows. values has no NaN. */
static void find_range(double *low, double *high, float *sorted, size_t count, vdit_shading scale,
                       double parameter)
{
    size_t place = count;

    *low = *high = 0;
    if (count == 0)
        return;
    qsort(sorted, count, sizeof *sorted, by_value);
    if (scale == VDIT_SHADE_CLIP)
        place = (size_t)(parameter * (double)count);
    *high = (double)sorted[place < count ? place : count - 1];
    if (scale == VDIT_SHADE_LOG) {
        *low = *high;
        for (int i = 0; i < (int)parameter; i++)
            *low /= 10;
    }
}

static int level_of(double x, double low, double high, vdit_shading scale, double parameter)
{
    double share = 0;

    if (scale == VDIT_SHADE_THRESHOLD)
        return x > parameter ? 255 : 0;
    if (!(x > low) || !(high > low))
        return x > 0 && x >= high ? 255 : 0;
    if (x >= high)
        return 255;
    if (scale == VDIT_SHADE_LOG && low >= 0x1p-900)
        share = (vdit_log_estimate(x) - vdit_log_estimate(low)) /
                (vdit_log_estimate(high) - vdit_log_estimate(low));
    else
        share = (x - low) / (high - low);
    return (int)(255 * share + 0.5);
}

vdit_status vdit_shade(vdit_run *run, vdit_tensor *image, const vdit_tensor *values,
                       vdit_shading scale, double parameter, double range[2])
{
    size_t shape[3] = {values->shape[0], values->shape[1], 3};
    size_t count = vdit_tensor_count(values), known = 0, mark;
    const float *value = values->data;
    vdit_tensor made;
    float *sorted;

    if (vdit_tensor_new(run, &made, VDIT_U8, 3, shape) != VDIT_OK)
        return vdit_run_status(run);
    mark = vdit_run_mark(run);
    sorted = vdit_run_alloc(run, count, sizeof *sorted);
    if (sorted == NULL)
        return vdit_run_status(run);
    for (size_t i = 0; i < count; i++)
        if (value[i] == value[i])
            sorted[known++] = value[i];
    find_range(&range[0], &range[1], sorted, known, scale, parameter);
    vdit_run_release(run, mark);
    for (size_t i = 0; i < count; i++) {
        unsigned char *pixel = (unsigned char *)made.data + 3 * i;

        if (value[i] != value[i])
            memcpy(pixel, no_value, 3);
        else
            set_colour(pixel, level_of((double)value[i], range[0], range[1], scale, parameter));
    }
    *image = made;
    return VDIT_OK;
}
