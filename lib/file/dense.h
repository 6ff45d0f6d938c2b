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

/* Returns: 1 if elements of this size in that byte order are not in the machine's. */
int vdit_bytes_differ(size_t size, int big);

/*
 * Brings elements of the given size into the machine's byte order, in place.
 * In: whether they are big-endian; else they are little-endian.
 */
void vdit_bytes_to_host(void *bytes, size_t count, size_t size, int big);

#endif
