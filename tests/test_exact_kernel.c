/* test_exact_kernel.c - every kernel that runs here against its bounds, in MPFR. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "exact/kernel.h"
#include "oracle.h"

#define BITS     2400 /* sums of products of doubles, exactly */
#define COUNT    100
#define KEYS     40
#define SECOND   (1 + 0x1p-20) /* second order terms of the bounds */
#define UNIT_F64 0x1p-53
#define UNIT_F32 0x1p-24

/* Out: a, b of a product: f32 numbers (so that products are exact), doubles, or of one sign. */
static void draw_product(oracle_random *random, int kind, double *a, double *b)
{
    int bits = kind == 1 ? 53 : 24, spread = kind == 2 ? 0 : 20;

    *a = oracle_number(random, bits, -spread, spread);
    *b = oracle_number(random, bits, -spread, spread);
    if (kind == 2) { /* alike: sums whose errors do not cancel */
        *a = fabs(*a);
        *b = fabs(*b);
    }
}

/* |computed - sum_k a_k b_k| within unit sum_k (weight_k + rounded) |a_k b_k|. Returns: the ratio. */
static double product_error(double computed, size_t count, size_t chunk, const double *a,
                            const double *b, double unit, int rounded)
{
    double ratio = 0;
    mpfr_t sum, bound, term;

    mpfr_inits2(BITS, sum, bound, term, (mpfr_ptr)0);
    mpfr_set_zero(sum, 1);
    mpfr_set_zero(bound, 1);
    for (size_t k = 0; k < count; k++) {
        mpfr_set_d(term, a[k], MPFR_RNDN);
        mpfr_mul_d(term, term, b[k], MPFR_RNDN);
        mpfr_add(sum, sum, term, MPFR_RNDN);
        mpfr_abs(term, term, MPFR_RNDN);
        mpfr_mul_d(term, term, (double)vdit_kernel_weight(k, count, chunk) + rounded, MPFR_RNDN);
        mpfr_add(bound, bound, term, MPFR_RNDN);
    }
    mpfr_sub_d(sum, sum, computed, MPFR_RNDN);
    mpfr_mul_d(bound, bound, unit * SECOND, MPFR_RNDN);
    mpfr_abs(sum, sum, MPFR_RNDN);
    if (mpfr_zero_p(bound)) {
        ratio = mpfr_zero_p(sum) ? 0 : INFINITY;
    } else {
        mpfr_div(sum, sum, bound, MPFR_RNDU);
        ratio = mpfr_get_d(sum, MPFR_RNDU);
    }
    mpfr_clears(sum, bound, term, (mpfr_ptr)0);
    return ratio;
}

static const size_t counts[] = {0, 1, 2, 31, 32, 33, 63, 64, 65, 100};
static const size_t chunks[] = {VDIT_KERNEL_CHUNK, 1, 13, 100};

static void products_are_within_their_bound(void **state)
{
    static double a[COUNT * VDIT_KERNEL_MR_MAX], b[COUNT * VDIT_KERNEL_NR_MAX];
    static double c[VDIT_KERNEL_TILE_MAX], one_a[COUNT], one_b[COUNT];
    oracle_random random = oracle_random_start("products_are_within_their_bound");
    const vdit_kernel_f64 *kernel;

    (void)state;
    for (size_t i = 0; (kernel = vdit_kernel_f64_at(i)) != NULL; i++) {
        double worst = 0;

        for (size_t n = 0; n < 30; n++) {
            size_t count = counts[n / 3], mr = kernel->mr, nr = kernel->nr, chunk = chunks[n % 4];

            for (size_t k = 0; k < count; k++)
                for (size_t s = 0; s < nr; s++)
                    draw_product(&random, n % 3, &a[k * mr + s % mr], &b[k * nr + s]);
            kernel->gemm(count, chunk, a, b, c);
            for (size_t at = n % 7; at < mr * nr; at += 7) {
                double ratio;

                for (size_t k = 0; k < count; k++) {
                    one_a[k] = a[k * mr + at / nr];
                    one_b[k] = b[k * nr + at % nr];
                }
                ratio = product_error(c[at], count, chunk, one_a, one_b, UNIT_F64, n % 3 == 1);
                worst = ratio > worst ? ratio : worst;
            }
        }
        print_message("# %s f64: products reach %.3f of their bound\n", kernel->name, worst);
        assert_true(worst <= 1 && worst > 0);
    }
}

