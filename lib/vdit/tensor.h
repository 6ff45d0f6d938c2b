/*
 * vdit/tensor.h - element types and tensors.
 *
 * A tensor is a description: type, shape, strides, address. It owns nothing; the memory belongs to a
 * run, to an open file, or to the caller. Strides count elements, not bytes, and may be 0 or negative.
 */
#ifndef VDIT_TENSOR_H
#define VDIT_TENSOR_H

#include <vdit/run.h>

#define VDIT_MAX_RANK 8

typedef enum vdit_dtype {
    VDIT_F64,
    VDIT_F32,
    VDIT_BF16,
    VDIT_F16,
    VDIT_I64,
    VDIT_I32,
    VDIT_U8,
    VDIT_BOOL /* one byte, 0 or 1 */
} vdit_dtype;

#define VDIT_DTYPE_COUNT 8

typedef struct vdit_tensor {
    vdit_dtype dtype;
    int rank;
    size_t shape[VDIT_MAX_RANK];
    ptrdiff_t stride[VDIT_MAX_RANK];
    void *data;
} vdit_tensor;

/* Returns: bytes of one element. */
VDIT_API size_t vdit_dtype_size(vdit_dtype dtype);

/* Returns: "f64", "f32", "bf16", "f16", "i64", "i32", "u8" or "bool". */
VDIT_API const char *vdit_dtype_name(vdit_dtype dtype);

/* Out: dtype. In: a name as above. Returns: 1 if known, else 0 with dtype untouched. */
VDIT_API int vdit_dtype_find(vdit_dtype *dtype, const char *name);

/* Returns: 1 for f64, f32, bf16 and f16. */
VDIT_API int vdit_dtype_is_float(vdit_dtype dtype);

/*
 * A dense row-major tensor in the run's memory, not cleared.
 * Out: t. In: rank in 0..VDIT_MAX_RANK, shape[rank]; extents may be 0.
 * Returns: VDIT_OK, VDIT_ERR_LIMIT if the size overflows, VDIT_ERR_MEMORY.
 */
VDIT_API vdit_status vdit_tensor_new(vdit_run *run, vdit_tensor *t, vdit_dtype dtype, int rank,
                                     const size_t *shape);

/* Returns: a dense row-major description of memory that the caller owns. */
VDIT_API vdit_tensor vdit_tensor_view(void *data, vdit_dtype dtype, int rank, const size_t *shape);

/* Returns: the tensor with its axes reordered: axis i of the result is axis order[i] of t. */
VDIT_API vdit_tensor vdit_tensor_permute(const vdit_tensor *t, const int *order);

/* Returns: the number of elements, 1 for rank 0. The shape's product must fit size_t. */
VDIT_API size_t vdit_tensor_count(const vdit_tensor *t);

/* Returns: 1 if the elements lie densely in row-major order. */
VDIT_API int vdit_tensor_is_dense(const vdit_tensor *t);

/* Returns: the address of the element at index[rank]. */
VDIT_API void *vdit_tensor_at(const vdit_tensor *t, const size_t *index);

/*
 * Copies elements in row-major order into dense memory of the same type.
 * Out: out, vdit_tensor_count(t) elements. In: t.
 */
VDIT_API void vdit_tensor_pack(void *out, const vdit_tensor *t);

/* Writes "[2, 3, 4]" into text, cut to size bytes with its final NUL. Returns: text. */
VDIT_API char *vdit_tensor_shape_text(char *text, size_t size, const vdit_tensor *t);

/*
 * Out: out[n] in binary64, exactly. In: n elements of a float, integer or bool type that start at in,
 * stride elements apart. i64 beyond 2^53 rounds to nearest.
 */
VDIT_API void vdit_load_f64(double *out, size_t n, const void *in, ptrdiff_t stride,
                            vdit_dtype dtype);

/*
 * Out: one element at out, the f64 value rounded once to nearest-even (subnormals kept, overflow to
 * infinity, NaN to the canonical quiet NaN). In: value, dtype (a float type).
 */
VDIT_API void vdit_store_f64(void *out, vdit_dtype dtype, double value);

/* Returns: value rounded once to nearest-even in dtype (a float type), as binary64. */
VDIT_API double vdit_round_f64(vdit_dtype dtype, double value);

#endif
