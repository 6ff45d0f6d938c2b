/* test_op_norm.c - layer, RMS and group norm against the definition in MPFR. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <vdit/op.h>
#include "norm_oracle.h"

static const vdit_dtype dtypes[] = {VDIT_F32, VDIT_BF16, VDIT_F16};
static const vdit_dtype all_f32[] = {VDIT_F32, VDIT_F32, VDIT_F32, VDIT_F32};

static void call_and_check(vdit_run *run, norm_scene *s)
{
    assert_int_equal(norm_call(run, s), VDIT_OK);
    assert_int_equal(norm_count_wrong(s), 0);
}

static void each_element_is_the_real_result_rounded_once(void **state)
{
    oracle_random random = oracle_random_start("each_element_is_the_real_result_rounded_once");
    static const double eps[] = {1e-6, 0, 1e-5, 0x1p-1074, 1e300};
    const size_t rows[] = {3, 20}, cube[] = {2, 6, 3, 5};

    (void)state;
    for (int kind = 0; kind < 3; kind++)
        for (int mix = 0; mix < 81; mix++)
            for (int family = 0; family < OPERAND_FAMILIES; family++) {
                vdit_dtype dtype[] = {dtypes[mix % 3], dtypes[mix / 3 % 3], dtypes[mix / 9 % 3],
                                      dtypes[mix / 27]};
                norm_scene s = {.centred = kind != 1, .groups = kind == 2 ? 3 : 0};
                vdit_run *run = vdit_run_new();

                s.eps = eps[(mix + family) % 5];
                s.with_w = mix % 2;
                s.with_b = kind != 1 && mix / 2 % 2;
                norm_make(run, &s, &random, kind == 2 ? 4 : 2, kind == 2 ? cube : rows,
                          kind == 2 ? 6 : 20, dtype, (operand_family)family);
                call_and_check(run, &s);
                vdit_run_free(run);
            }
}

static void shapes_up_to_three_are_right(void **state)
{
    oracle_random random = oracle_random_start("shapes_up_to_three_are_right");

    (void)state;
    for (int kind = 0; kind < 3; kind++)
        for (size_t i = 0; i < 256; i++) {
            size_t shape[] = {i % 4, i / 4 % 4, i / 16 % 4, i / 64 % 4};
            int least = kind == 2 ? 2 : 1;

            for (int rank = least; rank <= 4; rank++) {
                norm_scene s = {
                    .centred = kind != 1, .eps = 1e-6, .with_w = 1, .with_b = kind != 1};
                vdit_run *run = vdit_run_new();
                size_t d = shape[kind == 2 || rank < 1 ? 1 : rank - 1];

                s.groups = kind < 2 ? 0 : d == 0 || i % 2 ? 1 : d;
                norm_make(run, &s, &random, rank, shape, d, all_f32, OPERAND_NORMAL);
                call_and_check(run, &s);
                vdit_run_free(run);
            }
        }
}

/* Rows longer than a piece, more of them than a task; groups of several pieces. */
static void pieces_and_threads_join_without_a_seam(void **state)
{
    oracle_random random = oracle_random_start("pieces_and_threads_join_without_a_seam");
    static const size_t shapes[][3] = {{21, 1, 700}, {2, 12, 601}, {1, 2, 5003}};

    (void)state;
    for (int kind = 0; kind < 3; kind++)
        for (size_t i = 0; i < 3; i++) {
            norm_scene s = {.centred = kind != 1, .eps = 1e-6, .with_w = 1, .with_b = kind != 1};
            vdit_run *run = vdit_run_new();

            vdit_run_set_threads(run, 3);
            s.groups = kind < 2 ? 0 : shapes[i][1] > 2 ? 4 : 1;
            norm_make(run, &s, &random, 3, shapes[i], shapes[i][kind == 2 ? 1 : 2], all_f32,
                      OPERAND_NORMAL);
            call_and_check(run, &s);
            vdit_run_free(run);
        }
}

