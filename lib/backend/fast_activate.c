/* fast_activate.c - activations and gated units in binary32. */
#include "backend/fast.h"
#include "backend/fast_function.h"
#include "op/activation.h"
#include "op/map.h"

VDIT_INLINE float sigmoid(float x)
{
    return fast_sigmoid(x);
}

VDIT_INLINE float silu(float x)
{
    return fast_gate(x, fast_sigmoid(x));
}

VDIT_INLINE float gelu(float x)
{
    return fast_gate(x, fast_normal(x));
}

/* (1 + tanh u) / 2 = 1 / (1 + e^-2u), and 2 sqrt(2 / pi) (x + 0.044715 x^3) is x times a polynomial of x^2. */
VDIT_INLINE float gelu_tanh(float x)
{
    return fast_gate(x, fast_sigmoid(x * (0x1.988454p0f + 0x1.2444f2p-4f * (x * x))));
}

VDIT_INLINE float quick_gelu(float x)
{
    return fast_gate(x, fast_sigmoid(1.702f * x));
}

/* One loop per function, so that each is vectorised: y = f(b), or y = a f(b). */
#define LOOP(f)                                                                                    \
    VDIT_SIMD                                                                                      \
    for (size_t i = 0; i < n; i++)                                                                 \
        y[i] = gated ? a[i] * f(b[i]) : f(b[i]);                                                   \
    break

VDIT_INLINE void activate(vdit_activation f, int gated, size_t n, float *restrict y,
                          const float *restrict a, const float *restrict b)
{
    switch (f) {
    case VDIT_SIGMOID:
        LOOP(sigmoid);
    case VDIT_TANH:
        LOOP(fast_tanh);
    case VDIT_SILU:
        LOOP(silu);
    case VDIT_GELU:
        LOOP(gelu);
    case VDIT_GELU_TANH:
        LOOP(gelu_tanh);
    case VDIT_QUICK_GELU:
        LOOP(quick_gelu);
    case VDIT_SOFTPLUS:
        LOOP(fast_softplus);
    }
}

#define INSTANCE(set, attribute)                                                                   \
    attribute static void activate_##set(vdit_activation f, int gated, size_t n, float *y,         \
                                         const float *a, const float *b)                           \
    {                                                                                              \
        if (gated)                                                                                 \
            activate(f, 1, n, y, a, b);                                                            \
        else                                                                                       \
            activate(f, 0, n, y, a, b);                                                            \
    }

#define NO_ATTRIBUTE
INSTANCE(portable, NO_ATTRIBUTE)
#ifdef VDIT_HAVE_X86
INSTANCE(avx512, VDIT_TARGET_AVX512)
INSTANCE(avx2, VDIT_TARGET_AVX2)
#endif

/* kind: the function, and VDIT_ACTIVATION_COUNT more if it is a gate. */
static void run_piece(int kind, size_t n, float *y, const float *a, const float *b, const float *c)
{
    int gated = kind >= VDIT_ACTIVATION_COUNT;

    (void)c;
    VDIT_CHOOSE(activate)
    ((vdit_activation)(kind % VDIT_ACTIVATION_COUNT), gated, n, y, a, b);
}

static vdit_status activate_all(vdit_run *run, vdit_activation f, vdit_tensor *y,
                                const vdit_tensor *x, const vdit_tensor *z)
{
    const vdit_map map = {.op = "activate",
                          .name = {"x", "x", NULL},
                          .per = 1,
                          .single = run_piece,
                          .kind = (int)f + (z != NULL ? VDIT_ACTIVATION_COUNT : 0)};

    return vdit_map_run(run, &map, y, x, z != NULL ? z : x, NULL);
}

vdit_status vdit_fast_activate(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                               vdit_activation f)
{
    return vdit_activate_by(run, activate_all, y, x, f);
}

vdit_status vdit_fast_activate_gated(vdit_run *run, vdit_tensor *y, const vdit_tensor *x,
                                     vdit_activation f)
{
    return vdit_activate_gated_by(run, activate_all, y, x, f);
}
