/*
 * npy.h - the header of an npy array: magic, version, a length, and a Python dictionary such as
 * {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }. The data follows.
 */
#ifndef VDIT_FILE_NPY_H
#define VDIT_FILE_NPY_H

#include <vdit/tensor.h>

/* How many bytes of a file tell where its header ends. */
#define VDIT_NPY_PROBE 12

/* The longest header that is read: what we can use needs some hundred bytes. */
#define VDIT_NPY_LIMIT ((size_t)1 << 20)

/* The longest header that is written: eight axes of twenty digits, and padding. */
#define VDIT_NPY_HEADER 512

typedef struct vdit_npy {
    vdit_tensor tensor; /* dtype, shape, and strides by the order; no data yet */
    size_t bytes;       /* of the data */
    int big_endian;
} vdit_npy;

/*
 * Out: size, offset of the data. In: probe, the first VDIT_NPY_PROBE bytes or, at the end of a file,
 * fewer; path and name for messages. Returns: VDIT_OK, VDIT_ERR_FORMAT, VDIT_ERR_LIMIT.
 */
vdit_status vdit_npy_header_size(vdit_run *run, size_t *size, const char *path, const char *name,
                                 const unsigned char *probe, size_t probe_size);

/*
 * Out: npy. In: header[size], size as told by vdit_npy_header_size.
 * Returns: VDIT_OK, VDIT_ERR_FORMAT, VDIT_ERR_DTYPE, VDIT_ERR_LIMIT.
 */
vdit_status vdit_npy_parse(vdit_run *run, vdit_npy *npy, const char *path, const char *name,
                           const unsigned char *header, size_t size);

/*
 * Out: header, version 1.0 for a little-endian array in C order, and its size.
 * Returns: VDIT_OK, or VDIT_ERR_DTYPE for bf16, which npy does not have.
 */
vdit_status vdit_npy_build(vdit_run *run, unsigned char header[VDIT_NPY_HEADER], size_t *size,
                           const char *path, const char *name, const vdit_tensor *tensor);

#endif
