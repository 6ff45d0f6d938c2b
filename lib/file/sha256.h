/* sha256.h - SHA-256 (FIPS 180-4) of bytes and of tensors, in lower-case hexadecimal. */
#ifndef VDIT_FILE_SHA256_H
#define VDIT_FILE_SHA256_H

#include <vdit/tensor.h>

/* Out: text, 64 digits and a NUL. In: bytes[size]. */
void vdit_sha256_hex(char text[65], const void *bytes, size_t size);

/* The same over the tensor's dense row-major little-endian bytes: equal on every machine. */
void vdit_tensor_sha256(char text[65], const vdit_tensor *tensor);

#endif
