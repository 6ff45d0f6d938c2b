/*
 * vdit/file.h - tensors in files: safetensors (with shards), npy, npz.
 *
 * Files come from strangers: every size, offset and name is checked before it is used, and a message
 * names the file, the tensor and the offset. Writers write beside the target and rename at the end, so
 * a failure leaves nothing partial and an existing file as it was.
 */
#ifndef VDIT_FILE_H
#define VDIT_FILE_H

#include <vdit/tensor.h>

typedef struct vdit_file vdit_file;

/* A tensor under a name, for the writers. */
typedef struct vdit_named {
    const char *name;
    vdit_tensor tensor; /* any strides */
} vdit_named;

/* A pair of metadata strings. */
typedef struct vdit_meta {
    const char *key;
    const char *value;
} vdit_meta;

/*
 * Opens a safetensors file (mapped, not read), a "*.safetensors.index.json" with its shards, an npy file
 * (its one tensor is named "") or an npz archive, told apart by content. Tensors are read only. Where
 * alignment and byte order allow it they lie in the mapping, so the file must not change while open.
 * Out: file. In: path. Returns: VDIT_OK, VDIT_ERR_IO, VDIT_ERR_FORMAT, VDIT_ERR_LIMIT, ...
 */
VDIT_API vdit_status vdit_file_open(vdit_run *run, vdit_file **file, const char *path);

/*
 * Closes it: its tensors are gone. A file belongs to itself, not to a run or a scope: it may be closed
 * before or after the run that opened it is freed. file may be NULL.
 */
VDIT_API void vdit_file_close(vdit_file *file);

/* Returns: the number of tensors, and for i below it the i-th name and tensor, in the data's order. */
VDIT_API size_t vdit_file_count(const vdit_file *file);
VDIT_API const char *vdit_file_name(const vdit_file *file, size_t i);
VDIT_API const vdit_tensor *vdit_file_tensor(const vdit_file *file, size_t i);

/* Returns: the tensor of that name, or NULL. */
VDIT_API const vdit_tensor *vdit_file_find(const vdit_file *file, const char *name);

/* Returns: the metadata string of that key (safetensors), or NULL. */
VDIT_API const char *vdit_file_meta(const vdit_file *file, const char *key);

/*
 * Opens "FILE" or "FILE:NAME" and picks a tensor: the named one, or the only one.
 * Out: file (to be closed by the caller), tensor (valid until then). In: spec.
 * Returns: VDIT_OK, or an error that lists what the file holds.
 */
VDIT_API vdit_status vdit_file_pick(vdit_run *run, vdit_file **file, vdit_tensor *tensor,
                                    const char *spec);

/* Writes a safetensors file; tensors keep their order; bytes are a function of the arguments alone. */
VDIT_API vdit_status vdit_safetensors_write(vdit_run *run, const char *path,
                                            const vdit_named *tensors, size_t count,
                                            const vdit_meta *meta, size_t meta_count);

/* Writes one tensor as npy (version 1.0). bf16 has no npy type: VDIT_ERR_DTYPE. */
VDIT_API vdit_status vdit_npy_write(vdit_run *run, const char *path, const vdit_tensor *tensor);

/* Writes an npz archive, deflated if deflate is not 0. */
VDIT_API vdit_status vdit_npz_write(vdit_run *run, const char *path, const vdit_named *tensors,
                                    size_t count, int deflate);

/* Writes by the suffix of path: .safetensors, .npy (count must be 1), .npz. "-" is refused. */
VDIT_API vdit_status vdit_file_write(vdit_run *run, const char *path, const vdit_named *tensors,
                                     size_t count);

/*
 * Writes an image as PNG. In: image, dense u8, [H,W] grey or [H,W,3] sRGB; texts[count], Latin-1, keywords of at most 79
 * characters. Returns: VDIT_OK or the failure; VDIT_ERR_UNSUPPORTED in a build without libpng.
 */
VDIT_API vdit_status vdit_png_write(vdit_run *run, const char *path, const vdit_tensor *image,
                                    const vdit_meta *texts, size_t count);

/* How numbers >= 0 become colours, from white for little to black for much. */
typedef enum vdit_shading {
    VDIT_SHADE_LINEAR, /* from 0 to the largest */
    VDIT_SHADE_LOG,    /* the logarithm, over so many decades (a whole number) below the largest */
    VDIT_SHADE_CLIP,   /* from 0 to the number at place floor(parameter count) of the sorted ones */
    VDIT_SHADE_THRESHOLD /* black above the parameter, white elsewhere */
} vdit_shading;

/*
 * Out: image, u8 [H,W,3] in the run's memory; NaN is blue; range: what white and black stand for. In: values, dense f32 [H,W].
 * The same bits on every machine. Returns: VDIT_OK or the failure.
 */
VDIT_API vdit_status vdit_shade(vdit_run *run, vdit_tensor *image, const vdit_tensor *values,
                                vdit_shading scale, double parameter, double range[2]);

/* Writes size bytes atomically. */
VDIT_API vdit_status vdit_bytes_write(vdit_run *run, const char *path, const void *bytes,
                                      size_t size);

#endif
