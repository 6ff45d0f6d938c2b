/* attention_stages.c - what stands between the reference and its stages in tests. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "attention_stages.h"
#include "attention/last.h"
#include "exact/settle.h"

struct forced forced;
void (*stages_block)(const vdit_stream *stream);
void (*stages_refined)(double high, double low, double error);

const vdit_kernel_f64 *__real_vdit_kernel_f64_at(size_t i);
const vdit_kernel_f64 *__wrap_vdit_kernel_f64_at(size_t i);
const vdit_kernel_f32 *__real_vdit_kernel_f32_at(size_t i);
const vdit_kernel_f32 *__wrap_vdit_kernel_f32_at(size_t i);
size_t __real_vdit_rows_finish(vdit_rows *rows, const vdit_stream *stream);
size_t __wrap_vdit_rows_finish(vdit_rows *rows, const vdit_stream *stream);
size_t __real_vdit_rows_map(vdit_rows *rows, vdit_stream *stream);
size_t __wrap_vdit_rows_map(vdit_rows *rows, vdit_stream *stream);
void __real_vdit_sigma_run(vdit_sigma *sigma, vdit_stream *stream, vdit_rows *rows);
void __wrap_vdit_sigma_run(vdit_sigma *sigma, vdit_stream *stream, vdit_rows *rows);
size_t __real_vdit_refine_finish(vdit_refine *refine, vdit_rows *rows, const size_t *list,
                                 size_t count);
size_t __wrap_vdit_refine_finish(vdit_refine *refine, vdit_rows *rows, const size_t *list,
                                 size_t count);
void __real_vdit_last_load(vdit_last *last, size_t r);
void __wrap_vdit_last_load(vdit_last *last, size_t r);
int __real_vdit_settle(double *rounded, vdit_dtype dtype, double high, double low, double error);
int __wrap_vdit_settle(double *rounded, vdit_dtype dtype, double high, double low, double error);

const vdit_kernel_f64 *__wrap_vdit_kernel_f64_at(size_t i)
{
    return __real_vdit_kernel_f64_at(i + forced.kernel);
}

const vdit_kernel_f32 *__wrap_vdit_kernel_f32_at(size_t i)
{
    return __real_vdit_kernel_f32_at(i + forced.kernel);
}

size_t stages_kernel_count(void)
{
    size_t count = 0;

    while (__real_vdit_kernel_f64_at(count) != NULL)
        count++;
    return count;
}

/* Returns: 1 if the row is one that the stages decide: it has weights, and a finite query. */
static int is_decided(const vdit_stream *stream, size_t lane)
{
    return !stream->odd[lane] && stream->sum[lane] != 0;
}

/* Opens a whole row of an output, and writes what nobody could mean. */
static void hold_row(vdit_rows *rows, unsigned char *open, const vdit_head *head,
                     const vdit_tensor *out, size_t r, unsigned bit)
{
    memset(open + r * head->dv, 1, head->dv);
    for (size_t c = 0; c < head->dv; c++)
        vdit_rows_put(head, out, r, c, -12345);
    rows->open[r] |= (unsigned char)bit;
}

size_t __wrap_vdit_rows_finish(vdit_rows *rows, const vdit_stream *stream)
{
    const vdit_head *head = stream->head;
    size_t settled;

    if (stages_block != NULL)
        stages_block(stream);
    settled = __real_vdit_rows_finish(rows, stream);
    for (size_t lane = 0; forced.stage > 0 && lane < stream->rows; lane++) {
        size_t r = stream->first + lane;

        if (!is_decided(stream, lane))
            continue;
        if (head->call->o != NULL)
            hold_row(rows, rows->o, head, head->call->o, r, VDIT_OPEN_O);
        if (head->call->lse != NULL) {
            vdit_rows_put(head, head->call->lse, r, 0, -12345);
            rows->open[r] |= VDIT_OPEN_LSE;
        }
    }
    return forced.stage > 0 ? 0 : settled;
}

size_t __wrap_vdit_rows_map(vdit_rows *rows, vdit_stream *stream)
{
    const vdit_head *head = stream->head;
    size_t settled = __real_vdit_rows_map(rows, stream);

    for (size_t lane = 0; forced.stage > 0 && lane < stream->rows; lane++) {
        size_t r = stream->first + lane;

        if (!is_decided(stream, lane))
            continue;
        for (size_t j = 0; j < head->keys; j++)
            vdit_rows_put(head, head->call->map, r, head->key_at[j], -12345);
        rows->open[r] |= VDIT_OPEN_MAP;
    }
    return forced.stage > 0 ? 0 : settled;
}

void __wrap_vdit_sigma_run(vdit_sigma *sigma, vdit_stream *stream, vdit_rows *rows)
{
    const vdit_head *head = stream->head;

    __real_vdit_sigma_run(sigma, stream, rows);
    for (size_t lane = 0; forced.stage > 0 && lane < stream->rows; lane++)
        if (is_decided(stream, lane))
            hold_row(rows, rows->sigma, head, head->call->sigma, stream->first + lane,
                     VDIT_OPEN_SIGMA);
}

size_t __wrap_vdit_refine_finish(vdit_refine *refine, vdit_rows *rows, const size_t *list,
                                 size_t count)
{
    return forced.stage > 1 ? 0 : __real_vdit_refine_finish(refine, rows, list, count);
}

/* Its contract asks for a finite query. */
void __wrap_vdit_last_load(vdit_last *last, size_t r)
{
    assert_true(vdit_head_query(last->head, last->q, r));
    __real_vdit_last_load(last, r);
}

int __wrap_vdit_settle(double *rounded, vdit_dtype dtype, double high, double low, double error)
{
    if (stages_refined != NULL)
        stages_refined(high, low, error);
    return __real_vdit_settle(rounded, dtype, high, low, error);
}