/* Fills the first row of x with one of the rows that are hard. */
static void set_row(norm_scene *s, int kind, size_t d, oracle_random *random)
{
    for (size_t i = 0; i < d; i++) {
        double x = oracle_normal(random, VDIT_F32), sign = i % 2 ? -1 : 1;

        switch (kind) {
        case 0: /* equal */
            x = 0x1.234568p3;
            break;
        case 1: /* far from 0: the mean's error counts */
            x = 4096 + x;
            break;
        case 2: /* an outlier */
            x = i == 3 ? 0x1p100 : x;
            break;
        case 3: /* equal but for one, by one unit */
            x = i == 3 ? 1 + 0x1p-23 : 1;
            break;
        case 4: /* subnormal */
            x = ldexp(oracle_int(random, -100, 100), -149);
            break;
        case 5: /* the mean is exactly 0 or x, for many */
            x = i % 4 < 2 ? 0 : sign;
            break;
        case 6: /* the largest numbers: their squares' sum */
            x = sign * 0x1.fffffep127;
            break;
        case 7: /* nearly equal large ones */
            x = 0x1p120 * (1 + (double)(i % 3) * 0x1p-23);
            break;
        default: /* zeros of both signs */
            x = sign * 0.0;
        }
        operand_set(&s->x, i, x);
    }
}

static void hard_rows_are_right(void **state)
{
    oracle_random random = oracle_random_start("hard_rows_are_right");
    static const double eps[] = {0, 1e-6, 0x1p-1000, 0x1.8p900};
    const size_t shape[] = {1, 40};

    (void)state;
    for (int kind = 0; kind < 9; kind++)
        for (int which = 0; which < 3; which++)
            for (int e = 0; e < 4; e++)
                for (int d = 0; d < 3; d++) {
                    const vdit_dtype dtype[] = {VDIT_F32, VDIT_F32, VDIT_BF16, dtypes[d]};
                    norm_scene s = {.centred = which != 1, .groups = which == 2, .eps = eps[e]};
                    vdit_run *run = vdit_run_new();

                    s.with_w = e % 2;
                    s.with_b = which != 1 && e > 1;
                    norm_make(run, &s, &random, 2, shape, 40, dtype, OPERAND_NORMAL);
                    set_row(&s, kind, 40, &random);
                    call_and_check(run, &s);
                    vdit_run_free(run);
                }
}

/*
 * With x = +-1 the root of s + eps is 1, 2 or 3 for eps = 0, 3 or 8, so y = +-w / root + b is a rational, and a
 * tie in bf16 or f16 for w of few bits more. What is 2^-80 to 2^-102 of it decides, or is below the snap rule.
 */
static void ties_go_to_even(void **state)
{
    oracle_random random = oracle_random_start("ties_go_to_even");
    const size_t shape[] = {1, 64};

    (void)state;
    for (int which = 0; which < 3; which++)
        for (int root = 1; root <= 3; root++)
            for (int d = 1; d < 3; d++) {
                const vdit_dtype dtype[] = {VDIT_F32, VDIT_F32, VDIT_F32, dtypes[d]};
                norm_scene s = {.centred = which != 1, .groups = which == 2, .with_w = 1};
                vdit_run *run = vdit_run_new();
                int bits = d == 1 ? 9 : 12; /* one more than the format has */

                s.eps = root * root - 1;
                s.with_b = which != 1;
                norm_make(run, &s, &random, 2, shape, 64, dtype, OPERAND_NORMAL);
                for (size_t i = 0; i < 64; i++) {
                    double tie = oracle_number(&random, bits, 0, 3), near = i % 3 ? 1 : 1 + 0x1p-20;
                    double little = ldexp(i % 2 ? -1 : 1, -80 - (int)(i % 23));

                    operand_set(&s.x, i, i / 2 % 2 ? -1 : 1);
                    operand_set(&s.w, i, root * (i % 5 == 2 ? little : tie * near));
                    operand_set(&s.b, i,
                                i % 5 == 0   ? little
                                : i % 5 == 1 ? -tie
                                : i % 5 == 2 ? tie
                                             : 0);
                }
                call_and_check(run, &s);
                vdit_run_free(run);
            }
}