static void products_in_binary32_are_within_their_bound(void **state)
{
    static float a[COUNT * VDIT_KERNEL_MR_MAX], b[COUNT * VDIT_KERNEL_NR_MAX];
    static float c[VDIT_KERNEL_TILE_MAX];
    static double one_a[COUNT], one_b[COUNT];
    oracle_random random = oracle_random_start("products_in_binary32_are_within_their_bound");
    const vdit_kernel_f32 *kernel;

    (void)state;
    for (size_t i = 0; (kernel = vdit_kernel_f32_at(i)) != NULL; i++) {
        double worst = 0;

        for (size_t n = 0; n < 20; n++) {
            size_t count = counts[n / 2], mr = kernel->mr, nr = kernel->nr, chunk = chunks[n % 4];

            for (size_t k = 0; k < count * mr; k++)
                a[k] = (float)oracle_number(&random, 24, n % 2 ? -8 : 0, n % 2 ? 8 : 0);
            for (size_t k = 0; k < count * nr; k++)
                b[k] = (float)oracle_number(&random, 24, n % 2 ? -8 : 0, n % 2 ? 8 : 0);
            kernel->gemm(count, chunk, a, b, c);
            for (size_t at = n % 7; at < mr * nr; at += 7) {
                double ratio;

                for (size_t k = 0; k < count; k++) {
                    one_a[k] = a[k * mr + at / nr];
                    one_b[k] = b[k * nr + at % nr];
                }
                ratio = product_error(c[at], count, chunk, one_a, one_b, UNIT_F32, 1);
                worst = ratio > worst ? ratio : worst;
            }
        }
        print_message("# %s f32: products reach %.3f of their bound\n", kernel->name, worst);
        assert_true(worst <= 1 && worst > 0);
    }
}

/* The additions that a product goes through, counted one by one. */
static void weights_count_the_additions(void **state)
{
    (void)state;
    for (size_t count = 1; count < 200; count++)
        for (size_t k = 0; k < count; k++) {
            size_t chunk = chunks[(count + k) % 4], additions = 0;

            for (size_t j = k; j < count && j / chunk == k / chunk; j++)
                additions++;
            for (size_t start = chunk; start < count; start += chunk)
                additions += start / chunk >= k / chunk;
            assert_int_equal(vdit_kernel_weight(k, count, chunk), additions);
        }
}

static void panels_fit_into_tiles(void **state)
{
    const vdit_kernel_f64 *wide, *last = NULL;
    const vdit_kernel_f32 *narrow;

    (void)state;
    for (size_t i = 0; (wide = vdit_kernel_f64_at(i)) != NULL; i++) {
        assert_true(wide->mr <= VDIT_KERNEL_MR_MAX && wide->nr <= VDIT_KERNEL_NR_MAX);
        last = wide;
    }
    assert_non_null(last);
    assert_string_equal(last->name, "portable");
    for (size_t i = 0; (narrow = vdit_kernel_f32_at(i)) != NULL; i++)
        assert_true(narrow->mr <= VDIT_KERNEL_MR_MAX && narrow->nr <= VDIT_KERNEL_NR_MAX);
}

static void tiles_are_added_element_by_element(void **state)
{
    double x[VDIT_KERNEL_TILE_MAX], sum[VDIT_KERNEL_TILE_MAX], before[VDIT_KERNEL_TILE_MAX];
    oracle_random random = oracle_random_start("tiles_are_added_element_by_element");
    const vdit_kernel_f64 *kernel;

    (void)state;
    for (size_t i = 0; (kernel = vdit_kernel_f64_at(i)) != NULL; i++) {
        for (size_t n = 0; n < VDIT_KERNEL_TILE_MAX; n++) {
            x[n] = oracle_number(&random, 53, -3, 3);
            before[n] = sum[n] = oracle_number(&random, 53, -3, 3);
        }
        kernel->add(x, sum);
        for (size_t n = 0; n < VDIT_KERNEL_TILE_MAX; n++)
            assert_true(sum[n] == (n < kernel->mr * kernel->nr ? before[n] + x[n] : before[n]));
    }
}

/* |computed - (x scale + add)| within a unit of the product and one of the sum. */
static int scaled_is_close(double computed, double x, double scale, double add)
{
    double error, bound = UNIT_F64 * (fabs(x * scale) + fabs(computed));
    mpfr_t real;

    mpfr_init2(real, 240);
    mpfr_set_d(real, x, MPFR_RNDN);
    mpfr_mul_d(real, real, scale, MPFR_RNDN);
    mpfr_add_d(real, real, add, MPFR_RNDN);
    mpfr_sub_d(real, real, computed, MPFR_RNDN);
    error = fabs(mpfr_get_d(real, MPFR_RNDA));
    mpfr_clear(real);
    return error <= bound * SECOND;
}

