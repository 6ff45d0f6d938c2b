/* test_op_activate.c - activations and gated units against MPFR: the formulas of vdit/op.h, rounded once. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/op.h>
#include "operands.h"

#define BITS 300

static const char *const names[] = {"sigmoid",   "tanh",       "silu",    "gelu",
                                    "gelu_tanh", "quick_gelu", "softplus"};
static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};

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

/* Out: real = f(z), by the formulas of vdit/op.h where they do not cancel. In: z finite. */
static void function(mpfr_t real, int f, const mpfr_t z)
{
    mpfr_t part;

    mpfr_init2(part, mpfr_get_prec(real));
    switch (f) {
    case VDIT_SIGMOID:
    case VDIT_SILU:
        sigmoid(real, z);
        break;
    case VDIT_TANH:
        mpfr_tanh(real, z, MPFR_RNDN);
        break;
    case VDIT_GELU: /* (1 + erf(z / sqrt 2)) / 2 = erfc(-z / sqrt 2) / 2 */
        mpfr_set_d(part, 0.5, MPFR_RNDN);
        mpfr_sqrt(part, part, MPFR_RNDN);
        mpfr_mul(part, part, z, MPFR_RNDN);
        mpfr_neg(part, part, MPFR_RNDN);
        mpfr_erfc(real, part, MPFR_RNDN);
        mpfr_div_2ui(real, real, 1, MPFR_RNDN);
        break;
    case VDIT_GELU_TANH: /* (1 + tanh u) / 2 = 1 / (1 + e^-2u) */
        gelu_argument(part, z);
        mpfr_mul_2ui(part, part, 1, MPFR_RNDN);
        sigmoid(real, part);
        break;
    case VDIT_QUICK_GELU:
        mpfr_mul_ui(part, z, 1702, MPFR_RNDN);
        mpfr_div_ui(part, part, 1000, MPFR_RNDN);
        sigmoid(real, part);
        break;
    default:
        mpfr_exp(real, z, MPFR_RNDN);
        mpfr_log1p(real, real, MPFR_RNDN);
    }
    if (f == VDIT_SILU || f == VDIT_GELU || f == VDIT_GELU_TANH || f == VDIT_QUICK_GELU)
        mpfr_mul(real, real, z, MPFR_RNDN);
    mpfr_clear(part);
}

/* Returns: the limit of f at z, which is infinite, or f(0) with its sign; or NaN. */
static double limit(int f, double z)
{
    int gate = f == VDIT_SILU || f == VDIT_GELU || f == VDIT_GELU_TANH || f == VDIT_QUICK_GELU;

    if (z != z)
        return z;
    if (z == 0)
        return f == VDIT_SIGMOID ? 0.5 : f == VDIT_SOFTPLUS ? NAN : z;
    if (z > 0)
        return f == VDIT_SIGMOID || f == VDIT_TANH ? 1 : z;
    return f == VDIT_TANH ? -1 : gate ? -0.0 : 0.0;
}

/* Returns: x f(z) rounded once, as IEEE has it where x, z or f(z) is 0 or not finite. */
static double expected(int f, vdit_dtype dtype, double x, double z)
{
    mpfr_t in, real;
    double value;
    int known = z != z || isinf(z) || (z == 0 && f != VDIT_SOFTPLUS);

    if (known)
        return vdit_round_f64(dtype, x * limit(f, z));
    mpfr_init2(in, 24);
    /* next to z or z/2 the value needs the bits of both terms */
    mpfr_init2(real, fabs(z) < 0x1p-20 || z > 20 ? 900 : BITS);
    mpfr_set_d(in, z, MPFR_RNDN);
    if (fabs(z) > 600) /* e^-|z| is far below what 900 bits hold: any number on the right side */
        mpfr_set_d(in, z > 0 ? 500 : -500, MPFR_RNDN);
    function(real, f, in);
    if (z > 600 && f != VDIT_SIGMOID && f != VDIT_TANH) {
        mpfr_div_ui(real, real, 500, MPFR_RNDN);
        mpfr_mul_d(real, real, z, MPFR_RNDN);
    }
    if (x == 0 || !isfinite(x)) {
        value = vdit_round_f64(dtype, x * (mpfr_signbit(real) ? -1 : 1));
    } else {
        mpfr_mul_d(real, real, x, MPFR_RNDN);
        value = oracle_round(real, dtype);
    }
    mpfr_clears(in, real, (mpfr_ptr)0);
    return value;
}

static void assert_value(int f, const vdit_tensor *y, size_t i, double x, double z)
{
    double ours = operand_get(y, i), right = expected(f, y->dtype, x, z);

    if (!oracle_same(ours, right))
        print_error("%a %s(%a) = %a, expected %a in %s\n", x, names[f], z, ours, right,
                    vdit_dtype_name(y->dtype));
    assert_true(oracle_same(ours, right));
}

/* Some bf16 and f16 numbers, all of both signs by and by, into each dtype. */
static void short_numbers_are_right(void **state)
{
    static uint16_t codes[8192];
    const size_t shape[] = {8192};

    (void)state;
    for (size_t i = 0; i < 8192; i++)
        codes[i] = (uint16_t)(8 * i + i % 8);
    for (int f = 0; f < VDIT_ACTIVATION_COUNT; f++)
        for (int mix = 0; mix < 6; mix++) {
            vdit_run *run = vdit_run_new();
            vdit_tensor x = vdit_tensor_view(codes, dtypes[1 + mix / 3], 1, shape), y;
            vdit_tensor_new(run, &y, dtypes[mix % 3], 1, shape);
            assert_int_equal(vdit_activate(run, &y, &x, f), VDIT_OK);
            for (size_t i = 0; i < 8192; i++)
                assert_value(f, &y, i, 1, operand_get(&x, i));
            vdit_run_free(run);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_numbers_are_right),
    };

    mpfr_set_emin(mpfr_get_emin_min());
    mpfr_set_emax(mpfr_get_emax_max());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
