/*
 * convert.c - between binary64 and the other element types, each with one rounding.
 *
 * All through integers: no result depends on the rounding mode, on flush-to-zero, or on whether the
 * machine has a half type. Narrow formats are described by their significand and exponent widths.
 */
#include <string.h>
#include <vdit/tensor.h>

typedef struct format {
    int fraction_bits; /* stored, without the leading one */
    int exponent_bits;
} format;

static const format formats[VDIT_DTYPE_COUNT] = {
    [VDIT_F32] = {23, 8},
    [VDIT_BF16] = {7, 8},
    [VDIT_F16] = {10, 5},
};

static uint64_t bits_of(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double value_of(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The encoding of a finite or infinite or NaN binary64 value in a narrow format, rounded once. */
static uint32_t narrow(format f, double value)
{
    uint64_t bits = bits_of(value), magnitude = bits & ~(UINT64_C(1) << 63);
    uint32_t sign = (uint32_t)(bits >> 63) << (f.fraction_bits + f.exponent_bits);
    uint32_t infinity = ((UINT32_C(1) << f.exponent_bits) - 1) << f.fraction_bits;
    int bias = (1 << (f.exponent_bits - 1)) - 1;
    int exponent = (int)(magnitude >> 52) - 1023; /* of the leading bit */
    int shift = 52 - f.fraction_bits;             /* bits to drop */
    uint64_t significand = (magnitude & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52;
    uint64_t kept, half;

    if (magnitude > UINT64_C(0x7ff) << 52)
        return infinity | UINT32_C(1) << (f.fraction_bits - 1); /* canonical: positive, quiet */
    if (exponent > bias)
        return sign | infinity;
    if (exponent < 1 - bias)
        shift += 1 - bias - exponent; /* subnormal in the target */
    if (shift > 54)
        return sign;
    kept = significand >> shift;
    half = significand & ((UINT64_C(1) << shift) - 1);
    kept += half > UINT64_C(1) << (shift - 1) ||
            (half == UINT64_C(1) << (shift - 1) && (kept & 1) != 0);
    if (exponent >= 1 - bias) /* replace the leading one by the exponent; a carry moves into it */
        kept += (uint64_t)(exponent + bias - 1) << f.fraction_bits;
    return sign | (uint32_t)kept;
}

/* The exact value of an encoding. Selections instead of branches: loops over it can be vectorised. */
static inline double widen(format f, uint32_t code)
{
    int bias = (1 << (f.exponent_bits - 1)) - 1, shift = 52 - f.fraction_bits;
    uint32_t sign_bit = UINT32_C(1) << (f.fraction_bits + f.exponent_bits);
    uint32_t magnitude = code & (sign_bit - 1);
    uint32_t infinity = ((UINT32_C(1) << f.exponent_bits) - 1) << f.fraction_bits;
    uint64_t sign = (uint64_t)(code & sign_bit) << (shift + 11 - f.exponent_bits);
    uint64_t smallest = (uint64_t)(1 - bias - f.fraction_bits + 1023) << 52;
    uint64_t subnormal = bits_of((double)(int32_t)magnitude * value_of(smallest));
    uint64_t normal = ((uint64_t)magnitude << shift) + ((uint64_t)(1023 - bias) << 52);
    uint64_t special = (uint64_t)magnitude << shift | UINT64_C(0x7ff) << 52;
    uint64_t finite = magnitude >> f.fraction_bits == 0 ? subnormal : normal;

    return value_of((magnitude < infinity ? finite : special) | sign);
}

static double canonical(double value)
{
    return value == value ? value : value_of(UINT64_C(0x7ff8) << 48);
}

double vdit_round_f64(vdit_dtype dtype, double value)
{
    if (dtype == VDIT_F64)
        return canonical(value);
    return widen(formats[dtype], narrow(formats[dtype], value));
}

void vdit_store_f64(void *out, vdit_dtype dtype, double value)
{
    uint32_t code;
    uint16_t half;

    if (dtype == VDIT_F64) {
        value = canonical(value);
        memcpy(out, &value, sizeof value);
        return;
    }
    code = narrow(formats[dtype], value);
    half = (uint16_t)code;
    if (dtype == VDIT_F32)
        memcpy(out, &code, sizeof code);
    else
        memcpy(out, &half, sizeof half);
}

static double load_one(const char *in, vdit_dtype dtype)
{
    uint16_t half;
    int64_t i64;
    int32_t i32;
    float f32;
    double f64;

    switch (dtype) {
    case VDIT_F64:
        memcpy(&f64, in, sizeof f64);
        return f64;
    case VDIT_F32:
        memcpy(&f32, in, sizeof f32);
        return f32;
    case VDIT_BF16:
    case VDIT_F16:
        memcpy(&half, in, sizeof half);
        return widen(formats[dtype], half);
    case VDIT_I64:
        memcpy(&i64, in, sizeof i64);
        return (double)i64;
    case VDIT_I32:
        memcpy(&i32, in, sizeof i32);
        return i32;
    default:
        return *(const unsigned char *)in;
    }
}

/* What a dense piece is converted by: a fixed length and no aliasing are what vectorisers ask for. */
#define PIECE 8

static void load_piece_f32(double *out, const char *in)
{
    float value[PIECE];

    memcpy(value, in, sizeof value);
    for (int i = 0; i < PIECE; i++)
        out[i] = value[i];
}

/* A bf16 number is the upper half of an f32 number. */
static void load_piece_bf16(double *out, const char *in)
{
    uint16_t code[PIECE];
    uint32_t wide[PIECE];
    float value[PIECE];

    memcpy(code, in, sizeof code);
    for (int i = 0; i < PIECE; i++)
        wide[i] = (uint32_t)code[i] << 16;
    memcpy(value, wide, sizeof value);
    for (int i = 0; i < PIECE; i++)
        out[i] = value[i];
}

static inline void load_piece_short(double *out, const char *in, format f)
{
    uint16_t code[PIECE];

    memcpy(code, in, sizeof code);
    for (int i = 0; i < PIECE; i++)
        out[i] = widen(f, code[i]);
}

/* Elements side by side, in whole pieces. Returns: how many were loaded. */
static size_t load_dense(double *out, size_t n, const char *in, vdit_dtype dtype)
{
    size_t size = vdit_dtype_size(dtype), done = 0;

    for (; dtype == VDIT_F32 && done + PIECE <= n; done += PIECE)
        load_piece_f32(out + done, in + done * size);
    for (; dtype == VDIT_BF16 && done + PIECE <= n; done += PIECE)
        load_piece_bf16(out + done, in + done * size);
    for (; dtype == VDIT_F16 && done + PIECE <= n; done += PIECE)
        load_piece_short(out + done, in + done * size, formats[VDIT_F16]);
    return done;
}

void vdit_load_f64(double *out, size_t n, const void *in, ptrdiff_t stride, vdit_dtype dtype)
{
    ptrdiff_t step = stride * (ptrdiff_t)vdit_dtype_size(dtype);
    const char *from = in;

    for (size_t i = stride == 1 ? load_dense(out, n, from, dtype) : 0; i < n; i++)
        out[i] = load_one(from + (ptrdiff_t)i * step, dtype);
}
