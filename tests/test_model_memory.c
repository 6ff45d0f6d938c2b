/* test_model_memory.c - a network's memory is that of one block, however many there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "denoiser.h"

/* Returns: the peak memory of a call to a tiny network with these settings. */
static double bytes_of(const char *family, const char *const *settings)
{
    vdit_model_survey survey;
    double bytes;
    denoiser d;

    denoiser_open(&d, family, settings, (vdit_extents){1, 2, 32, 32, 8});
    vdit_model_survey_of(d.run, d.model, &d.extents, VDIT_F32, &survey);
    bytes = survey.bytes;
    denoiser_close(&d);
    return bytes;
}

static void memory_does_not_grow_with_the_number_of_blocks(void **state)
{
    static const char *const families[] = {"wan", "mochi", "cogvideox", "hunyuan"};
    static const char *const few[] = {"num_layers=3", NULL}, *const many[] = {"num_layers=9", NULL};

    (void)state;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        assert_true(bytes_of(families[i], few) == bytes_of(families[i], many));
}

static void memory_does_not_grow_with_the_number_of_single_blocks(void **state)
{
    static const char *const few[] = {"num_single_layers=3", NULL};
    static const char *const many[] = {"num_single_layers=9", NULL};

    (void)state;
    assert_true(bytes_of("hunyuan", few) == bytes_of("hunyuan", many));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_does_not_grow_with_the_number_of_blocks),
        cmocka_unit_test(memory_does_not_grow_with_the_number_of_single_blocks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