/* Scale and mask err by a unit of the product and one of the sum; the maximum is exact. */
static void scaling_keeps_its_bound_and_the_maximum(void **state)
{
    static double x[KEYS * VDIT_KERNEL_NR_MAX], mask[KEYS * VDIT_KERNEL_NR_MAX];
    static double before[KEYS * VDIT_KERNEL_NR_MAX], top[VDIT_KERNEL_NR_MAX];
    oracle_random random = oracle_random_start("scaling_keeps_its_bound_and_the_maximum");
    const vdit_kernel_f64 *kernel;

    (void)state;
    for (size_t i = 0; (kernel = vdit_kernel_f64_at(i)) != NULL; i++)
        for (int masked = 0; masked < 2; masked++) {
            size_t nr = kernel->nr;
            double scale = oracle_number(&random, 53, -3, 3);

            for (size_t n = 0; n < KEYS * nr; n++) {
                before[n] = x[n] = oracle_number(&random, 53, -5, 5);
                mask[n] = oracle_int(&random, 0, 3) ? oracle_number(&random, 53, -5, 5) : -INFINITY;
            }
            for (size_t lane = 0; lane < nr; lane++)
                top[lane] = lane % 3 ? -0x1p1000 : 1000;
            kernel->scale_max(KEYS, scale, masked ? mask : NULL, x, top);
            for (size_t lane = 0; lane < nr; lane++) {
                double most = lane % 3 ? -0x1p1000 : 1000;

                for (size_t j = 0; j < KEYS; j++) {
                    double found = x[j * nr + lane], add = masked ? mask[j * nr + lane] : 0;

                    most = found > most ? found : most;
                    assert_true(add == -INFINITY
                                    ? found == -INFINITY
                                    : scaled_is_close(found, before[j * nr + lane], scale, add));
                }
                assert_true(top[lane] == most);
            }
        }
}

/* |computed / 2^y - 1| in units. */
static double exp2_error(double computed, double y, double unit)
{
    double error;
    mpfr_t real;

    mpfr_init2(real, 120);
    mpfr_set_d(real, y, MPFR_RNDN);
    mpfr_exp2(real, real, MPFR_RNDN);
    mpfr_d_div(real, computed, real, MPFR_RNDN);
    mpfr_sub_ui(real, real, 1, MPFR_RNDN);
    error = fabs(mpfr_get_d(real, MPFR_RNDU)) / unit;
    mpfr_clear(real);
    return error;
}

/* Whether sum and square are those of x[KEYS], stride apart, each rounded at most KEYS + 1 times. */
static int sums_are_close(const double *x, size_t stride, double sum, double square)
{
    int close;
    mpfr_t total, squares, term;

    mpfr_inits2(BITS, total, squares, term, (mpfr_ptr)0);
    mpfr_set_zero(total, 1);
    mpfr_set_zero(squares, 1);
    for (size_t j = 0; j < KEYS; j++) {
        mpfr_set_d(term, x[j * stride], MPFR_RNDN);
        mpfr_add(total, total, term, MPFR_RNDN);
        mpfr_sqr(term, term, MPFR_RNDN);
        mpfr_add(squares, squares, term, MPFR_RNDN);
    }
    mpfr_sub_d(total, total, sum, MPFR_RNDN);
    mpfr_sub_d(squares, squares, square, MPFR_RNDN);
    close = mpfr_cmp_d(total, 1.01 * KEYS * UNIT_F64 * sum) <= 0 &&
            mpfr_cmp_d(total, -1.01 * KEYS * UNIT_F64 * sum) >= 0 &&
            fabs(mpfr_get_d(squares, MPFR_RNDA)) <= /* squares may be subnormal */
                1.01 * (KEYS + 1) * UNIT_F64 * square + KEYS * 0x1p-1074;
    mpfr_clears(total, squares, term, (mpfr_ptr)0);
    return close;
}

/* The n-th argument: every power range, halves of integers, both sides of the floor. */
static double exponent_at(oracle_random *random, size_t n, double zero, double most)
{
    switch (n % 6) {
    case 0:
        return zero + ldexp(oracle_int(random, -40, 40), -30);
    case 1:
        return oracle_int(random, (int)zero, (int)most) + 0.5;
    case 2:
        return oracle_number(random, 53, -40, 0);
    case 3:
        return oracle_int(random, -8, (int)most) + oracle_number(random, 30, -30, -2);
    case 4:
        return zero * (double)n / 100000;
    default:
        return -fabs(oracle_number(random, 53, -2, 9));
    }
}

