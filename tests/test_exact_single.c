/* test_exact_single.c - binary32 rows: every short code, and the rounding back, against the library's f64 ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "exact/single.h"

#define CODES 65536

static void every_short_code_widens_exactly(void **state)
{
    uint16_t *code = test_malloc(CODES * sizeof *code);
    float *value = test_malloc(CODES * sizeof *value);
    double *expected = test_malloc(CODES * sizeof *expected);

    (void)state;
    for (uint32_t i = 0; i < CODES; i++)
        code[i] = (uint16_t)i;
    for (int is_f16 = 0; is_f16 < 2; is_f16++) {
        vdit_dtype dtype = is_f16 ? VDIT_F16 : VDIT_BF16;
        vdit_load_f32(value, CODES, code, 1, dtype);
        vdit_load_f64(expected, CODES, code, 1, dtype);
        for (size_t i = 0; i < CODES; i++)
            assert_true(value[i] == expected[i] ||
                        (value[i] != value[i] && expected[i] != expected[i]));
    }
    test_free(expected);
    test_free(value);
    test_free(code);
}

/* Around each short code: its two neighbours in binary32, the midpoint to the next, and the midpoint's neighbours. */
static void codes_and_midpoints_round_to_nearest_even(void **state)
{
    static const vdit_dtype dtypes[] = {VDIT_BF16, VDIT_F16};

    (void)state;
    for (size_t d = 0; d < 2; d++)
        for (uint32_t high = 0; high < CODES; high++) {
            float value[6];
            uint32_t ours[6] = {0};
            size_t size = vdit_dtype_size(dtypes[d]);

            for (uint32_t i = 0; i < 6; i++) { /* midpoints of bf16, then of f16 in steps of 2^13 */
                static const uint32_t low[] = {0, 1, 0x7fff, 0x8000, 0x1000, 0xd001};
                uint32_t bits = high << 16 | low[i];
                memcpy(&value[i], &bits, sizeof bits);
            }
            vdit_store_f32(ours, 1, dtypes[d], value, 6);
            for (size_t i = 0; i < 6; i++) {
                uint32_t expected = 0, found = 0;
                vdit_store_f64(&expected, dtypes[d], value[i]);
                memcpy(&found, (char *)ours + i * size, size);
                assert_int_equal(found, expected);
            }
        }
}

/* Neighbours that are not elements stay as they are. */
static void steps_are_kept_in_both_directions(void **state)
{
    float in[700], out[700];
    uint16_t code[1400];

    (void)state;
    for (int i = 0; i < 700; i++)
        in[i] = (float)i;
    memset(code, 0x55, sizeof code);
    vdit_store_f32(code + 1398, -2, VDIT_F16, in, 700);
    for (int i = 0; i < 700; i++)
        assert_int_equal(code[2 * i + 1], 0x5555);
    vdit_load_f32(out, 700, code + 1398, -2, VDIT_F16);
    assert_memory_equal(in, out, sizeof in);
    vdit_load_f32(out, 350, in + 1, 2, VDIT_F32);
    for (int i = 0; i < 350; i++)
        assert_true(out[i] == in[2 * i + 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_short_code_widens_exactly),
        cmocka_unit_test(codes_and_midpoints_round_to_nearest_even),
        cmocka_unit_test(steps_are_kept_in_both_directions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
