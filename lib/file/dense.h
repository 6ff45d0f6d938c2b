/*
 * dense.h - a tensor as the bytes that files and checksums hold: row-major, dense, little-endian.
 */
#ifndef VDIT_FILE_DENSE_H
#define VDIT_FILE_DENSE_H

#include <vdit/tensor.h>

/* A stream over those bytes. */
typedef struct vdit_dense {
    const vdit_tensor *tensor;
    size_t size;                 /* bytes in all */
    size_t position;             /* of the next byte */
    size_t index[VDIT_MAX_RANK]; /* of the element that holds it */
} vdit_dense;

/* Returns: the stream at its first byte. The tensor must stay. */
vdit_dense vdit_dense_start(const vdit_tensor *tensor);

/* Out: up to size bytes at out. Returns: their number; less than size only at the end. */
size_t vdit_dense_read(vdit_dense *stream, void *out, size_t size);

/* Returns: 1 on a little-endian machine. */
int vdit_is_little_endian(void);

/* Reverses the bytes of each of the elements of the given size in bytes[count * size]. */
void vdit_bytes_swap(void *bytes, size_t count, size_t size);

#endif
