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
    size_t next;                 /* number of the first element not yet taken */
    size_t index[VDIT_MAX_RANK]; /* and its index, where the tensor is not dense */
    unsigned char element[8];    /* the last one taken, which a read may have ended within */
    size_t left;                 /* of its bytes */
} vdit_dense;

/* Returns: the stream at its first byte. The tensor must stay. */
vdit_dense vdit_dense_start(const vdit_tensor *tensor);

/* Out: the next size bytes at out, fewer at the end. Returns: their number. */
size_t vdit_dense_read(vdit_dense *stream, void *out, size_t size);

/* Returns: 1 if elements of this size in that byte order are not in the machine's. */
int vdit_bytes_differ(size_t size, int big);

/*
 * Brings elements of the given size into the machine's byte order, in place.
 * In: whether they are big-endian; else they are little-endian.
 */
void vdit_bytes_to_host(void *bytes, size_t count, size_t size, int big);

#endif
