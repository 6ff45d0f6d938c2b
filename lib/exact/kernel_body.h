/*
 * kernel_body.h - one set of kernels; kernel.c includes it once per instruction set and precision.
 *
 * Before inclusion: REAL, WORD (the unsigned integer of its size), LANES, MR (4 or 8), NAME(x),
 * TARGET, and the layout of REAL: FRACTION_BITS, ROUND_MAGIC, EXP2_ZERO, EXP2_COEFFICIENTS. A row of
 * the register tile is three vectors. Vectors never cross a function boundary, so that no calling
 * convention for them is needed.
 */
#define NR (3 * LANES)

#if LANES == 1
typedef REAL NAME(vector);
typedef REAL NAME(loaded);
#define SELECT(condition, x, y) ((condition) ? (x) : (y))
#define ADD_EXPONENT(p, n)      NAME(add_exponent)(p, n)
#else
typedef REAL NAME(vector) __attribute__((vector_size(LANES * sizeof(REAL))));
typedef WORD NAME(word) __attribute__((vector_size(LANES * sizeof(REAL))));
typedef REAL NAME(loaded)
    __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));
#define BITS(x)                 ((NAME(word))(x))
#define SELECT(condition, x, y) ((V)((BITS(x) & BITS(condition)) | (BITS(y) & ~BITS(condition))))
#define ADD_EXPONENT(p, n)      ((V)(BITS(p) + (BITS(n) << FRACTION_BITS)))
#endif

/* GCC does not see the one instruction in this, where there is one. */
#ifndef LARGER
#define LARGER(x, y) SELECT(x > y, x, y)
#endif

#define V        NAME(vector)
#define LOAD(p)  (*(const NAME(loaded) *)(p))
#define STORE(p) (*(NAME(loaded) *)(p))

/* One row of the register tile. */
#define ROW_DECLARE(r) V c##r##0 = zero, c##r##1 = zero, c##r##2 = zero;
#define ROW_STEP(r)                                                                                \
    c##r##0 += a[k * MR + r] * b0;                                                                 \
    c##r##1 += a[k * MR + r] * b1;                                                                 \
    c##r##2 += a[k * MR + r] * b2;
#define ROW_STORE(r)                                                                               \
    STORE(c + r * NR) = c##r##0;                                                                   \
    STORE(c + r * NR + LANES) = c##r##1;                                                           \
    STORE(c + r * NR + 2 * LANES) = c##r##2;
#define ROW_ADD(r)                                                                                 \
    STORE(c + r * NR) = LOAD(c + r * NR) + c##r##0;                                                \
    STORE(c + r * NR + LANES) = LOAD(c + r * NR + LANES) + c##r##1;                                \
    STORE(c + r * NR + 2 * LANES) = LOAD(c + r * NR + 2 * LANES) + c##r##2;
#if MR == 8
#define ROWS(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7)
#else
#define ROWS(op) op(0) op(1) op(2) op(3)
#endif

TARGET static void NAME(gemm)(size_t count, size_t chunk, const REAL *a, const REAL *b, REAL *c)
{
    const V zero = {0};

    for (size_t start = 0; start == 0 || start < count; start += chunk) {
        size_t left = count - start;
        size_t steps = left < chunk ? left : chunk;
        ROWS(ROW_DECLARE)

        for (size_t k = 0; k < steps; k++) {
            V b0 = LOAD(b + k * NR), b1 = LOAD(b + k * NR + LANES),
              b2 = LOAD(b + k * NR + 2 * LANES);
            ROWS(ROW_STEP)
        }
        if (start == 0) {
            ROWS(ROW_STORE)
        } else {
            ROWS(ROW_ADD)
        }
        a += steps * MR;
        b += steps * NR;
    }
}

TARGET static void NAME(add)(const REAL *x, REAL *sum)
{
    for (size_t i = 0; i < MR * NR; i += LANES)
        STORE(sum + i) = LOAD(sum + i) + LOAD(x + i);
}

#define SCALE_STEP(i)                                                                              \
    value = LOAD(x + j * NR + i * LANES) * scale;                                                  \
    if (mask != NULL)                                                                              \
        value += LOAD(mask + j * NR + i * LANES);                                                  \
    STORE(x + j * NR + i * LANES) = value;                                                         \
    most##i = LARGER(value, most##i);

TARGET static void NAME(scale_max)(size_t keys, REAL scale, const REAL *mask, REAL *x, REAL *top)
{
    V most0 = LOAD(top), most1 = LOAD(top + LANES), most2 = LOAD(top + 2 * LANES);

    for (size_t j = 0; j < keys; j++) { /* three maxima side by side: each waits for its last */
        V value;

        SCALE_STEP(0)
        SCALE_STEP(1)
        SCALE_STEP(2)
    }
    STORE(top) = most0;
    STORE(top + LANES) = most1;
    STORE(top + 2 * LANES) = most2;
}

#if LANES == 1
/* p * 2^n, where the low bits of the representation of magic hold n. */
static REAL NAME(add_exponent)(REAL p, REAL magic)
{
    WORD bits, n;

    memcpy(&bits, &p, sizeof bits);
    memcpy(&n, &magic, sizeof n);
    bits += n << FRACTION_BITS;
    memcpy(&p, &bits, sizeof p);
    return p;
}
#endif

/*
 * 2^y: y = n + f with n an integer, |f| <= 1/2, both exact; 2^f by a polynomial that is within 0.06
 * units of it; then n goes into the exponent. What comes of a y beyond the range of n, be it a NaN,
 * gives way to 0. Rounding in Horner's scheme: the last addition errs by 1 unit of the result; the
 * product before it, its coefficient and the value that it multiplies enter with |f ln 2| <= 0.35,
 * and so on inwards. Relative to a result of at least 0.7 that is below (0.71 + 0.35 (2 + 0.5 +
 * 0.35 (2 + 0.5 + ...))) / 0.7 < 3 units.
 */
TARGET static void NAME(exp2_sum)(size_t keys, const REAL *top, REAL *x, REAL *sum, REAL *square)
{
    static const REAL coefficient[] = {EXP2_COEFFICIENTS};
    enum { degree = sizeof coefficient / sizeof *coefficient - 1 };

    for (size_t lane = 0; lane < NR; lane += LANES) {
        const V zero = {0}, magic = zero + ROUND_MAGIC;
        V shift = LOAD(top + lane), panel_sum = zero, panel_square = zero;

        for (size_t j = 0; j < keys; j++) {
            V y = LOAD(x + j * NR + lane) - shift;
            V rounded = y + magic;
            V f = y - (rounded - magic);
            V p = zero + coefficient[degree];

            UNROLL
            for (int i = degree - 1; i >= 0; i--)
                p = p * f + coefficient[i];
            p = ADD_EXPONENT(p, rounded);
            p = SELECT(y > EXP2_ZERO, p, zero);
            STORE(x + j * NR + lane) = p;
            panel_sum += p;
            panel_square += p * p;
        }
        STORE(sum + lane) = LOAD(sum + lane) + panel_sum;
        STORE(square + lane) = LOAD(square + lane) + panel_square;
    }
}

#undef NR
#undef SELECT
#undef LARGER
#undef ADD_EXPONENT
#undef BITS
#undef V
#undef LOAD
#undef STORE
#undef ROW_DECLARE
#undef ROW_STEP
#undef ROW_STORE
#undef ROW_ADD
#undef ROWS
#undef SCALE_STEP
#undef LANES
#undef MR
#undef NAME
#undef TARGET
