/* test_file_png.c - images that libpng reads back, and numbers as colours. */
#include "config.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#ifdef HAVE_LIBPNG
#include <png.h>
#endif
#include <vdit/file.h>

#define PATH "test_file_png.png"

static int make_run(void **state)
{
    *state = vdit_run_new();
    return *state == NULL;
}

static int free_run(void **state)
{
    vdit_run_free(*state);
    unlink(PATH);
    return 0;
}

static vdit_tensor make_image(vdit_run *run, int rank, size_t height, size_t width)
{
    const size_t shape[3] = {height, width, 3};
    vdit_tensor image;

    assert_int_equal(vdit_tensor_new(run, &image, VDIT_U8, rank, shape), VDIT_OK);
    for (size_t i = 0; i < vdit_tensor_count(&image); i++)
        ((unsigned char *)image.data)[i] = (unsigned char)(i * 37 + i / 7);
    return image;
}

#ifdef HAVE_LIBPNG
static void expect_pixels(const vdit_tensor *image, unsigned format)
{
    size_t size = vdit_tensor_count(image);
    unsigned char *pixels = malloc(size);
    png_image read;

    memset(&read, 0, sizeof read);
    read.version = PNG_IMAGE_VERSION;
    assert_non_null(pixels);
    assert_true(png_image_begin_read_from_file(&read, PATH));
    assert_int_equal(read.height, image->shape[0]);
    assert_int_equal(read.width, image->shape[1]);
    assert_int_equal(read.format, format);
    assert_true(png_image_finish_read(&read, NULL, pixels, 0, NULL));
    assert_memory_equal(pixels, image->data, size);
    free(pixels);
}

static void expect_text(const char *text)
{
    char bytes[4096];
    FILE *file = fopen(PATH, "rb");
    size_t size, length = strlen(text), found = 0;

    assert_non_null(file);
    size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    for (size_t i = 0; i + length <= size; i++)
        found += memcmp(bytes + i, text, length) == 0;
    assert_int_equal(found, 1);
}

static void images_come_back_as_they_were(void **state)
{
    static const vdit_meta text = {"Title", "what is seen"};
    vdit_tensor grey = make_image(*state, 2, 5, 31), colour = make_image(*state, 3, 17, 4);

    assert_int_equal(vdit_png_write(*state, PATH, &grey, &text, 1), VDIT_OK);
    expect_pixels(&grey, PNG_FORMAT_GRAY);
    expect_text("tEXtTitle");
    expect_text("what is seen");
    assert_int_equal(vdit_png_write(*state, PATH, &colour, NULL, 0), VDIT_OK);
    expect_pixels(&colour, PNG_FORMAT_RGB);
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    vdit_tensor image = make_image(*state, 2, 2, 2);

    assert_int_equal(vdit_png_write(*state, "no/such/folder.png", &image, NULL, 0), VDIT_ERR_IO);
    assert_non_null(strstr(vdit_run_message(*state), "no/such/folder.png"));
}

/* A device that takes nothing, where there is one: the failure comes out of the middle of libpng. */
static void a_full_device_is_an_error(void **state)
{
    vdit_tensor image = make_image(*state, 2, 2, 2);

    if (access("/dev/full", W_OK) != 0)
        skip();
    assert_int_equal(vdit_png_write(*state, "/dev/full", &image, NULL, 0), VDIT_ERR_IO);
    assert_non_null(strstr(vdit_run_message(*state), "/dev/full: cannot write"));
}
#else
static void without_libpng_images_are_refused(void **state)
{
    vdit_tensor image = make_image(*state, 2, 2, 2);

    assert_int_equal(vdit_png_write(*state, PATH, &image, NULL, 0), VDIT_ERR_UNSUPPORTED);
    assert_int_not_equal(access(PATH, F_OK), 0);
}
#endif

static void images_of_other_shapes_are_refused(void **state)
{
    vdit_tensor image = make_image(*state, 3, 2, 2);

    image.shape[2] = 4;
    assert_int_equal(vdit_png_write(*state, PATH, &image, NULL, 0), VDIT_ERR_SHAPE);
    vdit_run_clear(*state);
    image = make_image(*state, 2, 2, 2);
    image.dtype = VDIT_F32;
    assert_int_equal(vdit_png_write(*state, PATH, &image, NULL, 0), VDIT_ERR_SHAPE);
    assert_int_not_equal(access(PATH, F_OK), 0);
}

