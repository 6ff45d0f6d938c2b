/* png.c - writes PNG images, through libpng where the build has it. */
#include "config.h"
#ifdef HAVE_LIBPNG
#include <png.h>
#endif
#include <setjmp.h>
#include <string.h>
#include <vdit/file.h>
#include "file/writer.h"

static vdit_status check_image(vdit_run *run, const char *path, const vdit_tensor *image)
{
    char shape[128];

    if (vdit_run_status(run) == VDIT_OK &&
        (image->dtype != VDIT_U8 || (image->rank != 2 && image->rank != 3) ||
         (image->rank == 3 && image->shape[2] != 3) || !vdit_tensor_is_dense(image) ||
         image->shape[0] < 1 || image->shape[1] < 1 || image->shape[0] > 0x7fffffff ||
         image->shape[1] > 0x7fffffff))
        vdit_run_fail(
            run, VDIT_ERR_SHAPE, "%s: an image of %s %s, expected dense u8 [H,W] or [H,W,3]", path,
            vdit_dtype_name(image->dtype), vdit_tensor_shape_text(shape, sizeof shape, image));
    return vdit_run_status(run);
}

#ifdef HAVE_LIBPNG
/* What libpng calls back with. */
typedef struct sink {
    vdit_writer writer;
    jmp_buf back;
} sink;

static void put_bytes(png_structp png, png_bytep bytes, size_t size)
{
    sink *to = png_get_io_ptr(png);

    if (vdit_writer_bytes(&to->writer, bytes, size) != VDIT_OK)
        longjmp(to->back, 1);
}

static void put_nothing(png_structp png)
{
    (void)png;
}

static void fail(png_structp png, png_const_charp text)
{
    sink *to = png_get_error_ptr(png);

    vdit_run_fail(to->writer.run, VDIT_ERR_IO, "%s: libpng: %s", to->writer.path, text);
    longjmp(to->back, 1);
}

static void ignore(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

/* Writes all chunks. A failure comes back through fail. */
static void write_chunks(png_structp png, png_infop info, const vdit_tensor *image,
                         const vdit_meta *texts, size_t count)
{
    size_t width = image->shape[1] * (image->rank == 3 ? 3 : 1);
    const unsigned char *pixels = image->data;

    png_set_IHDR(png, info, (png_uint_32)image->shape[1], (png_uint_32)image->shape[0], 8,
                 image->rank == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_user_limits(png, 0x7fffffff, 0x7fffffff);
    for (size_t i = 0; i < count; i++) {
        png_text text;

        memset(&text, 0, sizeof text);
        text.compression = PNG_TEXT_COMPRESSION_NONE;
        text.key = (png_charp)texts[i].key;
        text.text = (png_charp)texts[i].value;
        png_set_text(png, info, &text, 1);
    }
    png_write_info(png, info);
    for (size_t y = 0; y < image->shape[0]; y++)
        png_write_row(png, (png_const_bytep)(pixels + y * width));
    png_write_end(png, NULL);
}

vdit_status vdit_png_write(vdit_run *run, const char *path, const vdit_tensor *image,
                           const vdit_meta *texts, size_t count)
{
    png_structp png;
    png_infop info;
    sink to;

    if (check_image(run, path, image) != VDIT_OK)
        return vdit_run_status(run);
    png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &to, fail, ignore);
    info = png != NULL ? png_create_info_struct(png) : NULL;
    if (vdit_writer_open(run, &to.writer, path) == VDIT_OK && info == NULL)
        vdit_run_fail(run, VDIT_ERR_MEMORY, "%s: libpng has no memory", path);
    if (vdit_run_status(run) == VDIT_OK && setjmp(to.back) == 0) {
        png_set_write_fn(png, &to, put_bytes, put_nothing);
        write_chunks(png, info, image, texts, count);
    }
    png_destroy_write_struct(&png, &info);
    return vdit_writer_close(&to.writer);
}
#else
vdit_status vdit_png_write(vdit_run *run, const char *path, const vdit_tensor *image,
                           const vdit_meta *texts, size_t count)
{
    (void)texts;
    (void)count;
    if (check_image(run, path, image) != VDIT_OK)
        return vdit_run_status(run);
    return vdit_run_fail(run, VDIT_ERR_UNSUPPORTED, "%s: this build is without libpng", path);
}
#endif
