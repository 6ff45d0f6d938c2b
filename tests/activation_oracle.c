/* activation_oracle.c - activations in MPFR: few bits first, more where a rounding is not certain. */
#include <math.h>
#include "activation_oracle.h"

#define FEW 100
#define MANY                                                                                       \
    1200 /* tells z (1 - e^-|z|) from z up to |z| = 500, z (1 - z^2) from z down to 2^-500 */

const char *activation_oracle_name(vdit_activation f)
{
    static const char *const names[VDIT_ACTIVATION_COUNT] = {
        "sigmoid", "tanh", "silu", "gelu", "gelu_tanh", "quick_gelu", "softplus"};

    return names[f];
}

static int is_gate(vdit_activation f)
{
    return f == VDIT_SILU || f == VDIT_GELU || f == VDIT_GELU_TANH || f == VDIT_QUICK_GELU;
}

/* Out: real = 1 / (1 + e^-w) */
static void sigmoid(mpfr_t real, const mpfr_t w)
{
    mpfr_neg(real, w, MPFR_RNDN);
    mpfr_exp(real, real, MPFR_RNDN);
    mpfr_add_ui(real, real, 1, MPFR_RNDN);
    mpfr_ui_div(real, 1, real, MPFR_RNDN);
}

/* Out: real = sqrt(2 / pi) (z + 0.044715 z^3) */
static void gelu_argument(mpfr_t real, const mpfr_t z)
{
    mpfr_t part;

    mpfr_init2(part, mpfr_get_prec(real));
    mpfr_sqr(part, z, MPFR_RNDN);
    mpfr_mul(part, part, z, MPFR_RNDN);
    mpfr_mul_ui(part, part, 44715, MPFR_RNDN);
    mpfr_div_ui(part, part, 1000000, MPFR_RNDN);
    mpfr_add(part, part, z, MPFR_RNDN);
    mpfr_const_pi(real, MPFR_RNDN);
    mpfr_ui_div(real, 2, real, MPFR_RNDN);
    mpfr_sqrt(real, real, MPFR_RNDN);
    mpfr_mul(real, real, part, MPFR_RNDN);
    mpfr_clear(part);
}

/* Out: real = (1 + erf(z / sqrt 2)) / 2 = erfc(-z / sqrt 2) / 2 */
static void normal(mpfr_t real, const mpfr_t z)
{
    mpfr_set_d(real, 0.5, MPFR_RNDN);
    mpfr_sqrt(real, real, MPFR_RNDN);
    mpfr_mul(real, real, z, MPFR_RNDN);
    mpfr_neg(real, real, MPFR_RNDN);
    mpfr_erfc(real, real, MPFR_RNDN);
    mpfr_div_2ui(real, real, 1, MPFR_RNDN);
}

/* (1 + tanh u) / 2 is 1 / (1 + e^-2u), which does not cancel. */
void activation_oracle_real(mpfr_t real, vdit_activation f, const mpfr_t z)
{
    mpfr_t part;

    mpfr_init2(part, mpfr_get_prec(real));
    if (f == VDIT_TANH) {
        mpfr_tanh(real, z, MPFR_RNDN);
    } else if (f == VDIT_GELU) {
        normal(real, z);
    } else if (f == VDIT_GELU_TANH) {
        gelu_argument(part, z);
        mpfr_mul_2ui(part, part, 1, MPFR_RNDN);
        sigmoid(real, part);
    } else if (f == VDIT_QUICK_GELU) {
        mpfr_mul_ui(part, z, 1702, MPFR_RNDN);
        mpfr_div_ui(part, part, 1000, MPFR_RNDN);
        sigmoid(real, part);
    } else if (f == VDIT_SOFTPLUS) {
        mpfr_exp(part, z, MPFR_RNDN);
        mpfr_log1p(real, part, MPFR_RNDN);
    } else {
        sigmoid(real, z);
    }
    if (is_gate(f))
        mpfr_mul(real, real, z, MPFR_RNDN);
    mpfr_clear(part);
}

/* Returns: the limit of f at an infinite z, f(0) with its sign, or NaN. */
static double limit(vdit_activation f, double z)
{
    if (z != z || z == 0)
        return f == VDIT_SIGMOID ? z + 0.5 : z;
    if (z > 0)
        return f == VDIT_SIGMOID || f == VDIT_TANH ? 1 : z;
    return f == VDIT_TANH ? -1 : is_gate(f) ? -0.0 : 0.0;
}

/*
 * Out: rounded. Returns: 1 if a relative error of 2^-(bits - 20) cannot change it. In: z finite; far out it is taken
 * as nearer to 0, and put right by a factor where f(z) is near z: the difference is invisible, its sign is not.
 */
static int round_with(double *rounded, int bits, vdit_activation f, const vdit_dtype *dtypes,
                      int count, double x, double z)
{
    double most = f == VDIT_GELU || f == VDIT_GELU_TANH ? 15 : 300;
    double near = z > most ? most : z < -500 ? -500 : z;
    mpfr_t in, real, margin, end;
    int certain = 1;

    mpfr_init2(in, 24);
    mpfr_inits2(bits, real, margin, end, (mpfr_ptr)0);
    mpfr_set_d(in, near, MPFR_RNDN);
    activation_oracle_real(real, f, in);
    if (z > most && f != VDIT_SIGMOID && f != VDIT_TANH) {
        mpfr_div_d(real, real, near, MPFR_RNDN);
        mpfr_mul_d(real, real, z, MPFR_RNDN);
    }
    mpfr_mul_d(real, real, x, MPFR_RNDN);
    mpfr_div_2ui(margin, real, (unsigned long)bits - 20, MPFR_RNDN);
    for (int d = 0; d < count; d++) {
        mpfr_add(end, real, margin, MPFR_RNDN);
        rounded[d] = oracle_round(end, dtypes[d]);
        mpfr_sub(end, real, margin, MPFR_RNDN);
        certain = certain && oracle_same(rounded[d], oracle_round(end, dtypes[d]));
    }
    mpfr_clears(in, real, margin, end, (mpfr_ptr)0);
    return certain;
}

/* Returns: the sign of f(z), z finite. */
static int sign(vdit_activation f, double z)
{
    return z < 0 && (is_gate(f) || f == VDIT_TANH) ? -1 : 1;
}

void activation_oracle(double *rounded, vdit_activation f, const vdit_dtype *dtypes, int count,
                       double x, double z)
{
    double known = z != z || isinf(z) || (z == 0 && f != VDIT_SOFTPLUS) ? x * limit(f, z)
                   : x == 0 || !isfinite(x)                             ? x * sign(f, z)
                                                                        : 0;

    if (z != z || isinf(z) || (z == 0 && f != VDIT_SOFTPLUS) || x == 0 || !isfinite(x)) {
        for (int d = 0; d < count; d++)
            rounded[d] = vdit_round_f64(dtypes[d], known);
        return;
    }
    if (!round_with(rounded, FEW, f, dtypes, count, x, z))
        round_with(rounded, MANY, f, dtypes, count, x, z);
}