/* A NaN or an infinity in x, w or b: the rows beside it stay as they are. */
static void special_values_follow_the_formula(void **state)
{
    oracle_random random = oracle_random_start("special_values_follow_the_formula");
    static const double values[] = {INFINITY, -INFINITY, NAN, 0, -0.0};
    const size_t shape[] = {3, 9};

    (void)state;
    for (int which = 0; which < 2; which++)
        for (int in_x = 0; in_x < 6; in_x++)
            for (int in_w = 0; in_w < 6; in_w++)
                for (int in_b = 0; in_b < 6; in_b++) {
                    norm_scene s = {.centred = !which, .eps = 1e-6, .with_w = 1, .with_b = !which};
                    vdit_run *run = vdit_run_new();

                    norm_make(run, &s, &random, 2, shape, 9, all_f32, OPERAND_INTEGERS);
                    if (in_x < 5) {
                        operand_set(&s.x, 9 + 4, values[in_x]);
                        operand_set(&s.x, 18 + 5, values[4 - in_x]);
                        operand_set(&s.x, 18 + 6, values[in_x]);
                    }
                    for (size_t i = 0; i < 9; i += 2) {
                        if (in_w < 5)
                            operand_set(&s.w, i, values[in_w]);
                        if (in_b < 5)
                            operand_set(&s.b, 8 - i, values[in_b]);
                    }
                    call_and_check(run, &s);
                    for (size_t i = 0; i < 9; i++) /* a row of equal ones is not its own NaN */
                        operand_set(&s.x, i, 3);
                    call_and_check(run, &s);
                    vdit_run_free(run);
                }
}

/* Permuted axes, rows backwards, one weight for all, an output with gaps. */
static void strides_do_not_matter(void **state)
{
    oracle_random random = oracle_random_start("strides_do_not_matter");
    static const int swap[] = {2, 0, 1};
    const size_t shape[] = {4, 6, 10}, gaps[] = {10, 4, 18};

    (void)state;
    for (int which = 0; which < 3; which++)
        for (int i = 0; i < 3; i++) {
            const vdit_dtype dtype[] = {dtypes[i], dtypes[i], dtypes[i], dtypes[i]};
            norm_scene s = {.centred = which != 1, .eps = 1e-5, .with_w = 1, .with_b = which != 1};
            vdit_run *run = vdit_run_new();

            norm_make(run, &s, &random, 3, shape, 12, dtype, OPERAND_NORMAL);
            operand_make(run, &s.y, dtypes[i], 3, gaps, OPERAND_NORMAL, &random);
            s.x = vdit_tensor_permute(&s.x, swap); /* [10, 4, 6] */
            s.groups = which == 2 ? 2 : 0;
            s.y.shape[2] = 6;
            s.y.stride[2] = 3;
            s.w.shape[0] = s.b.shape[0] = which == 2 ? 4 : 6;
            s.w.data = (char *)s.w.data + 11 * vdit_dtype_size(s.w.dtype);
            s.w.stride[0] = -2;
            s.b.stride[0] = 0;
            call_and_check(run, &s);
            vdit_run_free(run);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_element_is_the_real_result_rounded_once),
        cmocka_unit_test(shapes_up_to_three_are_right),
        cmocka_unit_test(pieces_and_threads_join_without_a_seam),
        cmocka_unit_test(hard_rows_are_right),
        cmocka_unit_test(ties_go_to_even),
        cmocka_unit_test(special_values_follow_the_formula),
        cmocka_unit_test(strides_do_not_matter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