/* The pixel of value i of the shaded row. */
static const unsigned char *shade(vdit_run *run, const float *values, size_t count,
                                  vdit_shading scale, double parameter, double range[2])
{
    const size_t shape[2] = {1, count};
    vdit_tensor row = vdit_tensor_view((void *)values, VDIT_F32, 2, shape), image;

    assert_int_equal(vdit_shade(run, &image, &row, scale, parameter, range), VDIT_OK);
    assert_int_equal(image.rank, 3);
    return image.data;
}

/* Lightness as a printer in grey has it: the luminance of sRGB. */
static double grey(const unsigned char *pixel)
{
    double sum = 0;
    static const double share[3] = {0.2126, 0.7152, 0.0722};

    for (int i = 0; i < 3; i++)
        sum += share[i] * pow(pixel[i] / 255.0, 2.2);
    return sum;
}

static void colours_darken_with_every_level(void **state)
{
    float values[256];
    double range[2];
    const unsigned char *pixel;

    for (int i = 0; i < 256; i++)
        values[i] = (float)i;
    pixel = shade(*state, values, 256, VDIT_SHADE_LINEAR, 0, range);
    assert_true(range[0] == 0 && range[1] == 255);
    assert_int_equal(pixel[0], 252);
    assert_int_equal(pixel[3 * 255], 24);
    for (int i = 1; i < 256; i++)
        assert_true(grey(pixel + 3 * i) < grey(pixel + 3 * (i - 1)));
}

static void scales_are_what_they_say(void **state)
{
    static const float values[] = {0, 1e-6f, 0.001f, 0.03162277f, 1, NAN};
    static const unsigned char blue[3] = {0, 160, 220};
    double range[2];
    const unsigned char *pixel = shade(*state, values, 6, VDIT_SHADE_LOG, 3, range);

    assert_true(range[0] == 0.001 && range[1] == 1);
    assert_memory_equal(pixel, pixel + 3, 3); /* below the range */
    assert_memory_equal(pixel, pixel + 6, 3);
    assert_int_equal(pixel[9], 223); /* half of the decades: the point in the middle of the table */
    assert_int_equal(pixel[12], 24);
    assert_memory_equal(pixel + 15, blue, 3);
    pixel = shade(*state, values, 6, VDIT_SHADE_CLIP, 0.5, range);
    assert_true(range[1] == (double)0.001f); /* place 2 of 5 */
    assert_memory_equal(pixel + 6, pixel + 12, 3);
    pixel = shade(*state, values, 6, VDIT_SHADE_THRESHOLD, 0.001, range);
    assert_memory_equal(pixel, pixel + 3, 3);
    assert_int_equal(pixel[9], 24);
    assert_int_equal(pixel[6], (double)0.001f > 0.001 ? 24 : 252);
}

static void rows_of_nothing_are_white(void **state)
{
    static const float zeros[3] = {0, 0, 0};
    double range[2];
    static const vdit_shading all[] = {VDIT_SHADE_LINEAR, VDIT_SHADE_LOG, VDIT_SHADE_CLIP,
                                       VDIT_SHADE_THRESHOLD};

    for (int i = 0; i < 4; i++) {
        const unsigned char *pixel = shade(*state, zeros, 3, all[i], 1, range);
        assert_int_equal(pixel[0], 252);
        assert_int_equal(pixel[8], 252);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef HAVE_LIBPNG
        cmocka_unit_test_setup_teardown(images_come_back_as_they_were, make_run, free_run),
        cmocka_unit_test_setup_teardown(a_folder_that_is_not_there_is_an_error, make_run, free_run),
        cmocka_unit_test_setup_teardown(a_full_device_is_an_error, make_run, free_run),
#else
        cmocka_unit_test_setup_teardown(without_libpng_images_are_refused, make_run, free_run),
#endif
        cmocka_unit_test_setup_teardown(images_of_other_shapes_are_refused, make_run, free_run),
        cmocka_unit_test_setup_teardown(colours_darken_with_every_level, make_run, free_run),
        cmocka_unit_test_setup_teardown(scales_are_what_they_say, make_run, free_run),
        cmocka_unit_test_setup_teardown(rows_of_nothing_are_white, make_run, free_run),
    };

    return cmocka_run_group_tests_name("file_png", tests, NULL, NULL);
}