static void powers_of_two_are_within_their_bound(void **state)
{
    static double x[KEYS * VDIT_KERNEL_NR_MAX], before[KEYS * VDIT_KERNEL_NR_MAX];
    oracle_random random = oracle_random_start("powers_of_two_are_within_their_bound");
    const vdit_kernel_f64 *kernel;

    (void)state;
    for (size_t i = 0; (kernel = vdit_kernel_f64_at(i)) != NULL; i++) {
        double worst = 0;

        for (size_t round = 0; round < 8; round++) {
            double top[VDIT_KERNEL_NR_MAX], sum[VDIT_KERNEL_NR_MAX] = {0};
            double square[VDIT_KERNEL_NR_MAX] = {0};
            size_t nr = kernel->nr;

            for (size_t lane = 0; lane < nr; lane++)
                top[lane] = round ? oracle_int(&random, -2000, 2000) : -0x1p1000;
            for (size_t n = 0; n < KEYS * nr; n++) {
                before[n] = top[n % nr] + exponent_at(&random, n + n / nr + round, -1010, 30);
                x[n] = before[n] = round ? before[n] : -INFINITY;
            }
            kernel->exp2_sum(KEYS, top, x, sum, square);
            for (size_t lane = 0; lane < nr; lane++) {
                for (size_t j = 0; j < KEYS; j++) {
                    double y = before[j * nr + lane] - top[lane], found = x[j * nr + lane];

                    assert_true((y <= -1010) == (found == 0));
                    if (y > -1010)
                        worst = fmax(worst, exp2_error(found, y, UNIT_F64));
                }
                assert_true(sums_are_close(x + lane, nr, sum[lane], square[lane]));
            }
        }
        print_message("# %s f64: 2^x errs by %.3f units\n", kernel->name, worst);
        assert_true(worst <= VDIT_KERNEL_EXP2_UNITS && worst > 0.4);
    }
}

static void powers_of_two_in_binary32_are_within_their_bound(void **state)
{
    static float x[KEYS * VDIT_KERNEL_NR_MAX], before[KEYS * VDIT_KERNEL_NR_MAX];
    oracle_random random = oracle_random_start("powers_of_two_in_binary32_are_within_their_bound");
    const vdit_kernel_f32 *kernel;

    (void)state;
    for (size_t i = 0; (kernel = vdit_kernel_f32_at(i)) != NULL; i++) {
        double worst = 0;

        for (size_t round = 0; round < 8; round++) {
            float top[VDIT_KERNEL_NR_MAX], sum[VDIT_KERNEL_NR_MAX] = {0};
            float square[VDIT_KERNEL_NR_MAX] = {0};
            size_t nr = kernel->nr;

            for (size_t lane = 0; lane < nr; lane++)
                top[lane] = (float)oracle_int(&random, -50, 50);
            for (size_t n = 0; n < KEYS * nr; n++)
                x[n] = before[n] =
                    (float)(top[n % nr] + exponent_at(&random, n + n / nr + round, -120, 8));
            kernel->exp2_sum(KEYS, top, x, sum, square);
            for (size_t lane = 0; lane < nr; lane++) {
                double total = 0;

                for (size_t j = 0; j < KEYS; j++) {
                    float y = before[j * nr + lane] - top[lane], found = x[j * nr + lane];

                    total += found;
                    assert_true((y <= -120) == (found == 0));
                    if (y > -120)
                        worst = fmax(worst, exp2_error(found, y, UNIT_F32));
                }
                assert_true(fabs(sum[lane] - total) <= KEYS * UNIT_F32 * total);
            }
        }
        print_message("# %s f32: 2^x errs by %.3f units\n", kernel->name, worst);
        assert_true(worst <= VDIT_KERNEL_EXP2_UNITS && worst > 0.4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_within_their_bound),
        cmocka_unit_test(products_in_binary32_are_within_their_bound),
        cmocka_unit_test(weights_count_the_additions),
        cmocka_unit_test(panels_fit_into_tiles),
        cmocka_unit_test(tiles_are_added_element_by_element),
        cmocka_unit_test(scaling_keeps_its_bound_and_the_maximum),
        cmocka_unit_test(powers_of_two_are_within_their_bound),
        cmocka_unit_test(powers_of_two_in_binary32_are_within_their_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
