/*
 * 02_file.c - tensors to a safetensors file and back, and what a hostile file gives.
 *
 *     cc 02_file.c $(pkg-config --cflags --libs libvdit) -o 02_file && ./02_file
 */
#include <stdio.h>
#include <vdit/file.h>

/* Writes two tensors and a metadata string. */
static void write_file(vdit_run *run, const char *path)
{
    float weights[2][3] = {{1, 2, 3}, {4, 5, 6}};
    int64_t lengths[2] = {77, 12};
    const size_t weights_shape[] = {2, 3}, lengths_shape[] = {2};
    const int swapped[] = {1, 0};
    vdit_tensor rows = vdit_tensor_view(weights, VDIT_F32, 2, weights_shape);
    const vdit_named tensors[] = {
        {"weights.T", vdit_tensor_permute(&rows, swapped)}, /* strides are no matter */
        {"lengths", vdit_tensor_view(lengths, VDIT_I64, 1, lengths_shape)},
    };
    const vdit_meta meta[] = {{"made by", "02_file"}};

    vdit_safetensors_write(run, path, tensors, 2, meta, 1);
}

/* Prints what a file holds. */
static void list_file(vdit_run *run, const char *path)
{
    vdit_file *file;
    char shape[64];

    if (vdit_file_open(run, &file, path) != VDIT_OK)
        return;
    for (size_t i = 0; i < vdit_file_count(file); i++) {
        const vdit_tensor *t = vdit_file_tensor(file, i);
        printf("%s: %s %s\n", vdit_file_name(file, i), vdit_dtype_name(t->dtype),
               vdit_tensor_shape_text(shape, sizeof shape, t));
    }
    printf("made by %s\n", vdit_file_meta(file, "made by"));
    vdit_file_close(file);
}

int main(void)
{
    static const char hostile[] = "\x40\0\0\0\0\0\0\0{\"w\": and then nothing";
    const char *path = "02_file.safetensors";
    vdit_run *run = vdit_run_new();
    vdit_file *file;
    int failed;

    if (run == NULL)
        return 2;
    write_file(run, path);
    list_file(run, path);
    failed = vdit_run_status(run) != VDIT_OK;
    if (failed)
        fprintf(stderr, "%s\n", vdit_run_message(run));

    /* A broken file is a status and one line, never a crash. */
    vdit_bytes_write(run, path, hostile, sizeof hostile - 1);
    if (vdit_file_open(run, &file, path) != VDIT_OK)
        printf("%s: %s\n", vdit_status_name(vdit_run_status(run)), vdit_run_message(run));
    else
        failed = 1;
    remove(path);
    vdit_run_free(run);
    return failed;
}
