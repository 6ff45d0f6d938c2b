/* lines.c - pieces of rows: loaded exactly, stored with one rounding. */
#include <math.h>
#include <string.h>
#include "exact/simd.h"
#include "exact/single.h"
#include "op/lines.h"
#include "op/shape.h"

vdit_lines vdit_lines_of(vdit_run *run, const vdit_tensor *t, size_t *count)
{
    int last = t->rank - 1;
    vdit_lines lines = {.data = t->data, .dtype = t->dtype, .step = last < 0 ? 1 : t->stride[last]};

    lines.row = vdit_row_offsets(run, count, t, last < 0 ? 0 : last);
    return lines;
}

static char *element(const vdit_lines *lines, size_t row, size_t at)
{
    return lines->data + (lines->row[row] + (ptrdiff_t)at * lines->step) *
                             (ptrdiff_t)vdit_dtype_size(lines->dtype);
}

void vdit_lines_load(double *value, size_t n, const vdit_lines *lines, size_t row, size_t at)
{
    if (lines->step != 0 || n == 0) {
        vdit_load_f64(value, n, element(lines, row, at), lines->step, lines->dtype);
        return;
    }
    vdit_load_f64(value, 1, element(lines, row, at), 1, lines->dtype); /* one for all */
    for (size_t i = 1; i < n; i++)
        value[i] = value[0];
}

/* A format of 16 bits: its normal numbers are binary64's with fewer bits. */
typedef struct short_format {
    int drop;      /* fraction bits that go */
    uint64_t bias; /* what the exponent field loses, in units of the last bit that stays */
    double least,
        most; /* what is at or above the one and below the other is normal, rounded up or down */
} short_format;

static const short_format bf16 = {45, UINT64_C(896) << 7, 0x1p-126, 0x1p127};
static const short_format f16 = {42, UINT64_C(1008) << 10, 0x1p-14, 0x1p15};

/* Returns: how many of them are neither 0 nor certain to become normal numbers: their codes are wrong. */
VDIT_INLINE size_t narrow_short(uint16_t *restrict code, const double *restrict value, size_t n,
                                short_format f)
{
    const uint64_t half = (UINT64_C(1) << (f.drop - 1)) - 1;
    uint64_t bad = 0;

    VDIT_SIMD_OR(bad) for (size_t i = 0; i < n; i++)
    {
        union {
            double value;
            uint64_t bits;
        } x;
        uint64_t sign, kept, zero, normal;

        x.value = value[i];
        normal = (uint64_t)((fabs(value[i]) >= f.least) & (fabs(value[i]) < f.most));
        zero = (uint64_t)(value[i] == 0);
        sign = x.bits >> 63 << 15;
        x.bits &= UINT64_MAX >> 1;
        kept = ((x.bits + half + (x.bits >> f.drop & 1)) >> f.drop) - f.bias;
        code[i] = (uint16_t)(sign | (kept & (zero - 1)));
        bad |= 1 - (normal | zero);
    }
    return (size_t)bad;
}

/* The same for f32, by the machine's conversion. */
VDIT_INLINE size_t narrow_f32(float *restrict out, const double *restrict value, size_t n)
{
    uint64_t bad = 0;

    VDIT_SIMD_OR(bad) for (size_t i = 0; i < n; i++)
    {
        double size = fabs(value[i]);

        out[i] = (float)value[i];
        bad |= (uint64_t)(1 - (((size >= 0x1p-126) & (size < 0x1p127)) | (size == 0)));
    }
    return (size_t)bad;
}

VDIT_INLINE size_t narrow(void *out, vdit_dtype dtype, const double *value, size_t n)
{
    if (dtype == VDIT_F32)
        return narrow_f32(out, value, n);
    return dtype == VDIT_BF16 ? narrow_short(out, value, n, bf16)
                              : narrow_short(out, value, n, f16);
}

#define INSTANCE(set, attribute)                                                                   \
    attribute static size_t narrow_##set(void *out, vdit_dtype dtype, const double *value,         \
                                         size_t n)                                                 \
    {                                                                                              \
        return narrow(out, dtype, value, n);                                                       \
    }

#define NO_ATTRIBUTE
INSTANCE(portable, NO_ATTRIBUTE)
#ifdef VDIT_HAVE_X86
INSTANCE(avx512, VDIT_TARGET_AVX512)
INSTANCE(avx2, VDIT_TARGET_AVX2)
#endif

void vdit_lines_store(const vdit_lines *lines, size_t row, size_t at, const double *value, size_t n)
{
    union {
        float f32[VDIT_LINES_PIECE];
        uint16_t code[VDIT_LINES_PIECE];
    } made;
    size_t size = vdit_dtype_size(lines->dtype);
    char *to = element(lines, row, at);

    if (VDIT_CHOOSE(narrow)(&made, lines->dtype, value, n) != 0) { /* subnormal, huge, NaN */
        for (size_t i = 0; i < n; i++)
            vdit_store_f64((char *)&made + i * size, lines->dtype, value[i]);
    }
    if (lines->step == 1) {
        memcpy(to, &made, n * size);
        return;
    }
    for (size_t i = 0; i < n; i++)
        memcpy(to + (ptrdiff_t)i * lines->step * (ptrdiff_t)size, (char *)&made + i * size, size);
}

void vdit_lines_load_f32(float *value, size_t n, const vdit_lines *rows, size_t row, size_t at)
{
    vdit_load_f32(value, n, element(rows, row, at), rows->step, rows->dtype);
}

void vdit_lines_store_f32(const vdit_lines *rows, size_t row, size_t at, const float *value,
                          size_t n)
{
    vdit_store_f32(element(rows, row, at), rows->step, rows->dtype, value, n);
}
